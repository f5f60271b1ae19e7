//! What a restart keeps.

use crate::support::hostile::{Hostile, begin, code, signatures};
use crate::support::{Cluster, Setup, payloads};
use quorate_types::node::NodeReply;
use quorate_types::{Action, DerivationPath, KeyId, Network, Payload};

#[test]
fn i05_a_begun_attempt_is_not_begun_again_after_a_restart_and_a_finished_one_returns_its_result() {
    let mut cluster = Cluster::start(Setup::new(2, 3).timeouts(30, 200, 4));
    let hostile = Hostile::new(&cluster);
    let listing = cluster.create_key("sol", "ed25519", &[]);
    let id: KeyId = listing["record"]["id"].as_str().unwrap().parse().unwrap();
    let shown = cluster.json(&["address", "--key", "sol", "--chain", "solana"]);
    let key = bitcoin::base58::decode(shown["address"].as_str().unwrap()).unwrap();
    let transfer = |lamports| Action::Sign {
        key: id,
        path: DerivationPath::root(),
        network: Some(Network::Solana),
        payload: Payload::SolanaMessage(payloads::solana_transfer(&key, &[7; 32], lamports)),
        purpose: String::new(),
    };
    let quorum = [1, 2];

    let finished = hostile.signed(transfer(1));
    let start = begin(&finished, 0, &hostile.nonces(&finished, 0, &quorum));
    let first = signatures(hostile.finish(&start, &quorum).remove(0));

    // Begun at one agent only: it waits for the other in vain.
    let begun = hostile.signed(transfer(2));
    let start = begin(&begun, 0, &hostile.nonces(&begun, 0, &quorum));
    hostile.send(1, &start);
    assert!(matches!(hostile.end_of(1, &start), NodeReply::Failed(_)));

    cluster.kill(1);
    cluster.restart(1);
    let again = hostile.prepare(1, &finished, 0, &quorum);
    assert_eq!(
        signatures(again),
        first,
        "the same result, not a second signature"
    );
    let NodeReply::Prepared { nonce, .. } = hostile.prepare(1, &begun, 0, &quorum) else {
        panic!("an attempt that yielded nothing may be prepared");
    };
    let repeated = begin(&begun, 0, &[nonce, [9; 32]]);
    hostile.send(1, &repeated);
    assert_eq!(code(hostile.end_of(1, &repeated)), "repeated");

    // The next attempt of the same intent is a fresh one.
    let start = begin(&begun, 1, &hostile.nonces(&begun, 1, &quorum));
    signatures(hostile.finish(&start, &quorum).remove(0));
}

#[test]
fn a_cluster_that_was_stopped_finds_its_keys_again() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("vault", "secp256k1", &["--scheme", "bip340"]);
    let before = cluster.json(&["key", "show", "vault"]);
    for number in [1, 2, 3] {
        cluster.restart(number);
    }
    assert_eq!(cluster.json(&["key", "show", "vault"]), before);
    let shown = cluster.json(&["address", "--key", "vault", "--chain", "bitcoin-regtest"]);
    let (psbt, _) = payloads::bitcoin_spend(shown["address"].as_str().unwrap(), &[90_000]);
    let file = cluster.write("spend.psbt", payloads::psbt_text(&psbt));
    cluster.json(&[
        "sign",
        "--key",
        "vault",
        "--chain",
        "bitcoin-regtest",
        "--in",
        &file,
    ]);
}
