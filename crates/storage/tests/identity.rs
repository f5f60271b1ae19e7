//! An Ed25519 key in a real PKCS#11 token (SoftHSM2).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

mod support;

use std::process::Command;

use ed25519_dalek::{Signature, VerifyingKey};
use quorate_storage::{Pkcs11Error, Pkcs11Identity};

use support::passphrase;
use support::softhsm::{PIN, TOKEN, alone, module};

fn create(label: &str) -> Result<Pkcs11Identity, Pkcs11Error> {
    Pkcs11Identity::create(module(), TOKEN, &passphrase(PIN), label)
}

fn open(label: &str) -> Result<Pkcs11Identity, Pkcs11Error> {
    Pkcs11Identity::open(module(), TOKEN, &passphrase(PIN), label)
}

fn verifies(key: &Pkcs11Identity, message: &[u8], signature: &[u8; 64]) -> bool {
    let public = VerifyingKey::from_bytes(&key.public()).unwrap();
    let signature = Signature::from_bytes(signature);
    public.verify_strict(message, &signature).is_ok()
}

#[test]
fn a_key_in_a_token_signs_and_is_found_again() {
    let _alone = alone();
    let key = create("one").unwrap();
    let signature = key.sign(b"message").unwrap();
    assert!(verifies(&key, b"message", &signature));
    assert!(!verifies(&key, b"massage", &signature));

    let again = open("one").unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(again.sign(b"message").unwrap(), signature, "RFC 8032");
    assert_ne!(create("two").unwrap().public(), key.public());
    assert!(matches!(create("one"), Err(Pkcs11Error::KeyExists { .. })));
    let absent = open("three").unwrap_err();
    assert!(
        absent.to_string().contains("no Ed25519 key labelled"),
        "{absent}"
    );
}

#[test]
fn the_private_key_is_said_by_the_token_never_to_leave() {
    let _alone = alone();
    create("kept").unwrap();
    let listed = Command::new("pkcs11-tool")
        .arg("--module")
        .arg(module())
        .args(["--token-label", TOKEN, "--login", "--pin", PIN])
        .args(["--list-objects", "--type", "privkey"])
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let (_, ours) = listed
        .split_once("kept")
        .unwrap_or_else(|| panic!("{listed}"));
    assert!(
        ours.contains("sensitive, always sensitive, never extractable, local"),
        "{listed}"
    );
}
