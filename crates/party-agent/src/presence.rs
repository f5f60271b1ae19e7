//! Heartbeats: sent, remembered, and asked for at every start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
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
use quorate_types::{FrameError, Intent, PartyId, ValidRoster};
use rand_core::{OsRng, RngCore as _};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::catching_up::CatchingUp;
use crate::standing::{ANOTHER_COPY, Knowledge, Verdict};
use crate::{Agent, log};

/// Every agent's heartbeats.
const EVERYONE: &str = "mpc.presence.*";
/// How often this is looked after, and how often peers are asked while they have not answered.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// What an agent records is told at once; but where much happens for long, one heartbeat in this time tells of all of it.
const AT_MOST_EVERY: Duration = Duration::from_millis(50);
/// How much of that may be used up at once.
const BURST: Duration = Duration::from_millis(500);
/// How often a heartbeat is sent where nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often records are forgotten that count no more.
const PRUNE: Duration = Duration::from_secs(600);
/// How long peers have to answer before this party makes do with fewer.
const PATIENCE: Duration = Duration::from_secs(3);
/// In milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;
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

/// What a custodian can tell the task.
#[derive(Debug, Default)]
pub struct Accept {
    restore: Notify,
    clock: Notify,
    policy: Notify,
    version: Mutex<Option<u64>>,
}

impl Accept {
    /// No more peers will answer: resume with what those there are have said.
    pub fn restore(&self) {
        self.restore.notify_one();
    }

    /// The admins' policy is at this version, says the custodian, who asked them.
    pub fn policy(&self, version: u64) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        self.policy.notify_one();
    }

    fn version(&self) -> Option<u64> {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger's times were set right: look at them again.
    pub fn clock(&self) {
        self.clock.notify_one();
    }
}

pub(crate) struct Task {
    pub(crate) agent: Arc<Agent>,
    transport: Arc<dyn Transport>,
    standing: watch::Sender<Standing>,
    memory: Memory,
    pub(crate) nonce: [u8; 32],
    pub(crate) answers: BTreeMap<PartyId, Option<Heartbeat>>,
    started: Instant,
    /// Unix milliseconds. Whatever an earlier life of this disk did, it did before.
    started_at: u64,
    sent: Instant,
    /// When heartbeats at [`AT_MOST_EVERY`] would have come to as many as were sent.
    paced: Instant,
    /// Something was recorded since then.
    due: bool,
    asked: Instant,
    /// When each peer's question was last answered.
    answered: BTreeMap<PartyId, Instant>,
    accepted: bool,
    /// The policy's version, as the custodian confirmed it to this process.
    pub(crate) confirmed_policy: Option<u64>,
    /// What peers say of their policies.
    pub(crate) policies: CatchingUp,
    rival: bool,
    /// Since this process started.
    pub(crate) has_served: bool,
    pruned: Instant,
    /// What the disk said when this process started, or resumed: against that it is held, not against what it has done since.
    before: Heartbeat,
    /// Whether enough peers have answered that one of them is honest.
    confirmed: bool,
}

/// Sends and hears heartbeats until the transport is gone, and settles this agent's standing first.
///
/// # Errors
/// The transport's, or a ledger that cannot be read.
pub async fn run(
    agent: Arc<Agent>,
    transport: Arc<dyn Transport>,
    standing: watch::Sender<Standing>,
    accept: Arc<Accept>,
) -> Result<(), PresenceError> {
    let mut deliveries = transport.subscribe(EVERYONE.to_owned()).await?;
    let memory = Memory::open(Arc::clone(agent.ledger()), agent.roster())?;
    let mut nonce = [0; 32];
    OsRng.fill_bytes(&mut nonce);
    let now = Instant::now();
    let before = agent.heartbeat()?;
    let mut task = Task {
        agent,
        transport,
        standing,
        memory,
        nonce,
        answers: BTreeMap::new(),
        started: now,
        started_at: now_ms(),
        sent: now,
        paced: now,
        due: false,
        asked: now,
        answered: BTreeMap::new(),
        accepted: false,
        confirmed_policy: None,
        policies: CatchingUp::default(),
        rival: false,
        has_served: false,
        pruned: now,
        before,
        confirmed: false,
    };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            delivery = deliveries.next() => match delivery {
                Some(delivery) => task.hear(&delivery).await,
                None => return Ok(()),
            },
            () = accept.restore.notified() => task.accepted = true,
            () = accept.policy.notified() => task.confirmed_policy = accept.version(),
            () = accept.clock.notified() => task.serve_anew().await.unwrap_or_else(|e| later(&e)),
            _ = ticks.tick() => task.look_after().await.unwrap_or_else(|e| later(&e)),
            () = task.agent.worked(), if !task.due => task.due = true,
            () = sleep_until(task.may_beat_at()), if task.due => {
                task.beat().await.unwrap_or_else(|e| later(&e));
            }
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
        // Only a party may publish on its own subject: nobody asks in another's name, or says its own old heartbeats to it.
        let is_from =
            |party: &PartyId| delivery.subject == Subject::Presence(party.clone()).to_string();
        let read = self
            .agent
            .dialects
            .own()
            .read::<Presence>(&delivery.payload, Presence::MAX_LEN);
        let version = match &read {
            Ok((theirs, _)) => Some(theirs.version),
            Err(FrameError::Version { theirs, .. }) => Some(*theirs),
            Err(FrameError::Unversioned | FrameError::Head(_) | FrameError::Message(_)) => None,
        };
        let me = self.agent.party();
        let mut parties = self.agent.roster().parties().iter().map(|p| &p.id);
        let peer = parties.find(|party| *party != me && is_from(party));
        if let (Some(peer), Some(version)) = (peer, version) {
            self.agent.dialects.heard(peer.clone(), version);
        }
        let Ok((_, presence)) = read else {
            return;
        };
        match presence {
            Presence::Heartbeat(signed) if is_from(&signed.heartbeat.party) => {
                self.hear_heartbeat(signed);
            }
            Presence::Recall { party, nonce } if is_from(&party) => {
                self.recollect(party, nonce).await;
            }
            Presence::AskPolicy {
                party,
                nonce,
                have,
                from,
            } if is_from(&party) => self.tell_policy(party, nonce, have, from).await,
            Presence::Policy(signed) if is_from(&signed.word.from) => {
                self.hear_policy(*signed).await;
            }
            Presence::Heartbeat(_)
            | Presence::Recall { .. }
            | Presence::AskPolicy { .. }
            | Presence::Policy(_) => {}
            Presence::Recollection(signed) => self.hear_recollection(&signed),
        }
    }

    fn hear_heartbeat(&mut self, signed: SignedHeartbeat) {
        let Some(heartbeat) = signed.verify(self.agent.roster()) else {
            return;
        };
        if heartbeat.party == *self.agent.party() {
            self.hear_own(heartbeat);
            return;
        }
        let skew = heartbeat.at.abs_diff(now_ms());
        if skew > SKEW && !self.memory.last.contains_key(&heartbeat.party) {
            tracing::warn!(peer = %heartbeat.party, seconds = skew / 1000, "a peer's clock differs from this machine's");
        }
        self.memory.learn(signed);
    }

    /// This process's own come back too; those of another that were sent since it started are a copy's.
    fn hear_own(&mut self, heartbeat: &Heartbeat) {
        let other = heartbeat.life != self.agent.life() && heartbeat.at >= self.started_at;
        if other && !self.rival {
            self.rival = true;
            tracing::error!("{ANOTHER_COPY}");
            let reason = ANOTHER_COPY.to_owned();
            self.standing.send_replace(Standing::Quarantined { reason });
        }
    }

    /// Answers a peer of the roster, not too often.
    async fn recollect(&mut self, about: PartyId, nonce: [u8; 32]) {
        if about == *self.agent.party() || self.agent.roster().party(&about).is_none() {
            return;
        }
        let now = Instant::now();
        let last = self.answered.get(&about);
        if last.is_some_and(|last| now - *last < TICK / 2) {
            return;
        }
        self.answered.insert(about.clone(), now);
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
                // What this process said itself is no news.
                Some(own) if own.party == *me && own.life == self.agent.life() => None,
                Some(heartbeat) if heartbeat.party == *me => Some(heartbeat.clone()),
                _ => return,
            },
        };
        self.answers.insert(recollection.from.clone(), last);
    }

    async fn look_after(&mut self) -> Result<(), LedgerError> {
        let serving = self.standing.borrow().is_serving();
        // Whoever serves with too few answers asks on: one that comes late may still say that something was forgotten.
        if !serving || (!self.confirmed && self.asked.elapsed() >= HEARTBEAT) {
            self.settle().await?;
        }
        if self.standing.borrow().is_serving() && self.sent.elapsed() >= HEARTBEAT {
            self.beat().await?;
        }
        self.memory.save().await;
        self.prune().await
    }

    async fn prune(&mut self) -> Result<(), LedgerError> {
        if self.pruned.elapsed() < PRUNE {
            return Ok(());
        }
        self.pruned = Instant::now();
        let policy = Arc::clone(self.agent.policy());
        let forgotten = write(move || policy.prune_spending(now_ms())).await?;
        tracing::debug!(forgotten, "spend records count no more");
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), LedgerError> {
        self.asked = Instant::now();
        let mark = self.agent.ledger().restore_mark()?;
        let threshold = self.agent.roster().threshold();
        // A policy is published to a quarantined agent, too; that is how it catches up.
        let policy = self.policy_knowledge()?;
        let verdict = Knowledge {
            own: &self.before,
            mark,
            answers: &self.answers,
            threshold,
            waited: self.waited(),
            accepted: self.accepted,
            rival: self.rival,
            policy,
        }
        .verdict();
        // It was for this moment, unless the custodian is asked for more.
        self.accepted &= !self.waited() || matches!(verdict, Verdict::ConfirmPolicy { .. });
        let serving = self.standing.borrow().is_serving();
        match verdict {
            Verdict::Stay(standing) => {
                // One that serves with few answers has nothing to confirm anew.
                if !(serving && matches!(standing, Standing::Confirming { .. })) {
                    self.stay(standing);
                }
                self.ask().await;
                Ok(())
            }
            Verdict::ConfirmPolicy { reason } => {
                self.stay(Standing::Quarantined { reason });
                self.ask().await;
                Ok(())
            }
            Verdict::ServePurged if serving => {
                self.ask().await;
                Ok(())
            }
            Verdict::ServePurged => {
                self.start_anew().await?;
                self.ask().await;
                self.serve().await
            }
            Verdict::Serve => {
                self.confirmed = true;
                match serving {
                    true => Ok(()),
                    false => self.serve().await,
                }
            }
            Verdict::Resume {
                counter,
                seen_log_size,
                seen_at,
            } => {
                let backup_made_at = mark.map_or(0, |mark| mark.backup_made_at);
                self.resume(counter, seen_log_size, seen_at, backup_made_at)
                    .await?;
                self.before = self.agent.heartbeat()?;
                self.confirmed_policy = None;
                // Only now: one that could not be written down is tried again, also by an agent that serves.
                self.confirmed = true;
                self.serve().await
            }
        }
    }

    fn waited(&self) -> bool {
        self.started.elapsed() >= PATIENCE
    }

    /// After the ledger's times were changed.
    async fn serve_anew(&mut self) -> Result<(), LedgerError> {
        let serving = self.standing.borrow().is_serving();
        match serving {
            true => self.serve().await,
            false => Ok(()),
        }
    }

    fn stay(&self, standing: Standing) {
        self.standing.send_if_modified(|current| {
            let changed = *current != standing;
            if changed && matches!(standing, Standing::Quarantined { .. }) {
                tracing::warn!(%standing, "not taking part");
            }
            *current = standing;
            changed
        });
    }

    async fn ask(&mut self) {
        let (party, nonce) = (self.agent.party().clone(), self.nonce);
        self.publish(&Presence::Recall { party, nonce }).await;
        self.ask_for_policies().await;
    }

    async fn serve(&mut self) -> Result<(), LedgerError> {
        let not_before = self.agent.ledger().not_before()?;
        self.has_served = true;
        self.standing.send_replace(Standing::Serving { not_before });
        self.beat().await
    }

    /// Too few peers could say that nothing was forgotten.
    async fn start_anew(&self) -> Result<(), LedgerError> {
        let ledger = Arc::clone(self.agent.ledger());
        let started_at = self.started_at;
        let purged = write(move || ledger.start_anew(started_at)).await?;
        tracing::warn!(
            purged,
            "few peers answered: presignatures and nonces are made anew, and intents issued before this start are refused"
        );
        Ok(())
    }

    async fn resume(
        &self,
        counter: u64,
        seen_log_size: u64,
        seen_at: u64,
        backup_made_at: u64,
    ) -> Result<(), LedgerError> {
        let now = now_ms();
        // What was forgotten happened before now and, if this machine's clock is slow, until the last heartbeat. A day's error is believed.
        let latest = now.max(seen_at.min(now.saturating_add(DAY)));
        let resumed = RestoreMark {
            counter,
            // An intent may have come from a clock that was ahead by as much as is allowed.
            restored_at: latest.saturating_add(Intent::MAX_SKEW_MS),
            backup_made_at,
            confirmed: true,
        };
        let ledger = Arc::clone(self.agent.ledger());
        let leaf = log::restored(counter, seen_log_size);
        write(move || ledger.resume_after_restore(&resumed, seen_log_size, leaf, latest)).await?;
        tracing::warn!(
            counter,
            seen_log_size,
            "resumed from an older disk: presignatures destroyed, intents issued until a minute from now are refused"
        );
        Ok(())
    }

    fn may_beat_at(&self) -> Instant {
        self.paced.checked_sub(BURST).unwrap_or(self.sent)
    }

    async fn beat(&mut self) -> Result<(), LedgerError> {
        self.due = false;
        // Before it serves it has nothing to say that peers should remember.
        if !self.standing.borrow().is_serving() {
            return Ok(());
        }
        let heartbeat = self.agent.heartbeat()?;
        self.sent = Instant::now();
        self.paced = self.paced.max(self.sent) + AT_MOST_EVERY;
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
    pub(crate) fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let signed = self.agent.sign(message);
        signed
            .inspect_err(|error| tracing::warn!(%error, "cannot sign a heartbeat"))
            .ok()
    }

    pub(crate) async fn publish(&self, presence: &Presence) {
        let subject = Subject::Presence(self.agent.party().clone()).to_string();
        let bytes = Bytes::from(self.agent.dialects.own().frame(presence));
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
