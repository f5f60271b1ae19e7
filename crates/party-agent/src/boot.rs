//! From a configuration file to a serving agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_messaging::{
    Messenger, MessengerOptions, NatsOptions, NatsTransport, PartyKeys, Transport,
};
use quorate_storage::{EncryptedFileStore, ItemKind, ItemName, Ledger};
use quorate_types::{Hash32, PartyId, ValidRoster};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::agent::{Parts, check_identity};
use crate::{Agent, AgentConfig, Unlock, serve};

/// Where a party's identity keys are in its store.
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

/// A party's keys from the 64 bytes in its store.
///
/// # Errors
/// [`BootError::Identity`]
pub fn identity_keys(bytes: &[u8]) -> Result<PartyKeys, BootError> {
    let bytes = <[u8; 64]>::try_from(bytes).map_err(|_| BootError::Identity)?;
    Ok(PartyKeys::from_secret_bytes(&Zeroizing::new(bytes)))
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
    #[error("the identity keys in the store are damaged")]
    Identity,
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

/// A serving agent. Dropping it stops serving and its background work.
pub struct ServingAgent {
    agent: Arc<Agent>,
    task: JoinHandle<Result<(), quorate_messaging::TransportError>>,
}

impl ServingAgent {
    /// The agent.
    #[must_use]
    pub const fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// Waits until it stops serving, which it does only when its transport is gone.
    ///
    /// # Errors
    /// When it could not subscribe.
    pub async fn ended(&mut self) -> Result<(), quorate_messaging::TransportError> {
        match (&mut self.task).await {
            Ok(result) => result,
            Err(_) => Ok(()),
        }
    }
}

impl Drop for ServingAgent {
    fn drop(&mut self) {
        self.agent.stop();
        self.task.abort();
    }
}

/// What a custodian has on disk, open.
pub struct Opened {
    roster: Arc<ValidRoster>,
    store: Arc<EncryptedFileStore>,
    ledger: Arc<Ledger>,
    keys: PartyKeys,
}

/// Opens everything the configuration names. May derive a key from a passphrase, so takes a moment: not for an async thread.
///
/// # Errors
/// See [`BootError`].
pub fn open(config: &AgentConfig, unlock: &Unlock) -> Result<Opened, BootError> {
    let roster = quorate_service::load_roster(&config.roster)?;
    let store = unlock.open_store(config)?;
    let keys = identity_keys(&store.get(identity_item())?)?;
    check_identity(&roster, &config.party, &keys)?;
    let ledger = Ledger::open(&ledger_file(&config.data))?;
    Ok(Opened {
        roster,
        store: Arc::new(store),
        ledger: Arc::new(ledger),
        keys,
    })
}

/// Starts serving over a transport.
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
        ledger,
        keys,
    } = opened;
    let party: PartyId = config.party.clone();
    let keys = Arc::new(keys);
    let messenger = Messenger::start(
        Arc::clone(&keys),
        party.clone(),
        Arc::clone(&roster),
        Arc::clone(&transport),
        MessengerOptions::default(),
    )
    .await?;
    let agent = Agent::new(Parts {
        party,
        roster,
        store,
        ledger,
        keys,
        messenger,
        timeouts: config.timeouts,
    })?;
    let task = tokio::spawn(serve::serve(Arc::clone(&agent), transport));
    Ok(ServingAgent { agent, task })
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
