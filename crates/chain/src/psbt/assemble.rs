//! The final transaction with its witnesses.

use bitcoin::consensus::encode::serialize;
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Transaction, Witness};
use quorate_types::Signature;

use super::CheckedPsbt;
use crate::address::secp256k1_key;
use crate::{Assembled, ChainError, VerifyError};

impl CheckedPsbt {
    /// Adds one verified signature per input.
    pub(crate) fn assemble(&self, signatures: &[Signature]) -> Result<Assembled, ChainError> {
        let mut tx: Transaction = self.psbt.unsigned_tx.clone();
        for (index, (input, signature)) in tx.input.iter_mut().zip(signatures).enumerate() {
            input.witness = self.witness(index, signature)?;
        }
        Ok(Assembled {
            bytes: serialize(&tx),
            id: tx.compute_txid().to_string(),
        })
    }

    fn witness(&self, index: usize, signature: &Signature) -> Result<Witness, ChainError> {
        let bad = |reason| ChainError::BadSignature {
            item: u32::try_from(index).unwrap_or(u32::MAX),
            reason,
        };
        match signature {
            Signature::Ecdsa(sig) => {
                let signature = secp256k1::ecdsa::Signature::from_compact(&sig.to_compact())
                    .map_err(|_| bad(VerifyError::Malformed))?;
                let signature = bitcoin::ecdsa::Signature {
                    signature,
                    sighash_type: EcdsaSighashType::All,
                };
                Ok(Witness::p2wpkh(&signature, &secp256k1_key(&self.child)?))
            }
            Signature::Bip340(bytes) => {
                let signature = secp256k1::schnorr::Signature::from_slice(bytes)
                    .map_err(|_| bad(VerifyError::Malformed))?;
                let signature = bitcoin::taproot::Signature {
                    signature,
                    sighash_type: self.taproot_sighash_type(index),
                };
                Ok(Witness::p2tr_key_spend(&signature))
            }
            Signature::Ed25519(_) => Err(bad(VerifyError::SchemeMismatch)),
        }
    }
}
