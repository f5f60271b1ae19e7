//! From a configuration file to a serving agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_messaging::{
    Messenger, MessengerOptions, NatsOptions, NatsTransport, PartyKeys, Transport,
};
use quorate_storage::{EncryptedFileStore, ItemKind, ItemName, Ledger, SecretStore};
use quorate_types::node::Standing;
use quorate_types::{Hash32, PartyId, SignedBundle, ValidRoster};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agent::{Parts, check_identity};
use crate::presence::{self, Accept, PresenceError};
use crate::{Agent, AgentConfig, Unlock, identity};

/// Where a party's identity keys are in its store: Ed25519 seed (32) and X25519 scalar (32), or only the latter.
#[must_use]
pub const fn identity_item() -> ItemName {
    ItemName {
        kind: ItemKind::Identity,
        id: Hash32::from_bytes([0; 32]),
        epoch: 0,
    }
}

/// The store's directory in an agent's data directory.
#[must_use]
pub fn store_dir(data: &Path) -> PathBuf {
    data.join("store")
}

/// The ledger in an agent's data directory.
#[must_use]
pub fn ledger_file(data: &Path) -> PathBuf {
    data.join("ledger.redb")
}

/// Why an agent does not come up.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The roster file.
    #[error(transparent)]
    Roster(#[from] quorate_service::ConfigError),
    /// The sealed store.
    #[error(transparent)]
    Store(#[from] quorate_storage::StoreError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] quorate_storage::LedgerError),
    /// The identity keys in the store.
    #[error(
        "the identity keys in the store are damaged, or the signing key is in a token that [hsm] identity does not name"
    )]
    Identity,
    /// The PIN of the token that holds the identity.
    #[error(transparent)]
    Pin(#[from] crate::passphrase::PassphraseError),
    /// The first policy bundle.
    #[error("the policy bundle {} cannot be used: {reason}", path.display())]
    Policy {
        /// Its file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The agent itself.
    #[error(transparent)]
    Agent(#[from] crate::AgentError),
    /// Sessions.
    #[error(transparent)]
    Messaging(#[from] quorate_messaging::MessagingError),
    /// NATS.
    #[error(transparent)]
    Transport(#[from] quorate_messaging::TransportError),
}

/// An agent among its peers. Dropping it ends its heartbeats and its background work.
pub struct ServingAgent {
    agent: Arc<Agent>,
    accept: Arc<Accept>,
    presence: JoinHandle<Result<(), PresenceError>>,
}

impl ServingAgent {
    /// The agent.
    #[must_use]
    pub const fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// Resumes with what peers have said so far, where the others are lost for good.
    pub fn accept_restore(&self) {
        self.accept.restore();
    }

    /// Takes the custodian's word for the policy's version.
    pub fn accept_policy(&self, version: u64) {
        self.accept.policy(version);
    }

    /// Looks at the ledger's times again.
    pub fn accept_clock(&self) {
        self.accept.clock();
    }

    /// Waits until its heartbeats end, which they do only when its transport is gone.
    ///
    /// # Errors
    /// When it could not subscribe, or its ledger cannot be read.
    pub async fn ended(&mut self) -> Result<(), PresenceError> {
        (&mut self.presence).await.unwrap_or(Ok(()))
    }
}

impl Drop for ServingAgent {
    fn drop(&mut self) {
        self.agent.stop();
        self.presence.abort();
    }
}

/// What a custodian has on disk, open.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Everybody's public keys.
    pub roster: Arc<ValidRoster>,
    /// The sealed store.
    pub store: Arc<EncryptedFileStore>,
    /// What keeps the shares: the store, or a token.
    pub shares: Arc<dyn SecretStore>,
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The party's identity, which the roster has.
    pub keys: Arc<PartyKeys>,
}

/// Opens everything the configuration names, to serve. May derive a key from a passphrase, so takes a moment: not for an async thread.
///
/// # Errors
/// See [`BootError`].
pub fn open(config: &AgentConfig, unlock: &Unlock) -> Result<Opened, BootError> {
    let opened = open_unchanged(config, unlock)?;
    identity::drop_replaced_seed(&opened.keys, &opened.store)?;
    Ok(opened)
}

/// [`open`] for whoever only looks.
///
/// # Errors
/// See [`BootError`].
pub fn open_unchanged(config: &AgentConfig, unlock: &Unlock) -> Result<Opened, BootError> {
    let roster = quorate_service::load_roster(&config.roster)?;
    let store = Arc::new(unlock.open_store(config)?);
    let keys = identity::open(config, unlock, &store)?;
    check_identity(&roster, &config.party, &keys)?;
    let ledger = Ledger::open(&ledger_file(&config.data))?;
    Ok(Opened {
        roster,
        shares: unlock.open_shares(config, &store)?,
        store,
        ledger: Arc::new(ledger),
        keys: Arc::new(keys),
    })
}

/// Starts an agent over a transport; whoever calls lets it in at its [`FrontDoor`].
///
/// [`FrontDoor`]: crate::serve::FrontDoor
///
/// # Errors
/// See [`BootError`].
pub async fn start(
    config: &AgentConfig,
    opened: Opened,
    transport: Arc<dyn Transport>,
) -> Result<ServingAgent, BootError> {
    let Opened {
        roster,
        store,
        shares,
        ledger,
        keys,
    } = opened;
    let party: PartyId = config.party.clone();
    let messenger = Messenger::start(
        Arc::clone(&keys),
        party.clone(),
        Arc::clone(&roster),
        Arc::clone(&transport),
        MessengerOptions::default(),
    )
    .await?;
    let (sender, standing) = watch::channel(Standing::Confirming {
        answers: 0,
        needed: u32::from(roster.threshold().t().min(roster.threshold().n() - 1)),
    });
    let agent = Agent::new(Parts {
        party,
        roster,
        shares,
        store,
        ledger,
        keys,
        messenger,
        timeouts: config.timeouts,
        standing,
        policy: genesis(config)?,
        presign: config.presign.clone(),
        dialect: config.dialect(),
    })?;
    agent.start_background_work();
    let accept = Arc::new(Accept::default());
    let run = presence::run(Arc::clone(&agent), transport, sender, Arc::clone(&accept));
    let presence = tokio::spawn(run);
    Ok(ServingAgent {
        agent,
        accept,
        presence,
    })
}

/// The first bundle, where the configuration names one.
fn genesis(config: &AgentConfig) -> Result<Option<SignedBundle>, BootError> {
    let Some(path) = &config.policy else {
        return Ok(None);
    };
    let bad = |reason: String| BootError::Policy {
        path: path.clone(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| bad(e.to_string()))
}

/// Connects to the configured NATS server.
///
/// # Errors
/// TLS files, or a server that refuses this party.
pub async fn connect(config: &AgentConfig) -> Result<Arc<dyn Transport>, BootError> {
    let nats = &config.nats;
    let options = NatsOptions::new(
        &nats.url,
        config.party.as_str(),
        &nats.ca,
        &nats.certificate,
        &nats.key,
    );
    Ok(NatsTransport::connect(options).await?)
}
