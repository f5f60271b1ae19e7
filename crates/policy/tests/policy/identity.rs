//! What makes two spends the same.

use quorate_chain::{Analysis, analyse};
use quorate_policy::{Spend, sighashes};
use quorate_types::{ChainRules, Curve, IntentHash, KeyId, KeyName, Payload, PublicKey, Scheme};

use crate::support::*;

/// The group's generator and its double: two children of some key.
const CHILDREN: [&str; 2] = [
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
];

fn child(number: usize) -> PublicKey {
    PublicKey::new(Curve::Secp256k1, &hex::decode(CHILDREN[number]).unwrap()).unwrap()
}

fn read(payload: &Payload, number: usize) -> Analysis {
    analyse(
        payload,
        Some(ETHEREUM),
        Scheme::Ecdsa,
        &child(number),
        false,
    )
    .unwrap()
}

fn spend(payload: &Payload, number: usize, intent: u8) -> Spend {
    let analysis = read(payload, number);
    let key = (KeyId::from_bytes([1; 32]), KeyName::new("hot").unwrap());
    let hashes = sighashes(&child(number), &analysis.items);
    Spend::new(
        IntentHash::from_bytes([intent; 32]),
        key,
        Some(ETHEREUM),
        &analysis.effects,
        &ChainRules::default(),
        &hashes,
        NOW,
    )
}

#[test]
fn i11_one_unsigned_transaction_of_two_children_is_two_spends() {
    let payload = quorate_chain::evm::from_json(&format!(
        r#"{{"type":2,"chainId":1,"nonce":0,"to":"{ALICE}","value":"3000000000000000000","gas":21000,
            "maxFeePerGas":"1","maxPriorityFeePerGas":"1"}}"#
    ))
    .unwrap();
    assert_eq!(
        read(&payload, 0).items,
        read(&payload, 1).items,
        "an unsigned EVM transaction names no sender"
    );
    let [first, again, other] = [(0, 1), (0, 2), (1, 3)].map(|(n, i)| spend(&payload, n, i));
    assert_eq!(first.content(), again.content());
    assert_ne!(first.content(), other.content());

    let mut desk = Desk::new(
        "[[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"24h\"",
    );
    desk.history.insert(first);
    assert_eq!(desk.history.with(&again, ALICE), [300_000_001]);
    assert_eq!(desk.history.with(&other, ALICE), [600_000_002]);
}
