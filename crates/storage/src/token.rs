//! A PKCS#11 token: its module, a session that is logged in, and what can be wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use crate::Passphrase;

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
    #[error("token {token:?} has no {what} labelled {key:?}; make one first")]
    KeyAbsent {
        /// The token.
        token: String,
        /// What was looked for.
        what: &'static str,
        /// The key's label.
        key: String,
    },
    /// A key of that label is there already.
    #[error(
        "token {token:?} has a key labelled {key:?} already; use that one as it is, or choose another label"
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
    /// No Ed25519 in this token.
    #[error(
        "token {token:?} does not do Ed25519 ({why}); it needs CKM_EC_EDWARDS_KEY_PAIR_GEN and CKM_EDDSA, or keep the identity in the store"
    )]
    NoEd25519 {
        /// The token.
        token: String,
        /// What it did instead.
        why: String,
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

/// Opens a session with the token of a label and logs in. A process that is logged in already stays so: the PIN is then not looked at.
pub(crate) fn log_in(module: &Path, token: &str, pin: &Passphrase) -> Result<Session, Pkcs11Error> {
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
        Err(cause) => Err(refused_pin(token, cause)),
    }
}

fn refused_pin(token: &str, cause: Error) -> Pkcs11Error {
    let token = token.to_owned();
    match cause {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            Pkcs11Error::WrongPin(token)
        }
        Error::Pkcs11(RvError::PinLocked, _) => Pkcs11Error::PinLocked(token),
        cause => Pkcs11Error::Token {
            token,
            action: "log in",
            cause,
        },
    }
}

/// The one object that fits a template; `what` and `key` name it in errors.
pub(crate) fn find_one(
    session: &Session,
    token: &str,
    template: &[Attribute],
    (what, key): (&'static str, &str),
) -> Result<ObjectHandle, Pkcs11Error> {
    let (token, key) = (token.to_owned(), key.to_owned());
    match find(session, &token, template)?.as_slice() {
        [handle] => Ok(*handle),
        [] => Err(Pkcs11Error::KeyAbsent { token, what, key }),
        _ => Err(Pkcs11Error::KeyAmbiguous { token, key }),
    }
}

/// Every object that fits a template.
pub(crate) fn find(
    session: &Session,
    token: &str,
    template: &[Attribute],
) -> Result<Vec<ObjectHandle>, Pkcs11Error> {
    session
        .find_objects(template)
        .map_err(|cause| Pkcs11Error::Token {
            token: token.to_owned(),
            action: "look for objects",
            cause,
        })
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    /// SoftHSM never locks a PIN; hardware does.
    #[test]
    fn a_locked_pin_is_told_from_a_wrong_one() {
        let refused = |code| refused_pin("t", Error::Pkcs11(code, Function::Login));
        assert!(matches!(
            refused(RvError::PinLocked),
            Pkcs11Error::PinLocked(_)
        ));
        assert!(matches!(
            refused(RvError::PinIncorrect),
            Pkcs11Error::WrongPin(_)
        ));
        assert!(matches!(
            refused(RvError::DeviceError),
            Pkcs11Error::Token { .. }
        ));
    }
}
