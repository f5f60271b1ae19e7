//! What the ceremony alone costs: all signers in one thread, handed each other's messages, without sealing, sessions, processes or
//! disks. `cargo bench -p quorate-mpc-protocol` compares it with the bare library.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use quorate_mpc_protocol::{
    Abort, Aux, Ceremony, DklsSetup, Effect, FrostMessage, FrostNonces, Incoming, Outcome,
    Production, ReadyAux, Seat, Share, TaprootTweak, To, dkls_setup, keygen, presign, sign_dkls,
    sign_ecdsa,
};
use quorate_party_agent::boot::store_dir;
use quorate_party_agent::passphrase;
use quorate_storage::{EncryptedFileStore, ItemKind};
use quorate_testkit::committee::preimage;
use quorate_testkit::sim::{ceremony_rng, session_id};
use quorate_types::{Curve, DerivationPath, PartyId, Protocol, Scheme, Threshold};
use rustix::time::{ClockId, clock_gettime};

use crate::cluster::Stopped;

/// CPU time of the calling thread.
fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// One ceremony to measure again and again.
pub struct Alone {
    threshold: Threshold,
    scheme: Scheme,
    shares: Vec<Share>,
    aux: Arc<Vec<ReadyAux<Production>>>,
    /// Everyone's for DKLs23; none for other protocols.
    setups: Vec<DklsSetup>,
    /// Whether presignatures are made, for ECDSA.
    presign: bool,
}

/// What is measured.
#[derive(Clone, Copy)]
pub struct Subject {
    /// Of the committee.
    pub threshold: Threshold,
    /// Of the key.
    pub curve: Curve,
    /// Of the key.
    pub scheme: Scheme,
    /// That signs.
    pub protocol: Protocol,
    /// Whether presignatures are made instead of signatures.
    pub presign: bool,
}

impl Alone {
    /// For this scheme, with shares of a key of its own; the signers' auxiliary information where the protocol needs it.
    ///
    /// # Errors
    /// Shares that cannot be made.
    pub fn prepare(subject: Subject, aux: Arc<Vec<ReadyAux<Production>>>) -> anyhow::Result<Self> {
        let Subject {
            threshold, scheme, ..
        } = subject;
        let shares = shares(threshold, subject.curve)?;
        let setups = match subject.protocol {
            Protocol::Dkls23 => setups(&shares)?,
            Protocol::Cggmp24 | Protocol::Frost => Vec::new(),
        };
        Ok(Self {
            threshold,
            scheme,
            shares,
            aux,
            setups,
            presign: subject.presign,
        })
    }

    /// CPU time of all signers together for one signature, the average of so many.
    ///
    /// # Errors
    /// A ceremony that does not end with a signature.
    pub fn cost(&self, samples: u32) -> anyhow::Result<Duration> {
        let began = thread_time();
        for number in 0..samples {
            self.sign(u64::from(number))?;
        }
        Ok((thread_time() - began) / samples.max(1))
    }

    fn sign(&self, number: u64) -> anyhow::Result<()> {
        let signers: Vec<u16> = (0..self.threshold.t()).collect();
        let message = match self.scheme {
            Scheme::Ecdsa => None,
            Scheme::Bip340 => Some(FrostMessage::Bip340 {
                message: [7; 32],
                tweak: TaprootTweak::Bip86,
            }),
            Scheme::Eddsa => Some(FrostMessage::Ed25519(vec![7; 150])),
        };
        if let Some(message) = message {
            return self.sign_in_one_round(number, &signers, &message);
        }
        let outcomes = exchange(self.threshold.t(), number, |seat| {
            self.start(seat, &signers, number)
        })?;
        let ended = |outcome: &Outcome| match self.presign {
            true => matches!(outcome, Outcome::Presignature(_)),
            false => matches!(outcome, Outcome::Signature(_)),
        };
        ensure!(outcomes.iter().all(ended), "not everyone has a signature");
        Ok(())
    }

    /// FROST: everyone's nonces, then everyone's share.
    fn sign_in_one_round(
        &self,
        number: u64,
        signers: &[u16],
        message: &FrostMessage,
    ) -> anyhow::Result<()> {
        let failed = |abort: Abort| anyhow::anyhow!("{abort}");
        let made = self.shares.iter().zip(signers).map(|(share, me)| {
            FrostNonces::generate(share, &mut ceremony_rng(number, *me)).map_err(failed)
        });
        let (nonces, list): (Vec<_>, Vec<_>) = made
            .collect::<anyhow::Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        for (share, nonces) in self.shares.iter().zip(nonces) {
            nonces
                .sign(share, signers, &DerivationPath::root(), &list, message)
                .map_err(failed)?;
        }
        Ok(())
    }

    fn start(
        &self,
        seat: Seat,
        signers: &[u16],
        number: u64,
    ) -> anyhow::Result<Result<Box<dyn Ceremony>, Abort>> {
        let me = usize::from(seat.me());
        let share = self.shares.get(me).context("no share")?;
        let rng = ceremony_rng(number, seat.me());
        let root = DerivationPath::root();
        let message = preimage(number);
        if let Some(setup) = self.setups.get(me) {
            return Ok(sign_dkls(seat, share, setup, signers, &root, &message));
        }
        let aux = self.aux.get(me).context("no auxiliary information")?;
        Ok(match self.presign {
            true => presign::<Production>(seat, share, aux, signers, &root, rng),
            false => sign_ecdsa::<Production>(seat, share, aux, signers, &root, &message, rng),
        })
    }
}

fn shares(threshold: Threshold, curve: Curve) -> anyhow::Result<Vec<Share>> {
    let outcomes = exchange(threshold.n(), 1, |seat| {
        let rng = ceremony_rng(1, seat.me());
        Ok(keygen(seat, threshold, curve, rng))
    })?;
    let share = |outcome| match outcome {
        Outcome::Share(share) => Ok(share),
        _ => bail!("key generation yielded something else"),
    };
    outcomes.into_iter().map(share).collect()
}

fn setups(shares: &[Share]) -> anyhow::Result<Vec<DklsSetup>> {
    let outcomes = exchange(u16::try_from(shares.len())?, 2, |seat| {
        let share = shares.get(usize::from(seat.me())).context("no share")?;
        Ok(dkls_setup(seat, share))
    })?;
    let setup = |outcome| match outcome {
        Outcome::DklsSetup(setup) => Ok(setup),
        _ => bail!("the setup yielded something else"),
    };
    outcomes.into_iter().map(setup).collect()
}

/// The signers' auxiliary information, from the stores of a cluster whose committee is set up, because making it takes a minute. The
/// cluster is a benchmark's and guards nothing.
///
/// # Errors
/// A committee that is not set up.
pub fn read_aux(cluster: &Stopped, signers: u16) -> anyhow::Result<Vec<ReadyAux<Production>>> {
    // With tables, as agents that make presignatures have them.
    let of_one = |number| {
        let aux = aux_of(&cluster.custodian(number), number)?.ready()?;
        Ok(aux.with_tables()?)
    };
    (1..=signers).map(of_one).collect()
}

fn aux_of(custodian: &Path, number: u16) -> anyhow::Result<Aux> {
    let party = PartyId::new(&format!("party-{number}"))?;
    let file = custodian.join("passphrase");
    let secret = passphrase::obtain(Some(&file), "QUORATE_PASSPHRASE", "")?;
    let store = EncryptedFileStore::open(&store_dir(&custodian.join("data")), &party, &secret)?;
    let items = store.list(ItemKind::Aux)?;
    let item = items.first().context("the committee is not set up")?;
    Ok(Aux::from_secret_bytes(&store.get(*item)?))
}

/// Runs a ceremony of so many parties to its end, messages in the order in which they were sent.
fn exchange(
    parties: u16,
    session: u64,
    start: impl Fn(Seat) -> anyhow::Result<Result<Box<dyn Ceremony>, Abort>>,
) -> anyhow::Result<Vec<Outcome>> {
    let mut table = Table {
        parties,
        queue: VecDeque::new(),
        outcomes: (0..parties).map(|_| None).collect(),
    };
    let mut ceremonies = Vec::new();
    for me in 0..parties {
        let seat = Seat::new(session_id(session), me, parties)?;
        ceremonies.push(start(seat)?.map_err(|e| anyhow::anyhow!("{e}"))?);
    }
    for (me, ceremony) in (0u16..).zip(&mut ceremonies) {
        table.apply(me, ceremony.begin())?;
    }
    while let Some((to, message)) = table.queue.pop_front() {
        let ceremony = ceremonies.get_mut(usize::from(to)).context("no seat")?;
        table.apply(to, ceremony.deliver(message))?;
    }
    let outcomes: Option<Vec<Outcome>> = table.outcomes.into_iter().collect();
    outcomes.context("a ceremony did not end")
}

/// Messages on their way, and what has come out.
struct Table {
    parties: u16,
    queue: VecDeque<(u16, Incoming)>,
    outcomes: Vec<Option<Outcome>>,
}

impl Table {
    fn apply(&mut self, from: u16, effects: Vec<Effect>) -> anyhow::Result<()> {
        for effect in effects {
            match effect {
                Effect::Need { .. } => {}
                Effect::Abort(abort) => bail!("{abort}"),
                Effect::Done(outcome) => {
                    let place = self.outcomes.get_mut(usize::from(from));
                    *place.context("no seat")? = Some(*outcome);
                }
                Effect::Send(message) => {
                    let wanted =
                        |to: &u16| message.to == To::Everyone || message.to == To::Party(*to);
                    for to in (0..self.parties).filter(|to| *to != from).filter(wanted) {
                        let incoming = Incoming {
                            from,
                            round: message.round,
                            broadcast: message.to == To::Everyone,
                            payload: message.payload.clone(),
                            statement: None,
                        };
                        self.queue.push_back((to, incoming));
                    }
                }
            }
        }
        Ok(())
    }
}
