//! A custodian comes back: backup, restore, escrow, rehearsal, through the command line. The plain `age` tool opens backups.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quorate_party_agent::backup::Source;
use quorate_party_agent::drill::Transcript;
use quorate_storage::backup::KINDS;
use quorate_storage::{EncryptedFileStore, ItemKind, ItemName};
use serde_json::Value;

use crate::support::{Cluster, Ran, Setup, quorate};

const LIMIT: Duration = Duration::from_secs(120);

/// Runs `quorate` in a directory of its own.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A place with a cluster of three in `cluster`, none of it running.
    fn with_cluster() -> Self {
        let place = Self::new();
        place.run(&["init", "cluster"]).ok();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Ran {
        let mut command = quorate();
        command.args(args).current_dir(self.0.path());
        Ran::of(&mut command, LIMIT)
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).json()
    }

    /// An age identity as `age-keygen` makes it, in `<name>.key`; returns the recipient.
    fn identity(&self, name: &str) -> String {
        let made = Command::new("age-keygen")
            .arg("-o")
            .arg(self.path(&format!("{name}.key")))
            .output()
            .expect("age is not installed; run `make tools`");
        let said = String::from_utf8(made.stderr).unwrap();
        said.trim().rsplit(' ').next().unwrap().to_owned()
    }

    fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.path(name), text).unwrap();
        let closed = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), closed).unwrap();
    }
}

/// Every file below a directory.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(tree(&path));
        } else {
            // Nothing but files can be read.
            let content = path.is_file().then(|| std::fs::read(&path).unwrap());
            found.insert(path, content.unwrap_or_default());
        }
    }
    found
}

fn list(source: &Source, kind: ItemKind) -> Vec<ItemName> {
    EncryptedFileStore::list(&source.opened.store, kind).unwrap()
}

/// Secrets and records of two custodians are the same.
fn same(one: &Path, other: &Path) -> usize {
    let open = |dir: &Path| Source::open(&dir.join("agent.toml")).unwrap();
    let (one, other) = (open(one), open(other));
    let mut compared = 0;
    for kind in KINDS {
        let names = list(&one, kind);
        assert_eq!(list(&other, kind), names);
        for name in names {
            assert_eq!(
                one.opened.store.get(name).unwrap(),
                other.opened.store.get(name).unwrap()
            );
            compared += 1;
        }
    }
    for prefix in ["key/", "committee"] {
        let (ours, theirs) = (
            one.opened.ledger.records(prefix),
            other.opened.ledger.records(prefix),
        );
        assert_eq!(ours.unwrap(), theirs.unwrap());
    }
    compared
}

/// Without quorate: what is in a backup, and what is not.
fn the_plain_tools_open(place: &Place, url: &str) {
    let age = Command::new("sh")
        .arg("-c")
        .arg("age -d -i owner.key \"$1\" | tar t")
        .args(["sh", url.strip_prefix("file://").unwrap()])
        .current_dir(place.0.path())
        .output()
        .unwrap();
    let entries = String::from_utf8(age.stdout).unwrap();
    for kind in [
        "manifest.json",
        "agent.toml",
        "tls/key.pem",
        "records/key/",
        "secrets/share-",
        "secrets/aux-",
    ] {
        assert!(entries.contains(kind), "{kind}: {entries}");
    }
    for kind in ["prime", "passphrase", "dkls"] {
        assert!(!entries.contains(kind), "{entries}");
    }
}

/// A restored custodian's directory against the one that was backed up.
fn is_as_it_was(back: &Path, home: &Path) {
    // Identity, three shares, auxiliary information.
    assert_eq!(same(home, back), 5);
    for file in ["roster.json", "tls/ca.crt", "tls/cert.pem", "tls/key.pem"] {
        let read = |dir: &Path| std::fs::read(dir.join(file)).unwrap();
        assert_eq!(read(home), read(back), "{file}");
    }
    assert_eq!(
        std::fs::read_to_string(home.join("agent.toml")).unwrap(),
        std::fs::read_to_string(back.join("agent.toml")).unwrap()
    );
}

/// The first custodian confirms its restored disk with its peers, then signs with every key it has.
fn takes_part_again(cluster: &mut Cluster) {
    cluster.stop_agent(3);
    cluster.spawn_agent_with(1, &[]);
    let status = cluster.wait_until(1, "quarantined");
    let reason = status["standing"]["reason"].as_str().unwrap();
    assert!(reason.contains("of the 2 peers needed"), "{reason}");
    assert_eq!(status["restores"], 1);
    cluster.restart(3);
    cluster.wait_until(1, "serving");
    cluster.stop_agent(3);
    for key in ["hot", "sol"] {
        cluster.after_a_restore(&["sign", "--key", key, "--message", "hello"]);
    }
    // It may have forgotten whom it banned.
    let sign = ["sign", "--key", "fast", "--message", "hello"];
    let problem = cluster.problem(&sign);
    assert_eq!(problem["code"], "setup-lost", "{problem}");
    cluster.restart(3);
    cluster.json(&["key", "set-protocol", "fast", "dkls23", "--renew"]);
    cluster.stop_agent(3);
    cluster.json(&sign);
}

#[test]
fn t25_a_lost_custodian_comes_back_from_its_backup_and_signs() {
    let mut cluster = Cluster::start(Setup::new(2, 3).with_committee());
    cluster.create_key("hot", "secp256k1", &["--raw-signing"]);
    cluster.create_key("sol", "ed25519", &["--raw-signing"]);
    let by_dkls = ["--raw-signing", "--protocol", "dkls23"];
    cluster.create_key("fast", "secp256k1", &by_dkls);
    let place = Place::new();
    let recipient = place.identity("owner");
    let home = cluster.custodian(1);
    let config = home.join("agent.toml");
    let config = config.to_str().unwrap();
    let store = format!("file://{}", place.path("blobs").display());
    let create = [
        "backup",
        "create",
        "--config",
        config,
        "--to",
        &store,
        "--recipient",
        &recipient,
    ];

    let running = place.run(&create).failed().stderr;
    assert!(running.contains("the agent is running"), "{running}");
    let unset = place.run(&create[..4]).failed().stderr;
    assert!(unset.contains("agent.toml has no [backup]"), "{unset}");
    cluster.kill(1);
    let created = place.json(&create);
    assert_eq!(created["backup"]["keys"], 3);
    let listed = place.json(&["backup", "list", "--from", &store]);
    let url = listed["backups"][0]["url"].as_str().unwrap();
    assert_eq!(created["backup"]["stored"][0], url);

    the_plain_tools_open(&place, url);
    let before = (tree(&home), tree(place.0.path()));
    let verified = place.json(&["backup", "verify", &store, "--identity", "owner.key"]);
    assert_eq!(verified["committees"], 1);
    assert_eq!(verified["keys"][0]["epoch"], 0);
    assert_eq!(
        (tree(&home), tree(place.0.path())),
        before,
        "verify wrote something"
    );

    let roster = home.join("roster.json");
    let restored = place.run(&[
        "restore",
        "--from",
        &store,
        "--identity",
        "owner.key",
        "--into",
        "back",
        "--roster",
        roster.to_str().unwrap(),
    ]);
    let said = restored.ok().stdout;
    assert!(
        said.contains("takes part in nothing until its peers have confirmed"),
        "{said}"
    );
    let back = place.path("back");
    is_as_it_was(&back, &home);
    std::fs::rename(&home, place.path("old")).unwrap();
    std::fs::rename(&back, &home).unwrap();
    takes_part_again(&mut cluster);
}

#[test]
fn a_running_agent_makes_backups_by_the_clock_and_when_asked() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    cluster.create_key("sol", "ed25519", &["--raw-signing"]);
    let place = Place::new();
    let recipient = place.identity("owner");
    let store = format!("file://{}", place.path("blobs").display());
    let config = cluster.custodian(1).join("agent.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let section =
        format!("[backup]\nstores = [\"{store}\"]\nrecipients = [\"{recipient}\"]\nkeep = 2\n");
    std::fs::write(&config, format!("{text}\n{section}")).unwrap();

    // Sealed it has nothing to back up.
    cluster.stop_agent(1);
    cluster.spawn_agent_with(1, &["--sealed"]);
    cluster.wait_until(1, "sealed");
    let config = config.to_str().unwrap();
    let create = ["backup", "create", "--config", config];
    let sealed = place.run(&create).failed().stderr;
    assert!(sealed.contains("unseal it first"), "{sealed}");

    // The first is due at once, the second by request; a third replaces the first.
    cluster.restart(1);
    let listed = || place.json(&["backup", "list", "--config", config]);
    let made = |status: &Value| status["last_backup"]["made_at"].as_u64();
    let first = loop {
        let status = cluster.wait_until(1, "serving");
        if let Some(made) = made(&status) {
            break made;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let second = place.json(&create)["backup"]["made_at"].as_u64().unwrap();
    let third = place.json(&create)["backup"]["made_at"].as_u64().unwrap();
    assert!(first < second && second < third);
    let kept: Vec<_> = listed()["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backup| backup["made_at"].as_u64().unwrap())
        .collect();
    assert_eq!(kept, [second, third]);
    assert_eq!(made(&cluster.wait_until(1, "serving")), Some(third));
    let verified = place.json(&["backup", "verify", &store, "--identity", "owner.key"]);
    assert_eq!(verified["keys"][0]["name"], "sol");
    cluster.json(&["sign", "--key", "sol", "--message", "meanwhile"]);
}

#[test]
fn three_of_five_recovery_custodians_bring_a_custodian_back() {
    let place = Place::with_cluster();
    let home = "cluster/custodians/party-1";
    let config = format!("{home}/agent.toml");
    let roster = format!("{home}/roster.json");
    let names = ["alice", "bob", "carol", "dave", "erin"];
    let mut escrow = vec![
        "backup",
        "escrow",
        "--config",
        &config,
        "--threshold",
        "3",
        "--out",
        "escrow.json",
    ];
    let custodians: Vec<_> = names
        .iter()
        .map(|name| format!("{name}={}", place.identity(name)))
        .collect();
    for custodian in &custodians {
        escrow.extend(["--custodian", custodian]);
    }
    let package = place.json(&escrow);
    let recipient = package["recipient"].as_str().unwrap();
    place
        .run(&[
            "backup",
            "create",
            "--config",
            &config,
            "--out",
            "backup.age",
            "--recipient",
            recipient,
        ])
        .ok();
    // Nobody has the key: not a custodian, not the party.
    let alone = place.run(&["backup", "verify", "backup.age", "--identity", "alice.key"]);
    assert!(alone.failed().stderr.contains("other recipients"));

    let started = place.json(&[
        "recover",
        "start",
        "--package",
        "escrow.json",
        "--reason",
        "disk lost",
        "--out",
        "request.json",
        "--state",
        "state.json",
        "--roster",
        &roster,
    ]);
    let contribute = |name: &str| {
        let (key, out) = (format!("{name}.key"), format!("{name}.json"));
        place.run(&[
            "recover",
            "contribute",
            "--package",
            "escrow.json",
            "--request",
            "request.json",
            "--identity",
            &key,
            "--out",
            &out,
            "--yes",
        ])
    };
    for name in names {
        let shown = contribute(name).ok().stderr;
        assert!(
            shown.contains("party-1") && shown.contains("disk lost"),
            "{shown}"
        );
        assert!(
            shown.contains(started["fingerprint"].as_str().unwrap()),
            "{shown}"
        );
    }
    let text = std::fs::read_to_string(place.path("bob.json")).unwrap();
    let (head, tail) = text.split_once("\"sealed\": \"").unwrap();
    let flipped = if tail.starts_with('0') { '1' } else { '0' };
    let altered = format!("{head}\"sealed\": \"{flipped}{}", &tail[1..]);
    std::fs::write(place.path("bob.json"), altered).unwrap();

    let finish = |contributions: &[&str]| {
        let mut args = vec![
            "recover",
            "finish",
            "--package",
            "escrow.json",
            "--state",
            "state.json",
            "--backup",
            "backup.age",
            "--into",
            "back",
            "--roster",
            &roster,
        ];
        for contribution in contributions {
            args.extend(["--contribution", contribution]);
        }
        place.run(&args)
    };
    let few = finish(&["alice.json", "bob.json", "erin.json", "alice.json"])
        .failed()
        .stderr;
    assert!(few.contains("2 good contributions, 3 are needed"), "{few}");
    assert!(
        few.contains("bob.json is refused, said to be from bob"),
        "{few}"
    );
    assert!(few.contains("alice sent its part already"), "{few}");
    assert!(!place.path("back").exists());
    let done = finish(&["alice.json", "bob.json", "carol.json", "erin.json"]).ok();
    assert!(done.stdout.contains("with alice, carol, erin"), "{done:?}");
    assert!(
        done.stderr.contains("bob's part did not sign it"),
        "{done:?}"
    );
    assert_eq!(same(&place.path(home), &place.path("back")), 1);
    place
        .run(&[
            "agent",
            "run",
            "--config",
            "back/agent.toml",
            "--check-config",
        ])
        .ok();
}

#[test]
fn a_drill_leaves_nothing_but_a_transcript_that_no_byte_can_be_changed_of() {
    let place = Place::with_cluster();
    let home = "cluster/custodians/party-2";
    let (config, roster) = (format!("{home}/agent.toml"), format!("{home}/roster.json"));
    // Opened once, so that the ledger is there before.
    place
        .run(&["agent", "run", "--config", &config, "--check-config"])
        .ok();
    let names = |dir: &Path| tree(dir).into_keys().collect::<Vec<_>>();
    let before = names(&place.path(home));
    let said = place
        .run(&[
            "drill",
            "--config",
            &config,
            "--threshold",
            "3",
            "--custodians",
            "4",
            "--out",
            "t.json",
        ])
        .ok()
        .stdout;
    assert!(said.contains("every share came back"), "{said}");
    assert!(said.contains("altered is refused"), "{said}");
    assert_eq!(names(&place.path(home)), before);
    let check = ["drill", "--check", "t.json", "--roster", &roster];
    place.run(&check).ok();
    let text = std::fs::read_to_string(place.path("t.json")).unwrap();
    assert!(!text.contains("AGE-SECRET-KEY"));
    let own = quorate_service::load_roster(&place.path(&roster)).unwrap();
    let bytes = text.into_bytes();
    Transcript::check(&bytes, &own).unwrap();
    for position in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[position] ^= 1;
        assert!(
            Transcript::check(&altered, &own).is_err(),
            "byte {position}"
        );
    }
    let mut spaced = bytes.clone();
    spaced.insert(1, b' ');
    std::fs::write(place.path("t.json"), spaced).unwrap();
    let refused = place.run(&check).failed().stderr;
    assert!(refused.contains("does not verify"), "{refused}");
    std::fs::write(place.path("t.json"), bytes).unwrap();
    place.run(&["init", "other"]).ok();
    let other = place.run(&[
        "drill",
        "--check",
        "t.json",
        "--roster",
        "other/operator/roster.json",
    ]);
    assert!(other.failed().stderr.contains("another roster"));
}

#[test]
fn t24_t37_a_backup_that_is_not_right_is_refused_with_its_reason_and_nothing_is_written() {
    let place = Place::with_cluster();
    let config = "cluster/custodians/party-1/agent.toml";
    place.secret("words", "correct horse battery staple");
    place.secret("wrong", "incorrect horse");
    place
        .run(&[
            "backup",
            "create",
            "--config",
            config,
            "--out",
            "good.age",
            "--passphrase-file",
            "words",
        ])
        .ok();
    let good = std::fs::read(place.path("good.age")).unwrap();
    std::fs::write(place.path("cut.age"), &good[..good.len() - 100]).unwrap();
    let mut flipped = good.clone();
    let middle = good.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(place.path("flipped.age"), flipped).unwrap();
    std::fs::write(place.path("text.age"), "a text").unwrap();
    place.run(&["init", "other"]).ok();
    place.identity("somebody");
    std::fs::create_dir(place.path("full")).unwrap();
    std::fs::write(place.path("full/file"), "").unwrap();

    let before = tree(place.0.path());
    let words = ["--passphrase-file", "words"];
    for (from, into, with, says) in [
        (
            "good.age",
            "new",
            &["--passphrase-file", "wrong"][..],
            "wrong passphrase",
        ),
        (
            "good.age",
            "new",
            &["--identity", "somebody.key"],
            "encrypted to a passphrase",
        ),
        ("cut.age", "new", &words, "truncated or altered"),
        ("flipped.age", "new", &words, "truncated or altered"),
        ("text.age", "new", &words, "not an age file"),
        ("none.age", "new", &words, "cannot read none.age"),
        ("good.age", "full", &words, "not an empty directory"),
        ("good.age", "good.age", &words, "not an empty directory"),
        (
            "good.age",
            "new",
            &[
                "--passphrase-file",
                "words",
                "--roster",
                "other/operator/roster.json",
            ],
            "another roster",
        ),
    ] {
        let pinned = match with.contains(&"--roster") {
            true => Vec::new(),
            false => vec!["--roster", "cluster/custodians/party-1/roster.json"],
        };
        let args = ["restore", "--from", from, "--into", into];
        let args = [&args, with, &pinned].concat();
        let refused = place.run(&args).failed().stderr;
        assert!(refused.contains(says), "{from}: {refused}");
        if into == "new" {
            let args = [&["backup", "verify", from], with].concat();
            let refused = place.run(&args).failed().stderr;
            assert!(refused.contains(says), "{from}: {refused}");
        }
        assert!(
            tree(place.0.path()) == before,
            "{from}: something was written"
        );
    }
    // Whole, but whose it is nothing says; and another's.
    let unpinned = ["restore", "--from", "good.age", "--into", "new"];
    let unpinned = [&unpinned[..], &words].concat();
    let refused = place.run(&unpinned).failed().stderr;
    assert!(refused.contains("--roster"), "{refused}");
    let key = "11".repeat(32);
    let theirs = [&unpinned[..], &["--identity-key", &key]].concat();
    let refused = place.run(&theirs).failed().stderr;
    assert!(refused.contains("another identity key"), "{refused}");
    assert!(tree(place.0.path()) == before, "something was written");
    let again = [
        "backup",
        "create",
        "--config",
        config,
        "--out",
        "good.age",
        "--passphrase-file",
        "words",
    ];
    assert!(
        place
            .run(&again)
            .failed()
            .stderr
            .contains("not overwritten")
    );
    let nobody = ["backup", "create", "--config", config, "--out", "x.age"];
    assert!(place.run(&nobody).failed().stderr.contains("--recipient"));
}
