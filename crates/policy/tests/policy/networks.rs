//! T31: whoever asks names the network, and the signed bytes do not always say which one is meant.

use std::path::Path;

use quorate_chain::{Analysis, SigningItem, analyse_for};
use quorate_policy::{Act, Decision, KeyFacts, sighashes};
use quorate_types::{
    BitcoinNetwork, Curve, Hash32, IntentHash, KeyId, KeyName, KeyRecord, Network, Payload,
    PublicKey, Scheme, Threshold,
};
use serde_json::Value;

use crate::support::*;

/// What chains sign, with the key that signs it: the corpus of the `chain` crate.
struct Sample {
    name: String,
    payload: Payload,
    record: KeyRecord,
    path: quorate_types::DerivationPath,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn sample(file: &Path) -> Sample {
    let document: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let bytes = || hex::decode(text(&document["payload"]["hex"])).unwrap();
    let payload = match text(&document["payload"]["kind"]).as_str() {
        "evm-transaction" => Payload::EvmTransaction(bytes()),
        "message" => Payload::Message(bytes()),
        "typed-data" => Payload::TypedData(text(&document["payload"]["text"])),
        "bitcoin-psbt" => Payload::BitcoinPsbt(bytes()),
        "solana-message" => Payload::SolanaMessage(bytes()),
        other => panic!("{other}"),
    };
    let key = &document["key"];
    let root: PublicKey = serde_json::from_value(key["root"].clone()).unwrap();
    let chain_code: [u8; 32] = hex::decode(text(&key["chain_code"]))
        .unwrap()
        .try_into()
        .unwrap();
    Sample {
        name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
        payload,
        record: KeyRecord {
            id: KeyId::from_bytes([1; 32]),
            name: KeyName::new("hot").unwrap(),
            public_key: root,
            chain_code: Hash32::from_bytes(chain_code),
            scheme: serde_json::from_value(key["scheme"].clone()).unwrap(),
            threshold: Threshold::new(2, 3).unwrap(),
            committee: Vec::new(),
            public_shares: Vec::new(),
            epoch: 0,
            raw_signing: false,
            created_at: 0,
        },
        path: text(&key["path"]).parse().unwrap(),
    }
}

fn samples() -> Vec<Sample> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../chain/tests/corpus");
    let mut samples = Vec::new();
    for chain in ["evm", "bitcoin", "solana"] {
        let mut files: Vec<_> = std::fs::read_dir(corpus.join(chain))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        samples.extend(files.iter().map(|file| sample(file)));
    }
    assert!(samples.len() > 40);
    samples
}

const LABELS: [Network; 8] = [
    ETHEREUM,
    Network::Evm { chain_id: 10 },
    Network::Evm {
        chain_id: 11_155_111,
    },
    Network::Evm { chain_id: 31_337 },
    Network::Bitcoin(BitcoinNetwork::Mainnet),
    Network::Bitcoin(BitcoinNetwork::Testnet),
    Network::Bitcoin(BitcoinNetwork::Regtest),
    Network::Solana,
];

/// Rules that say something else for every network, of each kind that looks at one.
fn by_network() -> String {
    let mut rules = String::new();
    for (number, network) in LABELS.iter().enumerate() {
        rules.push_str(&format!(
            "[[rule]]\nid = \"of-{number}\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = {}\nwhen = {{ networks = [\"{network}\"] }}\n",
            1 + number % 3
        ));
    }
    rules.push_str(
        "[[rule]]\nid = \"chains\"\ntype = \"chains\"\nallow = [\"ethereum\", \"bitcoin\", \"bitcoin-regtest\", \"solana\"]\n\
         [[rule]]\nid = \"some\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 1\nwhen = { asset = \"BTC\", above = \"0.0001\" }\n\
         [[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"BTC\"\nmax = \"0.0001\"\nwindow = \"24h\"\n\
         [[rule]]\nid = \"fee\"\ntype = \"fee\"\nasset = \"BTC\"\nmax_rate = 1\n\
         [[rule]]\nid = \"book\"\ntype = \"address-book\"\n",
    );
    rules
}

fn read(sample: &Sample, label: Network) -> Option<(PublicKey, Analysis)> {
    analyse_for(&sample.payload, Some(label), &sample.record, &sample.path).ok()
}

fn decide(desk: &Desk, sample: &Sample, label: Network, read: &(PublicKey, Analysis)) -> Decision {
    let (child, analysis) = read;
    let hashes = sighashes(child, &analysis.items);
    let act = Act::Sign {
        id: sample.record.id,
        key: KeyFacts::of(&sample.record),
        network: Some(label),
        payload: &sample.payload,
        effects: &analysis.effects,
        sighashes: &hashes,
    };
    desk.decide(act, IntentHash::from_bytes([5; 32])).0
}

/// For every payload and any two labels: if what is signed is the same, one of the labels is
/// refused,
/// or they decide nothing.
#[test]
fn t31_no_label_decides_about_bytes_that_do_not_name_it() {
    let desk = Desk::new(&by_network());
    let mut same = 0;
    for sample in samples() {
        let reads: Vec<_> = LABELS
            .iter()
            .filter_map(|label| Some((*label, read(&sample, *label)?)))
            .collect();
        for (one, read_as_one) in &reads {
            for (other, read_as_other) in &reads {
                let items =
                    |read: &(PublicKey, Analysis)| -> Vec<SigningItem> { read.1.items.clone() };
                if one == other || items(read_as_one) != items(read_as_other) {
                    continue;
                }
                same += 1;
                let decided = decide(&desk, &sample, *one, read_as_one);
                let otherwise = decide(&desk, &sample, *other, read_as_other);
                let refused = |decision: &Decision| match decision {
                    Decision::Deny(reasons) => reasons.iter().any(|r| r.rule == "bitcoin-network"),
                    _ => false,
                };
                assert!(
                    refused(&decided) || refused(&otherwise) || decided == otherwise,
                    "{}: as {one} {decided:?}, as {other} {otherwise:?}",
                    sample.name
                );
            }
        }
    }
    assert!(same > 50, "{same} pairs of labels for the same bytes");
}

/// 100 bitcoin, asked for as if they were worth nothing.
#[test]
fn t31_a_main_network_psbt_is_not_signed_as_a_testnet_one() {
    let desk = Desk::new(
        "[[rule]]\nid = \"big\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 2\nwhen = { asset = \"BTC\", above = \"0.0001\" }",
    );
    let psbt = samples().into_iter().find(|s| s.name == "p2wpkh-payment");
    let psbt = psbt.unwrap();
    let main = Network::Bitcoin(BitcoinNetwork::Mainnet);
    let analysis = read(&psbt, main).unwrap();
    assert!(matches!(
        decide(&desk, &psbt, main, &analysis),
        Decision::Pending(_)
    ));
    for label in [BitcoinNetwork::Testnet, BitcoinNetwork::Regtest] {
        let label = Network::Bitcoin(label);
        let relabelled = read(&psbt, label).unwrap();
        assert_eq!(relabelled.1.items, analysis.1.items);
        match decide(&desk, &psbt, label, &relabelled) {
            Decision::Deny(reasons) => assert_eq!(reasons[0].rule, "bitcoin-network"),
            other => panic!("{other:?}"),
        }
    }
}

/// A cluster for trying things out has its own network, and the main one is refused there.
#[test]
fn t31_a_regtest_cluster_signs_for_regtest_alone() {
    let desk = Desk::new(
        "[bitcoin]\nnetwork = \"bitcoin-regtest\"\n[[rule]]\nid = \"any\"\ntype = \"allow-unknown-assets\"",
    );
    let psbt = samples().into_iter().find(|s| s.name == "p2wpkh-payment");
    let psbt = psbt.unwrap();
    for (network, allowed) in [
        (BitcoinNetwork::Regtest, true),
        (BitcoinNetwork::Testnet, false),
        (BitcoinNetwork::Mainnet, false),
    ] {
        let label = Network::Bitcoin(network);
        let decision = decide(&desk, &psbt, label, &read(&psbt, label).unwrap());
        assert_eq!(matches!(decision, Decision::Allow(_)), allowed, "{network}");
    }
}

#[test]
fn t31_typed_data_without_a_chain_is_refused_until_a_rule_allows_it() {
    let text = r#"{"types":{"EIP712Domain":[{"name":"name","type":"string"}],
        "Mail":[{"name":"text","type":"string"}]},"primaryType":"Mail",
        "domain":{"name":"Any"},"message":{"text":"hello"}}"#;
    let sample = Sample {
        name: "any".to_owned(),
        payload: Payload::TypedData(text.to_owned()),
        record: KeyRecord {
            scheme: Scheme::Ecdsa,
            ..samples().swap_remove(0).record
        },
        path: "m".parse().unwrap(),
    };
    assert_eq!(sample.record.public_key.curve(), Curve::Secp256k1);
    let decide = |rules: &str| {
        let analysis = read(&sample, ETHEREUM).unwrap();
        decide(&Desk::new(rules), &sample, ETHEREUM, &analysis)
    };
    let allow = |dangers: &str| {
        format!("[[rule]]\nid = \"allow\"\ntype = \"allow-danger\"\ndangers = [{dangers}]")
    };
    match decide(&allow("\"undecodable\"")) {
        Decision::Deny(reasons) => assert_eq!(reasons[0].rule, "no-any-chain"),
        other => panic!("{other:?}"),
    }
    let both = allow("\"undecodable\", \"any-chain\"");
    assert!(matches!(decide(&both), Decision::Allow(_)));
    // What is valid everywhere is not allowed because it was asked for where rules are lenient.
    let lenient = format!("{} \nwhen = {{ networks = [\"ethereum\"] }}", both);
    assert!(matches!(decide(&lenient), Decision::Deny(_)));
}
