//! Transactions that a real EVM chain mines.

use serde_json::json;

use crate::support::chains::Anvil;
use crate::support::payloads::{SOMEONE, eip1559, eip2930, legacy};
use crate::support::{Cluster, Setup};

const EVM: &str = "ethereum:31337";
const PATH: &str = "m/44/60/0";
const WEI: u128 = 1_000_000_000_000_000;

fn sign(cluster: &Cluster, json: &str) -> String {
    let file = cluster.write("tx.json", json);
    let out = cluster.file("signed.txt");
    let out = out.to_str().unwrap();
    cluster
        .cli(&[
            "sign", "--key", "hot", "--path", PATH, "--chain", EVM, "--in", &file, "--out", out,
        ])
        .ok();
    std::fs::read_to_string(out).unwrap().trim().to_owned()
}

/// Flips one bit of the last occurrence of `part`.
fn tamper(raw: &str, part: &[u8], byte: usize) -> String {
    let mut bytes = hex::decode(raw.trim_start_matches("0x")).unwrap();
    let at = bytes
        .windows(part.len())
        .rposition(|window| window == part)
        .unwrap();
    bytes[at + byte] ^= 1;
    format!("0x{}", hex::encode(bytes))
}

#[test]
fn transactions_of_every_type_are_mined_and_come_from_our_address() {
    let cluster = Cluster::start(Setup::new(2, 3).with_committee());
    let anvil = Anvil::start();
    cluster.create_key("hot", "secp256k1", &[]);
    let shown = cluster.json(&["address", "--key", "hot", "--chain", EVM, "--path", PATH]);
    let address = shown["address"].as_str().unwrap();
    anvil
        .call("anvil_setBalance", &json!([address, "0xde0b6b3a7640000"]))
        .unwrap();

    for (nonce, build, kind) in [
        (0, eip1559 as fn(u64, u128) -> String, "0x2"),
        (1, eip2930, "0x1"),
        (2, legacy, "0x0"),
    ] {
        let value = WEI + u128::from(nonce);
        let raw = sign(&cluster, &build(nonce, value));
        tampered_ones_are_not_ours(&anvil, &raw, value, address);
        let before = anvil.balance(SOMEONE);
        let receipt = anvil.send(&raw).unwrap();
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        assert_eq!(receipt["type"], kind);
        assert_eq!(receipt["from"].as_str().unwrap(), address.to_lowercase());
        assert_eq!(receipt["to"].as_str().unwrap(), SOMEONE.to_lowercase());
        assert_eq!(anvil.balance(SOMEONE) - before, value);
        assert!(anvil.send(&raw).is_err(), "the same nonce again");
    }
}

/// A changed value or signature is refused, or recovers to someone who owns nothing.
fn tampered_ones_are_not_ours(anvil: &Anvil, raw: &str, value: u128, address: &str) {
    let bytes = hex::decode(raw.trim_start_matches("0x")).unwrap();
    let s = bytes.last_chunk::<16>().unwrap();
    let r = &bytes[bytes.len() - 49..bytes.len() - 33];
    let value = value.to_be_bytes();
    let value: Vec<u8> = value.into_iter().skip_while(|byte| *byte == 0).collect();
    for changed in [
        tamper(raw, s, 15),
        tamper(raw, r, 3),
        tamper(raw, &value, 1),
    ] {
        assert_ne!(changed, raw);
        let before = anvil.balance(address);
        let refused = anvil.send(&changed);
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(anvil.balance(address), before);
    }
}
