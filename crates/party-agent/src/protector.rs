//! `quorate agent protector`: what opens a custodian's store. The agent must be stopped meanwhile.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args, Subcommand};
use quorate_storage::{EncryptedFileStore, Pkcs11Key};

use crate::AgentConfig;
use crate::hardware::{DEFAULT_TCTI, HsmConfig, KmsConfig, TpmConfig};
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
      --module /usr/lib/softhsm/libsofthsm2.so --token custodian --key quorate-store --create-key
  quorate agent protector add --config agent.toml --name tpm --tpm --pcrs 0,7
  quorate agent protector add --config agent.toml --name kms --kms-key arn:aws:kms:eu-west-1:111122223333:key/1234";

/// Which store.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The agent's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// A new protector: a passphrase unless a token, a TPM or a KMS key is named.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").multiple(false)))]
pub struct NewArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Its name
    #[arg(long)]
    name: String,
    /// File holding the new passphrase, 0600; without it QUORATE_NEW_PASSPHRASE is taken, or asked for
    #[arg(long, value_name = "FILE", group = "what")]
    new_passphrase_file: Option<PathBuf>,
    /// A hardware security module's PKCS#11 library
    #[arg(long, value_name = "FILE", group = "what", requires_all = ["token", "key"])]
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
    /// A TPM 2.0; the machine's own unless a TSS2 TCTI name is given
    #[arg(long, value_name = "TCTI", group = "what", num_args = 0..=1, default_missing_value = DEFAULT_TCTI)]
    tpm: Option<String>,
    /// Bind to the present values of these PCRs, SHA-256 bank, such as 0,7
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "tpm")]
    pcrs: Vec<u8>,
    /// Bind to a PIN too: --pin-file, QUORATE_TPM_PIN, or asked for
    #[arg(long, requires = "tpm")]
    tpm_pin: bool,
    /// A key at AWS KMS: id, ARN or alias
    #[arg(long, value_name = "KEY", group = "what")]
    kms_key: Option<String>,
    /// The key's region; without it the ARN's or the environment's
    #[arg(long, value_name = "REGION", requires = "kms_key")]
    kms_region: Option<String>,
    /// Use this URL instead of the region's
    #[arg(long, value_name = "URL", requires = "kms_key")]
    kms_endpoint: Option<String>,
    /// File holding the token's or the TPM's PIN, 0600; without it QUORATE_PIN (QUORATE_TPM_PIN) is taken, or asked for
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
        if let Some(tcti) = &self.tpm {
            return self.tpm(tcti);
        }
        if let Some(key) = &self.kms_key {
            return self.kms(key);
        }
        match (&self.module, &self.token, &self.key) {
            (Some(module), Some(token), Some(key)) => self.hsm(module, token, key),
            (None, None, None) => {
                let prompt = format!("New passphrase for {}: ", self.name);
                let file = self.new_passphrase_file.as_deref();
                let phrase = obtain(file, "QUORATE_NEW_PASSPHRASE", &prompt)?;
                Ok(Unlock::Passphrase(phrase))
            }
            _ => bail!("a token needs --module, --token and --key"),
        }
    }

    fn hsm(&self, module: &Path, token: &str, key: &str) -> anyhow::Result<Unlock> {
        let hsm = HsmConfig {
            module: module.to_owned(),
            token: token.to_owned(),
            key: Some(key.to_owned()),
            identity: None,
            shares: false,
            pin_file: self.pin_file.clone(),
        };
        let unlock = Unlock::hsm(&hsm, key, Asking::Terminal)?;
        if let (true, Unlock::Hsm { pin, .. }) = (self.create_key, &unlock) {
            Pkcs11Key::create(module, token, pin, key)?;
        }
        Ok(unlock)
    }

    fn tpm(&self, tcti: &str) -> anyhow::Result<Unlock> {
        let tpm = TpmConfig {
            tcti: tcti.to_owned(),
            pin: self.tpm_pin,
            pin_file: self.pin_file.clone(),
        };
        tpm.built()?;
        Ok(Unlock::tpm(&tpm, self.pcrs.clone(), Asking::Terminal)?)
    }

    fn kms(&self, key: &str) -> anyhow::Result<Unlock> {
        let kms = KmsConfig {
            key: key.to_owned(),
            region: self.kms_region.clone(),
            endpoint: self.kms_endpoint.clone(),
        };
        kms.built()?;
        Ok(Unlock::Kms(kms))
    }
}
