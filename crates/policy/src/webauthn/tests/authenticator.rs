//! An authenticator in software.

use ciborium::Value;
use ed25519_dalek::Signer as _;
use quorate_types::{Assertion, PasskeyKey};
use sha2::{Digest as _, Sha256};

pub const UP: u8 = 0x01;
pub const UV: u8 = 0x04;
pub const BE: u8 = 0x08;
pub const BS: u8 = 0x10;
pub const AT: u8 = 0x40;
pub const ED: u8 = 0x80;

enum Key {
    Es256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

/// One credential.
pub struct Authenticator {
    pub id: Vec<u8>,
    key: Key,
}

impl Authenticator {
    pub fn es256(seed: u8) -> Self {
        let key = p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap();
        Self {
            id: vec![seed; 16],
            key: Key::Es256(key),
        }
    }

    pub fn ed25519(seed: u8) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        Self {
            id: vec![seed; 32],
            key: Key::Ed25519(key),
        }
    }

    pub fn public(&self) -> PasskeyKey {
        match &self.key {
            Key::Es256(key) => {
                let point = key.verifying_key().to_encoded_point(true);
                let key = point.as_bytes().try_into().unwrap();
                PasskeyKey::Es256 { key }
            }
            Key::Ed25519(key) => PasskeyKey::EdDsa {
                key: key.verifying_key().to_bytes(),
            },
        }
    }

    /// Signs whatever it is given.
    pub fn assertion(&self, client_data_json: &str, authenticator_data: Vec<u8>) -> Assertion {
        let hash = Sha256::digest(client_data_json);
        let signed = [authenticator_data.as_slice(), &hash].concat();
        let signature = match &self.key {
            Key::Es256(key) => {
                let signature: p256::ecdsa::DerSignature = key.sign(&signed);
                signature.as_bytes().to_vec()
            }
            Key::Ed25519(key) => key.sign(&signed).to_vec(),
        };
        Assertion {
            credential_id: self.id.clone(),
            authenticator_data,
            client_data_json: client_data_json.to_owned(),
            signature,
        }
    }

    /// The public key as a COSE map: kty, alg, crv, x, and y on P-256.
    pub fn cose(&self) -> Vec<(Value, Value)> {
        let member = |label: i64, value: Value| (Value::from(label), value);
        match &self.key {
            Key::Es256(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                let half = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
                vec![
                    member(1, 2.into()),
                    member(3, (-7).into()),
                    member(-1, 1.into()),
                    member(-2, half(point.x().unwrap())),
                    member(-3, half(point.y().unwrap())),
                ]
            }
            Key::Ed25519(key) => vec![
                member(1, 1.into()),
                member(3, (-8).into()),
                member(-1, 6.into()),
                member(-2, Value::Bytes(key.verifying_key().to_bytes().to_vec())),
            ],
        }
    }

    pub fn registration_data(&self, flags: u8, cose: &[(Value, Value)], rest: &[u8]) -> Vec<u8> {
        let credential = [
            &[0; 16][..],
            &u16::try_from(self.id.len()).unwrap().to_be_bytes(),
            &self.id,
            &encode(&Value::Map(cose.to_vec())),
            rest,
        ];
        data("localhost", flags, &credential.concat())
    }

    pub fn attestation(&self, flags: u8, cose: &[(Value, Value)], rest: &[u8]) -> Vec<u8> {
        attestation_of(&self.registration_data(flags, cose, rest))
    }
}

pub fn attestation_of(authenticator_data: &[u8]) -> Vec<u8> {
    encode(&Value::Map(vec![
        ("fmt".into(), "none".into()),
        ("attStmt".into(), Value::Map(vec![])),
        ("authData".into(), authenticator_data.into()),
    ]))
}

/// Authenticator data with a counter of 5.
pub fn data(rp_id: &str, flags: u8, rest: &[u8]) -> Vec<u8> {
    let hash = Sha256::digest(rp_id);
    [hash.as_slice(), &[flags, 0, 0, 0, 5], rest].concat()
}

pub fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}
