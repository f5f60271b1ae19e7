//! Backups as objects in blob stores: how they are called, and where one is read from.

use std::path::{Path, PathBuf};

use quorate_types::PartyId;
use rand_core::{OsRng, RngCore as _};

use super::{BackupError, MAX_LEN, Manifest};
use crate::blobs::{BlobError, BlobStores};

const PREFIX: &str = "backup";
const SUFFIX: &str = ".age";

/// A backup's name in a blob store: `<party>/backup-<Unix milliseconds>-<restore counter>-<random>.age`. Names sort by time; the counter tells a
/// restore from an older backup what not to fall behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// Whose.
    pub party: PartyId,
    /// Unix milliseconds.
    pub made_at: u64,
    /// How often the party had been restored.
    pub restore_counter: u64,
    random: u32,
}

impl ObjectName {
    /// A new name.
    #[must_use]
    pub fn new(party: &PartyId, made_at: u64, restore_counter: u64) -> Self {
        Self {
            party: party.clone(),
            made_at,
            restore_counter,
            random: OsRng.next_u32(),
        }
    }

    /// Reads a name; `None` for what is no backup's.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (party, file) = text.split_once('/')?;
        let mut parts = file.strip_suffix(SUFFIX)?.split('-');
        let (PREFIX, time, counter, random, None) = (
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next(),
        ) else {
            return None;
        };
        let name = Self {
            party: PartyId::new(party).ok()?,
            made_at: time.parse().ok()?,
            restore_counter: counter.parse().ok()?,
            random: u32::from_str_radix(random, 16).ok()?,
        };
        (name.to_string() == text).then_some(name)
    }

    /// Whether an opened backup is the one that this name says. Names are not encrypted: without this, whoever may write to a store could
    /// pass an old backup off as the newest.
    ///
    /// # Errors
    /// [`BackupError::Renamed`]
    pub fn check(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let said = (&self.party, self.made_at, self.restore_counter);
        if said == (&manifest.party, manifest.made_at, manifest.restore_counter) {
            return Ok(());
        }
        Err(BackupError::Renamed {
            name: self.to_string(),
            made_at: manifest.made_at,
            counter: manifest.restore_counter,
        })
    }

    /// Every backup of a party that the stores show, the oldest first.
    ///
    /// # Errors
    /// No store answers.
    pub async fn list(stores: &BlobStores, party: &PartyId) -> Result<Vec<Self>, BlobError> {
        let names = stores.list(party.as_str()).await?;
        let mut found: Vec<_> = names.iter().filter_map(|name| Self::parse(name)).collect();
        found.sort_unstable();
        Ok(found)
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            party,
            made_at,
            restore_counter,
            random,
        } = self;
        write!(
            f,
            "{party}/{PREFIX}-{made_at:015}-{restore_counter}-{random:08x}{SUFFIX}"
        )
    }
}

/// How far a name may be in the future, in milliseconds.
const CLOCK_TOLERANCE: u64 = 10 * 60 * 1000;
/// More restores than lie between two backups of a party.
const MANY_RESTORES: u64 = 1000;

/// A backup as it was found; nothing of it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBackup {
    /// The age file.
    pub bytes: Vec<u8>,
    /// What the store calls it; to be checked with [`ObjectName::check`].
    pub name: Option<ObjectName>,
    /// The highest restore counter that the store's names show for the party; 0 for a file.
    pub known_counter: u64,
}

/// Where a backup is read from: a file, an object's URL (it ends in `.age`), or a store's URL, which means the newest in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// A file.
    File(PathBuf),
    /// An object in a store.
    Object {
        /// The store's URL.
        store: String,
        /// The object's name.
        name: String,
    },
    /// The newest of a party in a store.
    Newest {
        /// The store's URL.
        store: String,
    },
}

impl Reader {
    /// Tells files from URLs.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if !text.contains("://") {
            return Self::File(text.into());
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let mut segments = address.rsplitn(3, '/');
        if address.ends_with(SUFFIX)
            && let (Some(file), Some(party), Some(store)) =
                (segments.next(), segments.next(), segments.next())
        {
            let store = if query.is_empty() {
                store.to_owned()
            } else {
                format!("{store}?{query}")
            };
            return Self::Object {
                store,
                name: format!("{party}/{file}"),
            };
        }
        Self::Newest {
            store: text.to_owned(),
        }
    }

    /// Reads it. `now` is Unix milliseconds: of names that are later, none is the newest.
    ///
    /// # Errors
    /// The file's or the store's; a store that holds no backup, or several parties' where one is to be chosen.
    pub async fn read(&self, now: u64) -> Result<ReadBackup, BlobError> {
        match self {
            Self::File(path) => Ok(ReadBackup {
                bytes: read_file(path)?,
                name: None,
                known_counter: 0,
            }),
            Self::Object { store, name } => {
                let stores = BlobStores::open([store])?;
                let bytes = stores.get(name, MAX_LEN).await?;
                let name = ObjectName::parse(name);
                let known_counter = match &name {
                    Some(name) => highest(name, &ObjectName::list(&stores, &name.party).await?),
                    None => 0,
                };
                Ok(ReadBackup {
                    bytes,
                    name,
                    known_counter,
                })
            }
            Self::Newest { store } => {
                let stores = BlobStores::open([store])?;
                let names = stores.list("").await?;
                let mut found: Vec<_> = names.iter().filter_map(|n| ObjectName::parse(n)).collect();
                found.retain(|name| name.made_at <= now.saturating_add(CLOCK_TOLERANCE));
                found.sort_unstable_by_key(|name| name.made_at);
                let newest = found
                    .last()
                    .ok_or_else(|| BlobError::NoBackup(store.clone()))?;
                if found.iter().any(|name| name.party != newest.party) {
                    return Err(BlobError::SeveralParties(store.clone()));
                }
                let bytes = stores.get(&newest.to_string(), MAX_LEN).await?;
                Ok(ReadBackup {
                    bytes,
                    known_counter: highest(newest, &found),
                    name: Some(newest.clone()),
                })
            }
        }
    }
}

/// The highest restore counter among names, as far as it can be honest: anybody who may write to a store may make names.
fn highest(chosen: &ObjectName, names: &[ObjectName]) -> u64 {
    let most = chosen.restore_counter.saturating_add(MANY_RESTORES);
    let counters = names.iter().map(|name| name.restore_counter);
    counters
        .filter(|counter| *counter <= most)
        .max()
        .unwrap_or(0)
}

/// A backup is encrypted, so others may read the file.
fn read_file(path: &Path) -> Result<Vec<u8>, BlobError> {
    use std::io::Read as _;
    let failed = |cause: std::io::Error| BlobError::Local {
        path: path.to_owned(),
        cause,
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(2 * MAX_LEN as u64).read_to_end(&mut bytes))
        .map_err(failed)?;
    Ok(bytes)
}
