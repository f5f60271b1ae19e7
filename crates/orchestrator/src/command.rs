//! The command line of an orchestrator, for its own program and for `quorate orchestrator`.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use quorate_messaging::{NatsOptions, NatsTransport, Transport};
use quorate_types::ValidRoster;

use crate::{Coordinator, OrchestratorConfig, http};

/// Run an orchestrator.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  quorate-orchestrator --config orchestrator/orchestrator.toml\n  quorate-orchestrator --config orchestrator.toml --check-config"
)]
pub struct OrchestratorArgs {
    /// The orchestrator's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration, the roster and the TLS files, then end
    #[arg(long)]
    check_config: bool,
    /// Use this NATS server instead of the configured one
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
    /// Listen here instead of where the configuration says; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Write the API's address to this file once it listens
    #[arg(long, value_name = "FILE")]
    endpoint_file: Option<PathBuf>,
}

/// What is needed to serve the API, read from files.
pub struct Prepared {
    /// The roster.
    pub roster: Arc<ValidRoster>,
    /// The API's TLS.
    pub tls: rustls::ServerConfig,
}

/// Reads the roster and the TLS files.
///
/// # Errors
/// Whatever is wrong with them.
pub fn prepare(config: &OrchestratorConfig) -> anyhow::Result<Prepared> {
    let roster = quorate_service::load_roster(&config.roster)?;
    let tls = http::tls(
        &read(&config.ca)?,
        &read(&config.certificate)?,
        &read(&config.key)?,
    )?;
    Ok(Prepared { roster, tls })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Listens, writes the endpoint file if one is named, and serves until the future is dropped.
///
/// # Errors
/// The socket's.
pub async fn serve(
    prepared: Prepared,
    listen: SocketAddr,
    endpoint_file: Option<&Path>,
    transport: Arc<dyn Transport>,
) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let endpoint = format!("https://{}", listener.local_addr()?);
    if let Some(path) = endpoint_file {
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, &endpoint)
            .and_then(|()| std::fs::rename(&temporary, path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    tracing::info!(%endpoint, "the API listens");
    let coordinator = Coordinator::new(prepared.roster, transport);
    Ok(http::serve(listener, prepared.tls, coordinator).await?)
}

/// Runs until the future is dropped.
///
/// # Errors
/// Whatever keeps the orchestrator from starting.
pub async fn run(args: OrchestratorArgs) -> anyhow::Result<()> {
    let config: OrchestratorConfig = quorate_service::load(&args.config)?;
    let prepared = prepare(&config)?;
    if args.check_config {
        println!("configuration, roster and TLS files are good");
        return Ok(());
    }
    let url = args.nats_url.as_deref().unwrap_or(&config.nats);
    let options = NatsOptions::new(
        url,
        &config.name,
        &config.ca,
        &config.certificate,
        &config.key,
    );
    let transport = NatsTransport::connect(options)
        .await
        .with_context(|| format!("cannot connect to NATS at {url}"))?;
    let listen = args.listen.unwrap_or(config.listen);
    serve(prepared, listen, args.endpoint_file.as_deref(), transport).await
}
