use quorate_chain::evm::from_json;
use quorate_types::Payload;

use crate::common::{code, evm};
use crate::evm::{eip155, eip1559, unsigned};

fn bytes(text: &str) -> Vec<u8> {
    match from_json(text).unwrap() {
        Payload::EvmTransaction(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn eip155_example_from_json() {
    let text = r#"{"chainId": 1, "nonce": "0x9", "gasPrice": "20000000000", "gas": 21000,
        "to": "0x3535353535353535353535353535353535353535", "value": "0xde0b6b3a7640000", "data": "0x"}"#;
    assert_eq!(bytes(text), eip155());
}

#[test]
fn types_are_told_from_the_fields_or_named() {
    let named = r#"{"type": "0x2", "chainId": "0x1", "nonce": 7, "gasLimit": "0x5208",
        "maxFeePerGas": "30000000000", "maxPriorityFeePerGas": "0x3b9aca00",
        "to": "0x3535353535353535353535353535353535353535", "value": "1500000000000000000"}"#;
    assert_eq!(bytes(named), unsigned(&eip1559()));
    let told = named.replace(r#""type": "0x2", "#, "");
    assert_eq!(bytes(&told), unsigned(&eip1559()));
    let eip2930 = r#"{"chainId": 1, "nonce": 0, "gas": 1, "gasPrice": 1, "accessList":
        [{"address": "0x3535353535353535353535353535353535353535",
          "storageKeys": ["0x0000000000000000000000000000000000000000000000000000000000000001"]}]}"#;
    let built = bytes(eip2930);
    assert_eq!(built[0], 1);
    assert!(evm(&built).is_ok());
}

#[test]
fn what_json_does_not_say_plainly_is_refused() {
    let base = r#"{"chainId": 1, "nonce": 0, "gas": 1, "gasPrice": 1}"#;
    assert!(from_json(base).is_ok());
    let with = |extra: &str| base.replace(r#""nonce": 0"#, extra);
    let bad = [
        with(r#""nonce": 0, "from": "0x3535353535353535353535353535353535353535""#),
        with(r#""nonce": 0, "nonce": 1"#),
        with(r#""value": 1"#),
        with(r#""nonce": -1"#),
        with(r#""nonce": 1.5"#),
        with(r#""nonce": "1e3""#),
        with(r#""nonce": "0x""#),
        with(r#""nonce": "0x10000000000000000""#),
        with(r#""nonce": 0, "type": 2"#),
        with(r#""nonce": 0, "maxFeePerGas": 1"#),
        with(r#""nonce": 0, "type": 0, "accessList": []"#),
        with(r#""nonce": 0, "input": "0x01", "data": "0x02""#),
        with(r#""nonce": 0, "gasLimit": 2"#),
        with(r#""nonce": 0, "input": "01""#),
        with(r#""nonce": 0, "input": "0x0""#),
        with(r#""nonce": 0, "to": "0x35""#),
        with(r#""nonce": 0, "to": "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed""#),
        with(r#""nonce": 0, "type": 9"#),
        "[]".to_owned(),
    ];
    for text in bad {
        assert_eq!(code(from_json(&text)), "evm-json", "{text}");
    }
    for kind in [3, 4] {
        let priced = with(&format!(r#""nonce": 0, "type": {kind}"#));
        assert_eq!(code(from_json(&priced)), "evm-json", "{priced}");
    }
}

#[test]
fn blob_and_set_code_transactions_from_json() {
    let base = r#"{"type": 3, "chainId": 1, "nonce": 0, "gas": 21000, "maxFeePerGas": 2,
        "maxPriorityFeePerGas": 1, "to": "0x3535353535353535353535353535353535353535",
        "maxFeePerBlobGas": 5, "blobVersionedHashes":
        ["0x0100000000000000000000000000000000000000000000000000000000000001"]}"#;
    let blob = bytes(base);
    assert_eq!(blob[0], 3);
    assert!(evm(&blob).is_ok());
    let list = r#"[{"chainId": 1, "address": "0x3535353535353535353535353535353535353535",
        "nonce": "0x1", "yParity": 0, "r": "0x1", "s": "0x1"}]"#;
    let set_code = r#"{"type": 4, "chainId": 1, "nonce": 0, "gas": 21000, "maxFeePerGas": 2,
        "maxPriorityFeePerGas": 1, "to": "0x3535353535353535353535353535353535353535",
        "authorizationList": LIST}"#;
    let built = bytes(&set_code.replace("LIST", list));
    assert_eq!(built[0], 4);
    assert!(evm(&built).is_ok());
    let refused = [
        base.replace(r#""to": "0x3535353535353535353535353535353535353535","#, ""),
        base.replace(r#""type": 3"#, r#""type": 2"#),
        base.replace(r#""maxFeePerBlobGas": 5, "#, ""),
        base.replace("0x01000000", "0x010000"),
        set_code
            .replace("LIST", list)
            .replace("\"type\": 4", "\"type\": 2"),
        set_code.replace(
            "LIST",
            &list.replace(r#""yParity": 0"#, r#""yParity": 256"#),
        ),
        set_code.replace(
            "LIST",
            &list.replace(r#""r": "0x1""#, r#""r": "0x1", "v": 1"#),
        ),
    ];
    for text in refused {
        assert_eq!(code(from_json(&text)), "evm-json", "{text}");
    }
}
