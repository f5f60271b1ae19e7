//! Solana messages, legacy and version 0.

mod error;
mod facts;
mod instruction;

use quorate_types::PublicKey;
use solana_message::VersionedMessage;

pub use error::SolanaError;

use crate::error::same_bytes;
use crate::{Assembled, ChainError, SigningMessage};

/// Longest message: a packet of 1232 bytes without the count of signatures and one signature.
pub const MAX_MESSAGE_LEN: usize = 1232 - 1 - 64;

/// A message that our key must sign.
pub(crate) struct CheckedMessage {
    message: VersionedMessage,
    bytes: Vec<u8>,
    ours: [u8; 32],
}

/// Whether a validator could take the bytes as a message.
pub(crate) fn parses(bytes: &[u8]) -> bool {
    deserialize(bytes).is_ok_and(|message| message.sanitize().is_ok())
}

fn deserialize(bytes: &[u8]) -> Result<VersionedMessage, SolanaError> {
    bincode::deserialize(bytes).map_err(|e| SolanaError::Malformed(e.to_string()))
}

impl CheckedMessage {
    pub(crate) fn parse(bytes: &[u8], child: &PublicKey) -> Result<Self, ChainError> {
        if bytes.len() > MAX_MESSAGE_LEN {
            return Err(SolanaError::TooLong {
                len: bytes.len(),
                max: MAX_MESSAGE_LEN,
            }
            .into());
        }
        check_version(bytes)?;
        let message = deserialize(bytes)?;
        same_bytes("Solana message", bytes, &message.serialize())?;
        message
            .sanitize()
            .map_err(|e| SolanaError::Unsound(e.to_string()))?;
        let ours = child
            .as_bytes()
            .try_into()
            .map_err(|_| ChainError::NotAPoint {
                curve: child.curve(),
            })?;
        let checked = Self {
            message,
            bytes: bytes.to_vec(),
            ours,
        };
        checked.check_accounts()?;
        Ok(checked)
    }

    fn check_accounts(&self) -> Result<(), SolanaError> {
        if !self.signers().any(|key| *key == self.ours) {
            return Err(SolanaError::NotASigner {
                key: bs58::encode(self.ours).into_string(),
            });
        }
        let mut keys: Vec<_> = self.message.static_account_keys().iter().collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(SolanaError::DuplicateAccount);
        }
        if self.message.instructions().is_empty() {
            return Err(SolanaError::NoInstructions);
        }
        Ok(())
    }

    /// The keys whose signatures the message needs, the fee payer first.
    fn signers(&self) -> impl Iterator<Item = &[u8; 32]> {
        let count = usize::from(self.message.header().num_required_signatures);
        let keys = self.message.static_account_keys().iter();
        keys.take(count).map(|key| key.as_array())
    }

    fn other_signers(&self) -> Vec<String> {
        self.signers()
            .filter(|key| **key != self.ours)
            .map(|key| bs58::encode(key).into_string())
            .collect()
    }

    pub(crate) fn signing_message(&self) -> SigningMessage {
        SigningMessage::Ed25519(self.bytes.clone())
    }

    /// The wire transaction: count of signatures, signatures, message.
    pub(crate) fn assemble(&self, signature: &[u8; 64]) -> Result<Assembled, ChainError> {
        let others = self.other_signers();
        if !others.is_empty() {
            return Err(SolanaError::OtherSigners {
                signers: others.join(", "),
            }
            .into());
        }
        let mut bytes = vec![1u8];
        bytes.extend_from_slice(signature);
        bytes.extend_from_slice(&self.bytes);
        Ok(Assembled {
            bytes,
            id: bs58::encode(signature).into_string(),
        })
    }
}

fn check_version(bytes: &[u8]) -> Result<(), SolanaError> {
    match bytes.first() {
        Some(0xff) => Err(SolanaError::OffchainMessage),
        Some(prefix @ 0x81..=0xfe) => Err(SolanaError::UnsupportedVersion(prefix & 0x7f)),
        _ => Ok(()),
    }
}
