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

/// A keeper that blocks; each of its kind is a [`SecretStore`] behind an [`Arc`].
pub trait BlockingStore: Debug + Send + Sync + 'static {
    /// See [`SecretStore::put_share`].
    ///
    /// # Errors
    /// As there, and so for the others.
    fn put_item(&self, name: ItemName, secret: &[u8]) -> Result<(), StoreError>;

    /// See [`SecretStore::get_share`].
    ///
    /// # Errors
    /// As there.
    fn get_item(&self, name: ItemName) -> Result<Zeroizing<Vec<u8>>, StoreError>;

    /// See [`SecretStore::delete_share`].
    ///
    /// # Errors
    /// As there.
    fn delete_item(&self, name: ItemName) -> Result<(), StoreError>;

    /// See [`SecretStore::list`].
    ///
    /// # Errors
    /// As there.
    fn list_items(&self, kind: ItemKind) -> Result<Vec<ItemName>, StoreError>;
}

/// Runs blocking work on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Interrupted),
    }
}

#[async_trait]
impl<S: BlockingStore> SecretStore for Arc<S> {
    async fn put_share(
        &self,
        name: ItemName,
        secret: Zeroizing<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let store = Self::clone(self);
        blocking(move || store.put_item(name, &secret)).await
    }

    async fn get_share(&self, name: ItemName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let store = Self::clone(self);
        blocking(move || store.get_item(name)).await
    }

    async fn delete_share(&self, name: ItemName) -> Result<(), StoreError> {
        let store = Self::clone(self);
        blocking(move || store.delete_item(name)).await
    }

    async fn list(&self, kind: ItemKind) -> Result<Vec<ItemName>, StoreError> {
        let store = Self::clone(self);
        blocking(move || store.list_items(kind)).await
    }
}

impl BlockingStore for EncryptedFileStore {
    fn put_item(&self, name: ItemName, secret: &[u8]) -> Result<(), StoreError> {
        self.put(name, secret)
    }

    fn get_item(&self, name: ItemName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.get(name)
    }

    fn delete_item(&self, name: ItemName) -> Result<(), StoreError> {
        self.delete(name)
    }

    fn list_items(&self, kind: ItemKind) -> Result<Vec<ItemName>, StoreError> {
        self.list(kind)
    }
}
