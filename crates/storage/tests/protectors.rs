//! The same behaviour from every protector: a passphrase, and a key in a real PKCS#11 token (SoftHSM2).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use quorate_storage::{
    EncryptedFileStore, ItemKind, ItemName, Passphrase, Pkcs11Error, Pkcs11Key, Protector,
    SealedBox, StoreError, write_private,
};
use quorate_types::{Hash32, PartyId};
use zeroize::Zeroizing;

const TOKEN: &str = "custodian";
const PIN: &str = "493827";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned()))
}

fn party() -> PartyId {
    PartyId::new("party-1").unwrap()
}

fn item() -> ItemName {
    ItemName {
        kind: ItemKind::Share,
        id: Hash32::from_bytes([1; 32]),
        epoch: 0,
    }
}

/// SoftHSM's module, where the distribution's package puts it.
fn module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| {
        [
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/lib64/softhsm/libsofthsm.so",
        ]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("SoftHSM2 is not installed; run `make tools`")
    })
}

/// One token for the whole test process, which is as often as the module reads its configuration.
fn token() -> &'static str {
    static READY: OnceLock<tempfile::TempDir> = OnceLock::new();
    READY.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let config =
            std::env::var_os("SOFTHSM2_CONF").expect(".cargo/config.toml sets SOFTHSM2_CONF");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\n",
            tokens.display()
        );
        std::fs::create_dir_all(Path::new(&config).parent().unwrap()).unwrap();
        std::fs::write(config, text).unwrap();
        let made = Command::new("softhsm2-util")
            .args([
                "--init-token",
                "--free",
                "--label",
                TOKEN,
                "--so-pin",
                "12345678",
                "--pin",
                PIN,
            ])
            .output()
            .expect("softhsm2-util is not installed; run `make tools`");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        dir
    });
    TOKEN
}

/// The token is one device: tests that use it take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hsm_key(label: &str) -> Pkcs11Key {
    Pkcs11Key::create(module(), token(), &passphrase(PIN), label).unwrap()
}

/// What any protector must do. `other` is of the same kind, but another.
fn behaves<'p>(right: impl Into<Protector<'p>>, other: impl Into<Protector<'p>>) {
    let (right, other) = (right.into(), other.into());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = EncryptedFileStore::create(&path, &party(), right).unwrap();
    store.put(item(), b"share").unwrap();
    drop(store);
    assert!(
        EncryptedFileStore::open(&path, &party(), other).is_err(),
        "another of the same kind does not open it"
    );

    let store = EncryptedFileStore::open(&path, &party(), right).unwrap();
    store.add_protector("second", other).unwrap();
    assert!(matches!(
        store.add_protector("second", other),
        Err(StoreError::ProtectorName { exists: true, .. })
    ));
    drop(store);
    for any in [right, other] {
        let store = EncryptedFileStore::open(&path, &party(), any).unwrap();
        assert_eq!(&**store.get(item()).unwrap(), b"share");
    }

    let store = EncryptedFileStore::open(&path, &party(), other).unwrap();
    store.remove_protector("first").unwrap();
    assert!(matches!(
        store.remove_protector("second"),
        Err(StoreError::LastProtector(_))
    ));
    assert!(matches!(
        store.remove_protector("first"),
        Err(StoreError::ProtectorName { exists: false, .. })
    ));
    drop(store);
    assert!(
        EncryptedFileStore::open(&path, &party(), right).is_err(),
        "a removed protector opens nothing"
    );

    let store = EncryptedFileStore::open(&path, &party(), other).unwrap();
    store.rotate_protector("second", right).unwrap();
    drop(store);
    assert!(EncryptedFileStore::open(&path, &party(), other).is_err());
    let store = EncryptedFileStore::open(&path, &party(), right).unwrap();
    assert_eq!(&**store.get(item()).unwrap(), b"share");
}

#[test]
fn a_passphrase_behaves() {
    behaves(&passphrase("right"), &passphrase("other"));
}

#[test]
fn a_key_in_a_token_behaves() {
    let _alone = alone();
    behaves(&hsm_key("right"), &hsm_key("other"));
}

#[test]
fn a_passphrase_and_a_token_each_open_the_same_store() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (phrase, key) = (passphrase("phrase"), hsm_key("both"));
    let store = EncryptedFileStore::create(&path, &party(), &phrase).unwrap();
    store.put(item(), b"share").unwrap();
    let error = {
        drop(store);
        EncryptedFileStore::open(&path, &party(), &key).unwrap_err()
    };
    assert!(
        error
            .to_string()
            .contains("not protected by a pkcs11; it is by: passphrase"),
        "{error}"
    );
    let store = EncryptedFileStore::open(&path, &party(), &phrase).unwrap();
    store.add_protector("hsm", &key).unwrap();
    let kinds: Vec<_> = store
        .protectors()
        .unwrap()
        .into_iter()
        .map(|p| (p.name, p.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("first".to_owned(), "passphrase"),
            ("hsm".to_owned(), "pkcs11")
        ]
    );
    drop(store);
    let store = EncryptedFileStore::open(&path, &party(), &key).unwrap();
    assert_eq!(&**store.get(item()).unwrap(), b"share");
}

#[test]
fn a_token_says_what_is_wrong() {
    let _alone = alone();
    let open =
        |token: &str, pin: &str, key: &str| Pkcs11Key::open(module(), token, &passphrase(pin), key);
    let made = hsm_key("there");
    assert!(matches!(
        open("absent", PIN, "there"),
        Err(Pkcs11Error::TokenAbsent(_))
    ));
    assert!(matches!(
        open(TOKEN, PIN, "absent"),
        Err(Pkcs11Error::KeyAbsent { .. })
    ));
    let missing = Pkcs11Key::open(Path::new("/nowhere.so"), TOKEN, &passphrase(PIN), "there");
    assert!(matches!(missing, Err(Pkcs11Error::Module { .. })));
    assert!(open(TOKEN, PIN, "there").is_ok());
    let again = Pkcs11Key::create(module(), TOKEN, &passphrase(PIN), "there");
    assert!(
        matches!(again, Err(Pkcs11Error::KeyExists { .. })),
        "a label names one key"
    );
    drop(made);
}

#[test]
fn t24_an_altered_or_moved_header_does_not_open() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let key = hsm_key("altered");
    drop(EncryptedFileStore::create(&path, &party(), &key).unwrap());
    let header = path.join("store.json");
    let text = std::fs::read_to_string(&header).unwrap();
    let at = text.find("\"wrapped\": \"").unwrap() + 12;
    let digit = if text.as_bytes().get(at) == Some(&b'0') {
        "1"
    } else {
        "0"
    };
    let altered = [text.get(..at).unwrap(), digit, text.get(at + 1..).unwrap()].concat();
    write_private(&header, altered.as_bytes()).unwrap();
    let error = EncryptedFileStore::open(&path, &party(), &key).unwrap_err();
    assert!(
        matches!(error, StoreError::Pkcs11(Pkcs11Error::DoesNotOpen(_))),
        "{error}"
    );

    let stranger = PartyId::new("party-2").unwrap();
    for renamed in [text.clone(), text.replace("party-1", "party-2")] {
        write_private(&header, renamed.as_bytes()).unwrap();
        assert!(
            EncryptedFileStore::open(&path, &stranger, &key).is_err(),
            "another party's store"
        );
    }
    write_private(&header, text.as_bytes()).unwrap();
    EncryptedFileStore::open(&path, &party(), &key).unwrap();
}

#[test]
fn a_store_of_the_first_version_is_opened_and_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let phrase = passphrase("phrase");
    let store = EncryptedFileStore::create(&path, &party(), &phrase).unwrap();
    store.put(item(), b"share").unwrap();
    drop(store);
    let header = path.join("store.json");
    let current: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&header).unwrap()).unwrap();
    // Version 1 was the passphrase's box alone.
    let mut first = current.pointer("/protectors/0").unwrap().clone();
    let fields = first.as_object_mut().unwrap();
    fields.remove("name");
    fields.remove("kind");
    let _: SealedBox = serde_json::from_value(first.clone()).unwrap();
    write_private(&header, first.to_string().as_bytes()).unwrap();

    assert!(EncryptedFileStore::open(&path, &party(), &passphrase("wrong")).is_err());
    assert_eq!(
        std::fs::read_to_string(&header).unwrap(),
        first.to_string(),
        "a refused opening changes nothing"
    );
    let store = EncryptedFileStore::open(&path, &party(), &phrase).unwrap();
    assert_eq!(&**store.get(item()).unwrap(), b"share");
    drop(store);
    let rewritten: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&header).unwrap()).unwrap();
    assert_eq!(rewritten.get("version"), Some(&serde_json::Value::from(2)));
    EncryptedFileStore::open(&path, &party(), &phrase).unwrap();
}
