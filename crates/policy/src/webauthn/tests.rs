//! Against an authenticator in software.

mod authenticator;
mod properties;

use ciborium::Value;
use p256::ecdsa::Signature as Es256Signature;
use quorate_types::{Assertion, Passkey, PasskeyKey, RelyingParty};
use serde_json::{Value as Json, json};

use super::{WebAuthnError, register, verify, verify_among};
use authenticator::{AT, Authenticator, BE, BS, ED, UP, UV, data, encode};

const CHALLENGE: [u8; 32] = [7; 32];
const ORIGIN: &str = "http://localhost:7780";

fn party() -> RelyingParty {
    RelyingParty {
        id: "localhost".to_owned(),
        origins: vec!["https://custody.example".to_owned(), ORIGIN.to_owned()],
    }
}

fn both() -> [Authenticator; 2] {
    [Authenticator::es256(1), Authenticator::ed25519(1)]
}

fn client_data(r#type: &str) -> Json {
    let challenge = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    json!({ "type": r#type, "challenge": challenge, "origin": ORIGIN, "crossOrigin": false })
}

fn good(by: &Authenticator) -> Assertion {
    by.assertion(
        &client_data("webauthn.get").to_string(),
        data("localhost", UP | UV, &[]),
    )
}

fn refusal(assertion: &Assertion, by: &Authenticator) -> WebAuthnError {
    verify(assertion, &CHALLENGE, &by.public(), &party()).unwrap_err()
}

/// What is said to correctly signed client data.
fn refusal_of_json(json: &str) -> &'static str {
    let by = Authenticator::es256(1);
    let assertion = by.assertion(json, data("localhost", UP | UV, &[]));
    refusal(&assertion, &by).code()
}

/// What is said to client data with one member changed, or removed if null.
fn refusal_of_member(name: &str, value: Json) -> &'static str {
    let mut members = client_data("webauthn.get");
    members[name] = value;
    if members[name].is_null() {
        members.as_object_mut().unwrap().remove(name);
    }
    refusal_of_json(&members.to_string())
}

/// What is said to correctly signed authenticator data.
fn answer_to_data(data: Vec<u8>) -> Result<(), &'static str> {
    let by = Authenticator::ed25519(1);
    let assertion = by.assertion(&client_data("webauthn.get").to_string(), data);
    verify(&assertion, &CHALLENGE, &by.public(), &party()).map_err(|e| e.code())
}

#[test]
fn good_assertions_verify() {
    for by in both() {
        verify(&good(&by), &CHALLENGE, &by.public(), &party()).unwrap();
    }
}

#[test]
fn one_byte_changed_in_any_signed_field_is_refused() {
    for by in both() {
        let good = good(&by);
        let refused = |changed: &Assertion| refusal(changed, &by);
        for mask in [1, 0x20, 0x80] {
            for at in 0..good.authenticator_data.len() {
                let mut changed = good.clone();
                changed.authenticator_data[at] ^= mask;
                refused(&changed);
            }
            for at in 0..good.signature.len() {
                let mut changed = good.clone();
                changed.signature[at] ^= mask;
                refused(&changed);
            }
        }
        for at in 0..good.client_data_json.len() {
            let mut bytes = good.client_data_json.clone().into_bytes();
            bytes[at] ^= 1;
            let mut changed = good.clone();
            changed.client_data_json = String::from_utf8(bytes).unwrap();
            refused(&changed);
        }
    }
}

#[test]
fn one_bit_changed_in_the_key_is_refused() {
    for by in both() {
        for bit in 0..256 {
            let mut key = by.public();
            match &mut key {
                PasskeyKey::Es256 { key } => key[1 + bit / 8] ^= 1 << (bit % 8),
                PasskeyKey::EdDsa { key } => key[bit / 8] ^= 1 << (bit % 8),
            }
            let code = verify(&good(&by), &CHALLENGE, &key, &party())
                .unwrap_err()
                .code();
            assert!(matches!(code, "webauthn.signature" | "webauthn.public_key"));
        }
    }
}

#[test]
fn every_truncation_and_extension_is_refused() {
    for by in both() {
        let good = good(&by);
        for len in 0..good.authenticator_data.len() {
            let mut cut = good.clone();
            cut.authenticator_data.truncate(len);
            assert_eq!(refusal(&cut, &by).code(), "webauthn.authenticator_data");
        }
        for len in 0..good.client_data_json.len() {
            let mut cut = good.clone();
            cut.client_data_json.truncate(len);
            assert_eq!(refusal(&cut, &by).code(), "webauthn.client_data");
        }
        for len in 0..good.signature.len() {
            let mut cut = good.clone();
            cut.signature.truncate(len);
            assert_eq!(refusal(&cut, &by).code(), "webauthn.signature_encoding");
        }
        let mut longer = good.clone();
        longer.signature.push(0);
        assert_eq!(refusal(&longer, &by).code(), "webauthn.signature_encoding");
        let mut longer = good.clone();
        longer.client_data_json.push(' ');
        assert_eq!(refusal(&longer, &by).code(), "webauthn.signature");
    }
}

#[test]
fn another_approval_is_refused() {
    for by in both() {
        let other = verify(&good(&by), &[8; 32], &by.public(), &party());
        assert_eq!(other, Err(WebAuthnError::Challenge));
    }
    for challenge in [
        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwd",
        "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw",
        "",
    ] {
        let said = refusal_of_member("challenge", json!(challenge));
        assert_eq!(said, "webauthn.challenge", "{challenge}");
    }
}

#[test]
fn another_key_or_algorithm_is_refused() {
    let [es256, ed25519] = both();
    let (es256_answer, ed25519_answer) = (good(&es256), good(&ed25519));
    for (assertion, by, said) in [
        (
            &es256_answer,
            &Authenticator::es256(2),
            "webauthn.signature",
        ),
        (
            &ed25519_answer,
            &Authenticator::ed25519(2),
            "webauthn.signature",
        ),
        (&es256_answer, &ed25519, "webauthn.signature_encoding"),
        (&ed25519_answer, &es256, "webauthn.signature_encoding"),
    ] {
        assert_eq!(refusal(assertion, by).code(), said);
    }
}

#[test]
fn an_origin_is_compared_exactly() {
    for origin in [
        "http://localhost",
        "http://localhost:7781",
        "http://localhost:7780/",
        "https://localhost:7780",
        "http://LOCALHOST:7780",
        "https://evil.example",
        "https://custody.example.evil.example",
        "null",
        "",
    ] {
        let said = refusal_of_member("origin", json!(origin));
        assert_eq!(said, "webauthn.origin", "{origin}");
    }
    let nowhere = RelyingParty {
        origins: vec![],
        ..party()
    };
    let by = Authenticator::es256(1);
    let refused = verify(&good(&by), &CHALLENGE, &by.public(), &nowhere).unwrap_err();
    assert_eq!(refused.code(), "webauthn.origin");
}

#[test]
fn client_data_of_other_ceremonies_and_frames_is_refused() {
    for (name, value, said) in [
        ("type", json!("webauthn.create"), "webauthn.type"),
        ("type", json!("payment.get"), "webauthn.type"),
        ("type", json!(7), "webauthn.client_data"),
        ("type", json!(null), "webauthn.client_data"),
        ("challenge", json!(null), "webauthn.client_data"),
        ("challenge", json!([7]), "webauthn.client_data"),
        ("origin", json!(null), "webauthn.client_data"),
        ("crossOrigin", json!(true), "webauthn.cross_origin"),
        ("crossOrigin", json!("false"), "webauthn.cross_origin"),
        ("topOrigin", json!(ORIGIN), "webauthn.cross_origin"),
    ] {
        assert_eq!(
            refusal_of_member(name, value.clone()),
            said,
            "{name} {value}"
        );
    }
}

#[test]
fn client_data_is_one_object_without_duplicates() {
    let good = client_data("webauthn.get").to_string();
    let open = good.strip_suffix('}').unwrap();
    for json in [
        format!("{open},\"origin\":\"{ORIGIN}\"}}"),
        format!("{open},\"\\u006frigin\":\"https://evil.example\"}}"),
        format!("{open},\"crossOrigin\":false}}"),
        format!("{open},\"other\":1,\"other\":1}}"),
        format!("{open},}}"),
        format!("\u{feff}{good}"),
        format!("{good}{good}"),
        format!("[{good}]"),
        r#"["webauthn.get","BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","http://localhost:7780"]"#
            .to_owned(),
        "null".to_owned(),
        "[".repeat(4000),
        format!("{open},\"deep\":{}", "[".repeat(3000)),
    ] {
        assert_eq!(refusal_of_json(&json), "webauthn.client_data", "{json}");
    }
}

#[test]
fn client_data_may_have_members_this_version_does_not_know() {
    let mut members = client_data("webauthn.get");
    members["other_keys_can_be_added_here"] = json!({ "a": [1, 2.5, null] });
    members.as_object_mut().unwrap().remove("crossOrigin");
    let by = Authenticator::es256(1);
    let assertion = by.assertion(&members.to_string(), data("localhost", UP | UV, &[]));
    verify(&assertion, &CHALLENGE, &by.public(), &party()).unwrap();
}

#[test]
fn flags_are_held_to() {
    let flags = |flags| answer_to_data(data("localhost", flags, &[]));
    assert_eq!(flags(UP | UV | BE), Ok(()));
    assert_eq!(flags(UP | UV | BE | BS), Ok(()));
    assert_eq!(flags(UV), Err("webauthn.user_not_present"));
    assert_eq!(flags(UP), Err("webauthn.user_not_verified"));
    assert_eq!(flags(UP | UV | BS), Err("webauthn.backup_state"));
    assert_eq!(
        flags(UP | UV | AT),
        Err("webauthn.unexpected_credential_data")
    );
    assert_eq!(flags(UP | UV | ED), Err("webauthn.authenticator_data"));
}

#[test]
fn another_relying_party_is_refused() {
    for id in ["localhos", "localhost.", "custody.example", ""] {
        assert_eq!(
            answer_to_data(data(id, UP | UV, &[])),
            Err("webauthn.relying_party"),
            "{id}"
        );
    }
}

#[test]
fn extension_data_is_one_canonical_map_to_the_end() {
    let with = |rest: &[u8]| answer_to_data(data("localhost", UP | UV | ED, rest));
    let map = encode(&Value::Map(vec![("credProtect".into(), 2.into())]));
    assert_eq!(with(&map), Ok(()));
    assert_eq!(with(&[0xa0]), Ok(()));
    let twice = Value::Map(vec![("a".into(), 1.into()), ("a".into(), 1.into())]);
    let many = Value::Map((0..65).map(|n| (n.into(), n.into())).collect());
    for bad in [
        [map.as_slice(), &[0]].concat(),
        [map.as_slice(), &map].concat(),
        map[..map.len() - 1].to_vec(),
        encode(&twice),
        encode(&many),
        encode(&Value::Array(vec![])),
        vec![0xbf, 0xff],
        vec![0xb8, 0],
        vec![0xa1, 0x18, 1, 1],
        vec![0xbb, 255, 255, 255, 255, 255, 255, 255, 255],
        vec![0x81; 4000],
        vec![0x5b, 0, 0, 255, 255, 255, 255, 255, 255],
    ] {
        assert_eq!(with(&bad), Err("webauthn.extensions"), "{bad:?}");
    }
    assert_eq!(
        answer_to_data(data("localhost", UP | UV, &map)),
        Err("webauthn.authenticator_data")
    );
}

#[test]
fn lengths_are_bounded_before_anything_is_parsed() {
    let by = Authenticator::es256(1);
    let long = || vec![0; Assertion::MAX_FIELD + 1];
    let good = good(&by);
    for changed in [
        Assertion {
            credential_id: long(),
            ..good.clone()
        },
        Assertion {
            authenticator_data: long(),
            ..good.clone()
        },
        Assertion {
            client_data_json: " ".repeat(Assertion::MAX_FIELD + 1),
            ..good.clone()
        },
        Assertion {
            signature: long(),
            ..good.clone()
        },
    ] {
        assert_eq!(refusal(&changed, &by).code(), "webauthn.field_too_long");
    }
    let json = client_data("webauthn.create").to_string();
    let refused = register(&long(), &json, &CHALLENGE, &party()).unwrap_err();
    assert_eq!(refused.code(), "webauthn.field_too_long");
}

#[test]
fn a_high_s_is_accepted() {
    let by = Authenticator::es256(1);
    let mut assertion = good(&by);
    let signature = Es256Signature::from_der(&assertion.signature).unwrap();
    let (r, s) = signature.split_scalars();
    let negated = Es256Signature::from_scalars(r, -s).unwrap();
    assertion.signature = negated.to_der().as_bytes().to_vec();
    verify(&assertion, &CHALLENGE, &by.public(), &party()).unwrap();
}

#[test]
fn a_key_of_small_order_verifies_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let by = Authenticator::ed25519(1);
    let mut assertion = good(&by);
    assertion.signature = [identity, [0; 32]].concat();
    let key = PasskeyKey::EdDsa { key: identity };
    assert_eq!(
        verify(&assertion, &CHALLENGE, &key, &party()),
        Err(WebAuthnError::Signature)
    );
}

#[test]
fn an_assertion_is_looked_up_by_its_credential() {
    let passkeys = both().map(|by| Passkey {
        credential_id: by.id.clone(),
        key: by.public(),
    });
    for (by, passkey) in both().iter().zip(&passkeys) {
        let mut assertion = good(by);
        let found = verify_among(&assertion, &CHALLENGE, &passkeys, &party());
        assert_eq!(found, Ok(passkey));
        for at in 0..assertion.credential_id.len() {
            assertion.credential_id[at] ^= 1;
            assert_eq!(
                verify_among(&assertion, &CHALLENGE, &passkeys, &party()),
                Err(WebAuthnError::UnknownCredential)
            );
            assertion.credential_id[at] ^= 1;
        }
        // Another credential's id leads to another key.
        assertion.credential_id = passkeys
            .iter()
            .find(|other| *other != passkey)
            .unwrap()
            .credential_id
            .clone();
        verify_among(&assertion, &CHALLENGE, &passkeys, &party()).unwrap_err();
    }
}

fn registered(object: &[u8]) -> Result<Passkey, &'static str> {
    let json = client_data("webauthn.create").to_string();
    register(object, &json, &CHALLENGE, &party()).map_err(|e| e.code())
}

#[test]
fn a_registered_credential_approves() {
    for by in both() {
        let passkey = registered(&by.attestation(UP | UV | AT, &by.cose(), &[])).unwrap();
        assert_eq!(passkey.credential_id, by.id);
        assert_eq!(passkey.key, by.public());
        verify_among(&good(&by), &CHALLENGE, &[passkey], &party()).unwrap();
    }
}

#[test]
fn a_registration_is_for_its_challenge_and_place() {
    let by = Authenticator::es256(1);
    let object = by.attestation(UP | UV | AT, &by.cose(), &[]);
    let json = client_data("webauthn.create").to_string();
    let elsewhere = RelyingParty {
        id: "custody.example".to_owned(),
        ..party()
    };
    let here = party();
    let code = |json: &str, challenge: &[u8; 32], at: &RelyingParty| {
        register(&object, json, challenge, at).unwrap_err().code()
    };
    assert_eq!(code(&json, &[8; 32], &here), "webauthn.challenge");
    assert_eq!(
        code(&json, &CHALLENGE, &elsewhere),
        "webauthn.relying_party"
    );
    let get = client_data("webauthn.get").to_string();
    assert_eq!(code(&get, &CHALLENGE, &here), "webauthn.type");
}

#[test]
fn a_registration_needs_a_user_and_ends_where_its_flags_say() {
    let by = Authenticator::es256(1);
    let with = |flags, rest: &[u8]| registered(&by.attestation(flags, &by.cose(), rest));
    assert!(with(UP | UV | AT | ED, &[0xa0]).is_ok());
    assert_eq!(with(UP | AT, &[]), Err("webauthn.user_not_verified"));
    assert_eq!(with(UV | AT, &[]), Err("webauthn.user_not_present"));
    assert_eq!(with(UP | UV, &[]), Err("webauthn.credential_data"));
    assert_eq!(
        with(UP | UV | AT, &[0xa0]),
        Err("webauthn.authenticator_data")
    );
    assert_eq!(
        with(UP | UV | AT | ED, &[0xa0, 0]),
        Err("webauthn.extensions")
    );
    assert_eq!(
        with(UP | UV | AT | ED, &[]),
        Err("webauthn.authenticator_data")
    );
}

#[test]
fn every_truncation_of_a_registration_is_refused() {
    for by in both() {
        let object = by.attestation(UP | UV | AT, &by.cose(), &[]);
        for len in 0..object.len() {
            assert_eq!(
                registered(&object[..len]),
                Err("webauthn.attestation_object")
            );
        }
        assert_eq!(
            registered(&[object.as_slice(), &[0]].concat()),
            Err("webauthn.attestation_object")
        );
        let data = by.registration_data(UP | UV | AT, &by.cose(), &[]);
        for len in 0..data.len() {
            registered(&authenticator::attestation_of(&data[..len])).unwrap_err();
        }
    }
}

#[test]
fn a_credential_id_has_1_to_1023_bytes() {
    for (len, fine) in [(0, false), (1, true), (1023, true), (1024, false)] {
        let mut by = Authenticator::es256(1);
        by.id = vec![9; len];
        let answer = registered(&by.attestation(UP | UV | AT, &by.cose(), &[]));
        assert_eq!(answer.is_ok(), fine, "{len}");
    }
}

#[test]
fn a_cose_key_has_exactly_the_members_of_its_algorithm() {
    for by in both() {
        let good = by.cose();
        let answer =
            |map: Vec<(Value, Value)>| registered(&by.attestation(UP | UV | AT, &map, &[]));
        for at in 0..good.len() {
            let mut missing = good.clone();
            missing.remove(at);
            assert_eq!(answer(missing), Err("webauthn.public_key"));
            for value in [
                Value::from(99),
                Value::Bool(true),
                Value::Bytes(vec![1; 31]),
            ] {
                let mut changed = good.clone();
                changed[at].1 = value;
                answer(changed).unwrap_err();
            }
            let mut twice = good.clone();
            twice.push(good[at].clone());
            assert_eq!(answer(twice), Err("webauthn.public_key"));
        }
        let mut more = good.clone();
        more.push((4.into(), 1.into()));
        assert_eq!(answer(more), Err("webauthn.public_key"));
    }
}

#[test]
fn keys_that_are_no_points_or_of_other_algorithms_are_refused() {
    let [es256, ed25519] = both();
    let mut off_curve = es256.cose();
    off_curve[4].1 = Value::Bytes(vec![1; 32]);
    let object = es256.attestation(UP | UV | AT, &off_curve, &[]);
    assert_eq!(registered(&object), Err("webauthn.public_key"));
    let mut small_order = ed25519.cose();
    small_order[3].1 = Value::Bytes([&[1][..], &[0; 31]].concat());
    let object = ed25519.attestation(UP | UV | AT, &small_order, &[]);
    assert_eq!(registered(&object), Err("webauthn.public_key"));
    let mut rs256 = es256.cose();
    rs256[1].1 = Value::from(-257);
    let object = es256.attestation(UP | UV | AT, &rs256, &[]);
    assert_eq!(registered(&object), Err("webauthn.algorithm"));
}
