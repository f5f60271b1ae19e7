//! What a custodian keeps on disk: sealed secrets ([`EncryptedFileStore`]) and the ledger of what it has done ([`Ledger`]); and what
//! brings it back when the disk is gone: [`backup`]s, kept in [`blobs`], whose key is in [`escrow`]. [`vault`] keeps parts of clients' secrets.
//!
//! Secrets are sealed with XChaCha20-Poly1305 under a random store key; the store key is wrapped by a key derived from a
//! passphrase with Argon2id (RFC 9106), or by a key in a hardware security module, or by several of them. The associated data binds party, kind, id and epoch, so a sealed file moved
//! to another name, key or party does not open.

pub mod backup;
pub mod blobs;
pub mod escrow;
mod files;
mod ledger;
mod passphrase;
mod protector;
mod seal;
mod secret_store;
mod store;
pub mod vault;

pub use files::{FileError, create_private_dir, read_private, write_private};
pub use ledger::{Begun, Ledger, LedgerError, RestoreMark, Start};
pub use passphrase::{KdfParams, Passphrase};
pub use protector::Protector;
#[cfg(feature = "pkcs11")]
pub use protector::{Pkcs11Error, Pkcs11Key};
pub use seal::SealedBox;
pub use secret_store::SecretStore;
pub use store::{EncryptedFileStore, ItemKind, ItemName, ProtectorInfo, StoreError};
