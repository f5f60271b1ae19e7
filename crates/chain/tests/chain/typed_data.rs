use quorate_chain::{Analysis, ChainError, Facts, analyse};
use quorate_types::{Payload, Scheme};
use serde_json::{Value, json};

use crate::common::{ETHEREUM, LocalKey, assemble, code, digest, only_message};

/// The example of EIP-712.
pub fn mail() -> Value {
    json!({
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"}
            ],
            "Person": [
                {"name": "name", "type": "string"},
                {"name": "wallet", "type": "address"}
            ],
            "Mail": [
                {"name": "from", "type": "Person"},
                {"name": "to", "type": "Person"},
                {"name": "contents", "type": "string"}
            ]
        },
        "primaryType": "Mail",
        "domain": {
            "name": "Ether Mail",
            "version": "1",
            "chainId": 1,
            "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"
        },
        "message": {
            "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
            "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
            "contents": "Hello, Bob!"
        }
    })
}

fn analyse_text(text: &str) -> Result<Analysis, ChainError> {
    let payload = Payload::TypedData(text.to_owned());
    let key = LocalKey::new(1).secp256k1();
    analyse(&payload, Some(ETHEREUM), Scheme::Ecdsa, &key, false)
}

fn refusal(change: impl FnOnce(&mut Value)) -> &'static str {
    let mut document = mail();
    change(&mut document);
    code(analyse_text(&document.to_string()))
}

/// A one-field message of a given type.
fn single(type_name: &str, value: Value) -> String {
    json!({
        "types": {"EIP712Domain": [], "M": [{"name": "x", "type": type_name}]},
        "primaryType": "M", "domain": {}, "message": {"x": value}
    })
    .to_string()
}

#[test]
fn the_eip712_example_has_the_published_hash_and_signature() {
    let analysis = analyse_text(&mail().to_string()).unwrap();
    let hash = digest(&only_message(&analysis));
    let expected = "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2";
    assert_eq!(hex::encode(hash), expected);

    let cow = LocalKey::from_bytes(alloy_primitives::keccak256("cow").0);
    let signed = assemble(
        &Payload::TypedData(mail().to_string()),
        Some(ETHEREUM),
        Scheme::Ecdsa,
        &cow.secp256k1(),
        &cow.sign_all(&analysis.items),
    )
    .unwrap();
    assert_eq!(
        hex::encode(&signed.bytes),
        "4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c"
    );
    assert_eq!(signed.id, format!("0x{expected}"));
}

#[test]
fn facts_are_read_from_the_hashed_values() {
    let analysis = analyse_text(&mail().to_string()).unwrap();
    let Facts::TypedData(facts) = &analysis.facts else {
        panic!("{:?}", analysis.facts);
    };
    assert_eq!(facts.domain_chain_id, Some(1));
    assert_eq!(facts.primary_type, "Mail");
    let fields: Vec<_> = facts.fields.iter().map(|f| (&*f.path, &*f.value)).collect();
    assert_eq!(fields[0], ("from.name", "Cow"));
    assert_eq!(
        fields[3],
        ("to.wallet", "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB")
    );
    assert_eq!(fields[4], ("contents", "Hello, Bob!"));
    let lines = analysis.facts.summary_lines();
    assert_eq!(
        lines[0],
        "sign typed data Mail for \"Ether Mail\" (EIP-712)"
    );
    assert!(lines.contains(&"chain id 1".to_owned()));
}

#[test]
fn a_domain_without_chain_is_a_fact() {
    let analysis = analyse_text(&single("uint256", json!("7"))).unwrap();
    let Facts::TypedData(facts) = &analysis.facts else {
        panic!("{:?}", analysis.facts);
    };
    assert_eq!(facts.domain_chain_id, None);
    let lines = analysis.facts.summary_lines();
    assert!(lines.iter().any(|l| l.contains("valid on every EVM chain")));
}

#[test]
fn nested_arrays_and_elementary_types_are_shown() {
    let text = single("int8[2][]", json!([["-1", 2], ["0x3", "4"]]));
    let Facts::TypedData(facts) = analyse_text(&text).unwrap().facts else {
        panic!("not typed data");
    };
    let values: Vec<_> = facts
        .fields
        .iter()
        .map(|f| format!("{}={}", f.path, f.value))
        .collect();
    assert_eq!(
        values,
        ["x[0][0]=-1", "x[0][1]=2", "x[1][0]=3", "x[1][1]=4"]
    );
    for (type_name, value, shown) in [
        ("bool", json!(true), "true"),
        ("bytes", json!("0x0102"), "0x0102"),
        ("bytes2", json!("0x0102"), "0x0102"),
        ("uint256[]", json!([]), "[]"),
    ] {
        let Facts::TypedData(facts) = analyse_text(&single(type_name, value)).unwrap().facts else {
            panic!("not typed data");
        };
        assert_eq!(facts.fields[0].value, shown);
    }
}

#[test]
fn t20_typed_data_of_another_chain_is_refused() {
    let refused = refusal(|d| d["domain"]["chainId"] = json!(137));
    assert_eq!(refused, "typed-data-wrong-chain-id");
    let refused = refusal(|d| d["domain"]["chainId"] = json!("0x10000000000000001"));
    assert_eq!(refused, "typed-data-wrong-chain-id");
}

#[test]
fn t20_fields_that_are_not_signed_are_refused() {
    let expected = "typed-data-unknown-field";
    assert_eq!(refusal(|d| d["message"]["cc"] = json!("Eve")), expected);
    assert_eq!(refusal(|d| d["message"]["to"]["x"] = json!(1)), expected);
    assert_eq!(refusal(|d| d["domain"]["salt"] = json!(null)), expected);
    assert_eq!(refusal(|d| d["note"] = json!("hello")), expected);
    let unused = refusal(|d| d["types"]["Unused"] = json!([]));
    assert_eq!(unused, "typed-data-unused-type");
    let extra = refusal(|d| d["types"]["Mail"][0]["indexed"] = json!(true));
    assert_eq!(extra, "typed-data-json");
}

#[test]
fn t20_duplicate_keys_in_typed_data_are_refused() {
    let text = mail().to_string();
    let twice = text.replace(
        r#""contents":"Hello, Bob!""#,
        r#""contents":"Hello, Bob!","contents":"Pay Eve""#,
    );
    assert_ne!(twice, text);
    assert_eq!(code(analyse_text(&twice)), "typed-data-json");
}

#[test]
fn t20_missing_fields_in_typed_data_are_refused() {
    let expected = "typed-data-missing-field";
    let without = |part: &'static str, name: &'static str| {
        refusal(move |d| {
            d[part].as_object_mut().unwrap().remove(name);
        })
    };
    assert_eq!(without("message", "contents"), expected);
    assert_eq!(without("domain", "version"), expected);
    assert_eq!(without("types", "EIP712Domain"), expected);
    assert_eq!(
        refusal(|d| drop(d.as_object_mut().unwrap().remove("message"))),
        expected
    );
}

#[test]
fn t20_domain_types_that_differ_from_the_domain_are_refused() {
    let swapped = refusal(|d| {
        d["types"]["EIP712Domain"]
            .as_array_mut()
            .unwrap()
            .swap(0, 1);
    });
    assert_eq!(swapped, "typed-data-domain-type");
    let other_type = refusal(|d| d["types"]["EIP712Domain"][2]["type"] = json!("uint64"));
    assert_eq!(other_type, "typed-data-domain-type");
    let foreign = refusal(|d| {
        d["types"]["EIP712Domain"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "extra", "type": "string"}));
        d["domain"]["extra"] = json!("x");
    });
    assert_eq!(foreign, "typed-data-domain-type");
    let primary = refusal(|d| d["primaryType"] = json!("EIP712Domain"));
    assert_eq!(primary, "typed-data-primary-is-domain");
}

#[test]
fn t20_unusable_types_are_refused() {
    let expected = "typed-data-type";
    assert_eq!(refusal(|d| d["primaryType"] = json!("Letter")), expected);
    assert_eq!(refusal(|d| d["primaryType"] = json!("uint256")), expected);
    let type_of_contents = |name: &str| {
        let name = name.to_owned();
        refusal(move |d| d["types"]["Mail"][2]["type"] = json!(name))
    };
    for name in [
        "Letter",
        "(uint256,bool)",
        "",
        "uint7",
        "Mail",
        "string[][][][][]",
    ] {
        assert_eq!(type_of_contents(name), expected, "{name}");
    }
    let shadow = refusal(|d| d["types"]["uint256"] = json!([]));
    assert_eq!(shadow, expected);
    let repeated = refusal(|d| d["types"]["Person"][1]["name"] = json!("name"));
    assert_eq!(repeated, expected);
}

#[test]
fn t20_values_that_do_not_fit_their_types_are_refused() {
    for (type_name, value) in [
        ("uint8", json!("256")),
        ("uint8", json!(1.0)),
        ("uint256", json!("1_000")),
        ("uint256", json!("0b1")),
        ("bool", json!("true")),
        ("bytes2", json!("0x01")),
        ("bytes", json!([1, 2])),
        ("bytes", json!("0102")),
        ("string", json!(1)),
        ("address", json!("0x35")),
        (
            "address",
            json!("0xcD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"),
        ),
        ("uint8[2]", json!([1])),
        ("uint8[]", json!({})),
    ] {
        let refused = code(analyse_text(&single(type_name, value.clone())));
        assert_eq!(refused, "typed-data-value", "{type_name} {value}");
    }
}

/// Each type holds the next one twice: written out, the first has 2^31 fields.
#[test]
fn t20_types_that_explode_are_refused_quickly() {
    let mut types = json!({"EIP712Domain": [], "T30": [{"name": "a", "type": "uint8"}]});
    for i in 0..30 {
        let next = format!("T{}[]", i + 1);
        types[format!("T{i}")] = json!([{"name": "a", "type": next}, {"name": "b", "type": next}]);
    }
    let document = json!({"types": types, "primaryType": "T0", "domain": {},
        "message": {"a": [], "b": []}});
    assert_eq!(code(analyse_text(&document.to_string())), "typed-data-type");
}

#[test]
fn oversized_typed_data_is_refused() {
    let text = single(
        "string",
        json!("x".repeat(quorate_chain::evm::typed_data::MAX_LEN)),
    );
    assert_eq!(code(analyse_text(&text)), "typed-data-too-long");
    assert_eq!(code(analyse_text("\"{}\"")), "typed-data-json");
    assert_eq!(code(analyse_text("{} x")), "typed-data-json");
}
