//! What both ceremonies do alike: check a message's outside, wait for everyone, end once.

use std::collections::BTreeMap;

use quorate_types::canonical::tagged_hash;
use quorate_types::{Hash32, SignedStatement};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::codec::{self, Place};
use crate::{Abort, AbortReason, Ceremony, Effect, Incoming, Outgoing, Seat, To};

/// One kind of message.
#[derive(Debug)]
pub(super) struct Round {
    pub broadcast: bool,
    /// The longest payload accepted, in bytes, with the 32 that bind it to its place.
    pub max_len: usize,
}

/// The steps of one ceremony. Rounds are numbered as in its list of them.
pub(super) trait Steps {
    /// In the order a party waits for them.
    const ROUNDS: &'static [Round];

    /// The first messages.
    fn begin(&mut self, post: &Mailbox) -> Result<Vec<Effect>, Abort>;

    /// Keeps a peer's message, the first in its round. The error says what is wrong with it.
    fn keep(&mut self, from: u16, round: u16, bytes: &[u8]) -> Result<(), Abort>;

    /// Does what the messages kept allow.
    fn advance(&mut self, post: &Mailbox) -> Result<Vec<Effect>, Abort>;
}

/// Seat, and what was heard.
pub(super) struct Mailbox {
    pub seat: Seat,
    rounds: &'static [Round],
    /// (round, sender) to the hash of what was said.
    heard: BTreeMap<(u16, u16), Hash32>,
    statements: Vec<SignedStatement>,
}

impl Mailbox {
    /// Whether every peer was heard in a round.
    pub(super) fn is_full(&self, round: u16) -> bool {
        self.missing(round).is_empty()
    }

    pub(super) fn send<M: Serialize>(
        &self,
        to: To,
        round: u16,
        message: &M,
    ) -> Result<Effect, Abort> {
        let place = self.place(round, self.seat.me());
        Ok(Effect::Send(Outgoing {
            to,
            round,
            payload: place.encode(message).map_err(Abort::local)?,
        }))
    }

    fn missing(&self, round: u16) -> Vec<u16> {
        self.seat
            .peers()
            .filter(|j| !self.heard.contains_key(&(round, *j)))
            .collect()
    }

    fn need(&self) -> Effect {
        (0u16..)
            .zip(self.rounds)
            .map(|(round, _)| (round, self.missing(round)))
            .find(|(_, from)| !from.is_empty())
            .map_or(
                Effect::Need {
                    round: 0,
                    from: Vec::new(),
                },
                |(round, from)| Effect::Need { round, from },
            )
    }

    const fn place(&self, round: u16, from: u16) -> Place<'_> {
        Place {
            session: self.seat.session(),
            round,
            from,
        }
    }

    /// The content of a message that may be looked into. `Ok(None)` is a harmless repetition.
    fn open<'p>(&mut self, incoming: &'p Incoming) -> Result<Option<&'p [u8]>, Abort> {
        let Incoming {
            from,
            round,
            broadcast,
            payload,
            statement,
        } = incoming;
        let (from, round) = (*from, *round);
        if from >= self.seat.parties() || from == self.seat.me() {
            return Err(Abort::local(format!(
                "message delivered from impossible seat {from}"
            )));
        }
        let invalid = |detail: &str| Abort::invalid_message(from, round, detail);
        let rule = self
            .rounds
            .get(usize::from(round))
            .ok_or_else(|| invalid("the protocol has no such round"))?;
        if rule.broadcast != *broadcast {
            return Err(invalid(
                "broadcast where a direct message belongs, or the reverse",
            ));
        }
        let bytes = self
            .place(round, from)
            .open(payload, rule.max_len)
            .map_err(|detail| invalid(&detail))?;
        let digest = tagged_hash("quorate/payload-seen/v1", &[bytes]);
        match self.heard.get(&(round, from)) {
            Some(seen) if *seen == digest => return Ok(None),
            Some(_) => return Err(invalid("a second, different message in the same round")),
            None => {}
        }
        self.heard.insert((round, from), digest);
        self.statements
            .extend(statement.iter().filter(|_| *broadcast).cloned());
        Ok(Some(bytes))
    }
}

/// Decodes a message, which must be the only encoding of what it says.
pub(super) fn decode<M: Serialize + DeserializeOwned>(
    bytes: &[u8],
    max_item: usize,
) -> Result<M, String> {
    let message: M = codec::decode(bytes, max_item)?;
    // Direct messages are secret, and so is the copy.
    let mut again = Zeroizing::new(vec![0; bytes.len()]);
    let same = postcard::to_slice(&message, &mut again).is_ok_and(|again| *again == *bytes);
    if same {
        Ok(message)
    } else {
        Err("not the canonical encoding".to_owned())
    }
}

/// A ceremony from its steps.
pub(super) struct Driven<S> {
    mailbox: Mailbox,
    begun: bool,
    /// `None` once ended: the secrets go with it.
    steps: Option<S>,
}

impl<S: Steps> Driven<S> {
    pub(super) const fn new(seat: Seat, steps: S) -> Self {
        Self {
            mailbox: Mailbox {
                seat,
                rounds: S::ROUNDS,
                heard: BTreeMap::new(),
                statements: Vec::new(),
            },
            begun: false,
            steps: Some(steps),
        }
    }

    fn take(&mut self, incoming: &Incoming) -> Result<Vec<Effect>, Abort> {
        let Some(steps) = self.steps.as_mut() else {
            return Ok(Vec::new());
        };
        if let Some(bytes) = self.mailbox.open(incoming)? {
            steps.keep(incoming.from, incoming.round, bytes)?;
            self.advance()
        } else {
            Ok(Vec::new())
        }
    }

    fn advance(&mut self) -> Result<Vec<Effect>, Abort> {
        match self.steps.as_mut() {
            Some(steps) if self.begun => steps.advance(&self.mailbox),
            _ => Ok(Vec::new()),
        }
    }

    /// Every call ends with `Need`, or with the end.
    fn conclude(&mut self, result: Result<Vec<Effect>, Abort>) -> Vec<Effect> {
        let mut effects = result.unwrap_or_else(|mut abort| {
            if matches!(abort.reason, AbortReason::UnreliableBroadcast { .. }) {
                abort.evidence = std::mem::take(&mut self.mailbox.statements);
            }
            vec![Effect::Abort(abort)]
        });
        if effects
            .iter()
            .any(|e| matches!(e, Effect::Done(_) | Effect::Abort(_)))
        {
            self.steps = None;
        } else {
            effects.push(self.mailbox.need());
        }
        effects
    }
}

impl<S: Steps> Ceremony for Driven<S> {
    fn begin(&mut self) -> Vec<Effect> {
        let Some(steps) = self.steps.as_mut().filter(|_| !self.begun) else {
            return Vec::new();
        };
        self.begun = true;
        let result = steps.begin(&self.mailbox).and_then(|mut effects| {
            // Peers may have been heard before the first step.
            effects.extend(steps.advance(&self.mailbox)?);
            Ok(effects)
        });
        self.conclude(result)
    }

    fn deliver(&mut self, message: Incoming) -> Vec<Effect> {
        if self.steps.is_none() {
            return Vec::new();
        }
        let result = self.take(&message);
        self.conclude(result)
    }
}
