//! Envelopes that came before their session was opened here: kept for a while, within limits per sender. What does not
//! fit is refused; its sender will be asked for it once the session is open.

use std::collections::{HashMap, VecDeque};

use quorate_types::{PartyId, Recipient, SessionId};

use crate::Refusal;
use crate::envelope::VerifiedEnvelope;

/// Limits per sender.
#[derive(Debug, Clone, Copy)]
pub struct PendingLimits {
    /// Envelopes.
    pub count: usize,
    /// Bytes of sealed bodies.
    pub bytes: usize,
    /// Milliseconds.
    pub age: u64,
}

impl Default for PendingLimits {
    fn default() -> Self {
        Self {
            count: 256,
            bytes: 4 * 1024 * 1024,
            age: 60_000,
        }
    }
}

#[derive(Debug, Default)]
struct FromSender {
    waiting: VecDeque<(u64, VerifiedEnvelope)>,
    bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Pending {
    limits: PendingLimits,
    senders: HashMap<PartyId, FromSender>,
}

impl Pending {
    pub(crate) fn new(limits: PendingLimits) -> Self {
        Self {
            limits,
            senders: HashMap::new(),
        }
    }

    /// Keeps an envelope. Only verified ones get here, so a sender can exhaust no quota but its own.
    pub(crate) fn park(&mut self, envelope: VerifiedEnvelope, now: u64) -> Result<(), Refusal> {
        let limits = self.limits;
        let sender = envelope.statement().sender.clone();
        let from = self.senders.entry(sender).or_default();
        from.expire(now, limits.age);
        if from.waiting.iter().any(|(_, e)| same_place(e, &envelope)) {
            return Err(Refusal::Replay);
        }
        let bytes = from.bytes.saturating_add(envelope.body_len());
        if from.waiting.len() >= limits.count || bytes > limits.bytes {
            return Err(Refusal::OverQuota);
        }
        from.bytes = bytes;
        from.waiting.push_back((now, envelope));
        Ok(())
    }

    /// Takes out what waited for a session.
    pub(crate) fn take(&mut self, session: &SessionId) -> Vec<VerifiedEnvelope> {
        let mut taken = Vec::new();
        for from in self.senders.values_mut() {
            let waiting = std::mem::take(&mut from.waiting);
            for (at, envelope) in waiting {
                if envelope.statement().session == *session {
                    from.bytes = from.bytes.saturating_sub(envelope.body_len());
                    taken.push(envelope);
                } else {
                    from.waiting.push_back((at, envelope));
                }
            }
        }
        taken
    }

    /// Takes out what waited from a sender.
    pub(crate) fn take_from(&mut self, sender: &PartyId) -> Vec<VerifiedEnvelope> {
        let from = self.senders.remove(sender).unwrap_or_default();
        from.waiting.into_iter().map(|(_, e)| e).collect()
    }
}

impl FromSender {
    fn expire(&mut self, now: u64, age: u64) {
        while let Some((at, envelope)) = self.waiting.front() {
            if now.saturating_sub(*at) < age {
                break;
            }
            self.bytes = self.bytes.saturating_sub(envelope.body_len());
            self.waiting.pop_front();
        }
    }
}

/// Same session, stream, sequence and commitment. Two different commitments in one place are both kept: together they
/// are evidence.
fn same_place(a: &VerifiedEnvelope, b: &VerifiedEnvelope) -> bool {
    let (a, b) = (a.statement(), b.statement());
    let broadcast = |r: &Recipient| *r == Recipient::Everyone;
    a.session == b.session
        && a.sequence == b.sequence
        && broadcast(&a.recipient) == broadcast(&b.recipient)
        && a.commitment == b.commitment
}
