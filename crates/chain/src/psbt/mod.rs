//! Bitcoin transactions as BIP-174 PSBTs, version 0.
//!
//! Two things in a PSBT may be present that no signature covers and no fact shows: key origins (BIP-32 derivations,
//! extended keys, output scripts for wallets), and the witnesses inside a previous transaction, which its id leaves out.
//! Nothing is decided by them: an output counts as change only when its script is the signing key's own.

mod assemble;
mod error;
mod facts;
mod parse;
mod sighash;

use bitcoin::{Psbt, ScriptBuf, TxOut};
use quorate_types::{PublicKey, Scheme};

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
