//! Backups of a custodian: made from its open store and ledger, verified without writing anything, restored into an empty directory.

mod authority;
mod make;
mod restore;
mod schedule;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_storage::backup::{BackupError, POLICY, ROSTER};
use quorate_storage::blobs::BlobError;
use quorate_storage::{ItemKind, LedgerError, SecretStore, StoreError};
use quorate_types::PartyId;
use quorate_types::node::Standing;

pub use make::{Made, make};
pub use restore::{Restored, StorePassphrase, check_vacant, restore};
pub use schedule::{Schedule, StoredBackup};
pub use verify::{Summary, Verified, verify};

use crate::boot::{self, BootError, Opened};
use crate::passphrase::PassphraseError;
use crate::{AgentConfig, Unlock};

/// Why a backup is not made, believed or restored.
#[derive(Debug, thiserror::Error)]
pub enum AgentBackupError {
    /// The file itself.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Blob stores.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The sealed store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files.
    #[error(transparent)]
    File(#[from] quorate_storage::FileError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Configuration or roster.
    #[error(transparent)]
    Config(#[from] quorate_service::ConfigError),
    /// The store's passphrase or PIN.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The store is open elsewhere, or something does not open.
    #[error("cannot open the custodian's directory; is its agent stopped?")]
    Open(#[source] BootError),
    /// A file the operating system does not give or take.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The content contradicts itself.
    #[error("the backup opens, but {0}; nothing was written")]
    Wrong(String),
    /// Made under another roster than the caller's.
    #[error(
        "the backup has another roster ({found}) than the one given ({wanted}); nothing was written"
    )]
    OtherRoster {
        /// The backup's roster hash.
        found: String,
        /// The expected one.
        wanted: String,
    },
    /// Something is where the restored custodian would go.
    #[error("{} exists and is not an empty directory; choose a new one", .0.display())]
    NotEmpty(PathBuf),
    /// An agent that may have forgotten something must not replace good backups by its own.
    #[error("no backup is made while the agent does not serve: {0}")]
    NotServing(Standing),
    /// A running agent makes backups by its configuration only.
    #[error(
        "agent.toml has no [backup]; put its stores and recipients there and restart the agent"
    )]
    NotConfigured,
    /// A thread ended early.
    #[error("interrupted: the program is ending")]
    Interrupted,
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> AgentBackupError {
    let path = path.to_owned();
    move |source| AgentBackupError::Io {
        action,
        path,
        source,
    }
}

/// A custodian's directory, open: what a backup is made of.
#[derive(Debug, Clone)]
pub struct Source {
    /// `agent.toml`.
    pub config_file: PathBuf,
    /// What it says.
    pub config: AgentConfig,
    /// What it names, open.
    pub opened: Opened,
}

impl Source {
    /// Opens a custodian whose agent is stopped. Takes the passphrase or PIN where the configuration says. Not for an async thread.
    ///
    /// # Errors
    /// Configuration, passphrase, a store in use.
    pub fn open(config_file: &Path) -> Result<Self, AgentBackupError> {
        let config: AgentConfig = quorate_service::load(config_file)?;
        let unlock = Unlock::from_config(&config)?;
        let opened = boot::open_unchanged(&config, &unlock).map_err(AgentBackupError::Open)?;
        Ok(Self {
            config_file: config_file.to_owned(),
            config,
            opened,
        })
    }

    /// Whose.
    #[must_use]
    pub const fn party(&self) -> &PartyId {
        &self.config.party
    }

    /// What keeps secrets of a kind.
    pub(crate) fn keeper(&self, kind: ItemKind) -> Arc<dyn SecretStore> {
        match kind {
            ItemKind::Share => Arc::clone(&self.opened.shares),
            _ => Arc::new(Arc::clone(&self.opened.store)),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AgentBackupError> + Send + 'static,
) -> Result<T, AgentBackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(AgentBackupError::Interrupted),
    }
}

/// The files that a configuration names and a backup carries, with their names in it, which are those that `quorate init` gives them. Passphrase
/// and PIN files are not among them.
fn carried_files(config: &mut AgentConfig) -> Vec<(&mut PathBuf, &'static str)> {
    // Every field is named, so that a new one with a file must be thought of here.
    let AgentConfig {
        party: _,
        roster,
        policy,
        data: _,
        passphrase_file: _,
        hsm: _,
        tpm: _,
        kms: _,
        nats,
        backup: _,
        presign: _,
        timeouts: _,
    } = config;
    let mut carried = vec![
        (roster, ROSTER),
        (&mut nats.ca, "tls/ca.crt"),
        (&mut nats.certificate, "tls/cert.pem"),
        (&mut nats.key, "tls/key.pem"),
    ];
    carried.extend(policy.as_mut().map(|policy| (policy, POLICY)));
    carried
}

#[cfg(test)]
mod tests;
