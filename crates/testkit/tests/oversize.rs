//! T13: oversized messages, length bombs and huge integers are refused in bounded time and memory, and their sender named.
//!
//! One test at a time, because memory is counted for the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use quorate_mpc_protocol::{AbortReason, Outgoing, To, max_message_len};
use quorate_testkit::malicious::{
    PLACE_LEN, Protocol, Recording, Stage, integer, integers, readdressed, spliced, varint,
    with_payload,
};
use quorate_testkit::sim::{Ending, InFlight};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

static TWO: LazyLock<Stage> = LazyLock::new(|| Stage::new(2));

const CHEAT: u16 = 1;

/// What the cheat sends instead of an honest payload.
type Forge<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// The honest party's ending when the cheat forges its messages of a round, and echoes what the honest party then echoes.
fn attack(protocol: Protocol, round: u16, forge: Forge<'_>) -> Ending {
    let rehearsal = |echo: Option<&[u8]>| {
        let mut simulation = TWO
            .simulation(protocol, 100, 100)
            .with_meddler(CHEAT, |_, m| {
                Some(match echo {
                    _ if m.round == round => with_payload(m, forge(&m.payload)),
                    Some(echo) if m.round == protocol.echo_round() => {
                        with_payload(m, readdressed(&m.payload, echo))
                    }
                    _ => m.clone(),
                })
            });
        simulation.run();
        let heard = Recording::of(&simulation);
        (heard, simulation.endings().remove(0))
    };
    let (heard, ending) = rehearsal(None);
    let echoed = heard.find(0, protocol.echo_round(), CHEAT);
    match (&ending, echoed) {
        (Ending::Abort(abort), Some(echo))
            if matches!(abort.reason, AbortReason::UnreliableBroadcast { .. }) =>
        {
            rehearsal(Some(&echo.message.payload)).1
        }
        _ => ending,
    }
}

#[track_caller]
fn names_the_cheat(ending: Ending) {
    let abort = ending.abort();
    assert_eq!(abort.culprits, [CHEAT], "{abort:?}");
}

/// Bytes allocated at most at one time while a ceremony takes one forged message, beyond what was allocated before.
fn peak_of_delivery(protocol: Protocol, honest: &InFlight, payload: Vec<u8>) -> (usize, Duration) {
    use quorate_mpc_protocol::{Effect, Incoming, Seat};
    use quorate_testkit::sim::session_id;
    let seat = Seat::new(session_id(101), 0, 2).unwrap();
    let mut ceremony = TWO.ceremony(protocol, seat, 101);
    let _ = ceremony.begin();
    let round = honest.message.round;
    let message = Incoming {
        payload,
        statement: None,
        ..honest.message.clone()
    };
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let start = Instant::now();
    let effects = ceremony.deliver(message);
    let took = start.elapsed();
    let peak = MEMORY.peak_usage();
    match effects.as_slice() {
        [Effect::Abort(abort)] => assert_eq!(abort.culprits, [CHEAT], "{abort:?}"),
        other => panic!("{protocol:?} round {round}: {other:?}"),
    }
    (peak.saturating_sub(before), took)
}

fn variant(protocol: Protocol, round: u16) -> Vec<u8> {
    match protocol {
        Protocol::Ed25519 | Protocol::Bip340 => Vec::new(),
        _ => varint(usize::from(round)),
    }
}

const BROADCAST_LIMIT: Duration = Duration::from_millis(200);

#[test]
fn t13_sixteen_mebibytes_are_refused_before_decoding() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for protocol in Protocol::ALL {
        let recording = TWO.record(protocol, 101, 101);
        for round in protocol.rounds() {
            let honest = recording.find(CHEAT, *round, 0).unwrap();
            let mut payload = honest.message.payload[..PLACE_LEN].to_vec();
            payload.extend(variant(protocol, *round));
            payload.resize(16 << 20, 0xff);
            let (peak, took) = peak_of_delivery(protocol, honest, payload);
            assert!(peak < 64 * 1024, "{protocol:?} round {round}: {peak} bytes");
            assert!(
                took < BROADCAST_LIMIT,
                "{protocol:?} round {round}: {took:?}"
            );
        }
    }
}

#[test]
fn t13_the_limit_is_the_one_published_and_honest_messages_are_below() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for protocol in Protocol::ALL {
        let limit = max_message_len(protocol.kind());
        let recording = TWO.record(protocol, 101, 101);
        for round in protocol.rounds() {
            assert!(recording.payload(CHEAT, *round, 0).len() <= limit);
        }
    }
}

/// A few bytes that announce up to 2^62 elements, in place of the content and after each of its first bytes.
#[test]
fn t13_length_bombs_are_refused_in_bounded_memory() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for protocol in Protocol::ALL {
        let recording = TWO.record(protocol, 101, 101);
        for round in protocol.rounds() {
            let honest = recording.find(CHEAT, *round, 0).unwrap();
            let whole = &honest.message.payload;
            // The first step of these two takes a while.
            let step = match protocol {
                Protocol::Aux | Protocol::Ecdsa | Protocol::Presign => 9,
                _ => 1,
            };
            for (keep, bits) in (0..48)
                .step_by(step)
                .flat_map(|keep| [(keep, 24), (keep, 62)])
            {
                let mut payload = whole[..(PLACE_LEN + keep).min(whole.len() - 1)].to_vec();
                payload.extend(varint(1 << bits));
                // Longer than any message without lists, so that nothing happens to be complete.
                payload.extend([0xff; 200]);
                let (peak, took) = peak_of_delivery(protocol, honest, payload);
                assert!(
                    peak < 4 << 20,
                    "{protocol:?} round {round} {keep}: {peak} bytes"
                );
                assert!(
                    took < BROADCAST_LIMIT,
                    "{protocol:?} round {round} {keep}: {took:?}"
                );
            }
        }
    }
}

#[test]
fn t13_empty_and_truncated_messages_are_refused() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for protocol in Protocol::ALL {
        for round in protocol.rounds() {
            let cuts: [Forge<'_>; 4] = [
                &|_| Vec::new(),
                &|p| p[..PLACE_LEN].to_vec(),
                &|p| p[..p.len() - 1].to_vec(),
                &|p| [p, &[0]].concat(),
            ];
            for cut in cuts {
                names_the_cheat(attack(protocol, *round, cut));
            }
        }
    }
}

/// Integers no honest party sends, put in place of each of several integers of a message.
fn hostile_integers() -> Vec<(&'static str, Vec<u8>)> {
    let long = "f".repeat(60_000);
    vec![
        ("60000 digits", integer(16, &long)),
        ("the most digits allowed", integer(16, &long[..2560])),
        ("zero", integer(16, "0")),
        ("negative", integer(16, &format!("-{}", &long[..260]))),
        ("no digits", integer(16, "")),
        ("radix 37", integer(37, "zz")),
        ("radix 0", integer(0, "1")),
        ("even", integer(16, &format!("{}e", &long[..259]))),
    ]
}

/// Tries `usual` of the integers of each message, or `QUORATE_TEST_TIMES` times as many.
fn hostile_integers_are_refused(protocol: Protocol, usual: usize) {
    let times = std::env::var("QUORATE_TEST_TIMES").map_or(1, |times| times.parse().unwrap());
    let sampled = usual * times;
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let recording = TWO.record(protocol, 100, 100);
    let mut tried = 0;
    for round in protocol.rounds() {
        let places = integers(recording.payload(CHEAT, *round, 0));
        let step = places.len().div_ceil(sampled).max(1);
        for index in (0..places.len()).step_by(step) {
            for (what, hostile) in hostile_integers() {
                let start = Instant::now();
                let ending = attack(protocol, *round, &|payload| {
                    spliced(payload, &integers(payload)[index], &hostile)
                });
                let took = start.elapsed();
                let Ending::Abort(abort) = ending else {
                    panic!("{protocol:?} round {round} integer {index} {what}: {ending:?}");
                };
                assert_eq!(
                    abort.culprits,
                    [CHEAT],
                    "round {round} integer {index} {what}: {abort:?}"
                );
                assert!(
                    took < Duration::from_secs(20),
                    "round {round} integer {index} {what}: {took:?}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 0, "the messages hold integers");
}

#[test]
fn t13_hostile_integers_in_a_setup_are_refused_in_bounded_time() {
    hostile_integers_are_refused(Protocol::Aux, 1);
}

#[test]
fn t13_hostile_integers_in_a_signing_are_refused_in_bounded_time() {
    hostile_integers_are_refused(Protocol::Ecdsa, 2);
}

#[test]
fn t13_a_message_of_the_wrong_delivery_or_of_no_round_is_refused() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for protocol in Protocol::ALL {
        for round in protocol.rounds() {
            for (redirect, renumber) in [(true, false), (false, true)] {
                let change = |to: u16, m: &Outgoing| {
                    let mut changed = m.clone();
                    if m.round == *round && redirect {
                        changed.to = match m.to {
                            To::Everyone => To::Party(to),
                            To::Party(_) => To::Everyone,
                        };
                    }
                    if m.round == *round && renumber {
                        changed.round = 9;
                    }
                    Some(changed)
                };
                let mut simulation = TWO
                    .simulation(protocol, 102, 102)
                    .with_meddler(CHEAT, change);
                simulation.run();
                names_the_cheat(simulation.endings().remove(0));
            }
        }
    }
}

#[test]
fn t13_messages_put_together_again_unchanged_are_accepted() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for protocol in Protocol::ALL {
        for round in protocol.rounds() {
            let ending = attack(protocol, *round, &|payload| {
                integers(payload).iter().fold(payload.to_vec(), |p, range| {
                    let same = p[range.clone()].to_vec();
                    spliced(&p, range, &same)
                })
            });
            let _ = ending.done();
        }
    }
}

/// The same of DKLs23, whose messages no seed repeats: too long, and announcing up to 2^62 elements.
#[test]
fn t13_dkls_messages_are_refused_in_bounded_memory() {
    use quorate_mpc_protocol::{Effect, Seat};
    use quorate_testkit::dkls;
    use quorate_testkit::sim::session_id;
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = dkls::Stage::new(2, quorate_types::Curve::Secp256k1);
    for protocol in dkls::Protocol::ALL {
        let mut simulation = stage.simulation(protocol, 101);
        simulation.run();
        let recording = Recording::of(&simulation);
        for round in protocol.rounds() {
            let honest = recording.find(CHEAT, *round, 0).unwrap();
            let long = [honest.message.payload.as_slice(), &[0xff; 16 << 20]].concat();
            let bombs = (0..104)
                .step_by(4)
                .flat_map(|keep| [(keep, 14), (keep, 24), (keep, 62)])
                .map(|(keep, bits)| {
                    let whole = &honest.message.payload;
                    let mut bomb = whole[..(PLACE_LEN + keep).min(whole.len() - 1)].to_vec();
                    bomb.extend(varint(1 << bits));
                    bomb.extend([0xff; 200]);
                    bomb
                });
            for payload in std::iter::once(long).chain(bombs) {
                let seat = Seat::new(session_id(101), 0, 2).unwrap();
                let mut ceremony = stage.ceremony(protocol, seat);
                let mut message = honest.message.clone();
                message.payload = payload;
                let before = MEMORY.current_usage();
                MEMORY.reset_peak_usage();
                let start = Instant::now();
                let effects = ceremony.deliver(message);
                let took = start.elapsed();
                let peak = MEMORY.peak_usage().saturating_sub(before);
                assert!(
                    matches!(effects.as_slice(), [Effect::Abort(a)] if a.culprits == [CHEAT]),
                    "{protocol:?} round {round}: {effects:?}"
                );
                assert!(peak < 4 << 20, "{protocol:?} round {round}: {peak} bytes");
                assert!(
                    took < BROADCAST_LIMIT,
                    "{protocol:?} round {round}: {took:?}"
                );
            }
        }
    }
}
