//! T05: a message or its content from another session, party or round is refused. The messages of two runs always differ, because the
//! library draws its own randomness.

use quorate_mpc_protocol::{Abort, AbortReason};
use quorate_testkit::committee::preimage;
use quorate_testkit::dkls::{Protocol, Stage};
use quorate_testkit::malicious::{Recording, readdressed, with_payload};
use quorate_testkit::sim::Ending;

use crate::{CHEAT, THREE, TWO, all_name_the_cheat, nobody_honest_finishes_or_is_blamed};

const VICTIM: u16 = 0;

fn record(stage: &Stage, protocol: Protocol, session: u64) -> Recording {
    let mut simulation = stage.simulation(protocol, session);
    simulation.run();
    Recording::of(&simulation)
}

/// The cheat replaces its messages of a round by `forge(receiver, honest payload)`.
fn run(
    protocol: Protocol,
    session: u64,
    round: u16,
    forge: impl Fn(u16, &[u8]) -> Vec<u8>,
) -> Vec<Ending> {
    let mut simulation = THREE
        .simulation(protocol, session)
        .with_meddler(CHEAT, |to, m| {
            Some(if m.round == round {
                with_payload(m, forge(to, &m.payload))
            } else {
                m.clone()
            })
        });
    simulation.run();
    simulation.endings()
}

#[track_caller]
fn refused_on_arrival(aborts: &[Abort]) {
    for abort in aborts {
        let refused = matches!(
            abort.reason,
            AbortReason::InvalidMessage { from: CHEAT, .. }
        );
        assert!(refused, "{abort:?}");
    }
}

#[test]
fn t05_a_replayed_message_is_refused_in_every_round() {
    for protocol in Protocol::ALL {
        let earlier = record(&THREE, protocol, 30);
        for round in protocol.rounds() {
            let endings = run(protocol, 31, *round, |to, _| {
                earlier.payload(CHEAT, *round, to).to_vec()
            });
            refused_on_arrival(&all_name_the_cheat(endings));
        }
    }
}

#[test]
fn t05_a_message_of_another_party_is_refused() {
    for protocol in Protocol::ALL {
        let same = record(&THREE, protocol, 32);
        for round in protocol.rounds() {
            let endings = run(protocol, 32, *round, |_, _| {
                same.payload(VICTIM, *round, 2).to_vec()
            });
            refused_on_arrival(&all_name_the_cheat(endings));
        }
    }
}

#[test]
fn t05_a_message_of_another_round_is_refused() {
    for protocol in Protocol::ALL {
        let same = record(&THREE, protocol, 33);
        let rounds = protocol.rounds();
        for (round, other) in rounds.iter().zip(rounds.iter().cycle().skip(1)) {
            let endings = run(protocol, 33, *round, |to, _| {
                same.payload(CHEAT, *other, to).to_vec()
            });
            refused_on_arrival(&all_name_the_cheat(endings));
        }
    }
}

/// The outside of the message is made to fit; the content is another session's.
#[test]
fn t05_the_content_of_another_session_is_refused_by_the_protocol_itself() {
    for protocol in Protocol::ALL {
        let earlier = record(&THREE, protocol, 34);
        for round in protocol.rounds() {
            let endings = run(protocol, 35, *round, |to, own| {
                readdressed(own, earlier.payload(CHEAT, *round, to))
            });
            nobody_honest_finishes_or_is_blamed(&endings, &format!("{protocol:?} {round}"));
            // A wrong part is nobody's in particular; the echo in it is that session's too.
            if (protocol, *round) != (Protocol::Sign, 3) {
                all_name_the_cheat(endings);
            }
        }
    }
}

#[test]
fn t05_the_content_of_another_party_is_refused_by_the_protocol_itself() {
    for protocol in Protocol::ALL {
        let same = record(&THREE, protocol, 36);
        for round in protocol.rounds() {
            let endings = run(protocol, 36, *round, |_, own| {
                readdressed(own, same.payload(VICTIM, *round, 2))
            });
            nobody_honest_finishes_or_is_blamed(&endings, &format!("{protocol:?} {round}"));
            if (protocol, *round) != (Protocol::Sign, 3) {
                all_name_the_cheat(endings);
            }
        }
    }
}

/// An answer of another attempt at the same session is told by the nonces it answers.
#[test]
fn t05_the_content_of_another_attempt_is_refused_without_a_ban() {
    let earlier = record(&THREE, Protocol::Sign, 37);
    let endings = run(Protocol::Sign, 37, 2, |to, own| {
        readdressed(own, earlier.payload(CHEAT, 2, to))
    });
    for abort in all_name_the_cheat(endings) {
        let ban = matches!(abort.reason, AbortReason::ConsistencyCheck { .. });
        assert!(!ban, "{abort:?}");
    }
}

/// Signers with setups of different runs stop before anything secret is used, and ban nobody.
#[test]
fn t05_setups_of_different_runs_do_not_sign() {
    use quorate_testkit::dkls;
    use quorate_types::DerivationPath;
    let stage = &*TWO;
    let mut mixed = dkls::setups(&stage.identities, &stage.shares, 50);
    let other = dkls::setups(&stage.identities, &stage.shares, 51);
    assert_ne!(mixed[0].id(), other[0].id());
    mixed.truncate(1);
    mixed.extend(other.into_iter().skip(1));
    let path = DerivationPath::root();
    let message = preimage(1);
    let mut simulation = dkls::signing_simulation(
        &stage.identities,
        &stage.shares,
        &mixed,
        &[0, 1],
        &path,
        &message,
        52,
    );
    simulation.run();
    for (ending, peer) in simulation.endings().into_iter().zip([1, 0]) {
        let abort = ending.abort();
        assert!(
            matches!(abort.reason, AbortReason::FailedCheck { .. }),
            "{abort:?}"
        );
        assert_eq!(abort.culprits, [peer]);
    }
}
