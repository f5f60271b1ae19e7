//! A whole committee in one thread: ceremonies, a queue of messages in flight, and a seeded adversary on the network.
//!
//! The simulated network stands where `messaging` stands in a real cluster: it authenticates senders, so a corrupted message
//! here is one that its own sender corrupted.

use std::collections::{BTreeSet, VecDeque};

use ed25519_dalek::Signer as _;
use quorate_mpc_protocol::{
    Abort, Ceremony, CeremonyRng, Effect, Incoming, Outcome, Outgoing, Seat, To,
};
use quorate_types::canonical::{Canonical as _, tagged_hash};
use quorate_types::{CeremonyKind, Recipient, SessionId, SignedStatement, Statement};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::keys::Identities;

/// How the network misbehaves; each a chance in 1000 per delivery.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Lost, but sent again later, as the messenger does.
    pub delay: u16,
    /// Lost for good: its receiver's driver will time out.
    pub lose: u16,
    /// Delivered twice.
    pub duplicate: u16,
    /// One bit flipped by the sender.
    pub corrupt: u16,
    /// Whether the next delivery is any message in flight rather than the oldest.
    pub reorder: bool,
}

impl Faults {
    /// What the simulation tests use.
    pub const HOSTILE: Self = Self {
        delay: 100,
        lose: 3,
        duplicate: 50,
        corrupt: 3,
        reorder: true,
    };
}

/// How one party's ceremony ended.
#[derive(Debug)]
pub enum Ending {
    /// With a result.
    Done(Outcome),
    /// With an abort.
    Abort(Abort),
    /// Waiting for messages that never come; a driver's time-out would abort and name these.
    Waiting {
        /// The round.
        round: u16,
        /// Who is missing.
        missing: Vec<u16>,
    },
}

impl Ending {
    /// The outcome of a party that must have finished.
    #[must_use]
    pub fn done(self) -> Outcome {
        match self {
            Self::Done(outcome) => outcome,
            other => panic!("expected a result, got {other:?}"),
        }
    }

    /// The abort of a party that must have aborted.
    #[must_use]
    pub fn abort(self) -> Abort {
        match self {
            Self::Abort(abort) => abort,
            other => panic!("expected an abort, got {other:?}"),
        }
    }
}

/// A message on its way.
#[derive(Clone)]
pub struct InFlight {
    /// Receiver's seat.
    pub to: u16,
    /// The message.
    pub message: Incoming,
}

/// Changes what a malicious party sends: gets each of its messages once per receiver and may alter or drop it.
pub type Meddle<'a> = Box<dyn FnMut(u16, &Outgoing) -> Option<Outgoing> + 'a>;

/// A committee running one ceremony.
pub struct Simulation<'a> {
    identities: &'a Identities,
    session: SessionId,
    kind: CeremonyKind,
    /// Roster index of each seat.
    seats: Vec<u16>,
    ceremonies: Vec<Box<dyn Ceremony>>,
    endings: Vec<Option<Ending>>,
    network: VecDeque<InFlight>,
    sent: Vec<InFlight>,
    sequences: Vec<u32>,
    faults: Faults,
    rng: ChaCha20Rng,
    meddlers: Vec<(u16, Meddle<'a>)>,
    corrupted: BTreeSet<u16>,
}

/// A session id from a number.
#[must_use]
pub fn session_id(number: u64) -> SessionId {
    SessionId::from_bytes(*tagged_hash("test/session", &[&number.to_le_bytes()]).as_bytes())
}

/// A ceremony's own randomness, different for every seat.
#[must_use]
pub fn ceremony_rng(seed: u64, seat: u16) -> CeremonyRng {
    CeremonyRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(u64::from(seat)))
}

impl<'a> Simulation<'a> {
    /// `start` builds the ceremony of each seat; `seats` says which party of the roster sits there.
    pub fn new(
        identities: &'a Identities,
        kind: CeremonyKind,
        seats: &[u16],
        session: SessionId,
        seed: u64,
        mut start: impl FnMut(Seat) -> Result<Box<dyn Ceremony>, Abort>,
    ) -> Self {
        let n = u16::try_from(seats.len()).unwrap();
        let ceremonies = (0..n)
            .map(|me| start(Seat::new(session, me, n).unwrap()).expect("ceremony starts"))
            .collect();
        Self {
            identities,
            session,
            kind,
            seats: seats.to_vec(),
            ceremonies,
            endings: seats.iter().map(|_| None).collect(),
            network: VecDeque::new(),
            sent: Vec::new(),
            sequences: vec![0; seats.len()],
            faults: Faults::default(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            meddlers: Vec::new(),
            corrupted: BTreeSet::new(),
        }
    }

    /// Makes the network hostile.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Makes a party malicious.
    #[must_use]
    pub fn with_meddler(
        mut self,
        seat: u16,
        meddle: impl FnMut(u16, &Outgoing) -> Option<Outgoing> + 'a,
    ) -> Self {
        self.meddlers.push((seat, Box::new(meddle)));
        self
    }

    /// Every message sent so far, as it was put on the network.
    #[must_use]
    pub fn transcript(&self) -> &[InFlight] {
        &self.sent
    }

    /// Seats of which a message was corrupted on delivery: only these may be blamed.
    #[must_use]
    pub const fn corrupted(&self) -> &BTreeSet<u16> {
        &self.corrupted
    }

    /// Puts a message on the network from outside.
    pub fn inject(&mut self, message: InFlight) {
        self.network.push_back(message);
    }

    /// Runs until nothing is in flight.
    pub fn run(&mut self) {
        for seat in 0..self.ceremonies.len() {
            let effects = self.ceremonies[seat].begin();
            self.apply(seat, effects);
        }
        self.drain();
    }

    /// Delivers what is in flight.
    pub fn drain(&mut self) {
        while let Some(delivery) = self.next_delivery() {
            let seat = usize::from(delivery.to);
            if matches!(self.endings[seat], Some(Ending::Done(_) | Ending::Abort(_))) {
                continue;
            }
            let effects = self.ceremonies[seat].deliver(delivery.message);
            self.apply(seat, effects);
        }
    }

    /// How everyone ended, in seat order.
    #[must_use]
    pub fn endings(self) -> Vec<Ending> {
        self.endings
            .into_iter()
            .map(|e| e.expect("every ceremony said something"))
            .collect()
    }

    fn chance(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.rng.next_u32() % 1000 < u32::from(per_mille)
    }

    fn next_delivery(&mut self) -> Option<InFlight> {
        loop {
            let index = if self.faults.reorder && !self.network.is_empty() {
                (self.rng.next_u64() % self.network.len() as u64) as usize
            } else {
                0
            };
            let mut delivery = self.network.remove(index)?;
            if self.chance(self.faults.lose) {
                continue;
            }
            if self.chance(self.faults.delay) {
                self.network.push_back(delivery);
                continue;
            }
            if self.chance(self.faults.duplicate) {
                self.network.push_back(delivery.clone());
            }
            if self.chance(self.faults.corrupt) && !delivery.message.payload.is_empty() {
                let len = delivery.message.payload.len() as u64;
                let at = (self.rng.next_u64() % len) as usize;
                delivery.message.payload[at] ^= 1 << (self.rng.next_u32() % 8);
                self.corrupted.insert(delivery.message.from);
            }
            return Some(delivery);
        }
    }

    fn apply(&mut self, seat: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(outgoing) => self.send(seat, &outgoing),
                Effect::Need { round, from } => {
                    self.endings[seat] = Some(Ending::Waiting {
                        round,
                        missing: from,
                    });
                }
                Effect::Done(outcome) => self.endings[seat] = Some(Ending::Done(*outcome)),
                Effect::Abort(abort) => self.endings[seat] = Some(Ending::Abort(abort)),
            }
        }
    }

    fn send(&mut self, seat: usize, outgoing: &Outgoing) {
        let from = u16::try_from(seat).unwrap();
        let sequence = self.sequences[seat];
        self.sequences[seat] += 1;
        let receivers: Vec<u16> = match outgoing.to {
            To::Everyone => (0..self.seats.len() as u16)
                .filter(|j| *j != from)
                .collect(),
            To::Party(j) => vec![j],
        };
        for to in receivers {
            let meddler = self.meddlers.iter_mut().find(|(s, _)| *s == from);
            let message = match meddler {
                Some((_, meddle)) => meddle(to, outgoing),
                None => Some(outgoing.clone()),
            };
            if let Some(message) = message {
                let incoming = self.incoming(from, sequence, &message);
                let delivery = InFlight {
                    to,
                    message: incoming,
                };
                self.sent.push(delivery.clone());
                self.network.push_back(delivery);
            }
        }
    }

    fn incoming(&self, from: u16, sequence: u32, message: &Outgoing) -> Incoming {
        let broadcast = message.to == To::Everyone;
        Incoming {
            from,
            round: message.round,
            broadcast,
            payload: message.payload.clone(),
            statement: broadcast.then(|| self.statement(from, sequence, message)),
        }
    }

    fn statement(&self, from: u16, sequence: u32, message: &Outgoing) -> SignedStatement {
        let party = usize::from(self.seats[usize::from(from)]);
        let statement = Statement {
            session: self.session,
            kind: self.kind,
            round: message.round,
            sender: self.identities.roster.parties()[party].id.clone(),
            recipient: Recipient::Everyone,
            sequence,
            timestamp: 0,
            commitment: tagged_hash("test/commitment", &[&message.payload]),
            body: tagged_hash("test/body", &[&message.payload]),
        };
        let signature = self.identities.parties[party]
            .sign(&statement.signing_bytes())
            .to_bytes();
        SignedStatement {
            statement,
            signature,
        }
    }
}
