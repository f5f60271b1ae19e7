//! What comes in: each message is either taken, or refused with a reason that is counted. Nothing here can fail a session.

use std::sync::Arc;

use quorate_types::{PartyId, Recipient, Statement};

use super::lock;
use super::shared::{ParkError, Place, Shared, Slot};
use crate::control::{Control, ControlStatement, HaveRow};
use crate::envelope::{ContentKey, UnverifiedEnvelope, VerifiedEnvelope};
use crate::link::{ChannelId, OpenError};
use crate::outbox::Outgoing;
use crate::session::Screening;
use crate::transport::{Delivery, Subscription};
use crate::{MAX_ENVELOPE, Refusal, Subject};

/// Direct messages and broadcasts.
pub(super) async fn envelopes(shared: Arc<Shared>, mut subscription: Subscription) {
    while let Some(delivery) = subscription.next().await {
        let subject = delivery.subject.clone();
        let taken = shared.take_envelope(delivery);
        shared.finish(&subject, taken).await;
    }
}

/// What others have received, and aborts.
pub(super) async fn controls(shared: Arc<Shared>, mut subscription: Subscription) {
    while let Some(delivery) = subscription.next().await {
        let subject = delivery.subject.clone();
        let taken = shared.take_control(delivery);
        shared.finish(&subject, taken).await;
    }
}

/// Handshakes.
pub(super) async fn links(shared: Arc<Shared>, mut subscription: Subscription) {
    while let Some(delivery) = subscription.next().await {
        let subject = delivery.subject.clone();
        let taken = shared.take_link(delivery);
        shared.finish(&subject, taken).await;
    }
}

type Taken = Result<Vec<Outgoing>, Refusal>;

impl Shared {
    async fn finish(&self, subject: &str, taken: Taken) {
        match taken {
            Ok(out) => self.publish(out).await,
            Err(reason) => self.refuse(subject, reason),
        }
    }

    fn refuse(&self, subject: &str, reason: Refusal) {
        self.counters.count_refused(reason);
        let (party, reason_text) = (&self.me, reason.as_str());
        if reason.is_routine() {
            tracing::debug!(%party, subject, reason = reason_text, "refused");
        } else {
            tracing::warn!(%party, subject, reason = reason_text, "refused");
        }
    }

    fn take_envelope(&self, delivery: Delivery) -> Taken {
        if delivery.payload.len() > MAX_ENVELOPE {
            return Err(Refusal::Oversize);
        }
        let subject: Subject = parse(&delivery.subject)?;
        if matches!(&subject, Subject::Broadcast { sender, .. } if *sender == self.me) {
            return Ok(Vec::new());
        }
        let envelope = UnverifiedEnvelope::decode(delivery.payload)?;
        agrees(&subject, envelope.statement(), &self.me)?;
        match self.place(&envelope.statement().session) {
            Place::Open(slot) => {
                lock(&slot.core).screen(envelope.statement())?;
            }
            Place::NotYet => {}
            Place::Over => return Err(Refusal::SessionOver),
        }
        let now = self.options.clock.unix();
        if !self
            .options
            .window
            .contains(envelope.statement().timestamp, now)
        {
            return Err(Refusal::StaleTimestamp);
        }
        self.deliver(envelope.verify(&self.roster)?)
    }

    /// Delivers envelopes that waited; refusals are counted one by one.
    pub(super) fn deliver_all(&self, envelopes: Vec<VerifiedEnvelope>) -> Vec<Outgoing> {
        let mut out = Vec::new();
        for envelope in envelopes {
            match self.deliver(envelope) {
                Ok(more) => out.extend(more),
                Err(reason) => self.refuse("(waiting)", reason),
            }
        }
        out
    }

    fn deliver(&self, envelope: VerifiedEnvelope) -> Taken {
        let envelope = match self.place(&envelope.statement().session) {
            Place::Open(slot) => return self.open_into(&slot, envelope),
            Place::Over => return Err(Refusal::SessionOver),
            Place::NotYet => envelope,
        };
        // A session this party has no part in looks the same, but for the missing wrap.
        if envelope.body()?.wrap_for(&self.me).is_none() {
            return Ok(Vec::new());
        }
        match self.park(envelope) {
            Ok(()) => Ok(Vec::new()),
            Err(ParkError::Refused(reason)) => Err(reason),
            Err(ParkError::Opened(envelope)) => match self.place(&envelope.statement().session) {
                Place::Open(slot) => self.open_into(&slot, *envelope),
                _ => Err(Refusal::SessionOver),
            },
        }
    }

    fn open_into(&self, slot: &Slot, envelope: VerifiedEnvelope) -> Taken {
        let screening = lock(&slot.core).screen(envelope.statement())?;
        if screening == Screening::Contradiction {
            lock(&slot.core).contradiction(&envelope);
            slot.arrived.notify_one();
            return Ok(Vec::new());
        }
        let (result, out) = self.open_envelope(slot, envelope);
        slot.arrived.notify_one();
        result.map(|()| out)
    }

    fn open_envelope(
        &self,
        slot: &Slot,
        envelope: VerifiedEnvelope,
    ) -> (Result<(), Refusal>, Vec<Outgoing>) {
        let sender = envelope.statement().sender.clone();
        let Some(link) = self.links.get(&sender) else {
            return (Err(Refusal::UnknownSender), Vec::new());
        };
        let cannot_open = |reason| {
            lock(&slot.core).cannot_open(&envelope);
            (Err(reason), Vec::new())
        };
        let body = match envelope.body() {
            Ok(body) => body,
            Err(reason) => return cannot_open(reason),
        };
        let Some(wrap) = body.wrap_for(&self.me) else {
            return (Ok(()), Vec::new());
        };
        let now = self.now();
        let unwrapped = lock(link).open(wrap, now);
        let key = match unwrapped {
            Ok(key) => ContentKey::from_slice(&key),
            Err(OpenError::Refused) => None,
            Err(OpenError::UnknownChannel) => {
                let channel = wrap.channel;
                return self.unknown_channel(&sender, channel, envelope);
            }
        };
        let opened = key.ok_or(Refusal::CannotOpen);
        match opened.and_then(|key| envelope.open(&body, &key)) {
            Ok(payload) => {
                let mut core = lock(&slot.core);
                let accepted = core.accept(&envelope, payload, now.monotonic);
                if accepted.is_ok() {
                    self.counters.count_received();
                }
                (accepted, Vec::new())
            }
            Err(reason) => cannot_open(reason),
        }
    }

    /// Keeps the envelope if a handshake under way may bring its channel; otherwise tells the peer.
    fn unknown_channel(
        &self,
        peer: &PartyId,
        channel: ChannelId,
        envelope: VerifiedEnvelope,
    ) -> (Result<(), Refusal>, Vec<Outgoing>) {
        let Some(link) = self.links.get(peer) else {
            return (Err(Refusal::UnknownSender), Vec::new());
        };
        let now = self.now();
        let actions = {
            let mut link = lock(link);
            if link.awaits_answer() {
                let kept = lock(&self.unopened).park(envelope, now.monotonic);
                return (kept, Vec::new());
            }
            link.complain(channel, now)
        };
        self.counters.count_refused(Refusal::UnknownChannel);
        tracing::debug!(party = %self.me, %peer, ?channel, "unknown channel");
        (Ok(()), self.act(peer, actions))
    }

    fn take_link(&self, delivery: Delivery) -> Taken {
        let Subject::Link { sender, recipient } = parse(&delivery.subject)? else {
            return Err(Refusal::SubjectMismatch);
        };
        if recipient != self.me {
            return Err(Refusal::SubjectMismatch);
        }
        let link = self.links.get(&sender).ok_or(Refusal::UnknownSender)?;
        let now = self.now();
        let actions = lock(link).on_message(delivery.payload, now)?;
        Ok(self.act(&sender, actions))
    }

    fn take_control(&self, delivery: Delivery) -> Taken {
        let Subject::Control {
            kind,
            session,
            sender,
        } = parse(&delivery.subject)?
        else {
            return Err(Refusal::SubjectMismatch);
        };
        // Sessions of others, and long over ones, are of no interest.
        let Some(slot) = self.serving(&session).filter(|_| sender != self.me) else {
            return Ok(Vec::new());
        };
        let said = ControlStatement::decode(delivery.payload, &self.roster)?;
        if (said.kind, said.session, &said.sender) != (kind, session, &sender) {
            return Err(Refusal::SubjectMismatch);
        }
        if !lock(&slot.core).others.contains(&sender) {
            return Err(Refusal::NotParticipant);
        }
        let now = self.options.clock.unix();
        if !self.options.control_window.contains(said.timestamp, now) {
            return Err(Refusal::StaleTimestamp);
        }
        match said.control {
            Control::Have(rows) => self.on_have(&slot, &sender, &rows, said.timestamp),
            Control::Abort { reason, evidence } => {
                if slot.is_open() {
                    lock(&slot.core).aborted(&sender, reason, evidence);
                    slot.arrived.notify_one();
                }
                Ok(Vec::new())
            }
        }
    }

    fn on_have(&self, slot: &Slot, from: &PartyId, rows: &[HaveRow], timestamp: u64) -> Taken {
        let mut core = lock(&slot.core);
        if !core.is_newest_have(from, timestamp) {
            return Err(Refusal::Replay);
        }
        let row = rows.iter().find(|row| row.sender == self.me);
        let row = row.ok_or(Refusal::Undecodable)?;
        let pause = u64::try_from(self.options.resend_after.as_millis() / 2).unwrap_or(u64::MAX);
        let mut out = core.outbox.resend(from, row, pause, &self.sender());
        for _ in &out {
            self.counters.count_resent();
        }
        if let Some(abort) = &core.abort {
            let (subject, payload) = (self.control_subject(&core), abort.clone());
            out.push(Outgoing { subject, payload });
        }
        drop(core);
        self.timers_changed();
        Ok(out)
    }
}

fn parse(subject: &str) -> Result<Subject, Refusal> {
    subject.parse().map_err(|_| Refusal::SubjectMismatch)
}

/// Whether the envelope stands where it says. A broadcast may also come on this party's own subject, sent again.
fn agrees(subject: &Subject, statement: &Statement, me: &PartyId) -> Result<(), Refusal> {
    let place = (statement.kind, statement.session, &statement.sender);
    let same = match subject {
        Subject::Direct {
            kind,
            session,
            recipient,
            sender,
        } => {
            let for_me = match &statement.recipient {
                Recipient::Party(party) => party == me,
                Recipient::Everyone => true,
            };
            recipient == me && for_me && place == (*kind, *session, sender)
        }
        Subject::Broadcast {
            kind,
            session,
            sender,
        } => statement.recipient == Recipient::Everyone && place == (*kind, *session, sender),
        _ => false,
    };
    if same {
        Ok(())
    } else {
        Err(Refusal::SubjectMismatch)
    }
}
