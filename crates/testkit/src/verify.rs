//! Verification by libraries the protocols do not sign with.

use quorate_types::{Curve, PublicKey, Signature};

/// Whether the signature is good for what was signed: a 32-byte hash for ECDSA and BIP-340, any bytes for Ed25519.
#[must_use]
pub fn is_valid(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    match (key.curve(), signature) {
        (Curve::Secp256k1, Signature::Ecdsa(sig)) => {
            use k256::ecdsa::{
                RecoveryId, Signature as Sig, VerifyingKey, signature::hazmat::PrehashVerifier as _,
            };
            let vk = VerifyingKey::from_sec1_bytes(key.as_bytes()).unwrap();
            let parsed = Sig::from_slice(&sig.to_compact()).unwrap();
            let low = parsed.normalize_s().is_none();
            let id = RecoveryId::from_byte(sig.recovery_id).unwrap();
            let recovered = VerifyingKey::recover_from_prehash(message, &parsed, id);
            low && vk.verify_prehash(message, &parsed).is_ok()
                && recovered.is_ok_and(|key| key == vk)
        }
        (Curve::P256, Signature::Ecdsa(sig)) => {
            use p256::ecdsa::{
                Signature as Sig, VerifyingKey, signature::hazmat::PrehashVerifier as _,
            };
            let vk = VerifyingKey::from_sec1_bytes(key.as_bytes()).unwrap();
            let parsed = Sig::from_slice(&sig.to_compact()).unwrap();
            parsed.normalize_s().is_none() && vk.verify_prehash(message, &parsed).is_ok()
        }
        (Curve::Secp256k1, Signature::Bip340(bytes)) => {
            use k256::schnorr::{Signature as Sig, VerifyingKey};
            let vk = VerifyingKey::from_bytes(&key.as_bytes()[1..]).unwrap();
            Sig::try_from(bytes.as_slice()).is_ok_and(|sig| vk.verify_raw(message, &sig).is_ok())
        }
        (Curve::Ed25519, Signature::Ed25519(bytes)) => {
            use ed25519_dalek::{Signature as Sig, VerifyingKey};
            let key: &[u8; 32] = key.as_bytes().try_into().unwrap();
            let vk = VerifyingKey::from_bytes(key).unwrap();
            vk.verify_strict(message, &Sig::from_bytes(bytes)).is_ok()
        }
        _ => false,
    }
}

/// The BIP-341 output key of an internal key without script tree, as a compressed key with even y (BIP-86).
#[must_use]
pub fn bip86_output_key(internal: &PublicKey) -> PublicKey {
    use k256::elliptic_curve::PrimeField as _;
    use k256::elliptic_curve::point::AffineCoordinates as _;
    use k256::{ProjectivePoint, PublicKey as K256Key, Scalar};
    use sha2::{Digest as _, Sha256};
    let x = &internal.as_bytes()[1..];
    let tag = Sha256::digest(b"TapTweak");
    let tweak = Sha256::new()
        .chain_update(tag)
        .chain_update(tag)
        .chain_update(x)
        .finalize();
    let tweak = Scalar::from_repr(tweak).unwrap();
    let mut even = vec![2u8];
    even.extend_from_slice(x);
    let lifted = K256Key::from_sec1_bytes(&even).unwrap().to_projective();
    let output = (lifted + ProjectivePoint::GENERATOR * tweak).to_affine();
    let mut bytes = vec![2u8];
    bytes.extend_from_slice(&output.x());
    PublicKey::new(Curve::Secp256k1, &bytes).unwrap()
}
