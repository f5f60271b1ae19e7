//! What an agent keeps is neither overwritten nor given out twice.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

use std::path::Path;
use std::sync::Arc;

use quorate_party_agent::keybook::{KeyBook, KeyBookError};
use quorate_party_agent::primes::PrimeStock;
use quorate_storage::{EncryptedFileStore, Ledger, Passphrase};
use quorate_testkit::keys::{Identities, party_id};
use quorate_testkit::{committee, primes};
use quorate_types::{Attestation, Curve, KeyId, KeyName, KeyRecord, Scheme, Threshold};
use zeroize::Zeroizing;

fn store(dir: &Path) -> Arc<EncryptedFileStore> {
    let passphrase = Passphrase::new(Zeroizing::new("test".to_owned()));
    Arc::new(EncryptedFileStore::create(&dir.join("store"), &party_id(1), &passphrase).unwrap())
}

#[tokio::test]
async fn a_share_is_never_replaced_by_another_attempt_at_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let threshold = Threshold::new(2, 3).unwrap();
    let identities = Identities::new(threshold, 1);
    let ledger = Arc::new(Ledger::open(&dir.path().join("ledger")).unwrap());
    let store = store(dir.path());
    let book = KeyBook::open(
        Arc::new(Arc::clone(&store)),
        store,
        ledger,
        Arc::new(identities.roster.clone()),
    )
    .unwrap();
    let own = Attestation {
        party: party_id(1),
        signature: [0; 64],
    };
    let made = |seed: u64| {
        let share = committee::shares(&identities, Curve::Ed25519, seed).remove(0);
        let record = KeyRecord {
            id: KeyId::from_bytes([9; 32]),
            name: KeyName::new("k").unwrap(),
            scheme: Scheme::Eddsa,
            public_key: share.public_key().unwrap(),
            chain_code: share.chain_code().unwrap(),
            epoch: 0,
            threshold,
            committee: identities.roster.party_ids(),
            public_shares: share.public_shares().unwrap(),
            raw_signing: false,
            created_at: 0,
        };
        (share, record)
    };
    let (share, record) = made(1);
    book.add_pending_key(&record, &share, &own).await.unwrap();
    let (other, again) = made(2);
    let second = book.add_pending_key(&again, &other, &own).await;
    assert!(matches!(second, Err(KeyBookError::AlreadyMade(_))));
    assert_eq!(
        book.share(&record).await.unwrap().public_key(),
        Some(record.public_key)
    );
}

#[test]
fn of_two_setups_that_want_primes_at_once_one_gets_them() {
    for _ in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let stock = PrimeStock::open(store(dir.path())).unwrap();
        for prime in primes::full_list(0) {
            stock.add(&prime).unwrap();
        }
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| stock.take().unwrap().is_some()))
                .collect();
            threads
                .into_iter()
                .map(|t| usize::from(t.join().unwrap()))
                .sum()
        });
        assert_eq!((taken, stock.len()), (1, 0));
    }
}
