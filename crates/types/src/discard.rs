//! An operator's word that a key which never came into force is not wanted any more.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::roster::verify_ed25519;
use crate::{Hash32, KeyId, OperatorId, ValidRoster};

/// Wish of an operator. Custodians list the key no more; its share stays in their stores, because
/// another custodian may have what is needed
/// to bring the key into force, and then it has to be there.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDiscard {
    /// The cluster, see [`ValidRoster::cluster_id`].
    pub cluster: Hash32,
    /// Who.
    pub operator: OperatorId,
    /// Which key.
    pub key: KeyId,
}

impl Canonical for KeyDiscard {
    const DOMAIN: &'static str = "quorate/key-discard/v1";
}

/// The wish with the operator's signature. It may be repeated: it does nothing to a key in force.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDiscard {
    /// The wish.
    pub discard: KeyDiscard,
    /// Ed25519, 64 bytes.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
}

impl Canonical for SignedDiscard {
    const DOMAIN: &'static str = "quorate/signed-key-discard/v1";
}

impl SignedDiscard {
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 512;

    /// The key, if an operator of the roster signed this for its cluster.
    #[must_use]
    pub fn verify(&self, roster: &ValidRoster) -> Option<KeyId> {
        let operator = roster.operator(&self.discard.operator)?;
        let message = self.discard.signing_bytes();
        let good = self.discard.cluster == roster.cluster_id()
            && verify_ed25519(&operator.key, &message, &self.signature);
        good.then_some(self.discard.key)
    }
}
