//! The chain of bundles in the ledger, and since when each address has been in it.

use std::collections::{BTreeSet, HashMap};

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_policy::{Book, Engine};
use quorate_storage::Ledger;
use quorate_types::{BookEntry, Hash32, SignedBundle, ValidBundle, ValidRoster};

use super::PolicyError;

/// A bundle as the ledger keeps it.
#[derive(BorshSerialize, BorshDeserialize)]
struct Stored {
    signed: SignedBundle,
    accepted_at: u64,
}

/// The version in force, ready to decide.
pub(crate) struct InForce {
    pub engine: Engine,
    accepted_at: u64,
    /// The address book.
    pub book: Book,
    /// When each of its entries begins to count, in the bundle's order, Unix milliseconds.
    usable_from: Vec<u64>,
    /// Freeze orders that some version lifted.
    pub lifted: BTreeSet<Hash32>,
}

fn name(version: u64) -> String {
    format!("policy/{version:020}")
}

/// Checks a bundle against the one before and makes it ready.
pub(super) fn next(
    roster: &ValidRoster,
    before: Option<&InForce>,
    signed: SignedBundle,
    now: u64,
) -> Result<InForce, PolicyError> {
    let valid = signed.follow(roster, before.map(|b| b.engine.bundle()))?;
    let usable_from = usable_from(before, &valid, now);
    let mut lifted = before.map(|b| b.lifted.clone()).unwrap_or_default();
    lifted.extend(valid.bundle().lifts.iter().copied());
    let entries = valid.bundle().book.iter();
    Ok(InForce {
        book: Book::usable_from(entries.zip(usable_from.iter().copied())),
        engine: Engine::new(valid)?,
        accepted_at: now,
        usable_from,
        lifted,
    })
}

/// An entry that was there keeps its time; a new one waits for the longer of both versions' delays. Those of the first version count at once.
fn usable_from(before: Option<&InForce>, bundle: &ValidBundle, now: u64) -> Vec<u64> {
    let Some(before) = before else {
        return vec![0; bundle.bundle().book.len()];
    };
    let old = before.engine.bundle().bundle();
    let delay = old.book_delay_ms.max(bundle.bundle().book_delay_ms);
    let since: HashMap<BookEntryKey, u64> = old
        .book
        .iter()
        .map(key)
        .zip(before.usable_from.iter().copied())
        .collect();
    let new = now.saturating_add(delay);
    bundle
        .bundle()
        .book
        .iter()
        .map(|entry| since.get(&key(entry)).copied().unwrap_or(new))
        .collect()
}

type BookEntryKey = (String, String, String);

fn key(entry: &BookEntry) -> BookEntryKey {
    (
        entry.network.to_string(),
        entry.address.clone(),
        entry.label.clone(),
    )
}

pub(super) fn store(ledger: &Ledger, policy: &InForce) -> Result<(), PolicyError> {
    let signed = policy.engine.bundle().signed().clone();
    let version = signed.bundle.version;
    let stored = Stored {
        signed,
        accepted_at: policy.accepted_at,
    };
    let bytes = borsh::to_vec(&stored).map_err(|_| PolicyError::Damaged("policy"))?;
    Ok(ledger.put_record(&name(version), &bytes)?)
}

pub(super) fn stored(ledger: &Ledger, version: u64) -> Result<Option<SignedBundle>, PolicyError> {
    let found = ledger.record(&name(version))?;
    let decode = |bytes: Vec<u8>| borsh::from_slice::<Stored>(&bytes).map(|s| s.signed);
    found
        .map(decode)
        .transpose()
        .map_err(|_| PolicyError::Damaged("policy"))
}

/// The version that a record's name says, if it is a policy's.
pub(crate) fn version_of(record: &str) -> Option<u64> {
    let version = record.strip_prefix("policy/")?.parse().ok()?;
    (name(version) == record).then_some(version)
}

/// Follows the chain from its first version, checking every signature again.
pub(super) fn load(ledger: &Ledger, roster: &ValidRoster) -> Result<Option<InForce>, PolicyError> {
    let records = ledger.records("policy/")?;
    follow_all(roster, records.iter().map(|(name, bytes)| (name, bytes)))
}

/// Follows stored bundles, in the order of their names.
pub(super) fn follow_all<'a>(
    roster: &ValidRoster,
    records: impl Iterator<Item = (&'a String, &'a Vec<u8>)>,
) -> Result<Option<InForce>, PolicyError> {
    let mut current: Option<InForce> = None;
    for (name, bytes) in records {
        let stored: Stored =
            borsh::from_slice(bytes).map_err(|_| PolicyError::Damaged("policy"))?;
        if version_of(name) != Some(stored.signed.bundle.version) {
            return Err(PolicyError::Damaged("policy"));
        }
        let accepted_at = stored.accepted_at;
        current = Some(next(roster, current.as_ref(), stored.signed, accepted_at)?);
    }
    Ok(current)
}
