//! T01: a Paillier modulus with a small factor, or of more than two primes, is not provable and is refused.

use crypto_bigint::U576;
use quorate_mpc_protocol::{PrimeSet, SafePrime, Seat};
use quorate_testkit::malicious::{Protocol, Recording, readdressed, with_payload};
use quorate_testkit::primes;
use quorate_testkit::sim::Ending;

use crate::{CHEAT, THREE, all_name_the_cheat, nobody_honest_finishes_or_is_blamed};

const OPEN: u16 = 1;
const PROVE: u16 = 2;

/// 520 bits: `factor` times an odd number.
fn composite(factor: u32) -> SafePrime {
    let mut number: U576 = (U576::ONE << 519) | (U576::ONE << 300) | U576::ONE;
    while number.rem_vartime(&crypto_bigint::NonZero::new(U576::from(factor)).unwrap())
        != U576::ZERO
        || number.rem_vartime(&crypto_bigint::NonZero::new(U576::from(4u32)).unwrap())
            != U576::from(3u32)
    {
        number = number.wrapping_add(&U576::from(2u32));
    }
    SafePrime::from_secret_bytes(&number.to_be_bytes())
}

fn with_first(first: SafePrime) -> PrimeSet {
    PrimeSet::new([
        first,
        primes::small_list(CHEAT).remove(1),
        primes::small_list(CHEAT).remove(2),
        primes::small_list(CHEAT).remove(3),
    ])
    .unwrap()
}

/// The cheat commits to a modulus made of `first`. An honest prover cannot prove it, so the proofs of a good modulus follow.
fn setup(first: impl Fn() -> SafePrime) -> Vec<Ending> {
    let good = THREE.record(Protocol::Aux, 80, 81);
    let cheat_primes = || with_first(first());
    let start = |seat: Seat| {
        let set = if seat.me() == CHEAT {
            cheat_primes()
        } else {
            primes::small(seat.me())
        };
        THREE.ceremony_with(Protocol::Aux, seat, 80, set)
    };
    let mut simulation = THREE.simulation_with(Protocol::Aux, 80, 80, start);
    simulation.run();
    let sent = Recording::of(&simulation);
    assert!(sent.find(CHEAT, OPEN, 0).is_some(), "the modulus was shown");
    if sent.find(CHEAT, PROVE, 0).is_none() {
        for to in [0, 2] {
            simulation.inject(good.find(CHEAT, PROVE, to).unwrap().clone());
        }
        simulation.drain();
    }
    simulation.endings()
}

#[test]
fn t01_a_modulus_with_a_small_factor_is_refused_and_its_owner_named() {
    for factor in [3, 65537] {
        all_name_the_cheat(setup(|| composite(factor)));
    }
}

#[test]
fn t01_a_modulus_that_is_a_square_is_refused() {
    let twice = || primes::small_list(CHEAT).remove(1);
    assert!(PrimeSet::new([twice(), twice(), twice(), twice()]).is_err());
}

#[test]
fn t01_a_modulus_shorter_or_longer_than_the_level_is_refused_and_its_owner_named() {
    let long = U576::MAX.wrapping_sub(&U576::from(4u32));
    all_name_the_cheat(setup(|| SafePrime::from_secret_bytes(&long.to_be_bytes())));
}

#[test]
fn t01_good_moduli_are_accepted() {
    for ending in setup(|| primes::small_list(CHEAT).remove(0)) {
        let _ = ending.done();
    }
}

/// Proofs about one's own good modulus, but made in another session.
#[test]
fn t01_a_proof_of_another_session_is_refused() {
    let earlier = THREE.record(Protocol::Aux, 82, 80);
    let mut simulation = THREE
        .simulation(Protocol::Aux, 83, 80)
        .with_meddler(CHEAT, |to, m| {
            let old = earlier.payload(CHEAT, m.round, to);
            let changed = m.round == PROVE;
            Some(if changed {
                with_payload(m, readdressed(&m.payload, old))
            } else {
                m.clone()
            })
        });
    simulation.run();
    let endings = simulation.endings();
    nobody_honest_finishes_or_is_blamed(&endings);
    all_name_the_cheat(endings);
}
