//! Partial signatures to one signature. Whoever does it need not be trusted: the result is verified.

use generic_ec::curves::{Ed25519, Secp256k1, Secp256r1};
use generic_ec::{Curve as Group, Scalar};
use quorate_types::{
    Curve, EcdsaPartial, EcdsaSignature, PartialSignature, PublicKey, SchnorrPartial, Signature,
};

use crate::verification::verify;
use crate::{SigningMessage, VerifyError};

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// No partial signatures.
    #[error("there is nothing to combine")]
    Nothing,
    /// Signers who signed with different presignatures or lists of nonces.
    #[error("the partial signatures have different nonce points")]
    NoncePoints,
    /// Not for this message's scheme, not a compressed point, or a scalar that is not below the group order.
    #[error("a partial signature is malformed")]
    Malformed,
    /// One of them is wrong.
    #[error("the combined signature is not good: {0}")]
    Invalid(#[from] VerifyError),
}

/// Adds up every signer's partial signature and verifies the result under the child key: ECDSA by ePrint 2021/060, figure 8, output step, with
/// the low `s`; Schnorr by RFC 9591, section 5.3.
///
/// # Errors
/// See [`CombineError`]; then some signer's part is wrong, and the agents can tell whose.
pub fn combine(
    message: &SigningMessage,
    child: &PublicKey,
    partials: &[PartialSignature],
) -> Result<Signature, CombineError> {
    let signature = match message {
        SigningMessage::Ecdsa(_) => Signature::Ecdsa(combine_ecdsa(child.curve(), partials)?),
        SigningMessage::Bip340 { .. } => {
            Signature::Bip340(add_up_schnorr::<Secp256k1>(partials, ByteOrder::Big)?)
        }
        SigningMessage::Ed25519(_) => {
            Signature::Ed25519(add_up_schnorr::<Ed25519>(partials, ByteOrder::Little)?)
        }
    };
    verify(message, child, &signature)?;
    Ok(signature)
}

/// Of scalars.
#[derive(Clone, Copy)]
enum ByteOrder {
    Big,
    Little,
}

/// `R || z` with the sum of all shares.
fn add_up_schnorr<E: Group>(
    partials: &[PartialSignature],
    order: ByteOrder,
) -> Result<[u8; 64], CombineError> {
    let partials: Vec<SchnorrPartial> = of_one_kind(partials, |partial| match partial {
        PartialSignature::Schnorr(partial) => Some(*partial),
        PartialSignature::Ecdsa(_) => None,
    })?;
    let nonce_point = same(partials.iter().map(|p| p.nonce_point))?;
    let sum = partials.iter().try_fold(Scalar::<E>::zero(), |sum, p| {
        let share = match order {
            ByteOrder::Big => Scalar::<E>::from_be_bytes(p.share),
            ByteOrder::Little => Scalar::<E>::from_le_bytes(p.share),
        };
        Ok::<_, CombineError>(sum + share.map_err(|_| CombineError::Malformed)?)
    })?;
    let mut z = bytes(&sum)?;
    if matches!(order, ByteOrder::Little) {
        z.reverse();
    }
    let mut signature = [0; 64];
    let (point, scalar) = signature.split_at_mut(32);
    point.copy_from_slice(&nonce_point);
    scalar.copy_from_slice(&z);
    Ok(signature)
}

fn combine_ecdsa(
    curve: Curve,
    partials: &[PartialSignature],
) -> Result<EcdsaSignature, CombineError> {
    let partials: Vec<EcdsaPartial> = of_one_kind(partials, |partial| match partial {
        PartialSignature::Ecdsa(partial) => Some(*partial),
        PartialSignature::Schnorr(_) => None,
    })?;
    match curve {
        Curve::Secp256k1 => add_up::<Secp256k1>(&partials),
        Curve::P256 => add_up::<Secp256r1>(&partials),
        Curve::Ed25519 => Err(CombineError::Malformed),
    }
}

fn add_up<E: Group>(partials: &[EcdsaPartial]) -> Result<EcdsaSignature, CombineError> {
    let nonce_point = same(partials.iter().map(|p| p.nonce_point))?;
    let s = partials.iter().try_fold(Scalar::<E>::zero(), |sum, p| {
        let sigma = Scalar::<E>::from_be_bytes(p.sigma).map_err(|_| CombineError::Malformed)?;
        Ok::<_, CombineError>(sum + sigma)
    })?;
    let (tag, x) = match nonce_point {
        [tag @ (2 | 3), x @ ..] => (tag, x),
        _ => return Err(CombineError::Malformed),
    };
    let r = bytes(&Scalar::<E>::from_be_bytes_mod_order(x))?;
    // The smaller of s and -s: both are below the order, and one is at most half of it.
    let (plain, negated) = (bytes(&s)?, bytes(&-s)?);
    let flipped = negated < plain;
    Ok(EcdsaSignature {
        r,
        s: if flipped { negated } else { plain },
        recovery_id: ((tag & 1) ^ u8::from(flipped)) | (u8::from(r != x) << 1),
    })
}

fn of_one_kind<T>(
    partials: &[PartialSignature],
    kind: impl Fn(&PartialSignature) -> Option<T>,
) -> Result<Vec<T>, CombineError> {
    let of_one = |partial| kind(partial).ok_or(CombineError::Malformed);
    partials.iter().map(of_one).collect()
}

fn same<P: PartialEq>(mut points: impl Iterator<Item = P>) -> Result<P, CombineError> {
    let first = points.next().ok_or(CombineError::Nothing)?;
    match points.all(|point| point == first) {
        true => Ok(first),
        false => Err(CombineError::NoncePoints),
    }
}

fn bytes<E: Group>(scalar: &Scalar<E>) -> Result<[u8; 32], CombineError> {
    let bytes = scalar.to_be_bytes();
    bytes
        .as_ref()
        .try_into()
        .map_err(|_| CombineError::Malformed)
}
