//! `quorate agent protector`: what opens a custodian's store. The agent must be stopped meanwhile.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use quorate_storage::{EncryptedFileStore, Pkcs11Key};

use crate::AgentConfig;
use crate::config::HsmConfig;
use crate::passphrase::{Asking, obtain};
use crate::unlock::Unlock;

/// Protectors of a store; any one of them opens it.
#[derive(Debug, Subcommand)]
pub enum ProtectorCommand {
    /// List them
    List(StoreArgs),
    /// Add one
    #[command(after_help = ADD_EXAMPLES)]
    Add(NewArgs),
    /// Replace one by a new one of the same name
    Rotate(NewArgs),
    /// Remove one; the last cannot be removed
    Remove {
        /// Which store
        #[command(flatten)]
        store: StoreArgs,
        /// Its name
        #[arg(long)]
        name: String,
    },
}

const ADD_EXAMPLES: &str = "Examples:
  quorate agent protector add --config agent.toml --name spare-passphrase
  quorate agent protector add --config agent.toml --name hsm \\
      --module /usr/lib/softhsm/libsofthsm2.so --token custodian --key quorate-store --create-key";

/// Which store.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// A new protector: a passphrase unless a token is named.
#[derive(Debug, Args)]
pub struct NewArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Its name
    #[arg(long)]
    name: String,
    /// File holding the new passphrase, 0600; without it QUORATE_NEW_PASSPHRASE is taken, or asked for
    #[arg(long, value_name = "FILE", conflicts_with = "module")]
    new_passphrase_file: Option<PathBuf>,
    /// A hardware security module's PKCS#11 library
    #[arg(long, value_name = "FILE", requires_all = ["token", "key"])]
    module: Option<PathBuf>,
    /// The token's label
    #[arg(long)]
    token: Option<String>,
    /// The AES key's label
    #[arg(long)]
    key: Option<String>,
    /// Make the key in the token first; it can never leave it
    #[arg(long, requires = "module")]
    create_key: bool,
    /// File holding the token's PIN, 0600; without it QUORATE_PIN is taken, or asked for
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

/// Carries a command out.
///
/// # Errors
/// Whatever keeps it from being done; nothing has then changed.
pub fn run(command: &ProtectorCommand) -> anyhow::Result<()> {
    match command {
        ProtectorCommand::List(args) => {
            for protector in args.open()?.protectors()? {
                println!("{:<20} {}", protector.name, protector.kind);
            }
        }
        ProtectorCommand::Add(args) => {
            let store = args.store.open()?;
            // Before a key is made in a token for nothing.
            if store.protectors()?.iter().any(|p| p.name == args.name) {
                bail!(
                    "the store has a protector named {:?} already; choose another --name, or rotate it",
                    args.name
                );
            }
            args.unlock()?
                .with(|new| store.add_protector(&args.name, new))?;
            println!("added {}", args.name);
        }
        ProtectorCommand::Rotate(args) => {
            let store = args.store.open()?;
            args.unlock()?
                .with(|new| store.rotate_protector(&args.name, new))?;
            println!("replaced {}", args.name);
        }
        ProtectorCommand::Remove { store, name } => {
            store.open()?.remove_protector(name)?;
            println!("removed {name}");
        }
    }
    Ok(())
}

impl StoreArgs {
    fn open(&self) -> anyhow::Result<EncryptedFileStore> {
        let config: AgentConfig = quorate_service::load(&self.config)?;
        let unlock = Unlock::from_config(&config)?;
        unlock
            .open_store(&config)
            .context("cannot open the store; its agent must be stopped meanwhile")
    }
}

impl NewArgs {
    fn unlock(&self) -> anyhow::Result<Unlock> {
        match (&self.module, &self.token, &self.key) {
            (Some(module), Some(token), Some(key)) => {
                let unlock = Unlock::hsm(
                    &HsmConfig {
                        module: module.clone(),
                        token: token.clone(),
                        key: key.clone(),
                        pin_file: self.pin_file.clone(),
                    },
                    Asking::Terminal,
                )?;
                if let (true, Unlock::Hsm { pin, .. }) = (self.create_key, &unlock) {
                    Pkcs11Key::create(module, token, pin, key)?;
                }
                Ok(unlock)
            }
            (None, None, None) => {
                let prompt = format!("New passphrase for {}: ", self.name);
                let file = self.new_passphrase_file.as_deref();
                Ok(Unlock::Passphrase(obtain(
                    file,
                    "QUORATE_NEW_PASSPHRASE",
                    &prompt,
                )?))
            }
            _ => bail!("a token needs --module, --token and --key"),
        }
    }
}
