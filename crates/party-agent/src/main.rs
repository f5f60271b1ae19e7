//! A custodian's agent.

use clap::Parser;
use quorate_party_agent::command::{self, AgentArgs};

/// A custodian's agent: holds one share of every key and decides alone what it signs
#[derive(Parser)]
#[command(name = "quorate-party-agent", version)]
struct Cli {
    #[command(flatten)]
    agent: AgentArgs,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    quorate_service::log_to_stderr("info");
    command::run(cli.agent).await
}
