//! Hundreds of ceremonies on a hostile network, thousands in `make test-long`. A run ends in one
//! and the same valid result for everyone who finishes, or in an abort or a wait; it never blames
//! anyone for what the network did.
//!
//! `QUORATE_TEST_SEED` is the first seed and `QUORATE_TEST_RUNS` the number of runs of each test,
//! or `QUORATE_TEST_TIMES` times as many as usual. A failure prints seed and runs, set so that they
//! repeat the failed run alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

use std::ops::AddAssign;

use quorate_mpc_protocol::{
    AbortReason, Aux, DangerTestLevel, FrostMessage, Outcome, Share, TaprootTweak, child_public_key,
};
use quorate_testkit::committee::{self, Signing};
use quorate_testkit::keys::Identities;
use quorate_testkit::sim::{Ending, Faults, Simulation};
use quorate_testkit::verify;
use quorate_types::{Curve, DerivationPath, Equivocation, PublicKey, Threshold};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

const DELAYS: Faults = Faults {
    delay: 100,
    lose: 0,
    duplicate: 50,
    corrupt: 0,
    reorder: true,
};

/// What the network does in a run, by its seed.
fn faults(seed: u64) -> Faults {
    match seed % 4 {
        0 => DELAYS,
        1 => Faults { lose: 15, ..DELAYS },
        2 => Faults::HOSTILE,
        _ => Faults {
            corrupt: 40,
            ..DELAYS
        },
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    runs: u64,
    /// Everyone finished.
    finished: u64,
    /// Someone aborted.
    aborted: u64,
    /// An abort named a culprit.
    blamed: u64,
    /// Someone waits for what never comes.
    waiting: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.finished += other.finished;
        self.aborted += other.aborted;
        self.blamed += other.blamed;
        self.waiting += other.waiting;
    }
}

/// Says how to repeat the run during which a thread panics.
struct Replay {
    test: &'static str,
    seed: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "repeat: QUORATE_TEST_SEED={} QUORATE_TEST_RUNS=1 cargo test -p quorate-testkit --test simulation {}",
                self.seed, self.test
            );
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value} is not a number")),
    )
}

/// Runs `one` for every seed, on two threads.
fn sweep(test: &'static str, default_runs: u64, one: impl Fn(u64) -> Tally + Sync) {
    // Other schedules for every test.
    let own: u64 = test.bytes().map(u64::from).sum();
    let first = number("QUORATE_TEST_SEED").unwrap_or(own * 10_000);
    let usual = default_runs * number("QUORATE_TEST_TIMES").unwrap_or(1);
    let runs = number("QUORATE_TEST_RUNS").unwrap_or(usual);
    let part = |offset: u64| {
        let mut total = Tally::default();
        for seed in (first + offset..first + runs).step_by(2) {
            let _replay = Replay { test, seed };
            total += one(seed);
        }
        total
    };
    let mut total = std::thread::scope(|scope| {
        let other = scope.spawn(|| part(1));
        let mut total = part(0);
        total += other.join().expect("runs of odd offset pass");
        total
    });
    println!("{test}: {total:?}");
    assert_eq!(std::mem::take(&mut total.runs), runs);
    // Fewer runs may miss a kind of ending by chance.
    if runs >= 24 {
        assert!(
            total.finished > runs / 3,
            "most quiet runs finish: {total:?}"
        );
        assert!(total.aborted > 0, "corruption is noticed: {total:?}");
        assert!(total.blamed > 0, "and blamed on its sender: {total:?}");
        assert!(total.waiting > 0, "a loss is waited for: {total:?}");
    }
}

/// Runs a ceremony and checks all that holds for every kind of it. Gives back the results.
fn run(identities: &Identities, simulation: Simulation<'_>, seed: u64) -> (Tally, Vec<Outcome>) {
    let faults = faults(seed);
    let mut simulation = simulation.with_faults(faults);
    simulation.run();
    let corrupted = simulation.corrupted().clone();
    let endings = simulation.endings();
    if corrupted.is_empty() {
        let innocent = endings.iter().all(|e| !matches!(e, Ending::Abort(_)));
        assert!(innocent, "aborted over network faults: {endings:?}");
    }
    if faults.lose == 0 && corrupted.is_empty() {
        let all = endings.iter().all(|e| matches!(e, Ending::Done(_)));
        assert!(
            all,
            "nothing was lost, yet not everyone finished: {endings:?}"
        );
    }
    for abort in endings.iter().filter_map(aborts) {
        let just = abort.culprits.iter().all(|j| corrupted.contains(j));
        assert!(just, "{abort:?} blames others than {corrupted:?}");
        let local = matches!(abort.reason, AbortReason::Local { .. });
        assert!(!local, "a peer's message is no local fault: {abort:?}");
    }
    nobody_is_convicted(identities, &endings);
    let tally = Tally {
        runs: 1,
        finished: u64::from(endings.iter().all(|e| matches!(e, Ending::Done(_)))),
        aborted: u64::from(endings.iter().any(|e| aborts(e).is_some())),
        blamed: u64::from(
            endings
                .iter()
                .filter_map(aborts)
                .any(|a| !a.culprits.is_empty()),
        ),
        waiting: u64::from(endings.iter().any(|e| matches!(e, Ending::Waiting { .. }))),
    };
    let outcomes = endings.into_iter().filter_map(|ending| match ending {
        Ending::Done(outcome) => Some(outcome),
        _ => None,
    });
    (tally, outcomes.collect())
}

const fn aborts(ending: &Ending) -> Option<&quorate_mpc_protocol::Abort> {
    match ending {
        Ending::Abort(abort) => Some(abort),
        _ => None,
    }
}

/// Here every party signs one statement per broadcast, so there is no equivocation to prove.
fn nobody_is_convicted(identities: &Identities, endings: &[Ending]) {
    let evidence: Vec<_> = endings
        .iter()
        .filter_map(aborts)
        .map(|a| &a.evidence)
        .collect();
    for ours in &evidence {
        for theirs in &evidence {
            assert_eq!(Equivocation::find(&identities.roster, ours, theirs), None);
        }
    }
}

/// One of a list, by a seed.
fn choose<T>(rng: &mut ChaCha20Rng, list: &[T]) -> usize {
    (rng.next_u64() % list.len() as u64) as usize
}

struct Committee {
    identities: Identities,
    shares: Vec<Share>,
    aux: Vec<Aux>,
}

impl Committee {
    fn new(t: u16, n: u16, curve: Curve, with_aux: bool) -> Self {
        let identities = Identities::new(Threshold::new(t, n).unwrap(), 7);
        let shares = committee::shares(&identities, curve, 11);
        let aux = if with_aux {
            committee::aux(&identities, 12)
        } else {
            Vec::new()
        };
        Self {
            identities,
            shares,
            aux,
        }
    }

    /// Any t of n, in any order.
    fn signers(&self, rng: &mut ChaCha20Rng) -> Vec<u16> {
        let threshold = self.identities.roster.threshold();
        let mut parties = committee::all_seats(threshold);
        (0..threshold.t())
            .map(|_| parties.remove(choose(rng, &parties)))
            .collect()
    }
}

const PATHS: [&str; 3] = ["m", "m/0/7", "m/44/2147483647/1"];

fn signing_run(
    committees: &[Committee],
    seed: u64,
    message: impl Fn(&mut ChaCha20Rng) -> Signing,
    verification: impl Fn(&PublicKey, &Signing) -> (PublicKey, Vec<u8>),
) -> Tally {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let committee = &committees[choose(&mut rng, committees)];
    let signers = committee.signers(&mut rng);
    let path: DerivationPath = PATHS[choose(&mut rng, &PATHS)].parse().unwrap();
    let message = message(&mut rng);
    let simulation = committee::signing_simulation(
        &committee.identities,
        &committee.shares,
        &committee.aux,
        &signers,
        &path,
        &message,
        seed,
    );
    let (tally, outcomes) = run(&committee.identities, simulation, seed);
    let child = child_public_key(&committee.shares[0], &path).unwrap();
    let (key, bytes) = verification(&child, &message);
    let signatures: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Signature(signature) => signature,
            other => panic!("not a signature: {other:?}"),
        })
        .collect();
    for signature in &signatures {
        assert_eq!(signature, &signatures[0], "two results of one ceremony");
        assert!(verify::is_valid(&key, &bytes, signature));
    }
    tally
}

fn frost_bytes(child: &PublicKey, message: &Signing) -> (PublicKey, Vec<u8>) {
    match message {
        Signing::Frost(FrostMessage::Ed25519(bytes)) => (child.clone(), bytes.clone()),
        Signing::Frost(FrostMessage::Bip340 { message, tweak }) => match tweak {
            TaprootTweak::None => (child.clone(), message.to_vec()),
            TaprootTweak::Bip86 => (verify::bip86_output_key(child), message.to_vec()),
        },
        Signing::Ecdsa(message) => (child.clone(), message.digest().to_vec()),
    }
}

fn hash(rng: &mut ChaCha20Rng) -> [u8; 32] {
    let mut hash = [0; 32];
    rng.fill_bytes(&mut hash);
    hash
}

fn keygen_sweep(test: &'static str, curve: Curve) {
    let clusters: Vec<_> = [(2, 2), (2, 3), (3, 3), (3, 5)]
        .into_iter()
        .map(|(t, n)| Identities::new(Threshold::new(t, n).unwrap(), 7))
        .collect();
    sweep(test, 200, |seed| {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let identities = &clusters[choose(&mut rng, &clusters)];
        let simulation = committee::keygen_simulation(identities, curve, seed);
        let (tally, outcomes) = run(identities, simulation, seed);
        let shares: Vec<_> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Share(share) => share,
                other => panic!("not a share: {other:?}"),
            })
            .collect();
        for share in &shares {
            assert!(share.public_key().is_some());
            assert_eq!(share.public_key(), shares[0].public_key());
            assert_eq!(share.public_shares(), shares[0].public_shares());
            assert!(share.chain_code().is_some());
            assert_eq!(share.chain_code(), shares[0].chain_code());
        }
        tally
    });
}

#[test]
fn keygen_secp256k1_agrees_or_ends_without_a_key() {
    keygen_sweep(
        "keygen_secp256k1_agrees_or_ends_without_a_key",
        Curve::Secp256k1,
    );
}

#[test]
fn keygen_p256_agrees_or_ends_without_a_key() {
    keygen_sweep("keygen_p256_agrees_or_ends_without_a_key", Curve::P256);
}

#[test]
fn keygen_ed25519_agrees_or_ends_without_a_key() {
    keygen_sweep(
        "keygen_ed25519_agrees_or_ends_without_a_key",
        Curve::Ed25519,
    );
}

#[test]
fn frost_ed25519_signs_validly_or_not_at_all() {
    let committees =
        [(2, 3), (3, 5), (2, 2), (5, 7)].map(|(t, n)| Committee::new(t, n, Curve::Ed25519, false));
    sweep("frost_ed25519_signs_validly_or_not_at_all", 200, |seed| {
        let message = |rng: &mut ChaCha20Rng| {
            let mut bytes = vec![0; (rng.next_u32() % 200) as usize];
            rng.fill_bytes(&mut bytes);
            Signing::Frost(FrostMessage::Ed25519(bytes))
        };
        signing_run(&committees, seed, message, frost_bytes)
    });
}

#[test]
fn frost_bip340_signs_validly_or_not_at_all() {
    let committees = [(2, 3), (3, 5), (2, 2), (5, 7)]
        .map(|(t, n)| Committee::new(t, n, Curve::Secp256k1, false));
    sweep("frost_bip340_signs_validly_or_not_at_all", 200, |seed| {
        let message = |rng: &mut ChaCha20Rng| {
            let tweaks = [TaprootTweak::None, TaprootTweak::Bip86];
            let tweak = tweaks[choose(rng, &tweaks)];
            Signing::Frost(FrostMessage::Bip340 {
                message: hash(rng),
                tweak,
            })
        };
        signing_run(&committees, seed, message, frost_bytes)
    });
}

fn ecdsa_sweep(test: &'static str, runs: u64, curve: Curve, committees: &[(u16, u16)]) {
    let committees: Vec<_> = committees
        .iter()
        .map(|(t, n)| Committee::new(*t, *n, curve, true))
        .collect();
    sweep(test, runs, |seed| {
        let message = |rng: &mut ChaCha20Rng| Signing::Ecdsa(committee::preimage(rng.next_u64()));
        signing_run(&committees, seed, message, frost_bytes)
    });
}

#[test]
fn ecdsa_secp256k1_signs_validly_or_not_at_all() {
    ecdsa_sweep(
        "ecdsa_secp256k1_signs_validly_or_not_at_all",
        100,
        Curve::Secp256k1,
        &[(2, 3)],
    );
}

#[test]
fn ecdsa_with_three_signers_signs_validly_or_not_at_all() {
    ecdsa_sweep(
        "ecdsa_with_three_signers_signs_validly_or_not_at_all",
        24,
        Curve::Secp256k1,
        &[(3, 4)],
    );
}

#[test]
fn ecdsa_p256_signs_validly_or_not_at_all() {
    ecdsa_sweep(
        "ecdsa_p256_signs_validly_or_not_at_all",
        50,
        Curve::P256,
        &[(2, 3)],
    );
}

#[test]
fn aux_setup_agrees_or_ends_without_a_result() {
    let clusters = [(2, 2), (2, 3)].map(|(t, n)| Identities::new(Threshold::new(t, n).unwrap(), 7));
    sweep("aux_setup_agrees_or_ends_without_a_result", 24, |seed| {
        let identities = &clusters[usize::from(seed % 16 < 4)];
        let simulation = committee::aux_simulation(identities, seed);
        let (tally, outcomes) = run(identities, simulation, seed);
        let digests: Vec<_> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Aux(aux) => aux.public_digest::<DangerTestLevel>().unwrap(),
                other => panic!("not aux: {other:?}"),
            })
            .collect();
        assert!(digests.iter().all(|d| *d == digests[0]));
        tally
    });
}
