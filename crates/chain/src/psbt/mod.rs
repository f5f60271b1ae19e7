//! Bitcoin transactions as PSBTs, version 0 (BIP-174) and version 2 (BIP-370).
//!
//! Two things in a PSBT may be present that no signature covers and no fact shows: key origins (BIP-32 derivations,
//! extended keys, output scripts for wallets), and the witnesses inside a previous transaction, which its id leaves out.
//! Nothing is decided by them: an output is change only when its script is the signing key's own.
//! One of another child that is
//! derived here is shown with its path. Key origins say which child to look at, and are not
//! believed. In version 2 neither a
//! fallback lock time that another lock time overrides, nor a required one below the highest, is in the transaction.

mod assemble;
mod change;
mod error;
mod facts;
mod maps;
mod parse;
mod sighash;
mod version2;

use bitcoin::{Psbt, ScriptBuf, TxOut};
use quorate_types::{PublicKey, Scheme};

pub(crate) use change::Root;
pub use error::PsbtError;

/// A PSBT whose every input spends an output of the signing key and is ready to be signed.
pub(crate) struct CheckedPsbt {
    psbt: Psbt,
    /// The outputs spent, in input order.
    spent: Vec<TxOut>,
    /// The signing key's output script.
    script: ScriptBuf,
    scheme: Scheme,
    child: PublicKey,
    /// Sum of spent outputs minus sum of outputs, satoshi.
    fee: u64,
}
