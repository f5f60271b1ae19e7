//! Passkeys (WebAuthn level 3 credentials) as approvers hold them: public keys, relying party, assertions. Checking them is the `policy`
//! crate's work.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// A credential's public key. Algorithms by their COSE numbers.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "alg", rename_all = "lowercase", deny_unknown_fields)]
pub enum PasskeyKey {
    /// ES256 (-7): ECDSA over P-256 with SHA-256.
    Es256 {
        /// Compressed SEC 1 point, 33 bytes, hexadecimal in JSON.
        #[serde(with = "hex::serde")]
        key: [u8; 33],
    },
    /// EdDSA (-8): Ed25519.
    EdDsa {
        /// 32 bytes, hexadecimal in JSON.
        #[serde(with = "hex::serde")]
        key: [u8; 32],
    },
}

/// One credential of a person.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkey {
    /// The authenticator's name for it, 1 to 1023 bytes, hexadecimal in JSON.
    #[serde(with = "hex::serde")]
    pub credential_id: Vec<u8>,
    /// Its public key.
    pub key: PasskeyKey,
}

/// Where approvals by passkey may be made; pinned in the bundle.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelyingParty {
    /// The RP id, for example `custody.example`.
    pub id: String,
    /// The origins, compared exactly, for example `https://custody.example`.
    pub origins: Vec<String>,
}

/// What an authenticator returned for a challenge.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Which credential.
    #[serde(with = "hex::serde")]
    pub credential_id: Vec<u8>,
    /// Authenticator data, at least 37 bytes: SHA-256 of the RP id, flags, counter.
    #[serde(with = "hex::serde")]
    pub authenticator_data: Vec<u8>,
    /// The client data's JSON exactly as signed.
    pub client_data_json: String,
    /// ES256: ASN.1 DER. EdDSA: 64 bytes.
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

impl Assertion {
    /// The longest field, in bytes.
    pub const MAX_FIELD: usize = 4096;
}
