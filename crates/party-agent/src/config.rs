//! The agent's configuration file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_types::{CeremonyKind, PartyId};
use serde::{Deserialize, Serialize};

/// `agent.toml`. Relative paths are relative to the file's own directory. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// This party's name in the roster.
    pub party: PartyId,
    /// The roster file.
    pub roster: PathBuf,
    /// Directory of the sealed store and the ledger.
    pub data: PathBuf,
    /// File holding the passphrase, 0600. Without it the agent takes `QUORATE_PASSPHRASE` or asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
    /// The NATS server.
    pub nats: NatsConfig,
    /// Time-outs.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// How to reach NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsConfig {
    /// For example `tls://127.0.0.1:4222`.
    pub url: String,
    /// The private CA's certificate, PEM.
    pub ca: PathBuf,
    /// This party's certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// How long a peer may stay silent in a round before the session ends, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Key generation.
    pub keygen: u32,
    /// Committee setup, whose steps compute for many seconds.
    pub aux: u32,
    /// Signing.
    pub sign: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            keygen: 15,
            aux: 180,
            sign: 30,
        }
    }
}

impl Timeouts {
    /// The round time-out of a kind of ceremony.
    #[must_use]
    pub fn round(&self, kind: CeremonyKind) -> Duration {
        let seconds = match kind {
            CeremonyKind::Keygen | CeremonyKind::Reshare => self.keygen,
            CeremonyKind::Aux => self.aux,
            CeremonyKind::Sign | CeremonyKind::Presign => self.sign,
        };
        Duration::from_secs(u64::from(seconds))
    }
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
    /// Not TOML, or unknown or missing fields.
    #[error("{}: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// A value out of range.
    #[error("{}: {field} must be {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

impl AgentConfig {
    /// Reads and checks a file; the paths in the result are absolute or relative to the caller.
    ///
    /// # Errors
    /// Unreadable, unparsable, unknown fields, values out of range.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut config: Self = toml::from_str(&text).map_err(|e| ConfigError::Parse {
            path: path.to_owned(),
            reason: e.to_string(),
        })?;
        let base = path.parent().unwrap_or_else(|| Path::new("."));
        for relative in config.paths_mut() {
            *relative = base.join(&*relative);
        }
        config.check(path)?;
        Ok(config)
    }

    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [
            &mut self.roster,
            &mut self.data,
            &mut self.nats.ca,
            &mut self.nats.certificate,
            &mut self.nats.key,
        ]
        .into_iter()
        .chain(&mut self.passphrase_file)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let value = |field, expected| ConfigError::Value {
            path: path.to_owned(),
            field,
            expected,
        };
        let Timeouts { keygen, aux, sign } = self.timeouts;
        if [keygen, aux, sign].iter().any(|t| !(1..=3600).contains(t)) {
            return Err(value("timeouts", "between 1 and 3600 seconds"));
        }
        if !self.nats.url.starts_with("tls://") {
            return Err(value(
                "nats.url",
                "a tls:// address; plain connections are not used",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
party = "party-1"
roster = "roster.json"
data = "data"
[nats]
url = "tls://127.0.0.1:4222"
ca = "tls/ca.crt"
certificate = "tls/party.crt"
key = "tls/party.key"
"#;

    fn load(text: &str) -> Result<AgentConfig, ConfigError> {
        let file = std::env::temp_dir().join(format!("quorate-agent-config-{}.toml", text.len()));
        std::fs::write(&file, text).unwrap();
        let result = AgentConfig::load(&file);
        std::fs::remove_file(&file).unwrap();
        result
    }

    #[test]
    fn reads_a_minimal_file_and_resolves_paths() {
        let config = load(GOOD).unwrap();
        assert_eq!(config.timeouts, Timeouts::default());
        assert_eq!(config.roster, std::env::temp_dir().join("roster.json"));
    }

    #[test]
    fn refuses_unknown_fields_plain_nats_and_silly_timeouts() {
        for bad in [
            GOOD.replace("party =", "colour = \"blue\"\nparty ="),
            GOOD.replace("tls://", "nats://"),
            format!("{GOOD}\n[timeouts]\nsign = 0\n"),
            format!("{GOOD}\n[timeouts]\nsignn = 10\n"),
        ] {
            assert!(load(&bad).is_err(), "{bad}");
        }
    }
}
