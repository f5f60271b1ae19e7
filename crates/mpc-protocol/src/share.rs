//! The canonical key share: plain Shamir over any of the three curves, with a chain code.
//!
//! Every signing protocol converts from it, so a key can change protocols without changing its address.

use generic_ec::curves::{Ed25519, Secp256k1, Secp256r1};
use generic_ec::{NonZero, Point};
use key_share::{CoreKeyShare, DirtyCoreKeyShare, Validate as _};
use quorate_types::{Curve, Hash32, PublicKey, Threshold};
use zeroize::Zeroizing;

use crate::codec;

/// One party's share of one key. Secret; the scalar inside is zeroized on drop.
pub enum Share {
    /// On secp256k1.
    Secp256k1(CoreKeyShare<Secp256k1>),
    /// On P-256.
    P256(CoreKeyShare<Secp256r1>),
    /// On Ed25519.
    Ed25519(CoreKeyShare<Ed25519>),
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Share {{ curve: {}, index: {}, secret: [redacted] }}",
            self.curve(),
            self.index()
        )
    }
}

/// Why bytes are not a usable share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Not an encoded share of this curve, or inconsistent in itself.
    #[error("not a valid {curve} key share: {reason}")]
    Invalid {
        /// The curve expected.
        curve: Curve,
        /// Why.
        reason: String,
    },
    /// Two parties have the same evaluation point, which would let fewer than t parties sign.
    #[error("key share has evaluation points that are not distinct: parties {first} and {second}")]
    RepeatedPoint {
        /// Index of one.
        first: usize,
        /// Index of the other.
        second: usize,
    },
    /// Fewer parties than the stated threshold hold the key: t-1 public shares already determine it.
    #[error("key share states a threshold of {t}, but fewer parties can sign")]
    ThresholdNotMinimal {
        /// The threshold stated.
        t: u16,
    },
    /// No evaluation points: an additive share, which this version does not use.
    #[error("key share has no Shamir setup")]
    NotShamir,
    /// No chain code: children could not be derived.
    #[error("key share has no chain code")]
    NoChainCode,
    /// More parties, or a threshold, than this version allows.
    #[error("key share has threshold {t} of {n}, outside what this version runs")]
    Threshold {
        /// `t`
        t: u16,
        /// `n`
        n: usize,
    },
}

/// A share of a concrete curve as the curve-independent type.
pub(crate) trait IntoShare {
    fn into_share(self) -> Share;
}

macro_rules! into_share {
    ($($curve:ty => $variant:ident),+) => {$(
        impl IntoShare for CoreKeyShare<$curve> {
            fn into_share(self) -> Share { Share::$variant(self) }
        }
    )+};
}
into_share!(Secp256k1 => Secp256k1, Secp256r1 => P256, Ed25519 => Ed25519);

macro_rules! each_curve {
    ($share:expr, $inner:ident => $body:expr) => {
        match $share {
            Share::Secp256k1($inner) => $body,
            Share::P256($inner) => $body,
            Share::Ed25519($inner) => $body,
        }
    };
}

impl Share {
    /// The curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        match self {
            Self::Secp256k1(_) => Curve::Secp256k1,
            Self::P256(_) => Curve::P256,
            Self::Ed25519(_) => Curve::Ed25519,
        }
    }

    /// This party's index in the committee, from 0.
    #[must_use]
    pub fn index(&self) -> u16 {
        each_curve!(self, share => share.i)
    }

    /// The root public key.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        each_curve!(self, share => encode_point(self.curve(), &share.shared_public_key))
    }

    /// Every party's public share, in committee order.
    #[must_use]
    pub fn public_shares(&self) -> Option<Vec<PublicKey>> {
        each_curve!(self, share => share
            .public_shares
            .iter()
            .map(|point| encode_point(self.curve(), point))
            .collect())
    }

    /// The agreed chain code.
    #[must_use]
    pub fn chain_code(&self) -> Option<Hash32> {
        each_curve!(self, share => share.chain_code.map(Hash32::from_bytes))
    }

    /// `t` of `n`.
    ///
    /// # Errors
    /// A share that no DKG of this version made.
    pub fn threshold(&self) -> Result<Threshold, ShareError> {
        each_curve!(self, share => threshold_of(share))
    }

    /// The secret encoding (CBOR, as the `key-share` crate advises), for sealing.
    ///
    /// # Errors
    /// Only if encoding fails, which a valid share does not.
    pub fn to_secret_bytes(&self) -> Result<Zeroizing<Vec<u8>>, ShareError> {
        let curve = self.curve();
        // Reserved so that the buffer is not reallocated, which would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
        each_curve!(self, share => ciborium::into_writer(share, &mut *bytes)).map_err(|e| {
            ShareError::Invalid {
                curve,
                reason: e.to_string(),
            }
        })?;
        Ok(bytes)
    }

    /// Decodes and validates: public shares lie on one polynomial of degree t-1 through the public key, the secret matches its
    /// public share, and evaluation points are non-zero and distinct modulo the group order (T07).
    ///
    /// # Errors
    /// The first check that failed.
    pub fn from_secret_bytes(curve: Curve, bytes: &[u8]) -> Result<Self, ShareError> {
        match curve {
            Curve::Secp256k1 => decode::<Secp256k1>(curve, bytes).map(Self::Secp256k1),
            Curve::P256 => decode::<Secp256r1>(curve, bytes).map(Self::P256),
            Curve::Ed25519 => decode::<Ed25519>(curve, bytes).map(Self::Ed25519),
        }
    }
}

fn decode<E: generic_ec::Curve>(curve: Curve, bytes: &[u8]) -> Result<CoreKeyShare<E>, ShareError> {
    let invalid = |reason: String| ShareError::Invalid { curve, reason };
    let dirty: DirtyCoreKeyShare<E> = codec::from_cbor(bytes).map_err(invalid)?;
    checked(curve, dirty)
}

/// The library's validation looks at the first t points only; the rest must be distinct from them and each other too.
fn checked<E: generic_ec::Curve>(
    curve: Curve,
    dirty: DirtyCoreKeyShare<E>,
) -> Result<CoreKeyShare<E>, ShareError> {
    let points = &dirty.vss_setup.as_ref().ok_or(ShareError::NotShamir)?.I;
    for (second, point) in points.iter().enumerate() {
        if let Some(first) = points.iter().take(second).position(|p| p == point) {
            return Err(ShareError::RepeatedPoint { first, second });
        }
    }
    threshold_of(&dirty)?;
    if dirty.chain_code.is_none() {
        return Err(ShareError::NoChainCode);
    }
    let share = dirty.validate().map_err(|e| ShareError::Invalid {
        curve,
        reason: e.into_error().to_string(),
    })?;
    check_minimal(&share)?;
    Ok(share)
}

/// The library accepts any threshold above the polynomial's degree. The stated one is minimal unless the public part is also
/// valid with one signer less, which for t = 2 means a public share that is the public key itself.
fn check_minimal<E: generic_ec::Curve>(share: &CoreKeyShare<E>) -> Result<(), ShareError> {
    let mut fewer = share.key_info.clone();
    let setup = fewer.vss_setup.as_mut().ok_or(ShareError::NotShamir)?;
    let t = setup.min_signers;
    setup.min_signers = t.saturating_sub(1);
    let one_is_enough = share.public_shares.contains(&share.shared_public_key);
    if one_is_enough || fewer.is_valid().is_ok() {
        return Err(ShareError::ThresholdNotMinimal { t });
    }
    Ok(())
}

fn threshold_of<E: generic_ec::Curve>(
    share: &DirtyCoreKeyShare<E>,
) -> Result<Threshold, ShareError> {
    let t = share
        .vss_setup
        .as_ref()
        .ok_or(ShareError::NotShamir)?
        .min_signers;
    let n = share.public_shares.len();
    u16::try_from(n)
        .ok()
        .and_then(|n| Threshold::new(t, n).ok())
        .ok_or(ShareError::Threshold { t, n })
}

pub(crate) fn encode_point<E: generic_ec::Curve>(
    curve: Curve,
    point: &NonZero<Point<E>>,
) -> Option<PublicKey> {
    PublicKey::new(curve, &point.to_bytes(true)).ok()
}

#[cfg(test)]
mod tests;
