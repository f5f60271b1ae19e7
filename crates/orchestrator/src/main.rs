//! The orchestrator's own program.

use clap::Parser;
use quorate_orchestrator::command::{self, OrchestratorArgs};
use tracing_subscriber::EnvFilter;

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
    let filter = EnvFilter::try_from_env("QUORATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    tokio::select! {
        result = command::run(cli.orchestrator) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
