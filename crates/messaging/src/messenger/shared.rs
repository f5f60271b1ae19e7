//! The state behind a messenger. Lock order: session table, then one session, then one link; no lock is held across an
//! await.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_types::{PartyId, Recipient, SessionId, SignedStatement, ValidRoster};
use rand_core::OsRng;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{MessagingError, MessengerOptions, SessionSpec, lock};
use crate::control::{Control, ControlStatement};
use crate::envelope::{Header, SealedPayload, VerifiedEnvelope};
use crate::identity::signed;
use crate::link::{Action, Link};
use crate::outbox::{Links, Outgoing, Sender};
use crate::pending::Pending;
use crate::replay::{OpenedSessions, Sequences};
use crate::session::SessionCore;
use crate::transport::{Transport, TransportError};
use crate::{Counters, Now, PartyKeys, Subject};

/// A session that is open, or closed and within its grace time.
pub(super) struct Slot {
    pub id: SessionId,
    pub core: Mutex<SessionCore>,
    pub arrived: Notify,
    closed: AtomicBool,
}

impl Slot {
    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }
}

#[derive(Default)]
struct Table {
    slots: HashMap<SessionId, Arc<Slot>>,
    /// Closed ones and when their grace time ends, which is equally long for all: the first ends first.
    closed: VecDeque<(u64, SessionId)>,
    opened: OpenedSessions,
}

/// Where an envelope's session stands.
pub(super) enum Place {
    Open(Arc<Slot>),
    Over,
    NotYet,
}

pub(super) struct Shared {
    pub me: PartyId,
    pub roster: Arc<ValidRoster>,
    pub counters: Counters,
    pub options: MessengerOptions,
    pub links: Links,
    keys: Arc<PartyKeys>,
    transport: Arc<dyn Transport>,
    table: Mutex<Table>,
    /// Envelopes whose session is not open yet.
    early: Mutex<Pending>,
    /// Envelopes whose channel may come with the answer to a handshake under way.
    pub unopened: Mutex<Pending>,
    started: Instant,
    timers_changed: Notify,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Shared {
    pub(super) fn new(
        keys: Arc<PartyKeys>,
        me: PartyId,
        roster: Arc<ValidRoster>,
        transport: Arc<dyn Transport>,
        options: MessengerOptions,
    ) -> Self {
        let link = |peer: &PartyId| {
            let (keys, roster) = (Arc::clone(&keys), Arc::clone(&roster));
            let link = Link::new(me.clone(), peer.clone(), keys, roster, options.link)?;
            Some((peer.clone(), Mutex::new(link)))
        };
        let links = roster.party_ids().iter().filter_map(link).collect();
        Self {
            links,
            me,
            roster,
            keys,
            transport,
            counters: Counters::default(),
            table: Mutex::default(),
            early: Mutex::new(Pending::new(options.pending)),
            unopened: Mutex::new(Pending::new(options.pending)),
            options,
            started: Instant::now(),
            timers_changed: Notify::new(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            monotonic: millis(self.started.elapsed()),
            unix: self.options.clock.unix(),
        }
    }

    pub(super) fn instant(&self, monotonic: u64) -> Instant {
        let far = Duration::from_secs(86_400 * 365);
        self.started + Duration::from_millis(monotonic).min(far)
    }

    pub(super) fn sender(&self) -> Sender<'_> {
        Sender {
            keys: &self.keys,
            links: &self.links,
            now: self.now(),
        }
    }

    pub(super) fn open(self: &Arc<Self>, spec: SessionSpec) -> Result<Arc<Slot>, MessagingError> {
        let others = self.others(&spec)?;
        let now = self.now();
        let pause = millis(self.options.resend_after);
        let core = SessionCore::new(spec.id, spec.kind, others.clone(), now.monotonic, pause);
        let slot = Arc::new(Slot {
            id: spec.id,
            core: Mutex::new(core),
            arrived: Notify::new(),
            closed: AtomicBool::new(false),
        });
        let early = {
            let mut table = lock(&self.table);
            if !table.opened.record(spec.id) {
                return Err(MessagingError::SessionReused(spec.id));
            }
            table.slots.insert(spec.id, Arc::clone(&slot));
            lock(&self.early).take(&spec.id)
        };
        for link in others.iter().filter_map(|p| self.links.get(p)) {
            lock(link).want(now);
        }
        self.timers_changed.notify_one();
        self.take_early(early);
        Ok(slot)
    }

    fn others(&self, spec: &SessionSpec) -> Result<Vec<PartyId>, MessagingError> {
        let set: BTreeSet<&PartyId> = spec.participants.iter().collect();
        if set.len() != spec.participants.len() || set.len() < 2 || !set.contains(&self.me) {
            return Err(MessagingError::BadParticipants {
                session: spec.id,
                me: self.me.clone(),
            });
        }
        if let Some(stranger) = set.iter().find(|p| self.roster.party(p).is_none()) {
            return Err(MessagingError::NotInRoster((*stranger).clone()));
        }
        let others = spec.participants.iter().filter(|p| **p != self.me);
        Ok(others.cloned().collect())
    }

    fn take_early(self: &Arc<Self>, early: Vec<VerifiedEnvelope>) {
        let out = self.deliver_all(early);
        if !out.is_empty() {
            let shared = Arc::clone(self);
            tokio::spawn(async move { shared.publish(out).await });
        }
    }

    pub(super) fn close(&self, slot: &Slot) {
        let until = self
            .now()
            .monotonic
            .saturating_add(millis(self.options.grace));
        let first = {
            let mut table = lock(&self.table);
            if slot.closed.swap(true, Ordering::AcqRel) {
                return;
            }
            table.closed.push_back((until, slot.id));
            table.closed.len() == 1
        };
        if first {
            self.timers_changed.notify_one();
        }
    }

    pub(super) fn place(&self, id: &SessionId) -> Place {
        let table = lock(&self.table);
        match table.slots.get(id) {
            Some(slot) if slot.is_open() => Place::Open(Arc::clone(slot)),
            Some(_) => Place::Over,
            None if table.opened.contains(id) => Place::Over,
            None => Place::NotYet,
        }
    }

    /// Keeps an envelope for a session that is not open yet; gives it back if the session has been opened meanwhile.
    pub(super) fn park(&self, envelope: VerifiedEnvelope) -> Result<(), ParkError> {
        let table = lock(&self.table);
        if table.opened.contains(&envelope.statement().session) {
            return Err(ParkError::Opened(Box::new(envelope)));
        }
        let now = self.now().monotonic;
        lock(&self.early)
            .park(envelope, now)
            .map_err(ParkError::Refused)
    }

    /// A session that still sends: open, or within its grace time.
    pub(super) fn serving(&self, id: &SessionId) -> Option<Arc<Slot>> {
        lock(&self.table).slots.get(id).cloned()
    }

    pub(super) fn seal_and_keep(
        &self,
        slot: &Slot,
        recipient: Recipient,
        round: u16,
        payload: &[u8],
    ) -> Result<Vec<Outgoing>, MessagingError> {
        let mut core = lock(&slot.core);
        let peers = match &recipient {
            Recipient::Everyone => core.others.clone(),
            Recipient::Party(party) if core.others.contains(party) => vec![party.clone()],
            Recipient::Party(party) => {
                return Err(MessagingError::NotParticipant {
                    session: slot.id,
                    party: party.clone(),
                });
            }
        };
        let sequence = core.outbox.next_sequence(&recipient);
        let sequence = sequence
            .filter(|s| *s < Sequences::MAX)
            .ok_or(MessagingError::TooManyMessages(slot.id))?;
        let sender = self.sender();
        let header = Header {
            session: slot.id,
            kind: core.kind,
            round,
            sender: self.me.clone(),
            recipient,
            sequence,
            timestamp: sender.now.unix,
        };
        let sealed = SealedPayload::seal(header, payload, &mut OsRng)?;
        let out = core.outbox.send(sealed, &peers, &sender)?;
        self.counters.count_sent();
        // Sealing may have asked for a channel.
        self.timers_changed.notify_one();
        Ok(out)
    }

    pub(super) async fn say_have(&self, slot: &Slot) {
        let out = {
            let mut core = lock(&slot.core);
            let now = self.now();
            if now.monotonic < core.have_due {
                return;
            }
            core.back_off(now.monotonic, millis(self.options.resend_max));
            let rows = core.have();
            let stamp = core.stamp_have(now.unix);
            self.control(&core, Control::Have(rows), stamp)
        };
        self.publish(out.into_iter().collect()).await;
    }

    pub(super) async fn abort(&self, slot: &Slot, reason: &str, evidence: Vec<SignedStatement>) {
        let out = {
            let mut core = lock(&slot.core);
            let reason = reason.to_owned();
            let out = self.control(&core, Control::Abort { reason, evidence }, self.now().unix);
            core.abort = out.as_ref().map(|out| out.payload.clone());
            out
        };
        self.publish(out.into_iter().collect()).await;
    }

    /// `None` when the identity cannot sign now.
    fn control(&self, core: &SessionCore, control: Control, timestamp: u64) -> Option<Outgoing> {
        let statement = ControlStatement {
            session: core.id,
            kind: core.kind,
            sender: self.me.clone(),
            timestamp,
            control,
        };
        Some(Outgoing {
            payload: signed(statement.sign(&self.keys, &self.roster))?,
            subject: self.control_subject(core),
        })
    }

    pub(super) fn control_subject(&self, core: &SessionCore) -> Subject {
        Subject::Control {
            kind: core.kind,
            session: core.id,
            sender: self.me.clone(),
        }
    }

    /// Carries out what a link asks for.
    pub(super) fn act(&self, peer: &PartyId, actions: Vec<Action>) -> Vec<Outgoing> {
        let mut out = Vec::new();
        for action in actions {
            match action {
                Action::Send(payload) => out.push(Outgoing {
                    subject: Subject::Link {
                        recipient: peer.clone(),
                        sender: self.me.clone(),
                    },
                    payload,
                }),
                Action::Ready => {
                    self.counters.count_handshake();
                    out.extend(self.flush(peer));
                    let unopened = lock(&self.unopened).take_from(peer);
                    out.extend(self.deliver_all(unopened));
                }
            }
        }
        self.timers_changed.notify_one();
        out
    }

    fn flush(&self, peer: &PartyId) -> Vec<Outgoing> {
        let slots: Vec<_> = lock(&self.table).slots.values().cloned().collect();
        let mut out = Vec::new();
        for slot in slots {
            let mut core = lock(&slot.core);
            if core.others.contains(peer) {
                out.extend(core.outbox.flush(peer, &self.sender()));
            }
        }
        for _ in &out {
            self.counters.count_resent();
        }
        out
    }

    /// Publishes; what cannot go out now is asked for again by whoever misses it.
    pub(super) async fn publish(&self, out: Vec<Outgoing>) {
        for Outgoing { subject, payload } in out {
            let subject = subject.to_string();
            if let Err(error) = self.transport.publish(subject, payload).await {
                tracing::warn!(party = %self.me, %error, "not sent");
            }
        }
    }

    /// Publishes; an error that does not go away by itself is the caller's.
    pub(super) async fn publish_strict(&self, out: Vec<Outgoing>) -> Result<(), TransportError> {
        for Outgoing { subject, payload } in out {
            match self.transport.publish(subject.to_string(), payload).await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(party = %self.me, %error, "not sent, will be asked for");
                }
                other => other?,
            }
        }
        Ok(())
    }

    pub(super) fn timers_changed(&self) {
        self.timers_changed.notify_one();
    }

    fn poll_links(&self) -> Vec<Outgoing> {
        let now = self.now();
        let mut out = Vec::new();
        for (peer, link) in &self.links {
            let due = {
                let mut link = lock(link);
                if link.next_poll().is_some_and(|at| at <= now.monotonic) {
                    link.poll(now)
                } else {
                    Vec::new()
                }
            };
            for action in due {
                if let Action::Send(payload) = action {
                    let (recipient, sender) = (peer.clone(), self.me.clone());
                    let subject = Subject::Link { recipient, sender };
                    out.push(Outgoing { subject, payload });
                }
            }
        }
        out
    }

    fn forget_sessions(&self) {
        let now = self.now().monotonic;
        let mut table = lock(&self.table);
        while let Some((_, session)) = table.closed.pop_front_if(|(until, _)| *until <= now) {
            table.slots.remove(&session);
        }
    }

    fn next_timer(&self) -> Option<u64> {
        let links = self.links.values().filter_map(|l| lock(l).next_poll());
        let closed = lock(&self.table).closed.front().map(|(until, _)| *until);
        links.chain(closed).min()
    }
}

/// Why an envelope was not parked.
pub(super) enum ParkError {
    Opened(Box<VerifiedEnvelope>),
    Refused(crate::Refusal),
}

/// Retries handshakes and ends grace times when they are due.
pub(super) async fn timers(shared: Arc<Shared>) {
    loop {
        let out = shared.poll_links();
        shared.publish(out).await;
        shared.forget_sessions();
        let changed = shared.timers_changed.notified();
        match shared.next_timer() {
            Some(at) => {
                let due = tokio::time::sleep_until(shared.instant(at));
                tokio::select! {
                    () = changed => {}
                    () = due => {}
                }
            }
            None => changed.await,
        }
    }
}
