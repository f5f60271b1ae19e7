//! What opens the agent's store: a passphrase, a key in a hardware security module, a TPM, a key at AWS KMS.

use quorate_storage::{EncryptedFileStore, Passphrase, Pkcs11Key, Protector, StoreError};

use crate::AgentConfig;
use crate::boot::store_dir;
use crate::hardware::{HsmConfig, KmsConfig, TpmConfig};
use crate::passphrase::{PassphraseError, obtain};

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
    /// Takes from files, environment or terminal whatever the configuration asks for.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn from_config(config: &AgentConfig) -> Result<Self, PassphraseError> {
        if let Some(hsm) = &config.hsm
            && let Some(key) = &hsm.key
        {
            return Self::hsm(hsm, key);
        }
        if let Some(tpm) = &config.tpm {
            return Self::tpm(tpm, Vec::new());
        }
        if let Some(kms) = &config.kms {
            return Ok(Self::Kms(kms.clone()));
        }
        let prompt = format!("Passphrase of {}: ", config.party);
        let file = config.passphrase_file.as_deref();
        obtain(file, "QUORATE_PASSPHRASE", &prompt).map(Self::Passphrase)
    }

    /// A key in a token; its PIN is taken from file, environment or terminal.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn hsm(hsm: &HsmConfig, key: &str) -> Result<Self, PassphraseError> {
        Ok(Self::Hsm {
            pin: token_pin(hsm)?,
            hsm: hsm.clone(),
            key: key.to_owned(),
        })
    }

    /// A TPM; its PIN, if it has one, is taken from file, environment or terminal.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn tpm(tpm: &TpmConfig, pcrs: Vec<u8>) -> Result<Self, PassphraseError> {
        let file = tpm.pin_file.as_deref();
        let pin = (tpm.pin || file.is_some())
            .then(|| obtain(file, "QUORATE_TPM_PIN", "PIN of the TPM: "))
            .transpose()?;
        Ok(Self::Tpm {
            tpm: tpm.clone(),
            pcrs,
            pin,
        })
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
pub fn token_pin(hsm: &HsmConfig) -> Result<Passphrase, PassphraseError> {
    let prompt = format!("PIN of token {}: ", hsm.token);
    obtain(hsm.pin_file.as_deref(), "QUORATE_PIN", &prompt)
}
