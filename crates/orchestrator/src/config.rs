//! The orchestrator's configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;

use quorate_service::Configuration;
use serde::{Deserialize, Serialize};

/// `orchestrator.toml`. Relative paths are relative to the file's own directory. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrchestratorConfig {
    /// Its user name on NATS.
    pub name: String,
    /// The roster file.
    pub roster: PathBuf,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The private CA's certificate, PEM.
    pub ca: PathBuf,
    /// Its certificate, PEM: NATS client and API server.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The NATS server, for example `tls://127.0.0.1:4222`.
    pub nats: String,
}

impl Configuration for OrchestratorConfig {
    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        vec![
            &mut self.roster,
            &mut self.ca,
            &mut self.certificate,
            &mut self.key,
        ]
    }

    fn check(&self) -> Result<(), String> {
        if self.nats.starts_with("tls://") {
            return Ok(());
        }
        Err("nats must be a tls:// address; plain connections are not used".to_owned())
    }
}
