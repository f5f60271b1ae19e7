//! Wrapped store keys, as the store's header keeps them.

use serde::{Deserialize, Serialize};

use crate::SealedBox;

/// A store key under one protector.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Entry {
    /// Under a passphrase.
    Passphrase(SealedBox),
    /// Under a key in a PKCS#11 token.
    Pkcs11(Pkcs11Entry),
    /// Under a key sealed to a TPM.
    Tpm(TpmEntry),
    /// Under a key at AWS KMS.
    Kms(KmsEntry),
}

impl Entry {
    /// What kind of protector it takes: `passphrase`, `pkcs11`, `tpm`, `kms`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::Pkcs11(_) => "pkcs11",
            Self::Tpm(_) => "tpm",
            Self::Kms(_) => "kms",
        }
    }
}

/// AES-256-GCM by a token: where the wrapping key is, and the ciphertext.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pkcs11Entry {
    /// Label of the token.
    pub token: String,
    /// Label of the AES key in it.
    pub key: String,
    #[serde(with = "hex::serde")]
    pub nonce: [u8; 12],
    /// Ciphertext and tag.
    #[serde(with = "hex::serde")]
    pub wrapped: Vec<u8>,
}

/// A random 32-byte key sealed to a TPM, and the store key sealed under it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TpmEntry {
    /// The PCRs of the SHA-256 bank that must be as they were; ascending, none for no such condition.
    pub pcrs: Vec<u8>,
    /// Whether it takes a PIN.
    pub pin: bool,
    /// Name of the storage key it is under; another TPM has another.
    #[serde(with = "hex::serde")]
    pub parent: Vec<u8>,
    /// The sealed object: `TPMT_PUBLIC`, marshalled.
    #[serde(with = "hex::serde")]
    pub public: Vec<u8>,
    /// The sealed object: the buffer of a `TPM2B_PRIVATE`.
    #[serde(with = "hex::serde")]
    pub private: Vec<u8>,
    /// The store key under the object's content; associated data is the context.
    #[serde(with = "hex::serde")]
    pub wrapped: Vec<u8>,
}

/// A ciphertext of AWS KMS.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KmsEntry {
    /// ARN of the key, as KMS named it when it encrypted.
    pub key: String,
    /// `CiphertextBlob`.
    #[serde(with = "hex::serde")]
    pub wrapped: Vec<u8>,
}
