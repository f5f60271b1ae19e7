//! What the store must do, on a real disk.

use super::*;
use crate::{Passphrase, write_private};

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned()))
}

fn party(number: u8) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}

fn name(id: u8) -> ItemName {
    ItemName {
        kind: ItemKind::Share,
        id: Hash32::from_bytes([id; 32]),
        epoch: 0,
    }
}

#[test]
fn t24_a_wrong_passphrase_or_party_is_a_clear_error_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = EncryptedFileStore::create(&path, &party(1), &passphrase("right")).unwrap();
    store.put(name(1), b"secret").unwrap();
    drop(store);
    for (who, phrase, says) in [
        (party(1), "wrong", "wrong passphrase"),
        (party(2), "right", "party-1's store, not party-2's"),
    ] {
        let error = EncryptedFileStore::open(&path, &who, &passphrase(phrase)).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let store = EncryptedFileStore::open(&path, &party(1), &passphrase("right\n")).unwrap();
    assert_eq!(&**store.get(name(1)).unwrap(), b"secret");
    assert_eq!(store.list(ItemKind::Share).unwrap(), [name(1)]);
    store.delete(name(1)).unwrap();
    assert!(matches!(store.get(name(1)), Err(StoreError::Missing(_))));
}

#[test]
fn t24_bit_flips_truncation_and_swapped_files_do_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = EncryptedFileStore::create(&path, &party(1), &passphrase("p")).unwrap();
    store.put(name(1), b"one").unwrap();
    store.put(name(2), b"two").unwrap();
    let file = store.path(name(1));
    let original = fs::read(&file).unwrap();
    for position in 0..original.len() {
        let mut altered = original.clone();
        altered[position] ^= 1;
        write_private(&file, &altered).unwrap();
        assert!(matches!(
            store.get(name(1)),
            Err(StoreError::Damaged { .. })
        ));
        write_private(&file, &original[..position]).unwrap();
        assert!(matches!(
            store.get(name(1)),
            Err(StoreError::Damaged { .. })
        ));
    }
    write_private(&file, &fs::read(store.path(name(2))).unwrap()).unwrap();
    assert!(matches!(
        store.get(name(1)),
        Err(StoreError::Damaged { .. })
    ));
    write_private(&file, &original).unwrap();
    assert_eq!(&**store.get(name(1)).unwrap(), b"one");
}

#[test]
fn two_agents_do_not_share_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let _open = EncryptedFileStore::create(&path, &party(1), &passphrase("p")).unwrap();
    let second = EncryptedFileStore::open(&path, &party(1), &passphrase("p"));
    assert!(matches!(second, Err(StoreError::Locked { .. })));
}

#[test]
fn permissions_open_to_others_are_refused_with_the_command_that_mends_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(EncryptedFileStore::create(&path, &party(1), &passphrase("p")).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let error = EncryptedFileStore::open(&path, &party(1), &passphrase("p")).unwrap_err();
    assert!(error.to_string().contains("chmod 0700"), "{error}");
}

#[test]
fn lowered_kdf_costs_are_refused() {
    let boxed = SealedBox::seal(&passphrase("p"), "x", b"y").unwrap();
    let json = serde_json::to_string(&boxed).unwrap().replace("65536", "8");
    let boxed: SealedBox = serde_json::from_str(&json).unwrap();
    assert!(matches!(
        boxed.open(&passphrase("p"), "x"),
        Err(StoreError::WeakKdf(_))
    ));
}
