//! T26: custodians killed at the worst moment, and NATS gone in the middle of a session.

use std::time::{Duration, Instant};

use quorate_types::{Action, Curve, KeyName, Scheme};
use serde_json::Value;

use crate::support::cluster::party;
use crate::support::hostile::{Hostile, begin, missing};
use crate::support::process::Running;
use crate::support::template::stock_primes;
use crate::support::{Cluster, Setup, wait_for};

const SIGN: [&str; 7] = [
    "sign",
    "--key",
    "hot",
    "--chain",
    "ethereum",
    "--message",
    "hello",
];
const LIMIT: Duration = Duration::from_secs(400);

/// Waits until an agent runs a ceremony.
fn wait_until_running(hostile: &Hostile, number: u16, command: &mut Running) {
    wait_for("the ceremony runs", Duration::from_secs(60), || {
        assert!(
            command.process().has_ended().is_none(),
            "it ended before its custodian could be hurt"
        );
        (hostile.status(number).running > 0).then_some(())
    });
}

fn names(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect()
}

fn create_key(name: &str) -> Action {
    Action::CreateKey {
        name: KeyName::new(name).unwrap(),
        curve: Curve::Ed25519,
        scheme: Scheme::Eddsa,
        raw_signing: false,
    }
}

#[test]
fn t26_a_custodian_killed_during_key_generation_is_named_and_leaves_no_half_made_key() {
    let mut cluster = Cluster::start(Setup::new(2, 3).timeouts(5, 200, 60));
    let hostile = Hostile::new(&cluster);
    let intent = hostile.signed(create_key("sol"));
    let all = [1, 2, 3];
    let start = begin(&intent, 0, &hostile.nonces(&intent, 0, &all));
    // It has agreed to take part; it is stopped before it says more, so the others are in the middle when it dies.
    cluster.freeze(3);
    for number in all {
        hostile.send(number, &start);
    }
    wait_for("the others run", Duration::from_secs(30), || {
        [1, 2]
            .iter()
            .all(|number| hostile.status(*number).running == 1)
            .then_some(())
    });
    cluster.kill(3);
    let killed = Instant::now();
    let ends: Vec<_> = [1, 2]
        .iter()
        .map(|number| hostile.end_of(*number, &start))
        .collect();
    assert!(
        killed.elapsed() < Duration::from_secs(20),
        "{:?}",
        killed.elapsed()
    );
    // The first to give up tells the other.
    let named = ends
        .iter()
        .find(|end| format!("{end:?}").contains("party-missing"))
        .unwrap();
    assert_eq!(missing(named.clone()), [party(3)]);

    let keys = cluster.json(&["key", "list"]);
    assert_eq!(keys, Value::Array(Vec::new()), "nothing half-made");
    cluster.restart(3);
    cluster.create_key("sol", "ed25519", &[]);
    assert_eq!(
        cluster.json(&["key", "list"]).as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn t26_a_key_whose_creation_failed_for_want_of_a_custodian_can_be_created_under_the_same_name() {
    let mut cluster = Cluster::start(Setup::new(2, 3).timeouts(5, 200, 60));
    cluster.kill(2);
    let problem = cluster.problem(&["key", "create", "--curve", "ed25519", "--name", "sol"]);
    assert_eq!(problem["code"], "party-offline", "{problem}");
    assert_eq!(names(&problem["missing"]), ["party-2"]);
    cluster.restart(2);
    cluster.create_key("sol", "ed25519", &[]);

    cluster.freeze(1);
    let problem = cluster.problem(&["key", "create", "--curve", "ed25519", "--name", "second"]);
    assert_eq!(names(&problem["missing"]), ["party-1"], "{problem}");
    cluster.thaw(1);
    cluster.wait_until_online(&[1]);
    cluster.create_key("second", "ed25519", &[]);
}

#[test]
fn t26_a_custodian_killed_during_committee_setup_is_named_and_the_next_setup_works() {
    let mut cluster = Cluster::start(Setup::new(2, 3).timeouts(30, 60, 60));
    let hostile = Hostile::new(&cluster);
    let mut setup = cluster.start_cli(&["committee", "setup"]);
    wait_until_running(&hostile, 2, &mut setup);
    cluster.kill(2);
    let problem = setup.end(LIMIT).problem();
    assert_eq!(names(&problem["missing"]), ["party-2"], "{problem}");
    cluster.restart(2);
    for number in [1, 2, 3] {
        assert!(hostile.status(number).committee.is_none());
    }
    cluster.create_key("hot", "secp256k1", &[]);
    let problem = cluster.problem(&SIGN);
    assert_eq!(problem["code"], "committee-not-set-up", "{problem}");

    // The first try has used up the primes; the agents search for new ones by themselves, for which the test does not wait.
    let threads = format!("/proc/{}/task", cluster.agent(1).pid().as_raw_nonzero());
    wait_for("party-1 searches for primes", LIMIT, || {
        let mut tasks = std::fs::read_dir(&threads).unwrap().flatten();
        let name = |path: std::path::PathBuf| std::fs::read_to_string(path.join("comm"));
        tasks
            .any(|task| name(task.path()).is_ok_and(|name| name.trim() == "primes"))
            .then_some(())
    });
    for number in [1, 2, 3] {
        cluster.kill(number);
        stock_primes(&cluster.custodian(number), number - 1);
        cluster.restart(number);
    }
    cluster.cli(&["committee", "setup"]).ok();
    assert_eq!(cluster.json(&SIGN)["attempts"], 1);
}

#[test]
fn t26_a_custodian_killed_during_signing_is_named_and_another_quorum_signs() {
    // Nobody waits until the survivor gives up on its peer.
    let patience = 2 * u32::try_from(LIMIT.as_secs()).unwrap();
    let setup = Setup::new(2, 3).with_committee();
    let mut cluster = Cluster::start(setup.timeouts(30, 200, patience));
    let hostile = Hostile::new(&cluster);
    cluster.create_key("hot", "secp256k1", &[]);
    let mut signing = cluster.start_cli(&SIGN);
    wait_until_running(&hostile, 2, &mut signing);
    cluster.kill(2);
    let signed = signing.end(LIMIT).json();
    assert_eq!(
        names(&signed["custodians"]),
        ["party-1", "party-3"],
        "{signed}"
    );
    assert_eq!(signed["attempts"], 2);
    let notes = names(&signed["notes"]).join("\n");
    assert!(notes.contains("party-2"), "{notes}");
    assert_eq!(
        names(&cluster.json(&SIGN)["custodians"]),
        ["party-1", "party-3"],
        "at once, without it"
    );
    cluster.restart(2);
    assert_eq!(
        names(&cluster.json(&SIGN)["custodians"]),
        ["party-1", "party-2"]
    );
}

#[test]
fn t26_a_session_outlives_a_restart_of_nats_or_ends_in_a_clear_error() {
    let mut cluster = Cluster::start(Setup::new(2, 3).with_committee().timeouts(30, 200, 20));
    let hostile = Hostile::new(&cluster);
    cluster.create_key("hot", "secp256k1", &[]);
    let mut signing = cluster.start_cli(&SIGN);
    wait_until_running(&hostile, 2, &mut signing);
    cluster.freeze(2);
    cluster.stop_nats();
    cluster.start_nats();
    cluster.thaw(2);
    let ran = signing.end(LIMIT);
    if ran.code == Some(0) {
        assert_eq!(ran.json()["signatures"].as_array().map(Vec::len), Some(1));
    } else {
        let problem = ran.problem();
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
    }
    cluster.wait_until_online(&[1, 2, 3]);
    cluster.json(&SIGN);
}

#[test]
fn t26_a_session_that_waits_for_a_custodian_completes_when_nats_is_restarted_meanwhile() {
    let mut cluster = Cluster::start(Setup::new(2, 3).timeouts(60, 200, 60));
    let hostile = Hostile::new(&cluster);
    let intent = hostile.signed(create_key("sol"));
    let all = [1, 2, 3];
    let start = begin(&intent, 0, &hostile.nonces(&intent, 0, &all));
    cluster.freeze(3);
    hostile.send(1, &start);
    hostile.send(2, &start);
    wait_for("two of them run", Duration::from_secs(30), || {
        [1, 2]
            .iter()
            .all(|number| hostile.status(*number).running == 1)
            .then_some(())
    });
    cluster.stop_nats();
    cluster.start_nats();
    cluster.thaw(3);
    cluster.wait_until_online(&all);
    hostile.send(3, &start);
    for number in all {
        let end = hostile.end_of(number, &start);
        assert!(
            format!("{end:?}").starts_with("Finished"),
            "party-{number}: {end:?}"
        );
    }
    cluster.create_key("next", "ed25519", &[]);
}
