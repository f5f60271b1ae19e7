//! T05: a message or proof from another session, party, round or attempt is refused. An attempt is part of the session id, so
//! another attempt is another session.

use quorate_mpc_protocol::AbortReason;
use quorate_testkit::malicious::{Protocol, readdressed, with_payload};

use crate::{CHEAT, HONEST, THREE, all_name_the_cheat, nobody_honest_finishes_or_is_blamed};

const VICTIM: u16 = 0;

#[track_caller]
fn refused_on_arrival(aborts: &[quorate_mpc_protocol::Abort]) {
    for abort in aborts {
        let refused = matches!(
            abort.reason,
            AbortReason::InvalidMessage { from: CHEAT, .. }
        );
        assert!(refused, "{abort:?}");
    }
}

#[test]
fn t05_a_replayed_session_is_refused_and_its_sender_named() {
    for protocol in Protocol::ALL {
        let earlier = THREE.record(protocol, 30, 30);
        let mut simulation = THREE
            .simulation(protocol, 31, 31)
            .with_meddler(CHEAT, |to, m| {
                let replayed = earlier.payload(CHEAT, m.round, to).to_vec();
                Some(with_payload(m, replayed))
            });
        simulation.run();
        refused_on_arrival(&all_name_the_cheat(simulation.endings()));
    }
}

#[test]
fn t05_one_replayed_message_is_refused_in_every_round() {
    for protocol in Protocol::ALL {
        let earlier = THREE.record(protocol, 30, 30);
        for round in protocol.rounds() {
            let mut simulation = THREE
                .simulation(protocol, 31, 31)
                .with_meddler(CHEAT, |to, m| {
                    if m.round != *round {
                        return Some(m.clone());
                    }
                    let replayed = earlier.payload(CHEAT, m.round, to).to_vec();
                    Some(with_payload(m, replayed))
                });
            simulation.run();
            refused_on_arrival(&all_name_the_cheat(simulation.endings()));
        }
    }
}

#[test]
fn t05_a_message_of_another_party_is_refused_and_its_sender_named() {
    for protocol in Protocol::ALL {
        let same_session = THREE.record(protocol, 32, 32);
        for round in protocol.rounds() {
            let mut simulation = THREE
                .simulation(protocol, 32, 32)
                .with_meddler(CHEAT, |_, m| {
                    if m.round != *round {
                        return Some(m.clone());
                    }
                    let stolen = same_session
                        .find(VICTIM, *round, 2)
                        .expect("the victim sent it")
                        .message
                        .payload
                        .clone();
                    Some(with_payload(m, stolen))
                });
            simulation.run();
            refused_on_arrival(&all_name_the_cheat(simulation.endings()));
        }
    }
}

#[test]
fn t05_a_message_of_another_round_is_refused_and_its_sender_named() {
    for protocol in Protocol::ALL {
        let same_session = THREE.record(protocol, 33, 33);
        let rounds = protocol.rounds();
        for (round, other) in rounds.iter().zip(rounds.iter().cycle().skip(1)) {
            let mut simulation = THREE
                .simulation(protocol, 33, 33)
                .with_meddler(CHEAT, |to, m| {
                    if m.round != *round {
                        return Some(m.clone());
                    }
                    let misplaced = same_session.payload(CHEAT, *other, to).to_vec();
                    Some(with_payload(m, misplaced))
                });
            simulation.run();
            refused_on_arrival(&all_name_the_cheat(simulation.endings()));
        }
    }
}

/// Rounds whose content the libraries can blame on its sender. In the others a false echo or an inconsistent sum stops everyone
/// without proving who lied.
const fn attributable(protocol: Protocol) -> &'static [u16] {
    match protocol {
        Protocol::Keygen(_) => &[1, 2, 3],
        Protocol::Aux => &[1, 2],
        Protocol::Ecdsa | Protocol::Presign => &[0, 1, 2, 3],
        Protocol::Ed25519 | Protocol::Bip340 => &[],
    }
}

/// The cheat makes the outside of the message fit; the content still belongs to another session.
#[test]
fn t05_the_content_of_another_session_is_refused_by_the_protocol_itself() {
    for protocol in Protocol::ALL {
        let earlier = THREE.record(protocol, 34, 34);
        for round in protocol.rounds() {
            let mut simulation = THREE
                .simulation(protocol, 35, 35)
                .with_meddler(CHEAT, |to, m| {
                    if m.round != *round {
                        return Some(m.clone());
                    }
                    let content = earlier.payload(CHEAT, m.round, to);
                    Some(with_payload(m, readdressed(&m.payload, content)))
                });
            simulation.run();
            let endings = simulation.endings();
            nobody_honest_finishes_or_is_blamed(&endings);
            if attributable(protocol).contains(round) {
                all_name_the_cheat(endings);
            }
        }
    }
}

#[test]
fn t05_the_content_of_another_party_is_refused_by_the_protocol_itself() {
    for protocol in Protocol::ALL {
        let same_session = THREE.record(protocol, 36, 36);
        for round in protocol.rounds() {
            // All echo the same, so the echo of another party is no lie.
            if *round == protocol.echo_round()
                && !matches!(protocol, Protocol::Ed25519 | Protocol::Bip340)
            {
                continue;
            }
            let mut simulation = THREE
                .simulation(protocol, 36, 36)
                .with_meddler(CHEAT, |_, m| {
                    if m.round != *round {
                        return Some(m.clone());
                    }
                    let content = same_session.payload(VICTIM, m.round, 2);
                    Some(with_payload(m, readdressed(&m.payload, content)))
                });
            simulation.run();
            let endings = simulation.endings();
            nobody_honest_finishes_or_is_blamed(&endings);
            if attributable(protocol).contains(round) {
                all_name_the_cheat(endings);
            }
        }
    }
}

/// The honest variant of all of the above: the same meddler in the way, changing nothing.
#[test]
fn t05_the_own_messages_of_the_own_session_are_accepted() {
    for protocol in Protocol::ALL {
        let own = THREE.record(protocol, 37, 37);
        let mut simulation = THREE
            .simulation(protocol, 37, 37)
            .with_meddler(CHEAT, |to, m| {
                let content = own.payload(CHEAT, m.round, to);
                Some(with_payload(m, readdressed(&m.payload, content)))
            });
        simulation.run();
        let endings = simulation.endings();
        assert_eq!(endings.len(), HONEST.len() + 1);
        for ending in endings {
            let _ = ending.done();
        }
    }
}
