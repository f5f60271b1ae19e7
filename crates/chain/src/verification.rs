//! Verification of finished signatures, by libraries that the threshold protocols do not sign with.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use quorate_types::{Curve, EcdsaSignature, PublicKey, Signature};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, Secp256k1};

use crate::address::bip86_output_key;
use crate::{SigningMessage, TaprootTweak};

/// Why a signature is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Message, key and signature are not of one scheme.
    #[error("message, key and signature are not of the same scheme")]
    SchemeMismatch,
    /// The key's bytes are not a point on its curve.
    #[error("the public key is not a point on its curve")]
    NotAPoint,
    /// `r`, `s` or the recovery id are out of range.
    #[error("the signature's numbers are out of range")]
    Malformed,
    /// `s` is above half the group order.
    #[error("the signature's s is not low (BIP-62, EIP-2)")]
    HighS,
    /// The recovery id gives another key.
    #[error("the signature's recovery id gives another public key")]
    WrongRecoveryId,
    /// Not a signature of this message under this key.
    #[error("it is not a signature of this message under this key")]
    Invalid,
}

/// Verifies a signature under the child key.
///
/// ECDSA: low `s`, the equation, and the recovery id. BIP-340: under the key itself or, with
/// [`TaprootTweak::Bip86`], under the output key. Ed25519: strict (no small-order keys, canonical `S`).
///
/// # Errors
/// See [`VerifyError`].
pub fn verify(
    message: &SigningMessage,
    child: &PublicKey,
    signature: &Signature,
) -> Result<(), VerifyError> {
    match (message, child.curve(), signature) {
        (SigningMessage::Ecdsa(preimage), Curve::Secp256k1, Signature::Ecdsa(sig)) => {
            ecdsa_secp256k1(preimage.digest(), child, sig)
        }
        (SigningMessage::Ecdsa(preimage), Curve::P256, Signature::Ecdsa(sig)) => {
            ecdsa_p256(preimage.digest(), child, sig)
        }
        (SigningMessage::Bip340 { message, tweak }, Curve::Secp256k1, Signature::Bip340(bytes)) => {
            bip340(message, *tweak, child, bytes)
        }
        (SigningMessage::Ed25519(message), Curve::Ed25519, Signature::Ed25519(bytes)) => {
            ed25519(message, child, bytes)
        }
        _ => Err(VerifyError::SchemeMismatch),
    }
}

fn ecdsa_secp256k1(
    hash: &[u8; 32],
    child: &PublicKey,
    signature: &EcdsaSignature,
) -> Result<(), VerifyError> {
    let secp = Secp256k1::verification_only();
    let key = secp256k1_key(child)?;
    let compact = signature.to_compact();
    let recovery_id = RecoveryId::from_i32(i32::from(signature.recovery_id))
        .map_err(|_| VerifyError::Malformed)?;
    let recoverable = RecoverableSignature::from_compact(&compact, recovery_id)
        .map_err(|_| VerifyError::Malformed)?;
    let plain = recoverable.to_standard();
    let mut normalized = plain;
    normalized.normalize_s();
    if normalized != plain {
        return Err(VerifyError::HighS);
    }
    let message = Message::from_digest(*hash);
    secp.verify_ecdsa(&message, &plain, &key)
        .map_err(|_| VerifyError::Invalid)?;
    match secp.recover_ecdsa(&message, &recoverable) {
        Ok(recovered) if recovered == key => Ok(()),
        _ => Err(VerifyError::WrongRecoveryId),
    }
}

fn ecdsa_p256(
    hash: &[u8; 32],
    child: &PublicKey,
    signature: &EcdsaSignature,
) -> Result<(), VerifyError> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(child.as_bytes())
        .map_err(|_| VerifyError::NotAPoint)?;
    let sig = p256::ecdsa::Signature::from_scalars(signature.r, signature.s)
        .map_err(|_| VerifyError::Malformed)?;
    if sig.normalize_s().is_some() {
        return Err(VerifyError::HighS);
    }
    let recovery_id = signature
        .recovery_id
        .try_into()
        .map_err(|_| VerifyError::Malformed)?;
    key.verify_prehash(hash, &sig)
        .map_err(|_| VerifyError::Invalid)?;
    match p256::ecdsa::VerifyingKey::recover_from_prehash(hash, &sig, recovery_id) {
        Ok(recovered) if recovered == key => Ok(()),
        _ => Err(VerifyError::WrongRecoveryId),
    }
}

fn bip340(
    message: &[u8; 32],
    tweak: TaprootTweak,
    child: &PublicKey,
    signature: &[u8; 64],
) -> Result<(), VerifyError> {
    let secp = Secp256k1::verification_only();
    let internal = secp256k1_key(child)?.x_only_public_key().0;
    let key = match tweak {
        TaprootTweak::None => internal,
        TaprootTweak::Bip86 => bip86_output_key(&secp, internal),
    };
    let signature =
        secp256k1::schnorr::Signature::from_slice(signature).map_err(|_| VerifyError::Malformed)?;
    secp.verify_schnorr(&signature, &Message::from_digest(*message), &key)
        .map_err(|_| VerifyError::Invalid)
}

fn ed25519(message: &[u8], child: &PublicKey, signature: &[u8; 64]) -> Result<(), VerifyError> {
    let bytes: &[u8; 32] = child
        .as_bytes()
        .try_into()
        .map_err(|_| VerifyError::NotAPoint)?;
    ed25519_dalek::VerifyingKey::from_bytes(bytes)
        .map_err(|_| VerifyError::NotAPoint)?
        .verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature))
        .map_err(|_| VerifyError::Invalid)
}

fn secp256k1_key(child: &PublicKey) -> Result<secp256k1::PublicKey, VerifyError> {
    secp256k1::PublicKey::from_slice(child.as_bytes()).map_err(|_| VerifyError::NotAPoint)
}
