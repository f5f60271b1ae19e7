//! The operator's side: configuration, key, intents, and the checks on what comes back.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_api::{Client, Tls};
use quorate_party_agent::passphrase;
use quorate_service::{Configuration, now_ms};
use quorate_storage::{SealedBox, read_private};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::KeyListing;
use quorate_types::{Action, Intent, KeyName, KeyRecord, OperatorId, SignedIntent, ValidRoster};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `client.toml`. Relative paths are relative to the file's own directory. Unknown fields are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// Name in the roster.
    pub operator: OperatorId,
    /// The orchestrator's API.
    pub endpoint: String,
    /// A file whose content, if it exists, is used instead: `quorate up` writes it, because it takes free ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_file: Option<PathBuf>,
    /// The roster file.
    pub roster: PathBuf,
    /// The sealed operator key.
    pub key: PathBuf,
    /// File holding its passphrase. Without it `QUORATE_OPERATOR_PASSPHRASE` is used, or the terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
    /// TLS.
    pub tls: ClientTls,
}

/// PEM files for the API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTls {
    /// The CA's certificate.
    pub ca: PathBuf,
    /// The client's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Configuration for ClientConfig {
    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        let tls = &mut self.tls;
        let mut paths = vec![
            &mut self.roster,
            &mut self.key,
            &mut tls.ca,
            &mut tls.certificate,
            &mut tls.key,
        ];
        paths.extend(&mut self.passphrase_file);
        paths.extend(&mut self.endpoint_file);
        paths
    }

    fn check(&self) -> Result<(), String> {
        if self.endpoint.starts_with("https://") {
            return Ok(());
        }
        Err("endpoint must be an https:// address".to_owned())
    }
}

/// How long an intent is good for, in milliseconds.
const LIFETIME_MS: u64 = 600_000;

/// What an operator key's seal is bound to.
pub fn key_purpose(id: &OperatorId) -> String {
    format!("key of operator {id}")
}

/// A connected operator without its key: enough to look.
pub struct Viewer {
    config: ClientConfig,
    /// The cluster's roster.
    pub roster: Arc<ValidRoster>,
    /// The orchestrator.
    pub api: Client,
}

/// An operator who can propose.
pub struct Operator {
    /// The looking half.
    pub viewer: Viewer,
    key: SigningKey,
}

impl Viewer {
    /// Reads the configuration and everything it names except the key.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let config: ClientConfig = quorate_service::load(path).context(
            "name the operator's configuration with --client, or start a cluster with `quorate up`",
        )?;
        let roster = quorate_service::load_roster(&config.roster)?;
        let read = |path: &Path| {
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let (ca, certificate, key) = (
            read(&config.tls.ca)?,
            read(&config.tls.certificate)?,
            read(&config.tls.key)?,
        );
        let endpoint = config
            .endpoint_file
            .as_deref()
            .and_then(|file| std::fs::read_to_string(file).ok())
            .unwrap_or_else(|| config.endpoint.clone());
        let api = Client::new(
            endpoint.trim(),
            &Tls {
                ca: &ca,
                certificate: &certificate,
                key: &key,
            },
        )?;
        Ok(Self {
            config,
            roster,
            api,
        })
    }

    /// All keys whose every attestation is there and good; others are not shown as usable.
    pub async fn keys(&self) -> anyhow::Result<Vec<KeyListing>> {
        let mut keys = self.api.keys().await?;
        for key in &mut keys {
            key.active = self.fully_attested(key);
        }
        Ok(keys)
    }

    fn fully_attested(&self, key: &KeyListing) -> bool {
        self.roster.attesters(&key.record, &key.attestations).len() == self.roster.parties().len()
    }

    /// A key by name. What the orchestrator says is believed only if every custodian has signed it.
    pub async fn key(&self, name: &KeyName) -> anyhow::Result<KeyRecord> {
        let keys = self.keys().await?;
        let mut named = keys
            .into_iter()
            .filter(|k| k.record.name == *name)
            .peekable();
        if named.peek().is_none() {
            bail!("no key named {name}; `quorate key list` shows the keys there are");
        }
        let attested: Vec<KeyRecord> = named.filter(|k| k.active).map(|k| k.record).collect();
        match attested.as_slice() {
            [record] => Ok(record.clone()),
            [] => bail!("key {name} is not attested by every custodian; do not use its address"),
            _ => bail!("there is more than one key named {name}; this should not be possible"),
        }
    }

    /// Checks a key that was just made.
    pub fn check_new(&self, key: &KeyListing) -> anyhow::Result<()> {
        if self.fully_attested(key) {
            return Ok(());
        }
        bail!(
            "the orchestrator reports a key that not every custodian has signed for; do not use it"
        )
    }
}

impl Operator {
    /// Reads the configuration and opens the operator's key.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let viewer = Viewer::load(path)?;
        let config = &viewer.config;
        let json = read_private(&config.key, 1 << 16)?;
        let sealed: SealedBox =
            serde_json::from_slice(&json).with_context(|| config.key.display().to_string())?;
        let prompt = format!("Passphrase of operator {}: ", config.operator);
        let secret = passphrase::obtain(
            config.passphrase_file.as_deref(),
            "QUORATE_OPERATOR_PASSPHRASE",
            &prompt,
        )?;
        let bytes = sealed.open(&secret, &key_purpose(&config.operator))?;
        let bytes =
            <&[u8; 32]>::try_from(bytes.as_slice()).context("the operator key is not 32 bytes")?;
        let key = SigningKey::from_bytes(bytes);
        Ok(Self { viewer, key })
    }

    /// Signs an intent for an action, good for ten minutes.
    pub fn sign(&self, action: Action) -> SignedIntent {
        let mut nonce = [0u8; 16];
        OsRng.fill_bytes(&mut nonce);
        let issued_at = now_ms();
        let intent = Intent {
            roster: self.viewer.roster.hash(),
            operator: self.viewer.config.operator.clone(),
            nonce,
            issued_at,
            expires_at: issued_at + LIFETIME_MS,
            action,
        };
        let signature = self.key.sign(&intent.signing_bytes()).to_bytes();
        SignedIntent { intent, signature }
    }
}
