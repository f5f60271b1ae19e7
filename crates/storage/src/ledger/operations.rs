//! What can be done in a transaction. Every writing operation looks first and changes afterwards.

use borsh::BorshDeserialize;
use quorate_types::{Hash32, IntentHash, SessionId};
use redb::{
    ReadTransaction, ReadableTable as _, ReadableTableMetadata as _, TableDefinition,
    WriteTransaction,
};

use super::database::{failed, failed_because};
use super::{
    Batch, Begun, CLOCK_TOLERANCE, LedgerError, OneTimeId, OneTimeKind, SealedOneTime, Spend,
};

type Bytes = &'static [u8];

/// Keyed by intent hash and attempt (big-endian).
const STARTS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("starts");
/// Keyed by session id.
const SESSIONS: TableDefinition<'_, Bytes, ()> = TableDefinition::new("sessions");
/// Keyed by intent hash.
const RESULTS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("results");
/// Public records by name: keys, committees.
const RECORDS: TableDefinition<'_, &str, Bytes> = TableDefinition::new("records");
/// Presignatures and nonces, sealed, keyed by [`OneTimeId`].
const ONE_TIME: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("one-time");
/// Ids of presignatures and nonces that were used, for ever.
const CONSUMED: TableDefinition<'_, Bytes, ()> = TableDefinition::new("consumed");
/// Keyed by time (Unix milliseconds, big-endian) and id.
const SPENDS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("spends");
/// Keyed by index.
const LEAVES: TableDefinition<'_, u64, Bytes> = TableDefinition::new("leaves");
/// Single numbers.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// In [`META`]: the format.
pub(super) const VERSION: &str = "version";
/// In [`META`]: what begins the name of each need of the file, see [`crate::format`].
pub(super) const NEED: &str = "need/";
/// In [`META`]: the latest time of an entry, Unix milliseconds.
const CLOCK: &str = "clock";

const WRITTEN: &str = "written";
const READ: &str = "read";

pub(super) fn create_tables(transaction: &WriteTransaction) -> Result<(), LedgerError> {
    let opened = "opened";
    for table in [STARTS, RESULTS, ONE_TIME, SPENDS] {
        transaction.open_table(table).map_err(failed(opened))?;
    }
    for table in [SESSIONS, CONSUMED] {
        transaction.open_table(table).map_err(failed(opened))?;
    }
    transaction.open_table(RECORDS).map_err(failed(opened))?;
    transaction.open_table(LEAVES).map_err(failed(opened))?;
    Ok(())
}

pub(super) fn begin(transaction: &WriteTransaction, batch: &Batch) -> Result<Begun, LedgerError> {
    if let Some(refused) = refusal(transaction, batch)? {
        return Ok(refused);
    }
    let taken = take(transaction, &batch.take)?;
    let start = &batch.start;
    {
        let mut starts = transaction.open_table(STARTS).map_err(failed(WRITTEN))?;
        let encoded = borsh::to_vec(&start.sessions).map_err(failed(WRITTEN))?;
        let key = start_key(start.intent, start.attempt);
        starts
            .insert(key.as_slice(), encoded.as_slice())
            .map_err(failed(WRITTEN))?;
    }
    {
        let mut sessions = transaction.open_table(SESSIONS).map_err(failed(WRITTEN))?;
        for session in &start.sessions {
            sessions
                .insert(session.as_bytes().as_slice(), ())
                .map_err(failed(WRITTEN))?;
        }
    }
    record_spends(transaction, &batch.spends)?;
    append(transaction, &batch.leaves)?;
    advance_clock(transaction, batch.now)?;
    Ok(Begun::Fresh { taken })
}

/// Why a run may not begin; nothing is changed.
fn refusal(transaction: &WriteTransaction, batch: &Batch) -> Result<Option<Begun>, LedgerError> {
    let start = &batch.start;
    let results = transaction.open_table(RESULTS).map_err(failed(WRITTEN))?;
    let finished = results
        .get(start.intent.as_bytes().as_slice())
        .map_err(failed(WRITTEN))?;
    if let Some(result) = finished {
        return Ok(Some(Begun::Finished(result.value().to_vec())));
    }
    let behind = clock(transaction)?.saturating_sub(batch.now);
    if behind > CLOCK_TOLERANCE {
        return Ok(Some(Begun::ClockBack(behind)));
    }
    let starts = transaction.open_table(STARTS).map_err(failed(WRITTEN))?;
    let key = start_key(start.intent, start.attempt);
    if starts
        .get(key.as_slice())
        .map_err(failed(WRITTEN))?
        .is_some()
    {
        return Ok(Some(Begun::Repeated));
    }
    let sessions = transaction.open_table(SESSIONS).map_err(failed(WRITTEN))?;
    for (index, session) in start.sessions.iter().enumerate() {
        let twice = start.sessions.iter().take(index).any(|s| s == session);
        let seen = sessions
            .get(session.as_bytes().as_slice())
            .map_err(failed(WRITTEN))?;
        if twice || seen.is_some() {
            return Ok(Some(Begun::Repeated));
        }
    }
    unavailable(transaction, &batch.take)
}

/// The first that is asked for twice, was consumed, or is not there.
fn unavailable(
    transaction: &WriteTransaction,
    take: &[OneTimeId],
) -> Result<Option<Begun>, LedgerError> {
    let one_time = transaction.open_table(ONE_TIME).map_err(failed(WRITTEN))?;
    let consumed = transaction.open_table(CONSUMED).map_err(failed(WRITTEN))?;
    for (index, id) in take.iter().enumerate() {
        let key = consumed_key(id);
        let twice = take.iter().take(index).any(|o| consumed_key(o) == key);
        let used = consumed.get(key.as_slice()).map_err(failed(WRITTEN))?;
        let there = one_time
            .get(one_time_key(id).as_slice())
            .map_err(failed(WRITTEN))?;
        if twice || used.is_some() || there.is_none() {
            return Ok(Some(Begun::Unavailable(*id)));
        }
    }
    Ok(None)
}

/// INVARIANT (I4): what is taken is removed and marked in the transaction that returns it.
fn take(
    transaction: &WriteTransaction,
    ids: &[OneTimeId],
) -> Result<Vec<SealedOneTime>, LedgerError> {
    let mut one_time = transaction.open_table(ONE_TIME).map_err(failed(WRITTEN))?;
    let mut consumed = transaction.open_table(CONSUMED).map_err(failed(WRITTEN))?;
    let mut taken = Vec::with_capacity(ids.len());
    for id in ids {
        let removed = one_time
            .remove(one_time_key(id).as_slice())
            .map_err(failed(WRITTEN))?;
        let removed = removed.ok_or_else(|| failed_because(WRITTEN)("a presignature vanished"))?;
        taken.push(SealedOneTime {
            id: *id,
            sealed: removed.value().to_vec(),
        });
        consumed
            .insert(consumed_key(id).as_slice(), ())
            .map_err(failed(WRITTEN))?;
    }
    Ok(taken)
}

pub(super) fn record_spends(
    transaction: &WriteTransaction,
    spends: &[Spend],
) -> Result<(), LedgerError> {
    let mut table = transaction.open_table(SPENDS).map_err(failed(WRITTEN))?;
    for spend in spends {
        let key = spend_key(spend);
        let encoded = borsh::to_vec(spend).map_err(failed(WRITTEN))?;
        // The first record of a spend stays: another of the same id and time could only be smaller on purpose.
        if table
            .get(key.as_slice())
            .map_err(failed(WRITTEN))?
            .is_some()
        {
            continue;
        }
        table
            .insert(key.as_slice(), encoded.as_slice())
            .map_err(failed(WRITTEN))?;
    }
    Ok(())
}

pub(super) fn finish(
    transaction: &WriteTransaction,
    intent: IntentHash,
    result: &[u8],
    leaves: &[Vec<u8>],
) -> Result<(), LedgerError> {
    {
        let mut results = transaction.open_table(RESULTS).map_err(failed(WRITTEN))?;
        let key = intent.as_bytes().as_slice();
        if results.get(key).map_err(failed(WRITTEN))?.is_some() {
            return Ok(());
        }
        results.insert(key, result).map_err(failed(WRITTEN))?;
    }
    append(transaction, leaves).map(drop)
}

pub(super) fn put_one_time(
    transaction: &WriteTransaction,
    sealed: &[SealedOneTime],
) -> Result<usize, LedgerError> {
    let mut one_time = transaction.open_table(ONE_TIME).map_err(failed(WRITTEN))?;
    let consumed = transaction.open_table(CONSUMED).map_err(failed(WRITTEN))?;
    let mut stored = 0;
    for SealedOneTime { id, sealed } in sealed {
        let key = one_time_key(id);
        let used = consumed
            .get(consumed_key(id).as_slice())
            .map_err(failed(WRITTEN))?;
        let there = one_time.get(key.as_slice()).map_err(failed(WRITTEN))?;
        if used.is_some() || there.is_some() {
            continue;
        }
        drop(there);
        one_time
            .insert(key.as_slice(), sealed.as_slice())
            .map_err(failed(WRITTEN))?;
        stored += 1;
    }
    Ok(stored)
}

pub(super) fn one_time(
    transaction: &ReadTransaction,
    kind: OneTimeKind,
    pool: Hash32,
    max: usize,
) -> Result<Vec<OneTimeId>, LedgerError> {
    let table = transaction.open_table(ONE_TIME).map_err(failed(READ))?;
    let first = OneTimeId {
        kind,
        pool,
        id: Hash32::from_bytes([0; 32]),
    };
    let mut found = Vec::new();
    for entry in table
        .range(one_time_key(&first).as_slice()..)
        .map_err(failed(READ))?
    {
        let (key, _) = entry.map_err(failed(READ))?;
        let id: OneTimeId = decode(key.value())?;
        if id.kind != kind || id.pool != pool || found.len() >= max {
            break;
        }
        found.push(id);
    }
    Ok(found)
}

pub(super) fn discard_one_time(
    transaction: &WriteTransaction,
    ids: &[OneTimeId],
) -> Result<(), LedgerError> {
    let mut table = transaction.open_table(ONE_TIME).map_err(failed(WRITTEN))?;
    for id in ids {
        table
            .remove(one_time_key(id).as_slice())
            .map_err(failed(WRITTEN))?;
    }
    Ok(())
}

pub(super) fn purge_one_time(transaction: &WriteTransaction) -> Result<u64, LedgerError> {
    let mut table = transaction.open_table(ONE_TIME).map_err(failed(WRITTEN))?;
    let count = table.len().map_err(failed(WRITTEN))?;
    table.retain(|_, _| false).map_err(failed(WRITTEN))?;
    Ok(count)
}

pub(super) fn spends_since(
    transaction: &ReadTransaction,
    at: u64,
) -> Result<Vec<Spend>, LedgerError> {
    let table = transaction.open_table(SPENDS).map_err(failed(READ))?;
    let mut found = Vec::new();
    for entry in table
        .range(at.to_be_bytes().as_slice()..)
        .map_err(failed(READ))?
    {
        let (_, spend) = entry.map_err(failed(READ))?;
        found.push(decode(spend.value())?);
    }
    Ok(found)
}

pub(super) fn remove_spends(
    transaction: &WriteTransaction,
    spends: &[Spend],
) -> Result<(), LedgerError> {
    let mut table = transaction.open_table(SPENDS).map_err(failed(WRITTEN))?;
    for spend in spends {
        let key = spend_key(spend);
        table.remove(key.as_slice()).map_err(failed(WRITTEN))?;
    }
    Ok(())
}

fn spend_key(spend: &Spend) -> Vec<u8> {
    let mut key = spend.at.to_be_bytes().to_vec();
    key.extend_from_slice(spend.id.as_bytes());
    key
}

pub(super) fn append(
    transaction: &WriteTransaction,
    leaves: &[Vec<u8>],
) -> Result<u64, LedgerError> {
    let mut table = transaction.open_table(LEAVES).map_err(failed(WRITTEN))?;
    let last = table.last().map_err(failed(WRITTEN))?;
    let mut next = last.map_or(0, |(index, _)| index.value() + 1);
    for leaf in leaves {
        table
            .insert(next, leaf.as_slice())
            .map_err(failed(WRITTEN))?;
        next += 1;
    }
    Ok(next)
}

/// Appends a leaf at `size` or after everything that is there, whichever is later.
pub(super) fn append_after(
    transaction: &WriteTransaction,
    size: u64,
    leaf: &[u8],
) -> Result<(), LedgerError> {
    let next = append(transaction, &[])?.max(size);
    let mut table = transaction.open_table(LEAVES).map_err(failed(WRITTEN))?;
    table.insert(next, leaf).map_err(failed(WRITTEN))?;
    Ok(())
}

pub(super) fn log_size(transaction: &ReadTransaction) -> Result<u64, LedgerError> {
    let table = transaction.open_table(LEAVES).map_err(failed(READ))?;
    let last = table.last().map_err(failed(READ))?;
    Ok(last.map_or(0, |(index, _)| index.value() + 1))
}

pub(super) fn leaves(
    transaction: &ReadTransaction,
    from: u64,
    max: usize,
) -> Result<Vec<(u64, Vec<u8>)>, LedgerError> {
    let table = transaction.open_table(LEAVES).map_err(failed(READ))?;
    let range = table.range(from..).map_err(failed(READ))?;
    range
        .take(max)
        .map(|entry| {
            let (index, leaf) = entry.map_err(failed(READ))?;
            Ok((index.value(), leaf.value().to_vec()))
        })
        .collect()
}

pub(super) fn result(
    transaction: &ReadTransaction,
    intent: IntentHash,
) -> Result<Option<Vec<u8>>, LedgerError> {
    let results = transaction.open_table(RESULTS).map_err(failed(READ))?;
    let found = results
        .get(intent.as_bytes().as_slice())
        .map_err(failed(READ))?;
    Ok(found.map(|value| value.value().to_vec()))
}

pub(super) fn has_session(
    transaction: &ReadTransaction,
    session: SessionId,
) -> Result<bool, LedgerError> {
    let sessions = transaction.open_table(SESSIONS).map_err(failed(READ))?;
    let found = sessions
        .get(session.as_bytes().as_slice())
        .map_err(failed(READ))?;
    Ok(found.is_some())
}

pub(super) fn put_record(
    transaction: &WriteTransaction,
    name: &str,
    record: &[u8],
) -> Result<(), LedgerError> {
    let mut records = transaction.open_table(RECORDS).map_err(failed(WRITTEN))?;
    records.insert(name, record).map_err(failed(WRITTEN))?;
    Ok(())
}

pub(super) fn delete_records(
    transaction: &WriteTransaction,
    names: &[String],
) -> Result<(), LedgerError> {
    let mut records = transaction.open_table(RECORDS).map_err(failed(WRITTEN))?;
    for name in names {
        records.remove(name.as_str()).map_err(failed(WRITTEN))?;
    }
    Ok(())
}

pub(super) fn records(
    transaction: &ReadTransaction,
    prefix: &str,
) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
    let records = transaction.open_table(RECORDS).map_err(failed(READ))?;
    let mut found = Vec::new();
    for entry in records.range(prefix..).map_err(failed(READ))? {
        let (name, record) = entry.map_err(failed(READ))?;
        if !name.value().starts_with(prefix) {
            break;
        }
        found.push((name.value().to_owned(), record.value().to_vec()));
    }
    Ok(found)
}

fn clock(transaction: &WriteTransaction) -> Result<u64, LedgerError> {
    let meta = transaction.open_table(META).map_err(failed(WRITTEN))?;
    let found = meta.get(CLOCK).map_err(failed(WRITTEN))?;
    Ok(found.map_or(0, |value| value.value()))
}

/// The ledger's clock only goes forward by itself.
pub(super) fn advance_clock(transaction: &WriteTransaction, now: u64) -> Result<(), LedgerError> {
    accept_clock(transaction, now.max(clock(transaction)?))
}

pub(super) fn accept_clock(transaction: &WriteTransaction, now: u64) -> Result<(), LedgerError> {
    let mut meta = transaction.open_table(META).map_err(failed(WRITTEN))?;
    meta.insert(CLOCK, now).map_err(failed(WRITTEN))?;
    Ok(())
}

fn decode<T: BorshDeserialize>(bytes: &[u8]) -> Result<T, LedgerError> {
    borsh::from_slice(bytes).map_err(failed(READ))
}

fn start_key(intent: IntentHash, attempt: u32) -> Vec<u8> {
    let mut key = intent.as_bytes().to_vec();
    key.extend_from_slice(&attempt.to_be_bytes());
    key
}

/// Its encoding: kind, pool, id, so that a pool is a range.
fn one_time_key(id: &OneTimeId) -> Vec<u8> {
    // Cannot fail: three fixed-size parts encode into memory.
    borsh::to_vec(id).unwrap_or_default()
}

/// Without the pool: an id is consumed in all of them.
fn consumed_key(id: &OneTimeId) -> Vec<u8> {
    borsh::to_vec(&(id.kind, id.id)).unwrap_or_default()
}
