//! What opens the agent's store: a passphrase, or a key in a hardware security module.

use quorate_storage::{EncryptedFileStore, Passphrase, Pkcs11Key, Protector, StoreError};

use crate::AgentConfig;
use crate::boot::store_dir;
use crate::config::HsmConfig;
use crate::passphrase::{Asking, PassphraseError};

/// A passphrase or a PIN, and what it is for.
#[derive(Debug)]
pub enum Unlock {
    /// Opens the store itself.
    Passphrase(Passphrase),
    /// Opens a token, whose key opens the store.
    Hsm {
        /// Which key.
        hsm: HsmConfig,
        /// The token's PIN.
        pin: Passphrase,
    },
}

impl Unlock {
    /// The environment variables that secrets are taken from.
    pub const VARIABLES: [&'static str; 2] = ["QUORATE_PASSPHRASE", "QUORATE_PIN"];

    /// Takes from files, environment or terminal whatever the configuration asks for.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn from_config(config: &AgentConfig) -> Result<Self, PassphraseError> {
        Self::asking(config, Asking::Terminal)
    }

    /// Takes whatever the configuration asks for, from where it may come.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn asking(config: &AgentConfig, asking: Asking<'_>) -> Result<Self, PassphraseError> {
        if let Some(hsm) = &config.hsm {
            return Self::hsm(hsm, asking);
        }
        let prompt = format!("Passphrase of {}: ", config.party);
        let file = config.passphrase_file.as_deref();
        asking
            .obtain(file, "QUORATE_PASSPHRASE", &prompt)
            .map(Self::Passphrase)
    }

    /// What opens the store, for people: what [`Self::asking`] will ask for.
    #[must_use]
    pub fn needs(config: &AgentConfig) -> String {
        match &config.hsm {
            Some(hsm) => format!("the PIN of token {}", hsm.token),
            None => "its passphrase".to_owned(),
        }
    }

    /// A key in a token, with its PIN.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn hsm(hsm: &HsmConfig, asking: Asking<'_>) -> Result<Self, PassphraseError> {
        let prompt = format!("PIN of token {}: ", hsm.token);
        let pin = asking.obtain(hsm.pin_file.as_deref(), "QUORATE_PIN", &prompt)?;
        Ok(Self::Hsm {
            hsm: hsm.clone(),
            pin,
        })
    }

    /// The passphrase or PIN in it.
    #[must_use]
    pub const fn secret(&self) -> Option<&Passphrase> {
        match self {
            Self::Passphrase(secret) | Self::Hsm { pin: secret, .. } => Some(secret),
        }
    }

    /// Runs something with the protector. Logs in to a token where there is one, and may derive a key: not for an async thread.
    ///
    /// # Errors
    /// The token's, and whatever `work` returns.
    pub fn with<T>(
        &self,
        work: impl FnOnce(Protector<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Passphrase(passphrase) => work(passphrase.into()),
            Self::Hsm { hsm, pin } => {
                let key = Pkcs11Key::open(&hsm.module, &hsm.token, pin, &hsm.key)?;
                work((&key).into())
            }
        }
    }

    /// Opens the configured store.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open_store(&self, config: &AgentConfig) -> Result<EncryptedFileStore, StoreError> {
        self.with(|protector| {
            EncryptedFileStore::open(&store_dir(&config.data), &config.party, protector)
        })
    }
}
