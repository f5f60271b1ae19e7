//! Runs a `round_based` protocol as a [`Ceremony`].

use std::collections::{BTreeMap, VecDeque};

use quorate_types::Hash32;
use quorate_types::SignedStatement;
use quorate_types::canonical::tagged_hash;
use round_based::state_machine::{ProceedResult, StateMachine};
use round_based::{MessageDestination, MessageType, ProtocolMessage};
use serde::{Serialize, de::DeserializeOwned};

use crate::blame::LibraryError;
use crate::codec::{self, Place};
use crate::rules::Rules;
use crate::{Abort, AbortReason, Ceremony, Effect, Incoming, Outcome, Outgoing, Seat, To};

/// How a protocol run ends: its outcome or the abort it means.
pub(crate) type Ended = Result<Outcome, Abort>;

type Machine<M> = Box<dyn StateMachine<Output = Ended, Msg = M>>;

/// A check of our own on a decoded message, before the library sees it: the sender's index, the message, what is wrong.
/// It may change what the library sees.
pub(crate) type Inspect<M> = Box<dyn FnMut(u16, &mut M) -> Result<(), &'static str>>;

/// The state machine of one library protocol, with the checks every message passes first.
pub(crate) struct Adapter<M> {
    seat: Seat,
    rules: &'static Rules,
    /// `None` once ended.
    machine: Option<Machine<M>>,
    inspect: Inspect<M>,
    inbox: VecDeque<round_based::Incoming<M>>,
    /// (round, sender) to the hash of what was said: says what is still missing and catches a second, different message.
    heard: BTreeMap<(u16, u16), Hash32>,
    statements: Vec<SignedStatement>,
    pause: Box<dyn FnMut() -> bool>,
}

impl<M> Adapter<M>
where
    M: ProtocolMessage + Serialize + DeserializeOwned + 'static,
{
    pub(crate) fn new(
        seat: Seat,
        rules: &'static Rules,
        machine: impl StateMachine<Output = Ended, Msg = M> + 'static,
    ) -> Self {
        Self {
            seat,
            rules,
            machine: Some(Box::new(machine)),
            inspect: Box::new(|_, _| Ok(())),
            inbox: VecDeque::new(),
            heard: BTreeMap::new(),
            statements: Vec::new(),
            pause: Box::new(|| true),
        }
    }

    /// Adds checks to those of the library.
    pub(crate) fn with_inspection(
        mut self,
        inspect: impl FnMut(u16, &mut M) -> Result<(), &'static str> + 'static,
    ) -> Self {
        self.inspect = Box::new(inspect);
        self
    }

    fn advance(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(machine) = self.machine.as_mut() {
            match machine.proceed() {
                ProceedResult::SendMsg(message) => match self.outgoing(&message) {
                    Ok(outgoing) => effects.push(Effect::Send(outgoing)),
                    Err(detail) => effects.push(self.end(Err(Abort::local(detail)))),
                },
                ProceedResult::NeedsOneMoreMessage => match self.inbox.pop_front() {
                    Some(message) => {
                        if machine.received_msg(message).is_err() {
                            effects.push(
                                self.end(Err(Abort::local("state machine refused a message"))),
                            );
                        }
                    }
                    None => {
                        effects.push(self.need());
                        break;
                    }
                },
                ProceedResult::Yielded => {
                    if !(self.pause)() {
                        effects.push(self.end(Err(Abort::gave_way())));
                    }
                }
                ProceedResult::Output(ended) => effects.push(self.end(ended)),
                ProceedResult::Error(error) => effects.push(self.end(Err(Abort::local(error)))),
            }
        }
        effects
    }

    const fn place(&self, round: u16, from: u16) -> Place<'_> {
        Place {
            session: self.seat.session(),
            round,
            from,
        }
    }

    fn outgoing(&self, message: &round_based::Outgoing<M>) -> Result<Outgoing, String> {
        let to = match message.recipient {
            MessageDestination::AllParties => To::Everyone,
            MessageDestination::OneParty(j) => To::Party(j),
        };
        let round = message.msg.round();
        Ok(Outgoing {
            to,
            round,
            payload: self.place(round, self.seat.me()).encode(&message.msg)?,
        })
    }

    fn end(&mut self, ended: Ended) -> Effect {
        self.machine = None;
        match ended {
            Ok(outcome) => Effect::Done(Box::new(outcome)),
            Err(mut abort) => {
                if matches!(abort.reason, AbortReason::UnreliableBroadcast { .. }) {
                    abort.evidence = std::mem::take(&mut self.statements);
                }
                Effect::Abort(abort)
            }
        }
    }

    /// The first round in waiting order that someone has not been heard in.
    fn need(&self) -> Effect {
        let missing = |round: u16| -> Vec<u16> {
            self.seat
                .peers()
                .filter(|j| !self.heard.contains_key(&(round, *j)))
                .collect()
        };
        let (round, from) = self
            .rules
            .rounds
            .iter()
            .map(|rule| (rule.number, missing(rule.number)))
            .find(|(_, from)| !from.is_empty())
            .unwrap_or((0, Vec::new()));
        Effect::Need { round, from }
    }

    /// Everything that can be checked before the library sees the message. `Ok(None)` is a harmless repetition.
    fn check(&mut self, incoming: Incoming) -> Result<Option<round_based::Incoming<M>>, Abort> {
        let Incoming {
            from,
            round,
            broadcast,
            payload,
            statement,
        } = incoming;
        if from >= self.seat.parties() || from == self.seat.me() {
            return Err(Abort::local(format!(
                "message delivered from impossible seat {from}"
            )));
        }
        let invalid = |detail: &str| Abort::invalid_message(from, round, detail);
        let rule = self
            .rules
            .round(round)
            .ok_or_else(|| invalid("the protocol has no such round"))?;
        if rule.broadcast != broadcast {
            return Err(invalid(
                "broadcast where a direct message belongs, or the reverse",
            ));
        }
        let bytes = self
            .place(round, from)
            .open(&payload, self.rules.max_len)
            .map_err(|detail| Abort::invalid_message(from, round, detail))?;
        let digest = tagged_hash("quorate/payload-seen/v1", &[bytes]);
        match self.heard.get(&(round, from)) {
            Some(seen) if *seen == digest => return Ok(None),
            Some(_) => return Err(invalid("a second, different message in the same round")),
            None => {}
        }
        let mut message: M = codec::decode(bytes, self.rules.max_item)
            .map_err(|detail| Abort::invalid_message(from, round, detail))?;
        if message.round() != round {
            return Err(invalid("the envelope names another round than the message"));
        }
        (self.inspect)(from, &mut message).map_err(|detail| Abort::failed_check(from, detail))?;
        let id = self.heard.len() as u64;
        self.heard.insert((round, from), digest);
        self.statements.extend(statement.filter(|_| broadcast));
        let msg_type = if broadcast {
            MessageType::Broadcast
        } else {
            MessageType::P2P
        };
        Ok(Some(round_based::Incoming {
            id,
            sender: from,
            msg_type,
            msg: message,
        }))
    }
}

impl<M> Ceremony for Adapter<M>
where
    M: ProtocolMessage + Serialize + DeserializeOwned + 'static,
{
    fn begin(&mut self) -> Vec<Effect> {
        self.advance()
    }

    fn deliver(&mut self, message: Incoming) -> Vec<Effect> {
        if self.machine.is_none() {
            return Vec::new();
        }
        match self.check(message) {
            Ok(Some(message)) => {
                self.inbox.push_back(message);
                self.advance()
            }
            Ok(None) => vec![self.need()],
            Err(abort) => vec![self.end(Err(abort))],
        }
    }

    fn between_computations(&mut self, pause: Box<dyn FnMut() -> bool>) {
        self.pause = pause;
    }
}

/// Maps a library's result: success through `finish`, failure through its blame.
pub(crate) fn conclude<T, E: std::error::Error + 'static>(
    result: Result<T, E>,
    rules: &'static Rules,
    finish: impl FnOnce(T) -> Ended,
) -> Ended {
    match result {
        Ok(value) => finish(value),
        Err(error) => {
            let first_round = rules.rounds.first().map_or(0, |r| r.number);
            Err(LibraryError::new(&error).into_abort(first_round))
        }
    }
}
