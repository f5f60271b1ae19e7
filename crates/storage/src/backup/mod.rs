//! Backups: one age file (<https://age-encryption.org/v1>) whose content is a plain tar, so that `age -d` and `tar` open it without this program.
//!
//! | entry | what |
//! |---|---|
//! | `manifest.json` | [`Manifest`]: whose, when, and the hash of every other entry |
//! | `manifest.sig` | the party's Ed25519 signature over [`Opened::signed_message`], in hexadecimal |
//! | `agent.toml`, `roster.json`, `policy.json`, `tls/*` | configuration, without passphrase and PIN files |
//! | `records/<name>` | the ledger's public records: keys and their protocols, committees, pending ones; every version of the policy, freeze orders, rejections, bans, spends |
//! | `secrets/<kind>-<id>-<epoch>` | identity, shares, auxiliary information |
//!
//! Nothing that may be used once is ever in it: see [`KINDS`].

mod archive;
mod crypt;
mod object;

use std::collections::BTreeMap;

use quorate_types::{Curve, Hash32, KeyId, KeyName, PartyId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use age::x25519::Identity as AgeIdentity;
pub use crypt::{Lock, Opener, parse_identities, parse_recipient};
pub use object::{ObjectName, ReadBackup, Reader};

pub(crate) use crypt::{decrypt, encrypt};

use crate::{ItemKind, ItemName};

/// What of the sealed store goes into a backup. An allow-list: a new kind stays out until somebody decides. Primes, presignatures and nonces
/// are used once, and a restored copy of one would be used twice (I4). DKLs23 setups would be used by a custodian that has forgotten whom it
/// banned (T12).
pub const KINDS: [ItemKind; 3] = [ItemKind::Identity, ItemKind::Share, ItemKind::Aux];

/// Which of the ledger's records go into a backup: those of these names, or below those that end in a slash. An allow-list, as [`KINDS`] is.
/// Besides keys and committees that is authority, which is never to go back: the chain of policies,
/// freeze orders, rejections, bans, and what was spent.
pub const RECORDS: [&str; 9] = [
    "key/",
    "committee",
    "pending-committee/",
    "protocol/",
    "policy/",
    "freeze/",
    "said/",
    "ban/",
    SPENDS,
];

/// What the party knew of spending, in one record; the agent takes it into its ledger when it first
/// starts.
pub const SPENDS: &str = "spends";

/// Whether a record of this name goes into a backup.
#[must_use]
pub fn carries_record(name: &str) -> bool {
    RECORDS.iter().any(|known| match known.ends_with('/') {
        true => name.starts_with(known) && name != *known,
        false => name == *known,
    })
}

/// The largest backup read or made, in bytes.
pub const MAX_LEN: usize = 256 << 20;
/// The most entries in one.
pub const MAX_ENTRIES: usize = 100_000;
/// The largest entry, in bytes.
pub const MAX_ENTRY: usize = 16 << 20;

/// The agent's configuration in a backup.
pub const CONFIG: &str = "agent.toml";
/// The roster in a backup.
pub const ROSTER: &str = "roster.json";
/// The first policy bundle's name in an archive; all versions are among the records.
pub const POLICY: &str = "policy.json";

/// Why a backup cannot be made, opened or believed. Nothing is written when one of these is returned.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Not a recipient this program encrypts to. What was there instead is not repeated: it may be a secret.
    #[error(
        "not an age X25519 recipient{}; they begin with age1 and `age-keygen -y` prints them",
        if *is_secret { " but a secret identity, which opens backups and must not be here" } else { "" }
    )]
    Recipient {
        /// It looks like an identity.
        is_secret: bool,
    },
    /// A name in a blob store that is not the backup's own.
    #[error(
        "it is called {name}, but was made {made_at} (Unix milliseconds) with restore counter {counter}: somebody renamed it"
    )]
    Renamed {
        /// Its name there.
        name: String,
        /// When it was made.
        made_at: u64,
        /// Its restore counter.
        counter: u64,
    },
    /// Nobody could open it.
    #[error(
        "no recipient and no passphrase: name one with --recipient, --recipients-file or --passphrase-file"
    )]
    NoRecipient,
    /// Not an identity file.
    #[error(
        "line {0} is not an age X25519 identity; they begin with AGE-SECRET-KEY-1 and `age-keygen` makes them"
    )]
    Identity(usize),
    /// No identity in it.
    #[error("no age identity: the file has no line that begins with AGE-SECRET-KEY-1")]
    NoIdentity,
    /// Encrypted to a passphrase, opened with an identity.
    #[error("it is encrypted to a passphrase; give it with --passphrase-file")]
    NeedsPassphrase,
    /// Encrypted to recipients, opened with a passphrase.
    #[error("it is encrypted to recipients; give one's identity with --identity")]
    NeedsIdentity,
    /// The passphrase does not open it.
    #[error("wrong passphrase, or the header was altered; nothing was written")]
    WrongPassphrase,
    /// The identity does not open it.
    #[error("it is encrypted to other recipients than the identity given; nothing was written")]
    WrongIdentity,
    /// No age file.
    #[error("it is not an age file, or its header was altered; nothing was written")]
    NotAge,
    /// Truncated or altered after the header.
    #[error("it is truncated or altered; nothing was written. Take another copy")]
    Altered,
    /// Larger than anything this program writes.
    #[error("it is larger than {MAX_LEN} bytes")]
    TooLarge,
    /// It opens, but its content is not a backup's.
    #[error("it opens, but is not a whole backup: {0}; nothing was written")]
    Content(String),
    /// The party's identity key.
    #[error("the backup cannot be signed: {0}")]
    Signer(String),
    /// Encryption failed, which only happens for impossible sizes.
    #[error("encryption failed: {0}")]
    Encrypt(String),
}

/// Says what a backup holds, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1
    pub format: u32,
    /// Version of the program that made it.
    pub program: String,
    /// Whose it is.
    pub party: PartyId,
    /// Unix milliseconds.
    pub made_at: u64,
    /// How often the party had been restored when it was made.
    pub restore_counter: u64,
    /// Needs of the backup beyond its format; a program that does not know one refuses it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Version of the policy that the party had in force, 0 without one; the whole chain is in it.
    /// Absent from backups of programs that carried the first version only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u64>,
    /// Every key in it.
    pub keys: Vec<KeySummary>,
    /// Every other entry, in order.
    pub entries: Vec<EntryDigest>,
}

impl Manifest {
    /// The format this program reads and writes.
    pub const FORMAT: u32 = 1;
}

/// One key, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySummary {
    /// The key.
    pub id: KeyId,
    /// Its name.
    pub name: KeyName,
    /// Share generation.
    pub epoch: u32,
    /// Its curve.
    pub curve: Curve,
}

/// One entry of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryDigest {
    /// Its path.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Hash32,
}

/// Whose backup, and when.
#[derive(Debug, Clone)]
pub struct About {
    /// The party.
    pub party: PartyId,
    /// Unix milliseconds.
    pub made_at: u64,
    /// How often the party has been restored.
    pub restore_counter: u64,
    /// Version of the policy that it has in force; 0 without one.
    pub policy_version: u64,
    /// Its keys.
    pub keys: Vec<KeySummary>,
}

/// What a backup carries.
#[derive(Default)]
pub struct Content {
    /// Configuration files by their names in the archive: [`CONFIG`], [`ROSTER`], [`POLICY`], `tls/...`.
    pub files: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// The ledger's records.
    pub records: BTreeMap<String, Vec<u8>>,
    /// Secrets of [`KINDS`].
    pub secrets: BTreeMap<ItemName, Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Content {{ files: {:?}, records: {:?}, secrets: [redacted] }}",
            self.files.keys(),
            self.records.keys()
        )
    }
}

/// An opened backup, every entry of which has the hash that its manifest says.
#[derive(Debug)]
pub struct Opened {
    /// What it says it is.
    pub manifest: Manifest,
    /// What is in it.
    pub content: Content,
    /// The signature in it; whose it is to be, the caller knows.
    pub signature: [u8; 64],
    signed: Hash32,
}

impl Opened {
    /// What the party signed: a domain tag and the manifest's hash.
    #[must_use]
    pub fn signed_message(&self) -> Vec<u8> {
        signed_message(self.signed)
    }
}

fn signed_message(manifest: Hash32) -> Vec<u8> {
    [
        b"quorate/backup-manifest/v1".as_slice(),
        manifest.as_bytes(),
    ]
    .concat()
}

impl Opened {
    /// A file of the configuration.
    ///
    /// # Errors
    /// [`BackupError::Content`] if it is not there.
    pub fn file(&self, name: &str) -> Result<&[u8], BackupError> {
        let found = self.content.files.get(name);
        found
            .map(|bytes| bytes.as_slice())
            .ok_or_else(|| BackupError::Content(format!("{name} is missing")))
    }
}

/// Makes a backup: the age file's bytes. `sign` signs with the party's identity key, for whoever knows a recipient can encrypt to it.
///
/// # Errors
/// Content that must not be in a backup or is too large; no recipient.
pub fn make<E: std::fmt::Display>(
    about: &About,
    content: &Content,
    lock: &Lock,
    sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
) -> Result<Vec<u8>, BackupError> {
    let tar = archive::write(about, content, |message| {
        sign(message).map_err(|e| BackupError::Signer(e.to_string()))
    })?;
    encrypt(&tar, lock)
}

/// Opens a backup and checks every entry. Nothing is written anywhere.
///
/// # Errors
/// See [`BackupError`].
pub fn open(bytes: &[u8], opener: &Opener) -> Result<Opened, BackupError> {
    let tar = decrypt(bytes, opener, MAX_LEN)?;
    archive::read(&tar)
}

#[cfg(test)]
mod tests;
