//! What every keeper of shares does, whether in files or in a hardware security module.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{EncryptedFileStore, ItemKind, ItemName, StoreError};

/// Keeps sealed secrets by name. Every change is durable when its future is done.
///
/// Dropping a future does not take back what it began: the change is then made or not made, never half.
#[async_trait]
pub trait SecretStore: Debug + Send + Sync {
    /// Stores a secret, replacing one of the same name whole.
    ///
    /// # Errors
    /// The medium's; a secret already there is then untouched.
    async fn put_share(&self, name: ItemName, secret: Zeroizing<Vec<u8>>)
    -> Result<(), StoreError>;

    /// Reads a secret.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], or the medium's: a wrong secret is never returned.
    async fn get_share(&self, name: ItemName) -> Result<Zeroizing<Vec<u8>>, StoreError>;

    /// Deletes a secret; one that is not there is fine.
    ///
    /// # Errors
    /// The medium's.
    async fn delete_share(&self, name: ItemName) -> Result<(), StoreError>;

    /// Every secret of a kind, sorted.
    ///
    /// # Errors
    /// The medium's.
    async fn list(&self, kind: ItemKind) -> Result<Vec<ItemName>, StoreError>;
}

/// Runs blocking work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Interrupted),
    }
}

#[async_trait]
impl SecretStore for Arc<EncryptedFileStore> {
    async fn put_share(
        &self,
        name: ItemName,
        secret: Zeroizing<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let store = Self::clone(self);
        blocking(move || store.put(name, &secret)).await
    }

    async fn get_share(&self, name: ItemName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let store = Self::clone(self);
        blocking(move || store.get(name)).await
    }

    async fn delete_share(&self, name: ItemName) -> Result<(), StoreError> {
        let store = Self::clone(self);
        blocking(move || store.delete(name)).await
    }

    async fn list(&self, kind: ItemKind) -> Result<Vec<ItemName>, StoreError> {
        let store = Self::clone(self);
        blocking(move || EncryptedFileStore::list(&store, kind)).await
    }
}
