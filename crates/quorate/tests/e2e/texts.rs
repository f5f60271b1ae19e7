//! What the user reads: help texts and the main errors, as files under `tests/golden`. `QUORATE_UPDATE_GOLDEN=1` writes them anew.

use std::path::Path;
use std::time::Duration;

use crate::support::{Ran, quorate};

const COMMANDS: [&[&str]; 62] = [
    &[],
    &["init"],
    &["up"],
    &["demo"],
    &["status"],
    &["version"],
    &["committee"],
    &["committee", "setup"],
    &["key"],
    &["key", "create"],
    &["key", "discard"],
    &["key", "list"],
    &["key", "set-protocol"],
    &["key", "show"],
    &["address"],
    &["sign"],
    &["request"],
    &["request", "list"],
    &["request", "show"],
    &["approve"],
    &["reject"],
    &["withdraw"],
    &["freeze"],
    &["policy"],
    &["policy", "show"],
    &["policy", "init"],
    &["policy", "check"],
    &["policy", "explain"],
    &["policy", "simulate"],
    &["policy", "diff"],
    &["policy", "sign"],
    &["policy", "publish"],
    &["policy", "history"],
    &["verify"],
    &["passkey"],
    &["passkey", "register"],
    &["agent"],
    &["agent", "run"],
    &["agent", "unseal"],
    &["agent", "seal"],
    &["agent", "status"],
    &["agent", "accept-clock"],
    &["agent", "accept-restore"],
    &["agent", "accept-policy"],
    &["agent", "lift-ban"],
    &["agent", "protector"],
    &["agent", "protector", "add"],
    &["agent", "identity"],
    &["agent", "identity", "create"],
    &["orchestrator"],
    &["orchestrator", "run"],
    &["backup"],
    &["backup", "create"],
    &["backup", "list"],
    &["backup", "verify"],
    &["backup", "escrow"],
    &["restore"],
    &["recover"],
    &["recover", "start"],
    &["recover", "contribute"],
    &["recover", "finish"],
    &["drill"],
];

/// Runs in an empty directory, so that no cluster is found by its default place.
fn run(args: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let mut command = quorate();
    command
        .args(args)
        .current_dir(dir.path())
        .env_remove("COLUMNS");
    Ran::of(&mut command, Duration::from_secs(60))
}

fn compare(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("QUORATE_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        text, expected,
        "{name} has changed; if that is right, run with QUORATE_UPDATE_GOLDEN=1"
    );
}

#[test]
fn every_help_text_is_as_recorded() {
    for command in COMMANDS {
        let ran = run(&[command, &["--help"]].concat()).ok();
        let name = [&["help"], command].concat().join("-");
        compare(&format!("{name}.txt"), &ran.stdout);
    }
}

#[test]
fn the_main_errors_are_as_recorded() {
    let mut all = String::new();
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["key", "list", "--client", "nowhere/client.toml"],
        &["init", "--threshold", "4", "--parties", "3", "c"],
        &["init", "--threshold", "1", "c"],
        &["init", "--name", "Not A Name", "c"],
        &["sign", "--key", "hot"],
        &["sign", "--key", "hot", "--in", "tx.json"],
        &[
            "sign",
            "--key",
            "hot",
            "--chain",
            "dogecoin",
            "--message",
            "x",
        ],
        &[
            "sign",
            "--key",
            "hot",
            "--path",
            "m/0'",
            "--chain",
            "ethereum",
            "--message",
            "x",
        ],
        &[
            "verify",
            "--key",
            "hot",
            "--chain",
            "ethereum",
            "--message",
            "x",
        ],
        &["key", "create", "--curve", "secp256r1", "--name", "hot"],
        &[
            "key", "create", "--curve", "p256", "--scheme", "schnorr", "--name", "hot",
        ],
        &["key", "show", "UPPER"],
        &[
            "passkey",
            "register",
            "--name",
            "Alice",
            "--rp-id",
            "custody.example",
        ],
        &["agent", "run", "--config", "agent.toml"],
        &["orchestrator", "run", "--config", "orchestrator.toml"],
        &["fly"],
        &[
            "key",
            "create",
            "--curve",
            "secp256r1",
            "--name",
            "hot",
            "--json",
        ],
    ] {
        let ran = run(args);
        assert_ne!(ran.code, Some(0), "{args:?}");
        assert_eq!(ran.stdout, "", "{args:?}");
        let code = ran.code.unwrap();
        all += &format!(
            "$ quorate {}\n{}[exit code {code}]\n\n",
            args.join(" "),
            ran.stderr
        );
    }
    compare("errors.txt", &all);
}
