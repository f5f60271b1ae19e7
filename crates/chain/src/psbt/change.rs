//! Outputs that come back to our own key at another path.

use bitcoin::bip32::{ChildNumber, KeySource};
use bitcoin::psbt::Output;
use bitcoin::{CompressedPublicKey, Script};
use quorate_types::{DerivationPath, PublicKey, Scheme};

use super::CheckedPsbt;
use crate::address::{bitcoin_script, secp256k1_key};
use crate::hd::derive_child;

/// Most outputs of one PSBT whose key origins are followed, each up to [`DerivationPath::MAX_DEPTH`] steps. A wallet gives change to one or
/// two; those beyond count as foreign.
pub(super) const MAX_DERIVATIONS: usize = 100;

/// What children are derived from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Root<'a> {
    pub(crate) key: &'a PublicKey,
    pub(crate) chain_code: &'a [u8; 32],
}

impl CheckedPsbt {
    /// The path at which our root has the output's script. The PSBT's key origin only says where to look: what counts is the script
    /// that is derived here. One derivation per output at most, and no more than are left.
    pub(super) fn derived_path(
        &self,
        root: Root<'_>,
        origins: &Output,
        script: &Script,
        left: &mut usize,
    ) -> Option<DerivationPath> {
        let path = root.hint(origins)?;
        *left = left.checked_sub(1)?;
        let ours = root.script(self.scheme, &path)?;
        (*ours == *script).then_some(path)
    }
}

impl Root<'_> {
    /// The first origin that names our root's fingerprint and a path that is not hardened.
    fn hint(&self, origins: &Output) -> Option<DerivationPath> {
        let own = self.fingerprint()?;
        let taproot = origins.tap_key_origins.values().map(|(_, source)| source);
        let (_, path): &KeySource = origins
            .bip32_derivation
            .values()
            .chain(taproot)
            .find(|(fingerprint, _)| fingerprint.to_bytes() == own)?;
        let components = path.into_iter().map(|child| match child {
            ChildNumber::Normal { index } => Some(*index),
            ChildNumber::Hardened { .. } => None,
        });
        DerivationPath::from_components(components.collect::<Option<_>>()?).ok()
    }

    /// BIP-32: the first four bytes of HASH160 of the root key.
    fn fingerprint(&self) -> Option<[u8; 4]> {
        let hash = CompressedPublicKey(secp256k1_key(self.key).ok()?).pubkey_hash();
        let bytes: &[u8] = hash.as_ref();
        bytes.first_chunk().copied()
    }

    fn script(&self, scheme: Scheme, path: &DerivationPath) -> Option<bitcoin::ScriptBuf> {
        let child = derive_child(self.key, self.chain_code, path).ok()?;
        bitcoin_script(scheme, &child).ok()
    }
}
