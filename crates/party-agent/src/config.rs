//! The agent's configuration file.

use std::path::PathBuf;
use std::time::Duration;

use quorate_service::Configuration;
use quorate_storage::backup::Lock;
use quorate_types::{Capability, CeremonyKind, Dialect, KeyName, PartyId};
use serde::{Deserialize, Serialize};

use crate::hardware::{self, HsmConfig, KmsConfig, TpmConfig};

/// `agent.toml`. Relative paths are relative to the file's own directory. Unknown fields are
/// refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// This party's name in the roster.
    pub party: PartyId,
    /// The roster file.
    pub roster: PathBuf,
    /// The first policy bundle, JSON; later ones are published. Without it, and without one in the
    /// ledger, the agent signs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PathBuf>,
    /// Directory of the sealed store and the ledger.
    pub data: PathBuf,
    /// File holding the passphrase, 0600. Without it the agent takes `QUORATE_PASSPHRASE` or asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
    /// A hardware security module. If its key opens the store, no passphrase is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsm: Option<HsmConfig>,
    /// A TPM that opens the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmConfig>,
    /// A key at AWS KMS that opens the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms: Option<KmsConfig>,
    /// The NATS server.
    pub nats: NatsConfig,
    /// Scheduled backups; none are made without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupConfig>,
    /// Work done before a message is known: presignatures for ECDSA keys, nonces for those of
    /// FROST.
    #[serde(default, skip_serializing_if = "PresignConfig::is_default")]
    pub presign: PresignConfig,
    /// Time-outs.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// Work done ahead, so that signing is one round: presignatures in the background for the keys,
/// children and signers that are used, and nonces for FROST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PresignConfig {
    /// Whether any are made.
    pub enabled: bool,
    /// A pool with fewer than this is filled up. At least 1.
    pub low: u16,
    /// A pool is filled up to this. At least `low`, at most 1024.
    pub high: u16,
    /// Names of keys for which none are made.
    pub off: Vec<KeyName>,
}

impl Default for PresignConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            low: 4,
            high: 8,
            off: Vec::new(),
        }
    }
}

impl PresignConfig {
    /// Whether any is made for a key.
    #[must_use]
    pub fn is_on(&self, key: &KeyName) -> bool {
        self.enabled && !self.off.contains(key)
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), String> {
        if (1..=self.high).contains(&self.low) && self.high <= 1024 {
            return Ok(());
        }
        Err(
            "presign.low must be at least 1, presign.high at least presign.low and at most 1024"
                .to_owned(),
        )
    }
}

/// Scheduled backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupConfig {
    /// Where they go, all of them: `file:///...`, `s3://bucket/prefix?endpoint=...&region=...`,
    /// `az://...`, `gs://...`.
    pub stores: Vec<String>,
    /// age recipients, `age1...`; any one's identity opens a backup. An escrow package's recipient
    /// is one.
    pub recipients: Vec<String>,
    /// How often, for example `24h`, or a number of hours.
    #[serde(default = "BackupConfig::daily", with = "every")]
    pub every: Duration,
    /// How many are kept in each store.
    #[serde(default = "BackupConfig::a_month")]
    pub keep: u32,
}

impl BackupConfig {
    const fn daily() -> Duration {
        Duration::from_secs(24 * 60 * 60)
    }

    const fn a_month() -> u32 {
        30
    }

    fn check(&self) -> Result<(), String> {
        if self.stores.is_empty() || self.recipients.is_empty() {
            return Err("backup needs at least one store and one recipient".to_owned());
        }
        if self.every < Duration::from_secs(1) || self.keep == 0 {
            return Err("backup.every must be at least 1s, backup.keep at least 1".to_owned());
        }
        match Lock::to_recipients(&self.recipients) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("backup.recipients: {error}")),
        }
    }
}

/// A duration as text, `36h`, or a number of hours.
mod every {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        every: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*every))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Every {
            Hours(u32),
            Text(String),
        }
        match Every::deserialize(deserializer)? {
            Every::Hours(hours) => Ok(Duration::from_secs(u64::from(hours) * 3600)),
            Every::Text(text) => humantime::parse_duration(&text).map_err(serde::de::Error::custom),
        }
    }
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
    /// Making presignatures, which yields to everything else.
    pub presign: u32,
    /// Showing each other what was spent.
    pub spend: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            keygen: 15,
            aux: 180,
            sign: 30,
            presign: 180,
            spend: 10,
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
            CeremonyKind::Sign => self.sign,
            CeremonyKind::Presign => self.presign,
            CeremonyKind::Spend => self.spend,
        };
        Duration::from_secs(u64::from(seconds))
    }
}

impl AgentConfig {
    /// The dialect that an agent with this configuration speaks: one that makes nothing ahead does
    /// not offer to.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        let made_ahead = [Capability::Presignatures, Capability::NoncesAhead];
        let can =
            |capability: &Capability| self.presign.enabled || !made_ahead.contains(capability);
        Dialect {
            capabilities: Capability::ALL.into_iter().filter(can).collect(),
            ..Dialect::current()
        }
    }
}

impl Configuration for AgentConfig {
    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        let nats = &mut self.nats;
        let mut paths = vec![
            &mut self.roster,
            &mut self.data,
            &mut nats.ca,
            &mut nats.certificate,
            &mut nats.key,
        ];
        paths.extend(&mut self.passphrase_file);
        paths.extend(&mut self.policy);
        if let Some(hsm) = &mut self.hsm {
            paths.push(&mut hsm.module);
            paths.extend(&mut hsm.pin_file);
        }
        paths.extend(self.tpm.as_mut().and_then(|tpm| tpm.pin_file.as_mut()));
        paths
    }

    fn check(&self) -> Result<(), String> {
        let Timeouts {
            keygen,
            aux,
            sign,
            presign,
            spend,
        } = self.timeouts;
        if [keygen, aux, sign, presign, spend]
            .iter()
            .any(|t| !(1..=3600).contains(t))
        {
            return Err("timeouts must be between 1 and 3600 seconds".to_owned());
        }
        if !self.nats.url.starts_with("tls://") {
            return Err(
                "nats.url must be a tls:// address; plain connections are not used".to_owned(),
            );
        }
        self.presign.check()?;
        hardware::check(self.hsm.as_ref(), self.tpm.as_ref(), self.kms.as_ref())?;
        self.backup.as_ref().map_or(Ok(()), BackupConfig::check)
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

    fn load(text: &str) -> Result<AgentConfig, quorate_service::ConfigError> {
        let file = std::env::temp_dir().join(format!("quorate-agent-config-{}.toml", text.len()));
        std::fs::write(&file, text).unwrap();
        let result = quorate_service::load(&file);
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
    fn backups_are_daily_and_kept_for_a_month_unless_said_otherwise() {
        const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let with = |more: &str| {
            format!(
                "{GOOD}\n[backup]\nstores = [\"file:///b\"]\nrecipients = [\"{RECIPIENT}\"]\n{more}"
            )
        };
        let backup = load(&with("")).unwrap().backup.unwrap();
        assert_eq!(
            (backup.every, backup.keep),
            (Duration::from_secs(86_400), 30)
        );
        let backup = load(&with("every = \"90m\"\n")).unwrap().backup.unwrap();
        assert_eq!(backup.every, Duration::from_secs(5400));
        let hours = load(&with("every = 12\n")).unwrap().backup.unwrap().every;
        assert_eq!(hours, Duration::from_secs(12 * 3600));
        let text = toml::to_string(&backup).unwrap();
        assert_eq!(toml::from_str::<BackupConfig>(&text).unwrap(), backup);
        for bad in [
            with("every = \"soon\""),
            with("keep = 0"),
            with("").replace("age1ql", "age1qq"),
            with("").replace("\"file:///b\"", ""),
        ] {
            assert!(load(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn refuses_unknown_fields_plain_nats_and_silly_timeouts() {
        for bad in [
            GOOD.replace("party =", "colour = \"blue\"\nparty ="),
            GOOD.replace("tls://", "nats://"),
            format!("{GOOD}\n[timeouts]\nsign = 0\n"),
            format!("{GOOD}\n[timeouts]\nsignn = 10\n"),
            format!("{GOOD}\n[presign]\nlow = 0\n"),
            format!("{GOOD}\n[presign]\nlow = 9\nhigh = 8\n"),
            format!("{GOOD}\n[presign]\nhigh = 1025\n"),
        ] {
            assert!(load(&bad).is_err(), "{bad}");
        }
    }

    const HSM: &str = "\n[hsm]\nmodule = \"m.so\"\ntoken = \"t\"\n";

    #[test]
    fn refuses_two_ways_into_one_store_and_a_token_that_does_nothing() {
        let both = format!("{GOOD}{HSM}key = \"k\"\n[kms]\nkey = \"k\"\n");
        let error = load(&both).unwrap_err().to_string();
        assert!(error.contains("only one of hsm.key"), "{error}");
        let idle = format!("{GOOD}{HSM}");
        let error = load(&idle).unwrap_err().to_string();
        assert!(error.contains("set key, identity or shares"), "{error}");
        let shares = load(&format!("{GOOD}{HSM}shares = true\n")).unwrap();
        assert!(shares.hsm.unwrap().shares);
    }

    #[test]
    fn a_section_this_build_cannot_use_says_how_to_rebuild() {
        for (built, feature, section) in [
            (cfg!(feature = "tpm"), "tpm", "\n[tpm]\n"),
            (cfg!(feature = "kms"), "kms", "\n[kms]\nkey = \"alias/k\"\n"),
        ] {
            match load(&format!("{GOOD}{section}")) {
                Ok(_) => assert!(built),
                Err(error) => {
                    let says = format!("rebuild with --features {feature}");
                    assert!(!built && error.to_string().contains(&says), "{error}");
                }
            }
        }
    }
}
