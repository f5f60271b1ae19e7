//! Sealing bytes under a key or a passphrase.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{KdfParams, Passphrase, StoreError};

const NONCE_LEN: usize = 24;

/// `nonce (24) || ciphertext || tag (16)`.
pub(crate) fn seal(key: &[u8; 32], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0u8; NONCE_LEN];
    OsRng.fill_bytes(&mut nonce);
    let cipher = XChaCha20Poly1305::new(key.into());
    let payload = Payload {
        msg: plaintext,
        aad,
    };
    let sealed = cipher
        .encrypt(XNonce::from_slice(&nonce), payload)
        .map_err(|_| StoreError::Seal)?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// `None` when the key, the associated data or any byte is not what it was at sealing.
pub(crate) fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN)?;
    let payload = Payload {
        msg: ciphertext,
        aad,
    };
    let cipher = XChaCha20Poly1305::new(key.into());
    let opened = cipher.decrypt(XNonce::from_slice(nonce), payload).ok()?;
    Some(Zeroizing::new(opened))
}

/// Bytes sealed under a passphrase, as a JSON document of its own: used for store keys and operator keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedBox {
    /// Format version, 1.
    version: u32,
    /// What it is for; bound by the seal.
    purpose: String,
    kdf: KdfParams,
    #[serde(with = "hex::serde")]
    salt: [u8; 16],
    #[serde(with = "hex::serde")]
    sealed: Vec<u8>,
}

impl SealedBox {
    const VERSION: u32 = 1;

    /// Seals under a fresh salt.
    ///
    /// # Errors
    /// An empty passphrase.
    pub fn seal(
        passphrase: &Passphrase,
        purpose: &str,
        plaintext: &[u8],
    ) -> Result<Self, StoreError> {
        if passphrase.is_empty() {
            return Err(StoreError::EmptyPassphrase);
        }
        let mut salt = [0u8; 16];
        OsRng.fill_bytes(&mut salt);
        let kdf = KdfParams::RECOMMENDED;
        let key = passphrase
            .derive(&salt, kdf)
            .map_err(|_| StoreError::Seal)?;
        let sealed = seal(&key, purpose.as_bytes(), plaintext)?;
        Ok(Self {
            version: Self::VERSION,
            purpose: purpose.to_owned(),
            kdf,
            salt,
            sealed,
        })
    }

    /// Opens what [`SealedBox::seal`] made for the same purpose.
    ///
    /// # Errors
    /// [`StoreError::WrongPassphrase`] also when the box was altered: the two cannot be told apart.
    pub fn open(
        &self,
        passphrase: &Passphrase,
        purpose: &str,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        if self.version != Self::VERSION {
            return Err(StoreError::Version(self.version));
        }
        if !self.kdf.is_acceptable() {
            return Err(StoreError::WeakKdf(self.kdf));
        }
        let wrong = || StoreError::WrongPassphrase {
            what: purpose.to_owned(),
        };
        let key = passphrase
            .derive(&self.salt, self.kdf)
            .map_err(|_| wrong())?;
        open(&key, purpose.as_bytes(), &self.sealed).ok_or_else(wrong)
    }
}
