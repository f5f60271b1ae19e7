//! A custodian whose store a hardware token opens: SoftHSM2, through the command line.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Ran, quorate};

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
