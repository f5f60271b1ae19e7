//! Unsigned transaction to facts and sighash, addresses, and assembly of the signed transaction.
//!
//! Pure: no network, no files, no clock, no randomness. Every agent runs [`analyse`] alone on the payload of an
//! intent and signs only what comes out of it (invariant I2): the bytes are parsed, re-encoded to the same bytes,
//! and hashed here. [`SigningItem`] is the proof of that, and only this crate can make one.
//!
//! | payload | parsed as | signed |
//! |---|---|---|
//! | `EvmTransaction` | EIP-155 legacy, EIP-2930, EIP-1559, EIP-4844, EIP-7702 | Keccak-256 of the bytes |
//! | `Message` on an EVM chain | EIP-191 version `0x45` | Keccak-256 with the EIP-191 prefix |
//! | `TypedData` | EIP-712 JSON | the EIP-712 hash of the parsed structure |
//! | `BitcoinPsbt` | PSBT version 0 (BIP-174) or 2 (BIP-370) | BIP-143 (P2WPKH) or BIP-341 (P2TR key path) sighash per input |
//! | `SolanaMessage` | legacy or version 0 message | the bytes |
//! | `Batch` | each member as above | all of theirs, one after the other |
//! | `Raw` | nothing | SHA-256 (ECDSA), tagged hash (BIP-340), the bytes (Ed25519) |

pub mod address;
mod analysis;
mod assembly;
mod bounds;
mod combine;
pub mod effects;
mod error;
pub mod evm;
pub mod facts;
pub mod hd;
mod points;
pub mod psbt;
mod raw;
pub mod solana;
mod strict_json;
mod verification;

pub use address::{address, script_pubkey};
pub use alloy_primitives::U256;
pub use analysis::{Analysis, SigningItem, SigningMessage, TaprootTweak, analyse, analyse_for};
pub use assembly::{Assembled, assemble};
pub use combine::{CombineError, combine};
pub use effects::{AssetRef, Call, Danger, Effects, Movement, MovementKind, Reading};
pub use error::ChainError;
pub use facts::Facts;
pub use points::are_commitments;
pub use raw::BIP340_RAW_TAG;
pub use verification::{VerifyError, verify};
