//! The store of sealed secrets: one file each.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use borsh::BorshSerialize;
use quorate_types::{Hash32, PartyId};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::{FileError, create_private_dir, read_private, remove, write_private};
use crate::protector::{Entry, Protector, StoreKey};
use crate::{KdfParams, SealedBox, Sealer};

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
}

impl ItemKind {
    const ALL: [Self; 4] = [Self::Identity, Self::Share, Self::Aux, Self::Prime];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Share => "share",
            Self::Aux => "aux",
            Self::Prime => "prime",
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
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
    #[serde(flatten)]
    entry: Entry,
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
    directory: PathBuf,
    sealer: Sealer,
    /// Held locked for as long as the store is open.
    _lock: File,
}

impl std::fmt::Debug for EncryptedFileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EncryptedFileStore({})", self.directory.display())
    }
}

const HEADER: &str = "store.json";
/// Of the header this program writes.
const VERSION: u32 = 2;
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
        let mut key = Zeroizing::new([0u8; 32]);
        OsRng.fill_bytes(&mut *key);
        let store = Self {
            directory: directory.to_owned(),
            sealer: Sealer::new(party.clone(), key),
            _lock: lock,
        };
        let entry = store.wrap(protector)?;
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
        let protector = protector.into();
        // Once before the lock, which would otherwise be made in a directory that is no store; and once under it.
        read_header(directory, party)?;
        create_private_dir(directory)?;
        let lock = lock(directory)?;
        let header = read_header(directory, party)?;
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
        let key = unwrap_with(&protector, &protectors, party, directory)?;
        let store = Self {
            directory: directory.to_owned(),
            sealer: Sealer::new(party.clone(), key),
            _lock: lock,
        };
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
    /// An unknown name; the token's or the file system's: the old one then still opens the store.
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
        protector.into().wrap(self.sealer.key(), &context)
    }

    fn named(&self) -> Result<Vec<Named>, StoreError> {
        match read_header(&self.directory, self.sealer.party())? {
            AnyHeader::Current(header) => Ok(header.protectors),
            AnyHeader::First(_) => Err(StoreError::Version(1)),
        }
    }

    fn write_header(&self, protectors: Vec<Named>) -> Result<(), StoreError> {
        let header = Header {
            version: VERSION,
            party: self.sealer.party().clone(),
            protectors,
        };
        let json = serde_json::to_vec_pretty(&header).map_err(|_| StoreError::Seal)?;
        Ok(write_private(&self.directory.join(HEADER), &json)?)
    }

    /// Stores an item, replacing one of the same name whole.
    ///
    /// # Errors
    /// The file system's; an item already there is then untouched.
    pub fn put(&self, name: ItemName, secret: &[u8]) -> Result<(), StoreError> {
        let sealed = self.sealer.seal(name, secret)?;
        Ok(write_private(&self.path(name), &sealed)?)
    }

    /// Reads an item.
    ///
    /// # Errors
    /// Missing, or damaged: a wrong secret is never returned.
    pub fn get(&self, name: ItemName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let sealed = match read_private(&path, MAX_ITEM) {
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
        Ok(remove(&self.path(name))?)
    }

    /// Every item of a kind, sorted.
    ///
    /// # Errors
    /// The file system's.
    pub fn list(&self, kind: ItemKind) -> Result<Vec<ItemName>, StoreError> {
        let read = |cause| FileError::Io {
            action: "list",
            path: self.directory.clone(),
            cause,
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(read)? {
            let file = entry.map_err(read)?.file_name();
            let stem = file.to_str().and_then(|f| f.strip_suffix(SUFFIX));
            let name = stem.and_then(|s| s.parse::<ItemName>().ok());
            names.extend(name.filter(|n| n.kind == kind));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn path(&self, name: ItemName) -> PathBuf {
        self.directory.join(format!("{name}{SUFFIX}"))
    }
}

fn read_header(directory: &Path, party: &PartyId) -> Result<AnyHeader, StoreError> {
    let path = directory.join(HEADER);
    let json = read_private(&path, 1 << 16)?;
    let bad = |reason: String| StoreError::Header {
        path: path.clone(),
        reason,
    };
    let header = serde_json::from_slice(&json).map_err(|e| bad(e.to_string()))?;
    if let AnyHeader::Current(header) = &header {
        if header.version != VERSION {
            return Err(StoreError::Version(header.version));
        }
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
mod tests {
    use super::*;
    use crate::Passphrase;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    fn party(number: u8) -> PartyId {
        PartyId::new(&format!("party-{number}")).unwrap()
    }

    fn name(id: u8) -> ItemName {
        ItemName {
            kind: ItemKind::Share,
            id: Hash32::from_bytes([id; 32]),
            epoch: 0,
        }
    }

    #[test]
    fn t24_a_wrong_passphrase_or_party_is_a_clear_error_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let store = EncryptedFileStore::create(&path, &party(1), &passphrase("right")).unwrap();
        store.put(name(1), b"secret").unwrap();
        drop(store);
        for (who, phrase, says) in [
            (party(1), "wrong", "wrong passphrase"),
            (party(2), "right", "party-1's store, not party-2's"),
        ] {
            let error = EncryptedFileStore::open(&path, &who, &passphrase(phrase)).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        let store = EncryptedFileStore::open(&path, &party(1), &passphrase("right\n")).unwrap();
        assert_eq!(&**store.get(name(1)).unwrap(), b"secret");
        assert_eq!(store.list(ItemKind::Share).unwrap(), [name(1)]);
        store.delete(name(1)).unwrap();
        assert!(matches!(store.get(name(1)), Err(StoreError::Missing(_))));
    }

    #[test]
    fn t24_bit_flips_truncation_and_swapped_files_do_not_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let store = EncryptedFileStore::create(&path, &party(1), &passphrase("p")).unwrap();
        store.put(name(1), b"one").unwrap();
        store.put(name(2), b"two").unwrap();
        let file = store.path(name(1));
        let original = fs::read(&file).unwrap();
        for position in 0..original.len() {
            let mut altered = original.clone();
            altered[position] ^= 1;
            write_private(&file, &altered).unwrap();
            assert!(matches!(
                store.get(name(1)),
                Err(StoreError::Damaged { .. })
            ));
            write_private(&file, &original[..position]).unwrap();
            assert!(matches!(
                store.get(name(1)),
                Err(StoreError::Damaged { .. })
            ));
        }
        write_private(&file, &fs::read(store.path(name(2))).unwrap()).unwrap();
        assert!(matches!(
            store.get(name(1)),
            Err(StoreError::Damaged { .. })
        ));
        write_private(&file, &original).unwrap();
        assert_eq!(&**store.get(name(1)).unwrap(), b"one");
    }

    #[test]
    fn two_agents_do_not_share_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let _open = EncryptedFileStore::create(&path, &party(1), &passphrase("p")).unwrap();
        let second = EncryptedFileStore::open(&path, &party(1), &passphrase("p"));
        assert!(matches!(second, Err(StoreError::Locked { .. })));
    }

    #[test]
    fn permissions_open_to_others_are_refused_with_the_command_that_mends_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        drop(EncryptedFileStore::create(&path, &party(1), &passphrase("p")).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = EncryptedFileStore::open(&path, &party(1), &passphrase("p")).unwrap_err();
        assert!(error.to_string().contains("chmod 0700"), "{error}");
    }

    #[test]
    fn lowered_kdf_costs_are_refused() {
        let boxed = SealedBox::seal(&passphrase("p"), "x", b"y").unwrap();
        let json = serde_json::to_string(&boxed).unwrap().replace("65536", "8");
        let boxed: SealedBox = serde_json::from_str(&json).unwrap();
        assert!(matches!(
            boxed.open(&passphrase("p"), "x"),
            Err(StoreError::WeakKdf(_))
        ));
    }
}
