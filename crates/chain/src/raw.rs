//! Bytes that belong to no chain. Nothing that a chain would take as a transaction may be signed this way.

use quorate_types::{Curve, HashAlgorithm, Preimage, PublicKey, Scheme};
use sha2::{Digest as _, Sha256};

use crate::facts::RawFacts;
use crate::{ChainError, SigningMessage, TaprootTweak, solana};

/// Tag of the BIP-340 tagged hash that raw bytes are signed under: `SHA-256(SHA-256(tag) || SHA-256(tag) || bytes)`.
pub const BIP340_RAW_TAG: &str = "quorate/raw-message/v1";

/// A versioned Solana message has at least prefix, header, one key and a blockhash, so it is longer than this.
const SHORTER_THAN_ANY_SOLANA_MESSAGE: usize = 64;

pub(crate) fn analyse(
    bytes: &[u8],
    scheme: Scheme,
    child: &PublicKey,
) -> Result<(RawFacts, SigningMessage), ChainError> {
    let message = match scheme {
        Scheme::Ecdsa => ecdsa(bytes, child.curve())?,
        Scheme::Bip340 => SigningMessage::Bip340 {
            message: tagged_hash(bytes),
            tweak: TaprootTweak::None,
        },
        Scheme::Eddsa => eddsa(bytes)?,
    };
    let facts = RawFacts {
        len: bytes.len(),
        sha256: hex::encode(Sha256::digest(bytes)),
        text: std::str::from_utf8(bytes).ok().map(str::to_owned),
    };
    Ok((facts, message))
}

fn ecdsa(bytes: &[u8], curve: Curve) -> Result<SigningMessage, ChainError> {
    // A Bitcoin sighash is SHA-256(SHA-256(preimage)): 32 raw bytes could be the inner hash.
    if curve == Curve::Secp256k1 && bytes.len() == 32 {
        return Err(ChainError::RawIsHalfSighash);
    }
    let preimage = Preimage::new(HashAlgorithm::Sha256, bytes.to_vec());
    Ok(SigningMessage::Ecdsa(preimage))
}

fn eddsa(bytes: &[u8]) -> Result<SigningMessage, ChainError> {
    if looks_like_solana(bytes) {
        return Err(ChainError::RawIsSolanaMessage);
    }
    Ok(SigningMessage::Ed25519(bytes.to_vec()))
}

/// A message that parses, or one with the prefix of a message version that this build may not know yet.
fn looks_like_solana(bytes: &[u8]) -> bool {
    let versioned = matches!(bytes.first(), Some(0x80..=0xfe));
    (versioned && bytes.len() > SHORTER_THAN_ANY_SOLANA_MESSAGE) || solana::parses(bytes)
}

fn tagged_hash(bytes: &[u8]) -> [u8; 32] {
    let tag = Sha256::digest(BIP340_RAW_TAG.as_bytes());
    Sha256::new()
        .chain_update(tag)
        .chain_update(tag)
        .chain_update(bytes)
        .finalize()
        .into()
}
