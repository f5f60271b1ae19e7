//! No byte of any message is without effect, and whoever changes one is the only one blamed.

use quorate_mpc_protocol::{AbortReason, Outcome};
use quorate_testkit::committee::preimage;
use quorate_testkit::dkls::{self, Protocol, Stage};
use quorate_testkit::malicious::{PLACE_LEN, flipped, with_payload};
use quorate_testkit::sim::Ending;
use quorate_types::DerivationPath;

use crate::{CHEAT, THREE, TWO, nobody_honest_finishes_or_is_blamed};

/// The cheat flips one bit of each of its messages of a round, at `at(length)` bytes into the content.
pub fn flip(
    stage: &Stage,
    protocol: Protocol,
    round: u16,
    at: impl Fn(usize) -> usize,
) -> Vec<Ending> {
    let mut simulation = stage.simulation(protocol, 90).with_meddler(CHEAT, |_, m| {
        if m.round != round {
            return Some(m.clone());
        }
        let at = at(m.payload.len() - PLACE_LEN);
        Some(with_payload(m, flipped(&m.payload, at)))
    });
    simulation.run();
    simulation.endings()
}

fn no_byte_is_free(protocol: Protocol, round: u16, samples: usize) {
    // A setup of three takes seconds.
    let stages: &[&Stage] = match protocol {
        Protocol::Setup => &[&TWO],
        Protocol::Sign => &[&TWO, &THREE],
    };
    for stage in stages {
        for sample in 0..samples {
            // Ends included, the rest spread evenly.
            let at = |len: usize| (len - 1) * sample / (samples - 1);
            let endings = flip(stage, protocol, round, at);
            let context = format!("{protocol:?} round {round} sample {sample} of {samples}");
            assert!(matches!(endings[0], Ending::Abort(_)), "{context}");
            nobody_honest_finishes_or_is_blamed(&endings, &context);
        }
    }
}

#[test]
fn no_byte_of_a_setups_commitments_is_free() {
    no_byte_is_free(Protocol::Setup, 0, 12);
}

#[test]
fn no_byte_of_a_setups_openings_is_free() {
    no_byte_is_free(Protocol::Setup, 1, 12);
}

#[test]
fn no_byte_of_an_offer_is_free() {
    no_byte_is_free(Protocol::Sign, 0, 60);
}

#[test]
fn no_byte_of_the_points_is_free() {
    no_byte_is_free(Protocol::Sign, 1, 68);
}

#[test]
fn no_byte_of_an_answer_is_free() {
    no_byte_is_free(Protocol::Sign, 2, 60);
}

#[test]
fn no_byte_of_the_parts_is_free() {
    no_byte_is_free(Protocol::Sign, 3, 98);
}

/// Nobody can tell whose part of a signature was wrong, and nobody innocent is named.
#[test]
fn a_wrong_part_stops_without_a_culprit() {
    for at in [40, 90] {
        for ending in flip(&THREE, Protocol::Sign, 3, |_| at)
            .into_iter()
            .step_by(2)
        {
            let abort = ending.abort();
            let unattributable = matches!(abort.reason, AbortReason::Unattributable { .. });
            assert!(unattributable && abort.culprits.is_empty(), "{abort:?}");
        }
    }
}

/// In the openings of a setup, after two proofs of 4644 bytes, the zero share's seed and two pairs of parties.
const GADGET_NONCE: usize = 9_400;

/// The one value of a setup that nothing checks at once: two parties who have different ones cannot sign, and ban nobody.
#[test]
fn a_pair_with_different_gadgets_stops_without_a_ban() {
    let setups: Vec<_> = flip(&TWO, Protocol::Setup, 1, |_| GADGET_NONCE)
        .into_iter()
        .map(|ending| match ending.done() {
            Outcome::DklsSetup(setup) => setup,
            other => panic!("not a setup: {other:?}"),
        })
        .collect();
    let path = DerivationPath::root();
    let message = preimage(1);
    let (identities, shares) = (&TWO.identities, &TWO.shares);
    let mut simulation =
        dkls::signing_simulation(identities, shares, &setups, &[0, 1], &path, &message, 91);
    simulation.run();
    for ending in simulation.endings() {
        let abort = ending.abort();
        assert!(
            matches!(abort.reason, AbortReason::FailedCheck { .. }),
            "{abort:?}"
        );
    }
}
