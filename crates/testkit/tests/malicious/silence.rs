//! A party that stops sending is waited for, by name.

use quorate_testkit::malicious::Protocol;
use quorate_testkit::sim::Ending;

use crate::{CHEAT, HONEST, THREE};

#[test]
fn a_party_silent_from_any_round_on_is_the_only_one_missing() {
    for protocol in Protocol::ALL {
        let rounds = protocol.rounds();
        for silent_from in 0..rounds.len() {
            let silent = &rounds[silent_from..];
            let mut simulation = THREE
                .simulation(protocol, 20, 20)
                .with_meddler(CHEAT, |_, m| {
                    (!silent.contains(&m.round)).then(|| m.clone())
                });
            simulation.run();
            let endings = simulation.endings();
            for seat in HONEST {
                match &endings[usize::from(seat)] {
                    Ending::Waiting { round, missing } => {
                        assert_eq!((*round, missing.as_slice()), (silent[0], &[CHEAT][..]));
                    }
                    other => panic!("{protocol:?} round {}: {other:?}", silent[0]),
                }
            }
        }
    }
}

#[test]
fn everyone_finishes_when_all_are_honest() {
    for protocol in Protocol::ALL {
        let mut simulation = THREE.simulation(protocol, 21, 21);
        simulation.run();
        for ending in simulation.endings() {
            let _ = ending.done();
        }
    }
}
