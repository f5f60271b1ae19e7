//! Every kind of blame the pinned libraries can give, provoked and read back; and no byte of any message is without effect.

use std::sync::LazyLock;

use quorate_mpc_protocol::{Abort, AbortReason};
use quorate_testkit::malicious::{PLACE_LEN, Protocol, Stage, flipped, with_payload};
use quorate_testkit::sim::Ending;
use quorate_types::Curve;

use crate::{CHEAT, THREE, all_name_the_cheat};

static TWO: LazyLock<Stage> = LazyLock::new(|| Stage::new(2));

/// The cheat flips one bit of each of its messages of a round, at `at(length)` bytes into the content.
fn flip(stage: &Stage, protocol: Protocol, round: u16, at: impl Fn(usize) -> usize) -> Vec<Ending> {
    let mut simulation = stage
        .simulation(protocol, 90, 90)
        .with_meddler(CHEAT, |_, m| {
            if m.round != round {
                return Some(m.clone());
            }
            let at = at(m.payload.len() - PLACE_LEN);
            Some(with_payload(m, flipped(&m.payload, at)))
        });
    simulation.run();
    simulation.endings()
}

fn details(aborts: &[Abort]) -> Vec<&str> {
    aborts
        .iter()
        .map(|abort| match &abort.reason {
            AbortReason::FailedCheck { detail } => detail.as_str(),
            other => panic!("not a failed check: {other:?}"),
        })
        .collect()
}

/// The cheat is named for a failed check which the library words as given.
#[track_caller]
fn blamed_for(what: &str, protocol: Protocol, round: u16, at: impl Fn(usize) -> usize) {
    let aborts = all_name_the_cheat(flip(&THREE, protocol, round, at));
    for detail in details(&aborts) {
        assert!(detail.contains(what), "{detail}");
    }
}

const fn last(len: usize) -> usize {
    len - 1
}

#[test]
fn keygen_names_whoever_opens_its_commitment_wrongly() {
    for curve in Curve::ALL {
        blamed_for("commit", Protocol::Keygen(*curve), 1, last);
    }
}

#[test]
fn keygen_names_whoever_sends_a_wrong_share() {
    for curve in Curve::ALL {
        blamed_for("secret share", Protocol::Keygen(*curve), 2, last);
    }
}

#[test]
fn keygen_names_whoever_sends_a_wrong_schnorr_proof() {
    for curve in Curve::ALL {
        blamed_for("chnorr", Protocol::Keygen(*curve), 3, last);
    }
}

#[test]
fn aux_names_whoever_opens_its_commitment_wrongly() {
    blamed_for("commitment", Protocol::Aux, 1, last);
}

#[test]
fn aux_names_whoever_sends_a_wrong_modulus_proof() {
    blamed_for("Rmod", Protocol::Aux, 2, |len| len / 2);
}

#[test]
fn aux_names_whoever_sends_a_wrong_factor_proof() {
    blamed_for("Rfac", Protocol::Aux, 2, last);
}

#[test]
fn ecdsa_names_whoever_sends_a_wrong_range_proof_of_k() {
    blamed_for("pi_enc::verify(K)", Protocol::Ecdsa, 1, |len| len / 2 - 2);
}

/// `cggmp24 =0.7.0-alpha.3` alone lets this and the one above pass, each if the other proof is good.
#[test]
fn ecdsa_names_whoever_sends_a_wrong_range_proof_of_gamma() {
    blamed_for("psi1", Protocol::Ecdsa, 1, last);
}

#[test]
fn ecdsa_names_whoever_sends_a_wrong_affine_proof() {
    blamed_for("proofs are invalid", Protocol::Ecdsa, 2, last);
}

#[test]
fn ecdsa_names_whoever_sends_a_wrong_proof_of_delta() {
    blamed_for("ψ''", Protocol::Ecdsa, 3, last);
}

/// The library proves no single culprit here; nobody innocent is named either.
#[test]
fn ecdsa_with_a_wrong_partial_signature_or_delta_stops_without_a_culprit() {
    for (round, at) in [(3, 20), (4, 20)] {
        for ending in flip(&THREE, Protocol::Ecdsa, round, |_| at)
            .into_iter()
            .step_by(2)
        {
            let abort = ending.abort();
            let unattributable = matches!(abort.reason, AbortReason::Unattributable { .. });
            assert!(unattributable && abort.culprits.is_empty(), "{abort:?}");
        }
    }
}

#[test]
fn frost_names_whoever_sends_a_wrong_share() {
    for protocol in [Protocol::Ed25519, Protocol::Bip340] {
        blamed_for("", protocol, 1, |len| len - 2);
    }
}

#[test]
fn frost_names_both_of_two_cheats() {
    for protocol in [Protocol::Ed25519, Protocol::Bip340] {
        // At different places: equal and opposite errors would cancel out, which harms nobody.
        let spoil = |place: usize| {
            move |_: u16, m: &quorate_mpc_protocol::Outgoing| {
                let at = m.payload.len() - PLACE_LEN - place;
                let spoiled = flipped(&m.payload, at);
                Some(if m.round == 1 {
                    with_payload(m, spoiled)
                } else {
                    m.clone()
                })
            }
        };
        let mut simulation = THREE
            .simulation(protocol, 91, 91)
            .with_meddler(CHEAT, spoil(2))
            .with_meddler(2, spoil(7));
        simulation.run();
        let abort = simulation.endings().remove(0).abort();
        assert_eq!(abort.culprits, [CHEAT, 2]);
    }
}

/// A flipped bit anywhere in anything the cheat sends stops the honest party, and never through a fault of its own.
fn no_byte_is_free(protocol: Protocol, samples: usize) {
    for round in protocol.rounds() {
        for sample in 0..samples {
            // Ends included, the rest spread evenly.
            let at = |len: usize| (len - 1) * sample / (samples - 1);
            let victim = flip(&TWO, protocol, *round, at).remove(0);
            let Ending::Abort(abort) = victim else {
                panic!("{protocol:?} round {round} sample {sample}: {victim:?}");
            };
            assert!(abort.culprits.iter().all(|j| *j == CHEAT), "{abort:?}");
            let local = matches!(abort.reason, AbortReason::Local { .. });
            assert!(
                !local,
                "{protocol:?} round {round} sample {sample}: {abort:?}"
            );
        }
    }
}

#[test]
fn no_byte_of_a_keygen_message_is_free() {
    for curve in Curve::ALL {
        no_byte_is_free(Protocol::Keygen(*curve), 40);
    }
}

#[test]
fn no_byte_of_an_aux_message_is_free() {
    no_byte_is_free(Protocol::Aux, 6);
}

#[test]
fn no_byte_of_an_ecdsa_message_is_free() {
    no_byte_is_free(Protocol::Ecdsa, 16);
}

#[test]
fn no_byte_of_a_frost_message_is_free() {
    no_byte_is_free(Protocol::Ed25519, 60);
    no_byte_is_free(Protocol::Bip340, 60);
}
