//! Public, non-hardened derivation of child keys.

use generic_ec::curves::{Ed25519, Secp256k1, Secp256r1};
use generic_ec::{NonZero, Point};
use hd_wallet::{Edwards, ExtendedPublicKey, HdWallet, NonHardenedIndex, Slip10};
use quorate_types::{Curve, DerivationPath, PublicKey};

use crate::{ChainError, points};

/// Derives the child key at `path` from a root key and its 32-byte chain code.
///
/// secp256k1 and P-256: BIP-32 / SLIP-10. Ed25519: the `Edwards` scheme of the crate `hd-wallet`, which no standard
/// describes: `child = parent + G * int_be(HMAC-SHA512(chain_code, parent || 0x00 || u32_be(index))[..32])`, the
/// other 32 bytes being the child's chain code. The root path returns the root key.
///
/// # Errors
/// [`ChainError::NotAPoint`] when the root is not a canonically encoded point of the prime-order group.
pub fn derive_child(
    root: &PublicKey,
    chain_code: &[u8; 32],
    path: &DerivationPath,
) -> Result<PublicKey, ChainError> {
    match root.curve() {
        Curve::Secp256k1 => derive::<Secp256k1, Slip10>(root, chain_code, path),
        Curve::P256 => derive::<Secp256r1, Slip10>(root, chain_code, path),
        Curve::Ed25519 => derive::<Ed25519, Edwards>(root, chain_code, path),
    }
}

/// Checks that the bytes are the canonical encoding of a point other than the identity, in the prime-order group.
///
/// # Errors
/// [`ChainError::NotAPoint`].
pub fn check_point(key: &PublicKey) -> Result<(), ChainError> {
    match key.curve() {
        Curve::Secp256k1 => point::<Secp256k1>(key).map(drop),
        Curve::P256 => point::<Secp256r1>(key).map(drop),
        Curve::Ed25519 => point::<Ed25519>(key).map(drop),
    }
}

fn derive<E: generic_ec::Curve, Hd: HdWallet<E>>(
    root: &PublicKey,
    chain_code: &[u8; 32],
    path: &DerivationPath,
) -> Result<PublicKey, ChainError> {
    let bad = || ChainError::NotAPoint {
        curve: root.curve(),
    };
    let root_extended = ExtendedPublicKey {
        public_key: point::<E>(root)?,
        chain_code: *chain_code,
    };
    let indices = path
        .components()
        .iter()
        .map(|index| NonHardenedIndex::try_from(*index));
    let child = Hd::try_derive_child_public_key_with_path(&root_extended, indices)
        .map_err(|_| bad())?
        .public_key;
    let child = NonZero::try_from(child).map_err(|_| bad())?;
    PublicKey::new(root.curve(), &child.to_bytes(true)).map_err(|_| bad())
}

fn point<E: generic_ec::Curve>(key: &PublicKey) -> Result<Point<E>, ChainError> {
    points::decode(key.as_bytes()).ok_or(ChainError::NotAPoint { curve: key.curve() })
}
