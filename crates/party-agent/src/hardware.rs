//! Keys that are kept elsewhere than on the agent's disk, as `agent.toml` names them.

use std::path::PathBuf;

use quorate_storage::StoreError;
use serde::{Deserialize, Serialize};

/// A PKCS#11 token, and what it does for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HsmConfig {
    /// The vendor's PKCS#11 library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// Label of the AES key that opens the store; without it something else must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Label of the Ed25519 key that is the party's identity; without it the identity is in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Whether shares are kept in the token instead of in files.
    #[serde(default)]
    pub shares: bool,
    /// File holding the PIN, 0600. Without it the agent takes `QUORATE_PIN` or asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
}

/// A TPM 2.0 that opens the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmConfig {
    /// How to reach it: a TSS2 TCTI name.
    #[serde(default = "default_tcti")]
    pub tcti: String,
    /// Whether the store key was sealed with a PIN. The agent takes `QUORATE_TPM_PIN` or asks.
    #[serde(default)]
    pub pin: bool,
    /// File holding the PIN, 0600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_file: Option<PathBuf>,
}

/// The TPM of this machine, through the kernel's resource manager.
pub const DEFAULT_TCTI: &str = "device:/dev/tpmrm0";

fn default_tcti() -> String {
    DEFAULT_TCTI.to_owned()
}

/// A key at AWS KMS that opens the store. Credentials come from AWS's default chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmsConfig {
    /// Its id, ARN or alias.
    pub key: String,
    /// Its region; without it the ARN's or the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A URL to use instead of the region's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl TpmConfig {
    /// Whether a PIN goes with it.
    #[must_use]
    pub const fn asks_for_pin(&self) -> bool {
        self.pin || self.pin_file.is_some()
    }

    /// Whether this build can use one.
    ///
    /// # Errors
    /// With which feature to rebuild.
    pub const fn built(&self) -> Result<(), StoreError> {
        if cfg!(feature = "tpm") {
            return Ok(());
        }
        Err(StoreError::NotBuilt("tpm"))
    }
}

impl KmsConfig {
    /// Whether this build can use one.
    ///
    /// # Errors
    /// With which feature to rebuild.
    pub const fn built(&self) -> Result<(), StoreError> {
        if cfg!(feature = "kms") {
            return Ok(());
        }
        Err(StoreError::NotBuilt("kms"))
    }
}

/// What the three sections must agree on: one thing at most opens the store, and this build can use it.
pub(crate) fn check(
    hsm: Option<&HsmConfig>,
    tpm: Option<&TpmConfig>,
    kms: Option<&KmsConfig>,
) -> Result<(), String> {
    let by_hsm = hsm.is_some_and(|hsm| hsm.key.is_some());
    if [by_hsm, tpm.is_some(), kms.is_some()]
        .iter()
        .filter(|b| **b)
        .count()
        > 1
    {
        return Err("only one of hsm.key, [tpm] and [kms] can open the store; keep one and add the others as protectors".to_owned());
    }
    if hsm.is_some_and(|hsm| hsm.key.is_none() && hsm.identity.is_none() && !hsm.shares) {
        return Err("[hsm] does nothing: set key, identity or shares in it".to_owned());
    }
    let built = tpm.map_or(Ok(()), TpmConfig::built);
    built
        .and_then(|()| kms.map_or(Ok(()), KmsConfig::built))
        .map_err(|e| e.to_string())
}
