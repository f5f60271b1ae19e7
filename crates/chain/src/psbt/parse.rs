//! From bytes to a PSBT in which everything is understood and every input is ours.

use std::collections::BTreeSet;

use bitcoin::psbt::{Input, Output};
use bitcoin::{Amount, OutPoint, Psbt, TxOut};
use quorate_types::{PublicKey, Scheme};

use super::version2::deserialize_version2;
use super::{CheckedPsbt, PsbtError, maps};
use crate::address::{bitcoin_script, secp256k1_key};
use crate::error::same_bytes;
use crate::{ChainError, bounds};

const SIGHASH_DEFAULT: u32 = 0;
const SIGHASH_ALL: u32 = 1;

impl CheckedPsbt {
    pub(crate) fn parse(
        bytes: &[u8],
        scheme: Scheme,
        child: &PublicKey,
    ) -> Result<Self, ChainError> {
        let psbt = deserialize(bytes)?;
        check_shape(&psbt)?;
        bounds::check("inputs", psbt.inputs.len(), bounds::INPUTS)?;
        bounds::check("outputs", psbt.outputs.len(), bounds::OUTPUTS)?;
        let mut checked = Self {
            spent: Vec::with_capacity(psbt.inputs.len()),
            script: bitcoin_script(scheme, child)?,
            scheme,
            child: child.clone(),
            fee: 0,
            psbt,
        };
        for (index, input) in checked.psbt.inputs.iter().enumerate() {
            let spent = checked.check_input(index, input)?;
            checked.spent.push(spent);
        }
        checked.fee = checked.checked_fee()?;
        Ok(checked)
    }

    fn check_input(&self, index: usize, input: &Input) -> Result<TxOut, ChainError> {
        check_unsigned(index, input)?;
        check_fields(index, input)?;
        self.check_sighash_type(index, input)?;
        let spent = self.spent_output(index, input)?;
        if spent.script_pubkey != self.script {
            return Err(PsbtError::NotOurInput {
                input: index,
                found: spent.script_pubkey.to_hex_string(),
                expected: self.script.to_hex_string(),
            }
            .into());
        }
        if let Some(key) = input.tap_internal_key
            && key != secp256k1_key(&self.child)?.x_only_public_key().0
        {
            return Err(PsbtError::WrongInternalKey { input: index }.into());
        }
        Ok(spent)
    }

    fn check_sighash_type(&self, index: usize, input: &Input) -> Result<(), PsbtError> {
        let taproot = self.scheme == Scheme::Bip340;
        match input.sighash_type.map(|t| t.to_u32()) {
            None | Some(SIGHASH_ALL) => Ok(()),
            Some(SIGHASH_DEFAULT) if taproot => Ok(()),
            Some(sighash) => Err(PsbtError::SighashType {
                input: index,
                sighash,
            }),
        }
    }

    /// The output an input spends. A BIP-341 signature covers every input's amount, a BIP-143 signature only its own:
    /// there the amounts are taken from the previous transactions, whose ids the signature covers.
    fn spent_output(&self, index: usize, input: &Input) -> Result<TxOut, PsbtError> {
        let spent = input
            .witness_utxo
            .clone()
            .ok_or(PsbtError::MissingWitnessUtxo { input: index })?;
        match &input.non_witness_utxo {
            Some(previous) => {
                let outpoint = self.outpoint(index)?;
                let found = previous.compute_txid();
                if found != outpoint.txid {
                    return Err(PsbtError::WrongPreviousTransaction {
                        input: index,
                        expected: outpoint.txid.to_string(),
                        found: found.to_string(),
                    });
                }
                let output = usize::try_from(outpoint.vout)
                    .ok()
                    .and_then(|vout| previous.output.get(vout));
                if output != Some(&spent) {
                    return Err(PsbtError::UtxoMismatch {
                        input: index,
                        vout: outpoint.vout,
                    });
                }
            }
            None if self.scheme != Scheme::Bip340 => {
                return Err(PsbtError::MissingPreviousTransaction { input: index });
            }
            None => {}
        }
        Ok(spent)
    }

    fn outpoint(&self, index: usize) -> Result<OutPoint, PsbtError> {
        self.psbt
            .unsigned_tx
            .input
            .get(index)
            .map(|input| input.previous_output)
            .ok_or(PsbtError::Empty("inputs"))
    }

    fn checked_fee(&self) -> Result<u64, PsbtError> {
        let inputs = sum("inputs", &self.spent)?;
        let outputs = sum("outputs", &self.psbt.unsigned_tx.output)?;
        inputs
            .checked_sub(outputs)
            .map(Amount::to_sat)
            .ok_or(PsbtError::OutputsExceedInputs {
                inputs: inputs.to_sat(),
                outputs: outputs.to_sat(),
            })
    }
}

fn deserialize(bytes: &[u8]) -> Result<Psbt, ChainError> {
    match maps::version(bytes) {
        Some(0) | None => {}
        Some(2) => return deserialize_version2(bytes),
        Some(version) => return Err(PsbtError::UnsupportedVersion(version).into()),
    }
    let psbt = Psbt::deserialize(bytes).map_err(|e| PsbtError::Malformed(e.to_string()))?;
    same_bytes("PSBT", bytes, &psbt.serialize())?;
    Ok(psbt)
}

fn check_shape(psbt: &Psbt) -> Result<(), PsbtError> {
    if psbt.inputs.is_empty() {
        return Err(PsbtError::Empty("inputs"));
    }
    if psbt.outputs.is_empty() {
        return Err(PsbtError::Empty("outputs"));
    }
    if !psbt.unknown.is_empty() || !psbt.proprietary.is_empty() {
        return Err(PsbtError::UnknownField {
            place: "the PSBT".to_owned(),
        });
    }
    let foreign_output = |o: &Output| !o.unknown.is_empty() || !o.proprietary.is_empty();
    if let Some(index) = psbt.outputs.iter().position(foreign_output) {
        return Err(PsbtError::UnknownField {
            place: format!("output {index}"),
        });
    }
    check_no_duplicates(psbt)
}

fn check_no_duplicates(psbt: &Psbt) -> Result<(), PsbtError> {
    let mut seen = BTreeSet::new();
    for (index, input) in psbt.unsigned_tx.input.iter().enumerate() {
        if !seen.insert(input.previous_output) {
            return Err(PsbtError::DuplicateInput {
                input: index,
                outpoint: input.previous_output.to_string(),
            });
        }
    }
    Ok(())
}

fn check_unsigned(index: usize, input: &Input) -> Result<(), PsbtError> {
    let signed = !input.partial_sigs.is_empty()
        || input.final_script_sig.is_some()
        || input.final_script_witness.is_some()
        || input.tap_key_sig.is_some()
        || !input.tap_script_sigs.is_empty();
    if signed {
        return Err(PsbtError::AlreadySigned { input: index });
    }
    Ok(())
}

/// Key origins (BIP-32 derivations) are for wallets and change nothing that is signed; everything else that an output of a
/// single key does not need is refused.
fn check_fields(index: usize, input: &Input) -> Result<(), PsbtError> {
    if !input.unknown.is_empty() || !input.proprietary.is_empty() {
        return Err(PsbtError::UnknownField {
            place: format!("input {index}"),
        });
    }
    let preimages = !input.ripemd160_preimages.is_empty()
        || !input.sha256_preimages.is_empty()
        || !input.hash160_preimages.is_empty()
        || !input.hash256_preimages.is_empty();
    let unexpected = [
        ("a redeem script", input.redeem_script.is_some()),
        ("a witness script", input.witness_script.is_some()),
        ("hash preimages", preimages),
        ("taproot scripts", !input.tap_scripts.is_empty()),
        ("a taproot merkle root", input.tap_merkle_root.is_some()),
    ];
    match unexpected.into_iter().find(|(_, present)| *present) {
        Some((field, _)) => Err(PsbtError::UnexpectedField {
            input: index,
            field,
        }),
        None => Ok(()),
    }
}

fn sum(what: &'static str, outputs: &[TxOut]) -> Result<Amount, PsbtError> {
    outputs
        .iter()
        .try_fold(Amount::ZERO, |total, output| {
            total.checked_add(output.value)
        })
        .filter(|total| *total <= Amount::MAX_MONEY)
        .ok_or(PsbtError::AmountOutOfRange(what))
}
