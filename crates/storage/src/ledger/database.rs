//! The database file: opened, upgraded, and opened anew after it failed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable,
};

use super::operations::{self, META, NEED, VERSION};
use super::{FORMAT_VERSION, LedgerError};
use crate::files::{FileError, is_full, refuse_too_open};
use crate::format;

/// Opens or creates the database, as often as it must be.
type Opener = Arc<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// One database, shared by readers and the writer. None between a failure and the next opening.
#[derive(Clone)]
pub(super) struct SharedDatabase {
    open: Arc<RwLock<Option<Database>>>,
    opener: Opener,
}

/// Bytes of the file that are kept in memory. `redb` alone would keep up to a gibibyte, so that an
/// agent's memory grew with its ledger.
const CACHE: usize = 32 << 20;

impl SharedDatabase {
    pub(super) fn in_file(path: &Path) -> Result<Self, LedgerError> {
        // Once before the database does, for our own error about permissions.
        drop(open_private(path)?);
        let path = path.to_owned();
        Ok(Self::opened_by(Arc::new(move || {
            let file = open_private(&path).map_err(io::Error::other)?;
            Builder::new().set_cache_size(CACHE).create_file(file)
        })))
    }

    pub(super) fn opened_by(opener: Opener) -> Self {
        Self {
            open: Arc::new(RwLock::new(None)),
            opener,
        }
    }

    /// Opens the database if it is not open. After an I/O error `redb` refuses everything until it
    /// is opened anew, which repairs it.
    pub(super) fn reopen_if_failed(&self) -> Result<(), LedgerError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            *open = Some(upgraded((self.opener)().map_err(unopened)?)?);
        }
        Ok(())
    }

    /// Closes it until [`Self::reopen_if_failed`].
    pub(super) fn close(&self) {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn with<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Database) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        match &*open {
            Some(database) => work(database),
            None => Err(failed_because(action)(
                "it failed before; the next write opens it anew",
            )),
        }
    }

    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.with("read", |database| {
            work(&database.begin_read().map_err(failed("read"))?)
        })
    }
}

fn open_private(path: &Path) -> Result<File, FileError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(FileError::at("open", path))?;
    refuse_too_open(path, 0o600)?;
    Ok(file)
}

fn unopened(error: DatabaseError) -> LedgerError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => LedgerError::InUse,
        other => failed("opened")(other),
    }
}

/// Version 1 had no version entry and fewer tables, and a new database has nothing yet: both get
/// what they lack.
fn upgraded(database: Database) -> Result<Database, LedgerError> {
    let action = "opened";
    let transaction = database.begin_write().map_err(failed(action))?;
    {
        let mut meta = transaction.open_table(META).map_err(failed(action))?;
        let version = meta.get(VERSION).map_err(failed(action))?;
        let version = version.map(|found| found.value());
        let known = u64::from(FORMAT_VERSION);
        match version {
            Some(version) if version > known => {
                let version = u32::try_from(version).unwrap_or(u32::MAX);
                return Err(LedgerError::Version(version));
            }
            Some(version) if version == known => {}
            _ => {
                meta.insert(VERSION, known).map_err(failed(action))?;
            }
        }
        check_needs(&meta)?;
    }
    operations::create_tables(&transaction)?;
    transaction.commit().map_err(failed(action))?;
    Ok(database)
}

fn check_needs(meta: &impl ReadableTable<&'static str, u64>) -> Result<(), LedgerError> {
    let mut needs = Vec::new();
    for entry in meta.range(NEED..).map_err(failed("opened"))? {
        let (name, _) = entry.map_err(failed("opened"))?;
        needs.extend(name.value().strip_prefix(NEED).map(str::to_owned));
    }
    format::check(needs.iter().map(String::as_str)).map_err(LedgerError::Need)
}

/// Turns an error of the database into the ledger's. All of its error types convert into one, which
/// keeps the operating system's error if there was one.
pub(super) fn failed<E: Into<redb::Error>>(action: &'static str) -> impl FnOnce(E) -> LedgerError {
    move |error| match error.into() {
        redb::Error::Io(cause) if is_full(&cause) => LedgerError::DiskFull { action },
        other => LedgerError::Failed {
            action,
            reason: other.to_string(),
        },
    }
}

/// Turns any other reason into the ledger's error.
pub(super) fn failed_because<E: std::fmt::Display>(
    action: &'static str,
) -> impl FnOnce(E) -> LedgerError {
    move |error| LedgerError::Failed {
        action,
        reason: error.to_string(),
    }
}
