//! A hostile orchestrator against real agents: T15 to T21 and T27 of the threat list, freezes, and waiting times.
//!
//! Every attack is made twice: on agents as they are, which must refuse it, and on agents behind something that undoes the one check that the
//! attack is about (`weakness`), or under a policy without the rule: there it must succeed, or the test would prove nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

#[allow(dead_code, reason = "shared with tests that need other parts of it")]
#[path = "../support/mod.rs"]
mod support;

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
