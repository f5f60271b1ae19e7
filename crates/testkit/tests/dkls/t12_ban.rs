//! T12: a party that fails a consistency check of the oblivious transfers is named, and its ban asked for in so many words; what is no
//! such failure asks for none.

use quorate_mpc_protocol::{Abort, AbortReason};
use quorate_testkit::dkls::Protocol;

use crate::tampering::flip;
use crate::{CHEAT, THREE, TWO, all_name_the_cheat};

fn is_ban(abort: &Abort) -> bool {
    matches!(
        abort.reason,
        AbortReason::ConsistencyCheck { from: CHEAT, .. }
    )
}

/// Places in an offer: after parties, binding and commitment come nonce, matrix and two proofs of consistency.
const IN_OFFER: [(&str, usize); 5] = [
    ("nonce", 70),
    ("first row", 110),
    ("last row", 20_060),
    ("x", 20_080),
    ("t", 26_000),
];

#[test]
fn t12_a_receivers_inconsistent_transfer_asks_for_the_ban() {
    for stage in [&TWO, &THREE] {
        for (what, at) in IN_OFFER {
            for abort in all_name_the_cheat(flip(stage, Protocol::Sign, 0, |_| at)) {
                assert!(is_ban(&abort), "{what}: {abort:?}");
                assert!(abort.to_string().contains("banned"), "{abort}");
            }
        }
    }
}

#[test]
fn t12_a_senders_inconsistent_transfer_asks_for_the_ban() {
    for stage in [&TWO, &THREE] {
        // The corrections, from somewhere in the middle to the last adjustment.
        for at in [|len| len / 3, |len| len / 2, |len| len - 40, |len| len - 2] {
            for abort in all_name_the_cheat(flip(stage, Protocol::Sign, 2, at)) {
                assert!(is_ban(&abort), "{abort:?}");
            }
        }
    }
}

#[test]
fn t12_what_reveals_nothing_asks_for_no_ban() {
    // How far into the content, by its length.
    type At = fn(usize) -> usize;
    let harmless: [(Protocol, u16, At); 7] = [
        (Protocol::Setup, 0, |_| 5),
        (Protocol::Setup, 1, |_| 5),
        (Protocol::Setup, 1, |len| len / 2),
        // Binding and commitment.
        (Protocol::Sign, 0, |_| 10),
        (Protocol::Sign, 0, |_| 40),
        (Protocol::Sign, 1, |_| 10),
        (Protocol::Sign, 2, |_| 10),
    ];
    for (protocol, round, at) in harmless {
        for abort in all_name_the_cheat(flip(&THREE, protocol, round, at)) {
            assert!(!is_ban(&abort), "{protocol:?} {round}: {abort:?}");
        }
    }
}
