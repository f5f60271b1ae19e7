//! What the fuzz targets begin with.

use std::path::PathBuf;

use quorate_chain::Facts;
use quorate_types::Payload;

use super::{all, analysed, updating};

/// Transactions as JSON, one of each type.
const JSON: [(&str, &str); 5] = [
    (
        "legacy",
        r#"{"chainId": 1, "nonce": "0x9", "gasPrice": "20000000000", "gas": 21000, "to": "0x3535353535353535353535353535353535353535", "value": "0xde0b6b3a7640000", "data": "0x"}"#,
    ),
    (
        "eip2930",
        r#"{"chainId": 1, "nonce": 0, "gas": 1, "gasPrice": 1, "accessList": [{"address": "0x3535353535353535353535353535353535353535", "storageKeys": ["0x0000000000000000000000000000000000000000000000000000000000000001"]}]}"#,
    ),
    (
        "eip1559",
        r#"{"type": "0x2", "chainId": "0x1", "nonce": 7, "gasLimit": "0x5208", "maxFeePerGas": "30000000000", "maxPriorityFeePerGas": "0x3b9aca00", "to": "0x3535353535353535353535353535353535353535", "value": "1500000000000000000"}"#,
    ),
    (
        "eip4844",
        r#"{"type": 3, "chainId": 1, "nonce": 0, "gas": 21000, "maxFeePerGas": 2, "maxPriorityFeePerGas": 1, "to": "0x3535353535353535353535353535353535353535", "maxFeePerBlobGas": 5, "blobVersionedHashes": ["0x0100000000000000000000000000000000000000000000000000000000000001"]}"#,
    ),
    (
        "eip7702",
        r#"{"type": 4, "chainId": 1, "nonce": 0, "gas": 21000, "maxFeePerGas": 2, "maxPriorityFeePerGas": 1, "to": "0x3535353535353535353535353535353535353535", "authorizationList": [{"chainId": 1, "address": "0x3535353535353535353535353535353535353535", "nonce": "0x1", "yParity": 0, "r": "0x1", "s": "0x1"}]}"#,
    ),
];

/// Target, name and bytes of every seed.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for entry in all().into_iter().flat_map(|(_, entries)| entries) {
        let (target, bytes) = match entry.payload.clone() {
            Payload::EvmTransaction(bytes) => {
                let analysis = analysed(&entry.payload, entry.network, entry.scheme);
                if let Some(data) = call_data(&analysis.facts, &bytes) {
                    seeds.push(("evm_call_data", entry.name.to_owned(), data));
                }
                ("evm_transaction", bytes)
            }
            Payload::TypedData(text) => ("typed_data", text.into_bytes()),
            Payload::BitcoinPsbt(bytes) => ("psbt", bytes),
            Payload::SolanaMessage(bytes) => ("solana_message", bytes),
            Payload::Message(bytes) | Payload::Raw(bytes) => ("raw", bytes),
            Payload::Batch(_) => continue,
        };
        seeds.push((target, entry.name.to_owned(), bytes));
    }
    let json = JSON
        .iter()
        .map(|(name, text)| ("evm_json", (*name).to_owned(), text.as_bytes().to_vec()));
    seeds.extend(json);
    seeds
}

/// The contract's 20 bytes and the call data, where the data is the tail of the transaction but for an empty access list.
fn call_data(facts: &Facts, bytes: &[u8]) -> Option<Vec<u8>> {
    let Facts::Evm(facts) = facts else {
        return None;
    };
    let to = hex::decode(facts.to.as_ref()?.trim_start_matches("0x")).unwrap();
    let data = bytes.strip_suffix(&[0xc0])?;
    let data = &data[data.len().checked_sub(facts.data_len)?..];
    (facts.data_len > 1).then(|| [&to[..], data].concat())
}

#[test]
fn seeds_of_the_fuzz_targets_are_the_corpus() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (target, name, bytes) in seeds() {
        let file = root.join(target).join(&name);
        if updating() {
            std::fs::create_dir_all(root.join(target)).unwrap();
            std::fs::write(&file, &bytes).unwrap();
        }
        let found = std::fs::read(&file).unwrap_or_default();
        assert!(
            found == bytes,
            "seed {target}/{name} has changed; run with QUORATE_UPDATE_GOLDEN=1"
        );
    }
}
