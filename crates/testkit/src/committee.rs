//! Shortcuts: run a whole ceremony in the simulator and take the results.

use quorate_mpc_protocol::{
    Aux, DangerTestLevel, FrostMessage, Outcome, Presignature, Share, aux_info, keygen, presign,
    sign_ecdsa, sign_frost,
};
use quorate_types::{CeremonyKind, Curve, DerivationPath, HashAlgorithm, Preimage, Threshold};

use crate::keys::Identities;
use crate::primes;
use crate::sim::{Ending, Simulation, ceremony_rng, session_id};

/// Everyone's seat in ceremonies of the whole committee.
#[must_use]
pub fn all_seats(threshold: Threshold) -> Vec<u16> {
    (0..threshold.n()).collect()
}

/// A DKG ready to run.
#[must_use]
pub fn keygen_simulation(identities: &Identities, curve: Curve, seed: u64) -> Simulation<'_> {
    let threshold = identities.roster.threshold();
    Simulation::new(
        identities,
        CeremonyKind::Keygen,
        &all_seats(threshold),
        session_id(seed),
        seed,
        |seat| {
            let rng = ceremony_rng(seed, seat.me());
            keygen(seat, threshold, curve, rng)
        },
    )
}

/// Shares of a new key, in committee order.
#[must_use]
pub fn shares(identities: &Identities, curve: Curve, seed: u64) -> Vec<Share> {
    let mut simulation = keygen_simulation(identities, curve, seed);
    simulation.run();
    simulation
        .endings()
        .into_iter()
        .map(|ending| match ending.done() {
            Outcome::Share(share) => share,
            other => panic!("not a share: {other:?}"),
        })
        .collect()
}

/// A committee setup at the test level, ready to run.
#[must_use]
pub fn aux_simulation(identities: &Identities, seed: u64) -> Simulation<'_> {
    Simulation::new(
        identities,
        CeremonyKind::Aux,
        &all_seats(identities.roster.threshold()),
        session_id(seed),
        seed,
        |seat| {
            let rng = ceremony_rng(seed, seat.me());
            aux_info::<DangerTestLevel>(seat.clone(), primes::small(seat.me()), rng)
        },
    )
}

/// Auxiliary information at the test level, in committee order: made beforehand if there is any for
/// so many parties.
#[must_use]
pub fn aux(identities: &Identities, seed: u64) -> Vec<Aux> {
    let parties = usize::from(identities.roster.threshold().n());
    primes::small_aux(parties).unwrap_or_else(|| made_aux(identities, seed))
}

/// Auxiliary information at the test level, in committee order, made by a setup of all parties.
#[must_use]
pub fn made_aux(identities: &Identities, seed: u64) -> Vec<Aux> {
    let mut simulation = aux_simulation(identities, seed);
    simulation.run();
    simulation
        .endings()
        .into_iter()
        .map(|ending| match ending.done() {
            Outcome::Aux(aux) => aux,
            other => panic!("not aux: {other:?}"),
        })
        .collect()
}

/// A message for ECDSA, different for every number.
#[must_use]
pub fn preimage(number: u64) -> Preimage {
    Preimage::new(HashAlgorithm::Sha256, number.to_le_bytes().to_vec())
}

/// What a signing simulation signs.
#[derive(Debug, Clone)]
pub enum Signing {
    /// A message with ECDSA.
    Ecdsa(Preimage),
    /// A FROST message.
    Frost(FrostMessage),
}

/// A signing session of `signers` (committee indices), ready to run.
#[must_use]
pub fn signing_simulation<'a>(
    identities: &'a Identities,
    shares: &'a [Share],
    aux: &'a [Aux],
    signers: &'a [u16],
    path: &'a DerivationPath,
    message: &'a Signing,
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
            let rng = ceremony_rng(seed, seat.me());
            let share = &shares[party];
            match message {
                Signing::Ecdsa(message) => sign_ecdsa::<DangerTestLevel>(
                    seat,
                    share,
                    &aux[party].ready().unwrap(),
                    signers,
                    path,
                    message,
                    rng,
                ),
                Signing::Frost(message) => sign_frost(seat, share, signers, path, message, rng),
            }
        },
    )
}

/// A presigning session of `signers` (committee indices), ready to run.
#[must_use]
pub fn presigning_simulation<'a>(
    identities: &'a Identities,
    shares: &'a [Share],
    aux: &'a [Aux],
    signers: &'a [u16],
    path: &'a DerivationPath,
    seed: u64,
) -> Simulation<'a> {
    Simulation::new(
        identities,
        CeremonyKind::Presign,
        signers,
        session_id(seed),
        seed,
        |seat| {
            let party = usize::from(signers[usize::from(seat.me())]);
            let rng = ceremony_rng(seed, seat.me());
            let aux = aux[party].ready().unwrap();
            presign::<DangerTestLevel>(seat, &shares[party], &aux, signers, path, rng)
        },
    )
}

/// Everyone's presignature, in the order of the signers.
#[must_use]
pub fn presignatures(mut simulation: Simulation<'_>) -> Vec<Presignature> {
    simulation.run();
    let endings = simulation.endings().into_iter();
    endings
        .map(|ending| match ending.done() {
            Outcome::Presignature(presignature) => presignature,
            other => panic!("not a presignature: {other:?}"),
        })
        .collect()
}

/// Signatures of everyone who finished; panics if they differ.
#[must_use]
pub fn signature_of(endings: &[Ending]) -> Option<quorate_types::Signature> {
    let mut signatures = endings.iter().filter_map(|ending| match ending {
        Ending::Done(Outcome::Signature(signature)) => Some(*signature),
        _ => None,
    });
    let first = signatures.next()?;
    assert!(
        signatures.all(|s| s == first),
        "parties finished with different signatures"
    );
    Some(first)
}
