//! Several payloads in one request, from the command line to what it prints.

use serde_json::{Value, json};

use crate::support::chains::Anvil;
use crate::support::payloads::{eip1559, solana_transfer};
use crate::support::{Cluster, Setup};

const EVM: &str = "ethereum:31337";
const PATH: &str = "m/1";

/// `--in` for each of these Ethereum transactions.
fn transactions(cluster: &Cluster, count: u64) -> Vec<String> {
    let one = |nonce| {
        let name = format!("tx-{nonce}.json");
        let file = cluster.write(&name, eip1559(nonce, 1000 + u128::from(nonce)));
        ["--in".to_owned(), file]
    };
    (0..count).flat_map(one).collect()
}

/// A command about what these files hold.
fn about<'a>(command: &'a str, key: &'a [&'a str], files: &'a [String]) -> Vec<&'a str> {
    let files = files.iter().map(String::as_str);
    [&[command][..], key]
        .concat()
        .into_iter()
        .chain(files)
        .collect()
}

fn assert_verified(cluster: &Cluster, key: &[&str], files: &[String], signed: &Value) {
    let signatures = signed["signatures"].as_array().unwrap();
    let mut verify = about("verify", key, files);
    for signature in signatures {
        verify.extend(["--signature", signature["bytes"].as_str().unwrap()]);
    }
    assert_eq!(cluster.json(&verify)["valid"], true);
    let last = verify.len() - 1;
    verify[last] = signatures[0]["bytes"].as_str().unwrap();
    let problem = cluster.problem(&verify);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("NOT good"), "{problem}");
}

#[test]
fn ethereum_transactions_of_one_batch_are_signed_by_one_request() {
    let cluster = Cluster::start(Setup::new(2, 3).with_committee());
    cluster.create_key("hot", "secp256k1", &[]);
    let key = ["--key", "hot", "--path", PATH, "--chain", EVM];
    let shown = cluster.json(&["address", "--key", "hot", "--chain", EVM, "--path", PATH]);
    let address = shown["address"].as_str().unwrap();
    let files = transactions(&cluster, 3);
    let signed = cluster.json(&about("sign", &key, &files));
    assert_verified(&cluster, &key, &files, &signed);
    assert_eq!(signed["facts"]["kind"], "batch");
    let batch = signed["batch"].as_array().unwrap();
    assert_eq!(batch.len(), 3);
    let anvil = Anvil::start();
    let funds = json!([address, "0xde0b6b3a7640000"]);
    anvil.call("anvil_setBalance", &funds).unwrap();
    for member in batch {
        let receipt = anvil.send(member["signed"].as_str().unwrap()).unwrap();
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        assert_eq!(receipt["from"].as_str().unwrap(), address.to_lowercase());
        assert_eq!(receipt["transactionHash"], member["id"]);
    }

    // It was one request, and can be looked at as one.
    let requests = cluster.json(&["request", "list"]);
    let latest = requests[0]["intent"].as_str().unwrap();
    let request = cluster.json(&["request", "show", latest]);
    assert_eq!(request["batch"], signed["batch"]);
    let lines = request["shown"].as_array().unwrap();
    assert_eq!(lines[1], "batch of 3, signed all or none");
    for number in 1..=3 {
        let start = format!("{number}/3: ");
        assert!(
            lines
                .iter()
                .any(|line| line.as_str().unwrap().starts_with(&start))
        );
    }

    let out = cluster.file("signed.txt");
    let out = out.to_str().unwrap();
    let mut written = about("sign", &key, &files);
    written.extend(["--out", out]);
    cluster.cli(&written).ok();
    let text = std::fs::read_to_string(out).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.starts_with("0x02")));
}

#[test]
fn solana_messages_of_one_batch_are_signed_and_a_bad_one_stops_all() {
    let cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("sol", "ed25519", &[]);
    let key = ["--key", "sol", "--chain", "solana"];
    let shown = cluster.json(&["address", "--key", "sol", "--chain", "solana"]);
    let from = bitcoin::base58::decode(shown["address"].as_str().unwrap()).unwrap();
    let transfer = |name: &str, from: &[u8], lamports| {
        cluster.write(name, solana_transfer(from, &[7; 32], lamports))
    };
    let own: Vec<String> = (1..=5)
        .flat_map(|n| ["--in".to_owned(), transfer(&format!("{n}.bin"), &from, n)])
        .collect();
    let signed = cluster.json(&about("sign", &key, &own));
    assert_eq!(signed["batch"].as_array().map(Vec::len), Some(5));
    assert_verified(&cluster, &key, &own, &signed);

    let refused = |files: &[String], why: &str| {
        let problem = cluster.problem(&about("sign", &key, files));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{problem}");
    };
    let foreign = ["--in".to_owned(), transfer("foreign.bin", &[9; 32], 1)];
    refused(&[&own[..4], &foreign].concat(), "3 of 3 in the batch: ");
    refused(
        &[&own[..4], &own[..2]].concat(),
        "member 3 of the batch is the same as member 1",
    );
}
