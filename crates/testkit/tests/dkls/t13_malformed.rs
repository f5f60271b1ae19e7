//! T13: oversized, truncated and malformed messages are refused in bounded time, and their sender named.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use quorate_mpc_protocol::{AbortReason, Effect, Incoming, Seat};
use quorate_testkit::dkls::Protocol;
use quorate_testkit::malicious::{PLACE_LEN, Recording, varint, with_payload};
use quorate_testkit::sim::{Ending, session_id};

use crate::{CHEAT, TWO};

/// The honest party's ending when the cheat forges its messages of a round.
fn attack(protocol: Protocol, round: u16, forge: impl Fn(&[u8]) -> Vec<u8>) -> Ending {
    let mut simulation = TWO.simulation(protocol, 100).with_meddler(CHEAT, |_, m| {
        Some(if m.round == round {
            with_payload(m, forge(&m.payload))
        } else {
            m.clone()
        })
    });
    simulation.run();
    simulation.endings().remove(0)
}

/// What the cheat says in honest runs.
fn honest(protocol: Protocol) -> &'static Recording {
    static SETUP: LazyLock<Recording> = LazyLock::new(|| record(Protocol::Setup));
    static SIGN: LazyLock<Recording> = LazyLock::new(|| record(Protocol::Sign));
    match protocol {
        Protocol::Setup => &SETUP,
        Protocol::Sign => &SIGN,
    }
}

fn record(protocol: Protocol) -> Recording {
    let mut simulation = TWO.simulation(protocol, 100);
    simulation.run();
    Recording::of(&simulation)
}

/// One message, changed, is what a ceremony hears first; it ends there, naming the cheat.
#[track_caller]
fn refused_if(protocol: Protocol, round: u16, what: &str, change: impl FnOnce(&mut Incoming)) {
    let seat = Seat::new(session_id(100), 0, 2).unwrap();
    let mut ceremony = TWO.ceremony(protocol, seat);
    let mut message = honest(protocol)
        .find(CHEAT, round, 0)
        .unwrap()
        .message
        .clone();
    change(&mut message);
    let named = message.round;
    let start = Instant::now();
    let effects = ceremony.deliver(message);
    let took = start.elapsed();
    let context = format!("{protocol:?} round {round} {what}");
    let [Effect::Abort(abort)] = effects.as_slice() else {
        panic!("{context}: {effects:?}");
    };
    assert_eq!(abort.culprits, [CHEAT], "{context}: {abort:?}");
    let invalid = matches!(
        abort.reason,
        AbortReason::InvalidMessage { from: CHEAT, round, .. } if round == named
    );
    assert!(invalid, "{context}: {abort:?}");
    assert!(took < Duration::from_secs(2), "{context}: {took:?}");
}

#[track_caller]
fn refused(protocol: Protocol, round: u16, what: &str, forge: impl FnOnce(&[u8]) -> Vec<u8>) {
    refused_if(protocol, round, what, |message| {
        message.payload = forge(&message.payload);
    });
}

/// The honest variant: what was recorded is accepted.
#[test]
fn t13_unchanged_messages_are_accepted() {
    every_round(|protocol, round| {
        let seat = Seat::new(session_id(100), 0, 2).unwrap();
        let mut ceremony = TWO.ceremony(protocol, seat);
        let message = honest(protocol).find(CHEAT, round, 0).unwrap();
        let effects = ceremony.deliver(message.message.clone());
        assert!(matches!(effects.as_slice(), [Effect::Need { .. }]));
    });
}

fn every_round(mut attempt: impl FnMut(Protocol, u16)) {
    for protocol in Protocol::ALL {
        for round in protocol.rounds() {
            attempt(protocol, *round);
        }
    }
}

#[test]
fn t13_sixteen_mebibytes_are_refused() {
    every_round(|protocol, round| {
        refused(protocol, round, "16 MiB", |payload| {
            let mut huge = payload.to_vec();
            huge.resize(16 << 20, 0xff);
            huge
        });
    });
}

#[test]
fn t13_empty_truncated_and_longer_messages_are_refused() {
    every_round(|protocol, round| {
        refused(protocol, round, "empty", |_| Vec::new());
        refused(protocol, round, "no content", |p| p[..PLACE_LEN].to_vec());
        refused(protocol, round, "half", |p| p[..p.len() / 2].to_vec());
        refused(protocol, round, "one less", |p| p[..p.len() - 1].to_vec());
        refused(protocol, round, "one more", |p| [p, &[0]].concat());
    });
}

/// A few bytes that announce up to 2^62 elements, after each of the content's first bytes.
#[test]
fn t13_length_bombs_are_refused() {
    every_round(|protocol, round| {
        for keep in (0..110).step_by(5) {
            for bits in [14, 24, 62] {
                refused(protocol, round, "bomb", |p| {
                    let kept = (PLACE_LEN + keep).min(p.len() - 1);
                    let mut bomb = p[..kept].to_vec();
                    bomb.extend(varint(1 << bits));
                    // Longer than any message without lists, so that nothing happens to be complete.
                    bomb.extend([0xff; 150]);
                    bomb
                });
            }
        }
    });
}

/// Lists one longer or shorter than they must be, and well-formed otherwise.
#[test]
fn t13_lists_of_the_wrong_length_are_refused() {
    // The last list of an offer: 256 elements of 26 bytes after a length of two bytes.
    let at = |p: &[u8]| p.len() - 256 * 26 - 2;
    for elements in [0usize, 1, 255, 257] {
        refused(Protocol::Sign, 0, "list of an offer", |p| {
            let mut forged = p[..at(p)].to_vec();
            forged.extend(varint(elements));
            forged.resize(forged.len() + elements * 26, 0);
            forged
        });
    }
    // The last list of an answer: two scalars.
    let scalar = |p: &[u8]| p.len() - 1 - scalars(p) * 2;
    for elements in [0usize, 1, 3] {
        refused(Protocol::Sign, 2, "list of an answer", |p| {
            let mut forged = p[..scalar(p)].to_vec();
            forged.extend(varint(elements));
            let one = p[p.len() - scalars(p)..].to_vec();
            forged.extend(one.repeat(elements));
            forged
        });
    }
}

/// Bytes of an encoded scalar: the same for all, so that two of them and a length of one byte end an answer.
fn scalars(payload: &[u8]) -> usize {
    if payload[payload.len() - 65] == 2 {
        32
    } else {
        33
    }
}

/// A point at infinity, an uncompressed and a compact one: no honest party sends them.
#[test]
fn t13_unusual_points_are_refused() {
    let point = |payload: &[u8]| payload[PLACE_LEN + 1..PLACE_LEN + 34].to_vec();
    let replaced = |payload: &[u8], with: &[u8]| {
        let mut forged = payload[..PLACE_LEN].to_vec();
        forged.extend(varint(with.len()));
        forged.extend_from_slice(with);
        forged.extend_from_slice(&payload[PLACE_LEN + 34..]);
        forged
    };
    refused(Protocol::Sign, 1, "hybrid tag", |p| {
        let mut other = point(p);
        other[0] = 7;
        replaced(p, &other)
    });
    refused(Protocol::Sign, 1, "compact", |p| {
        let mut other = point(p);
        other[0] = 5;
        replaced(p, &other)
    });
    refused(Protocol::Sign, 1, "uncompressed", |p| {
        use k256::elliptic_curve::sec1::ToEncodedPoint as _;
        let key = k256::PublicKey::from_sec1_bytes(&point(p)).unwrap();
        replaced(p, key.to_encoded_point(false).as_bytes())
    });
    refused(Protocol::Sign, 1, "off the curve", |p| {
        let mut other = point(p);
        other[1..].fill(0);
        replaced(p, &other)
    });
    // Decodes, but is not what the answer opens.
    let ending = attack(Protocol::Sign, 1, |p| replaced(p, &[0]));
    assert_eq!(ending.abort().culprits, [CHEAT]);
}

/// Zero for both parts: the denominator does not vanish, and the signature is none.
#[test]
fn t13_zero_parts_yield_no_signature() {
    let ending = attack(Protocol::Sign, 3, |p| {
        let mut zero = p.to_vec();
        let half = (p.len() - PLACE_LEN - 32) / 2;
        let start = PLACE_LEN + 32;
        for part in [start, start + half] {
            zero[part + half - 32..part + half].fill(0);
        }
        zero
    });
    let abort = ending.abort();
    assert!(matches!(abort.reason, AbortReason::Unattributable { .. }));
}

#[test]
fn t13_a_second_different_message_is_refused_and_a_repeated_one_is_not() {
    use quorate_testkit::sim::InFlight;
    every_round(|protocol, round| {
        let mut rehearsal = TWO.simulation(protocol, 104);
        rehearsal.run();
        let other: InFlight = rehearsal
            .transcript()
            .iter()
            .find(|m| m.message.from == CHEAT && m.message.round == round)
            .unwrap()
            .clone();
        // Before the first step, so that the honest one is the second.
        let mut simulation = TWO.simulation(protocol, 104);
        simulation.inject(other.clone());
        simulation.inject(other);
        simulation.run();
        let abort = simulation.endings().remove(0).abort();
        let echoed_otherwise = matches!(abort.reason, AbortReason::UnreliableBroadcast { .. });
        if !(round == 3 && echoed_otherwise) {
            assert_eq!(
                abort.culprits,
                [CHEAT],
                "{protocol:?} round {round}: {abort:?}"
            );
        }
    });
}

#[test]
fn t13_a_message_of_the_wrong_delivery_or_of_no_round_is_refused() {
    every_round(|protocol, round| {
        refused_if(protocol, round, "delivery", |m| m.broadcast = !m.broadcast);
        refused_if(protocol, round, "round", |m| m.round = 9);
    });
}
