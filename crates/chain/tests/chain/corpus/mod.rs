//! Transactions as they are seen on the main networks, with everything that is read from them.
//!
//! Each entry is in three places: here as it is put together, with its effects written by hand; in `tests/corpus` as bytes with
//! facts and effects, for other readers; and below `fuzz/seeds`, for the fuzz targets to begin with.
//! `QUORATE_UPDATE_GOLDEN=1` writes the files anew; the effects here are never written by a program.

mod bitcoin;
mod evm;
mod seeds;
mod solana;

use std::path::PathBuf;

use quorate_chain::{Analysis, AssetRef, Effects, Movement, MovementKind, analyse_for};
use quorate_types::{Curve, DerivationPath, KeyRecord, Network, Payload, PublicKey, Scheme};
use serde_json::{Value, json};

use crate::common::record;

/// The generators of the two groups, which are the keys with the secret 1.
const SECP256K1: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const ED25519: &str = "5866666666666666666666666666666666666666666666666666666666666666";
pub const CHAIN_CODE: [u8; 32] = [7; 32];

/// A payload and what it does, by hand.
pub struct Entry {
    /// Of its file.
    pub name: &'static str,
    /// Where its shape comes from.
    pub source: &'static str,
    pub network: Network,
    pub scheme: Scheme,
    pub payload: Payload,
    /// `transfer` or `approval`, amount, asset, `to`, destination; in order.
    pub movements: Vec<String>,
    pub dangers: &'static [&'static str],
    /// The fee in the chain's smallest unit.
    pub fee: &'static str,
}

pub fn root(scheme: Scheme) -> PublicKey {
    let (curve, hex) = match scheme {
        Scheme::Eddsa => (Curve::Ed25519, ED25519),
        Scheme::Ecdsa | Scheme::Bip340 => (Curve::Secp256k1, SECP256K1),
    };
    PublicKey::new(curve, &hex::decode(hex).unwrap()).unwrap()
}

fn key_record(scheme: Scheme) -> KeyRecord {
    record(scheme, root(scheme), CHAIN_CODE)
}

fn path(network: Network) -> DerivationPath {
    match network {
        Network::Solana => DerivationPath::root(),
        _ => "m/0/3".parse().unwrap(),
    }
}

/// All entries, by the folder they are in.
pub fn all() -> Vec<(&'static str, Vec<Entry>)> {
    vec![
        ("evm", evm::entries()),
        ("bitcoin", bitcoin::entries()),
        ("solana", solana::entries()),
    ]
}

fn analysed(payload: &Payload, network: Network, scheme: Scheme) -> Analysis {
    let analysed = analyse_for(payload, Some(network), &key_record(scheme), &path(network));
    analysed.unwrap().1
}

fn asset(asset: &AssetRef) -> String {
    match asset {
        AssetRef::Native => "native".to_owned(),
        AssetRef::Token { contract } => format!("token {contract}"),
        AssetRef::TokenOrItem { contract } => format!("token or item of {contract}"),
        AssetRef::Item { contract, id } => format!("item {id} of {contract}"),
    }
}

fn text(movement: &Movement) -> String {
    let kind = match movement.kind {
        MovementKind::Transfer => "transfer",
        MovementKind::Approval => "approval",
    };
    let asset = asset(&movement.asset);
    let own = movement.own.as_ref().map(|path| format!(", at {path}"));
    format!(
        "{kind} {} {asset} to {}{}",
        movement.amount,
        movement.destination,
        own.unwrap_or_default()
    )
}

#[track_caller]
fn assert_effects(entry: &Entry, effects: &Effects) {
    let name = entry.name;
    let movements: Vec<_> = effects.movements.iter().map(text).collect();
    assert_eq!(movements, entry.movements, "movements of {name}");
    let dangers: Vec<_> = effects.dangers.iter().map(|d| d.name()).collect();
    assert_eq!(dangers, entry.dangers, "dangers of {name}");
    assert_eq!(effects.fee.to_string(), entry.fee, "fee of {name}");
}

fn folder(chain: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(chain)
}

fn updating() -> bool {
    std::env::var_os("QUORATE_UPDATE_GOLDEN").is_some()
}

fn document(entry: &Entry, analysis: &Analysis) -> String {
    let payload = match &entry.payload {
        Payload::TypedData(text) => json!({"kind": "typed-data", "text": text}),
        Payload::EvmTransaction(bytes)
        | Payload::BitcoinPsbt(bytes)
        | Payload::SolanaMessage(bytes)
        | Payload::Message(bytes)
        | Payload::Raw(bytes) => {
            json!({"kind": entry.payload.kind(), "hex": hex::encode(bytes)})
        }
        Payload::Batch(_) => panic!("the corpus has single payloads"),
    };
    let document = json!({
        "source": entry.source,
        "network": entry.network,
        "key": {
            "scheme": entry.scheme,
            "root": root(entry.scheme),
            "chain_code": hex::encode(CHAIN_CODE),
            "path": path(entry.network),
        },
        "payload": payload,
        "summary": analysis.facts.summary_lines(),
        "effects": analysis.effects,
        "facts": analysis.facts,
    });
    serde_json::to_string_pretty(&document).unwrap() + "\n"
}

#[test]
fn entries_have_the_effects_that_were_written_by_hand() {
    for (_, entries) in all() {
        for entry in &entries {
            let analysis = analysed(&entry.payload, entry.network, entry.scheme);
            assert_effects(entry, &analysis.effects);
        }
    }
}

#[test]
fn files_are_the_entries_and_what_is_read_from_them() {
    for (chain, entries) in all() {
        std::fs::create_dir_all(folder(chain)).unwrap();
        for entry in &entries {
            let analysis = analysed(&entry.payload, entry.network, entry.scheme);
            let expected = document(entry, &analysis);
            let file = folder(chain).join(format!("{}.json", entry.name));
            if updating() {
                std::fs::write(&file, &expected).unwrap();
            }
            let found = std::fs::read_to_string(&file).unwrap_or_default();
            // The order of fields is the library's, which other crates of a build may change.
            let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            assert_eq!(
                parsed(&found),
                parsed(&expected),
                "{} has changed; if that is right, run with QUORATE_UPDATE_GOLDEN=1",
                entry.name
            );
        }
        let files = std::fs::read_dir(folder(chain)).unwrap().count();
        assert_eq!(
            files,
            entries.len(),
            "a file of {chain} that no entry makes"
        );
    }
}

/// The files stand for themselves: bytes and key from them give their facts and effects.
#[test]
fn files_can_be_read_without_the_entries() {
    for (chain, _) in all() {
        for file in std::fs::read_dir(folder(chain)).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let document: Value = serde_json::from_str(&text).unwrap();
            let field = |value: &Value| value.as_str().unwrap().to_owned();
            let bytes = || hex::decode(field(&document["payload"]["hex"])).unwrap();
            let payload = match field(&document["payload"]["kind"]).as_str() {
                "evm-transaction" => Payload::EvmTransaction(bytes()),
                "message" => Payload::Message(bytes()),
                "typed-data" => Payload::TypedData(field(&document["payload"]["text"])),
                "bitcoin-psbt" => Payload::BitcoinPsbt(bytes()),
                "solana-message" => Payload::SolanaMessage(bytes()),
                other => panic!("{other}"),
            };
            let key = &document["key"];
            let root: PublicKey = serde_json::from_value(key["root"].clone()).unwrap();
            let scheme: Scheme = serde_json::from_value(key["scheme"].clone()).unwrap();
            let chain_code = hex::decode(field(&key["chain_code"])).unwrap();
            let record = record(scheme, root, chain_code.try_into().unwrap());
            let path = field(&key["path"]).parse().unwrap();
            let network = field(&document["network"]).parse().unwrap();
            let (_, analysis) = analyse_for(&payload, Some(network), &record, &path).unwrap();
            assert_eq!(
                serde_json::to_value(&analysis.effects).unwrap(),
                document["effects"]
            );
            assert_eq!(
                serde_json::to_value(&analysis.facts).unwrap(),
                document["facts"]
            );
        }
    }
}
