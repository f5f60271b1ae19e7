//! T01: a Paillier modulus with a small factor, or that is no product of two primes, cannot be
//! proved and is refused; its owner is named.
//!
//! In each attack the other proof is good, so that the one check that is named is all that stands
//! between the modulus and the committee.

use quorate_mpc_protocol::{Abort, AbortReason, Seat};
use quorate_testkit::malicious::{Protocol, Recording, readdressed, with_payload};
use quorate_testkit::moduli::{CarelessTest, Modulus, OPEN, PROVE, Verdicts};
use quorate_testkit::primes;
use quorate_testkit::sim::{Ending, ceremony_rng, session_id};

use crate::{CHEAT, HONEST, THREE, all_name_the_cheat, nobody_honest_finishes_or_is_blamed};

const SEED: u64 = 80;

/// Longest modulus of the test level.
const BITS: u64 = 1040;

const NOT_TWO_PRIMES: &str = "provided invalid proof for Rmod";
const SMALL_FACTOR: &str = "provided invalid proof for Rfac";

/// The check with which `no_small_factor` holds the second, larger factor to its length.
const SECOND_FACTOR_TOO_LONG: &str = "InvalidProof(RangeCheck(13))";
const NO_NTH_ROOT: &str = "InvalidProof(IncorrectNthRoot)";
const NO_FOURTH_ROOT: &str = "InvalidProof(IncorrectFourthRoot)";

/// A committee setup in which the cheat has this modulus: how it ends, and what was sent.
fn setup(modulus: &Modulus) -> (Vec<Ending>, Recording) {
    let start = |seat: Seat| {
        if seat.me() != CHEAT {
            return THREE.ceremony(Protocol::Aux, seat, SEED);
        }
        let [_, _, third, fourth] = <[_; 4]>::try_from(primes::small_list(CHEAT)).unwrap();
        let rng = ceremony_rng(SEED, CHEAT);
        let ceremony = modulus.setup::<CarelessTest>(&seat, [third, fourth], rng);
        ceremony.unwrap()
    };
    let mut simulation = THREE.simulation_with(Protocol::Aux, SEED, SEED, start);
    simulation.run();
    let sent = Recording::of(&simulation);
    (simulation.endings(), sent)
}

/// What the library's verifiers say of the cheat's proofs to each honest party, if they are all
/// asked.
fn verdicts(sent: &Recording) -> [Verdicts; 2] {
    HONEST.map(|to| Verdicts::of(sent, session_id(SEED), 3, [CHEAT, to]))
}

/// All honest parties name the cheat, and this as the reason.
#[track_caller]
fn all_refuse(endings: Vec<Ending>, reason: &str) {
    let is_it = |abort: &Abort| match &abort.reason {
        AbortReason::FailedCheck { detail } => detail.contains(reason),
        _ => false,
    };
    let aborts = all_name_the_cheat(endings);
    assert_eq!(aborts.len(), HONEST.len());
    assert!(aborts.iter().all(is_it), "{aborts:?}");
}

#[track_caller]
fn refused_as_not_of_two_primes(modulus: &Modulus, check: &str) {
    let (endings, sent) = setup(modulus);
    for verdicts in verdicts(&sent) {
        assert_eq!(verdicts.modulus.as_deref(), Some(check));
        assert_eq!(verdicts.factors, None, "only one proof is bad");
    }
    all_refuse(endings, NOT_TWO_PRIMES);
}

#[track_caller]
fn accepted(modulus: &Modulus) {
    let (endings, sent) = setup(modulus);
    for verdicts in verdicts(&sent) {
        assert_eq!((verdicts.modulus, verdicts.factors), (None, None));
    }
    for ending in endings {
        let _ = ending.done();
    }
}

/// Two primes, each 3 modulo 4, so that everything about the modulus is true but the length of its
/// factors. The proof has a slack of 2^epsilon: at the test level it hides factors of more than 200
/// bits, at the production level those of more than 1024.
#[test]
fn t01_a_modulus_with_a_small_factor_is_refused_by_the_proof_of_factors_alone() {
    let (endings, sent) = setup(&Modulus::random(&[160], BITS, 1, 1));
    for verdicts in verdicts(&sent) {
        assert_eq!(verdicts.modulus, None, "only one proof is bad");
        assert_eq!(verdicts.factors.as_deref(), Some(SECOND_FACTOR_TOO_LONG));
    }
    all_refuse(endings, SMALL_FACTOR);
}

/// Of 128 challenges about half have no fourth root; N-th roots there are.
#[test]
fn t01_a_modulus_of_three_primes_is_refused_by_the_proof_of_the_modulus_alone() {
    refused_as_not_of_two_primes(&Modulus::random(&[260, 260], BITS, 2, 2), NO_FOURTH_ROOT);
}

/// BitForge (CVE-2023-33241) took keys with a modulus of sixteen small primes.
#[test]
fn t01_a_modulus_of_sixteen_primes_is_refused_by_the_proof_of_the_modulus_alone() {
    refused_as_not_of_two_primes(&Modulus::random(&[65; 15], BITS, 8, 3), NO_FOURTH_ROOT);
}

/// Fourth roots there are; a challenge has an N-th root modulo the square once in 2^260.
#[test]
fn t01_a_modulus_with_a_squared_prime_is_refused_by_the_proof_of_the_modulus_alone() {
    refused_as_not_of_two_primes(&Modulus::with_square(260, BITS, 4), NO_NTH_ROOT);
}

/// Controls: the cheat's prover with good primes, and with factors of unequal length that the slack
/// allows.
#[test]
fn t01_what_the_cheats_prover_proves_of_two_large_primes_is_accepted() {
    let good = primes::small_list(CHEAT);
    accepted(&Modulus::of_two([&good[0], &good[1]]));
    accepted(&Modulus::random(&[300], BITS, 1, 5));
}

#[test]
fn t01_a_prime_set_with_a_prime_twice_is_refused() {
    let twice = || primes::small_list(CHEAT).remove(1);
    let set = quorate_mpc_protocol::PrimeSet::new([twice(), twice(), twice(), twice()]);
    assert!(set.is_err());
}

#[test]
fn t01_a_modulus_shorter_or_longer_than_the_level_is_refused_and_its_owner_named() {
    let (endings, sent) = setup(&Modulus::random(&[519], BITS - 2, 1, 6));
    assert!(sent.find(CHEAT, OPEN, 0).is_some(), "the modulus was shown");
    all_refuse(endings, "N, s and t parameters are invalid");

    let (endings, sent) = setup(&Modulus::random(&[521], BITS + 2, 1, 7));
    assert!(sent.find(CHEAT, OPEN, 0).is_some(), "the modulus was shown");
    all_refuse(endings, "longer than the security level's");
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
    all_refuse(endings, NOT_TWO_PRIMES);
}
