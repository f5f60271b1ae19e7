//! What opens the agent's store: a passphrase, a key in a hardware security module, a TPM, a key at AWS KMS.

use std::sync::Arc;

use quorate_storage::{
    EncryptedFileStore, HsmStore, Passphrase, Pkcs11Key, Protector, SecretStore, StoreError,
};

use crate::AgentConfig;
use crate::boot::{BootError, store_dir};
use crate::hardware::{HsmConfig, KmsConfig, TpmConfig};
use crate::passphrase::{Asking, PassphraseError};

/// What opens a store, with the secret it takes.
#[derive(Debug)]
pub enum Unlock {
    /// Opens the store itself.
    Passphrase(Passphrase),
    /// Opens a token, whose key opens the store.
    Hsm {
        /// Which token.
        hsm: HsmConfig,
        /// The key's label.
        key: String,
        /// The token's PIN.
        pin: Passphrase,
    },
    /// A key sealed to a TPM.
    Tpm {
        /// Which TPM.
        tpm: TpmConfig,
        /// The PCRs a new protector is bound to; nothing to do with opening.
        pcrs: Vec<u8>,
        /// The PIN, if there is one.
        pin: Option<Passphrase>,
    },
    /// A key at AWS KMS.
    Kms(KmsConfig),
}

impl Unlock {
    /// The environment variables that secrets are taken from.
    pub const VARIABLES: [&'static str; 3] =
        ["QUORATE_PASSPHRASE", "QUORATE_PIN", "QUORATE_TPM_PIN"];

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
        if let Some(hsm) = &config.hsm
            && let Some(key) = &hsm.key
        {
            return Self::hsm(hsm, key, asking);
        }
        if let Some(tpm) = &config.tpm {
            return Self::tpm(tpm, Vec::new(), asking);
        }
        if let Some(kms) = &config.kms {
            return Ok(Self::Kms(kms.clone()));
        }
        let prompt = format!("Passphrase of {}: ", config.party);
        let file = config.passphrase_file.as_deref();
        asking
            .obtain(file, "QUORATE_PASSPHRASE", &prompt)
            .map(Self::Passphrase)
    }

    /// What opens the store, for people: what [`Self::asking`] will ask for. Others see it, so it names no key or token.
    #[must_use]
    pub const fn needs(config: &AgentConfig) -> &'static str {
        match (&config.hsm, &config.tpm, &config.kms) {
            (Some(hsm), ..) if hsm.key.is_some() => "the PIN of its token",
            (_, Some(tpm), _) if tpm.asks_for_pin() => "the PIN of its TPM",
            (_, Some(_), _) => "its TPM",
            (_, _, Some(_)) => "its key at AWS KMS",
            _ => "its passphrase",
        }
    }

    /// A key in a token, with its PIN.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn hsm(hsm: &HsmConfig, key: &str, asking: Asking<'_>) -> Result<Self, PassphraseError> {
        Ok(Self::Hsm {
            pin: token_pin(hsm, asking)?,
            hsm: hsm.clone(),
            key: key.to_owned(),
        })
    }

    /// A TPM; its PIN, if it has one, is taken from file, environment or terminal.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn tpm(
        tpm: &TpmConfig,
        pcrs: Vec<u8>,
        asking: Asking<'_>,
    ) -> Result<Self, PassphraseError> {
        let file = tpm.pin_file.as_deref();
        let pin = tpm
            .asks_for_pin()
            .then(|| asking.obtain(file, "QUORATE_TPM_PIN", "PIN of the TPM: "))
            .transpose()?;
        Ok(Self::Tpm {
            tpm: tpm.clone(),
            pcrs,
            pin,
        })
    }

    /// The PIN of the configured token, which may hold more than the key of the store: the one that opens the store, or from file or
    /// environment. Nobody is asked twice, since what opens the store is another secret.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn pin_of(&self, hsm: &HsmConfig) -> Result<Passphrase, PassphraseError> {
        match self {
            Self::Hsm { pin, .. } => Ok(pin.clone()),
            _ => token_pin(hsm, Asking::Environment),
        }
    }

    /// The passphrase or PIN in it.
    #[must_use]
    pub const fn secret(&self) -> Option<&Passphrase> {
        match self {
            Self::Passphrase(secret) | Self::Hsm { pin: secret, .. } => Some(secret),
            Self::Tpm { pin, .. } => pin.as_ref(),
            Self::Kms(_) => None,
        }
    }

    /// Runs something with the protector. Logs in to a token, asks a TPM or KMS where there is one, and may derive a key: not for
    /// an async thread.
    ///
    /// # Errors
    /// The protector's, and whatever `work` returns.
    pub fn with<T>(
        &self,
        work: impl FnOnce(Protector<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Passphrase(passphrase) => work(passphrase.into()),
            Self::Hsm { hsm, key, pin } => {
                let key = Pkcs11Key::open(&hsm.module, &hsm.token, pin, key)?;
                work((&key).into())
            }
            #[cfg(feature = "tpm")]
            Self::Tpm { tpm, pcrs, pin } => {
                let tpm = quorate_storage::Tpm::open(&tpm.tcti, pcrs, pin.as_ref())?;
                work((&tpm).into())
            }
            #[cfg(not(feature = "tpm"))]
            Self::Tpm { .. } => Err(StoreError::NotBuilt("tpm")),
            #[cfg(feature = "kms")]
            Self::Kms(kms) => {
                let (region, endpoint) = (kms.region.as_deref(), kms.endpoint.as_deref());
                work((&quorate_storage::KmsKey::new(&kms.key, region, endpoint)).into())
            }
            #[cfg(not(feature = "kms"))]
            Self::Kms(_) => Err(StoreError::NotBuilt("kms")),
        }
    }

    /// Opens what keeps the shares: the store, or the token where the configuration says so.
    ///
    /// # Errors
    /// See [`BootError`].
    pub fn open_shares(
        &self,
        config: &AgentConfig,
        store: &Arc<EncryptedFileStore>,
    ) -> Result<Arc<dyn SecretStore>, BootError> {
        let Some(hsm) = config.hsm.as_ref().filter(|hsm| hsm.shares) else {
            return Ok(Arc::new(Arc::clone(store)));
        };
        let pin = self.pin_of(hsm)?;
        let opened = HsmStore::open(&hsm.module, &hsm.token, &pin, store.sealer());
        Ok(Arc::new(Arc::new(opened.map_err(StoreError::from)?)))
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

/// A token's PIN, from file, environment or terminal.
///
/// # Errors
/// See [`PassphraseError`].
pub fn token_pin(hsm: &HsmConfig, asking: Asking<'_>) -> Result<Passphrase, PassphraseError> {
    let prompt = format!("PIN of token {}: ", hsm.token);
    asking.obtain(hsm.pin_file.as_deref(), "QUORATE_PIN", &prompt)
}
