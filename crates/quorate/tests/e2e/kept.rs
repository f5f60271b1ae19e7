//! Clusters that earlier versions wrote, kept in `tests/fixtures` as `<commit>.tar.gz`: custodians'
//! stores and ledgers, the policy's bundles, a backup, an escrow package. Every later version opens
//! them and goes on signing.
//!
//! A change of a format keeps a new one, written by the last commit before it, in a checkout of
//! that commit:
//!
//! `QUORATE_KEEP=<commit> cargo test -p quorate --test e2e -- --ignored keep_a_cluster`

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quorate_party_agent::LogEntry;
use quorate_party_agent::backup::Source;
use quorate_storage::{EncryptedFileStore, ItemKind, Ledger};
use quorate_types::canonical::Canonical as _;
use serde_json::{Value, json};

use crate::support::{Cluster, Ran, Setup, quorate, workspace};

/// Kept keys: name, curve, further arguments of their creation, chain of their address.
const KEYS: [(&str, &str, &[&str], &str); 4] = [
    ("hot", "secp256k1", &[], "ethereum"),
    ("fast", "secp256k1", &["--protocol", "dkls23"], "ethereum"),
    ("tap", "secp256k1", &["--scheme", "bip340"], "bitcoin"),
    ("sol", "ed25519", &[], "solana"),
];

const LIMIT: Duration = Duration::from_secs(120);

fn fixtures() -> PathBuf {
    workspace().join("crates/quorate/tests/fixtures")
}

fn tar(dir: &Path, args: &[&str]) {
    let status = Command::new("tar").arg("-C").arg(dir).args(args).status();
    assert!(status.unwrap().success(), "tar {args:?}");
}

fn quorate_in(dir: &Path, args: &[&str]) -> Ran {
    Ran::of(quorate().args(args).current_dir(dir), LIMIT)
}

/// Addresses of the kept keys, which stay the same under every version.
fn addresses(cluster: &Cluster) -> Value {
    let address = |(key, .., chain): &(&str, &str, &[&str], &str)| {
        let shown = cluster.json(&["address", "--key", key, "--chain", chain]);
        ((*key).to_owned(), shown["address"].clone())
    };
    KEYS.iter()
        .map(address)
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A second version of the policy, which two admins sign.
fn publish_second_version(cluster: &Cluster) {
    let text = std::fs::read_to_string(cluster.root().join("policy/policy.toml")).unwrap();
    let rule = "\n[[rule]]\nid = \"large\"\ntype = \"threshold\"\ngroup = \"approvers\"\napprovals = 1\nwhen = { asset = \"ETH\", above = \"10\" }\n";
    let file = cluster.write("second.toml", text + rule);
    let bundle = cluster.file("bundle.json");
    let bundle = bundle.to_str().unwrap();
    for (admin, file) in [("admin-1", file.as_str()), ("admin-2", bundle)] {
        let sign = ["policy", "sign", file, "--out", bundle, "--yes"];
        cluster.cli_as(&format!("admins/{admin}"), &sign).ok();
    }
    cluster.json(&["policy", "publish", bundle]);
}

/// A kept cluster, unpacked.
struct Kept {
    dir: tempfile::TempDir,
    expected: Value,
}

impl Kept {
    fn unpack(file: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        tar(dir.path(), &["-xzf", file.to_str().unwrap()]);
        let expected = std::fs::read(dir.path().join("expected.json")).unwrap();
        Self {
            expected: serde_json::from_slice(&expected).unwrap(),
            dir,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Custodians open their stores and ledgers, know keys and policy, and sign with every key.
    fn signs(&self) {
        let setup = Setup::new(2, 3);
        let cluster = Cluster::start_copy(&self.path().join("cluster"), setup, |_| Vec::new());
        assert_eq!(addresses(&cluster), self.expected["addresses"]);
        for party in cluster.json(&["status"])["parties"].as_array().unwrap() {
            assert_eq!(party["status"]["policy_version"], self.expected["policy"]);
        }
        for (key, ..) in KEYS {
            cluster.json(&["sign", "--key", key, "--message", "still here"]);
        }
    }

    /// Runs a command, whose arguments have no spaces, where the kept files are.
    fn run(&self, command: &str) -> Ran {
        let args: Vec<&str> = command.split_whitespace().collect();
        quorate_in(self.path(), &args).ok()
    }

    /// The backup is whole, and the custodian comes back from it.
    fn restores(&self) {
        let verified = self.run("backup verify backup.age --identity owner.key --json");
        let keys = &verified.json()["keys"];
        assert_eq!(keys.as_array().map(Vec::len), Some(KEYS.len()));
        let roster = "cluster/orchestrator/roster.json";
        self.run(&format!(
            "restore --from backup.age --identity owner.key --into back --roster {roster}"
        ));
        self.has_its_shares("back");
    }

    /// A custodian's directory opens, with a share of every key.
    fn has_its_shares(&self, custodian: &str) {
        let source = Source::open(&self.path().join(custodian).join("agent.toml")).unwrap();
        let store = &source.opened.store;
        let shares = EncryptedFileStore::list(store, ItemKind::Share).unwrap();
        assert_eq!(shares.len(), KEYS.len());
        for share in shares {
            store.get(share).unwrap();
        }
    }

    /// Everything in the log of every custodian can still be read.
    fn logs_are_read(&self) {
        for number in 1..=3 {
            let home = format!("cluster/custodians/party-{number}/data/ledger.redb");
            let leaves = Ledger::open(&self.path().join(home))
                .unwrap()
                .leaves(0, 10_000);
            let leaves = leaves.unwrap();
            assert!(leaves.len() >= KEYS.len(), "{}", leaves.len());
            for (_, leaf) in leaves {
                LogEntry::from_canonical_bytes(&leaf, leaf.len()).unwrap();
            }
        }
    }

    /// Two of three recovery custodians open the other backup.
    fn recovers(&self) {
        const ROSTER: &str = "--roster cluster/custodians/party-1/roster.json";
        const FILES: &str = "--package escrow.json --request request.json";
        self.run(&format!(
            "recover start --reason kept --package escrow.json --out request.json --state state.json {ROSTER}"
        ));
        self.run(&format!(
            "recover contribute {FILES} --identity alice.key --out a.json --yes"
        ));
        self.run(&format!(
            "recover contribute {FILES} --identity carol.key --out c.json --yes"
        ));
        self.run(&format!(
            "recover finish --package escrow.json --state state.json --backup escrowed.age --into recovered \
             --contribution a.json --contribution c.json {ROSTER}"
        ));
        self.has_its_shares("recovered");
    }
}

#[test]
fn clusters_backups_and_escrow_of_earlier_versions_open_and_sign() {
    let files: Vec<_> = std::fs::read_dir(fixtures()).unwrap().flatten().collect();
    assert!(!files.is_empty());
    for file in files {
        let kept = Kept::unpack(&file.path());
        kept.logs_are_read();
        kept.restores();
        kept.recovers();
        kept.signs();
    }
}

#[test]
#[ignore = "writes a fixture; the head of this file says when"]
fn keep_a_cluster() {
    let name = std::env::var("QUORATE_KEEP").expect("QUORATE_KEEP names the commit");
    let mut cluster = Cluster::start(Setup::new(2, 3).with_committee());
    for (key, curve, more, _) in KEYS {
        cluster.create_key(key, curve, &[&["--raw-signing"], more].concat());
        cluster.json(&["sign", "--key", key, "--message", "kept"]);
    }
    publish_second_version(&cluster);
    let expected = json!({ "addresses": addresses(&cluster), "policy": 2 });
    cluster.stop();

    let home = cluster.root().parent().unwrap().to_owned();
    std::fs::write(home.join("expected.json"), expected.to_string()).unwrap();
    let recipient = |name: &str| {
        let key = home.join(format!("{name}.key"));
        let made = Command::new("age-keygen").arg("-o").arg(key).output();
        let said = String::from_utf8(made.unwrap().stderr).unwrap();
        said.trim().rsplit(' ').next().unwrap().to_owned()
    };
    let config = ["--config", "cluster/custodians/party-1/agent.toml"];
    let backup = |out: &str, recipient: &str| {
        let args = ["backup", "create", "--out", out, "--recipient", recipient];
        quorate_in(&home, &[&args, &config[..]].concat()).ok();
    };
    backup("backup.age", &recipient("owner"));
    let holders = ["alice", "bob", "carol"].map(|name| format!("{name}={}", recipient(name)));
    let mut escrow = vec![
        "backup",
        "escrow",
        "--threshold",
        "2",
        "--out",
        "escrow.json",
        "--json",
    ];
    escrow.extend(config);
    escrow.extend(holders.iter().flat_map(|holder| ["--custodian", holder]));
    let package = quorate_in(&home, &escrow).json();
    backup("escrowed.age", package["recipient"].as_str().unwrap());

    std::fs::create_dir_all(fixtures()).unwrap();
    let file = fixtures().join(format!("{name}.tar.gz"));
    let file = file.to_str().unwrap();
    let what = [
        "cluster",
        "expected.json",
        "backup.age",
        "escrowed.age",
        "escrow.json",
    ];
    let keys = ["owner.key", "alice.key", "bob.key", "carol.key"];
    tar(&home, &[&["-czf", file], &what[..], &keys[..]].concat());
}
