//! DKLs23 for tests: setups and signing sessions in the simulator.
//!
//! The library draws its own randomness, so a seed repeats the network's misbehaviour but not the messages.

use quorate_mpc_protocol::{
    Abort, Ceremony, DklsSetup, Effect, Incoming, Outcome, Seat, Share, dkls_setup, sign_dkls,
};
use quorate_types::{CeremonyKind, Curve, DerivationPath, Preimage, SessionId, Threshold};

use crate::committee::{self, preimage};
use crate::keys::Identities;
use crate::malicious::{flipped, with_payload};
use crate::sim::{Simulation, session_id};

/// A setup of the whole committee, ready to run.
#[must_use]
pub fn setup_simulation<'a>(
    identities: &'a Identities,
    shares: &'a [Share],
    seed: u64,
) -> Simulation<'a> {
    Simulation::new(
        identities,
        CeremonyKind::Aux,
        &committee::all_seats(identities.roster.threshold()),
        session_id(seed),
        seed,
        |seat| {
            let share = &shares[usize::from(seat.me())];
            dkls_setup(seat, share)
        },
    )
}

/// Setups of a key, in committee order.
#[must_use]
pub fn setups(identities: &Identities, shares: &[Share], seed: u64) -> Vec<DklsSetup> {
    let mut simulation = setup_simulation(identities, shares, seed);
    simulation.run();
    simulation
        .endings()
        .into_iter()
        .map(|ending| match ending.done() {
            Outcome::DklsSetup(setup) => setup,
            other => panic!("not a setup: {other:?}"),
        })
        .collect()
}

/// A signing session of `signers` (committee indices), ready to run.
#[must_use]
pub fn signing_simulation<'a>(
    identities: &'a Identities,
    shares: &'a [Share],
    setups: &'a [DklsSetup],
    signers: &'a [u16],
    path: &'a DerivationPath,
    message: &'a Preimage,
    seed: u64,
) -> Simulation<'a> {
    Simulation::new(
        identities,
        CeremonyKind::Sign,
        signers,
        session_id(seed),
        seed,
        |seat| {
            let party = usize::from(signers[usize::from(seat.me())]);
            sign_dkls(seat, &shares[party], &setups[party], signers, path, message)
        },
    )
}

/// A ceremony to attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The setup of a key.
    Setup,
    /// Signing.
    Sign,
}

impl Protocol {
    /// Each once.
    pub const ALL: [Self; 2] = [Self::Setup, Self::Sign];

    /// Round numbers, in the order in which they are waited for.
    #[must_use]
    pub const fn rounds(self) -> &'static [u16] {
        match self {
            Self::Setup => &[0, 1],
            Self::Sign => &[0, 1, 2, 3],
        }
    }

    /// As in the subject and in statements.
    #[must_use]
    pub const fn kind(self) -> CeremonyKind {
        match self {
            Self::Setup => CeremonyKind::Aux,
            Self::Sign => CeremonyKind::Sign,
        }
    }
}

/// A committee of which all take part in everything, with one key and its setups.
pub struct Stage {
    /// The parties.
    pub identities: Identities,
    /// In committee order.
    pub shares: Vec<Share>,
    /// In committee order.
    pub setups: Vec<DklsSetup>,
    signers: Vec<u16>,
}

impl Stage {
    /// `n` of `n`; signers sit in another order than in the committee.
    #[must_use]
    pub fn new(n: u16, curve: Curve) -> Self {
        let identities = Identities::new(Threshold::new(n, n).unwrap(), 7);
        let shares = committee::shares(&identities, curve, 1);
        Self {
            setups: setups(&identities, &shares, 2),
            signers: (0..n).map(|seat| (seat + n - 1) % n).collect(),
            identities,
            shares,
        }
    }

    /// The party of the roster in a seat.
    #[must_use]
    pub fn party(&self, protocol: Protocol, seat: u16) -> usize {
        match protocol {
            Protocol::Setup => usize::from(seat),
            Protocol::Sign => usize::from(self.signers[usize::from(seat)]),
        }
    }

    /// One party's honest ceremony.
    #[must_use]
    pub fn ceremony(&self, protocol: Protocol, seat: Seat) -> Box<dyn Ceremony> {
        let party = self.party(protocol, seat.me());
        let share = &self.shares[party];
        match protocol {
            Protocol::Setup => dkls_setup(seat, share),
            Protocol::Sign => sign_dkls(
                seat,
                share,
                &self.setups[party],
                &self.signers,
                &DerivationPath::root(),
                &preimage(0x55),
            ),
        }
        .expect("ceremony starts")
    }

    /// Everyone honest.
    #[must_use]
    pub fn simulation(&self, protocol: Protocol, session: u64) -> Simulation<'_> {
        self.simulation_with(protocol, session, move |seat| self.ceremony(protocol, seat))
    }

    /// With a choice of ceremony for each seat.
    #[must_use]
    pub fn simulation_with(
        &self,
        protocol: Protocol,
        session: u64,
        mut start: impl FnMut(Seat) -> Box<dyn Ceremony>,
    ) -> Simulation<'_> {
        let n = self.identities.roster.threshold().n();
        let seats: Vec<u16> = (0..n)
            .map(|seat| u16::try_from(self.party(protocol, seat)).unwrap())
            .collect();
        Simulation::new(
            &self.identities,
            protocol.kind(),
            &seats,
            session_id(session),
            session,
            |seat| Ok(start(seat)),
        )
    }
}

/// Where in an offer its sender proves that its transfers are consistent.
pub const PROOF: usize = 20_080;

/// A party that signs with its own share and setup, and honestly but for one bit of that proof: every peer must ban it.
pub struct Cheat {
    /// As its store has it; of a secp256k1 key.
    pub share: Vec<u8>,
    /// As its store has it.
    pub setup: Vec<u8>,
    /// Committee indices, in protocol order.
    pub signers: Vec<u16>,
    /// What is signed by the root key.
    pub message: Preimage,
}

impl Cheat {
    /// Its ceremony in a session, in a seat.
    ///
    /// # Errors
    /// As [`sign_dkls`].
    pub fn start(&self, session: SessionId, me: u16) -> Result<Box<dyn Ceremony>, Abort> {
        let parties = u16::try_from(self.signers.len()).unwrap();
        let honest = sign_dkls(
            Seat::new(session, me, parties).unwrap(),
            &Share::from_secret_bytes(Curve::Secp256k1, &self.share).unwrap(),
            &DklsSetup::from_secret_bytes(&self.setup).unwrap(),
            &self.signers,
            &DerivationPath::root(),
            &self.message,
        )?;
        Ok(Box::new(Inconsistent(honest)))
    }
}

struct Inconsistent(Box<dyn Ceremony>);

impl Inconsistent {
    fn change(effect: Effect) -> Effect {
        match effect {
            Effect::Send(message) if message.round == 0 => {
                let payload = flipped(&message.payload, PROOF);
                Effect::Send(with_payload(&message, payload))
            }
            other => other,
        }
    }
}

impl Ceremony for Inconsistent {
    fn begin(&mut self) -> Vec<Effect> {
        self.0.begin().into_iter().map(Self::change).collect()
    }

    fn deliver(&mut self, message: Incoming) -> Vec<Effect> {
        let step = self.0.deliver(message);
        step.into_iter().map(Self::change).collect()
    }
}
