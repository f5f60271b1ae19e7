//! What malicious parties need: every ceremony behind one type, recordings of sessions, and surgery on encoded messages.
//!
//! A malicious party here knows the wire format but not the libraries' types: it edits bytes, replays what it recorded, or runs an
//! honest ceremony with other parameters.

use std::ops::Range;

use quorate_mpc_protocol::{
    Aux, Ceremony, DangerTestLevel, Effect, FrostMessage, Outgoing, PrimeSet, Seat, Share,
    TaprootTweak, aux_info, keygen, presign, sign_ecdsa, sign_frost,
};
use quorate_types::{CeremonyKind, Curve, DerivationPath, Threshold};

use crate::committee;
use crate::keys::Identities;
use crate::primes;
use crate::sim::{InFlight, Simulation, ceremony_rng, session_id};

/// A ceremony to attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// DKG.
    Keygen(Curve),
    /// CGGMP24 committee setup.
    Aux,
    /// CGGMP24 signing with secp256k1.
    Ecdsa,
    /// The same without a message.
    Presign,
    /// FROST over Ed25519.
    Ed25519,
    /// FROST for BIP-340, with the BIP-86 tweak.
    Bip340,
}

impl Protocol {
    /// Each once.
    pub const ALL: [Self; 8] = [
        Self::Keygen(Curve::Secp256k1),
        Self::Keygen(Curve::P256),
        Self::Keygen(Curve::Ed25519),
        Self::Aux,
        Self::Ecdsa,
        Self::Presign,
        Self::Ed25519,
        Self::Bip340,
    ];

    /// Round numbers, in the order in which they are waited for.
    #[must_use]
    pub const fn rounds(self) -> &'static [u16] {
        match self {
            Self::Keygen(_) => &[0, 4, 1, 2, 3],
            Self::Aux => &[0, 3, 1, 2],
            Self::Ecdsa => &[0, 1, 5, 2, 3, 4],
            Self::Presign => &[0, 1, 5, 2, 3],
            Self::Ed25519 | Self::Bip340 => &[0, 1],
        }
    }

    /// The round in which parties echo the first broadcasts; FROST's comes with the signature share.
    #[must_use]
    pub const fn echo_round(self) -> u16 {
        match self {
            Self::Keygen(_) => 4,
            Self::Aux => 3,
            Self::Ecdsa | Self::Presign => 5,
            Self::Ed25519 | Self::Bip340 => 1,
        }
    }

    /// As in the subject and in statements.
    #[must_use]
    pub const fn kind(self) -> CeremonyKind {
        match self {
            Self::Keygen(_) => CeremonyKind::Keygen,
            Self::Aux => CeremonyKind::Aux,
            Self::Presign => CeremonyKind::Presign,
            _ => CeremonyKind::Sign,
        }
    }
}

/// A committee in which all parties take part in everything, and its keys.
pub struct Stage {
    /// The parties.
    pub identities: Identities,
    secp256k1: Vec<Share>,
    ed25519: Vec<Share>,
    aux: Vec<Aux>,
    signers: Vec<u16>,
}

impl Stage {
    /// `n` of `n`; signers sit in another order than in the committee.
    #[must_use]
    pub fn new(n: u16) -> Self {
        let identities = Identities::new(Threshold::new(n, n).unwrap(), 7);
        Self {
            secp256k1: committee::shares(&identities, Curve::Secp256k1, 1),
            ed25519: committee::shares(&identities, Curve::Ed25519, 2),
            aux: committee::aux(&identities, 3),
            signers: (0..n).map(|seat| (seat + n - 1) % n).collect(),
            identities,
        }
    }

    /// The party of the roster in a seat.
    #[must_use]
    pub fn party(&self, protocol: Protocol, seat: u16) -> usize {
        match protocol {
            Protocol::Keygen(_) | Protocol::Aux => usize::from(seat),
            _ => usize::from(self.signers[usize::from(seat)]),
        }
    }

    /// One party's honest ceremony, its randomness from `seed`.
    #[must_use]
    pub fn ceremony(&self, protocol: Protocol, seat: Seat, seed: u64) -> Box<dyn Ceremony> {
        let primes = primes::small(seat.me());
        self.ceremony_with(protocol, seat, seed, primes)
    }

    /// The same with a choice of primes.
    #[must_use]
    pub fn ceremony_with(
        &self,
        protocol: Protocol,
        seat: Seat,
        seed: u64,
        primes: PrimeSet,
    ) -> Box<dyn Ceremony> {
        let rng = ceremony_rng(seed, seat.me());
        let party = self.party(protocol, seat.me());
        let root = DerivationPath::root();
        let signers = &self.signers;
        let ceremony = match protocol {
            Protocol::Keygen(curve) => keygen(seat, self.identities.roster.threshold(), curve, rng),
            Protocol::Aux => aux_info::<DangerTestLevel>(seat, primes, rng),
            Protocol::Ecdsa => sign_ecdsa::<DangerTestLevel>(
                seat,
                &self.secp256k1[party],
                &self.aux[party].ready().unwrap(),
                signers,
                &root,
                &crate::committee::preimage(0x33),
                rng,
            ),
            Protocol::Presign => presign::<DangerTestLevel>(
                seat,
                &self.secp256k1[party],
                &self.aux[party].ready().unwrap(),
                signers,
                &root,
                rng,
            ),
            Protocol::Ed25519 => {
                let message = FrostMessage::Ed25519(b"message".to_vec());
                sign_frost(seat, &self.ed25519[party], signers, &root, &message, rng)
            }
            Protocol::Bip340 => {
                let message = FrostMessage::Bip340 {
                    message: [0x44; 32],
                    tweak: TaprootTweak::Bip86,
                };
                sign_frost(seat, &self.secp256k1[party], signers, &root, &message, rng)
            }
        };
        ceremony.expect("ceremony starts")
    }

    /// Everyone honest. `session` and `seed` apart: two runs may share a session and differ in randomness.
    #[must_use]
    pub fn simulation(&self, protocol: Protocol, session: u64, seed: u64) -> Simulation<'_> {
        self.simulation_with(protocol, session, seed, move |seat| {
            self.ceremony(protocol, seat, seed)
        })
    }

    /// With a choice of ceremony for each seat.
    #[must_use]
    pub fn simulation_with(
        &self,
        protocol: Protocol,
        session: u64,
        seed: u64,
        mut start: impl FnMut(Seat) -> Box<dyn Ceremony>,
    ) -> Simulation<'_> {
        let n = self.identities.roster.threshold().n();
        let seats: Vec<u16> = (0..n)
            .map(|seat| u16::try_from(self.party(protocol, seat)).unwrap())
            .collect();
        let session = session_id(session);
        Simulation::new(
            &self.identities,
            protocol.kind(),
            &seats,
            session,
            seed,
            |seat| Ok(start(seat)),
        )
    }

    /// What everyone sent in an honest run.
    #[must_use]
    pub fn record(&self, protocol: Protocol, session: u64, seed: u64) -> Recording {
        let mut simulation = self.simulation(protocol, session, seed);
        simulation.run();
        Recording::of(&simulation)
    }
}

/// Messages of a session.
pub struct Recording(Vec<InFlight>);

impl Recording {
    /// All that was sent so far.
    #[must_use]
    pub fn of(simulation: &Simulation<'_>) -> Self {
        Self(simulation.transcript().to_vec())
    }

    /// What `from` sent in a round to `to`.
    #[must_use]
    pub fn find(&self, from: u16, round: u16, to: u16) -> Option<&InFlight> {
        self.0
            .iter()
            .find(|m| m.message.from == from && m.message.round == round && m.to == to)
    }

    /// Its payload; panics if nothing was sent.
    #[must_use]
    pub fn payload(&self, from: u16, round: u16, to: u16) -> &[u8] {
        let found = self.find(from, round, to).expect("recorded");
        &found.message.payload
    }
}

/// What a ceremony sends in its first step.
#[must_use]
pub fn opening_messages(ceremony: &mut dyn Ceremony) -> Vec<Outgoing> {
    ceremony
        .begin()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Send(outgoing) => Some(outgoing),
            _ => None,
        })
        .collect()
}

/// Bytes at a payload's front that bind it to session, round and sender.
pub const PLACE_LEN: usize = 32;

/// Another payload's content, made to look as if it belonged where `own` belongs.
#[must_use]
pub fn readdressed(own: &[u8], other: &[u8]) -> Vec<u8> {
    [&own[..PLACE_LEN], &other[PLACE_LEN..]].concat()
}

/// The message with another payload.
#[must_use]
pub fn with_payload(outgoing: &Outgoing, payload: Vec<u8>) -> Outgoing {
    Outgoing {
        payload,
        ..outgoing.clone()
    }
}

/// The payload with the lowest bit of one byte flipped, counted from the end of the part that binds it to its place.
#[must_use]
pub fn flipped(payload: &[u8], at: usize) -> Vec<u8> {
    let mut payload = payload.to_vec();
    payload[PLACE_LEN + at] ^= 1;
    payload
}

/// Where a payload holds big integers: radix 16, a length, that many hexadecimal digits.
#[must_use]
pub fn integers(payload: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = PLACE_LEN;
    while at < payload.len() {
        match integer_at(payload, at) {
            Some(range) => {
                at = range.end;
                found.push(range);
            }
            None => at += 1,
        }
    }
    found
}

fn integer_at(payload: &[u8], at: usize) -> Option<Range<usize>> {
    let [16, rest @ ..] = &payload[at..] else {
        return None;
    };
    let (len, width) = match rest {
        [a, ..] if *a < 0x80 => (usize::from(*a), 1),
        [a, b, ..] if *b < 0x80 => (usize::from(*a & 0x7f) | usize::from(*b) << 7, 2),
        _ => return None,
    };
    let digits = rest.get(width..width + len)?;
    let hex = digits.iter().all(|d| d.is_ascii_hexdigit() || *d == b'-');
    (hex && len >= 16).then(|| at..at + 1 + width + len)
}

/// An encoded integer of any radix, well-formed or not.
#[must_use]
pub fn integer(radix: u16, digits: &str) -> Vec<u8> {
    let mut bytes = varint(usize::from(radix));
    bytes.extend(varint(digits.len()));
    bytes.extend_from_slice(digits.as_bytes());
    bytes
}

/// LEB128.
#[must_use]
pub fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number as u8) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The payload with a part replaced.
#[must_use]
pub fn spliced(payload: &[u8], range: &Range<usize>, replacement: &[u8]) -> Vec<u8> {
    [&payload[..range.start], replacement, &payload[range.end..]].concat()
}
