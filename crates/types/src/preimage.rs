//! What ECDSA signs: never a hash from outside, always the bytes it is the hash of.
//!
//! With presignatures the difference is a forgery: whoever may choose a hash after the nonce point is known gets a signature over
//! another message out of it (Groth and Shoup, ePrint 2021/1330, section 1.1.2; CVE-2025-66017). So no signing protocol here takes a hash.

use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

/// How the bytes are hashed to 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-256 twice, as Bitcoin's sighashes.
    Sha256d,
    /// Keccak-256 with the padding before FIPS 202, as Ethereum.
    Keccak256,
}

/// Bytes with the way they are hashed. There is no other way to come by a [`Preimage::digest`] that is to be signed.
///
/// ```compile_fail,E0451
/// use quorate_types::{HashAlgorithm, Preimage};
///
/// let raw = Preimage { algorithm: HashAlgorithm::Sha256, bytes: Vec::new(), digest: [7; 32] };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preimage {
    algorithm: HashAlgorithm,
    bytes: Vec<u8>,
    digest: [u8; 32],
}

impl Preimage {
    /// Hashes the bytes.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm, bytes: Vec<u8>) -> Self {
        let digest = match algorithm {
            HashAlgorithm::Sha256 => Sha256::digest(&bytes).into(),
            HashAlgorithm::Sha256d => Sha256::digest(Sha256::digest(&bytes)).into(),
            HashAlgorithm::Keccak256 => Keccak256::digest(&bytes).into(),
        };
        Self {
            algorithm,
            bytes,
            digest,
        }
    }

    /// How the bytes are hashed.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their hash.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's example for SHA-256; Keccak-256 of nothing is Ethereum's well-known empty code hash.
    #[test]
    fn digests_are_those_of_the_standards() {
        let digest = |algorithm, bytes: &[u8]| {
            hex::encode(Preimage::new(algorithm, bytes.to_vec()).digest())
        };
        assert_eq!(
            digest(HashAlgorithm::Sha256, b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            digest(HashAlgorithm::Sha256d, b"hello"),
            "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"
        );
        assert_eq!(
            digest(HashAlgorithm::Keccak256, b""),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
        );
    }
}
