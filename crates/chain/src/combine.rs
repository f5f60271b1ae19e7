//! Partial ECDSA signatures to one signature. Whoever does it need not be trusted: the result is verified.

use generic_ec::curves::{Secp256k1, Secp256r1};
use generic_ec::{Curve as Group, Scalar};
use quorate_types::{Curve, EcdsaPartial, EcdsaSignature, PublicKey, Signature};

use crate::verification::verify;
use crate::{SigningMessage, VerifyError};

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// No partial signatures, or a curve without ECDSA.
    #[error("there is nothing to combine")]
    Nothing,
    /// Signers who signed with different presignatures.
    #[error("the partial signatures have different nonce points")]
    NoncePoints,
    /// Not a compressed point, or a scalar that is not below the group order.
    #[error("a partial signature is malformed")]
    Malformed,
    /// One of them is wrong.
    #[error("the combined signature is not good: {0}")]
    Invalid(#[from] VerifyError),
}

/// Adds up every signer's partial signature (ePrint 2021/060, figure 8, output step), with the low `s`, and verifies the result under the child key.
///
/// # Errors
/// See [`CombineError`]; then some signer's part is wrong, and the agents can tell whose.
pub fn combine(
    message: &SigningMessage,
    child: &PublicKey,
    partials: &[EcdsaPartial],
) -> Result<Signature, CombineError> {
    let combined = match child.curve() {
        Curve::Secp256k1 => add_up::<Secp256k1>(partials)?,
        Curve::P256 => add_up::<Secp256r1>(partials)?,
        Curve::Ed25519 => return Err(CombineError::Nothing),
    };
    let signature = Signature::Ecdsa(combined);
    verify(message, child, &signature)?;
    Ok(signature)
}

fn add_up<E: Group>(partials: &[EcdsaPartial]) -> Result<EcdsaSignature, CombineError> {
    let first = partials.first().ok_or(CombineError::Nothing)?;
    if partials.iter().any(|p| p.nonce_point != first.nonce_point) {
        return Err(CombineError::NoncePoints);
    }
    let s = partials.iter().try_fold(Scalar::<E>::zero(), |sum, p| {
        let sigma = Scalar::<E>::from_be_bytes(p.sigma).map_err(|_| CombineError::Malformed)?;
        Ok::<_, CombineError>(sum + sigma)
    })?;
    let (tag, x) = match &first.nonce_point {
        [tag @ (2 | 3), x @ ..] => (*tag, *x),
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

fn bytes<E: Group>(scalar: &Scalar<E>) -> Result<[u8; 32], CombineError> {
    let bytes = scalar.to_be_bytes();
    bytes
        .as_ref()
        .try_into()
        .map_err(|_| CombineError::Malformed)
}
