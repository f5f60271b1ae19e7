//! A custodian whose store a hardware token opens, or whose identity is in one: SoftHSM2, through the command line.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use quorate_party_agent::boot::{identity_item, store_dir};
use quorate_party_agent::passphrase;
use quorate_storage::{EncryptedFileStore, ItemKind};

use crate::support::{Cluster, Ran, Setup, cluster::party, quorate};

const LIMIT: Duration = Duration::from_secs(60);
const PIN: &str = "493827";

/// SoftHSM's module, where the distribution's package puts it.
fn module() -> &'static str {
    [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
    .expect("SoftHSM2 is not installed; run `make tools`")
}

/// A token of its own in `dir`; returns the configuration file that shows it to SoftHSM.
fn token(dir: &Path) -> std::path::PathBuf {
    let tokens = dir.join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let config = dir.join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    std::fs::write(&config, text).unwrap();
    let made = Command::new("softhsm2-util")
        .args([
            "--init-token",
            "--free",
            "--label",
            "custodian",
            "--so-pin",
            "12345678",
            "--pin",
            PIN,
        ])
        .env("SOFTHSM2_CONF", &config)
        .output()
        .expect("softhsm2-util is not installed; run `make tools`");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    config
}

#[test]
fn a_token_opens_a_custodians_store_instead_of_the_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let softhsm = token(dir.path());
    let cluster = dir.path().join("cluster");
    Ran::of(quorate().arg("init").arg(&cluster), LIMIT).ok();
    let agent = cluster.join("custodians/party-1/agent.toml");
    let run = |args: &[&str], pin: &str| {
        let mut command = quorate();
        command.arg("agent").args(args).arg("--config").arg(&agent);
        command
            .env("SOFTHSM2_CONF", &softhsm)
            .env("QUORATE_PIN", pin);
        Ran::of(&mut command, LIMIT)
    };
    let new = [
        "--module",
        module(),
        "--token",
        "custodian",
        "--key",
        "store",
    ];
    let add = [
        &["protector", "add", "--name", "hsm", "--create-key"][..],
        &new,
    ]
    .concat();
    run(&add, PIN).ok();
    let listed = run(&["protector", "list"], PIN).ok().stdout;
    assert!(
        listed.contains("first") && listed.contains("hsm"),
        "{listed}"
    );

    let text = std::fs::read_to_string(&agent).unwrap();
    let hsm = format!(
        "\n[hsm]\nmodule = \"{}\"\ntoken = \"custodian\"\nkey = \"store\"\n",
        module()
    );
    std::fs::write(&agent, text.clone() + &hsm).unwrap();
    run(&["protector", "remove", "--name", "first"], PIN).ok();
    run(&["run", "--check-config"], PIN).ok();
    let wrong = run(&["run", "--check-config"], "000000").failed().stderr;
    assert!(
        wrong.contains("wrong PIN for token \"custodian\""),
        "{wrong}"
    );
    let last = run(&["protector", "remove", "--name", "hsm"], PIN)
        .failed()
        .stderr;
    assert!(last.contains("last protector"), "{last}");

    std::fs::write(&agent, text).unwrap();
    let passphrase = run(&["run", "--check-config"], PIN).failed().stderr;
    assert!(passphrase.contains("it is by: pkcs11"), "{passphrase}");
}

/// `roster.json` of every custodian, the operator and the orchestrator.
fn rosters(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rosters(&path));
        } else if path.ends_with("roster.json") {
            found.push(path);
        }
    }
    found
}

/// Moves party-1's identity and its coming shares into a token: the key is made there, the rosters name it, and the configuration its label.
fn move_identity(root: &Path, softhsm: &Path) {
    let home = root.join("custodians/party-1");
    let agent = home.join("agent.toml");
    let pin = home.join("pin");
    quorate_storage::write_private(&pin, PIN.as_bytes()).unwrap();
    let identity = |what: &str| {
        let mut command = quorate();
        command.args(["agent", "identity", what, "--config"]);
        command.arg(&agent).env("SOFTHSM2_CONF", softhsm);
        Ran::of(&mut command, LIMIT).ok().stdout.trim().to_owned()
    };
    let old = identity("show");
    let text = std::fs::read_to_string(&agent).unwrap();
    let hsm = format!(
        "\n[hsm]\nmodule = \"{}\"\ntoken = \"custodian\"\nidentity = \"identity\"\nshares = true\npin_file = \"pin\"\n",
        module()
    );
    std::fs::write(&agent, text + &hsm).unwrap();
    let new = identity("create");
    assert_eq!(identity("show"), new);
    assert_eq!((old.len(), new.len()), (64, 64));
    let files = rosters(root);
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(&old), "{}", file.display());
        std::fs::write(&file, text.replace(&old, &new)).unwrap();
    }
}

#[test]
fn an_identity_and_shares_in_a_token_make_and_use_a_key_and_the_store_holds_neither() {
    let dir = tempfile::tempdir().unwrap();
    let softhsm = token(dir.path());
    let mut cluster = Cluster::start_prepared(Setup::new(2, 3), |root| {
        move_identity(root, &softhsm);
        vec![("SOFTHSM2_CONF", softhsm.clone())]
    });
    cluster.create_key("sol", "ed25519", &["--raw-signing"]);
    // So that party-1 is needed.
    cluster.kill(3);
    cluster.json(&["sign", "--key", "sol", "--message", "by a token"]);
    cluster.restart(1);
    cluster.json(&["sign", "--key", "sol", "--message", "and again"]);
    cluster.stop();

    let home = cluster.custodian(1);
    let secret = passphrase::obtain(Some(&home.join("passphrase")), "NONE", "").unwrap();
    let store =
        EncryptedFileStore::open(&store_dir(&home.join("data")), &party(1), &secret).unwrap();
    let kept = store.get(identity_item()).unwrap();
    assert_eq!(kept.len(), 32, "only the channel key");
    assert_eq!(store.list(ItemKind::Share).unwrap(), [], "shares in files");
    drop(store);

    // Without its token the agent does not start, and says why.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = quorate();
    command.args(["agent", "run", "--check-config", "--config"]);
    command
        .arg(home.join("agent.toml"))
        .env("SOFTHSM2_CONF", token(elsewhere.path()));
    let refused = Ran::of(&mut command, LIMIT).failed().stderr;
    assert!(
        refused.contains("no Ed25519 key labelled \"identity\""),
        "{refused}"
    );
}
