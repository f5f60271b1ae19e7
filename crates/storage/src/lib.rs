//! What a custodian keeps on disk: sealed secrets ([`EncryptedFileStore`]) and the ledger of what it has done ([`Ledger`]); and what
//! brings it back when the disk is gone: [`backup`]s, kept in [`blobs`], whose key is in [`escrow`]. [`vault`] keeps parts of clients' secrets.
//!
//! Secrets are sealed with XChaCha20-Poly1305 under a random store key; the store key is wrapped by a key derived from a
//! passphrase with Argon2id (RFC 9106), by a key in a hardware security module, by a TPM, by a key at AWS KMS, or by several of
//! them. The associated data binds party, kind, id and epoch, so a sealed file moved to another name, key or party does not open.

pub mod backup;
pub mod blobs;
pub mod escrow;
mod files;
mod format;
#[cfg(feature = "pkcs11")]
mod hsm_store;
mod ledger;
mod locked;
mod passphrase;
#[cfg(feature = "pkcs11")]
mod pkcs11_identity;
mod protector;
mod seal;
mod sealer;
mod secret_store;
#[cfg(test)]
mod simulated_disk;
mod store;
#[cfg(feature = "pkcs11")]
mod token;
pub mod vault;

pub use files::{FileError, create_private_dir, read_private, write_private};
pub use format::{FORMATS, UnknownNeed};
#[cfg(feature = "pkcs11")]
pub use hsm_store::HsmStore;
pub use ledger::{
    Batch, Begun, Ledger, LedgerError, OneTimeId, OneTimeKind, RestoreMark, SealedOneTime, Spend,
    Start,
};
pub use passphrase::{KdfParams, Passphrase};
#[cfg(feature = "pkcs11")]
pub use pkcs11_identity::Pkcs11Identity;
#[cfg(feature = "pkcs11")]
pub use protector::Pkcs11Key;
pub use protector::Protector;
#[cfg(feature = "kms")]
pub use protector::{KmsError, KmsKey};
#[cfg(feature = "tpm")]
pub use protector::{Tpm, TpmError};
pub use seal::SealedBox;
pub use sealer::Sealer;
pub use secret_store::{BlockingStore, SecretStore};
pub use store::{EncryptedFileStore, ItemKind, ItemName, ProtectorInfo, StoreError};
#[cfg(feature = "pkcs11")]
pub use token::Pkcs11Error;
