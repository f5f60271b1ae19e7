//! `quorate agent identity`: the key a custodian signs its messages with, in a token.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use quorate_messaging::PartyKeys;
use quorate_storage::Pkcs11Identity;

use crate::hardware::HsmConfig;
use crate::passphrase::Asking;
use crate::unlock::token_pin;
use crate::{AgentConfig, Unlock, identity};

/// The identity of a custodian; the roster names its public half.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Make an Ed25519 key in the configured token; it can never leave it
    #[command(
        after_help = "Example:\n  quorate agent identity create --config agent.toml\n\nThen, with every agent stopped, put the printed key into every roster.json."
    )]
    Create {
        /// The agent's configuration file, with [hsm] module, token and identity
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The new key's label; without it [hsm] identity is taken
        #[arg(long)]
        label: Option<String>,
    },
    /// Print the public key of the identity in use
    Show(ShowArgs),
}

/// Whose identity.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Carries a command out.
///
/// # Errors
/// Whatever keeps it from being done; nothing has then changed.
pub fn run(command: &IdentityCommand) -> anyhow::Result<()> {
    match command {
        IdentityCommand::Create { config, label } => {
            let config: AgentConfig = quorate_service::load(config)?;
            let hsm = token(&config)?;
            let label = label.as_deref().or(hsm.identity.as_deref());
            let label = label.context("the key needs a label; add --label or [hsm] identity")?;
            let pin = token_pin(hsm, Asking::Terminal)?;
            let made = Pkcs11Identity::create(&hsm.module, &hsm.token, &pin, label)?;
            println!("{}", hex(&made.public()));
        }
        IdentityCommand::Show(args) => {
            let config: AgentConfig = quorate_service::load(&args.config)?;
            println!("{}", hex(&shown(&config)?));
        }
    }
    Ok(())
}

fn token(config: &AgentConfig) -> anyhow::Result<&HsmConfig> {
    match &config.hsm {
        Some(hsm) => Ok(hsm),
        None => {
            bail!("the configuration names no token; add [hsm] with module, token and identity")
        }
    }
}

/// A key in a token is there to be asked; one in the store takes opening it.
fn shown(config: &AgentConfig) -> anyhow::Result<[u8; 32]> {
    if let Some((hsm, label)) = identity::in_token(config) {
        let pin = token_pin(hsm, Asking::Terminal)?;
        return Ok(Pkcs11Identity::open(&hsm.module, &hsm.token, &pin, label)?.public());
    }
    let unlock = Unlock::from_config(config)?;
    let store = unlock
        .open_store(config)
        .context("cannot open the store; is its agent stopped?")?;
    let keys: PartyKeys = identity::open(config, &unlock, &store)?;
    Ok(keys.identity())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
