//! For tests only: a simulated cluster with a seeded, hostile network; parties that misbehave on purpose; primes made
//! beforehand; and starters for the real servers. No production crate may depend on this one (`cargo xtask deps`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens"
)]

pub mod committee;
pub mod dkls;
pub mod keys;
pub mod malicious;
pub mod moduli;
pub mod policy;
pub mod primes;
pub mod sim;
pub mod verify;
