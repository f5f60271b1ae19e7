//! The commands.

pub mod address;
pub mod affirmed;
pub mod agent;
pub mod approve;
pub mod backup;
pub mod committee;
pub mod drill;
pub mod init;
pub mod key;
pub mod passkey;
pub mod payload;
pub mod policy;
pub mod recover;
pub mod request;
pub mod restore;
pub mod sign;
pub mod status;
pub mod up;
pub mod verify;
pub mod version;

use quorate_orchestrator::command::{self, OrchestratorArgs};

/// `quorate orchestrator run`.
pub async fn orchestrator(args: OrchestratorArgs) -> anyhow::Result<()> {
    tokio::select! {
        result = command::run(args) => result,
        () = quorate_service::interrupted() => Ok(()),
    }
}
