//! `quorate demo` is the main job from nothing, search for primes included.

use std::time::Duration;

use crate::support::{Ran, quorate};

#[test]
fn the_demo_does_the_main_job_and_closes_with_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = quorate();
    command.args(["demo", "--dir"]).arg(dir.path().join("kept"));
    let ran = Ran::of(&mut command, Duration::from_secs(1800)).ok();
    let (_, table) = ran.stdout.split_once("\nstep ").unwrap();
    for step in [
        "key hot: DKG on secp256k1",
        "key vault: DKG on secp256k1",
        "key sol: DKG on ed25519",
        "key web: DKG on p256",
        "committee setup",
        "EIP-1559 transfer",
        "Bitcoin P2WPKH spend",
        "Bitcoin taproot key-path spend",
        "Solana transfer",
        "EIP-712 message",
        "5 SOL: waits, two approvals, signed",
        "transfer to a stranger: refused by each",
        "a hostile orchestrator's two attempts: refused",
    ] {
        assert_eq!(table.matches(step).count(), 1, "{step}\n{table}");
    }
    let late = table
        .lines()
        .filter(|line| line.contains("taproot") || line.contains("EIP-712"));
    for line in late {
        assert!(
            line.contains("party-1 party-3") && line.contains("libsecp256k1"),
            "{line}"
        );
    }
    assert!(table.contains("\ntotal "), "{table}");
    assert!(dir.path().join("kept/operator/client.toml").exists());
}

#[test]
fn the_demo_fails_when_its_directory_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "data").unwrap();
    let mut command = quorate();
    command.args(["demo", "--dir"]).arg(dir.path());
    let ran = Ran::of(&mut command, Duration::from_secs(60)).failed();
    assert!(
        ran.stderr
            .contains("exists and is not empty; choose a new directory"),
        "{ran:#?}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
