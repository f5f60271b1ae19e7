//! Feldman's sharing of one scalar, over secp256k1.

use std::str::FromStr as _;

use age::x25519;
use bech32::{Bech32, Hrp};
use hkdf::Hkdf;
use k256::elliptic_curve::group::GroupEncoding as _;
use k256::elliptic_curve::{Field as _, PrimeField as _};
use k256::{CompressedPoint, ProjectivePoint, Scalar};
use quorate_types::Threshold;
use rand_core::OsRng;
use sha2::Sha256;
use vsss_rs::{
    DefaultShare, FeldmanVerifierSet as _, IdentifierPrimeField, ReadableShareSet as _,
    ShareVerifierGroup, ValueGroup, feldman,
};
use zeroize::{Zeroize as _, Zeroizing};

use super::EscrowError;

type Value = IdentifierPrimeField<Scalar>;
type Share = DefaultShare<Value, Value>;
type Verifier = ShareVerifierGroup<ProjectivePoint>;

/// A part's value: a scalar, 32 bytes big-endian.
pub(super) type PartValue = Zeroizing<[u8; 32]>;
/// A commitment: a point, compressed SEC 1.
pub(super) type Commitment = [u8; 33];

/// A fresh split: the parts in order (evaluation points 1..n), the commitments, and the age identity of the secret. The secret itself is gone.
pub(super) struct Split {
    pub parts: Vec<PartValue>,
    pub commitments: Vec<Commitment>,
    pub identity: x25519::Identity,
}

fn failed(error: impl std::fmt::Debug) -> EscrowError {
    EscrowError::Sharing(format!("{error:?}"))
}

fn value_of(share: &Share) -> PartValue {
    Zeroizing::new(share.value.0.to_bytes().into())
}

/// The library's shares do not wipe themselves. Its polynomial cannot be reached: a copy of the secret stays in freed memory until that is used again.
fn wipe(shares: &mut [Share]) {
    for share in shares {
        share.value.0.zeroize();
    }
}

fn share(index: u16, value: &[u8; 32]) -> Option<Share> {
    let value = Option::<Scalar>::from(Scalar::from_repr((*value).into()))?;
    Some(Share {
        identifier: IdentifierPrimeField(Scalar::from(u64::from(index))),
        value: IdentifierPrimeField(value),
    })
}

/// Splits a new random secret.
pub(super) fn split(threshold: Threshold) -> Result<Split, EscrowError> {
    let mut secret = Scalar::random(&mut OsRng);
    let (t, n) = (usize::from(threshold.t()), usize::from(threshold.n()));
    let mut shared = IdentifierPrimeField(secret);
    let made = feldman::split_secret::<Share, Verifier>(t, n, &shared, None, OsRng);
    let identity = identity_of(&secret);
    secret.zeroize();
    shared.0.zeroize();
    let (mut shares, verifiers) = made.map_err(failed)?;
    let parts = shares.iter().map(value_of).collect();
    wipe(&mut shares);
    // The library puts the generator in front of the commitments.
    let commitments = verifiers.iter().skip(1).map(|v| v.0.to_bytes().into());
    Ok(Split {
        parts,
        commitments: commitments.collect(),
        identity: identity?,
    })
}

/// The commitments of one polynomial of degree t-1: exactly t points, none the identity, so that no fewer parts than t are enough.
pub(super) struct Commitments(Vec<Verifier>);

impl Commitments {
    pub(super) fn decode(
        encoded: &[Commitment],
        threshold: Threshold,
    ) -> Result<Self, &'static str> {
        if encoded.len() != usize::from(threshold.t()) {
            return Err("there are not as many commitments as the threshold");
        }
        let mut verifiers = vec![ValueGroup(ProjectivePoint::GENERATOR)];
        for bytes in encoded {
            let bytes = CompressedPoint::from(*bytes);
            let point = Option::<ProjectivePoint>::from(ProjectivePoint::from_bytes(&bytes))
                .filter(|point| *point != ProjectivePoint::IDENTITY)
                .ok_or("a commitment is not a point of the curve")?;
            verifiers.push(ValueGroup(point));
        }
        Ok(Self(verifiers))
    }

    /// Whether a part is the polynomial's value at its index (from 1).
    pub(super) fn admit(&self, index: u16, value: &[u8; 32]) -> bool {
        let set = &self.0;
        share(index, value).is_some_and(|share| set.verify_share(&share).is_ok())
    }

    /// The age identity of the secret that these parts give; they must all have been admitted.
    pub(super) fn combine(
        &self,
        parts: &[(u16, PartValue)],
    ) -> Result<x25519::Identity, EscrowError> {
        let shares: Option<Vec<Share>> = parts.iter().map(|(i, v)| share(*i, v)).collect();
        let mut shares = shares.ok_or_else(|| failed("a part is no scalar"))?;
        let combined = shares.combine();
        wipe(&mut shares);
        let mut secret = combined.map_err(failed)?.0;
        let is_committed = self.0.get(1).map(|c| c.0) == Some(ProjectivePoint::GENERATOR * secret);
        let identity = identity_of(&secret);
        secret.zeroize();
        if !is_committed {
            return Err(failed(
                "the parts give another secret than the committed one",
            ));
        }
        identity
    }
}

/// HKDF-SHA256 of the scalar: an X25519 secret that nobody can relate to the commitment `s G`, in age's text form because that is the library's only way in.
fn identity_of(secret: &Scalar) -> Result<x25519::Identity, EscrowError> {
    let input = Zeroizing::new(<[u8; 32]>::from(secret.to_bytes()));
    let mut key = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(Some(b"quorate/escrow/v1"), &*input)
        .expand(b"age x25519 identity", &mut *key)
        .map_err(failed)?;
    let prefix = Hrp::parse("age-secret-key-").map_err(failed)?;
    let text = bech32::encode_upper::<Bech32>(prefix, &*key).map_err(failed)?;
    x25519::Identity::from_str(&Zeroizing::new(text)).map_err(failed)
}
