//! The operator's side: configuration, key, intents, and the checks on what comes back.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_api::{Client, PartyStatus, Tls};
use quorate_party_agent::passphrase;
use quorate_service::{Configuration, now_ms};
use quorate_storage::{SealedBox, read_private};
use quorate_types::canonical::Canonical;
use quorate_types::node::{KeyListing, NodeStatus, Standing};
use quorate_types::{
    Action, Intent, IntentHash, KeyId, KeyName, KeyRecord, OperatorId, PersonId, Proof,
    SignedIntent, ValidBundle, ValidRoster, VerifiedIntent,
};
use quorate_types::{ProblemCode, RefusalCode};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

use crate::exit::{self, said, untrue};

/// `client.toml`. Relative paths are relative to the file's own directory. Unknown fields are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// Name: of an operator in the roster, or of an admin or a person in the policy.
    #[serde(alias = "operator")]
    pub name: PersonId,
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

/// How long an intent is good for unless it is said otherwise.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// What an operator key's seal is bound to.
pub fn key_purpose(id: &PersonId) -> String {
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

/// Keys of one name.
pub struct Named {
    /// The one in force.
    pub good: Option<KeyListing>,
    /// Those that never came into force.
    pub unfinished: Vec<KeyListing>,
}

/// A key of a list by its id, if every custodian has signed it.
pub fn by_id(keys: &[KeyListing], id: KeyId) -> anyhow::Result<KeyRecord> {
    let found = keys.iter().find(|k| k.record.id == id && k.active);
    found
        .map(|k| k.record.clone())
        .with_context(|| format!("no key {} that every custodian attests", id.short()))
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

    /// This person's name.
    pub const fn name(&self) -> &PersonId {
        &self.config.name
    }

    /// All keys whose every attestation is there and good; others are not shown as usable, nor is a protocol that not everyone attests.
    pub async fn keys(&self) -> anyhow::Result<Vec<KeyListing>> {
        let mut keys = self.api.keys().await?;
        for key in &mut keys {
            key.active = self.fully_attested(key);
            let protocol = key.protocol.take();
            key.protocol = protocol.filter(|p| p.is_good(&key.record, &self.roster));
        }
        Ok(keys)
    }

    /// All keys, also where too few custodians can be asked to be sure that there is none.
    pub async fn keys_if_any(&self) -> anyhow::Result<Vec<KeyListing>> {
        let keys = self.keys().await;
        let none = |e: &anyhow::Error| exit::problem_of(e).code == ProblemCode::PartyOffline;
        match keys {
            Err(error) if none(&error) => Ok(Vec::new()),
            other => other,
        }
    }

    fn fully_attested(&self, key: &KeyListing) -> bool {
        self.roster.attesters(&key.record, &key.attestations).len() == self.roster.parties().len()
    }

    /// What there is of a name: the one key that every custodian has signed, and what failed
    /// creations left. Every command looks names up here.
    pub async fn named(&self, name: &KeyName) -> anyhow::Result<Named> {
        let keys = self.keys().await?;
        let named = keys.into_iter().filter(|k| k.record.name == *name);
        let (mut good, unfinished): (Vec<_>, Vec<_>) = named.partition(|k| k.active);
        if good.len() > 1 {
            untrue!("there is more than one key named {name}; this should not be possible");
        }
        let good = good.pop();
        if good.is_none() && unfinished.is_empty() {
            self.unless_enough_answer(&format!("no custodian that answers has a key named {name}"))
                .await?;
            said!(
                RefusalCode::KeyUnknown,
                "no key named {name}; `quorate key list` shows the keys there are"
            );
        }
        Ok(Named { good, unfinished })
    }

    /// A key by name. What the orchestrator says is believed only if every custodian has signed it.
    pub async fn key(&self, name: &KeyName) -> anyhow::Result<KeyRecord> {
        match self.named(name).await?.good {
            Some(key) => Ok(key.record),
            None => said!(
                RefusalCode::KeyNotActive,
                "key {name} is unfinished: it is not attested by every custodian; do not use its address"
            ),
        }
    }

    /// Fails where fewer than t custodians answer that something is not there. Of t one is honest,
    /// and knows every key in force.
    pub async fn unless_enough_answer(&self, what: &str) -> anyhow::Result<()> {
        let status = self.api.status().await?;
        let sealed = |s: &NodeStatus| matches!(s.standing, Standing::Sealed { .. });
        let away = |p: &&PartyStatus| p.status.as_ref().is_none_or(sealed);
        let away = status.parties.iter().filter(away);
        let away: Vec<&str> = away.map(|p| p.party.as_str()).collect();
        let answer = self.roster.parties().len().saturating_sub(away.len());
        if answer < usize::from(self.roster.threshold().t()) {
            said!(
                ProblemCode::PartyOffline,
                "{what}; {} cannot be asked now",
                away.join(", ")
            );
        }
        Ok(())
    }

    /// The policy's whole history, every version checked against the one before, from the roster's admins on.
    pub async fn policies(&self) -> anyhow::Result<Vec<ValidBundle>> {
        let latest = self.api.policy(0).await?;
        let mut chain: Vec<ValidBundle> = Vec::new();
        for version in 1..=latest.bundle.version {
            let signed = match version == latest.bundle.version {
                true => latest.clone(),
                false => self.api.policy(version).await?,
            };
            let valid = signed.follow(&self.roster, chain.last()).with_context(|| {
                format!("policy version {version}, as the orchestrator hands it out")
            })?;
            chain.push(valid);
        }
        Ok(chain)
    }

    /// The policy in force.
    pub async fn policy(&self) -> anyhow::Result<ValidBundle> {
        let mut chain = self.policies().await?;
        chain.pop().context("there is no policy yet")
    }

    /// A request as its operator signed it; one that expired can still be looked at.
    pub async fn request(&self, intent: IntentHash) -> anyhow::Result<VerifiedIntent> {
        let signed = self.api.request(intent).await?;
        let looked_at = now_ms().min(signed.intent.expires_at.saturating_sub(1));
        let verified = signed.verify(&self.roster, looked_at)?;
        if verified.hash() != intent {
            untrue!("the orchestrator hands out another request than the one asked for");
        }
        Ok(verified)
    }

    /// Checks a key that was just made.
    pub fn check_new(&self, key: &KeyListing) -> anyhow::Result<()> {
        if self.fully_attested(key) {
            return Ok(());
        }
        untrue!(
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
        let prompt = format!("Passphrase of {}: ", config.name);
        let secret = passphrase::obtain(
            config.passphrase_file.as_deref(),
            "QUORATE_OPERATOR_PASSPHRASE",
            &prompt,
        )?;
        let bytes = sealed.open(&secret, &key_purpose(&config.name))?;
        let bytes =
            <&[u8; 32]>::try_from(bytes.as_slice()).context("the operator key is not 32 bytes")?;
        let key = SigningKey::from_bytes(bytes);
        Ok(Self { viewer, key })
    }

    /// This person's name.
    pub const fn name(&self) -> &PersonId {
        self.viewer.name()
    }

    /// Signs anything that has a domain of its own.
    pub fn sign_object<T: Canonical>(&self, object: &T) -> [u8; 64] {
        self.key.sign(&object.signing_bytes()).to_bytes()
    }

    /// The proof that this person said something.
    pub fn proof<T: Canonical>(&self, object: &T) -> Proof {
        Proof::Ed25519 {
            key: self.key.verifying_key().to_bytes(),
            signature: self.sign_object(object),
        }
    }

    /// Signs an intent for an action, good for [`LIFETIME`].
    pub fn sign(&self, action: Action) -> anyhow::Result<SignedIntent> {
        self.sign_for(action, LIFETIME)
    }

    /// Signs an intent for an action.
    pub fn sign_for(&self, action: Action, lifetime: Duration) -> anyhow::Result<SignedIntent> {
        let mut nonce = [0u8; 16];
        OsRng.fill_bytes(&mut nonce);
        let issued_at = now_ms();
        let lifetime = u64::try_from(lifetime.as_millis())?;
        let intent = Intent {
            roster: self.viewer.roster.hash(),
            operator: OperatorId::new(self.viewer.config.name.as_str())?,
            nonce,
            issued_at,
            expires_at: issued_at + lifetime.min(Intent::MAX_LIFETIME_MS),
            action,
        };
        let signature = self.sign_object(&intent);
        Ok(SignedIntent { intent, signature })
    }
}
