//! A store key wrapped by a hardware security module: AES-256-GCM under a key that was made in the token and cannot leave it
//! (PKCS#11 2.40, `CKM_AES_GCM`).

use std::path::Path;

use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use rand_core::{OsRng, RngCore as _};
use zeroize::Zeroizing;

use crate::protector::entry::Pkcs11Entry;
use crate::protector::{Entry, StoreKey, Wrap};
use crate::token::{find, find_one, log_in};
use crate::{Passphrase, Pkcs11Error, StoreError};

/// An AES-256 key in a token, with a session that is logged in.
pub struct Pkcs11Key {
    session: Session,
    handle: ObjectHandle,
    token: String,
    key: String,
}

impl std::fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pkcs11Key({:?} in {:?})", self.key, self.token)
    }
}

const TAG_BITS: u64 = 128;

impl Pkcs11Key {
    /// Finds the key of a label in the token of a label.
    ///
    /// # Errors
    /// See [`Pkcs11Error`].
    pub fn open(
        module: &Path,
        token: &str,
        pin: &Passphrase,
        key: &str,
    ) -> Result<Self, Pkcs11Error> {
        let session = log_in(module, token, pin)?;
        let handle = find_one(&session, token, &template(key), ("AES key", key))?;
        Ok(Self {
            session,
            handle,
            token: token.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Makes a key that never leaves the token: sensitive, not extractable, for encryption only.
    ///
    /// # Errors
    /// A key of that label is there already, or the token's own.
    pub fn create(
        module: &Path,
        token: &str,
        pin: &Passphrase,
        key: &str,
    ) -> Result<Self, Pkcs11Error> {
        let session = log_in(module, token, pin)?;
        if !find(&session, token, &template(key))?.is_empty() {
            return Err(Pkcs11Error::KeyExists {
                token: token.to_owned(),
                key: key.to_owned(),
            });
        }
        let template = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::ValueLen(32.into()),
            Attribute::Label(key.as_bytes().to_vec()),
        ];
        let handle = session
            .generate_key(&Mechanism::AesKeyGen, &template)
            .map_err(|cause| Pkcs11Error::Token {
                token: token.to_owned(),
                action: "make a key",
                cause,
            })?;
        Ok(Self {
            session,
            handle,
            token: token.to_owned(),
            key: key.to_owned(),
        })
    }

    fn gcm(
        &self,
        mut nonce: [u8; 12],
        context: &str,
        run: impl FnOnce(&Mechanism<'_>) -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let params = GcmParams::new(&mut nonce, context.as_bytes(), TAG_BITS.into())?;
        run(&Mechanism::AesGcm(params))
    }
}

fn template(key: &str) -> [Attribute; 3] {
    [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(key.as_bytes().to_vec()),
    ]
}

impl Wrap for Pkcs11Key {
    fn kind(&self) -> &'static str {
        "pkcs11"
    }

    fn wrap(&self, key: &StoreKey, context: &str) -> Result<Entry, StoreError> {
        let mut nonce = [0u8; 12];
        OsRng.fill_bytes(&mut nonce);
        let wrapped = self
            .gcm(nonce, context, |mechanism| {
                self.session.encrypt(mechanism, self.handle, &**key)
            })
            .map_err(|cause| Pkcs11Error::Token {
                token: self.token.clone(),
                action: "encrypt",
                cause,
            })?;
        Ok(Entry::Pkcs11(Pkcs11Entry {
            token: self.token.clone(),
            key: self.key.clone(),
            nonce,
            wrapped,
        }))
    }

    fn unwrap(
        &self,
        entry: &Entry,
        context: &str,
    ) -> Option<Result<Zeroizing<Vec<u8>>, StoreError>> {
        let Entry::Pkcs11(entry) = entry else {
            return None;
        };
        let opened = self.gcm(entry.nonce, context, |mechanism| {
            self.session.decrypt(mechanism, self.handle, &entry.wrapped)
        });
        Some(match opened {
            Ok(bytes) => Ok(Zeroizing::new(bytes)),
            Err(_) => Err(Pkcs11Error::DoesNotOpen(self.token.clone()).into()),
        })
    }
}
