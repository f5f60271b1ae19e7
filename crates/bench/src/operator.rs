//! The operator's side, from the files that `quorate init` wrote: exactly what a user's program does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_api::{Client, IntentView, ResultView, Tls};
use quorate_party_agent::passphrase;
use quorate_service::{load_roster, now_ms};
use quorate_storage::{SealedBox, read_private};
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Action, Intent, KeyName, KeyRecord, OperatorId, PersonId, Protocol, SignedIntent, ValidRoster,
};
use rand_core::{OsRng, RngCore as _};

use crate::cases::Scheme;

/// How long a request is good for.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// An operator with its key, connected.
pub struct Operator {
    id: OperatorId,
    key: SigningKey,
    /// The cluster's roster.
    pub roster: Arc<ValidRoster>,
    /// The API over mutual TLS.
    pub api: Client,
}

impl Operator {
    /// Reads the operator's directory of a running cluster.
    ///
    /// # Errors
    /// Files that are missing or damaged.
    pub fn load(dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            std::fs::read(dir.join(name)).with_context(|| format!("cannot read {name}"))
        };
        let (ca, certificate, key) = (
            read("tls/ca.crt")?,
            read("tls/cert.pem")?,
            read("tls/key.pem")?,
        );
        let endpoint = String::from_utf8(read("endpoint")?)?;
        let api = Client::new(
            endpoint.trim(),
            &Tls {
                ca: &ca,
                certificate: &certificate,
                key: &key,
            },
        )?;
        Ok(Self {
            id: OperatorId::new("operator")?,
            key: open_key(dir)?,
            roster: load_roster(&dir.join("roster.json"))?,
            api,
        })
    }

    /// Signs an intent for an action.
    ///
    /// # Errors
    /// None in practice: a lifetime that is no number of milliseconds.
    pub fn sign(&self, action: Action) -> anyhow::Result<SignedIntent> {
        let mut nonce = [0u8; 16];
        OsRng.fill_bytes(&mut nonce);
        let issued_at = now_ms();
        let intent = Intent {
            roster: self.roster.hash(),
            operator: self.id.clone(),
            nonce,
            issued_at,
            expires_at: issued_at + u64::try_from(LIFETIME.as_millis())?,
            action,
        };
        let signature = self.key.sign(&intent.signing_bytes()).to_bytes();
        Ok(SignedIntent { intent, signature })
    }

    /// Hands in an action and waits for its end.
    ///
    /// # Errors
    /// The API's, a failed intent included.
    pub async fn run(&self, action: Action) -> anyhow::Result<IntentView> {
        self.run_within(action, LIFETIME).await
    }

    /// The same, but waits for so long only.
    ///
    /// # Errors
    /// The API's, a failed intent included; what the request is at if it has not ended.
    pub async fn run_within(&self, action: Action, limit: Duration) -> anyhow::Result<IntentView> {
        let intent = self.sign(action)?;
        if let Ok(ended) = tokio::time::timeout(limit, self.api.run(&intent)).await {
            return Ok(ended?);
        }
        let IntentView {
            state,
            attempts,
            participants,
            notes,
            ..
        } = self.api.poll_now(intent.intent.hash()).await?;
        bail!(
            "no end within {limit:?}: {state:?}, try {attempts} with {participants:?}, after {notes:?}"
        );
    }

    /// Creates a key, with its protocol, and checks every custodian's attestation of it.
    ///
    /// # Errors
    /// The API's; a key that is not attested.
    pub async fn create_key(&self, scheme: &Scheme, name: &str) -> anyhow::Result<KeyRecord> {
        let view = self.run((scheme.create)(KeyName::new(name)?)).await?;
        let Some(ResultView::Key(listing)) = view.result else {
            bail!("the orchestrator reports something other than a key");
        };
        let attesters = self
            .roster
            .attesters(&listing.record, &listing.attestations);
        if attesters.len() != self.roster.parties().len() {
            bail!("the new key is not attested by every custodian");
        }
        if let Some(protocol) = scheme.protocol {
            self.set_protocol(&listing.record, protocol).await?;
        }
        Ok(listing.record)
    }

    async fn set_protocol(&self, key: &KeyRecord, protocol: Protocol) -> anyhow::Result<()> {
        let action = Action::SetProtocol {
            key: key.id,
            protocol,
            renew: false,
        };
        match self.run(action).await?.result {
            Some(ResultView::Protocol(listing)) if listing.is_good(key, &self.roster) => Ok(()),
            _ => bail!("not every custodian has signed for {protocol}"),
        }
    }
}

fn open_key(dir: &Path) -> anyhow::Result<SigningKey> {
    let sealed: SealedBox = serde_json::from_slice(&read_private(&dir.join("key.json"), 1 << 16)?)?;
    let secret = passphrase::obtain(
        Some(&dir.join("passphrase")),
        "QUORATE_OPERATOR_PASSPHRASE",
        "",
    )?;
    let id = PersonId::new("operator")?;
    let bytes = sealed.open(&secret, &format!("key of operator {id}"))?;
    let bytes = <&[u8; 32]>::try_from(bytes.as_slice()).context("the key is not 32 bytes")?;
    Ok(SigningKey::from_bytes(bytes))
}
