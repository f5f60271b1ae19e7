//! A power cut, a full disk and a torn write at every operation of everything the store changes: afterwards it is as before or as
//! after, never a third.

use super::*;
use crate::Passphrase;
use crate::simulated_disk::{Fault, SimulatedDisk};

const DIRECTORY: &str = "/store";
/// What a disk kept of the undurable is tried this often for each operation.
const SEEDS: u64 = 4;

fn party() -> PartyId {
    PartyId::new("party-1").unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned()))
}

fn item(id: u8) -> ItemName {
    ItemName {
        kind: ItemKind::Share,
        id: Hash32::from_bytes([id; 32]),
        epoch: 0,
    }
}

fn open(disk: &SimulatedDisk, phrase: &str) -> Result<EncryptedFileStore, StoreError> {
    EncryptedFileStore::open_on(
        Box::new(disk.clone()),
        None,
        Path::new(DIRECTORY),
        &party(),
        &(&passphrase(phrase)).into(),
    )
}

/// A store holding item 1, all of it durable.
fn with_one_item() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let store = EncryptedFileStore::create_on(
        Box::new(disk.clone()),
        None,
        Path::new(DIRECTORY),
        &party(),
        &(&passphrase("old")).into(),
    )
    .unwrap();
    store.put(item(1), b"old").unwrap();
    disk
}

/// What can be read: which of the passphrases open the store, and its items.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    opens: Vec<&'static str>,
    items: Vec<(ItemName, Vec<u8>)>,
}

fn look(disk: &SimulatedDisk, phrases: &[&'static str]) -> Seen {
    let mut seen = Seen {
        opens: Vec::new(),
        items: Vec::new(),
    };
    for phrase in phrases {
        let store = match open(disk, phrase) {
            Ok(store) => store,
            Err(StoreError::WrongPassphrase { .. }) => continue,
            Err(other) => panic!("{other}"),
        };
        seen.opens.push(phrase);
        let names = store.list(ItemKind::Share).unwrap();
        seen.items = names
            .into_iter()
            .map(|name| (name, store.get(name).unwrap().to_vec()))
            .collect();
        let left: Vec<_> = disk.list(Path::new(DIRECTORY)).unwrap();
        assert!(
            !left.iter().any(|name| name.starts_with('.')),
            "swept: {left:?}"
        );
    }
    seen
}

/// Runs `change` with every fault at every operation and looks at what is left, after power cuts as well.
fn at_every_operation(
    phrases: &[&'static str],
    change: impl Fn(&EncryptedFileStore) -> Result<(), StoreError>,
) {
    let base = with_one_item();
    let before = look(&base.copy(), phrases);
    let done = base.copy();
    let store = open(&done, "old").unwrap();
    done.plan(u64::MAX, Fault::Full);
    change(&store).unwrap();
    let operations = done.operations();
    assert!(operations >= 2, "a change that is made durable");
    let after = look(&done.after_power_cut(0), phrases);
    assert_ne!(before, after, "the change is seen");

    for at in 0..operations {
        for fault in [Fault::Crash, Fault::Full, Fault::Torn] {
            let disk = base.copy();
            let store = open(&disk, "old").unwrap();
            disk.plan(at, fault);
            let result = change(&store);
            let context = format!("operation {at} of {operations}, {fault:?}");
            assert!(result.is_err(), "{context}: reported");
            drop(store);
            if !matches!(fault, Fault::Crash) {
                disk.plan(u64::MAX, Fault::Full);
                let seen = look(&disk.copy(), phrases);
                assert!(seen == before || seen == after, "{context}: {seen:?}");
            }
            for seed in 0..SEEDS {
                let seen = look(&disk.after_power_cut(seed), phrases);
                assert!(
                    seen == before || seen == after,
                    "{context}, seed {seed}: {seen:?}"
                );
            }
        }
    }
}

#[test]
fn t24_a_new_item_is_there_or_not_whatever_happens_while_it_is_put() {
    at_every_operation(&["old"], |store| store.put(item(2), b"new"));
}

#[test]
fn t24_a_replaced_item_is_the_old_or_the_new_whatever_happens() {
    at_every_operation(&["old"], |store| store.put(item(1), b"new"));
}

#[test]
fn t24_a_deleted_item_is_there_or_not_whatever_happens() {
    at_every_operation(&["old"], |store| store.delete(item(1)));
}

#[test]
fn t24_a_rotated_protector_is_the_old_or_the_new_whatever_happens() {
    at_every_operation(&["old", "new"], |store| {
        store.rotate_protector(FIRST_PROTECTOR, &passphrase("new"))
    });
}

#[test]
fn what_the_store_reports_done_survives_any_power_cut() {
    let disk = with_one_item();
    let store = open(&disk, "old").unwrap();
    store.put(item(2), b"two").unwrap();
    store.put(item(1), b"new").unwrap();
    for seed in 0..16 {
        let kept = open(&disk.after_power_cut(seed), "old").unwrap();
        assert_eq!(&**kept.get(item(1)).unwrap(), b"new");
        assert_eq!(&**kept.get(item(2)).unwrap(), b"two");
    }
    store.delete(item(2)).unwrap();
    for seed in 0..16 {
        let kept = open(&disk.after_power_cut(seed), "old").unwrap();
        assert!(matches!(kept.get(item(2)), Err(StoreError::Missing(_))));
    }
}
