//! Curves, schemes, public keys, and the signed record that says a key exists.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::{Hash32, KeyId, KeyName, PartyId, Threshold};

macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used in configuration, on the command line and in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(format!(concat!("unknown ", $what, " {:?}; one of: {}"), other, [$($text),+].join(", "))),
                }
            }
        }
    };
}

text_enum!(
    /// The group a key lives in.
    Curve, "curve" {
        /// secp256k1 (SEC 2).
        Secp256k1 = "secp256k1",
        /// NIST P-256, also secp256r1.
        P256 = "p256",
        /// Ed25519 (RFC 8032).
        Ed25519 = "ed25519",
    }
);

text_enum!(
    /// The signature scheme a key is used with; fixed at creation.
    Scheme, "scheme" {
        /// ECDSA, on secp256k1 or P-256.
        Ecdsa = "ecdsa",
        /// BIP-340 Schnorr on secp256k1; used for taproot key-path spends.
        Bip340 = "bip340",
        /// EdDSA (RFC 8032) on Ed25519.
        Eddsa = "eddsa",
    }
);

text_enum!(
    /// The threshold protocol that makes the signatures.
    Protocol, "protocol" {
        /// CGGMP24 threshold ECDSA.
        Cggmp24 = "cggmp24",
        /// FROST (RFC 9591), with BIP-340 for taproot.
        Frost = "frost",
        /// DKLs23 threshold ECDSA, by a library that nobody has audited.
        Dkls23 = "dkls23",
    }
);

impl Protocol {
    /// Whether it makes signatures of this scheme.
    #[must_use]
    pub const fn signs(self, scheme: Scheme) -> bool {
        matches!(
            (self, scheme),
            (Self::Cggmp24 | Self::Dkls23, Scheme::Ecdsa)
                | (Self::Frost, Scheme::Bip340 | Scheme::Eddsa)
        )
    }

    /// What people must be told before they choose it, and wherever it is shown.
    #[must_use]
    pub const fn warning(self) -> Option<&'static str> {
        match self {
            Self::Dkls23 => Some("dkls23 signs with a library that nobody has audited"),
            Self::Cggmp24 | Self::Frost => None,
        }
    }
}

impl Curve {
    /// The scheme used when none is named.
    #[must_use]
    pub const fn default_scheme(self) -> Scheme {
        match self {
            Self::Secp256k1 | Self::P256 => Scheme::Ecdsa,
            Self::Ed25519 => Scheme::Eddsa,
        }
    }

    /// Whether the scheme exists on this curve.
    #[must_use]
    pub const fn supports(self, scheme: Scheme) -> bool {
        matches!(
            (self, scheme),
            (Self::Secp256k1 | Self::P256, Scheme::Ecdsa)
                | (Self::Secp256k1, Scheme::Bip340)
                | (Self::Ed25519, Scheme::Eddsa)
        )
    }

    /// Length of an encoded public key in bytes: 33 (compressed SEC 1) or 32 (RFC 8032).
    #[must_use]
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::Secp256k1 | Self::P256 => 33,
            Self::Ed25519 => 32,
        }
    }
}

impl Scheme {
    /// The protocol that signs for a key of this scheme unless another was chosen for it: see [`crate::ProtocolRecord`].
    #[must_use]
    pub const fn default_protocol(self) -> Protocol {
        match self {
            Self::Ecdsa => Protocol::Cggmp24,
            Self::Bip340 | Self::Eddsa => Protocol::Frost,
        }
    }
}

/// An encoded public key. The encoding's length is checked here; that it is a point on the curve is checked by
/// whoever computes with it.
#[derive(Clone, PartialEq, Eq, Hash, BorshSerialize)]
pub struct PublicKey {
    curve: Curve,
    bytes: Vec<u8>,
}

/// A public key of the wrong length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {curve} public key is {expected} bytes, not {actual}")]
pub struct PublicKeyError {
    /// The curve.
    pub curve: Curve,
    /// Bytes expected.
    pub expected: usize,
    /// Bytes found.
    pub actual: usize,
}

impl PublicKey {
    /// Wraps an encoding: compressed SEC 1 (33 bytes) for secp256k1 and P-256, RFC 8032 (32 bytes) for Ed25519.
    ///
    /// # Errors
    /// A wrong length.
    pub fn new(curve: Curve, bytes: &[u8]) -> Result<Self, PublicKeyError> {
        if bytes.len() != curve.public_key_len() {
            return Err(PublicKeyError {
                curve,
                expected: curve.public_key_len(),
                actual: bytes.len(),
            });
        }
        Ok(Self {
            curve,
            bytes: bytes.to_vec(),
        })
    }

    /// The curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    /// The encoding, see [`PublicKey::new`].
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl BorshDeserialize for PublicKey {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let curve = Curve::deserialize_reader(reader)?;
        let bytes = Vec::<u8>::deserialize_reader(reader)?;
        Self::new(curve, &bytes)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.bytes))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.curve, self)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicKeyText {
    curve: Curve,
    hex: String,
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PublicKeyText {
            curve: self.curve,
            hex: self.to_string(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <PublicKeyText as Deserialize>::deserialize(deserializer)?;
        let bytes = hex::decode(&text.hex).map_err(serde::de::Error::custom)?;
        Self::new(text.curve, &bytes).map_err(serde::de::Error::custom)
    }
}

/// Everything public about a key, as each party attests it after the DKG.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The key.
    pub id: KeyId,
    /// Its name.
    pub name: KeyName,
    /// Signature scheme.
    pub scheme: Scheme,
    /// Root public key; its curve is the key's curve.
    pub public_key: PublicKey,
    /// Agreed chain code, 32 bytes.
    pub chain_code: Hash32,
    /// Share generation: 0 after DKG, one more with every refresh or reshare.
    pub epoch: u32,
    /// `t` of `n`.
    pub threshold: Threshold,
    /// The committee in share order.
    pub committee: Vec<PartyId>,
    /// Each party's public share, in committee order.
    pub public_shares: Vec<PublicKey>,
    /// Whether bytes outside any chain's format may be signed with it.
    pub raw_signing: bool,
    /// Creation time by the intent's own clock, Unix milliseconds.
    pub created_at: u64,
}

impl Canonical for KeyRecord {
    const DOMAIN: &'static str = "quorate/key-record/v1";
}

/// One party's Ed25519 signature over the record's [`Canonical::signing_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Who attests.
    pub party: PartyId,
    /// 64 bytes, hexadecimal in JSON.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
}
