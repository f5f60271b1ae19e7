//! An Ed25519 key that was made in a PKCS#11 token and cannot leave it (PKCS#11 3.0, `CKM_EC_EDWARDS_KEY_PAIR_GEN`, `CKM_EDDSA`).

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::token::{find, find_one, log_in};
use crate::{Passphrase, Pkcs11Error};

/// DER of the object identifier 1.3.101.112, Ed25519 (RFC 8410).
const ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];

/// A key pair in a token, with a session that is logged in.
pub struct Pkcs11Identity {
    session: Mutex<Session>,
    private: ObjectHandle,
    public: [u8; 32],
    token: String,
    label: String,
}

impl std::fmt::Debug for Pkcs11Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pkcs11Identity({:?} in {:?})", self.label, self.token)
    }
}

impl Pkcs11Identity {
    /// Finds the key pair of a label in the token of a label.
    ///
    /// # Errors
    /// See [`Pkcs11Error`].
    pub fn open(
        module: &Path,
        token: &str,
        pin: &Passphrase,
        label: &str,
    ) -> Result<Self, Pkcs11Error> {
        let session = log_in(module, token, pin)?;
        Self::find(session, token, label)
    }

    /// Makes a key pair whose private key never leaves the token: sensitive, not extractable, for signing only.
    ///
    /// # Errors
    /// A key of that label is there already, a token without Ed25519, or the token's own.
    pub fn create(
        module: &Path,
        token: &str,
        pin: &Passphrase,
        label: &str,
    ) -> Result<Self, Pkcs11Error> {
        let session = log_in(module, token, pin)?;
        if !find(&session, token, &template(ObjectClass::PRIVATE_KEY, label))?.is_empty() {
            return Err(Pkcs11Error::KeyExists {
                token: token.to_owned(),
                key: label.to_owned(),
            });
        }
        let (public, private) = new_pair(label);
        session
            .generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, &private)
            .map_err(|cause| refused(token, "make a key pair", cause))?;
        Self::find(session, token, label)
    }

    fn find(session: Session, token: &str, label: &str) -> Result<Self, Pkcs11Error> {
        let one = |class| {
            let template = template(class, label);
            find_one(&session, token, &template, ("Ed25519 key", label))
        };
        let private = one(ObjectClass::PRIVATE_KEY)?;
        let public = public_key(&session, token, one(ObjectClass::PUBLIC_KEY)?)?;
        Ok(Self {
            session: Mutex::new(session),
            private,
            public,
            token: token.to_owned(),
            label: label.to_owned(),
        })
    }

    /// The public key, 32 bytes (RFC 8032).
    #[must_use]
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Ed25519 signature (RFC 8032), 64 bytes.
    ///
    /// # Errors
    /// The token's.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], Pkcs11Error> {
        let scheme = EddsaParams::new(EddsaSignatureScheme::Ed25519);
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let signature = session
            .sign(&Mechanism::Eddsa(scheme), self.private, message)
            .map_err(|cause| refused(&self.token, "sign", cause))?;
        <[u8; 64]>::try_from(signature.as_slice()).map_err(|_| Pkcs11Error::NoEd25519 {
            token: self.token.clone(),
            why: format!("a signature of {} bytes", signature.len()),
        })
    }
}

fn template(class: ObjectClass, label: &str) -> [Attribute; 3] {
    [
        Attribute::Class(class),
        Attribute::KeyType(KeyType::EC_EDWARDS),
        Attribute::Label(label.as_bytes().to_vec()),
    ]
}

fn new_pair(label: &str) -> (Vec<Attribute>, Vec<Attribute>) {
    let label = label.as_bytes().to_vec();
    let public = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(ED25519.to_vec()),
        Attribute::Label(label.clone()),
        Attribute::Id(label.clone()),
    ];
    let private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Label(label.clone()),
        Attribute::Id(label),
    ];
    (public, private)
}

fn public_key(
    session: &Session,
    token: &str,
    handle: ObjectHandle,
) -> Result<[u8; 32], Pkcs11Error> {
    let attributes = session
        .get_attributes(handle, &[AttributeType::EcPoint])
        .map_err(|cause| refused(token, "show a public key", cause))?;
    let point = attributes.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => raw_point(point),
        _ => None,
    });
    point.ok_or_else(|| Pkcs11Error::NoEd25519 {
        token: token.to_owned(),
        why: "a public key of another form".to_owned(),
    })
}

/// Tokens give the 32 bytes bare, in a DER octet string (PKCS#11 2.40) or in a bit string (3.0 drafts).
fn raw_point(point: &[u8]) -> Option<[u8; 32]> {
    let bare = match point {
        [0x04, 0x20, bare @ ..] | [0x03, 0x21, 0x00, bare @ ..] if bare.len() == 32 => bare,
        bare => bare,
    };
    bare.try_into().ok()
}

fn refused(token: &str, action: &'static str, cause: Error) -> Pkcs11Error {
    let token = token.to_owned();
    match cause {
        Error::Pkcs11(
            RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::CurveNotSupported
            | RvError::DomainParamsInvalid,
            _,
        )
        | Error::NotSupported => Pkcs11Error::NoEd25519 {
            token,
            why: cause.to_string(),
        },
        cause => Pkcs11Error::Token {
            token,
            action,
            cause,
        },
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn a_public_key_is_read_in_every_form_tokens_give_it() {
        let key = [9u8; 32];
        assert_eq!(raw_point(&key), Some(key));
        for prefix in [&[0x04, 0x20][..], &[0x03, 0x21, 0x00]] {
            assert_eq!(raw_point(&[prefix, &key].concat()), Some(key));
        }
        let mut looks_wrapped = [4u8; 32];
        looks_wrapped[1] = 0x20;
        assert_eq!(raw_point(&looks_wrapped), Some(looks_wrapped));
        for bad in [&key[1..], &[0x04, 0x41], &[]] {
            assert_eq!(raw_point(bad), None);
        }
    }

    #[test]
    fn a_token_without_ed25519_is_said_to_be_one() {
        let of = |code| refused("t", "sign", Error::Pkcs11(code, Function::SignInit));
        for code in [RvError::MechanismInvalid, RvError::CurveNotSupported] {
            let error = of(code);
            assert!(
                error.to_string().contains("keep the identity in the store"),
                "{error}"
            );
        }
        assert!(matches!(
            of(RvError::DeviceRemoved),
            Pkcs11Error::Token { .. }
        ));
    }
}
