//! What a PSBT's transaction does.

use bitcoin::absolute::LockTime;
use bitcoin::{Transaction, TxOut, Weight};
use quorate_types::{BitcoinNetwork, DerivationPath, Scheme};

use super::change::MAX_DERIVATIONS;
use super::{CheckedPsbt, Root};
use crate::address::script_address;
use crate::facts::{BitcoinFacts, BitcoinInput, BitcoinOutput};

/// Witness of one P2WPKH input at most: count, 72-byte signature and 33-byte key with their lengths.
const P2WPKH_WITNESS: u64 = 1 + 1 + 72 + 1 + 33;
/// Witness of one P2TR key-path input at most: count, 65-byte signature with its length.
const P2TR_WITNESS: u64 = 1 + 1 + 65;
/// Marker and flag of a transaction with witnesses.
const SEGWIT_MARKER: u64 = 2;

impl CheckedPsbt {
    /// With the root key, outputs to its other children are known by their paths.
    pub(crate) fn facts(&self, network: BitcoinNetwork, root: Option<Root<'_>>) -> BitcoinFacts {
        let tx = &self.psbt.unsigned_tx;
        let mut left = MAX_DERIVATIONS;
        let outputs: Vec<_> = tx
            .output
            .iter()
            .zip(&self.psbt.outputs)
            .map(|(output, origins)| {
                let script = &output.script_pubkey;
                let derived = |root| self.derived_path(root, origins, script, &mut left);
                self.output(output, network, root.and_then(derived))
            })
            .collect();
        let sent = outputs
            .iter()
            .filter(|output| !output.change)
            .fold(0u64, |total, output| total.saturating_add(output.amount));
        let estimated_vsize = self.estimated_vsize();
        BitcoinFacts {
            txid: tx.compute_txid().to_string(),
            inputs: self.inputs(),
            outputs,
            sent,
            fee: self.fee,
            estimated_vsize,
            fee_rate: self.fee.div_ceil(estimated_vsize.max(1)),
            lock_time: tx.lock_time.to_consensus_u32(),
            lock_time_enforced: tx.lock_time != LockTime::ZERO && lock_time_enabled(tx),
            replaceable: tx.is_explicitly_rbf(),
        }
    }

    fn inputs(&self) -> Vec<BitcoinInput> {
        let inputs = self.psbt.unsigned_tx.input.iter().zip(&self.spent);
        inputs
            .map(|(input, spent)| BitcoinInput {
                outpoint: input.previous_output.to_string(),
                amount: spent.value.to_sat(),
                sequence: input.sequence.to_consensus_u32(),
            })
            .collect()
    }

    fn output(
        &self,
        output: &TxOut,
        network: BitcoinNetwork,
        path: Option<DerivationPath>,
    ) -> BitcoinOutput {
        BitcoinOutput {
            address: script_address(&output.script_pubkey, network),
            script: output.script_pubkey.to_hex_string(),
            amount: output.value.to_sat(),
            change: output.script_pubkey == self.script,
            path,
        }
    }

    fn estimated_vsize(&self) -> u64 {
        let witness = match self.scheme {
            Scheme::Bip340 => P2TR_WITNESS,
            _ => P2WPKH_WITNESS,
        };
        let inputs = u64::try_from(self.spent.len()).unwrap_or(u64::MAX);
        let witnesses = inputs.saturating_mul(witness).saturating_add(SEGWIT_MARKER);
        let weight = self.psbt.unsigned_tx.weight() + Weight::from_wu(witnesses);
        weight.to_vbytes_ceil()
    }
}

fn lock_time_enabled(tx: &Transaction) -> bool {
    tx.input
        .iter()
        .any(|input| input.sequence.enables_absolute_lock_time())
}
