//! The orchestrator: takes signed intents, picks custodians, starts their sessions, reports results.
//!
//! It holds no secret (it cannot: `cargo xtask deps` keeps it from the protocol and storage crates) and nobody believes it: agents
//! judge intents themselves, clients check attestations and signatures themselves. The worst it can do is nothing.

pub mod command;
pub mod config;
pub mod coordinator;
pub mod http;
pub mod keys;
pub mod nodes;
mod silent;

pub use config::OrchestratorConfig;
pub use coordinator::Coordinator;
