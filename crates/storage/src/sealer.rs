//! How a store's items are sealed, wherever they are kept.

use std::sync::Arc;

use borsh::BorshSerialize;
use quorate_types::PartyId;
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use crate::locked::LockedKey;
use crate::{ItemName, OneTimeId, SealedOneTime, StoreError, seal};

const ITEM: &[u8] = b"quorate/sealed-item/v1";
const ONE_TIME: &[u8] = b"quorate/sealed-one-time/v1";

/// Seals and opens a party's items under its store's key. Copies share one key in memory, which is wiped with the last of them.
#[derive(Clone)]
pub struct Sealer(Arc<Inner>);

struct Inner {
    party: PartyId,
    key: LockedKey,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({}, [redacted])", self.0.party)
    }
}

impl Sealer {
    pub(crate) fn new(party: PartyId, key: &[u8; 32]) -> Result<Self, StoreError> {
        let key = LockedKey::new(key).map_err(|cause| StoreError::Memory(cause.to_string()))?;
        Ok(Self(Arc::new(Inner { party, key })))
    }

    /// Seals under a fresh key that is nowhere but in this memory: what it sealed cannot be opened by a later process, nor from a copy of
    /// the disk.
    ///
    /// # Errors
    /// Memory that cannot be locked.
    pub fn ephemeral(party: PartyId) -> Result<Self, StoreError> {
        let mut key = zeroize::Zeroizing::new([0u8; 32]);
        OsRng.fill_bytes(&mut *key);
        Self::new(party, &key)
    }

    /// Whose items.
    #[must_use]
    pub fn party(&self) -> &PartyId {
        &self.0.party
    }

    pub(crate) fn key(&self) -> Result<&[u8; 32], StoreError> {
        self.0.key.expose()
    }

    /// Seals a secret for its name: XChaCha20-Poly1305, `nonce (24) || ciphertext || tag (16)`.
    pub(crate) fn seal(&self, name: ItemName, secret: &[u8]) -> Result<Vec<u8>, StoreError> {
        seal::seal(self.key()?, &self.associated_data(name), secret)
    }

    /// `None` when it was sealed for another name, party or store, or was altered.
    pub(crate) fn open(&self, name: ItemName, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        seal::open(self.key().ok()?, &self.associated_data(name), sealed)
    }

    /// Seals a presignature or nonce for the ledger, in the same way.
    ///
    /// # Errors
    /// Memory that cannot be read.
    pub fn seal_one_time(&self, id: OneTimeId, secret: &[u8]) -> Result<SealedOneTime, StoreError> {
        let sealed = seal::seal(self.key()?, &self.bound_to(ONE_TIME, &id), secret)?;
        Ok(SealedOneTime { id, sealed })
    }

    /// `None` when it was sealed for another name, party or store, or was altered.
    #[must_use]
    pub fn open_one_time(&self, taken: &SealedOneTime) -> Option<Zeroizing<Vec<u8>>> {
        let data = self.bound_to(ONE_TIME, &taken.id);
        seal::open(self.key().ok()?, &data, &taken.sealed)
    }

    fn associated_data(&self, name: ItemName) -> Vec<u8> {
        self.bound_to(ITEM, &name)
    }

    fn bound_to(&self, domain: &[u8], name: &impl BorshSerialize) -> Vec<u8> {
        // Cannot fail: both parts encode into memory.
        let encoded = borsh::to_vec(&(&self.0.party, name)).unwrap_or_default();
        [domain, &encoded].concat()
    }
}

#[cfg(test)]
mod tests {
    use quorate_types::Hash32;

    use super::*;
    use crate::OneTimeKind;

    fn sealer(party: &str, key: u8) -> Sealer {
        Sealer::new(PartyId::new(party).unwrap(), &[key; 32]).unwrap()
    }

    #[test]
    fn a_presignature_opens_only_under_its_own_name_party_and_store() {
        let id = |number| OneTimeId {
            kind: OneTimeKind::Presignature,
            pool: Hash32::from_bytes([1; 32]),
            id: Hash32::from_bytes([number; 32]),
        };
        let ours = sealer("party-1", 1);
        let sealed = ours.seal_one_time(id(1), b"presignature").unwrap();
        assert_eq!(**ours.open_one_time(&sealed).unwrap(), *b"presignature");
        assert!(!sealed.sealed.windows(12).any(|w| w == b"presignature"));
        for other in [sealer("party-2", 1), sealer("party-1", 2)] {
            assert!(other.open_one_time(&sealed).is_none());
        }
        let nonce = OneTimeId {
            kind: OneTimeKind::Nonce,
            ..id(1)
        };
        for name in [id(2), nonce] {
            let moved = SealedOneTime {
                id: name,
                ..sealed.clone()
            };
            assert!(ours.open_one_time(&moved).is_none(), "{name:?}");
        }
        let mut altered = sealed;
        altered.sealed[30] ^= 1;
        assert!(ours.open_one_time(&altered).is_none());
    }
}
