//! How a store's items are sealed, wherever they are kept.

use std::sync::Arc;

use quorate_types::PartyId;
use zeroize::Zeroizing;

use crate::locked::LockedKey;
use crate::{ItemName, StoreError, seal};

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

    fn associated_data(&self, name: ItemName) -> Vec<u8> {
        // Cannot fail: both parts encode into memory.
        let mut data = b"quorate/sealed-item/v1".to_vec();
        let encoded = borsh::to_vec(&(&self.0.party, name)).unwrap_or_default();
        data.extend_from_slice(&encoded);
        data
    }
}
