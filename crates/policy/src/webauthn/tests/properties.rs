//! Whatever arrives, the answer is an error.

use proptest::prelude::*;

use super::authenticator::{AT, Authenticator, ED, UP, UV, attestation_of, data};
use super::*;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

/// Text that often is JSON, with the members that are looked for.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        bytes().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        (any::<String>(), any::<String>(), any::<Option<bool>>()).prop_map(|(a, b, c)| {
            json!({ "type": a, "challenge": b, "origin": ORIGIN, "crossOrigin": c }).to_string()
        }),
        Just(client_data("webauthn.get").to_string()),
        Just(client_data("webauthn.create").to_string()),
    ]
}

/// Authenticator data whose beginning is right.
fn authenticator_data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        bytes(),
        (any::<u8>(), bytes()).prop_map(|(flags, rest)| data("localhost", flags | UP | UV, &rest)),
    ]
}

proptest! {
    #[test]
    fn nothing_unsigned_verifies(
        credential_id in bytes(),
        authenticator_data in authenticator_data(),
        client_data_json in text(),
        signature in bytes(),
    ) {
        let assertion = Assertion { credential_id, authenticator_data, client_data_json, signature };
        for by in both() {
            prop_assert!(verify(&assertion, &CHALLENGE, &by.public(), &party()).is_err());
        }
    }

    #[test]
    fn any_key_bytes_are_answered(es256 in any::<[u8; 33]>(), ed25519 in any::<[u8; 32]>()) {
        let [p256, edwards] = both();
        let es256 = verify(&good(&p256), &CHALLENGE, &PasskeyKey::Es256 { key: es256 }, &party());
        prop_assert!(es256.is_err());
        let ed25519 = verify(&good(&edwards), &CHALLENGE, &PasskeyKey::EdDsa { key: ed25519 }, &party());
        prop_assert!(ed25519.is_err());
    }

    #[test]
    fn any_registration_is_answered(object in bytes(), json in text(), rest in bytes()) {
        let _ = register(&object, &json, &CHALLENGE, &party());
        let json = client_data("webauthn.create").to_string();
        let _ = register(&object, &json, &CHALLENGE, &party());
        for flags in [UP | UV | AT, UP | UV | AT | ED] {
            let object = attestation_of(&data("localhost", flags, &rest));
            prop_assert!(register(&object, &json, &CHALLENGE, &party()).is_err());
        }
    }

    #[test]
    fn a_registration_with_bytes_changed_is_answered(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let by = Authenticator::es256(1);
        let mut object = by.attestation(UP | UV | AT, &by.cose(), &[]);
        let at = at.index(object.len());
        object[at] = byte;
        let _ = registered(&object);
    }
}
