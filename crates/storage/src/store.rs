//! The store of sealed secrets: one file each.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use borsh::BorshSerialize;
use quorate_types::{Hash32, PartyId};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::{self, Disk, FileError, SystemDisk, create_private_dir};
use crate::protector::{Entry, Protector, StoreKey};
use crate::{KdfParams, SealedBox, Sealer, UnknownNeed, format};

/// Why the store does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system's answer.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing can be sealed under no passphrase.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The passphrase does not open this.
    #[error("wrong passphrase for {what} (or the file was altered); nothing was changed")]
    WrongPassphrase {
        /// What was to be opened.
        what: String,
    },
    /// Made by a newer program, or no such file at all.
    #[error("unknown format version {0}; this program reads versions 1 and 2")]
    Version(u32),
    /// Something in it that only a newer program knows.
    #[error("{} cannot be used: {need}", path.display())]
    Need {
        /// The file.
        path: PathBuf,
        /// The need.
        need: UnknownNeed,
    },
    /// Someone lowered the key derivation's cost.
    #[error("the file asks for Argon2id costs {0:?}, outside what is accepted")]
    WeakKdf(KdfParams),
    /// Not a store, or a damaged one.
    #[error("{} is not a store header: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The hardware security module.
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Pkcs11(#[from] crate::Pkcs11Error),
    /// The TPM.
    #[cfg(feature = "tpm")]
    #[error(transparent)]
    Tpm(#[from] crate::TpmError),
    /// AWS KMS.
    #[cfg(feature = "kms")]
    #[error(transparent)]
    Kms(#[from] crate::KmsError),
    /// Left out of this build.
    #[error("this build was made without {0}; rebuild with --features {0}")]
    NotBuilt(&'static str),
    /// The store has no protector of the kind offered.
    #[error("{} is not protected by a {kind}; it is by: {present}", path.display())]
    NoSuchProtector {
        /// The store's directory.
        path: PathBuf,
        /// What was offered.
        kind: &'static str,
        /// What there is.
        present: String,
    },
    /// No protector of that name, or one that is there already.
    #[error("the store has {} protector named {name:?}", if *.exists { "already a" } else { "no" })]
    ProtectorName {
        /// The name.
        name: String,
        /// Whether it exists.
        exists: bool,
    },
    /// Without any protector the store could never be opened again.
    #[error("{0:?} is the store's last protector; add another before removing it")]
    LastProtector(String),
    /// The protector does not take back what it wrapped.
    #[error(
        "the new protector does not open what it wrapped, so it is not used; nothing was changed: {0}"
    )]
    NotUnwrapped(#[source] Box<StoreError>),
    /// The cipher failed, which only happens for impossible lengths.
    #[error("sealing failed")]
    Seal,
    /// A sealed item does not open under this store's key and its own name.
    #[error(
        "{place} does not open: it is damaged, or belongs to another party, key or epoch; restore it from a backup"
    )]
    Damaged {
        /// The file, or the object in a token.
        place: String,
    },
    /// Larger than a token is asked to keep.
    #[error("{name} has {bytes} bytes, and a token keeps at most {max}; keep such items in files")]
    TooLarge {
        /// Which item.
        name: ItemName,
        /// Its bytes.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// No such item.
    #[error("no {0} in the store")]
    Missing(ItemName),
    /// Another process has the store open.
    #[error("{} is in use by another agent; stop it first", path.display())]
    Locked {
        /// The store's directory.
        path: PathBuf,
    },
    /// No page of memory for the key.
    #[error("no memory for the store's key: {0}")]
    Memory(String),
    /// The program is ending while a thread still works for it.
    #[error("the store's work was interrupted: the program is ending")]
    Interrupted,
    /// There is a store already.
    #[error("{} already holds a store", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
}

impl StoreError {
    /// Whether the disk has no room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::File(error) if error.is_disk_full())
    }
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub enum ItemKind {
    /// The party's identity and channel keys.
    Identity,
    /// A key share.
    Share,
    /// Auxiliary information of a committee.
    Aux,
    /// A safe prime waiting to be used.
    Prime,
    /// What DKLs23 needs for a key.
    Dkls,
}

impl ItemKind {
    const ALL: [Self; 5] = [
        Self::Identity,
        Self::Share,
        Self::Aux,
        Self::Prime,
        Self::Dkls,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Share => "share",
            Self::Aux => "aux",
            Self::Prime => "prime",
            Self::Dkls => "dkls",
        }
    }
}

/// Names one item; bound by its seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub struct ItemName {
    /// What it is.
    pub kind: ItemKind,
    /// Key, session or other id.
    pub id: Hash32,
    /// Share generation; 0 where there is none.
    pub epoch: u32,
}

impl std::fmt::Display for ItemName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.kind.as_str(), self.id, self.epoch)
    }
}

impl FromStr for ItemName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('-');
        let (Some(kind), Some(id), Some(epoch), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        Ok(Self {
            kind: ItemKind::ALL
                .into_iter()
                .find(|k| k.as_str() == kind)
                .ok_or(())?,
            id: id.parse().map_err(|_| ())?,
            epoch: epoch.parse().map_err(|_| ())?,
        })
    }
}

/// A protector of a store, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectorInfo {
    /// Its name.
    pub name: String,
    /// `passphrase`, `pkcs11`, `tpm` or `kms`.
    pub kind: &'static str,
}

/// The header file: the store key, once for each protector.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// 2
    version: u32,
    party: PartyId,
    protectors: Vec<Named>,
    /// See [`crate::format`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    needs: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
    #[serde(flatten)]
    entry: Entry,
}

/// The one field that every later header has too.
#[derive(Deserialize)]
struct Newer {
    version: u32,
}

/// Either version of the header. Version 1 was one passphrase's box.
#[derive(Deserialize)]
#[serde(untagged)]
enum AnyHeader {
    Current(Header),
    First(SealedBox),
}

/// The protector a store is created with.
const FIRST_PROTECTOR: &str = "first";

/// Sealed files in a directory of their own. One process at a time.
pub struct EncryptedFileStore {
    disk: Box<dyn Disk>,
    directory: PathBuf,
    sealer: Sealer,
    /// Held locked for as long as the store is open. None only on a test's disk, which has one user.
    _lock: Option<File>,
}

impl std::fmt::Debug for EncryptedFileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EncryptedFileStore({})", self.directory.display())
    }
}

const HEADER: &str = "store.json";
/// Of the header this program writes.
pub(crate) const VERSION: u32 = 2;
const SUFFIX: &str = ".sealed";
const MAX_ITEM: u64 = 16 << 20;

impl EncryptedFileStore {
    /// Creates an empty store under one protector.
    ///
    /// # Errors
    /// A store that is already there, an empty passphrase, the token's, the file system's.
    pub fn create<'p>(
        directory: &Path,
        party: &PartyId,
        protector: impl Into<Protector<'p>>,
    ) -> Result<Self, StoreError> {
        create_private_dir(directory)?;
        let lock = lock(directory)?;
        if directory.join(HEADER).exists() {
            return Err(StoreError::Exists {
                path: directory.to_owned(),
            });
        }
        let disk = Box::new(SystemDisk);
        Self::create_on(disk, Some(lock), directory, party, &protector.into())
    }

    fn create_on(
        disk: Box<dyn Disk>,
        lock: Option<File>,
        directory: &Path,
        party: &PartyId,
        protector: &Protector<'_>,
    ) -> Result<Self, StoreError> {
        let mut key = Zeroizing::new([0u8; 32]);
        OsRng.fill_bytes(&mut *key);
        let entry = protector.wrap(&key, &purpose(party))?;
        let store = Self {
            disk,
            directory: directory.to_owned(),
            sealer: Sealer::new(party.clone(), &key)?,
            _lock: lock,
        };
        store.write_header(vec![Named {
            name: FIRST_PROTECTOR.to_owned(),
            entry,
        }])?;
        Ok(store)
    }

    /// Opens an existing store with any one of its protectors. A header of version 1 is rewritten as version 2.
    ///
    /// # Errors
    /// Another process's lock, a wrong passphrase, an absent or unwilling token, a store of another party, permissions open to
    /// others.
    pub fn open<'p>(
        directory: &Path,
        party: &PartyId,
        protector: impl Into<Protector<'p>>,
    ) -> Result<Self, StoreError> {
        // Once before the lock, which would otherwise be made in a directory that is no store; and once under it.
        read_header(&SystemDisk, directory, party)?;
        create_private_dir(directory)?;
        let lock = lock(directory)?;
        let disk = Box::new(SystemDisk);
        Self::open_on(disk, Some(lock), directory, party, &protector.into())
    }

    fn open_on(
        disk: Box<dyn Disk>,
        lock: Option<File>,
        directory: &Path,
        party: &PartyId,
        protector: &Protector<'_>,
    ) -> Result<Self, StoreError> {
        let header = read_header(&*disk, directory, party)?;
        let (protectors, outdated) = match header {
            AnyHeader::Current(header) => (header.protectors, false),
            AnyHeader::First(sealed) => {
                let entry = Entry::Passphrase(sealed);
                (
                    vec![Named {
                        name: FIRST_PROTECTOR.to_owned(),
                        entry,
                    }],
                    true,
                )
            }
        };
        let key = unwrap_with(protector, &protectors, party, directory)?;
        let store = Self {
            disk,
            directory: directory.to_owned(),
            sealer: Sealer::new(party.clone(), &key)?,
            _lock: lock,
        };
        files::sweep_temporaries(&*store.disk, directory)?;
        if outdated {
            store.write_header(protectors)?;
        }
        Ok(store)
    }

    /// The store's protectors.
    ///
    /// # Errors
    /// The file system's, or a damaged header.
    pub fn protectors(&self) -> Result<Vec<ProtectorInfo>, StoreError> {
        let info = |named: &Named| ProtectorInfo {
            name: named.name.clone(),
            kind: named.entry.kind(),
        };
        Ok(self.named()?.iter().map(info).collect())
    }

    /// Adds a protector. Shares are not touched.
    ///
    /// # Errors
    /// A name that is taken; the token's or the file system's: nothing has then changed.
    pub fn add_protector<'p>(
        &self,
        name: &str,
        protector: impl Into<Protector<'p>>,
    ) -> Result<(), StoreError> {
        let mut named = self.named()?;
        if named.iter().any(|n| n.name == name) {
            return Err(StoreError::ProtectorName {
                name: name.to_owned(),
                exists: true,
            });
        }
        let entry = self.wrap(protector)?;
        named.push(Named {
            name: name.to_owned(),
            entry,
        });
        self.write_header(named)
    }

    /// Removes a protector. Whoever copied the header before can still open that copy with it; shares leave its reach only with a
    /// refresh.
    ///
    /// # Errors
    /// An unknown name, or the last protector.
    pub fn remove_protector(&self, name: &str) -> Result<(), StoreError> {
        let mut named = self.named()?;
        let before = named.len();
        named.retain(|n| n.name != name);
        if named.len() == before {
            return Err(StoreError::ProtectorName {
                name: name.to_owned(),
                exists: false,
            });
        }
        if named.is_empty() {
            return Err(StoreError::LastProtector(name.to_owned()));
        }
        self.write_header(named)
    }

    /// Replaces a protector by a new one of the same name, in one step: a new passphrase, another token.
    ///
    /// # Errors
    /// An unknown name; the token's or the file system's: the old one then still opens the store, or the
    /// new one where only the directory could not be fsynced.
    pub fn rotate_protector<'p>(
        &self,
        name: &str,
        protector: impl Into<Protector<'p>>,
    ) -> Result<(), StoreError> {
        let mut named = self.named()?;
        let old =
            named
                .iter_mut()
                .find(|n| n.name == name)
                .ok_or_else(|| StoreError::ProtectorName {
                    name: name.to_owned(),
                    exists: false,
                })?;
        old.entry = self.wrap(protector)?;
        self.write_header(named)
    }

    /// What seals this store's items, for keeping them elsewhere; the store stays open meanwhile.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        self.sealer.clone()
    }

    fn wrap<'p>(&self, protector: impl Into<Protector<'p>>) -> Result<Entry, StoreError> {
        let context = purpose(self.sealer.party());
        let key = Zeroizing::new(*self.sealer.key()?);
        protector.into().wrap(&key, &context)
    }

    fn named(&self) -> Result<Vec<Named>, StoreError> {
        match read_header(&*self.disk, &self.directory, self.sealer.party())? {
            AnyHeader::Current(header) => Ok(header.protectors),
            AnyHeader::First(_) => Err(StoreError::Version(1)),
        }
    }

    fn write_header(&self, protectors: Vec<Named>) -> Result<(), StoreError> {
        let header = Header {
            version: VERSION,
            party: self.sealer.party().clone(),
            protectors,
            needs: Vec::new(),
        };
        let json = serde_json::to_vec_pretty(&header).map_err(|_| StoreError::Seal)?;
        Ok(files::replace(
            &*self.disk,
            &self.directory.join(HEADER),
            &json,
        )?)
    }

    /// Stores an item, replacing one of the same name whole.
    ///
    /// # Errors
    /// The file system's; an item already there is then untouched.
    pub fn put(&self, name: ItemName, secret: &[u8]) -> Result<(), StoreError> {
        let sealed = self.sealer.seal(name, secret)?;
        Ok(files::replace(&*self.disk, &self.path(name), &sealed)?)
    }

    /// Reads an item.
    ///
    /// # Errors
    /// Missing, or damaged: a wrong secret is never returned.
    pub fn get(&self, name: ItemName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let sealed = match self.disk.read(&path, MAX_ITEM) {
            Err(e) if e.is_not_found() => return Err(StoreError::Missing(name)),
            other => other?,
        };
        self.sealer
            .open(name, &sealed)
            .ok_or_else(|| StoreError::Damaged {
                place: path.display().to_string(),
            })
    }

    /// Deletes an item durably; one that is not there is fine.
    ///
    /// # Errors
    /// The file system's.
    pub fn delete(&self, name: ItemName) -> Result<(), StoreError> {
        Ok(files::remove(&*self.disk, &self.path(name))?)
    }

    /// Every item of a kind, sorted.
    ///
    /// # Errors
    /// The file system's.
    pub fn list(&self, kind: ItemKind) -> Result<Vec<ItemName>, StoreError> {
        let listed = self.disk.list(&self.directory);
        let listed = listed.map_err(FileError::at("list", &self.directory))?;
        let mut names: Vec<ItemName> = listed
            .iter()
            .filter_map(|file| file.strip_suffix(SUFFIX)?.parse().ok())
            .filter(|name: &ItemName| name.kind == kind)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn path(&self, name: ItemName) -> PathBuf {
        self.directory.join(format!("{name}{SUFFIX}"))
    }
}

fn read_header(
    disk: &dyn Disk,
    directory: &Path,
    party: &PartyId,
) -> Result<AnyHeader, StoreError> {
    let path = directory.join(HEADER);
    let json = disk.read(&path, 1 << 16)?;
    let bad = |reason: String| StoreError::Header {
        path: path.clone(),
        reason,
    };
    if let Ok(Newer { version }) = serde_json::from_slice(&json)
        && version > VERSION
    {
        return Err(StoreError::Version(version));
    }
    let header = serde_json::from_slice(&json).map_err(|e| bad(e.to_string()))?;
    if let AnyHeader::Current(header) = &header {
        if header.version != VERSION {
            return Err(StoreError::Version(header.version));
        }
        let needs = header.needs.iter().map(String::as_str);
        format::check(needs).map_err(|need| StoreError::Need {
            path: path.clone(),
            need,
        })?;
        if header.party != *party {
            return Err(bad(format!(
                "it is {}'s store, not {party}'s",
                header.party
            )));
        }
    }
    Ok(header)
}

/// Tries every entry of the protector's kind; the last refusal is the answer if none opens.
fn unwrap_with(
    protector: &Protector<'_>,
    protectors: &[Named],
    party: &PartyId,
    directory: &Path,
) -> Result<StoreKey, StoreError> {
    let mut refusal = None;
    for named in protectors {
        match protector.unwrap(&named.entry, &purpose(party)) {
            Some(Ok(key)) => return Ok(key),
            Some(Err(error)) => refusal = Some(error),
            None => {}
        }
    }
    let present: Vec<_> = protectors.iter().map(|n| n.entry.kind()).collect();
    Err(refusal.unwrap_or_else(|| StoreError::NoSuchProtector {
        path: directory.to_owned(),
        kind: protector.kind(),
        present: present.join(", "),
    }))
}

fn purpose(party: &PartyId) -> String {
    format!("store key of {party}")
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let open = |cause| FileError::Io {
        action: "open",
        path: path.clone(),
        cause,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(open)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked {
            path: directory.to_owned(),
        }),
        Err(fs::TryLockError::Error(cause)) => Err(open(cause).into()),
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
