//! One canonical encoding for everything that is hashed or signed.

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest as _, Sha256};

use crate::Hash32;

/// A type with one canonical byte form and its own hash domain.
pub trait Canonical: BorshSerialize + BorshDeserialize {
    /// Domain tag: distinct for every type and version, so that the hash or signature of one kind of
    /// object never stands for another.
    const DOMAIN: &'static str;

    /// The canonical bytes, without the domain tag.
    fn canonical_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        // Writing to a Vec has no error case of its own; Borsh fails only on lengths over u32::MAX,
        // which the bounds on every field rule out. An empty encoding decodes to nothing valid.
        match self.serialize(&mut bytes) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }

    /// Decodes canonical bytes: trailing bytes, unknown variants and short input are errors.
    ///
    /// # Errors
    /// [`CanonicalError::TooLong`] before anything is decoded, [`CanonicalError::Malformed`] after.
    fn from_canonical_bytes(bytes: &[u8], max_len: usize) -> Result<Self, CanonicalError> {
        if bytes.len() > max_len {
            return Err(CanonicalError::TooLong {
                what: Self::DOMAIN,
                len: bytes.len(),
                max: max_len,
            });
        }
        let value =
            borsh::from_slice::<Self>(bytes).map_err(|source| CanonicalError::Malformed {
                what: Self::DOMAIN,
                reason: source.to_string(),
            })?;
        Ok(value)
    }

    /// `SHA-256(len(domain) || domain || canonical bytes)`.
    fn canonical_hash(&self) -> Hash32 {
        tagged_hash(Self::DOMAIN, &[&self.canonical_bytes()])
    }

    /// The exact bytes an Ed25519 signature over this object covers: domain, a zero byte, the object's hash.
    fn signing_bytes(&self) -> Vec<u8> {
        let mut bytes = Self::DOMAIN.as_bytes().to_vec();
        bytes.push(0);
        bytes.extend_from_slice(self.canonical_hash().as_bytes());
        bytes
    }
}

/// Why bytes were not the canonical form of the expected object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// Longer than the caller allows; nothing was decoded.
    #[error("{what}: {len} bytes, more than the {max} allowed")]
    TooLong {
        /// The domain of the expected object.
        what: &'static str,
        /// Length offered, in bytes.
        len: usize,
        /// Length allowed, in bytes.
        max: usize,
    },
    /// Not the canonical encoding.
    #[error("{what}: not a canonical encoding: {reason}")]
    Malformed {
        /// The domain of the expected object.
        what: &'static str,
        /// What the decoder said.
        reason: String,
    },
}

/// `SHA-256(u64_le(len(domain)) || domain || (u64_le(len(part)) || part)*)`: unambiguous for any parts.
#[must_use]
pub fn tagged_hash(domain: &str, parts: &[&[u8]]) -> Hash32 {
    let mut hasher = Sha256::new();
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Hash32::from_bytes(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(
            tagged_hash("d", &[b"ab", b"c"]),
            tagged_hash("d", &[b"a", b"bc"])
        );
        assert_ne!(tagged_hash("da", &[b"b"]), tagged_hash("d", &[b"ab"]));
    }
}
