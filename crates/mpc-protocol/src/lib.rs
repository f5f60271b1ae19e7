//! Every multi-party ceremony as a state machine without input or output: a message goes in, [`Effect`]s come out.
//!
//! | ceremony | constructor | library |
//! |---|---|---|
//! | distributed key generation | [`keygen`] | `cggmp24-keygen` |
//! | committee setup for ECDSA | [`aux_info`] | `cggmp24` |
//! | ECDSA signing | [`sign_ecdsa`] | `cggmp24` |
//! | setup of a key for DKLs23 | [`dkls_setup`] | `dkls23`, unaudited |
//! | ECDSA signing by DKLs23 | [`sign_dkls`] | `dkls23`, unaudited |
//! | ECDSA presignatures | [`presign()`] | `cggmp24` |
//! | Ed25519 and BIP-340 signing | [`sign_frost`] | `frost-ed25519`, `frost-secp256k1-tr` |
//!
//! No clock, no thread, no socket, no file in here: time-outs belong to the driver, which knows from
//! [`Effect::Need`] whom a ceremony waits for. Machines are not `Send`: a driver builds one on the thread that runs it.

mod adapter;
mod aux;
mod blame;
mod ceremony;
mod codec;
mod dkls;
mod ecdsa;
mod frost;
mod hd;
mod keygen;
mod level;
mod presign;
mod primes;
mod psi;
mod rules;
mod share;

pub use aux::{Aux, AuxError, ReadyAux, aux_info};
pub use ceremony::{
    Abort, AbortReason, Ceremony, CeremonyRng, Effect, Incoming, Outcome, Outgoing, Seat,
    SeatError, To,
};
pub use dkls::{DklsSetup, DklsSetupError, dkls_setup, sign_dkls};
pub use ecdsa::sign_ecdsa;
pub use frost::{FrostCheck, FrostMessage, FrostNonces, TaprootTweak, sign_frost};
pub use hd::child_public_key;
pub use keygen::keygen;
#[cfg(feature = "danger-test-level")]
pub use level::DangerTestLevel;
pub use level::{Level, Production};
pub use presign::{PartialCheck, Presignature, PresignatureError, presign};
pub use primes::{PrimeError, PrimeSet, SafePrime};
pub use rules::max_message_len;
pub use share::{Share, ShareError};
