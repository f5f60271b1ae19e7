//! A store key wrapped by a hardware security module: AES-256-GCM under a key that was made in the token and cannot leave it
//! (PKCS#11 2.40, `CKM_AES_GCM`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Passphrase;
use crate::protector::StoreKey;

/// What went wrong with the token, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs11Error {
    /// The module file.
    #[error(
        "cannot load the PKCS#11 module {path}: {cause}; check the path and that the vendor's library is installed"
    )]
    Module {
        /// Its path.
        path: String,
        /// Why not.
        cause: Error,
    },
    /// No token of that label.
    #[error("no token labelled {0:?} is present; is the HSM connected, and is the label right?")]
    TokenAbsent(String),
    /// The PIN is wrong.
    #[error("wrong PIN for token {0:?}; too many wrong ones lock it")]
    WrongPin(String),
    /// The token refuses PINs altogether.
    #[error("the PIN of token {0:?} is locked; its security officer must reset it")]
    PinLocked(String),
    /// No key of that label.
    #[error("token {token:?} has no AES key labelled {key:?}; make one first")]
    KeyAbsent {
        /// The token.
        token: String,
        /// The key's label.
        key: String,
    },
    /// A key of that label is there already.
    #[error(
        "token {token:?} has a key labelled {key:?} already; leave out --create-key to use it, or choose another label"
    )]
    KeyExists {
        /// The token.
        token: String,
        /// The key's label.
        key: String,
    },
    /// More than one key of that label: which one would be left to chance.
    #[error("token {token:?} has more than one key labelled {key:?}; remove all but one")]
    KeyAmbiguous {
        /// The token.
        token: String,
        /// The key's label.
        key: String,
    },
    /// The wrapped key does not open. Tokens answer an altered ciphertext with all kinds of errors, so every one means this.
    #[error(
        "token {0:?} does not unwrap the store key: it was wrapped by another key, or the header was altered"
    )]
    DoesNotOpen(String),
    /// Anything else a token says.
    #[error("token {token:?} cannot {action}: {cause}")]
    Token {
        /// The token.
        token: String,
        /// What it was asked.
        action: &'static str,
        /// What it said.
        cause: Error,
    },
}

/// A wrapped store key: where the wrapping key is, and the ciphertext.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Entry {
    /// Label of the token.
    token: String,
    /// Label of the AES key in it.
    key: String,
    #[serde(with = "hex::serde")]
    nonce: [u8; 12],
    /// Ciphertext and tag.
    #[serde(with = "hex::serde")]
    wrapped: Vec<u8>,
}

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
        let handle = match find(&session, token, key)?.as_slice() {
            [handle] => *handle,
            [] => {
                return Err(Pkcs11Error::KeyAbsent {
                    token: token.to_owned(),
                    key: key.to_owned(),
                });
            }
            _ => {
                return Err(Pkcs11Error::KeyAmbiguous {
                    token: token.to_owned(),
                    key: key.to_owned(),
                });
            }
        };
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
        if !find(&session, token, key)?.is_empty() {
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

    pub(crate) fn wrap(&self, key: &StoreKey, context: &str) -> Result<Pkcs11Entry, Pkcs11Error> {
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
        Ok(Pkcs11Entry {
            token: self.token.clone(),
            key: self.key.clone(),
            nonce,
            wrapped,
        })
    }

    pub(crate) fn unwrap(
        &self,
        entry: &Pkcs11Entry,
        context: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Pkcs11Error> {
        self.gcm(entry.nonce, context, |mechanism| {
            self.session.decrypt(mechanism, self.handle, &entry.wrapped)
        })
        .map(Zeroizing::new)
        .map_err(|_| Pkcs11Error::DoesNotOpen(self.token.clone()))
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

/// A module is loaded and initialised once in a process and stays: a second user that finalised it would pull it from under the first.
static LOADED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

fn context(module: &Path) -> Result<Pkcs11, Pkcs11Error> {
    let unloadable = |cause| Pkcs11Error::Module {
        path: module.display().to_string(),
        cause,
    };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(context) = loaded.get(module) {
        return Ok(context.clone());
    }
    let context = Pkcs11::new(module).map_err(unloadable)?;
    context
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .map_err(unloadable)?;
    loaded.insert(module.to_owned(), context.clone());
    Ok(context)
}

fn log_in(module: &Path, token: &str, pin: &Passphrase) -> Result<Session, Pkcs11Error> {
    let context = context(module)?;
    let failed = |action| {
        move |cause| Pkcs11Error::Token {
            token: token.to_owned(),
            action,
            cause,
        }
    };
    let slots = context
        .get_slots_with_initialized_token()
        .map_err(failed("list its slots"))?;
    let slot = slots
        .into_iter()
        .find(|slot| {
            context
                .get_token_info(*slot)
                .is_ok_and(|info| info.label() == token)
        })
        .ok_or_else(|| Pkcs11Error::TokenAbsent(token.to_owned()))?;
    let session = context
        .open_rw_session(slot)
        .map_err(failed("open a session"))?;
    match session.login(UserType::User, Some(&AuthPin::from(pin.expose()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(Error::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
            _,
        )) => Err(Pkcs11Error::WrongPin(token.to_owned())),
        Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(Pkcs11Error::PinLocked(token.to_owned())),
        Err(cause) => Err(failed("log in")(cause)),
    }
}

fn find(session: &Session, token: &str, key: &str) -> Result<Vec<ObjectHandle>, Pkcs11Error> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(key.as_bytes().to_vec()),
    ];
    session
        .find_objects(&template)
        .map_err(|cause| Pkcs11Error::Token {
            token: token.to_owned(),
            action: "look for keys",
            cause,
        })
}
