//! Heartbeats: sent, remembered, and asked for at every start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_messaging::{Delivery, Subject, Transport, TransportError};
use quorate_service::now_ms;
use quorate_storage::{Ledger, LedgerError, RestoreMark};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::Standing;
use quorate_types::presence::{
    Heartbeat, Presence, Recollection, SignedHeartbeat, SignedRecollection,
};
use quorate_types::{PartyId, ValidRoster};
use rand_core::{OsRng, RngCore as _};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::standing::{Knowledge, Verdict};
use crate::{Agent, log};

/// Every agent's heartbeats.
const EVERYONE: &str = "mpc.presence.*";
/// How often this is looked after, and how often peers are asked while they have not answered.
const TICK: Duration = Duration::from_millis(250);
/// How often a heartbeat is sent where nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long peers have to answer before this party makes do with fewer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How far a peer's clock may be from this machine's before the log says so, in milliseconds.
const SKEW: u64 = 30_000;

/// What this party remembers of the others; kept in its ledger.
struct Memory {
    ledger: Arc<Ledger>,
    last: BTreeMap<PartyId, SignedHeartbeat>,
    unsaved: Vec<PartyId>,
}

impl Memory {
    fn open(ledger: Arc<Ledger>, roster: &ValidRoster) -> Result<Self, LedgerError> {
        let mut last = BTreeMap::new();
        for (_, bytes) in ledger.records(RECORD)? {
            if let Ok(signed) = borsh::from_slice::<SignedHeartbeat>(&bytes)
                && signed.verify(roster).is_some()
            {
                last.insert(signed.heartbeat.party.clone(), signed);
            }
        }
        Ok(Self {
            ledger,
            last,
            unsaved: Vec::new(),
        })
    }

    /// Keeps a verified heartbeat if it is later than what is known.
    fn learn(&mut self, signed: SignedHeartbeat) {
        let party = signed.heartbeat.party.clone();
        let known = self.last.get(&party);
        if known.is_none_or(|known| signed.heartbeat.is_after(&known.heartbeat)) {
            self.last.insert(party.clone(), signed);
            self.unsaved.push(party);
        }
    }

    async fn save(&mut self) {
        for party in std::mem::take(&mut self.unsaved) {
            let encoded = self.last.get(&party).and_then(|h| borsh::to_vec(h).ok());
            let Some(bytes) = encoded else { continue };
            let ledger = Arc::clone(&self.ledger);
            let name = format!("{RECORD}{party}");
            let saved = tokio::task::spawn_blocking(move || ledger.put_record(&name, &bytes));
            if let Ok(Err(error)) = saved.await {
                tracing::warn!(%error, "cannot remember a peer's heartbeat");
                self.unsaved.push(party);
                return;
            }
        }
    }
}

/// In the ledger: `peer/<party>`.
const RECORD: &str = "peer/";

struct Task {
    agent: Arc<Agent>,
    transport: Arc<dyn Transport>,
    standing: watch::Sender<Standing>,
    memory: Memory,
    nonce: [u8; 32],
    answers: BTreeMap<PartyId, Option<Heartbeat>>,
    started: Instant,
    sent: Instant,
}

/// Sends and hears heartbeats until the transport is gone, and settles this agent's standing first.
///
/// # Errors
/// The transport's, or a ledger that cannot be read.
pub async fn run(
    agent: Arc<Agent>,
    transport: Arc<dyn Transport>,
    standing: watch::Sender<Standing>,
) -> Result<(), PresenceError> {
    let mut deliveries = transport.subscribe(EVERYONE.to_owned()).await?;
    let memory = Memory::open(Arc::clone(agent.ledger()), agent.roster())?;
    let mut nonce = [0; 32];
    OsRng.fill_bytes(&mut nonce);
    let now = Instant::now();
    let mut task = Task {
        agent,
        transport,
        standing,
        memory,
        nonce,
        answers: BTreeMap::new(),
        started: now,
        sent: now,
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            delivery = deliveries.next() => match delivery {
                Some(delivery) => task.hear(&delivery).await,
                None => return Ok(()),
            },
            _ = ticks.tick() => task.look_after().await.unwrap_or_else(|e| later(&e)),
            () = task.agent.worked() => task.beat().await.unwrap_or_else(|e| later(&e)),
        }
    }
}

/// A ledger that cannot be read or written now is tried again at the next tick.
fn later(error: &LedgerError) {
    tracing::warn!(%error, "heartbeats wait");
}

/// Why heartbeats end.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// The transport.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Task {
    async fn hear(&mut self, delivery: &Delivery) {
        let Ok(presence) = Presence::from_canonical_bytes(&delivery.payload, Presence::MAX_LEN)
        else {
            return;
        };
        match presence {
            Presence::Heartbeat(signed) => self.hear_heartbeat(signed),
            Presence::Recall { party, nonce } => self.recollect(party, nonce).await,
            Presence::Recollection(signed) => self.hear_recollection(&signed),
        }
    }

    fn hear_heartbeat(&mut self, signed: SignedHeartbeat) {
        let Some(heartbeat) = signed.verify(self.agent.roster()) else {
            return;
        };
        if heartbeat.party == *self.agent.party() {
            return;
        }
        let skew = heartbeat.at.abs_diff(now_ms());
        if skew > SKEW && !self.memory.last.contains_key(&heartbeat.party) {
            tracing::warn!(peer = %heartbeat.party, seconds = skew / 1000, "a peer's clock differs from this machine's");
        }
        self.memory.learn(signed);
    }

    /// Answers a peer of the roster, whoever carries the question.
    async fn recollect(&self, about: PartyId, nonce: [u8; 32]) {
        if about == *self.agent.party() || self.agent.roster().party(&about).is_none() {
            return;
        }
        let recollection = Recollection {
            from: self.agent.party().clone(),
            last: self.memory.last.get(&about).cloned(),
            about,
            nonce,
        };
        let Some(signature) = self.sign(&recollection.signing_bytes()) else {
            return;
        };
        self.publish(&Presence::Recollection(SignedRecollection {
            recollection,
            signature,
        }))
        .await;
    }

    fn hear_recollection(&mut self, signed: &SignedRecollection) {
        let roster = Arc::clone(self.agent.roster());
        let Some(recollection) = signed.verify(&roster) else {
            return;
        };
        let me = self.agent.party();
        if recollection.about != *me || recollection.nonce != self.nonce || recollection.from == *me
        {
            return;
        }
        let last = match &recollection.last {
            None => None,
            // A peer may leave out what it heard, but not invent it: this party's own signature is on it.
            Some(last) => match last.verify(&roster) {
                Some(heartbeat) if heartbeat.party == *me => Some(heartbeat.clone()),
                _ => return,
            },
        };
        self.answers.insert(recollection.from.clone(), last);
    }

    async fn look_after(&mut self) -> Result<(), LedgerError> {
        if !self.standing.borrow().is_serving() {
            self.settle().await?;
        }
        if self.standing.borrow().is_serving() && self.sent.elapsed() >= HEARTBEAT {
            self.beat().await?;
        }
        self.memory.save().await;
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), LedgerError> {
        let ledger = Arc::clone(self.agent.ledger());
        let own = self.agent.heartbeat()?;
        let mark = ledger.restore_mark()?;
        let verdict = Knowledge {
            own: &own,
            mark,
            answers: &self.answers,
            threshold: self.agent.roster().threshold(),
            waited: self.started.elapsed() >= PATIENCE,
        }
        .verdict();
        let not_before = mark.map_or(0, |mark| mark.restored_at);
        let serving = match verdict {
            Verdict::Stay(standing) => {
                self.standing.send_if_modified(|current| {
                    let changed = *current != standing;
                    if changed && matches!(standing, Standing::Quarantined { .. }) {
                        tracing::warn!(%standing, "not taking part");
                    }
                    *current = standing;
                    changed
                });
                let (party, nonce) = (self.agent.party().clone(), self.nonce);
                self.publish(&Presence::Recall { party, nonce }).await;
                return Ok(());
            }
            Verdict::Serve => Standing::Serving { not_before },
            Verdict::ServePurged => {
                let purged = write(move || ledger.purge_one_time()).await?;
                tracing::warn!(
                    purged,
                    "few peers answered: presignatures and nonces are made anew"
                );
                Standing::Serving { not_before }
            }
            Verdict::Resume {
                counter,
                seen_log_size,
            } => {
                let resumed = RestoreMark {
                    counter,
                    restored_at: now_ms(),
                    backup_made_at: mark.map_or(0, |mark| mark.backup_made_at),
                    confirmed: true,
                };
                let leaf = log::restored(counter, seen_log_size);
                write(move || ledger.resume_after_restore(&resumed, seen_log_size, leaf)).await?;
                tracing::warn!(
                    counter,
                    seen_log_size,
                    "resumed from an older disk: presignatures destroyed, intents issued before now are refused"
                );
                Standing::Serving {
                    not_before: resumed.restored_at,
                }
            }
        };
        self.standing.send_replace(serving);
        self.beat().await
    }

    async fn beat(&mut self) -> Result<(), LedgerError> {
        // Before it serves it has nothing to say that peers should remember.
        if !self.standing.borrow().is_serving() {
            return Ok(());
        }
        let heartbeat = self.agent.heartbeat()?;
        self.sent = Instant::now();
        let Some(signature) = self.sign(&heartbeat.signing_bytes()) else {
            return Ok(());
        };
        self.publish(&Presence::Heartbeat(SignedHeartbeat {
            heartbeat,
            signature,
        }))
        .await;
        Ok(())
    }

    /// Nothing is said unsigned: a token that is away now may be back at the next heartbeat.
    fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let signed = self.agent.sign(message);
        signed
            .inspect_err(|error| tracing::warn!(%error, "cannot sign a heartbeat"))
            .ok()
    }

    async fn publish(&self, presence: &Presence) {
        let subject = Subject::Presence(self.agent.party().clone()).to_string();
        let bytes = Bytes::from(presence.canonical_bytes());
        if let Err(error) = self.transport.publish(subject, bytes).await {
            tracing::debug!(%error, "cannot send a heartbeat");
        }
    }
}

async fn write<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LedgerError::File(error.to_string())),
    }
}
