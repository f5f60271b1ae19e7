use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEip2930, TxLegacy};
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use quorate_chain::{Facts, analyse};
use quorate_types::{Network, Payload, Scheme};

use crate::common::{ETHEREUM, LocalKey, assemble, code, digest, evm, only_message};

/// The signing data of EIP-155's example.
pub const EIP155: &str =
    "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";

pub fn eip155() -> Vec<u8> {
    hex::decode(EIP155).unwrap()
}

pub fn eip1559() -> TxEip1559 {
    TxEip1559 {
        chain_id: 1,
        nonce: 7,
        gas_limit: 21_000,
        max_fee_per_gas: 30_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::repeat_byte(0x35)),
        value: U256::from(1_500_000_000_000_000_000u64),
        ..TxEip1559::default()
    }
}

pub fn unsigned(tx: &TxEip1559) -> Vec<u8> {
    let mut out = Vec::new();
    tx.encode_for_signing(&mut out);
    out
}

fn facts(bytes: &[u8]) -> quorate_chain::facts::EvmFacts {
    match evm(bytes).unwrap().facts {
        Facts::Evm(facts) => facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn eip155_example_has_the_published_hash() {
    let expected = "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53";
    let analysis = evm(&eip155()).unwrap();
    assert_eq!(hex::encode(digest(&only_message(&analysis))), expected);
    let facts = facts(&eip155());
    assert_eq!(
        (facts.nonce, facts.chain_id, facts.gas_limit),
        (9, 1, 21_000)
    );
    assert_eq!(facts.value, U256::from(10).pow(U256::from(18)));
}

#[test]
fn eip1559_facts_and_summary() {
    let analysis = evm(&unsigned(&eip1559())).unwrap();
    let lines = analysis.facts.summary_lines();
    assert_eq!(
        lines,
        [
            "send 1.5 ETH to 0x3535353535353535353535353535353535353535",
            "fee at most 0.00063 ETH (gas limit 21000, 30 gwei per gas)",
            "chain id 1, nonce 7",
        ]
    );
    let json = serde_json::to_value(&analysis.facts).unwrap();
    assert_eq!(json["kind"], "evm");
    assert_eq!(json["value"], "1500000000000000000");
    assert_eq!(json["max_fee"], "630000000000000");
    assert_eq!(json["max_priority_fee_per_gas"], "1000000000");
    assert_eq!(
        serde_json::from_value::<Facts>(json).unwrap(),
        analysis.facts
    );
    assert_eq!(analysis.facts.to_string(), lines.join("\n"));
}

#[test]
fn recipients_carry_the_eip55_checksum() {
    for text in [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ] {
        let to = text.parse().map(TxKind::Call).unwrap();
        let bytes = unsigned(&TxEip1559 { to, ..eip1559() });
        assert_eq!(facts(&bytes).to.as_deref(), Some(text));
    }
}

#[test]
fn contract_creation_is_a_fact() {
    let tx = TxEip1559 {
        to: TxKind::Create,
        input: Bytes::from_static(&[0x60, 0x80, 0x60, 0x40, 0x52]),
        ..eip1559()
    };
    let read = facts(&unsigned(&tx));
    assert_eq!((read.to, read.data_len, read.selector), (None, 5, None));
    assert_eq!(read.call, None);
    // Of the well known rule: the last 20 bytes of Keccak-256 of the RLP of sender and nonce.
    let sender: Address = read.sender.parse().unwrap();
    assert_eq!(read.created, Some(sender.create(7).to_checksum(None)));
}

#[test]
fn every_supported_type_is_its_own_digest() {
    let legacy = TxLegacy {
        chain_id: Some(1),
        to: TxKind::Call(Address::repeat_byte(1)),
        ..TxLegacy::default()
    };
    let eip2930 = TxEip2930 {
        chain_id: 1,
        ..TxEip2930::default()
    };
    let mut encodings = vec![unsigned(&eip1559()), Vec::new(), Vec::new()];
    legacy.encode_for_signing(&mut encodings[1]);
    eip2930.encode_for_signing(&mut encodings[2]);
    for bytes in encodings {
        let message = only_message(&evm(&bytes).unwrap());
        assert_eq!(digest(&message), keccak256(&bytes).0);
    }
}

#[test]
fn t20_trailing_bytes_are_refused() {
    for mut bytes in [eip155(), unsigned(&eip1559())] {
        bytes.push(0);
        assert_eq!(code(evm(&bytes)), "payload-trailing-bytes");
    }
}

/// Replaces the whole of EIP-155's example by a list of the given encoded fields.
fn list(fields: &[&str]) -> Vec<u8> {
    let content = hex::decode(fields.concat()).unwrap();
    assert!(content.len() < 56);
    let mut out = vec![0xc0 + u8::try_from(content.len()).unwrap()];
    out.extend(content);
    out
}

const TO: &str = "943535353535353535353535353535353535353535";

#[test]
fn t20_non_canonical_rlp_is_refused() {
    assert!(evm(&list(&["09", "01", "02", TO, "03", "80", "01", "80", "80"])).is_ok());
    let bad = [
        // Integers with leading zeros, a zero that is not empty, a small byte with a length.
        list(&["820009", "01", "02", TO, "03", "80", "01", "80", "80"]),
        list(&["00", "01", "02", TO, "03", "80", "01", "80", "80"]),
        list(&["8109", "01", "02", TO, "03", "80", "01", "80", "80"]),
        // Long-form lengths of short strings.
        list(&["b80109", "01", "02", TO, "03", "80", "01", "80", "80"]),
        list(&["09", "01", "02", TO, "03", "80", "b80101", "80", "80"]),
    ];
    for bytes in bad {
        assert_eq!(code(evm(&bytes)), "evm-non-canonical-rlp", "{bytes:02x?}");
    }
    let short = list(&["09", "01", "02", TO, "03", "80", "01", "80", "80"]);
    let long_form = [&[0xf8, short[0] - 0xc0], &short[1..]].concat();
    assert_eq!(code(evm(&long_form)), "evm-non-canonical-rlp");
}

#[test]
fn t20_zero_bytes_in_place_of_empty_eip155_fields_are_refused() {
    let bytes = list(&["09", "01", "02", TO, "03", "80", "01", "00", "00"]);
    assert!(evm(&bytes).is_err());
    let bytes = list(&["09", "01", "02", TO, "03", "80", "01", "c0", "c0"]);
    assert_eq!(code(evm(&bytes)), "payload-not-canonical");
}

#[test]
fn i02_what_does_not_encode_to_the_same_bytes_is_refused() {
    // Two empty lists decode as well as two empty strings to whoever looks at lengths alone.
    let bytes = list(&["09", "01", "02", TO, "03", "80", "01", "c0", "c0"]);
    assert_eq!(code(evm(&bytes)), "payload-not-canonical");
}

#[test]
fn t20_pre_eip155_is_refused() {
    let bytes = list(&["09", "01", "02", TO, "03", "80"]);
    assert_eq!(code(evm(&bytes)), "evm-pre-eip155");
}

#[test]
fn t20_signed_transactions_are_refused() {
    let signed = "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
    assert_eq!(
        code(evm(&hex::decode(signed).unwrap())),
        "evm-already-signed"
    );
    let key = LocalKey::new(0x46);
    let bytes = unsigned(&eip1559());
    let analysis = evm(&bytes).unwrap();
    let signed = assemble(
        &Payload::EvmTransaction(bytes),
        Some(ETHEREUM),
        Scheme::Ecdsa,
        &key.secp256k1(),
        &key.sign_all(&analysis.items),
    );
    assert_eq!(code(evm(&signed.unwrap().bytes)), "evm-already-signed");
}

#[test]
fn t20_wrong_chain_ids_are_refused() {
    let payload = Payload::EvmTransaction(eip155());
    let other = Some(Network::Evm { chain_id: 31337 });
    let key = LocalKey::new(1).secp256k1();
    let refused = analyse(&payload, other, Scheme::Ecdsa, &key, false);
    assert_eq!(code(refused), "evm-wrong-chain-id");
}

#[test]
fn t20_unsupported_transaction_types_are_refused() {
    let expected = [
        (3u8, "evm-field-count"),
        (4, "evm-field-count"),
        (0, "evm-unknown-type"),
        (5, "evm-unknown-type"),
        (0x7f, "evm-unknown-type"),
        (0x80, "evm-unknown-type"),
    ];
    for (kind, expected) in expected {
        let mut bytes = unsigned(&eip1559());
        bytes[0] = kind;
        assert_eq!(code(evm(&bytes)), expected);
    }
    assert_eq!(code(evm(&[])), "evm-empty");
}

#[test]
fn t20_wrong_field_counts_and_types_are_refused() {
    let eight = list(&["09", "01", "02", TO, "03", "80", "01", "80"]);
    assert_eq!(code(evm(&eight)), "evm-field-count");
    let typed = [&[2u8][..], &list(&["01", "01"])].concat();
    assert_eq!(code(evm(&typed)), "evm-field-count");
    let short_address = list(&["09", "01", "02", "8401020304", "03", "80", "01", "80", "80"]);
    assert_eq!(code(evm(&short_address)), "evm-malformed");
    assert_eq!(code(evm(&eip155()[..40])), "evm-malformed");
    assert_eq!(code(evm(&[2, 0x80])), "evm-malformed");
}

#[test]
fn t20_tips_above_the_cap_are_refused() {
    let tx = TxEip1559 {
        max_priority_fee_per_gas: 30_000_000_001,
        ..eip1559()
    };
    assert_eq!(code(evm(&unsigned(&tx))), "evm-tip-above-cap");
}

#[test]
fn t20_a_fee_of_everything_is_a_fact() {
    let tx = TxEip1559 {
        max_fee_per_gas: u128::MAX,
        gas_limit: u64::MAX,
        ..eip1559()
    };
    let expected = U256::from(u128::MAX) * U256::from(u64::MAX);
    assert_eq!(facts(&unsigned(&tx)).max_fee, expected);
}

#[test]
fn eip191_message_has_the_known_hash() {
    let payload = Payload::Message(b"Hello World".to_vec());
    let key = LocalKey::new(1).secp256k1();
    let analysis = analyse(&payload, Some(ETHEREUM), Scheme::Ecdsa, &key, false).unwrap();
    assert_eq!(
        hex::encode(digest(&only_message(&analysis))),
        "a1de988600a42c4b4ab089b619297c17d53cffae5d5120d82d8a92d0bb3b78f2"
    );
    assert_eq!(analysis.facts.summary_lines()[1], "text: \"Hello World\"");
}

#[test]
fn t20_control_characters_do_not_reach_the_approver() {
    let payload = Payload::Message("a\u{1b}[2Jb\u{202e}c\n".as_bytes().to_vec());
    let key = LocalKey::new(1).secp256k1();
    let analysis = analyse(&payload, Some(ETHEREUM), Scheme::Ecdsa, &key, false).unwrap();
    let line = &analysis.facts.summary_lines()[1];
    assert_eq!(line, "text: \"a\\u{1b}[2Jb\\u{202e}c\\n\"");
    let payload = Payload::Message(vec![0xff, 0x00]);
    let analysis = analyse(&payload, Some(ETHEREUM), Scheme::Ecdsa, &key, false).unwrap();
    assert_eq!(analysis.facts.summary_lines()[1], "bytes: 0xff00");
}
