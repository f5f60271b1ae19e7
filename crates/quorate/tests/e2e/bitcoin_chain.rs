//! Spends that Bitcoin Core's own script check accepts.

use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::{Amount, Transaction, Txid};

use crate::support::chains::bitcoin_core_accepts;
use crate::support::payloads::{bitcoin_spend, psbt_text};
use crate::support::{Cluster, Setup};

const CHAIN: &str = "bitcoin-regtest";
const PATH: &str = "m/0/7";

fn spends_are_valid(cluster: &Cluster, key: &str, prefix: &str) {
    let shown = cluster.json(&["address", "--key", key, "--chain", CHAIN, "--path", PATH]);
    let address = shown["address"].as_str().unwrap();
    assert!(address.starts_with(prefix), "{address}");
    let (psbt, spent) = bitcoin_spend(address, &[60_000_000, 41_000, 7_000_000]);
    let file = cluster.write("spend.psbt", psbt_text(&psbt));
    let signed = cluster.json(&[
        "sign", "--key", key, "--path", PATH, "--chain", CHAIN, "--in", &file,
    ]);
    assert_eq!(
        signed["signatures"].as_array().map(Vec::len),
        Some(3),
        "one for each input"
    );

    let bytes = hex::decode(signed["signed"].as_str().unwrap()).unwrap();
    assert!(bitcoin_core_accepts(&bytes, &spent), "{signed}");
    let transaction: Transaction = deserialize(&bytes).unwrap();
    let id: Txid = signed["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(transaction.compute_txid(), id);
    assert_eq!(
        id,
        psbt.unsigned_tx.compute_txid(),
        "what was signed is what was asked for"
    );

    let changes: [fn(&mut Transaction); 4] = [
        |tx| tx.output[0].value += Amount::ONE_SAT,
        |tx| tx.output.truncate(1),
        |tx| tx.input[2].sequence.0 -= 1,
        |tx| {
            let (first, second) = (tx.input[0].witness.clone(), tx.input[1].witness.clone());
            (tx.input[0].witness, tx.input[1].witness) = (second, first);
        },
    ];
    for change in changes {
        let mut tampered = transaction.clone();
        change(&mut tampered);
        assert!(!bitcoin_core_accepts(&serialize(&tampered), &spent));
    }
    let mut other_amount = spent;
    other_amount[1].value += Amount::ONE_SAT;
    assert!(!bitcoin_core_accepts(&bytes, &other_amount));
}

/// Two spends in one request, of three inputs and of one.
fn a_batch_is_valid(cluster: &Cluster, key: &str) {
    let shown = cluster.json(&["address", "--key", key, "--chain", CHAIN, "--path", PATH]);
    let address = shown["address"].as_str().unwrap();
    let spends = [&[60_000_000, 41_000, 7_000_000][..], &[3_000_000]];
    let spends = spends.map(|coins| bitcoin_spend(address, coins));
    let [one, two] = ["one.psbt", "two.psbt"];
    let files = [
        cluster.write(one, psbt_text(&spends[0].0)),
        cluster.write(two, psbt_text(&spends[1].0)),
    ];
    let signed = cluster.json(&[
        "sign", "--key", key, "--path", PATH, "--chain", CHAIN, "--in", &files[0], "--in",
        &files[1],
    ]);
    assert_eq!(signed["signatures"].as_array().map(Vec::len), Some(4));
    let batch = signed["batch"].as_array().unwrap();
    assert_eq!(batch.len(), 2);
    for (member, (psbt, spent)) in batch.iter().zip(&spends) {
        let bytes = hex::decode(member["signed"].as_str().unwrap()).unwrap();
        assert!(bitcoin_core_accepts(&bytes, spent), "{signed}");
        let id: Txid = member["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(id, psbt.unsigned_tx.compute_txid());
    }
}

#[test]
fn segwit_spends_of_several_inputs_pass_bitcoin_cores_check() {
    let cluster = Cluster::start(Setup::new(2, 3).with_committee());
    cluster.create_key("hot", "secp256k1", &[]);
    spends_are_valid(&cluster, "hot", "bcrt1q");
    a_batch_is_valid(&cluster, "hot");
}

#[test]
fn taproot_spends_of_several_inputs_pass_bitcoin_cores_check() {
    let cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("vault", "secp256k1", &["--scheme", "bip340"]);
    spends_are_valid(&cluster, "vault", "bcrt1p");
    a_batch_is_valid(&cluster, "vault");
}
