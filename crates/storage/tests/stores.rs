//! The same behaviour from every keeper of secrets: sealed files, and objects in a real PKCS#11 token (SoftHSM2).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use quorate_storage::{
    EncryptedFileStore, HsmStore, ItemKind, ItemName, SecretStore, StoreError, write_private,
};
use quorate_types::PartyId;
use zeroize::Zeroizing;

use support::softhsm::{self, PIN, TOKEN};
use support::{passphrase, share};

/// Someone who may write to the medium but has no key.
trait Medium {
    fn read(&self, name: ItemName) -> Vec<u8>;
    fn write(&self, name: ItemName, bytes: &[u8]);
}

/// The directory of a file store.
struct Files(PathBuf);

impl Files {
    fn path(&self, name: ItemName) -> PathBuf {
        self.0.join(format!("{name}.sealed"))
    }
}

impl Medium for Files {
    fn read(&self, name: ItemName) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: ItemName, bytes: &[u8]) {
        write_private(&self.path(name), bytes).unwrap();
    }
}

/// A session with the token beside the store's own.
struct Objects {
    session: Session,
    party: PartyId,
}

impl Objects {
    fn new(party: &PartyId) -> Self {
        Self {
            session: softhsm::session(),
            party: party.clone(),
        }
    }

    fn template(&self, name: ItemName) -> Vec<Attribute> {
        vec![
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Application(format!("quorate/{}", self.party).into_bytes()),
            Attribute::Label(name.to_string().into_bytes()),
        ]
    }

    fn find(&self, name: ItemName) -> Vec<ObjectHandle> {
        self.session.find_objects(&self.template(name)).unwrap()
    }

    fn add(&self, name: ItemName, bytes: &[u8]) {
        let mut template = self.template(name);
        template.push(Attribute::Value(bytes.to_vec()));
        self.session.create_object(&template).unwrap();
    }
}

impl Medium for Objects {
    fn read(&self, name: ItemName) -> Vec<u8> {
        let handle = self.find(name)[0];
        let value = self.session.get_attributes(handle, &[AttributeType::Value]);
        match value.unwrap().remove(0) {
            Attribute::Value(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    fn write(&self, name: ItemName, bytes: &[u8]) {
        for handle in self.find(name) {
            self.session.destroy_object(handle).unwrap();
        }
        self.add(name, bytes);
    }
}

fn secret(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.to_vec())
}

/// What any keeper must do.
async fn keeps(store: &dyn SecretStore) {
    let (one, two) = (share(1, 0), share(2, 0));
    let prime = ItemName {
        kind: ItemKind::Prime,
        ..one
    };
    assert!(matches!(
        store.get_share(one).await,
        Err(StoreError::Missing(name)) if name == one
    ));
    store.delete_share(one).await.unwrap();
    assert_eq!(store.list(ItemKind::Share).await.unwrap(), []);

    for (name, bytes) in [
        (two, &b"two"[..]),
        (share(1, 1), b"next"),
        (prime, b"prime"),
        (one, b"one"),
    ] {
        store.put_share(name, secret(bytes)).await.unwrap();
    }
    assert_eq!(**store.get_share(one).await.unwrap(), *b"one");
    assert_eq!(**store.get_share(two).await.unwrap(), *b"two");
    assert_eq!(
        store.list(ItemKind::Share).await.unwrap(),
        [one, share(1, 1), two],
        "sorted, and of that kind only"
    );
    assert_eq!(store.list(ItemKind::Prime).await.unwrap(), [prime]);

    for round in 0..3u8 {
        store.put_share(one, secret(&[round; 100])).await.unwrap();
        assert_eq!(**store.get_share(one).await.unwrap(), [round; 100]);
    }
    assert_eq!(store.list(ItemKind::Share).await.unwrap().len(), 3);
    store.put_share(one, secret(b"")).await.unwrap();
    assert_eq!(**store.get_share(one).await.unwrap(), *b"");
    let large = vec![0xa5; 32 * 1024];
    store.put_share(one, secret(&large)).await.unwrap();
    assert_eq!(**store.get_share(one).await.unwrap(), large);

    for name in [one, two, share(1, 1), prime] {
        store.delete_share(name).await.unwrap();
        assert!(matches!(
            store.get_share(name).await,
            Err(StoreError::Missing(_))
        ));
    }
}

/// T24: whatever is done to the medium, no wrong secret comes out.
async fn withstands(store: &dyn SecretStore, medium: &dyn Medium) {
    let (one, two) = (share(1, 0), share(2, 0));
    store.put_share(one, secret(b"one")).await.unwrap();
    store.put_share(two, secret(b"two")).await.unwrap();
    let (original, other) = (medium.read(one), medium.read(two));
    for position in 0..original.len() {
        let mut flipped = original.clone();
        flipped[position] ^= 1 << (position % 8);
        for altered in [flipped.as_slice(), &original[..position]] {
            medium.write(one, altered);
            match store.get_share(one).await {
                Ok(secret) => assert_eq!(**secret, *b"one", "altered at {position}"),
                Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "{error}"),
            }
        }
    }
    let mut flipped = original.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let next_epoch = share(1, 1);
    for (name, bytes) in [(one, &flipped), (one, &other), (next_epoch, &original)] {
        medium.write(name, bytes);
        assert!(
            matches!(store.get_share(name).await, Err(StoreError::Damaged { .. })),
            "altered, or moved from another name"
        );
    }
    medium.write(one, &original);
    assert_eq!(**store.get_share(one).await.unwrap(), *b"one");
    for name in [one, two, next_epoch] {
        store.delete_share(name).await.unwrap();
    }
}

/// T24: what one party stored does not open for another, nor under another store key.
async fn is_bound_to_its_party(
    (store, medium): (&dyn SecretStore, &dyn Medium),
    (foreign, foreign_medium): (&dyn SecretStore, &dyn Medium),
) {
    let name = share(9, 0);
    store.put_share(name, secret(b"mine")).await.unwrap();
    foreign.put_share(name, secret(b"theirs")).await.unwrap();
    assert_eq!(**store.get_share(name).await.unwrap(), *b"mine");
    foreign_medium.write(name, &medium.read(name));
    assert!(matches!(
        foreign.get_share(name).await,
        Err(StoreError::Damaged { .. })
    ));
    store.delete_share(name).await.unwrap();
    foreign.delete_share(name).await.unwrap();
}

fn party(number: u8) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}

fn files(dir: &Path, party: &PartyId) -> Arc<EncryptedFileStore> {
    let path = dir.join(party.as_str());
    Arc::new(EncryptedFileStore::create(&path, party, &passphrase("p")).unwrap())
}

fn hsm(keeper: &EncryptedFileStore) -> Arc<HsmStore> {
    let (module, pin) = (softhsm::module(), passphrase(PIN));
    Arc::new(HsmStore::open(module, TOKEN, &pin, keeper.sealer()).unwrap())
}

#[tokio::test]
async fn files_behave() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (files(dir.path(), &party(1)), files(dir.path(), &party(2)));
    let (medium, foreign) = (
        Files(dir.path().join("party-1")),
        Files(dir.path().join("party-2")),
    );
    keeps(&one).await;
    withstands(&one, &medium).await;
    is_bound_to_its_party((&one, &medium), (&two, &foreign)).await;
}

#[test]
fn a_token_behaves() {
    let _alone = softhsm::alone();
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (files(dir.path(), &party(1)), files(dir.path(), &party(2)));
    let (store, other) = (hsm(&one), hsm(&two));
    let (medium, foreign) = (Objects::new(&party(1)), Objects::new(&party(2)));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        keeps(&store).await;
        withstands(&store, &medium).await;
        is_bound_to_its_party((&store, &medium), (&other, &foreign)).await;

        let large = secret(&vec![0; HsmStore::MAX_ITEM + 1]);
        let error = store.put_share(share(1, 0), large).await.unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
        assert_eq!(store.list(ItemKind::Share).await.unwrap(), []);
    });
    let left = std::fs::read_dir(dir.path().join("party-1")).unwrap();
    assert_eq!(left.count(), 2, "header and lock: no share in a file");
}

#[test]
fn a_replacement_in_a_token_that_was_interrupted_leaves_one_whole_item() {
    let _alone = softhsm::alone();
    let dir = tempfile::tempdir().unwrap();
    let keeper = files(dir.path(), &party(3));
    let (store, medium) = (hsm(&keeper), Objects::new(&party(3)));
    let name = share(1, 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        store.put_share(name, secret(b"old")).await.unwrap();
        let old = medium.read(name);
        store.put_share(name, secret(b"new")).await.unwrap();
        let new = medium.read(name);

        // Before the old one was destroyed.
        medium.add(name, &old);
        assert_eq!(medium.find(name).len(), 2);
        assert_eq!(store.list(ItemKind::Share).await.unwrap(), [name]);
        assert_eq!(**store.get_share(name).await.unwrap(), *b"new");
        assert_eq!(medium.find(name).len(), 1, "the old one is cleared away");

        // Before the new one was whole.
        medium.write(name, &old);
        medium.add(name, &new[..new.len() - 1]);
        assert_eq!(**store.get_share(name).await.unwrap(), *b"old");
        store.put_share(name, secret(b"newest")).await.unwrap();
        assert_eq!(medium.find(name).len(), 1);
        assert_eq!(**store.get_share(name).await.unwrap(), *b"newest");

        medium.add(name, &old);
        store.delete_share(name).await.unwrap();
        assert_eq!(medium.find(name).len(), 0, "no older one comes back");
    });
}
