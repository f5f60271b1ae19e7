//! A party's long-term keys: Ed25519 to sign, X25519 for its Noise channels.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use quorate_types::canonical::Canonical as _;
use quorate_types::{SignedStatement, Statement};
use rand_core::{CryptoRng, RngCore};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The secret halves of one roster entry. Zeroized on drop, never printed, not clonable.
pub struct PartyKeys {
    signing: SigningKey,
    channel: StaticSecret,
}

impl PartyKeys {
    /// Fresh keys.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        Self {
            signing: SigningKey::generate(rng),
            channel: StaticSecret::random_from_rng(rng),
        }
    }

    /// From 64 secret bytes: Ed25519 seed (32), then X25519 scalar (32).
    #[must_use]
    pub fn from_secret_bytes(bytes: &Zeroizing<[u8; 64]>) -> Self {
        let (seed, scalar) = bytes.split_at(32);
        let mut half = Zeroizing::new([0u8; 32]);
        half.copy_from_slice(seed);
        let signing = SigningKey::from_bytes(&half);
        half.copy_from_slice(scalar);
        Self {
            signing,
            channel: StaticSecret::from(*half),
        }
    }

    /// The 64 secret bytes that [`Self::from_secret_bytes`] takes, for sealing in a store.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<[u8; 64]> {
        let mut bytes = Zeroizing::new([0u8; 64]);
        let (seed, scalar) = bytes.split_at_mut(32);
        seed.copy_from_slice(self.signing.as_bytes());
        scalar.copy_from_slice(self.channel.as_bytes());
        bytes
    }

    /// Ed25519 public key, 32 bytes: [`quorate_types::PartyEntry::identity`].
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
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
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    /// Signs a statement. The named sender must be this party; receivers check it.
    #[must_use]
    pub fn sign_statement(&self, statement: Statement) -> SignedStatement {
        let signature = self.sign(&statement.signing_bytes());
        SignedStatement {
            statement,
            signature,
        }
    }
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
        let again = PartyKeys::from_secret_bytes(&keys.to_secret_bytes());
        assert_eq!(keys.identity(), again.identity());
        assert_eq!(keys.channel(), again.channel());
        assert_eq!(keys.sign(b"m"), again.sign(b"m"));
    }

    #[test]
    fn t23_both_keys_are_zeroized() {
        const fn zeroized<T: ZeroizeOnDrop>(_: &T) {}
        let keys = PartyKeys::generate(&mut OsRng);
        zeroized(&keys.signing);
        // `StaticSecret` derives `Zeroize` with `zeroize(drop)`, which gives it a `Drop` and no marker trait.
        assert!(std::mem::needs_drop::<StaticSecret>());
    }

    #[test]
    fn t23_debug_shows_no_key() {
        let keys = PartyKeys::generate(&mut OsRng);
        assert_eq!(format!("{keys:?}"), "PartyKeys([redacted])");
    }
}
