//! The command line of an agent, for its own program and for `quorate agent`.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use quorate_storage::Passphrase;
use quorate_types::node::Standing;
use quorate_types::{KeyName, PartyId};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::control::{self, AgentStatus, ControlRequest};
use crate::daemon::{Daemon, Sealing};
use crate::passphrase::{Asking, PassphraseError};
use crate::{AgentConfig, Unlock, boot};

/// Run a custodian's agent.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  quorate-party-agent --config custodians/party-1/agent.toml\n  QUORATE_PASSPHRASE=... quorate-party-agent --config agent.toml --check-config\n  quorate-party-agent --config agent.toml --sealed"
)]
pub struct AgentArgs {
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration, the roster, the store and its passphrase, then end
    #[arg(long)]
    check_config: bool,
    /// Stay sealed until `quorate agent unseal`, even if a file or the environment holds what opens the store
    #[arg(long, conflicts_with = "check_config")]
    sealed: bool,
    /// Use this NATS server instead of the configured one
    #[arg(long, value_name = "URL")]
    nats_url: Option<String>,
}

/// Runs until interrupted. The agent starts sealed; what a file or the environment holds opens it at once.
///
/// # Errors
/// Whatever keeps the agent from starting, with what to do about it.
pub async fn run(args: AgentArgs) -> anyhow::Result<()> {
    let mut config: AgentConfig = quorate_service::load(&args.config)?;
    if let Some(url) = args.nats_url {
        config.nats.url = url;
    }
    if args.check_config {
        return check(config).await;
    }
    let warnings = protect_memory();
    let party = config.party.clone();
    let sealing = tokio::select! {
        biased;
        () = quorate_service::interrupted() => {
            tracing::info!(%party, "stopping");
            return Ok(());
        }
        sealing = serve(args.config, config, args.sealed, warnings) => sealing?,
    };
    tracing::info!(%party, "sealing");
    sealing.confirm();
    // The answer is on its way before everything ends.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Err(replace_by_sealed())
}

/// Serves until somebody seals the agent; by then everything it held is dropped.
async fn serve(
    config_file: PathBuf,
    config: AgentConfig,
    stay_sealed: bool,
    warnings: Vec<String>,
) -> anyhow::Result<Sealing> {
    let unlock = match stay_sealed {
        true => None,
        false => unlock_unasked(&config)?,
    };
    let transport = boot::connect(&config)
        .await
        .with_context(|| format!("cannot connect to NATS at {}", config.nats.url))?;
    let (party, url, data) = (
        config.party.clone(),
        config.nats.url.clone(),
        config.data.clone(),
    );
    let needs = Unlock::needs(&config);
    let mut daemon = Daemon::start(config_file, config, transport, warnings)?;
    let (sender, asked) = mpsc::channel(8);
    // Ends with the receiver, whose end every sender sees.
    tokio::spawn(control::serve(control::listen(&data)?, sender));
    match unlock {
        Some(unlock) => daemon.unseal_at_start(unlock).await,
        None => {
            tracing::warn!(%party, needs, "sealed; open it with: quorate agent unseal --config <agent.toml>");
        }
    }
    tracing::info!(%party, nats = url, "connected");
    daemon.run(asked).await
}

/// Replaces this process by the same program, sealed. Wiping keys would leave copies on stacks and in registers that were saved; the
/// operating system leaves nothing. Returns only if it cannot.
fn replace_by_sealed() -> anyhow::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return ended_instead(&error),
    };
    let sealed = OsStr::new("--sealed");
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1).filter(|a| a != sealed));
    command.arg(sealed);
    for variable in Unlock::VARIABLES {
        command.env_remove(variable);
    }
    ended_instead(&command.exec())
}

fn ended_instead(error: &std::io::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "the agent sealed itself by ending, for it cannot start anew ({error}); start it again"
    )
}

async fn check(config: AgentConfig) -> anyhow::Result<()> {
    protect_memory();
    let unlock = Unlock::from_config(&config)?;
    let party = config.party.clone();
    tokio::task::spawn_blocking(move || boot::open_unchanged(&config, &unlock)).await??;
    println!("{party}: configuration, roster and store are good");
    Ok(())
}

/// Before any secret is read.
fn protect_memory() -> Vec<String> {
    let mut warnings = quorate_service::forbid_core_dumps();
    warnings.extend(quorate_service::lock_memory());
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    warnings
}

/// None where nothing is at hand.
fn unlock_unasked(config: &AgentConfig) -> Result<Option<Unlock>, PassphraseError> {
    match Unlock::asking(config, Asking::Environment) {
        Ok(unlock) => Ok(Some(unlock)),
        Err(PassphraseError::None { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Which running agent.
#[derive(Debug, Args)]
pub struct LocalArgs {
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Let a banned party sign by DKLs23 again.
#[derive(Debug, Args)]
pub struct LiftBanArgs {
    #[command(flatten)]
    agent: LocalArgs,
    /// The key's name
    #[arg(long)]
    key: KeyName,
    /// The custodian that was banned
    #[arg(long)]
    party: PartyId,
}

impl LiftBanArgs {
    /// Asks the agent that runs here.
    ///
    /// # Errors
    /// No such agent, or no such ban.
    pub async fn run(&self) -> anyhow::Result<AgentStatus> {
        let (key, party) = (self.key.clone(), self.party.clone());
        self.agent
            .ask(&ControlRequest::LiftBan { key, party })
            .await
    }
}

/// Confirm the policy's version to an agent that was restored.
#[derive(Debug, Args)]
pub struct AcceptPolicyArgs {
    #[command(flatten)]
    agent: LocalArgs,
    /// The version that the admins say is in force
    #[arg(value_name = "VERSION")]
    version: u64,
}

impl AcceptPolicyArgs {
    /// Tells the agent that runs here.
    ///
    /// # Errors
    /// No such agent, one that has a later version, or one that still waits for something else.
    pub async fn run(&self) -> anyhow::Result<AgentStatus> {
        let version = self.version;
        self.agent
            .ask(&ControlRequest::AcceptPolicy { version })
            .await
    }
}

/// Open a running agent's store.
#[derive(Debug, Args)]
pub struct UnsealArgs {
    #[command(flatten)]
    agent: LocalArgs,
    /// File holding the passphrase or PIN, 0600; without it QUORATE_PASSPHRASE or QUORATE_PIN is taken, or asked for
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl LocalArgs {
    /// Sends a request to the agent that runs here.
    ///
    /// # Errors
    /// No such agent, or its refusal.
    pub async fn ask(&self, request: &ControlRequest) -> anyhow::Result<AgentStatus> {
        let config: AgentConfig = quorate_service::load(&self.config)?;
        Ok(control::ask(&config.data, request).await?)
    }
}

impl UnsealArgs {
    /// Takes the secret from file, environment or terminal, and hands it to the running agent.
    ///
    /// # Errors
    /// No secret, no agent, or one that it does not open.
    pub async fn run(&self) -> anyhow::Result<AgentStatus> {
        let config: AgentConfig = quorate_service::load(&self.agent.config)?;
        // A running agent first: nobody likes to type a passphrase for nothing.
        let status = control::ask(&config.data, &ControlRequest::Status).await?;
        if !matches!(status.standing, Standing::Sealed { .. }) {
            return Ok(status);
        }
        let secret = self.secret(&config)?;
        let request = ControlRequest::Unseal { secret };
        Ok(control::ask(&config.data, &request).await?)
    }

    fn secret(&self, config: &AgentConfig) -> Result<Option<Zeroizing<String>>, PassphraseError> {
        let asking = match &self.secret_file {
            Some(file) => Some(Asking::Terminal.obtain(Some(file), "QUORATE_PASSPHRASE", "")?),
            None => None,
        };
        let given = asking.as_ref();
        let unlock = match given {
            Some(_) => Unlock::asking(config, Asking::Given(given))?,
            None => Unlock::from_config(config)?,
        };
        Ok(unlock.secret().map(Passphrase::to_zeroizing))
    }
}
