//! What the store key is wrapped under. Several protectors may guard one store; any one of them opens it.
//!
//! A kind is a file of its own that implements [`Wrap`], and a variant of [`Entry`]. Entries are read and kept by every build;
//! only what wraps and unwraps them is left out with a kind's feature.

mod entry;
#[cfg(feature = "kms")]
mod kms;
mod passphrase;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(feature = "tpm")]
mod tpm;

use std::fmt::Debug;

use zeroize::Zeroizing;

pub(crate) use entry::Entry;
#[cfg(feature = "kms")]
pub use kms::{KmsError, KmsKey};
#[cfg(feature = "pkcs11")]
pub use pkcs11::Pkcs11Key;
#[cfg(feature = "tpm")]
pub use tpm::{Tpm, TpmError};

use crate::StoreError;

/// The store's key.
pub(crate) type StoreKey = Zeroizing<[u8; 32]>;

/// What every kind of protector does.
pub(crate) trait Wrap: Debug {
    /// The kind of the entries it makes and opens: [`Entry::kind`].
    fn kind(&self) -> &'static str;

    /// Wraps a store key; `context` names the store and is bound.
    fn wrap(&self, key: &StoreKey, context: &str) -> Result<Entry, StoreError>;

    /// Unwraps an entry. `None`: the entry is of another kind.
    fn unwrap(
        &self,
        entry: &Entry,
        context: &str,
    ) -> Option<Result<Zeroizing<Vec<u8>>, StoreError>>;
}

/// Someone or something that can wrap and unwrap the store key now: a [`Passphrase`](crate::Passphrase) that was typed, a key in a
/// token that is logged in, a TPM, a key at AWS.
#[derive(Debug, Clone, Copy)]
pub struct Protector<'a>(&'a dyn Wrap);

impl<'a, W: Wrap> From<&'a W> for Protector<'a> {
    fn from(kind: &'a W) -> Self {
        Self(kind)
    }
}

impl Protector<'_> {
    pub(crate) fn kind(&self) -> &'static str {
        self.0.kind()
    }

    /// Wraps a store key; `context` names the store and is bound. What was wrapped is unwrapped again before it is believed: a key that
    /// may encrypt and not decrypt, say, would never open the store.
    pub(crate) fn wrap(&self, key: &StoreKey, context: &str) -> Result<Entry, StoreError> {
        let entry = self.0.wrap(key, context)?;
        match self.unwrap(&entry, context) {
            Some(Ok(back)) if back == *key => Ok(entry),
            Some(Err(error)) => Err(StoreError::NotUnwrapped(Box::new(error))),
            _ => Err(StoreError::NotUnwrapped(Box::new(StoreError::Seal))),
        }
    }

    /// Unwraps an entry of this protector's kind. `None`: the entry is of another kind.
    pub(crate) fn unwrap(
        &self,
        entry: &Entry,
        context: &str,
    ) -> Option<Result<StoreKey, StoreError>> {
        let bytes = self.0.unwrap(entry, context)?;
        Some(
            bytes.and_then(|bytes| match <[u8; 32]>::try_from(bytes.as_slice()) {
                Ok(key) => Ok(Zeroizing::new(key)),
                Err(_) => Err(StoreError::Seal),
            }),
        )
    }
}
