//! An agent starts sealed, is opened, and sealed again.

use crate::support::{Cluster, Setup, payloads};
use std::time::Duration;

/// A Solana transfer signed by the cluster's key.
struct Transfer {
    key: Vec<u8>,
}

impl Transfer {
    fn of(cluster: &Cluster) -> Self {
        cluster.create_key("sol", "ed25519", &[]);
        let shown = cluster.json(&["address", "--key", "sol", "--chain", "solana"]);
        let key = bitcoin::base58::decode(shown["address"].as_str().unwrap()).unwrap();
        Self { key }
    }

    /// A file with a transfer of so many lamports.
    fn file(&self, cluster: &Cluster, lamports: u64) -> String {
        let bytes = payloads::solana_transfer(&self.key, &[7; 32], lamports);
        cluster.write(&format!("{lamports}.bin"), bytes)
    }
}

fn sign(file: &str) -> [&str; 7] {
    ["sign", "--key", "sol", "--chain", "solana", "--in", file]
}

#[test]
fn an_agent_stays_sealed_until_somebody_opens_it_and_takes_part_in_nothing_before() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    let transfer = Transfer::of(&cluster);
    for number in [2, 3] {
        cluster.stop_agent(number);
        cluster.spawn_agent_with(number, &["--sealed"]);
    }
    for number in [2, 3] {
        let status = cluster.wait_until(number, "sealed");
        assert_eq!(status["standing"]["needs"], "its passphrase");
    }
    let problem = cluster.problem(&sign(&transfer.file(&cluster, 1)));
    assert_eq!(problem["code"], "party-offline", "{problem}");
    let shown = cluster.cli(&["status"]).ok().stdout;
    assert_eq!(
        shown.matches("sealed: it needs its passphrase").count(),
        2,
        "{shown}"
    );

    let wrong = cluster.file("wrong");
    quorate_storage::write_private(&wrong, b"wrong").unwrap();
    let wrong = wrong.to_str().unwrap().to_owned();
    let refused = cluster.agent_cli(2, &["unseal", "--secret-file", &wrong]);
    assert!(
        refused.failed().stderr.contains("wrong passphrase"),
        "said to whoever tried"
    );
    cluster.wait_until(2, "sealed");

    cluster.agent_cli(2, &["unseal"]).ok();
    cluster.wait_until(2, "serving");
    cluster.json(&sign(&transfer.file(&cluster, 2)));

    // And shut again, with the store's lock free for the next opening.
    cluster.agent_cli(2, &["seal"]).ok();
    cluster.wait_until(2, "sealed");
    let problem = cluster.problem(&sign(&transfer.file(&cluster, 3)));
    assert_eq!(problem["code"], "party-offline", "{problem}");
    cluster.agent_cli(2, &["unseal"]).ok();
    cluster.agent_cli(2, &["unseal"]).ok();
    cluster.wait_until(2, "serving");
    cluster.json(&sign(&transfer.file(&cluster, 4)));
}

#[test]
fn t04_a_second_process_on_the_same_data_is_refused_sealed_or_not() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    let directory = cluster.custodian(3);
    for more in [&[][..], &["--sealed"]] {
        let mut command = crate::support::quorate();
        command.args(["agent", "run", "--config"]);
        command.arg(directory.join("agent.toml"));
        command.args(["--nats-url", &cluster.nats_url()]).args(more);
        let ran = crate::support::Ran::of(&mut command, Duration::from_secs(60)).failed();
        assert!(
            ran.stderr.contains("in use by another agent"),
            "{}",
            ran.stderr
        );
    }
    cluster.wait_until(3, "serving");
}

#[test]
fn an_agent_that_does_not_run_is_said_so() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    cluster.stop_agent(3);
    let ran = cluster.agent_cli(3, &["status"]).failed();
    assert!(ran.stderr.contains("no agent runs on"), "{ran:?}");
    assert!(ran.stderr.contains("quorate agent run"), "{ran:?}");
}

/// What of the identity's seed is in a process's memory, by looking at all of it as root can.
fn copies_in_memory(pid: i32, secret: &[u8]) -> usize {
    use std::os::unix::fs::FileExt as _;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut copies = 0;
    for line in maps.lines().filter(|l| l.contains(" rw-p ")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let from = u64::from_str_radix(from, 16).unwrap();
        let to = u64::from_str_radix(to, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // Stacks have guard pages and some mappings have holes.
        let read = memory.read_at(&mut bytes, from).unwrap_or(0);
        copies += bytes[..read]
            .windows(secret.len())
            .filter(|window| *window == secret)
            .count();
    }
    copies
}

#[test]
fn t23_a_sealed_agent_has_forgotten_its_identity_key() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else may look into an agent's memory, which is as it should be.
        let mut cluster = Cluster::start(Setup::new(2, 3));
        cluster.wait_until(1, "serving");
        let pid = cluster.agent(1).pid().as_raw_nonzero();
        let denied = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap_err();
        assert_eq!(denied.kind(), std::io::ErrorKind::PermissionDenied);
        return;
    }
    let mut cluster = Cluster::start(Setup::new(2, 3));
    cluster.wait_until(1, "serving");
    cluster.stop_agent(1);
    let seed = {
        let directory = cluster.custodian(1);
        let phrase = std::fs::read_to_string(directory.join("passphrase")).unwrap();
        let phrase = quorate_storage::Passphrase::new(zeroize::Zeroizing::new(phrase));
        let store = quorate_storage::EncryptedFileStore::open(
            &directory.join("data/store"),
            &crate::support::cluster::party(1),
            &phrase,
        )
        .unwrap();
        let keys = store
            .get(quorate_party_agent::boot::identity_item())
            .unwrap();
        keys[..32].to_vec()
    };
    cluster.restart(1);
    cluster.wait_until(1, "serving");
    let pid = cluster.agent(1).pid().as_raw_nonzero().get();
    assert!(
        copies_in_memory(pid, &seed) > 0,
        "the search finds what is there"
    );
    cluster.agent_cli(1, &["seal"]).ok();
    cluster.wait_until(1, "sealed");
    assert_eq!(copies_in_memory(pid, &seed), 0, "the same process, emptied");
}
