//! The orchestrator's own program.

use clap::Parser;
use quorate_orchestrator::command::{self, OrchestratorArgs};

/// Carries requests and sessions between operators and custodians; holds no secret
#[derive(Parser)]
#[command(name = "quorate-orchestrator", version)]
struct Cli {
    #[command(flatten)]
    orchestrator: OrchestratorArgs,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    quorate_service::log_to_stderr("info");
    tokio::select! {
        result = command::run(cli.orchestrator) => result,
        () = quorate_service::interrupted() => Ok(()),
    }
}
