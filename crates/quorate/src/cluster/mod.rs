//! A whole cluster on this machine: all in one process, or separate processes over a real NATS server.

pub mod in_process;
pub mod processes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_service::load_roster;
use quorate_types::{PartyId, ValidRoster};

/// A provisioned cluster's directory.
#[derive(Debug, Clone)]
pub struct ClusterDir {
    dir: PathBuf,
}

impl ClusterDir {
    /// Names a directory; nothing is read yet.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Whether a cluster was provisioned here.
    pub fn exists(&self) -> bool {
        self.client_config().exists()
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The roster, as the orchestrator has it.
    pub fn roster(&self) -> anyhow::Result<Arc<ValidRoster>> {
        Ok(load_roster(&self.dir.join("orchestrator/roster.json"))?)
    }

    /// A custodian's configuration.
    pub fn agent_config(&self, party: &PartyId) -> PathBuf {
        self.dir
            .join("custodians")
            .join(party.as_str())
            .join("agent.toml")
    }

    /// The orchestrator's configuration.
    pub fn orchestrator_config(&self) -> PathBuf {
        self.dir.join("orchestrator/orchestrator.toml")
    }

    /// The operator's configuration.
    pub fn client_config(&self) -> PathBuf {
        self.dir.join("operator/client.toml")
    }

    /// Where a running cluster writes its API's address.
    pub fn endpoint_file(&self) -> PathBuf {
        self.dir.join("operator/endpoint")
    }
}
