//! The same behaviour from every protector: a passphrase, a key in a PKCS#11 token (SoftHSM2), a TPM (swtpm), a key at AWS KMS (moto).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

#[path = "../support/mod.rs"]
mod support;

mod header;
#[cfg(feature = "kms")]
mod kms;
mod token;
#[cfg(feature = "tpm")]
mod tpm;

use quorate_storage::{EncryptedFileStore, Protector, SealedBox, StoreError, write_private};

use support::{item, party, passphrase};

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
