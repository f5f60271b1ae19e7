//! A hostile orchestrator against real agents: T15 to T21 and T27 of the threat list, freezes, and waiting times.
//!
//! Every attack is made twice: on agents as they are, which must refuse it, and on agents behind something that undoes the one check that the
//! attack is about (`weakness`), or under a policy without the rule: there it must succeed, or the
//! test would prove nothing. Custodians
//! are asked in both ways there are to ask them (`target::Way`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

#[allow(dead_code, reason = "shared with tests that need other parts of it")]
#[path = "../support/mod.rs"]
mod support;

/// The attack fails, however custodians are asked.
macro_rules! holds {
    ($target:expr, $attack:ident $(, $argument:expr)*) => {
        for way in crate::target::Way::BOTH {
            $target.over(way);
            let attacked = $attack($target $(, $argument)*).await;
            attacked.unwrap_or_else(|broken| panic!("{way:?}: {broken}"));
        }
    };
}

/// The attack succeeds on what lacks a check, however it is asked.
macro_rules! breaks {
    ($target:expr, $attack:ident $(, $argument:expr)*) => {
        for way in crate::target::Way::BOTH {
            $target.over(way);
            let attacked = $attack($target $(, $argument)*).await;
            assert!(attacked.is_err(), "{way:?}: what lacks the check refuses it too");
        }
    };
}

mod expect;
mod freeze;
mod payload;
mod t15_replay;
mod t16_lies;
mod t17_spending;
mod t18_errors;
mod t19_bundles;
mod t20_decoys;
mod t21_own_requests;
mod t27_strangers;
mod target;
mod waiting;
mod weakness;
