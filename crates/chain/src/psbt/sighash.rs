//! BIP-143 and BIP-341 sighashes.

use bitcoin::hashes::Hash as _;
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use quorate_types::{HashAlgorithm, Preimage, Scheme};

use super::{CheckedPsbt, PsbtError};
use crate::{SigningMessage, TaprootTweak};

impl CheckedPsbt {
    /// One message per input.
    pub(crate) fn messages(&self) -> Result<Vec<SigningMessage>, PsbtError> {
        let mut cache = SighashCache::new(&self.psbt.unsigned_tx);
        (0..self.spent.len())
            .map(|input| match self.scheme {
                Scheme::Bip340 => self.bip341(&mut cache, input),
                _ => self.bip143(&mut cache, input),
            })
            .collect()
    }

    fn bip143(
        &self,
        cache: &mut SighashCache<&bitcoin::Transaction>,
        input: usize,
    ) -> Result<SigningMessage, PsbtError> {
        let value = self
            .spent
            .get(input)
            .map_or(bitcoin::Amount::ZERO, |o| o.value);
        let failed = |reason: String| PsbtError::Sighash { input, reason };
        let script = self.script.p2wpkh_script_code();
        let script = script.ok_or_else(|| failed("not a P2WPKH script".to_owned()))?;
        let mut bytes = Vec::new();
        cache
            .segwit_v0_encode_signing_data_to(
                &mut bytes,
                input,
                &script,
                value,
                EcdsaSighashType::All,
            )
            .map_err(|e| failed(e.to_string()))?;
        let preimage = Preimage::new(HashAlgorithm::Sha256d, bytes);
        Ok(SigningMessage::Ecdsa(preimage))
    }

    fn bip341(
        &self,
        cache: &mut SighashCache<&bitcoin::Transaction>,
        input: usize,
    ) -> Result<SigningMessage, PsbtError> {
        let prevouts = Prevouts::All(&self.spent);
        let hash = cache
            .taproot_key_spend_signature_hash(input, &prevouts, self.taproot_sighash_type(input))
            .map_err(|e| PsbtError::Sighash {
                input,
                reason: e.to_string(),
            })?;
        Ok(SigningMessage::Bip340 {
            message: hash.to_byte_array(),
            tweak: TaprootTweak::Bip86,
        })
    }

    /// DEFAULT unless the input asks for ALL, the only other type that is accepted.
    pub(super) fn taproot_sighash_type(&self, input: usize) -> TapSighashType {
        let asked = self.psbt.inputs.get(input).and_then(|i| i.sighash_type);
        match asked.map(|t| t.to_u32()) {
            Some(1) => TapSighashType::All,
            _ => TapSighashType::Default,
        }
    }
}
