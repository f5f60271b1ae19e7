//! One session as this party sees it: who takes part, what has arrived, what waits to be read. No input or output.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use quorate_types::{
    CeremonyKind, Equivocation, PartyId, Recipient, SessionId, SignedStatement, Statement,
};
use zeroize::Zeroizing;

use crate::Refusal;
use crate::control::{Arrived, HaveRow};
use crate::envelope::VerifiedEnvelope;
use crate::outbox::Outbox;
use crate::replay::{Admission, Sequences};

/// A message from a participant, opened.
pub struct Received {
    /// Who sent it, by signature.
    pub from: PartyId,
    /// Protocol round.
    pub round: u16,
    /// Sent to everyone; whether all received the same is for an echo to find out.
    pub broadcast: bool,
    /// The plaintext.
    pub payload: Zeroizing<Vec<u8>>,
    /// What the sender signed, to be shown to others.
    pub statement: SignedStatement,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("from", &self.from)
            .field("round", &self.round)
            .field("broadcast", &self.broadcast)
            .field("payload", &format_args!("[{} bytes]", self.payload.len()))
            .finish_non_exhaustive()
    }
}

/// What a party did that no honest one does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Two different broadcasts in one place. Proof for anyone who has the roster.
    Equivocation(Box<Equivocation>),
    /// A signed message that cannot be opened or does not match its commitment. Proof for this party only: the wrapped
    /// key is private to the pair.
    CannotOpen(Box<SignedStatement>),
}

/// What happens in a session.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every event is a message; boxing it would cost an allocation each"
)]
pub enum Event {
    /// A message; each comes once, in no particular order.
    Message(Received),
    /// A participant gave up. Comes once per participant.
    Abort {
        /// Who, by signature.
        from: PartyId,
        /// Why, in its words.
        reason: String,
        /// Its evidence, not checked.
        evidence: Vec<SignedStatement>,
    },
    /// A participant misbehaved provably. The session goes on until its owner ends it.
    Misbehaviour {
        /// Who.
        party: PartyId,
        /// What.
        what: Misbehaviour,
    },
}

/// Bytes of payloads that may wait to be read, per sender; more is refused and asked for again later.
const MAX_UNREAD: usize = 16 * 1024 * 1024;

/// Offences reported to the owner, per sender; one is enough to end a session.
const MAX_REPORTS: usize = 8;

#[derive(Debug, Default)]
struct Inbox {
    broadcast: Sequences,
    direct: Sequences,
    /// By sequence number, to recognise a second, different one.
    broadcasts: BTreeMap<u32, SignedStatement>,
    unread: usize,
    reported: Vec<(bool, u32)>,
    aborted: bool,
    last_have: u64,
}

impl Inbox {
    fn stream(&self, recipient: &Recipient) -> &Sequences {
        match recipient {
            Recipient::Everyone => &self.broadcast,
            Recipient::Party(_) => &self.direct,
        }
    }
}

/// What to do with an envelope whose signature has not been verified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screening {
    /// Verify and open it.
    Wanted,
    /// It contradicts a broadcast that arrived before: verify it, it may be evidence.
    Contradiction,
}

pub(crate) struct SessionCore {
    pub id: SessionId,
    pub kind: CeremonyKind,
    pub others: Vec<PartyId>,
    pub outbox: Outbox,
    inboxes: BTreeMap<PartyId, Inbox>,
    events: VecDeque<Event>,
    /// The signed abort, repeated to peers that still ask.
    pub abort: Option<Bytes>,
    /// Monotonic milliseconds: when to say what has arrived, if nothing else does before.
    pub have_due: u64,
    pub have_pause: u64,
    pub first_pause: u64,
    /// The last `have` was stamped so; each is stamped later than the one before, even when the clock is set back.
    have_stamp: u64,
}

impl SessionCore {
    pub(crate) fn new(
        id: SessionId,
        kind: CeremonyKind,
        others: Vec<PartyId>,
        now: u64,
        pause: u64,
    ) -> Self {
        let inboxes = others.iter().map(|p| (p.clone(), Inbox::default()));
        Self {
            id,
            kind,
            inboxes: inboxes.collect(),
            others,
            outbox: Outbox::default(),
            events: VecDeque::new(),
            abort: None,
            have_due: now.saturating_add(pause),
            have_pause: pause,
            first_pause: pause,
            have_stamp: 0,
        }
    }

    /// Looks at an envelope before the costly signature check.
    pub(crate) fn screen(&self, statement: &Statement) -> Result<Screening, Refusal> {
        if statement.kind != self.kind {
            return Err(Refusal::SubjectMismatch);
        }
        let inbox = self
            .inboxes
            .get(&statement.sender)
            .ok_or(Refusal::NotParticipant)?;
        match inbox.stream(&statement.recipient).admit(statement.sequence) {
            Admission::TooFar => Err(Refusal::OverQuota),
            Admission::New if inbox.unread >= MAX_UNREAD => Err(Refusal::OverQuota),
            Admission::New => Ok(Screening::Wanted),
            Admission::Duplicate if inbox.contradicts(statement) => Ok(Screening::Contradiction),
            Admission::Duplicate => Err(Refusal::Replay),
        }
    }

    /// Takes an opened message.
    pub(crate) fn accept(
        &mut self,
        envelope: &VerifiedEnvelope,
        payload: Zeroizing<Vec<u8>>,
        now: u64,
    ) -> Result<(), Refusal> {
        let statement = envelope.statement();
        let inbox = self
            .inboxes
            .get_mut(&statement.sender)
            .ok_or(Refusal::NotParticipant)?;
        let broadcast = statement.recipient == Recipient::Everyone;
        let stream = if broadcast {
            &mut inbox.broadcast
        } else {
            &mut inbox.direct
        };
        if !stream.record(statement.sequence) {
            return Err(Refusal::Replay);
        }
        if broadcast {
            inbox
                .broadcasts
                .insert(statement.sequence, envelope.signed().clone());
        }
        inbox.unread = inbox.unread.saturating_add(payload.len());
        self.events.push_back(Event::Message(Received {
            from: statement.sender.clone(),
            round: statement.round,
            broadcast,
            payload,
            statement: envelope.signed().clone(),
        }));
        self.progress(now);
        Ok(())
    }

    /// A verified envelope that contradicts an earlier broadcast of its sender.
    pub(crate) fn contradiction(&mut self, envelope: &VerifiedEnvelope) {
        let statement = envelope.statement();
        let first = self
            .inboxes
            .get(&statement.sender)
            .and_then(|i| i.broadcasts.get(&statement.sequence));
        let Some(first) = first.cloned() else { return };
        let proof = Equivocation {
            first,
            second: envelope.signed().clone(),
        };
        self.report(envelope, Misbehaviour::Equivocation(Box::new(proof)));
    }

    /// A verified envelope that does not open.
    pub(crate) fn cannot_open(&mut self, envelope: &VerifiedEnvelope) {
        let signed = Box::new(envelope.signed().clone());
        self.report(envelope, Misbehaviour::CannotOpen(signed));
    }

    fn report(&mut self, envelope: &VerifiedEnvelope, what: Misbehaviour) {
        let statement = envelope.statement();
        let Some(inbox) = self.inboxes.get_mut(&statement.sender) else {
            return;
        };
        let place = (
            statement.recipient == Recipient::Everyone,
            statement.sequence,
        );
        if inbox.reported.len() < MAX_REPORTS && !inbox.reported.contains(&place) {
            inbox.reported.push(place);
            let party = statement.sender.clone();
            self.events.push_back(Event::Misbehaviour { party, what });
        }
    }

    pub(crate) fn aborted(
        &mut self,
        from: &PartyId,
        reason: String,
        evidence: Vec<SignedStatement>,
    ) {
        if let Some(inbox) = self.inboxes.get_mut(from)
            && !inbox.aborted
        {
            inbox.aborted = true;
            let from = from.clone();
            self.events.push_back(Event::Abort {
                from,
                reason,
                evidence,
            });
        }
    }

    /// Whether this `have` of a participant is newer than the last one taken.
    pub(crate) fn is_newest_have(&mut self, from: &PartyId, timestamp: u64) -> bool {
        self.inboxes.get_mut(from).is_some_and(|inbox| {
            let newer = timestamp > inbox.last_have;
            inbox.last_have = inbox.last_have.max(timestamp);
            newer
        })
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if let Event::Message(received) = &event
            && let Some(inbox) = self.inboxes.get_mut(&received.from)
        {
            inbox.unread = inbox.unread.saturating_sub(received.payload.len());
        }
        Some(event)
    }

    pub(crate) fn have(&self) -> Vec<HaveRow> {
        let row = |(sender, inbox): (&PartyId, &Inbox)| HaveRow {
            sender: sender.clone(),
            broadcast: Arrived::from(&inbox.broadcast),
            direct: Arrived::from(&inbox.direct),
        };
        self.inboxes.iter().map(row).collect()
    }

    fn progress(&mut self, now: u64) {
        self.have_pause = self.first_pause;
        self.have_due = now.saturating_add(self.first_pause);
    }

    /// The timestamp of the next `have`, Unix milliseconds.
    pub(crate) fn stamp_have(&mut self, unix: u64) -> u64 {
        self.have_stamp = unix.max(self.have_stamp.saturating_add(1));
        self.have_stamp
    }

    /// Moves the next `have` further away, twice as far as the last time.
    pub(crate) fn back_off(&mut self, now: u64, max_pause: u64) {
        self.have_pause = self.have_pause.saturating_mul(2).min(max_pause);
        self.have_due = now.saturating_add(self.have_pause);
    }
}

impl Inbox {
    fn contradicts(&self, statement: &Statement) -> bool {
        statement.recipient == Recipient::Everyone
            && self.broadcasts.get(&statement.sequence).is_some_and(|s| {
                s.statement.commitment != statement.commitment
                    && s.statement.round == statement.round
            })
    }
}
