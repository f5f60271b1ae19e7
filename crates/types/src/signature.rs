//! Finished signatures, in the forms chains take.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// An ECDSA signature over secp256k1 or P-256; on secp256k1 and P-256 alike `s` is low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EcdsaSignature {
    /// `r`, 32 bytes big-endian.
    pub r: [u8; 32],
    /// `s`, 32 bytes big-endian, at most half the group order.
    pub s: [u8; 32],
    /// Recovery id: bit 0 the parity of R's y (after the low-S rule), bit 1 set when R's x was not below the group order.
    pub recovery_id: u8,
}

impl EcdsaSignature {
    /// `r || s`, 64 bytes.
    #[must_use]
    pub fn to_compact(&self) -> [u8; 64] {
        let mut out = [0u8; 64];
        let (r, s) = out.split_at_mut(32);
        r.copy_from_slice(&self.r);
        s.copy_from_slice(&self.s);
        out
    }
}

/// One signer's part of an ECDSA signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EcdsaPartial {
    /// The signature's nonce point R, compressed SEC 1; the same from every signer.
    pub nonce_point: [u8; 33],
    /// This signer's summand of `s`, 32 bytes big-endian.
    pub sigma: [u8; 32],
}

/// One signer's part of a Schnorr signature made by FROST: its signature share (RFC 9591, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SchnorrPartial {
    /// The signature's R, 32 bytes: RFC 8032's encoding, or BIP-340's x-coordinate; the same from every signer.
    pub nonce_point: [u8; 32],
    /// This signer's summand of `s`: 32 bytes, little-endian on Ed25519, big-endian on secp256k1.
    pub share: [u8; 32],
}

/// One signer's part of a signature. Not secret once it is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PartialSignature {
    /// From a presignature.
    Ecdsa(EcdsaPartial),
    /// From nonces made ahead.
    Schnorr(SchnorrPartial),
}

/// A finished, verified signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Signature {
    /// ECDSA over secp256k1 or P-256.
    Ecdsa(EcdsaSignature),
    /// BIP-340 over secp256k1: `R.x || s`.
    Bip340([u8; 64]),
    /// RFC 8032 Ed25519: `R || S`.
    Ed25519([u8; 64]),
}

/// A text that is not a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a signature is {expected}, written as hexadecimal digits")]
pub struct SignatureError {
    /// What was expected.
    pub expected: &'static str,
}

impl Signature {
    /// Scheme name: `ecdsa`, `bip340` or `ed25519`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Ecdsa(_) => "ecdsa",
            Self::Bip340(_) => "bip340",
            Self::Ed25519(_) => "ed25519",
        }
    }

    /// ECDSA: `r || s || recovery_id`, 65 bytes; the others their 64 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ecdsa(sig) => {
                let mut out = sig.to_compact().to_vec();
                out.push(sig.recovery_id);
                out
            }
            Self::Bip340(bytes) | Self::Ed25519(bytes) => bytes.to_vec(),
        }
    }

    /// The inverse of [`Signature::to_bytes`] for a given scheme name.
    ///
    /// # Errors
    /// Wrong length or unknown scheme.
    pub fn from_bytes(scheme: &str, bytes: &[u8]) -> Result<Self, SignatureError> {
        match scheme {
            "ecdsa" => {
                let expected = "65 bytes, r || s || recovery id";
                let (compact, recovery_id) = match bytes {
                    [compact @ .., recovery_id] if compact.len() == 64 => (compact, *recovery_id),
                    _ => return Err(SignatureError { expected }),
                };
                let (r, s) = compact.split_at(32);
                let take = |part: &[u8]| part.try_into().map_err(|_| SignatureError { expected });
                Ok(Self::Ecdsa(EcdsaSignature {
                    r: take(r)?,
                    s: take(s)?,
                    recovery_id,
                }))
            }
            "bip340" | "ed25519" => {
                let bytes = bytes.try_into().map_err(|_| SignatureError {
                    expected: "64 bytes",
                })?;
                Ok(if scheme == "bip340" {
                    Self::Bip340(bytes)
                } else {
                    Self::Ed25519(bytes)
                })
            }
            _ => Err(SignatureError {
                expected: "of scheme ecdsa, bip340 or ed25519",
            }),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureText {
    scheme: String,
    bytes: String,
}

impl Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SignatureText {
            scheme: self.scheme().to_owned(),
            bytes: hex::encode(self.to_bytes()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <SignatureText as Deserialize>::deserialize(deserializer)?;
        let bytes = hex::decode(&text.bytes).map_err(serde::de::Error::custom)?;
        Self::from_bytes(&text.scheme, &bytes).map_err(serde::de::Error::custom)
    }
}
