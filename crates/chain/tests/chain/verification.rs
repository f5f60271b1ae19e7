use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use quorate_chain::{SigningMessage, TaprootTweak, VerifyError, verify};
use quorate_types::{Curve, EcdsaSignature, HashAlgorithm, Preimage, PublicKey, Signature};

use crate::common::{LocalKey, digest};

const KEY: LocalKey = LocalKey::new(0x61);

fn hashed(bytes: &[u8]) -> SigningMessage {
    SigningMessage::Ecdsa(Preimage::new(HashAlgorithm::Sha256, bytes.to_vec()))
}

fn ecdsa() -> EcdsaSignature {
    KEY.ecdsa(&digest(&hashed(b"hello")))
}

fn check(signature: EcdsaSignature) -> Result<(), VerifyError> {
    verify(
        &hashed(b"hello"),
        &KEY.secp256k1(),
        &Signature::Ecdsa(signature),
    )
}

/// `n - s`, as the other valid `s` of a signature.
fn negate_secp256k1(s: [u8; 32]) -> [u8; 32] {
    secp256k1::SecretKey::from_slice(&s)
        .unwrap()
        .negate()
        .secret_bytes()
}

fn p256_signature(hash: &[u8; 32]) -> (EcdsaSignature, EcdsaSignature) {
    let key = p256::ecdsa::SigningKey::from_bytes(&[0x61; 32].into()).unwrap();
    let (signature, recovery_id): (p256::ecdsa::Signature, _) =
        key.sign_prehash_recoverable(hash).unwrap();
    let plain: p256::ecdsa::Signature = key.sign_prehash(hash).unwrap();
    assert_eq!(plain, signature);
    let form = |sig: &p256::ecdsa::Signature, recovery_id: u8| {
        let (r, s) = sig.split_bytes();
        EcdsaSignature {
            r: r.into(),
            s: s.into(),
            recovery_id,
        }
    };
    let id = recovery_id.to_byte();
    let negated = p256::ecdsa::Signature::from_scalars(
        signature.r().to_bytes(),
        (-*signature.s()).to_bytes(),
    );
    let negated = form(&negated.unwrap(), id ^ 1);
    let as_signed = form(&signature, id);
    match signature.normalize_s() {
        Some(_) => (negated, as_signed),
        None => (as_signed, negated),
    }
}

#[test]
fn valid_signatures_are_accepted() {
    check(ecdsa()).unwrap();
    for tweak in [TaprootTweak::None, TaprootTweak::Bip86] {
        let message = SigningMessage::Bip340 {
            message: [7; 32],
            tweak,
        };
        verify(&message, &KEY.secp256k1(), &KEY.sign(&message)).unwrap();
    }
    let message = SigningMessage::Ed25519(b"hello".to_vec());
    verify(&message, &KEY.ed25519(), &KEY.sign(&message)).unwrap();
    for i in 0..8 {
        let message = hashed(&[i]);
        let (low, _) = p256_signature(&digest(&message));
        verify(&message, &KEY.p256(), &Signature::Ecdsa(low)).unwrap();
    }
}

#[test]
fn high_s_is_refused() {
    let high = EcdsaSignature {
        s: negate_secp256k1(ecdsa().s),
        recovery_id: ecdsa().recovery_id ^ 1,
        ..ecdsa()
    };
    assert_eq!(check(high), Err(VerifyError::HighS));
    let (_, high) = p256_signature(&digest(&hashed(b"hello")));
    let refused = verify(&hashed(b"hello"), &KEY.p256(), &Signature::Ecdsa(high));
    assert_eq!(refused, Err(VerifyError::HighS));
}

#[test]
fn wrong_recovery_ids_are_refused() {
    let wrong = |recovery_id| EcdsaSignature {
        recovery_id,
        ..ecdsa()
    };
    let flipped = check(wrong(ecdsa().recovery_id ^ 1));
    assert_eq!(flipped, Err(VerifyError::WrongRecoveryId));
    assert!(check(wrong(2)).is_err());
    assert_eq!(check(wrong(4)), Err(VerifyError::Malformed));
    let (mut low, _) = p256_signature(&digest(&hashed(b"hello")));
    low.recovery_id ^= 1;
    let refused = verify(&hashed(b"hello"), &KEY.p256(), &Signature::Ecdsa(low));
    assert_eq!(refused, Err(VerifyError::WrongRecoveryId));
}

#[test]
fn out_of_range_numbers_are_refused() {
    for bytes in [[0; 32], [0xff; 32]] {
        for signature in [
            EcdsaSignature {
                r: bytes,
                ..ecdsa()
            },
            EcdsaSignature {
                s: bytes,
                ..ecdsa()
            },
        ] {
            assert!(check(signature).is_err());
            let p256 = verify(&hashed(b"hello"), &KEY.p256(), &Signature::Ecdsa(signature));
            assert!(p256.is_err());
        }
    }
}

#[test]
fn the_tweak_decides_the_key() {
    let message = |tweak| SigningMessage::Bip340 {
        message: [7; 32],
        tweak,
    };
    let untweaked = KEY.sign(&message(TaprootTweak::None));
    let refused = verify(&message(TaprootTweak::Bip86), &KEY.secp256k1(), &untweaked);
    assert_eq!(refused, Err(VerifyError::Invalid));
    let tweaked = KEY.sign(&message(TaprootTweak::Bip86));
    let refused = verify(&message(TaprootTweak::None), &KEY.secp256k1(), &tweaked);
    assert_eq!(refused, Err(VerifyError::Invalid));
}

#[test]
fn another_message_or_key_is_refused() {
    let signature = Signature::Ecdsa(ecdsa());
    let other = hashed(b"other");
    let refused = verify(&other, &KEY.secp256k1(), &signature);
    assert_eq!(refused, Err(VerifyError::Invalid));
    let refused = verify(&hashed(b"hello"), &LocalKey::new(1).secp256k1(), &signature);
    assert_eq!(refused, Err(VerifyError::Invalid));
    let message = SigningMessage::Ed25519(b"hello".to_vec());
    let signature = KEY.sign(&message);
    let refused = verify(&message, &LocalKey::new(1).ed25519(), &signature);
    assert_eq!(refused, Err(VerifyError::Invalid));
}

/// The identity as public key and as `R`, with `S = 0`: valid for every message where small orders are not refused.
#[test]
fn small_order_ed25519_keys_are_refused() {
    let mut identity = [0u8; 32];
    identity[0] = 1;
    let key = PublicKey::new(Curve::Ed25519, &identity).unwrap();
    let mut signature = [0u8; 64];
    signature[0] = 1;
    let message = SigningMessage::Ed25519(b"anything".to_vec());
    let refused = verify(&message, &key, &Signature::Ed25519(signature));
    assert_eq!(refused, Err(VerifyError::Invalid));
}

#[test]
fn mixed_schemes_are_refused() {
    let ed25519 = SigningMessage::Ed25519(vec![1]);
    let cases = [
        (
            hashed(b"hello"),
            KEY.secp256k1(),
            Signature::Bip340([1; 64]),
        ),
        (hashed(b"hello"), KEY.ed25519(), Signature::Ecdsa(ecdsa())),
        (ed25519, KEY.ed25519(), Signature::Bip340([1; 64])),
    ];
    for (message, key, signature) in cases {
        let refused = verify(&message, &key, &signature);
        assert_eq!(refused, Err(VerifyError::SchemeMismatch));
    }
}
