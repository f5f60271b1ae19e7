//! What this agent has begun, consumed, spent and finished, so that nothing is done twice (I4, I5) or unrecorded (I6): durable before
//! anything is sent.
//!
//! An embedded database ([`redb`]). Concurrent requests share a transaction and its fsync ([`writer`]); what belongs together is
//! in one [`Batch`].

mod database;
mod one_time;
mod operations;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_types::{Hash32, IntentHash, SessionId};

use crate::{FileError, UnknownNeed};
use database::{SharedDatabase, failed};
pub use one_time::{OneTimeId, OneTimeKind, SealedOneTime};
use writer::Writer;

/// Why the ledger could not be read or written. An agent that cannot write it does not take part.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// The disk has no room: nothing was recorded.
    #[error(
        "the ledger cannot be {action}: the disk is full; free some space, nothing is signed until then"
    )]
    DiskFull {
        /// What was attempted.
        action: &'static str,
    },
    /// Another process has it open.
    #[error("the ledger is in use by another agent; stop it first")]
    InUse,
    /// Made by a newer program.
    #[error(
        "the ledger has format version {0}; this program reads up to {FORMAT_VERSION}: use the newer program"
    )]
    Version(u32),
    /// Something in it that only a newer program knows.
    #[error("the ledger cannot be used: {0}")]
    Need(UnknownNeed),
    /// The file's permissions.
    #[error("{0}")]
    File(String),
    /// Anything else the database says.
    #[error("the ledger cannot be {action}: {reason}")]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// Why not.
        reason: String,
    },
}

impl From<FileError> for LedgerError {
    fn from(error: FileError) -> Self {
        match error.is_disk_full() {
            true => Self::DiskFull { action: "written" },
            false => Self::File(error.to_string()),
        }
    }
}

impl LedgerError {
    /// Whether the disk has no room.
    #[must_use]
    pub const fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }
}

/// The format this program writes.
pub(crate) const FORMAT_VERSION: u32 = 2;

/// One run of an intent: its attempt, and the session of each of its items.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Start {
    /// The intent.
    pub intent: IntentHash,
    /// From 0.
    pub attempt: u32,
    /// One session for each item.
    pub sessions: Vec<SessionId>,
}

/// A spend that counts towards rolling limits.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Spend {
    /// Unix milliseconds.
    pub at: u64,
    /// Unique; a second spend of the same id and time changes nothing.
    pub id: Hash32,
    /// The signed record.
    pub record: Vec<u8>,
}

/// Everything that must be durable before a party's part in a run leaves it. One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The run.
    pub start: Start,
    /// Unix milliseconds, as the machine believes.
    pub now: u64,
    /// Presignatures or nonces it takes.
    pub take: Vec<OneTimeId>,
    /// What it spends.
    pub spends: Vec<Spend>,
    /// What the log says about it.
    pub leaves: Vec<Vec<u8>>,
}

impl Batch {
    /// A run that takes and spends nothing.
    #[must_use]
    pub const fn new(start: Start, now: u64) -> Self {
        Self {
            start,
            now,
            take: Vec::new(),
            spends: Vec::new(),
            leaves: Vec::new(),
        }
    }
}

/// What to do about a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is recorded; go ahead.
    Fresh {
        /// What was taken, sealed as it was put in, in the batch's order. It is nowhere else any more.
        taken: Vec<SealedOneTime>,
    },
    /// This intent already has a result here: return that and nothing else.
    Finished(Vec<u8>),
    /// This attempt, or one of its sessions, was begun before: refuse.
    Repeated,
    /// This presignature or nonce was used before, or is not here: refuse.
    Unavailable(OneTimeId),
    /// The machine's clock is this many milliseconds before the ledger's last entry: refuse, for windows and expiries would lie.
    ClockBack(u64),
}

/// Says that this ledger does not hold everything the party ever did: it was made from a backup, or an old disk was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RestoreMark {
    /// How often the party was restored; 1 the first time. In every backup and heartbeat, so it only goes up.
    pub counter: u64,
    /// Unix milliseconds of the restore; after it was confirmed, the time before which nothing issued is to be acted on.
    pub restored_at: u64,
    /// Unix milliseconds of the backup it was made from; 0 where that is unknown.
    pub backup_made_at: u64,
    /// Whether peers have since confirmed what they saw of this party: until then it takes part in nothing.
    pub confirmed: bool,
}

/// The record a restore leaves.
const RESTORE_MARK: &str = "restore-mark";
/// The record of a time before which nothing issued counts.
const NOT_BEFORE: &str = "not-before";

/// How far the clock may go back unnoticed, in milliseconds: what time servers correct.
pub(crate) const CLOCK_TOLERANCE: u64 = 60_000;

/// One agent's ledger. Every write is durable before it returns; concurrent ones share an fsync.
///
/// Writes block the calling thread until they are durable: not for an async thread.
pub struct Ledger {
    database: SharedDatabase,
    writer: Writer,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

impl Ledger {
    /// Opens or creates the ledger file, 0600. One of an older format is upgraded.
    ///
    /// # Errors
    /// Another process has it, permissions open to others, a newer format, or the database's.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        Self::on(SharedDatabase::in_file(path)?)
    }

    fn on(database: SharedDatabase) -> Result<Self, LedgerError> {
        database.reopen_if_failed()?;
        let writer = Writer::start(database.clone())?;
        Ok(Self { database, writer })
    }

    /// Checks and records a run in one durable transaction: exactly one of two racing callers gets [`Begun::Fresh`].
    ///
    /// # Errors
    /// The database's; nothing may then be sent.
    pub fn begin(&self, batch: Batch) -> Result<Begun, LedgerError> {
        self.writer
            .commit(move |transaction| operations::begin(transaction, &batch))
    }

    /// Records an intent's result, with what the log says about it; the first result stays.
    ///
    /// # Errors
    /// The database's.
    pub fn finish(
        &self,
        intent: IntentHash,
        result: &[u8],
        leaves: Vec<Vec<u8>>,
    ) -> Result<(), LedgerError> {
        let result = result.to_vec();
        self.writer
            .commit(move |transaction| operations::finish(transaction, intent, &result, &leaves))
    }

    /// Stores presignatures or nonces. Those of an id that was consumed or is there already are not stored;
    /// returns how many were.
    ///
    /// # Errors
    /// The database's.
    pub fn put_one_time(&self, sealed: Vec<SealedOneTime>) -> Result<usize, LedgerError> {
        self.writer
            .commit(move |transaction| operations::put_one_time(transaction, &sealed))
    }

    /// The ids in a pool, in order, at most `max`.
    ///
    /// # Errors
    /// The database's.
    pub fn one_time(
        &self,
        kind: OneTimeKind,
        pool: Hash32,
        max: usize,
    ) -> Result<Vec<OneTimeId>, LedgerError> {
        self.database
            .read(|transaction| operations::one_time(transaction, kind, pool, max))
    }

    /// Destroys some presignatures or nonces without using them; those that are not there are passed over.
    ///
    /// # Errors
    /// The database's.
    pub fn discard_one_time(&self, ids: Vec<OneTimeId>) -> Result<(), LedgerError> {
        self.writer
            .commit(move |transaction| operations::discard_one_time(transaction, &ids))
    }

    /// Destroys every presignature and nonce. What was consumed stays consumed. Returns how many there were.
    ///
    /// # Errors
    /// The database's.
    pub fn purge_one_time(&self) -> Result<u64, LedgerError> {
        self.writer.commit(operations::purge_one_time)
    }

    /// Stores spends that belong to no run of this agent's own.
    ///
    /// # Errors
    /// The database's.
    pub fn add_spends(&self, spends: Vec<Spend>) -> Result<(), LedgerError> {
        self.writer
            .commit(move |transaction| operations::record_spends(transaction, &spends))
    }

    /// Spends at or after a time (Unix milliseconds), oldest first.
    ///
    /// # Errors
    /// The database's, or a damaged entry.
    pub fn spends_since(&self, at: u64) -> Result<Vec<Spend>, LedgerError> {
        self.database
            .read(|transaction| operations::spends_since(transaction, at))
    }

    /// Forgets spends, by their times and ids; those that are not there are passed over.
    ///
    /// # Errors
    /// The database's.
    pub fn remove_spends(&self, spends: Vec<Spend>) -> Result<(), LedgerError> {
        self.writer
            .commit(move |transaction| operations::remove_spends(transaction, &spends))
    }

    /// Appends to the log; returns its new size.
    ///
    /// # Errors
    /// The database's.
    pub fn append(&self, leaves: Vec<Vec<u8>>) -> Result<u64, LedgerError> {
        self.writer
            .commit(move |transaction| operations::append(transaction, &leaves))
    }

    /// How many leaves the log has ever had, those before a restore included.
    ///
    /// # Errors
    /// The database's.
    pub fn log_size(&self) -> Result<u64, LedgerError> {
        self.database.read(operations::log_size)
    }

    /// Leaves from an index on, at most `max`, each with its index.
    ///
    /// # Errors
    /// The database's.
    pub fn leaves(&self, from: u64, max: usize) -> Result<Vec<(u64, Vec<u8>)>, LedgerError> {
        self.database
            .read(|transaction| operations::leaves(transaction, from, max))
    }

    /// An intent's result, if it has one here.
    ///
    /// # Errors
    /// The database's.
    pub fn result(&self, intent: IntentHash) -> Result<Option<Vec<u8>>, LedgerError> {
        self.database
            .read(|transaction| operations::result(transaction, intent))
    }

    /// Whether a session id was ever used here.
    ///
    /// # Errors
    /// The database's.
    pub fn has_session(&self, session: SessionId) -> Result<bool, LedgerError> {
        self.database
            .read(|transaction| operations::has_session(transaction, session))
    }

    /// Stores a public record under a name such as `key/<id>`, replacing an older one.
    ///
    /// # Errors
    /// The database's.
    pub fn put_record(&self, name: &str, record: &[u8]) -> Result<(), LedgerError> {
        let (name, record) = (name.to_owned(), record.to_vec());
        self.writer
            .commit(move |transaction| operations::put_record(transaction, &name, &record))
    }

    /// [`Self::put_record`] with what the log says about it, in one transaction.
    ///
    /// # Errors
    /// The database's.
    pub fn put_record_logged(
        &self,
        name: &str,
        record: &[u8],
        leaf: Vec<u8>,
    ) -> Result<(), LedgerError> {
        let (name, record) = (name.to_owned(), record.to_vec());
        self.writer.commit(move |transaction| {
            operations::put_record(transaction, &name, &record)?;
            operations::append(transaction, &[leaf]).map(drop)
        })
    }

    /// Forgets records, in one transaction; those that are not there are passed over.
    ///
    /// # Errors
    /// The database's.
    pub fn delete_records(&self, names: Vec<String>) -> Result<(), LedgerError> {
        self.writer
            .commit(move |transaction| operations::delete_records(transaction, &names))
    }

    /// The record of exactly this name.
    ///
    /// # Errors
    /// The database's.
    pub fn record(&self, name: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        let mut found = self.records(name)?.into_iter();
        // In name order, so the name itself comes before all that it begins.
        let exact = found.next().filter(|(found, _)| found == name);
        Ok(exact.map(|(_, bytes)| bytes))
    }

    /// Every record whose name begins so, in name order.
    ///
    /// # Errors
    /// The database's.
    pub fn records(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
        self.database
            .read(|transaction| operations::records(transaction, prefix))
    }

    /// The last restore, if there ever was one.
    ///
    /// # Errors
    /// The database's, or a damaged mark.
    pub fn restore_mark(&self) -> Result<Option<RestoreMark>, LedgerError> {
        let found = self.record(RESTORE_MARK)?;
        let decode = |bytes: Vec<u8>| borsh::from_slice(&bytes);
        found.map(decode).transpose().map_err(failed("read"))
    }

    /// How often the party was restored.
    ///
    /// # Errors
    /// As [`Self::restore_mark`].
    pub fn restores(&self) -> Result<u64, LedgerError> {
        Ok(self.restore_mark()?.map_or(0, |mark| mark.counter))
    }

    /// Replaces the restore mark.
    ///
    /// # Errors
    /// The database's.
    pub fn set_restore_mark(&self, mark: &RestoreMark) -> Result<(), LedgerError> {
        let bytes = borsh::to_vec(mark).map_err(failed("written"))?;
        self.put_record(RESTORE_MARK, &bytes)
    }

    /// Takes up the log where peers last saw it, after a restore: the leaves between are gone, and `leaf` says so in the first place
    /// after the gap. With it every presignature and nonce is destroyed, the mark replaced, and
    /// the clock held to `latest` (Unix milliseconds), in one transaction.
    ///
    /// # Errors
    /// The database's.
    pub fn resume_after_restore(
        &self,
        mark: &RestoreMark,
        seen_log_size: u64,
        leaf: Vec<u8>,
        latest: u64,
    ) -> Result<(), LedgerError> {
        let mark = borsh::to_vec(mark).map_err(failed("written"))?;
        self.writer.commit(move |transaction| {
            operations::put_record(transaction, RESTORE_MARK, &mark)?;
            operations::purge_one_time(transaction)?;
            operations::advance_clock(transaction, latest)?;
            operations::append_after(transaction, seen_log_size, &leaf)
        })
    }

    /// Destroys every presignature and nonce, and remembers that nothing issued before a time (Unix milliseconds) is to be acted on, in one
    /// transaction: what a disk that may have been put back needs when nobody can tell.
    ///
    /// # Errors
    /// The database's.
    pub fn start_anew(&self, not_before: u64) -> Result<u64, LedgerError> {
        let not_before = not_before.max(self.not_before()?);
        let bytes = borsh::to_vec(&not_before).map_err(failed("written"))?;
        self.writer.commit(move |transaction| {
            operations::put_record(transaction, NOT_BEFORE, &bytes)?;
            operations::purge_one_time(transaction)
        })
    }

    /// The time before which nothing issued is to be acted on (Unix milliseconds): of the last restore or of [`Self::start_anew`].
    ///
    /// # Errors
    /// The database's, or a damaged record.
    pub fn not_before(&self) -> Result<u64, LedgerError> {
        let found = self.record(NOT_BEFORE)?;
        let decode = |bytes: Vec<u8>| borsh::from_slice::<u64>(&bytes);
        let anew = found.map(decode).transpose().map_err(failed("read"))?;
        let restored = self.restore_mark()?.map(|mark| mark.restored_at);
        Ok(anew.max(restored).unwrap_or(0))
    }

    /// Believes the machine's clock although it is before the ledger's last entry. Only a person can know that this is right. Times before which
    /// nothing issued counts that lie in the future were taken from the same wrong clock, and are now `now`.
    ///
    /// # Errors
    /// The database's.
    pub fn accept_clock(&self, now: u64) -> Result<(), LedgerError> {
        let mark = self.restore_mark()?.map(|mark| RestoreMark {
            restored_at: mark.restored_at.min(now),
            ..mark
        });
        let mark = mark.map(|mark| borsh::to_vec(&mark)).transpose();
        let mark = mark.map_err(failed("written"))?;
        let anew = borsh::to_vec(&self.not_before()?.min(now)).map_err(failed("written"))?;
        self.writer.commit(move |transaction| {
            if let Some(mark) = &mark {
                operations::put_record(transaction, RESTORE_MARK, mark)?;
            }
            operations::put_record(transaction, NOT_BEFORE, &anew)?;
            operations::accept_clock(transaction, now)
        })
    }
}
