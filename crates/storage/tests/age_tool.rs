//! The plain `age` and `tar` tools open a backup. `make tools` installs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a failure is the result; the lints' own exception does not reach helper functions"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use quorate_storage::backup::{About, Content, Lock, make};
use quorate_storage::{ItemKind, ItemName, Passphrase};
use quorate_types::{Hash32, PartyId};
use zeroize::Zeroizing;

fn backup(lock: &Lock) -> Vec<u8> {
    let mut content = Content::default();
    let config = Zeroizing::new(b"party = \"party-1\"\n".to_vec());
    content.files.insert("agent.toml".to_owned(), config);
    let share = ItemName {
        kind: ItemKind::Share,
        id: Hash32::from_bytes([1; 32]),
        epoch: 0,
    };
    let secret = Zeroizing::new(vec![8; 200_000]);
    content.secrets.insert(share, secret);
    let about = About {
        party: PartyId::new("party-1").unwrap(),
        made_at: 1_700_000_000_000,
        restore_counter: 0,
        policy_version: 1,
        keys: Vec::new(),
    };
    make(&about, &content, lock, |_| {
        Ok::<_, std::convert::Infallible>([7; 64])
    })
    .unwrap()
}

/// What `tar` lists and extracts of a decrypted backup.
fn look_into(tar: &Path) {
    let list = Command::new("tar").arg("tf").arg(tar).output().unwrap();
    let listed = String::from_utf8(list.stdout).unwrap();
    let share = format!("secrets/share-{}-0", "01".repeat(32));
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        ["manifest.json", "manifest.sig", "agent.toml", &share]
    );
    let out = Command::new("tar")
        .args(["xOf"])
        .arg(tar)
        .arg(&share)
        .output()
        .unwrap();
    assert_eq!(out.stdout, vec![8; 200_000]);
}

#[test]
fn age_opens_a_backup_with_an_identity() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.txt");
    let made = Command::new("age-keygen")
        .arg("-o")
        .arg(&key)
        .output()
        .expect("age is not installed; run `make tools`");
    let said = String::from_utf8(made.stderr).unwrap();
    let recipient = said.trim().rsplit(' ').next().unwrap();
    let file = dir.path().join("backup.age");
    std::fs::write(&file, backup(&Lock::to_recipients([recipient]).unwrap())).unwrap();
    let tar = dir.path().join("backup.tar");
    let opened = Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(&key)
        .arg("-o")
        .arg(&tar)
        .arg(&file)
        .output()
        .unwrap();
    assert!(opened.status.success(), "{opened:?}");
    look_into(&tar);
}

#[test]
fn age_opens_a_backup_with_a_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::new(Zeroizing::new("correct horse".to_owned()));
    std::fs::write(
        dir.path().join("backup.age"),
        backup(&Lock::Passphrase(passphrase)),
    )
    .unwrap();
    // age takes passphrases from a terminal only; `script` is one.
    let mut terminal = Command::new("script")
        .args(["-qec", "age -d -o backup.tar backup.age", "/dev/null"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script (util-linux) is not installed");
    let mut keyboard = terminal.stdin.take().unwrap();
    keyboard.write_all(b"correct horse\n").unwrap();
    let ended = terminal.wait_with_output().unwrap();
    drop(keyboard);
    assert!(ended.status.success(), "{ended:?}");
    look_into(&dir.path().join("backup.tar"));
}
