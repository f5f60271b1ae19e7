//! What the store key is wrapped under. Several protectors may guard one store; any one of them opens it.

#[cfg(feature = "pkcs11")]
mod pkcs11;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11Entry, Pkcs11Error, Pkcs11Key};

use crate::{Passphrase, SealedBox, StoreError};

/// Someone or something that can wrap and unwrap the store key now: a passphrase that was typed, a token that is logged in.
#[derive(Debug, Clone, Copy)]
pub enum Protector<'a> {
    /// A passphrase, through Argon2id.
    Passphrase(&'a Passphrase),
    /// A non-extractable AES key in a PKCS#11 token.
    #[cfg(feature = "pkcs11")]
    Pkcs11(&'a Pkcs11Key),
}

impl<'a> From<&'a Passphrase> for Protector<'a> {
    fn from(passphrase: &'a Passphrase) -> Self {
        Self::Passphrase(passphrase)
    }
}

#[cfg(feature = "pkcs11")]
impl<'a> From<&'a Pkcs11Key> for Protector<'a> {
    fn from(key: &'a Pkcs11Key) -> Self {
        Self::Pkcs11(key)
    }
}

/// A wrapped store key, as the store's header keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Entry {
    /// Under a passphrase.
    Passphrase(SealedBox),
    /// Under a key in a PKCS#11 token.
    #[cfg(feature = "pkcs11")]
    Pkcs11(Pkcs11Entry),
}

/// The store's key.
pub(crate) type StoreKey = Zeroizing<[u8; 32]>;

impl Protector<'_> {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11(_) => "pkcs11",
        }
    }

    /// Wraps a store key; `context` names the store and is bound.
    pub(crate) fn wrap(&self, key: &StoreKey, context: &str) -> Result<Entry, StoreError> {
        match self {
            Self::Passphrase(passphrase) => {
                SealedBox::seal(passphrase, context, &**key).map(Entry::Passphrase)
            }
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11(token) => Ok(Entry::Pkcs11(token.wrap(key, context)?)),
        }
    }

    /// Unwraps an entry of this protector's kind. `None`: the entry is of another kind.
    pub(crate) fn unwrap(
        &self,
        entry: &Entry,
        context: &str,
    ) -> Option<Result<StoreKey, StoreError>> {
        let bytes = match (self, entry) {
            (Self::Passphrase(passphrase), Entry::Passphrase(sealed)) => {
                sealed.open(passphrase, context)
            }
            #[cfg(feature = "pkcs11")]
            (Self::Pkcs11(token), Entry::Pkcs11(entry)) => {
                token.unwrap(entry, context).map_err(Into::into)
            }
            #[cfg(feature = "pkcs11")]
            _ => return None,
        };
        Some(
            bytes.and_then(|bytes| match <[u8; 32]>::try_from(bytes.as_slice()) {
                Ok(key) => Ok(Zeroizing::new(key)),
                Err(_) => Err(StoreError::Seal),
            }),
        )
    }
}

impl Entry {
    /// What kind of protector it takes: `passphrase`, `pkcs11`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            #[cfg(feature = "pkcs11")]
            Self::Pkcs11(_) => "pkcs11",
        }
    }
}
