//! Secrets do not leave their stores (T23): a cluster works at the most talkative log level and in every way that fails; then
//! everything that was written anywhere is searched for its secrets.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use ciborium::Value;
use quorate_storage::{EncryptedFileStore, ItemKind, Passphrase};
use rustix::process::Signal;
use zeroize::Zeroizing;

use crate::support::cluster::party;
use crate::support::{Cluster, Setup, payloads, quorate, wait_for};

/// A secret and the forms in which it could be written.
struct Canary {
    what: String,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    fn of_bytes(what: String, secret: &[u8]) -> Self {
        let hex = secret.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        // As `{:?}` prints a slice of bytes; its first half, because the rest may be cut off.
        let listed: Vec<_> = secret[..secret.len() / 2]
            .iter()
            .map(u8::to_string)
            .collect();
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(secret);
        let reversed: Vec<u8> = secret.iter().rev().copied().collect();
        Self {
            what,
            forms: vec![
                secret.to_vec(),
                reversed,
                hex.to_uppercase().into_bytes(),
                hex.into_bytes(),
                listed.join(", ").into_bytes(),
                base64.into_bytes(),
            ],
        }
    }

    fn of_text(what: String, secret: &str) -> Self {
        Self {
            what,
            forms: vec![secret.as_bytes().to_vec()],
        }
    }

    fn is_in(&self, content: &[u8]) -> bool {
        self.forms.iter().any(|form| contains(content, form))
    }
}

fn contains(content: &[u8], form: &[u8]) -> bool {
    // A window search over megabytes is slow; first bytes are looked for first.
    let mut rest = content;
    while let Some(at) = rest.iter().position(|byte| *byte == form[0]) {
        if rest[at..].starts_with(form) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The secret scalar in a stored key share.
fn scalar(share: &Value) -> Vec<u8> {
    let fields = share.as_map().unwrap();
    let x = fields.iter().find(|(name, _)| name.as_text() == Some("x"));
    let x = &x.unwrap().1;
    x.as_bytes().map_or_else(
        || {
            let bytes = x.as_array().unwrap().iter();
            bytes
                .map(|b| u8::try_from(b.as_integer().unwrap()).unwrap())
                .collect()
        },
        Clone::clone,
    )
}

fn canaries(cluster: &Cluster, n: u16) -> Vec<Canary> {
    let mut all = Vec::new();
    for number in 1..=n {
        let directory = cluster.custodian(number);
        let text = std::fs::read_to_string(directory.join("passphrase")).unwrap();
        all.push(Canary::of_text(format!("passphrase {number}"), &text));
        let phrase = Passphrase::new(Zeroizing::new(text));
        let store = directory.join("data/store");
        let store = EncryptedFileStore::open(&store, &party(number), &phrase).unwrap();
        for kind in [ItemKind::Identity, ItemKind::Share] {
            for name in store.list(kind).unwrap() {
                let bytes = store.get(name).unwrap();
                let secrets = match kind {
                    ItemKind::Identity => bytes.chunks(32).map(<[u8]>::to_vec).collect(),
                    _ => vec![scalar(&ciborium::from_reader(&**bytes).unwrap())],
                };
                for secret in secrets {
                    assert_eq!(secret.len(), 32);
                    all.push(Canary::of_bytes(format!("{number}: {name}"), &secret));
                }
            }
        }
    }
    all
}

/// Every file below a directory.
fn files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(below).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

#[test]
fn t23_i12_no_secret_is_in_any_output_log_or_file_of_a_cluster_that_works_and_fails() {
    let mut cluster = Cluster::start(Setup::new(2, 3).traced());
    let mut output = String::new();
    let mut say = |ran: crate::support::Ran| output.push_str(&(ran.stdout + &ran.stderr));
    say(cluster.cli(&["key", "create", "--curve", "ed25519", "--name", "sol"]));
    say(cluster.cli(&[
        "key",
        "create",
        "--curve",
        "secp256k1",
        "--scheme",
        "bip340",
        "--name",
        "vault",
    ]));
    say(cluster.cli(&["key", "create", "--curve", "ed25519", "--name", "sol"]));
    let shown = cluster.json(&["address", "--key", "sol", "--chain", "solana"]);
    let key = bitcoin::base58::decode(shown["address"].as_str().unwrap()).unwrap();
    let file = cluster.write("sol.bin", payloads::solana_transfer(&key, &[7; 32], 1));
    say(cluster.cli(&["sign", "--key", "sol", "--chain", "solana", "--in", &file]));
    cluster.freeze(3);
    say(cluster.cli(&["sign", "--key", "sol", "--chain", "solana", "--in", &file]));
    cluster.thaw(3);
    say(cluster.cli(&["status", "--json"]));
    say(cluster.cli(&["sign", "--key", "sol", "--chain", "ethereum", "--in", &file]));
    say(cluster.agent_cli(1, &["status"]));
    say(cluster.agent_cli(1, &["seal"]));
    cluster.wait_until(1, "sealed");
    let wrong = cluster.file("wrong");
    quorate_storage::write_private(&wrong, b"wrong").unwrap();
    let wrong = wrong.to_str().unwrap().to_owned();
    say(cluster.agent_cli(1, &["unseal", "--secret-file", &wrong]));
    say(cluster.agent_cli(1, &["unseal"]));
    cluster.wait_until(1, "serving");
    cluster.stop();
    // A damaged share, which is read and refused.
    let store = cluster.custodian(1).join("data/store");
    let mut in_store = Vec::new();
    files(&store, &mut in_store);
    let share = in_store
        .iter()
        .find(|f| f.to_str().unwrap().contains("/share-"));
    let share = share.unwrap();
    let whole = std::fs::read(share).unwrap();

    let canaries = canaries(&cluster, 3);
    assert_eq!(
        canaries.len(),
        3 * (1 + 2 + 2),
        "one passphrase, two keys, two shares each"
    );
    std::fs::write(share, &whole[..whole.len() / 2]).unwrap();
    let mut check = quorate();
    check.args(["agent", "run", "--check-config", "--config"]);
    check.arg(cluster.custodian(1).join("agent.toml"));
    say(crate::support::Ran::of(&mut check, Duration::from_secs(60)));

    let mut all = vec![(PathBuf::from("output of commands"), output.into_bytes())];
    let mut paths = Vec::new();
    files(cluster.file("").as_path(), &mut paths);
    // That is where the passphrases are.
    paths.retain(|path| path.file_name().unwrap() != "passphrase");
    assert!(paths.iter().any(|p| p.ends_with("logs/party-1.log")));
    assert!(paths.iter().any(|p| p.ends_with("ledger.redb")));
    for path in paths {
        let content = std::fs::read(&path).unwrap();
        all.push((path, content));
    }
    let logged: usize = all.iter().map(|(_, content)| content.len()).sum();
    assert!(logged > 100_000, "only {logged} bytes to search");
    for (path, content) in &all {
        for canary in &canaries {
            assert!(
                !canary.is_in(content),
                "{} is in {}",
                canary.what,
                path.display()
            );
        }
    }
}

#[test]
fn the_search_finds_every_form() {
    let secret: Vec<u8> = (100..132).collect();
    let canary = Canary::of_bytes("it".to_owned(), &secret);
    for form in canary.forms.clone() {
        assert!(canary.is_in(&[b"some ".as_slice(), &form, b" more"].concat()));
    }
    assert!(canary.is_in(format!("key: {secret:?}").as_bytes()));
    assert!(!canary.is_in(&secret[1..]));
}

/// Starts a command where core dumps would be written, ends it as a crash would, and returns what was left.
fn cores_of(command: &str, ready: impl FnOnce(u32)) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -c unlimited; exec {command}")])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    ready(child.id());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::ABORT).unwrap();
    child.wait().unwrap();
    let left = std::fs::read_dir(dir.path()).unwrap().flatten();
    left.filter(|e| e.file_name().to_str().unwrap().starts_with("core"))
        .count()
}

#[test]
fn t23_a_crash_leaves_no_core_dump() {
    let mut cluster = Cluster::start(Setup::new(2, 3));
    cluster.stop_agent(1);
    let config = cluster.custodian(1).join("agent.toml");
    let agent = format!(
        "{} agent run --config {} --nats-url {}",
        env!("CARGO_BIN_EXE_quorate"),
        config.display(),
        cluster.nats_url()
    );
    let cores = cores_of(&agent, |pid| {
        let socket = cluster.custodian(1).join("data/control.sock");
        wait_for("the agent listens", Duration::from_secs(30), || {
            socket.exists().then_some(())
        });
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|l| l.starts_with("Max core file size"));
        let values: Vec<_> = core.unwrap().split_whitespace().skip(4).take(2).collect();
        assert_eq!(values, ["0", "0"]);
        // A process that may not be dumped belongs to root there, whoever started it.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("CoreDumping:\t0"), "{status}");
    });
    assert_eq!(cores, 0);
    // Where this machine writes core dumps into the working directory, any other program leaves one there.
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.trim() == "core" {
        let started = |_| std::thread::sleep(Duration::from_millis(200));
        assert_eq!(cores_of("sleep 60", started), 1, "the check can fail");
    }
}
