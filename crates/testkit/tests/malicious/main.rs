//! Parties that misbehave on purpose. Modules are named after the row of the threat model they test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

mod blame;
mod silence;
mod t01_moduli;
mod t05_replay;
mod t06_equivocation;
mod t07_shares;
mod t08_degree;
mod t09_rogue_key;

use std::sync::LazyLock;

use quorate_mpc_protocol::{Abort, AbortReason};
use quorate_testkit::malicious::Stage;
use quorate_testkit::sim::Ending;

/// Three parties, all taking part in everything.
static THREE: LazyLock<Stage> = LazyLock::new(|| Stage::new(3));

/// The seat that misbehaves.
const CHEAT: u16 = 1;
const HONEST: [u16; 2] = [0, 2];

/// The aborts of the honest parties; anything else than an abort panics.
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
        assert!(
            matches!(
                abort.reason,
                AbortReason::FailedCheck { .. } | AbortReason::InvalidMessage { .. }
            ),
            "{abort:?}"
        );
    }
    aborts
}

/// No honest party finished, and none blames another honest party or itself.
#[track_caller]
fn nobody_honest_finishes_or_is_blamed(endings: &[Ending]) {
    for seat in HONEST {
        match &endings[usize::from(seat)] {
            Ending::Done(outcome) => panic!("seat {seat} finished with {outcome:?}"),
            Ending::Abort(abort) => {
                assert!(abort.culprits.iter().all(|j| *j == CHEAT), "{abort:?}");
                assert!(
                    !matches!(abort.reason, AbortReason::Local { .. }),
                    "{abort:?}"
                );
            }
            Ending::Waiting { .. } => {}
        }
    }
}
