//! The Noise channel of one pair of parties, without any input or output of its own.
//!
//! `Noise_KK_25519_ChaChaPoly_BLAKE2s` (Noise Protocol Framework, revision 34): both static keys come from the roster, so
//! a channel exists only between the two named parties, and it is forward secret. Transport messages carry their nonce,
//! because NATS may lose and reorder. The party whose id sorts lower initiates; the other one asks it to.
//!
//! Each handshake message is also signed with the sender's identity and taken once, within a minute of its timestamp, so
//! that a stranger cannot make a party compute or keep anything. After a restart a party answers messages under its
//! lost channels with `Unknown`, and the pair shakes hands again. A channel is renewed after a number of messages or an
//! age; the previous one keeps receiving for a while.
//!
//! Time goes in with every call, [`Action`]s come out; [`Link::next_poll`] says when to call [`Link::poll`] again.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use quorate_types::{PartyId, ValidRoster};
use rand_core::{OsRng, RngCore as _};
use snow::{HandshakeState, StatelessTransportState};
use zeroize::Zeroizing;

use crate::envelope::Wrap;
use crate::identity::signed;
use crate::replay::{SeenIds, Window};
use crate::{Now, PartyKeys, Refusal};

mod message;
mod noise;

use message::{LinkStatement, Step};

/// The first 16 bytes of a channel's Noise handshake hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId([u8; 16]);

impl ChannelId {
    /// `None` unless it is 16 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// When a link renews, retries and forgets. Times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct LinkOptions {
    /// Messages sent on a channel before it is renewed; it refuses to send at twice as many.
    pub renew_after_messages: u64,
    /// Age at which a channel is renewed when it is next used.
    pub renew_after: u64,
    /// First retry of a handshake; doubles each time.
    pub retry_first: u64,
    /// Longest pause between retries.
    pub retry_max: u64,
    /// How long a link without a channel keeps trying after it was last wanted.
    pub wanted_for: u64,
    /// How long a replaced channel still receives.
    pub keep_replaced: u64,
    /// Accepted timestamps of handshake messages.
    pub window: Window,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            renew_after_messages: 1 << 20,
            renew_after: 3_600_000,
            retry_first: 250,
            retry_max: 5_000,
            wanted_for: 60_000,
            keep_replaced: 60_000,
            window: Window::FRESH,
        }
    }
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Publish these bytes to the peer, `mpc.link.<peer>.<me>`.
    Send(Bytes),
    /// A channel came up: send what waited for it, and try again to open what could not be opened.
    Ready,
}

/// Why a wrapped key was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// This party has no such channel; the peer should be told.
    #[error("the channel is not known here")]
    UnknownChannel,
    /// The channel is known, and what came over it is not what the peer sealed.
    #[error("the channel refuses the message")]
    Refused,
}

/// There is no channel to send on. Handshakes have been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no channel yet")]
pub struct NoChannel;

struct Channel {
    id: ChannelId,
    noise: StatelessTransportState,
    /// Nonces count up from 0 and are never set back: each is used once.
    next_nonce: u64,
    born: u64,
    /// The peer is known to have it too.
    confirmed: bool,
    /// Forget it then.
    expires: Option<u64>,
}

/// A handshake under way, with the next retry.
struct Attempt {
    /// `None` while this party, the responder, waits for the initiator to begin.
    initiated: Option<Initiated>,
    began: u64,
    retry_at: u64,
    pause: u64,
}

struct Initiated {
    id: [u8; 16],
    noise: HandshakeState,
    first_message: Bytes,
}

/// The last handshake this party answered, so that a repeated question gets the same answer.
struct Answered {
    id: [u8; 16],
    answer: Bytes,
    at: u64,
}

/// Everything one party keeps about its channel to one peer.
pub struct Link {
    me: PartyId,
    peer: PartyId,
    keys: Arc<PartyKeys>,
    roster: Arc<ValidRoster>,
    peer_channel_key: [u8; 32],
    options: LinkOptions,
    /// Newest first.
    channels: VecDeque<Channel>,
    attempt: Option<Attempt>,
    answered: Option<Answered>,
    seen: SeenIds,
    wanted_until: u64,
    complained: Option<(ChannelId, u64)>,
}

/// Channels kept at once: one in use, one coming up, and two on their way out.
const MAX_CHANNELS: usize = 4;

/// A new handshake from the peer is answered at most so often, in milliseconds.
const ANSWER_INTERVAL: u64 = 50;

/// An unanswered handshake is begun anew after so long, in milliseconds.
const BEGIN_ANEW: u64 = 30_000;

/// The peer is told about an unknown channel at most so often, in milliseconds.
const COMPLAIN_INTERVAL: u64 = 500;

impl Link {
    /// A link without a channel. `None` if the peer is this party or not in the roster.
    #[must_use]
    pub fn new(
        me: PartyId,
        peer: PartyId,
        keys: Arc<PartyKeys>,
        roster: Arc<ValidRoster>,
        options: LinkOptions,
    ) -> Option<Self> {
        let peer_channel_key = roster.party(&peer)?.channel;
        (me != peer).then(|| Self {
            me,
            peer,
            keys,
            roster,
            peer_channel_key,
            options,
            channels: VecDeque::new(),
            attempt: None,
            answered: None,
            seen: SeenIds::default(),
            wanted_until: 0,
            complained: None,
        })
    }

    fn initiates(&self) -> bool {
        self.me < self.peer
    }

    /// Whether there is a channel to send on.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.sending().is_some()
    }

    /// Whether this party has begun a handshake and waits for the answer: an unknown channel may be the answer's.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        self.attempt.as_ref().is_some_and(|a| a.initiated.is_some())
    }

    /// Whether a message sealed on this channel may still be opened by the peer, as far as this party knows.
    #[must_use]
    pub fn knows(&self, channel: ChannelId) -> bool {
        self.channels.iter().any(|c| c.id == channel)
    }

    /// Index of the channel to send on: the newest one the peer confirmed, else the newest.
    fn sending(&self) -> Option<usize> {
        let limit = self.options.renew_after_messages.saturating_mul(2);
        let usable = |c: &Channel| c.next_nonce < limit;
        self.channels
            .iter()
            .position(|c| c.confirmed && usable(c))
            .or_else(|| self.channels.iter().position(usable))
    }

    /// Asks for a channel, if there is none. Call [`Self::poll`] afterwards.
    pub fn want(&mut self, now: Now) {
        self.wanted_until = now.monotonic.saturating_add(self.options.wanted_for);
        if !self.is_ready() {
            self.begin_attempt(now);
        }
    }

    fn begin_attempt(&mut self, now: Now) {
        if self.attempt.is_none() {
            self.attempt = Some(Attempt {
                initiated: None,
                began: now.monotonic,
                retry_at: now.monotonic,
                pause: self.options.retry_first,
            });
        }
    }

    /// Seals a content key for the peer.
    ///
    /// # Errors
    /// [`NoChannel`]; one has been asked for.
    pub fn seal(&mut self, plaintext: &[u8], now: Now) -> Result<Wrap, NoChannel> {
        let Some(channel) = self.sending().and_then(|i| self.channels.get_mut(i)) else {
            self.want(now);
            return Err(NoChannel);
        };
        let nonce = channel.next_nonce;
        channel.next_nonce += 1;
        let sealed = noise::seal(&channel.noise, nonce, plaintext).ok_or(NoChannel)?;
        let wrap = Wrap {
            recipient: self.peer.clone(),
            channel: channel.id,
            nonce,
            sealed,
        };
        let old = channel.next_nonce >= self.options.renew_after_messages
            || now.monotonic.saturating_sub(channel.born) >= self.options.renew_after;
        let newest = self.channels.front().map(|c| c.id);
        if old && newest == Some(wrap.channel) {
            self.wanted_until = now.monotonic.saturating_add(self.options.wanted_for);
            self.begin_attempt(now);
        }
        Ok(wrap)
    }

    /// Opens what the peer sealed for this party.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self, wrap: &Wrap, now: Now) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let channel = self
            .channels
            .iter_mut()
            .find(|c| c.id == wrap.channel)
            .ok_or(OpenError::UnknownChannel)?;
        let opened =
            noise::open(&channel.noise, wrap.nonce, &wrap.sealed).ok_or(OpenError::Refused)?;
        if !channel.confirmed {
            self.confirm(wrap.channel, now);
        }
        Ok(opened)
    }

    /// Tells the peer that a channel it used is not known here, unless an answer under way may bring it.
    #[must_use]
    pub fn complain(&mut self, channel: ChannelId, now: Now) -> Vec<Action> {
        let just_did = self.complained.is_some_and(|(id, at)| {
            id == channel && now.monotonic.saturating_sub(at) < COMPLAIN_INTERVAL
        });
        if self.awaits_answer() || just_did {
            return Vec::new();
        }
        self.complained = Some((channel, now.monotonic));
        self.want(now);
        let unknown = self.message(
            Step::Unknown,
            [0; 16],
            Bytes::copy_from_slice(channel.as_bytes()),
            now,
        );
        let mut actions: Vec<_> = unknown.into_iter().collect();
        actions.extend(self.poll(now));
        actions
    }

    /// `None` when the identity cannot sign now: handshakes are tried again by themselves.
    fn message(&self, step: Step, handshake: [u8; 16], body: Bytes, now: Now) -> Option<Action> {
        let statement = LinkStatement {
            sender: self.me.clone(),
            recipient: self.peer.clone(),
            id: random_id(),
            timestamp: now.unix,
            step,
            handshake,
            body,
        };
        signed(statement.sign(&self.keys, &self.roster)).map(Action::Send)
    }

    /// When [`Self::poll`] has something to do, in monotonic milliseconds.
    #[must_use]
    pub fn next_poll(&self) -> Option<u64> {
        let retry = self.attempt.as_ref().map(|a| a.retry_at);
        let expiry = self.channels.iter().filter_map(|c| c.expires).min();
        retry.into_iter().chain(expiry).min()
    }

    /// Retries handshakes that are due and forgets channels that expired.
    #[must_use]
    pub fn poll(&mut self, now: Now) -> Vec<Action> {
        self.channels
            .retain(|c| c.expires.is_none_or(|at| at > now.monotonic));
        let Some(mut attempt) = self.attempt.take_if(|a| a.retry_at <= now.monotonic) else {
            return Vec::new();
        };
        if self.wanted_until <= now.monotonic {
            return Vec::new();
        }
        let sent = self.try_once(&mut attempt, now);
        attempt.retry_at = now.monotonic.saturating_add(attempt.pause);
        attempt.pause = attempt.pause.saturating_mul(2).min(self.options.retry_max);
        self.attempt = Some(attempt);
        sent.into_iter().collect()
    }

    fn try_once(&self, attempt: &mut Attempt, now: Now) -> Option<Action> {
        if !self.initiates() {
            return self.message(Step::Request, [0; 16], Bytes::new(), now);
        }
        if now.monotonic.saturating_sub(attempt.began) >= BEGIN_ANEW {
            attempt.initiated = None;
            attempt.began = now.monotonic;
        }
        if attempt.initiated.is_none() {
            let (noise, first_message) = noise::initiate(&self.noise_keys())?;
            attempt.initiated = Some(Initiated {
                id: random_id(),
                noise,
                first_message,
            });
        }
        let initiated = attempt.initiated.as_ref()?;
        self.message(
            Step::Initiate,
            initiated.id,
            initiated.first_message.clone(),
            now,
        )
    }

    fn noise_keys(&self) -> noise::Keys<'_> {
        let (initiator, responder) = if self.initiates() {
            (&self.me, &self.peer)
        } else {
            (&self.peer, &self.me)
        };
        noise::Keys {
            secret: self.keys.channel_secret(),
            peer: &self.peer_channel_key,
            prologue: noise::prologue(&self.roster.hash(), initiator, responder),
        }
    }

    /// Takes a handshake message from the peer.
    ///
    /// # Errors
    /// The reason to count: undecodable, not from this peer to this party, badly signed, stale or replayed.
    pub fn on_message(&mut self, bytes: Bytes, now: Now) -> Result<Vec<Action>, Refusal> {
        let message = LinkStatement::decode(bytes, &self.roster)?;
        if message.sender != self.peer || message.recipient != self.me {
            return Err(Refusal::SubjectMismatch);
        }
        if !self.options.window.contains(message.timestamp, now.unix) {
            return Err(Refusal::StaleTimestamp);
        }
        let window = self.options.window;
        if !self
            .seen
            .record(message.id, message.timestamp, now.unix, window)
        {
            return Err(Refusal::Replay);
        }
        match (message.step, self.initiates()) {
            (Step::Initiate, false) => self.on_initiate(&message, now),
            (Step::Respond, true) => self.on_respond(&message, now),
            (Step::Request, true) => Ok(self.on_request(now)),
            (Step::Confirm, false) => {
                self.confirm(channel_in(&message)?, now);
                Ok(Vec::new())
            }
            (Step::Unknown, _) => Ok(self.on_unknown(channel_in(&message)?, now)),
            _ => Err(Refusal::Undecodable),
        }
    }

    fn on_initiate(&mut self, message: &LinkStatement, now: Now) -> Result<Vec<Action>, Refusal> {
        if let Some(answered) = &self.answered {
            if answered.id == message.handshake {
                let answer = answered.answer.clone();
                let again = self.message(Step::Respond, message.handshake, answer, now);
                return Ok(again.into_iter().collect());
            }
            if now.monotonic.saturating_sub(answered.at) < ANSWER_INTERVAL {
                return Err(Refusal::OverQuota);
            }
        }
        let (noise, id, answer) =
            noise::respond(&self.noise_keys(), &message.body).ok_or(Refusal::CannotOpen)?;
        self.answered = Some(Answered {
            id: message.handshake,
            answer: answer.clone(),
            at: now.monotonic,
        });
        self.add_channel(id, noise, false, now);
        let answer = self.message(Step::Respond, message.handshake, answer, now);
        Ok(answer.into_iter().chain([Action::Ready]).collect())
    }

    fn on_respond(&mut self, message: &LinkStatement, now: Now) -> Result<Vec<Action>, Refusal> {
        let Some(mut attempt) = self.attempt.take_if(|a| {
            a.initiated
                .as_ref()
                .is_some_and(|i| i.id == message.handshake)
        }) else {
            return Ok(Vec::new());
        };
        // A failed read spoils the state, so a bad answer ends the attempt and a new one begins.
        let finished = attempt
            .initiated
            .take()
            .and_then(|i| noise::finish(i.noise, &message.body));
        let Some((noise, id)) = finished else {
            self.begin_attempt(now);
            return Err(Refusal::CannotOpen);
        };
        self.add_channel(id, noise, true, now);
        let confirm = self.message(
            Step::Confirm,
            message.handshake,
            Bytes::copy_from_slice(id.as_bytes()),
            now,
        );
        Ok(confirm.into_iter().chain([Action::Ready]).collect())
    }

    /// A request that crossed with a finished handshake is not followed: the peer asks again if it still needs to.
    fn on_request(&mut self, now: Now) -> Vec<Action> {
        let just_finished = self
            .channels
            .front()
            .is_some_and(|c| now.monotonic.saturating_sub(c.born) < self.options.retry_first);
        if just_finished {
            return Vec::new();
        }
        self.wanted_until = now.monotonic.saturating_add(self.options.wanted_for);
        self.begin_attempt(now);
        self.poll(now)
    }

    /// The peer lost a channel: it is of no use any more.
    fn on_unknown(&mut self, channel: ChannelId, now: Now) -> Vec<Action> {
        if !self.knows(channel) {
            return Vec::new();
        }
        self.channels.retain(|c| c.id != channel);
        if self.is_ready() {
            return vec![Action::Ready];
        }
        self.want(now);
        self.poll(now)
    }

    fn add_channel(
        &mut self,
        id: ChannelId,
        noise: StatelessTransportState,
        confirmed: bool,
        now: Now,
    ) {
        self.attempt = None;
        self.channels.push_front(Channel {
            id,
            noise,
            next_nonce: 0,
            born: now.monotonic,
            confirmed,
            expires: None,
        });
        self.channels.truncate(MAX_CHANNELS);
        if confirmed {
            self.confirm(id, now);
        }
    }

    /// The peer has this channel; older ones only receive from now on, for a while.
    fn confirm(&mut self, id: ChannelId, now: Now) {
        let Some(position) = self.channels.iter().position(|c| c.id == id) else {
            return;
        };
        let expires = now.monotonic.saturating_add(self.options.keep_replaced);
        for (i, channel) in self.channels.iter_mut().enumerate().skip(position) {
            if i == position {
                channel.confirmed = true;
            } else {
                channel.expires.get_or_insert(expires);
            }
        }
    }
}

fn channel_in(message: &LinkStatement) -> Result<ChannelId, Refusal> {
    ChannelId::from_slice(&message.body).ok_or(Refusal::Undecodable)
}

fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    OsRng.fill_bytes(&mut id);
    id
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("me", &self.me)
            .field("peer", &self.peer)
            .field(
                "channels",
                &self.channels.iter().map(|c| c.id).collect::<Vec<_>>(),
            )
            .field("awaits_answer", &self.awaits_answer())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
