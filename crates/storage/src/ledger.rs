//! What this agent has begun and finished, so that nothing is done twice (I5): durable before anything is sent.

use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_types::{IntentHash, SessionId};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

/// Why the ledger could not be read or written. An agent that cannot write it does not take part.
#[derive(Debug, thiserror::Error)]
#[error("the ledger cannot be {action}: {reason}")]
pub struct LedgerError {
    action: &'static str,
    reason: String,
}

fn failed<E: std::fmt::Display>(action: &'static str) -> impl FnOnce(E) -> LedgerError {
    move |error| LedgerError {
        action,
        reason: error.to_string(),
    }
}

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

/// Says that this ledger does not hold everything the party ever did: it was made from a backup, or an old disk was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RestoreMark {
    /// How often the party was restored; 1 the first time. In every backup and heartbeat, so it only goes up.
    pub counter: u64,
    /// Unix milliseconds of the restore.
    pub restored_at: u64,
    /// Unix milliseconds of the backup it was made from; 0 where that is unknown.
    pub backup_made_at: u64,
    /// Whether peers have since confirmed what they saw of this party: until then it takes part in nothing.
    pub confirmed: bool,
}

/// What to do about a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is recorded; go ahead.
    Fresh,
    /// This intent already has a result here: return that and nothing else.
    Finished(Vec<u8>),
    /// This attempt, or one of its sessions, was begun before: refuse.
    Repeated,
}

/// Keyed by intent hash and attempt (big-endian).
const STARTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("starts");
/// Keyed by session id.
const SESSIONS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("sessions");
/// Keyed by intent hash.
const RESULTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("results");
/// Public records by name: keys, committees.
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");

/// An embedded database, one per agent. Every write is fsynced before it returns.
pub struct Ledger {
    database: Database,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

impl Ledger {
    /// Opens or creates the ledger file.
    ///
    /// # Errors
    /// The database's.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let database = Database::create(path).map_err(failed("opened"))?;
        let transaction = database.begin_write().map_err(failed("opened"))?;
        transaction.open_table(STARTS).map_err(failed("opened"))?;
        transaction.open_table(SESSIONS).map_err(failed("opened"))?;
        transaction.open_table(RESULTS).map_err(failed("opened"))?;
        transaction.open_table(RECORDS).map_err(failed("opened"))?;
        transaction.commit().map_err(failed("opened"))?;
        Ok(Self { database })
    }

    /// Checks and records a start in one durable transaction: exactly one of two racing callers gets [`Begun::Fresh`].
    ///
    /// # Errors
    /// The database's; nothing may then be sent.
    pub fn begin(&self, start: &Start) -> Result<Begun, LedgerError> {
        let write = "written";
        let transaction = self.database.begin_write().map_err(failed(write))?;
        {
            let results = transaction.open_table(RESULTS).map_err(failed(write))?;
            let finished = results
                .get(start.intent.as_bytes().as_slice())
                .map_err(failed(write))?;
            if let Some(result) = finished {
                return Ok(Begun::Finished(result.value().to_vec()));
            }
            let mut starts = transaction.open_table(STARTS).map_err(failed(write))?;
            let key = start_key(start.intent, start.attempt);
            let encoded = borsh::to_vec(&start.sessions).map_err(failed(write))?;
            if starts
                .insert(key.as_slice(), encoded.as_slice())
                .map_err(failed(write))?
                .is_some()
            {
                return Ok(Begun::Repeated);
            }
            let mut sessions = transaction.open_table(SESSIONS).map_err(failed(write))?;
            for session in &start.sessions {
                let seen = sessions
                    .insert(session.as_bytes().as_slice(), ())
                    .map_err(failed(write))?;
                if seen.is_some() {
                    return Ok(Begun::Repeated);
                }
            }
        }
        transaction.commit().map_err(failed(write))?;
        Ok(Begun::Fresh)
    }

    /// Records an intent's result; the first one stays.
    ///
    /// # Errors
    /// The database's.
    pub fn finish(&self, intent: IntentHash, result: &[u8]) -> Result<(), LedgerError> {
        let write = "written";
        let transaction = self.database.begin_write().map_err(failed(write))?;
        {
            let mut results = transaction.open_table(RESULTS).map_err(failed(write))?;
            let key = intent.as_bytes().as_slice();
            if results.get(key).map_err(failed(write))?.is_none() {
                results.insert(key, result).map_err(failed(write))?;
            }
        }
        transaction.commit().map_err(failed(write))
    }

    /// An intent's result, if it has one here.
    ///
    /// # Errors
    /// The database's.
    pub fn result(&self, intent: IntentHash) -> Result<Option<Vec<u8>>, LedgerError> {
        let transaction = self.database.begin_read().map_err(failed("read"))?;
        let results = transaction.open_table(RESULTS).map_err(failed("read"))?;
        let found = results
            .get(intent.as_bytes().as_slice())
            .map_err(failed("read"))?;
        Ok(found.map(|value| value.value().to_vec()))
    }

    /// Whether a session id was ever used here.
    ///
    /// # Errors
    /// The database's.
    pub fn has_session(&self, session: SessionId) -> Result<bool, LedgerError> {
        let transaction = self.database.begin_read().map_err(failed("read"))?;
        let sessions = transaction.open_table(SESSIONS).map_err(failed("read"))?;
        let found = sessions
            .get(session.as_bytes().as_slice())
            .map_err(failed("read"))?;
        Ok(found.is_some())
    }

    /// Stores a public record under a name such as `key/<id>`, replacing an older one.
    ///
    /// # Errors
    /// The database's.
    pub fn put_record(&self, name: &str, record: &[u8]) -> Result<(), LedgerError> {
        let write = "written";
        let transaction = self.database.begin_write().map_err(failed(write))?;
        {
            let mut records = transaction.open_table(RECORDS).map_err(failed(write))?;
            records.insert(name, record).map_err(failed(write))?;
        }
        transaction.commit().map_err(failed(write))
    }

    /// Every record whose name begins so, in name order.
    ///
    /// # Errors
    /// The database's.
    pub fn records(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
        let transaction = self.database.begin_read().map_err(failed("read"))?;
        let records = transaction.open_table(RECORDS).map_err(failed("read"))?;
        let mut found = Vec::new();
        for entry in records.range(prefix..).map_err(failed("read"))? {
            let (name, record) = entry.map_err(failed("read"))?;
            if !name.value().starts_with(prefix) {
                break;
            }
            found.push((name.value().to_owned(), record.value().to_vec()));
        }
        Ok(found)
    }

    /// The last restore, if there ever was one.
    ///
    /// # Errors
    /// The database's, or a damaged mark.
    pub fn restore_mark(&self) -> Result<Option<RestoreMark>, LedgerError> {
        let found = self.records(RESTORE_MARK)?.into_iter().next();
        let decode = |(_, bytes): (String, Vec<u8>)| borsh::from_slice(&bytes);
        found.map(decode).transpose().map_err(failed("read"))
    }

    /// Replaces the restore mark.
    ///
    /// # Errors
    /// The database's.
    pub fn set_restore_mark(&self, mark: &RestoreMark) -> Result<(), LedgerError> {
        let bytes = borsh::to_vec(mark).map_err(failed("written"))?;
        self.put_record(RESTORE_MARK, &bytes)
    }
}

/// The record a restore leaves.
const RESTORE_MARK: &str = "restore-mark";

fn start_key(intent: IntentHash, attempt: u32) -> Vec<u8> {
    let mut key = intent.as_bytes().to_vec();
    key.extend_from_slice(&attempt.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(intent: u8, attempt: u32, session: u8) -> Start {
        Start {
            intent: IntentHash::from_bytes([intent; 32]),
            attempt,
            sessions: vec![SessionId::from_bytes([session; 32])],
        }
    }

    #[test]
    fn i05_a_repeated_start_is_refused_and_a_finished_one_returns_its_result_across_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.redb");
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.begin(&start(1, 0, 1)).unwrap(), Begun::Fresh);
        assert_eq!(ledger.begin(&start(1, 0, 2)).unwrap(), Begun::Repeated);
        assert_eq!(
            ledger.begin(&start(2, 0, 1)).unwrap(),
            Begun::Repeated,
            "session id reused"
        );
        assert_eq!(
            ledger.begin(&start(2, 0, 3)).unwrap(),
            Begun::Fresh,
            "a refused start leaves no trace"
        );
        ledger.finish(start(1, 0, 1).intent, b"first").unwrap();
        ledger.finish(start(1, 0, 1).intent, b"second").unwrap();
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(
            ledger.begin(&start(1, 1, 9)).unwrap(),
            Begun::Finished(b"first".to_vec())
        );
        assert!(ledger.has_session(SessionId::from_bytes([1; 32])).unwrap());
        assert!(!ledger.has_session(SessionId::from_bytes([9; 32])).unwrap());
    }

    #[test]
    fn i05_of_racing_starts_exactly_one_wins() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.redb")).unwrap();
        for round in 0..20u8 {
            let fresh: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4u8)
                    .map(|i| {
                        let ledger = &ledger;
                        scope.spawn(move || ledger.begin(&start(round, 0, round * 4 + i)).unwrap())
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|t| usize::from(t.join().unwrap() == Begun::Fresh))
                    .sum()
            });
            assert_eq!(fresh, 1);
        }
    }

    #[test]
    fn records_are_listed_by_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.redb")).unwrap();
        for name in ["key/b", "key/a", "kez", "committee/x"] {
            ledger.put_record(name, name.as_bytes()).unwrap();
        }
        let names: Vec<_> = ledger
            .records("key/")
            .unwrap()
            .into_iter()
            .map(|(n, _)| n)
            .collect();
        assert_eq!(names, ["key/a", "key/b"]);
    }
}
