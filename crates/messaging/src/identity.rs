//! A party's long-term keys: Ed25519 to sign, X25519 for its Noise channels.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use quorate_types::canonical::Canonical as _;
use quorate_types::{SignedStatement, Statement};
use rand_core::{CryptoRng, RngCore};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The identity key cannot be used now: it is in a device that is gone, locked or refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the identity key cannot be used: {0}")]
pub struct IdentityUnavailable(pub String);

/// An Ed25519 key that this program can use and does not have.
pub trait IdentitySigner: fmt::Debug + Send + Sync {
    /// Its public key, 32 bytes.
    fn public(&self) -> [u8; 32];

    /// Ed25519 signature (RFC 8032), 64 bytes. May take as long as the device does.
    ///
    /// # Errors
    /// The device's.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], IdentityUnavailable>;
}

enum Signing {
    Here(SigningKey),
    Elsewhere(Arc<dyn IdentitySigner>),
}

/// The secret halves of one roster entry; the signing one may be elsewhere. Zeroized on drop, never printed, not clonable.
pub struct PartyKeys {
    signing: Signing,
    channel: StaticSecret,
}

impl PartyKeys {
    /// Fresh keys.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        Self {
            signing: Signing::Here(SigningKey::generate(rng)),
            channel: StaticSecret::random_from_rng(rng),
        }
    }

    /// From 64 secret bytes: Ed25519 seed (32), then X25519 scalar (32).
    #[must_use]
    pub fn from_secret_bytes(bytes: &Zeroizing<[u8; 64]>) -> Self {
        let (seed, scalar) = bytes.split_at(32);
        let mut half = Zeroizing::new([0u8; 32]);
        half.copy_from_slice(seed);
        let signing = Signing::Here(SigningKey::from_bytes(&half));
        half.copy_from_slice(scalar);
        Self {
            signing,
            channel: StaticSecret::from(*half),
        }
    }

    /// With an identity that is elsewhere, and the X25519 scalar of the channel key.
    #[must_use]
    pub fn with_signer(signer: Arc<dyn IdentitySigner>, channel: &Zeroizing<[u8; 32]>) -> Self {
        Self {
            signing: Signing::Elsewhere(signer),
            channel: StaticSecret::from(**channel),
        }
    }

    /// The secret bytes to seal in a store: the 64 that [`Self::from_secret_bytes`] takes, or the last 32 of them, the channel key's,
    /// when the identity is elsewhere.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64));
        if let Signing::Here(key) = &self.signing {
            bytes.extend_from_slice(key.as_bytes());
        }
        bytes.extend_from_slice(self.channel.as_bytes());
        bytes
    }

    /// Ed25519 public key, 32 bytes: [`quorate_types::PartyEntry::identity`].
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        match &self.signing {
            Signing::Here(key) => key.verifying_key().to_bytes(),
            Signing::Elsewhere(signer) => signer.public(),
        }
    }

    /// Whether the identity can sign now. A key that is here always can; one elsewhere is asked.
    ///
    /// # Errors
    /// [`IdentityUnavailable`].
    pub fn check_signer(&self) -> Result<(), IdentityUnavailable> {
        match &self.signing {
            Signing::Here(_) => Ok(()),
            Signing::Elsewhere(signer) => signer.sign(b"quorate/identity-check/v1").map(drop),
        }
    }

    /// X25519 public key, 32 bytes: [`quorate_types::PartyEntry::channel`].
    #[must_use]
    pub fn channel(&self) -> [u8; 32] {
        PublicKey::from(&self.channel).to_bytes()
    }

    pub(crate) fn channel_secret(&self) -> &[u8; 32] {
        self.channel.as_bytes()
    }

    /// Ed25519 signature (RFC 8032), 64 bytes. The caller puts a domain tag into the message.
    ///
    /// # Errors
    /// [`IdentityUnavailable`], which only an identity that is elsewhere can be.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], IdentityUnavailable> {
        match &self.signing {
            Signing::Here(key) => Ok(key.sign(message).to_bytes()),
            Signing::Elsewhere(signer) => signer.sign(message),
        }
    }

    /// Signs a statement. The named sender must be this party; receivers check it.
    ///
    /// # Errors
    /// [`IdentityUnavailable`].
    pub fn sign_statement(
        &self,
        statement: Statement,
    ) -> Result<SignedStatement, IdentityUnavailable> {
        let signature = self.sign(&statement.signing_bytes())?;
        Ok(SignedStatement {
            statement,
            signature,
        })
    }
}

/// For what is sent again later by itself: says that it could not be signed now.
pub(crate) fn signed<T>(result: Result<T, IdentityUnavailable>) -> Option<T> {
    result
        .inspect_err(|error| tracing::error!(%error, "not sent"))
        .ok()
}

impl ZeroizeOnDrop for PartyKeys {}

impl fmt::Debug for PartyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PartyKeys([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::OsRng;

    #[test]
    fn secret_bytes_bring_the_same_keys_back() {
        let keys = PartyKeys::generate(&mut OsRng);
        let bytes =
            Zeroizing::new(<[u8; 64]>::try_from(keys.to_secret_bytes().as_slice()).unwrap());
        let again = PartyKeys::from_secret_bytes(&bytes);
        assert_eq!(keys.identity(), again.identity());
        assert_eq!(keys.channel(), again.channel());
        assert_eq!(keys.sign(b"m"), again.sign(b"m"));
    }

    #[test]
    fn t23_both_keys_are_zeroized() {
        const fn zeroized<T: ZeroizeOnDrop>(_: &T) {}
        let keys = PartyKeys::generate(&mut OsRng);
        let Signing::Here(signing) = &keys.signing else {
            unreachable!()
        };
        zeroized(signing);
        // `StaticSecret` derives `Zeroize` with `zeroize(drop)`, which gives it a `Drop` and no marker trait.
        assert!(std::mem::needs_drop::<StaticSecret>());
    }

    #[test]
    fn t23_debug_shows_no_key() {
        let keys = PartyKeys::generate(&mut OsRng);
        assert_eq!(format!("{keys:?}"), "PartyKeys([redacted])");
    }

    #[derive(Debug)]
    struct Gone;

    impl IdentitySigner for Gone {
        fn public(&self) -> [u8; 32] {
            [7; 32]
        }

        fn sign(&self, _: &[u8]) -> Result<[u8; 64], IdentityUnavailable> {
            Err(IdentityUnavailable("the token was pulled out".to_owned()))
        }
    }

    #[test]
    fn an_identity_elsewhere_leaves_only_the_channel_key_here() {
        let here = PartyKeys::generate(&mut OsRng);
        let all = here.to_secret_bytes();
        let channel = Zeroizing::new(<[u8; 32]>::try_from(&all[32..]).unwrap());
        let keys = PartyKeys::with_signer(Arc::new(Gone), &channel);
        assert_eq!(keys.identity(), [7; 32]);
        assert_eq!(keys.channel(), here.channel());
        assert_eq!(**keys.to_secret_bytes(), all[32..]);
        assert!(keys.sign(b"m").is_err());
        let error = keys.check_signer().unwrap_err();
        assert!(error.to_string().contains("pulled out"), "{error}");
        here.check_signer().unwrap();
    }
}
