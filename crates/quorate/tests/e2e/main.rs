//! The whole system over real parts: `quorate` processes, a real NATS server, real chains. `make tools` installs the parts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "in a test a failure is the result; the lints' own exception does not reach helper functions"
)]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod batches;
mod bench;
mod bitcoin_chain;
mod canaries;
mod demo;
mod evm_chain;
mod faults;
mod flood;
mod hostile_orchestrator;
mod hsm;
mod input;
mod keepers;
mod kept;
mod keys;
mod passkey;
mod policy;
mod presignatures;
mod protocols;
mod restart;
mod restored;
mod sealed;
mod solana_chain;
mod strangers;
mod texts;
mod told;
mod up;
