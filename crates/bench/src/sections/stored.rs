//! Many keys without making them: records that point to no share, put into ledgers of custodians that do not run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, anyhow};
use quorate_storage::Ledger;
use quorate_types::canonical::tagged_hash;
use quorate_types::node::Record;
use quorate_types::{Attestation, KeyId, KeyName};

/// Writers at once: they share fsyncs.
const WRITERS: usize = 128;

/// A key's record as the ledger has it.
type Stored = (Record, Vec<Attestation>, bool);

/// Adds so many to a custodian that has one at least. They are copies of that one under other names and ids.
pub fn add(custodian: &Path, count: usize) -> anyhow::Result<()> {
    let ledger = Arc::new(Ledger::open(&custodian.join("data/ledger.redb"))?);
    let records = ledger.records("key/")?;
    let (_, bytes) = records.first().context("there is no key yet")?;
    let model: Stored = borsh::from_slice(bytes)?;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let write = || -> anyhow::Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                let (name, bytes) = copy(&model, number)?;
                ledger.put_record(&name, &bytes)?;
            }
        };
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        let ended = writers.into_iter().map(|w| {
            let ended = w.join().map_err(|_| anyhow!("a writer panicked"));
            ended.and_then(|written| written)
        });
        ended.collect()
    })
}

fn copy(model: &Stored, number: usize) -> anyhow::Result<(String, Vec<u8>)> {
    let (Record::Key(key), attestations, active) = model else {
        return Err(anyhow!("not a key"));
    };
    let mut key = key.clone();
    let id = tagged_hash("quorate/benchmark-key", &[&number.to_le_bytes()]);
    key.id = KeyId::from_bytes(*id.as_bytes());
    key.name = KeyName::new(&format!("stored-{number}"))?;
    let name = format!("key/{}", key.id);
    let stored: Stored = (Record::Key(key), attestations.clone(), *active);
    Ok((name, borsh::to_vec(&stored)?))
}
