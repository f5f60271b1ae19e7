//! A header that was altered, cut or moved: for every kind of protector.

use std::path::Path;

use quorate_storage::{EncryptedFileStore, Pkcs11Error, Protector, StoreError};
use quorate_types::PartyId;

use crate::support::{item, party, passphrase, softhsm};

/// Opening a damaged header fails, or the damage is where nothing is decided and the right share comes out.
fn opens_rightly_or_not_at_all(path: &Path, protector: Protector<'_>, damage: &str) -> bool {
    let Ok(store) = EncryptedFileStore::open(path, &party(), protector) else {
        return false;
    };
    assert_eq!(&**store.get(item()).unwrap(), b"share", "{damage}");
    true
}

/// One flipped bit at every position, and every shorter header.
pub fn withstands_damage<'p>(protector: impl Into<Protector<'p>>) {
    let protector = protector.into();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = EncryptedFileStore::create(&path, &party(), protector).unwrap();
    store.put(item(), b"share").unwrap();
    drop(store);
    let header = path.join("store.json");
    let original = std::fs::read(&header).unwrap();
    for position in 0..original.len() {
        let mut flipped = original.clone();
        flipped[position] ^= 1 << (position % 8);
        std::fs::write(&header, &flipped).unwrap();
        opens_rightly_or_not_at_all(&path, protector, &format!("bit flipped at {position}"));

        std::fs::write(&header, &original[..position]).unwrap();
        assert!(
            !opens_rightly_or_not_at_all(&path, protector, "cut"),
            "cut at {position}"
        );
    }
    std::fs::write(&header, &original).unwrap();
    assert!(opens_rightly_or_not_at_all(&path, protector, "none"));
}

/// A header is another party's neither as it is nor with the name changed.
pub fn is_bound_to_its_party<'p>(protector: impl Into<Protector<'p>>) {
    let protector = protector.into();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(EncryptedFileStore::create(&path, &party(), protector).unwrap());
    let header = path.join("store.json");
    let text = std::fs::read_to_string(&header).unwrap();
    let stranger = PartyId::new("party-2").unwrap();
    for renamed in [text.clone(), text.replace("party-1", "party-2")] {
        std::fs::write(&header, renamed).unwrap();
        assert!(EncryptedFileStore::open(&path, &stranger, protector).is_err());
    }
    std::fs::write(&header, &text).unwrap();
    EncryptedFileStore::open(&path, &party(), protector).unwrap();
}

#[test]
fn t24_a_damaged_header_under_a_passphrase_never_opens_wrongly() {
    withstands_damage(&passphrase("p"));
    is_bound_to_its_party(&passphrase("p"));
}

#[test]
fn t24_a_damaged_header_under_a_token_never_opens_wrongly() {
    let _alone = softhsm::alone();
    let key = softhsm::key("damaged");
    withstands_damage(&key);
    is_bound_to_its_party(&key);
}

#[test]
fn t24_an_altered_ciphertext_is_said_to_be_one() {
    let _alone = softhsm::alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let key = softhsm::key("altered");
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
    std::fs::write(&header, altered).unwrap();
    let error = EncryptedFileStore::open(&path, &party(), &key).unwrap_err();
    assert!(
        matches!(error, StoreError::Pkcs11(Pkcs11Error::DoesNotOpen(_))),
        "{error}"
    );
}

#[test]
fn an_entry_of_another_kind_is_kept_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let phrase = passphrase("p");
    let store = EncryptedFileStore::create(&path, &party(), &phrase).unwrap();
    store.add_protector("spare", &phrase).unwrap();
    drop(store);
    let header = path.join("store.json");
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&header).unwrap()).unwrap();
    let foreign = serde_json::json!({"name": "spare", "kind": "kms", "key": "k", "wrapped": "00"});
    *json.pointer_mut("/protectors/1").unwrap() = foreign;
    std::fs::write(&header, json.to_string()).unwrap();
    let store = EncryptedFileStore::open(&path, &party(), &phrase).unwrap();
    store.rotate_protector("first", &phrase).unwrap();
    let kinds: Vec<_> = store.protectors().unwrap().iter().map(|p| p.kind).collect();
    assert_eq!(kinds, ["passphrase", "kms"]);
}
