//! The orchestrator's configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

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

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not TOML, or unknown, missing or impossible fields.
    #[error("{}: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl OrchestratorConfig {
    /// Reads and checks a file; the paths in the result are absolute or relative to the caller.
    ///
    /// # Errors
    /// Unreadable, unparsable, unknown fields, a NATS address without TLS.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let parse = |reason: String| ConfigError::Parse {
            path: path.to_owned(),
            reason,
        };
        let mut config: Self = toml::from_str(&text).map_err(|e| parse(e.to_string()))?;
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        for relative in [
            &mut config.roster,
            &mut config.ca,
            &mut config.certificate,
            &mut config.key,
        ] {
            *relative = base.join(&*relative);
        }
        if !config.nats.starts_with("tls://") {
            return Err(parse("nats must be a tls:// address".to_owned()));
        }
        Ok(config)
    }
}
