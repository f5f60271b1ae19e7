//! Signing with presignatures from the outside: pools fill by themselves, empty as they are used, and what cannot be signed with them is
//! signed without.

use std::collections::BTreeSet;
use std::time::Duration;

use bitcoin::Transaction;
use bitcoin::consensus::encode::deserialize;
use bytes::Bytes;
use quorate_messaging::{NatsTransport, Subject, Transport as _};
use quorate_party_agent::LogEntry;
use quorate_storage::Ledger;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{Failure, NodeReply, NodeRequest, NodeStatus};
use quorate_types::{Dialect, FailureCode, Hash32, NonceCommitments};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::chains::bitcoin_core_accepts;
use crate::support::cluster::party;
use crate::support::hostile::{Hostile, options};
use crate::support::payloads::{bitcoin_spend, psbt_text};
use crate::support::{Cluster, Setup, wait_for};

const CHAIN: &str = "bitcoin-regtest";
/// A pool of four takes two processes about ten seconds with nothing else to do. They make it when
/// nothing else wants the processors, which other tests do.
const FILLED_WITHIN: Duration = Duration::from_secs(900);

/// Spends so many coins of `hot`, as Bitcoin Core accepts.
fn spend(cluster: &Cluster, coins: &[u64]) -> Value {
    spend_of(cluster, "hot", coins)
}

fn spend_of(cluster: &Cluster, key: &str, coins: &[u64]) -> Value {
    let shown = cluster.json(&["address", "--key", key, "--chain", CHAIN]);
    let (psbt, spent) = bitcoin_spend(shown["address"].as_str().unwrap(), coins);
    let file = cluster.write("spend.psbt", psbt_text(&psbt));
    let signed = cluster.json(&["sign", "--key", key, "--chain", CHAIN, "--in", &file]);
    let bytes = hex::decode(signed["signed"].as_str().unwrap()).unwrap();
    assert!(bitcoin_core_accepts(&bytes, &spent), "{signed}");
    let transaction: Transaction = deserialize(&bytes).unwrap();
    assert_eq!(transaction.input.len(), coins.len());
    signed
}

/// How many presignatures each custodian has of its fullest pool; 0 where there is none.
pub fn levels(cluster: &Cluster) -> Vec<u64> {
    let status = cluster.json(&["status"]);
    let level = |party: &Value| {
        let pools = party["status"]["pools"].as_array();
        let levels = pools
            .into_iter()
            .flatten()
            .map(|p| p["level"].as_u64().unwrap());
        levels.max().unwrap_or(0)
    };
    status["parties"]
        .as_array()
        .unwrap()
        .iter()
        .map(level)
        .collect()
}

/// Waits until two custodians' pools are full.
pub fn wait_until_full(cluster: &Cluster) {
    wait_for("full pools", FILLED_WITHIN, || {
        let full = levels(cluster)
            .into_iter()
            .filter(|level| *level >= u64::from(Setup::POOL));
        (full.count() >= 2).then_some(())
    });
}

#[test]
fn pools_fill_are_used_and_outlive_a_custodian() {
    let mut cluster = Cluster::start(Setup::new(2, 3).with_committee().with_presignatures());
    cluster.create_key("hot", "secp256k1", &[]);
    assert_eq!(levels(&cluster), [0, 0, 0]);
    spend(&cluster, &[60_000]);
    wait_until_full(&cluster);

    // One for each input.
    let signed = spend(&cluster, &[60_000, 41_000, 7_000]);
    assert_eq!(signed["signatures"].as_array().map(Vec::len), Some(3));
    let mut left = levels(&cluster);
    left.sort_unstable();
    assert_eq!(left, [0, 1, 1]);
    let shown = cluster.cli(&["status"]).ok();
    assert!(shown.stdout.contains("presignatures"), "{}", shown.stdout);

    // A restarted custodian has forgotten its own, and those of the others are of no use.
    cluster.stop_agent(1);
    cluster.restart(1);
    cluster.wait_until_online(&[1]);
    spend(&cluster, &[50_000]);
    wait_until_full(&cluster);
    spend(&cluster, &[40_000]);

    // Nor does it take those who have presignatures to sign.
    cluster.kill(1);
    spend(&cluster, &[30_000]);
}

/// What a custodian that does not run has used up, run by run.
fn used(cluster: &Cluster, number: u16) -> Vec<Vec<Hash32>> {
    let ledger = Ledger::open(&cluster.custodian(number).join("data/ledger.redb")).unwrap();
    let leaves = ledger.leaves(0, 10_000).unwrap();
    let entries = leaves
        .iter()
        .map(|(_, leaf)| LogEntry::from_canonical_bytes(leaf, leaf.len()).unwrap());
    let begun = entries.filter_map(|entry| match entry {
        LogEntry::Begun { presignatures, .. } => Some(presignatures),
        _ => None,
    });
    begun.collect()
}

#[test]
fn i04_frost_signs_in_one_round_and_no_nonces_twice_although_custodians_die() {
    let mut cluster = Cluster::start(Setup::new(2, 3).with_presignatures());
    cluster.create_key("vault", "secp256k1", &["--scheme", "bip340"]);
    let coins: &[&[u64]] = &[&[60_000], &[60_000, 41_000, 7_000], &[50_000]];
    for coins in coins {
        spend_of(&cluster, "vault", coins);
    }
    // Its nonces are gone, and the orchestrator still has the commitments.
    cluster.kill(1);
    cluster.restart(1);
    cluster.wait_until_online(&[1]);
    spend_of(&cluster, "vault", &[40_000, 9_000]);
    cluster.kill(1);
    spend_of(&cluster, "vault", &[30_000]);
    cluster.stop();
    for number in 1..=3 {
        let runs = used(&cluster, number);
        let all: Vec<Hash32> = runs.concat();
        let different: BTreeSet<&Hash32> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "party-{number} used some twice");
    }
    // The second signed whatever was signed, in one round each: one pair of nonces for each coin.
    let mut of_each: Vec<usize> = used(&cluster, 2).iter().map(Vec::len).collect();
    // The key's creation used none.
    assert_eq!(of_each.remove(0), 0);
    assert!(of_each.iter().all(|count| *count > 0), "{of_each:?}");
    assert!(of_each.contains(&3), "{of_each:?}");
}

/// Answers in the place of the second custodian, with its own certificate: commits to nonces that are no points, and accuses the first of whatever
/// comes of it.
fn impersonate(hostile: &Hostile, cluster: &Cluster, status: &NodeStatus) -> JoinHandle<()> {
    let (options, status) = (options(cluster, "party-2"), status.clone());
    let answer = move |request: NodeRequest| match request {
        NodeRequest::Status => NodeReply::Status(status.clone()),
        NodeRequest::Commit { count, .. } => {
            let no_points = NonceCommitments {
                hiding: vec![0xff; 32],
                binding: vec![0xff; 32],
            };
            NodeReply::Commitments(vec![no_points; count as usize])
        }
        _ => NodeReply::Failed(Failure::by(
            party(1),
            FailureCode::WrongPartial,
            "it was party-1",
        )),
    };
    let (transport, mut requests) = hostile.runtime.block_on(async {
        let transport = NatsTransport::connect(options).await.unwrap();
        let subject = Subject::Node(party(2)).to_string();
        let requests = transport.subscribe(subject).await.unwrap();
        (transport, requests)
    });
    hostile.runtime.spawn(async move {
        while let Some(delivery) = requests.next().await {
            let Some(reply_to) = delivery.reply else {
                continue;
            };
            let dialect = Dialect::current();
            let (_, request) = dialect
                .read(&delivery.payload, NodeRequest::MAX_LEN)
                .unwrap();
            let reply = Bytes::from(dialect.frame(&answer(request)));
            transport.publish(reply_to, reply).await.unwrap();
        }
    })
}

#[test]
fn who_commits_to_nonces_that_are_no_points_is_named_and_left_out() {
    let mut cluster = Cluster::start(Setup::new(2, 3).with_presignatures());
    cluster.create_key("vault", "ed25519", &["--raw-signing"]);
    let hostile = Hostile::new(&cluster);
    let status = hostile.status(2);
    cluster.stop_agent(2);
    let impostor = impersonate(&hostile, &cluster, &status);
    let signed = cluster.json(&["sign", "--key", "vault", "--message", "hello"]);
    let custodians = signed["custodians"].as_array().unwrap();
    assert_eq!(custodians, &["party-1", "party-3"]);
    let notes = signed["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    let note = notes[0].as_str().unwrap();
    assert!(
        note.contains("commitments of party-2 are no points"),
        "{note}"
    );
    impostor.abort();
}
