//! Disks that were put back (T25): found out by what peers remember.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::hostile::{Hostile, code};
use crate::support::process::Running;
use crate::support::{Cluster, Ran, Setup, payloads, quorate, wait_for};
use quorate_types::{Action, DerivationPath, KeyId, Network, Payload};

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}

#[test]
fn t25_i04_an_old_disk_is_quarantined_until_peers_have_said_what_it_forgot() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
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
    let sign = |cluster: &Cluster, lamports: u64| {
        let bytes = payloads::solana_transfer(&key, &[7; 32], lamports);
        let file = cluster.write("transfer.bin", bytes);
        cluster.json(&["sign", "--key", "sol", "--chain", "solana", "--in", &file]);
    };

    // A snapshot of party-1's disk, after which it signs.
    cluster.stop_agent(1);
    let data = cluster.custodian(1).join("data");
    let snapshot = cluster.file("snapshot");
    copy(&data, &snapshot);
    cluster.restart(1);
    cluster.stop_agent(3);
    sign(&cluster, 1);
    let before = cluster.wait_until(1, "serving");
    let issued_before = hostile.signed(transfer(2));
    assert_eq!(before["restores"], 0);

    // The snapshot is put back, and nobody says so.
    cluster.stop_agent(1);
    std::fs::remove_dir_all(&data).unwrap();
    copy(&snapshot, &data);
    cluster.spawn_agent_with(1, &[]);
    let status = cluster.wait_until(1, "quarantined");
    let reason = status["standing"]["reason"].as_str().unwrap();
    assert!(reason.contains("1 of the 2 peers needed"), "{reason}");
    let refused = hostile.prepare(1, &hostile.signed(transfer(3)), 0, &[1, 2]);
    assert_eq!(code(refused), "quarantined");

    // With the third peer one of the two must be honest: it resumes, and knows how much it forgot.
    cluster.restart(3);
    let resumed = cluster.wait_until(1, "serving");
    assert_eq!(resumed["restores"], 1);
    let size = |status: &serde_json::Value| status["log_size"].as_u64().unwrap();
    assert!(
        size(&resumed) > size(&before) - 1,
        "the log goes on after what peers had seen: {resumed} after {before}"
    );
    let refused = hostile.prepare(1, &issued_before, 0, &[1, 2]);
    assert_eq!(
        code(refused),
        "before-restore",
        "it may have signed that and forgotten"
    );
    // Operators whose clocks are ahead by as much as is allowed may have signed for it: a minute's wait.
    let bytes = payloads::solana_transfer(&key, &[7; 32], 4);
    let file = cluster.write("transfer.bin", bytes);
    cluster.after_a_restore(&["sign", "--key", "sol", "--chain", "solana", "--in", &file]);

    // Restarted, it stays restored, and is not restored again.
    cluster.restart(1);
    let again = cluster.wait_until(1, "serving");
    assert_eq!(again["restores"], 1);
    assert_eq!(
        code(hostile.prepare(1, &issued_before, 0, &[1, 2])),
        "before-restore"
    );
}

#[test]
fn t25_where_peers_are_lost_for_good_the_custodian_accepts_the_restore() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("sol", "ed25519", &["--raw-signing"]);
    cluster.stop_agent(1);
    let data = cluster.custodian(1).join("data");
    let snapshot = cluster.file("snapshot");
    copy(&data, &snapshot);
    cluster.restart(1);
    cluster.stop_agent(3);
    cluster.json(&["sign", "--key", "sol", "--message", "forgotten"]);
    cluster.stop_agent(1);
    std::fs::remove_dir_all(&data).unwrap();
    copy(&snapshot, &data);
    cluster.spawn_agent_with(1, &[]);
    let status = cluster.wait_until(1, "quarantined");
    let reason = status["standing"]["reason"].as_str().unwrap();
    assert!(reason.contains("quorate agent accept-restore"), "{reason}");
    // The one peer there is may be hostile, and keep a later policy to itself.
    let waits = cluster.agent_cli(1, &["accept-restore"]).failed();
    assert!(
        waits.stderr.contains("quorate agent accept-policy"),
        "{}",
        waits.stderr
    );
    cluster.agent_cli(1, &["accept-policy", "1"]).ok();
    assert_eq!(cluster.wait_until(1, "serving")["restores"], 1);
}

#[test]
fn t04_of_two_copies_of_a_custodian_only_one_goes_on() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("sol", "ed25519", &["--raw-signing"]);
    cluster.stop_agent(1);
    let home = cluster.custodian(1);
    let twin = cluster.file("twin");
    copy(&home, &twin);
    cluster.restart(1);
    cluster.stop_agent(3);
    cluster.json(&["sign", "--key", "sol", "--message", "known to one copy"]);
    cluster.restart(3);
    let mut command = quorate();
    command.args(["agent", "run", "--config"]);
    command.arg(twin.join("agent.toml"));
    command.args(["--nats-url", &cluster.nats_url()]);
    let mut running = Running::start(&mut command);
    // Whichever hears the other first stops; both may.
    wait_for("one stops", Duration::from_secs(60), || {
        [&home, &twin].into_iter().find(|home| {
            let mut status = quorate();
            status.args(["agent", "status", "--config"]);
            status.arg(home.join("agent.toml"));
            let ran = Ran::of(&mut status, Duration::from_secs(60));
            ran.stdout
                .contains("another copy of this custodian is running")
        })
    });
    running.process().signal(rustix::process::Signal::TERM);
}

#[test]
fn an_agent_serves_without_one_peer_after_a_moment() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    cluster.stop_agent(3);
    cluster.restart(1);
    cluster.wait_until(1, "serving");
    cluster.stop_agent(2);
    cluster.spawn_agent_with(2, &[]);
    cluster.wait_until(2, "serving");
    cluster.stop_agent(1);
    cluster.stop_agent(2);
    cluster.spawn_agent_with(2, &[]);
    let alone = cluster.wait_until(2, "confirming");
    assert_eq!(alone["standing"]["answers"], 0, "nobody to ask");
}
