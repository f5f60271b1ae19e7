//! The command line of an agent, for its own program and for `quorate agent`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::{AgentConfig, Unlock, boot};

/// Run a custodian's agent.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  quorate-party-agent --config custodians/party-1/agent.toml\n  QUORATE_PASSPHRASE=... quorate-party-agent --config agent.toml --check-config"
)]
pub struct AgentArgs {
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration, the roster, the store and its passphrase, then end
    #[arg(long)]
    check_config: bool,
    /// Use this NATS server instead of the configured one
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
}

/// Runs until interrupted.
///
/// # Errors
/// Whatever keeps the agent from starting, with what to do about it.
pub async fn run(args: AgentArgs) -> anyhow::Result<()> {
    let mut config: AgentConfig = quorate_service::load(&args.config)?;
    if let Some(url) = args.nats_url {
        config.nats.url = url;
    }
    let unlock = Unlock::from_config(&config)?;
    let opened = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || boot::open(&config, &unlock)).await??
    };
    if args.check_config {
        println!("{}: configuration, roster and store are good", config.party);
        return Ok(());
    }
    let transport = boot::connect(&config)
        .await
        .with_context(|| format!("cannot connect to NATS at {}", config.nats.url))?;
    let mut serving = boot::start(&config, opened, transport).await?;
    tracing::info!(party = %config.party, nats = config.nats.url, "serving");
    tokio::select! {
        ended = serving.ended() => ended.context("the agent stopped serving"),
        () = quorate_service::interrupted() => {
            tracing::info!(party = %config.party, "stopping");
            Ok(())
        }
    }
}
