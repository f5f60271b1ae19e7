//! T08: a Feldman vector longer or shorter than the threshold is refused, and its sender named.

use quorate_mpc_protocol::{Seat, keygen};
use quorate_testkit::keys::Identities;
use quorate_testkit::malicious::Recording;
use quorate_testkit::sim::{Ending, Simulation, ceremony_rng, session_id};
use quorate_types::{CeremonyKind, Curve, Threshold};

use crate::{CHEAT, all_name_the_cheat};

/// A DKG for 3 of 5 in which the cheat runs another threshold.
fn keygen_with(curve: Curve, cheats_threshold: u16) -> Vec<Ending> {
    let identities = Identities::new(Threshold::new(3, 5).unwrap(), 7);
    let start = |seat: Seat| {
        let t = if seat.me() == CHEAT {
            cheats_threshold
        } else {
            3
        };
        let rng = ceremony_rng(60, seat.me());
        keygen(seat, Threshold::new(t, 5).unwrap(), curve, rng)
    };
    let mut simulation = Simulation::new(
        &identities,
        CeremonyKind::Keygen,
        &[0, 1, 2, 3, 4],
        session_id(60),
        60,
        start,
    );
    simulation.run();
    let recording = Recording::of(&simulation);
    assert!(recording.find(CHEAT, 1, 0).is_some(), "the vector was sent");
    simulation.endings()
}

#[test]
fn t08_a_vector_of_another_length_is_refused_and_its_sender_named() {
    for curve in Curve::ALL {
        for threshold in [2, 4, 5] {
            let aborts = all_name_the_cheat(keygen_with(*curve, threshold));
            assert_eq!(aborts.len(), 4);
        }
    }
}

#[test]
fn t08_a_vector_of_the_right_length_is_accepted() {
    for curve in Curve::ALL {
        for ending in keygen_with(*curve, 3) {
            let _ = ending.done();
        }
    }
}
