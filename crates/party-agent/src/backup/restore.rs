//! From a verified backup to a custodian's directory, whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_storage::backup::CONFIG;
use quorate_storage::{
    EncryptedFileStore, Ledger, Passphrase, RestoreMark, create_private_dir, write_private,
};
use rand_core::{OsRng, RngCore as _};

use super::{AgentBackupError, Verified, carried_files, io};
use crate::AgentConfig;
use crate::boot::{ledger_file, store_dir};
use crate::hardware::HsmConfig;
use crate::identity::in_token;
use crate::policy::raise_floor;

/// The passphrase of the restored store.
#[derive(Debug)]
pub enum StorePassphrase {
    /// A new one, in a file beside the store as `quorate init` leaves it.
    Generate,
    /// One that is kept nowhere: for a rehearsal.
    Unkept(Passphrase),
    /// One from a file, which `agent.toml` then names.
    Given {
        /// The passphrase.
        passphrase: Passphrase,
        /// Its file.
        file: PathBuf,
    },
}

/// What a restore has made.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The new configuration.
    pub config_file: PathBuf,
    /// How often the party has been restored now.
    pub counter: u64,
    /// The old configuration had hardware or a service open the store or keep the shares; the new one does not.
    pub had_hardware: bool,
    /// The token that holds the identity's signing key, which no backup has.
    pub needs_token: Option<String>,
}

/// A directory that is removed unless it has become the restored one.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(dir) = &self.0 {
            // Left behind it holds nothing that is not sealed.
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Whether a custodian can be restored there: nothing, or an empty directory.
///
/// # Errors
/// [`AgentBackupError::NotEmpty`]
pub fn check_vacant(into: &Path) -> Result<(), AgentBackupError> {
    let vacant = match fs::read_dir(into) {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(mut entries) => entries.next().is_none(),
    };
    if vacant {
        return Ok(());
    }
    Err(AgentBackupError::NotEmpty(into.to_owned()))
}

/// Restores into a new or empty directory. Everything is made in a directory beside it and renamed at the end. `known_counter` is the highest
/// restore counter known of the party: the new one is above it even if the backup is older than an earlier restore.
///
/// # Errors
/// A directory that is not empty, the file system's; nothing is then left.
pub fn restore(
    backup: &Verified,
    into: &Path,
    passphrase: StorePassphrase,
    known_counter: u64,
    now: u64,
) -> Result<Restored, AgentBackupError> {
    check_vacant(into)?;
    let into = &std::path::absolute(into).map_err(io("find", into))?;
    let parent = into.parent().unwrap_or_else(|| Path::new("/"));
    if !parent.exists() {
        create_private_dir(parent)?;
    }
    let name = into.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent.join(format!(".{name}.restoring-{:016x}", OsRng.next_u64()));
    let mut unfinished = Unfinished(Some(temporary.clone()));
    create_private_dir(&temporary)?;
    let before = backup.manifest().restore_counter.max(known_counter);
    let counter = before.checked_add(1).ok_or_else(|| {
        AgentBackupError::Wrong("its restore counter is at its end: it is forged".to_owned())
    })?;
    let mark = RestoreMark {
        counter,
        restored_at: now,
        backup_made_at: backup.manifest().made_at,
        confirmed: false,
    };
    fill(backup, &temporary, passphrase, &mark)?;
    // Onto nothing or onto an empty directory; anything that came in the meantime makes it fail.
    fs::rename(&temporary, into).map_err(io("rename into", into))?;
    unfinished.0 = None;
    fs::File::open(parent)
        .and_then(|dir| dir.sync_all())
        .map_err(io("fsync", parent))?;
    Ok(Restored {
        config_file: into.join(CONFIG),
        counter,
        had_hardware: had_hardware(backup.config()),
        needs_token: identity_only(backup.config()).map(|hsm| hsm.token),
    })
}

fn fill(
    backup: &Verified,
    dir: &Path,
    passphrase: StorePassphrase,
    mark: &RestoreMark,
) -> Result<(), AgentBackupError> {
    let (passphrase, file, new) = match passphrase {
        StorePassphrase::Generate => (Passphrase::generate(), Some("passphrase".into()), true),
        StorePassphrase::Unkept(passphrase) => (passphrase, None, false),
        StorePassphrase::Given { passphrase, file } => {
            let file = std::path::absolute(&file).map_err(io("find", &file))?;
            (passphrase, Some(file), false)
        }
    };
    let data = dir.join("data");
    create_private_dir(&data)?;
    let party = &backup.manifest().party;
    let store = EncryptedFileStore::create(&store_dir(&data), party, &passphrase)?;
    let content = backup.content();
    for (name, secret) in &content.secrets {
        store.put(*name, secret)?;
    }
    let ledger = Ledger::open(&ledger_file(&data))?;
    for (name, record) in &content.records {
        ledger.put_record(name, record)?;
    }
    ledger.set_restore_mark(mark)?;
    raise_floor(&ledger, backup.manifest().policy_version.unwrap_or(0))?;
    for (name, bytes) in &content.files {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            create_private_dir(parent)?;
        }
        write_private(&path, bytes)?;
    }
    let config = layout(backup.config(), file);
    let config = toml::to_string(&config).map_err(|e| AgentBackupError::Wrong(e.to_string()))?;
    write_private(&dir.join(CONFIG), config.as_bytes())?;
    if new {
        // Last of all: what an interrupted restore leaves behind, nobody can open.
        passphrase.write_to(&dir.join("passphrase"))?;
    }
    Ok(())
}

/// The old configuration, with paths as `quorate init` lays a custodian out.
fn layout(old: &AgentConfig, passphrase_file: Option<PathBuf>) -> AgentConfig {
    let mut config = old.clone();
    for (path, name) in carried_files(&mut config) {
        *path = name.into();
    }
    config.data = "data".into();
    config.passphrase_file = passphrase_file;
    // The new store has a new key, which nothing but the passphrase has wrapped; shares are back in files.
    config.hsm = identity_only(old);
    config.tpm = None;
    config.kms = None;
    config
}

fn had_hardware(old: &AgentConfig) -> bool {
    let token = old.hsm.as_ref();
    token.is_some_and(|hsm| hsm.key.is_some() || hsm.shares)
        || old.tpm.is_some()
        || old.kms.is_some()
}

/// The token that holds the identity, and does nothing else. Its PIN is not in a backup.
fn identity_only(old: &AgentConfig) -> Option<HsmConfig> {
    let (hsm, label) = in_token(old)?;
    Some(HsmConfig {
        key: None,
        identity: Some(label.to_owned()),
        shares: false,
        pin_file: None,
        ..hsm.clone()
    })
}
