//! The party agent: holds one share of every key and decides alone what it takes part in.
//!
//! A request comes in over `mpc.node.<party>` ([`serve`]), is judged from the raw bytes up ([`judge`]), recorded in the ledger,
//! and only then run ([`driver`]). The agent believes the orchestrator nothing: intents carry an operator's signature, and
//! transactions are parsed and hashed here.

pub mod agent;
pub mod backup;
pub mod boot;
mod catching_up;
pub mod command;
pub mod config;
pub mod control;
pub mod daemon;
mod dialects;
pub mod drill;
pub mod driver;
pub mod hardware;
pub mod identity;
pub mod identity_command;
pub mod judge;
pub mod keybook;
mod log;
pub mod online;
pub mod passphrase;
pub mod policy;
pub mod pool;
pub mod presence;
mod presignatures;
pub mod primes;
pub mod protector;
pub mod protocols;
mod refusals;
pub mod runs;
pub mod serve;
mod signing;
pub mod spending;
pub mod standing;
mod taking_part;
pub mod unlock;

pub use agent::{Agent, AgentError};
pub use config::{AgentConfig, PresignConfig, Timeouts};
pub use log::LogEntry;
pub use unlock::Unlock;
