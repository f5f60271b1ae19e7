//! What this party sent in one session, kept sealed until the session is over and its grace time has passed, so that
//! peers can have again what they missed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use quorate_types::{PartyId, Recipient};

use crate::control::HaveRow;
use crate::envelope::SealedPayload;
use crate::identity::signed;
use crate::link::{ChannelId, Link};
use crate::messenger::lock;
use crate::{IdentityUnavailable, Now, PartyKeys, Subject};

/// One link per other party of the roster.
pub(crate) type Links = BTreeMap<PartyId, Mutex<Link>>;

/// Bytes on their way out.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub subject: Subject,
    pub payload: Bytes,
}

/// A peer is answered with so many bytes at most per request; its next request brings the rest.
const MAX_RESEND: usize = 4 * 1024 * 1024;

struct Sent {
    channel: ChannelId,
    envelope: Bytes,
    at: u64,
}

struct Entry {
    sealed: SealedPayload,
    sent: BTreeMap<PartyId, Sent>,
}

/// Entries of a stream are in order of their sequence numbers, from 0.
#[derive(Default)]
pub(crate) struct Outbox {
    broadcast: Vec<Entry>,
    direct: BTreeMap<PartyId, Vec<Entry>>,
}

/// What sending needs from the messenger.
pub(crate) struct Sender<'a> {
    pub keys: &'a Arc<PartyKeys>,
    pub links: &'a Links,
    pub now: Now,
}

impl Outbox {
    /// The sequence number of the next message to this recipient.
    pub(crate) fn next_sequence(&self, recipient: &Recipient) -> Option<u32> {
        let len = match recipient {
            Recipient::Everyone => self.broadcast.len(),
            Recipient::Party(party) => self.direct.get(party).map_or(0, Vec::len),
        };
        u32::try_from(len).ok()
    }

    /// Keeps a message and sends it to those of `peers` that a channel leads to; the others get it when theirs is up. A message
    /// that cannot be signed is not kept.
    pub(crate) fn send(
        &mut self,
        sealed: SealedPayload,
        peers: &[PartyId],
        sender: &Sender<'_>,
    ) -> Result<Vec<Outgoing>, IdentityUnavailable> {
        let mut entry = Entry {
            sealed,
            sent: BTreeMap::new(),
        };
        let out = entry.dispatch(peers, sender)?;
        match entry.sealed.header().recipient.clone() {
            Recipient::Everyone => self.broadcast.push(entry),
            Recipient::Party(party) => self.direct.entry(party).or_default().push(entry),
        }
        Ok(out.into_iter().collect())
    }

    fn for_peer(&mut self, peer: &PartyId) -> impl Iterator<Item = &mut Entry> {
        let direct = self.direct.get_mut(peer).into_iter().flatten();
        self.broadcast.iter_mut().chain(direct)
    }

    /// A channel to the peer came up: sends what was never sealed for it, or on a channel that is gone.
    pub(crate) fn flush(&mut self, peer: &PartyId, sender: &Sender<'_>) -> Vec<Outgoing> {
        let Some(link) = sender.links.get(peer) else {
            return Vec::new();
        };
        self.for_peer(peer)
            .filter_map(|entry| {
                let reached = entry.sent.get(peer);
                let reached = reached.is_some_and(|sent| lock(link).knows(sent.channel));
                if reached {
                    None
                } else {
                    signed(entry.dispatch(std::slice::from_ref(peer), sender)).flatten()
                }
            })
            .collect()
    }

    /// The peer says what it has: sends the rest again, but nothing that went out within the last `pause` milliseconds.
    pub(crate) fn resend(
        &mut self,
        peer: &PartyId,
        row: &HaveRow,
        pause: u64,
        sender: &Sender<'_>,
    ) -> Vec<Outgoing> {
        let mut budget = MAX_RESEND;
        let mut out = Vec::new();
        for entry in self.for_peer(peer) {
            let header = entry.sealed.header();
            let arrived = match header.recipient {
                Recipient::Everyone => &row.broadcast,
                Recipient::Party(_) => &row.direct,
            };
            let recent = entry
                .sent
                .get(peer)
                .is_some_and(|s| sender.now.monotonic.saturating_sub(s.at) < pause);
            if recent || arrived.contains(header.sequence) {
                continue;
            }
            let Some(outgoing) = entry.again(peer, sender) else {
                continue;
            };
            budget = budget.saturating_sub(outgoing.payload.len());
            out.push(outgoing);
            if budget == 0 {
                break;
            }
        }
        out
    }
}

impl Entry {
    /// The identical envelope while its channel lives; otherwise the same message wrapped anew.
    fn again(&mut self, peer: &PartyId, sender: &Sender<'_>) -> Option<Outgoing> {
        let link = sender.links.get(peer)?;
        if let Some(sent) = self.sent.get_mut(peer)
            && lock(link).knows(sent.channel)
        {
            sent.at = sender.now.monotonic;
            let payload = sent.envelope.clone();
            return Some(self.outgoing(std::slice::from_ref(peer), payload));
        }
        signed(self.dispatch(std::slice::from_ref(peer), sender)).flatten()
    }

    /// `None` when no channel leads to any of them yet.
    fn dispatch(
        &mut self,
        peers: &[PartyId],
        sender: &Sender<'_>,
    ) -> Result<Option<Outgoing>, IdentityUnavailable> {
        let wraps: Vec<_> = peers
            .iter()
            .filter_map(|peer| {
                let mut link = lock(sender.links.get(peer)?);
                link.seal(self.sealed.key().as_bytes(), sender.now).ok()
            })
            .collect();
        if wraps.is_empty() {
            return Ok(None);
        }
        let envelope = self.sealed.envelope(sender.keys, &wraps)?;
        for wrap in wraps {
            let sent = Sent {
                channel: wrap.channel,
                envelope: envelope.clone(),
                at: sender.now.monotonic,
            };
            self.sent.insert(wrap.recipient, sent);
        }
        Ok(Some(self.outgoing(peers, envelope)))
    }

    /// To one peer on its own subject, broadcasts that are sent again included; to several as a broadcast.
    fn outgoing(&self, peers: &[PartyId], payload: Bytes) -> Outgoing {
        let header = self.sealed.header();
        let (kind, session, sender) = (header.kind, header.session, header.sender.clone());
        let subject = match peers {
            [recipient] => Subject::Direct {
                kind,
                session,
                recipient: recipient.clone(),
                sender,
            },
            _ => Subject::Broadcast {
                kind,
                session,
                sender,
            },
        };
        Outgoing { subject, payload }
    }
}
