//! Threshold ECDSA by oblivious transfer: DKLs23 (Doerner, Kondi, Lee, shelat, "Threshold ECDSA in Three Rounds",
//! ePrint 2023/765), with the library `dkls23`. **The library has not been audited**: a key signs this way only where somebody
//! chose it knowingly.
//!
//! The key stays the canonical share. What DKLs23 needs beside it, seeds for shares of zero and base oblivious transfers between
//! each two parties, is made by [`dkls_setup`] for a key that already exists, and holds nothing of the key. The same share can sign
//! with [`crate::sign_ecdsa`] before and after, under the same address.
//!
//! # One setup per key
//!
//! The paper's functionalities for multiplication (3.5) and shares of zero (3.4) are set up once per pair of parties and would bear
//! several keys, if each use had a session id of its own. It is not done here, because a failed consistency check tells the cheat
//! something about the reused transfers: the ban that must follow (T12) would have to hold for every key that shares them,
//! and the library's session ids were not made for several keys. Children of one key share its setup; the library
//! puts the child's public key into every session id.
//!
//! A setup is not bound to an epoch, since it depends on no share. It should all the same be made anew after a refresh: whoever
//! held one party's setup before the refresh and another's after it has both ends of their transfers.
//!
//! # Randomness
//!
//! The library draws its randomness from the operating system (`rand`'s thread generator) and takes no other. These two ceremonies
//! are therefore the ones that get no generator, and the ones that a seed does not repeat.

mod blame;
mod curve;
mod mailbox;
mod setup;
mod signing;
mod state;

pub use setup::dkls_setup;
pub use signing::sign_dkls;
pub use state::{DklsSetup, DklsSetupError};
