//! DKLs23: setups of existing keys, signing with them, and parties that misbehave in either.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

mod honest;
mod stored;
mod t05_replay;
mod t06_equivocation;
mod t12_ban;
mod t13_malformed;
mod tampering;

use std::sync::LazyLock;

use quorate_mpc_protocol::{Abort, AbortReason};
use quorate_testkit::dkls::Stage;
use quorate_testkit::sim::Ending;
use quorate_types::Curve;

/// Two parties, who both take part.
static TWO: LazyLock<Stage> = LazyLock::new(|| Stage::new(2, Curve::Secp256k1));
/// Three, who all take part.
static THREE: LazyLock<Stage> = LazyLock::new(|| Stage::new(3, Curve::Secp256k1));

/// The seat that misbehaves.
const CHEAT: u16 = 1;

/// The aborts of the honest parties; anything else than an abort panics.
#[track_caller]
fn honest_aborts(endings: Vec<Ending>) -> Vec<Abort> {
    endings
        .into_iter()
        .zip(0u16..)
        .filter(|(_, seat)| *seat != CHEAT)
        .map(|(ending, _)| ending.abort())
        .collect()
}

/// Every honest party aborted and names the cheat and nobody else.
#[track_caller]
fn all_name_the_cheat(endings: Vec<Ending>) -> Vec<Abort> {
    let aborts = honest_aborts(endings);
    for abort in &aborts {
        assert_eq!(abort.culprits, [CHEAT], "{abort:?}");
    }
    aborts
}

/// Nobody honest finished, blames another honest party, or takes the fault upon itself.
#[track_caller]
fn nobody_honest_finishes_or_is_blamed(endings: &[Ending], context: &str) {
    for (seat, ending) in (0u16..).zip(endings).filter(|(seat, _)| *seat != CHEAT) {
        match ending {
            Ending::Done(outcome) => panic!("{context}: seat {seat} finished with {outcome:?}"),
            Ending::Abort(abort) => {
                let fair = abort.culprits.iter().all(|j| *j == CHEAT);
                let local = matches!(abort.reason, AbortReason::Local { .. });
                assert!(fair && !local, "{context}: {abort:?}");
            }
            Ending::Waiting { .. } => {}
        }
    }
}
