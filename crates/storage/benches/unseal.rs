//! How long each protector takes to open a store.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot be set up should stop where it happens"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use quorate_storage::{EncryptedFileStore, Protector};

use support::{party, passphrase, softhsm};

fn unseal<'p>(criterion: &mut Criterion, name: &str, protector: impl Into<Protector<'p>>) {
    let protector = protector.into();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(EncryptedFileStore::create(&path, &party(), protector).unwrap());
    criterion.bench_function(&format!("unseal/{name}"), |bencher| {
        bencher.iter(|| EncryptedFileStore::open(&path, &party(), protector).unwrap());
    });
}

fn every_protector(criterion: &mut Criterion) {
    unseal(criterion, "passphrase", &passphrase("p"));
    {
        let _alone = softhsm::alone();
        unseal(criterion, "pkcs11", &softhsm::key("bench"));
    }
    #[cfg(feature = "tpm")]
    {
        let (_state, chip) = support::swtpm::Swtpm::new();
        let tpm = quorate_storage::Tpm::open(&chip.tcti, &[0, 7], None).unwrap();
        unseal(criterion, "tpm", &tpm);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = every_protector
}
criterion_main!(benches);
