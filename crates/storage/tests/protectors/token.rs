//! A key in a PKCS#11 token.

use std::path::Path;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use quorate_storage::{EncryptedFileStore, Pkcs11Error, Pkcs11Key};

use crate::behaves;
use crate::support::softhsm::{self, PIN, SPARE, TOKEN};
use crate::support::{item, party, passphrase};

#[test]
fn a_key_in_a_token_behaves() {
    let _alone = softhsm::alone();
    behaves(&softhsm::key("right"), &softhsm::key("other"));
}

#[test]
fn a_passphrase_and_a_token_each_open_the_same_store() {
    let _alone = softhsm::alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (phrase, key) = (passphrase("phrase"), softhsm::key("both"));
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

/// A key that may encrypt only would lock the store for good.
#[test]
fn a_key_that_does_not_unwrap_what_it_wraps_is_refused_and_nothing_changes() {
    let _alone = softhsm::alone();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let phrase = passphrase("phrase");
    let store = EncryptedFileStore::create(&path, &party(), &phrase).unwrap();
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(false),
        Attribute::ValueLen(32.into()),
        Attribute::Label(b"one-way".to_vec()),
    ];
    let session = softhsm::session();
    session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .unwrap();
    let pin = passphrase(PIN);
    let one_way = Pkcs11Key::open(softhsm::module(), TOKEN, &pin, "one-way").unwrap();
    for refused in [
        store.add_protector("hsm", &one_way),
        store.rotate_protector("first", &one_way),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("does not open what it wrapped"), "{error}");
    }
    drop(store);
    EncryptedFileStore::open(&path, &party(), &phrase).unwrap();
    let other = dir.path().join("other");
    EncryptedFileStore::create(&other, &party(), &one_way).unwrap_err();
}

#[test]
fn a_token_says_what_is_wrong() {
    let _alone = softhsm::alone();
    let open = |token: &str, pin: &str, key: &str| {
        Pkcs11Key::open(softhsm::module(), token, &passphrase(pin), key)
    };
    let made = softhsm::key("there");
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
    let again = Pkcs11Key::create(softhsm::module(), TOKEN, &passphrase(PIN), "there");
    assert!(
        matches!(again, Err(Pkcs11Error::KeyExists { .. })),
        "a label names one key"
    );
    drop(made);
}

#[test]
fn a_wrong_pin_is_said_to_be_one() {
    let _alone = softhsm::alone();
    // Of a token of its own: who is logged in already is not asked again.
    let open = |pin: &str| Pkcs11Key::create(softhsm::module(), SPARE, &passphrase(pin), "key");
    for wrong in ["000000", "", "1", &"9".repeat(300)] {
        let error = open(wrong).unwrap_err();
        assert!(
            matches!(error, Pkcs11Error::WrongPin(_)),
            "{wrong:?}: {error}"
        );
    }
    open(PIN).unwrap();
}
