//! COSE keys as credentials carry them: WebAuthn level 3 section 5.8.5, RFC 9053 section 7.

use ciborium::Value;
use p256::EncodedPoint;
use quorate_types::PasskeyKey;

use super::WebAuthnError;
use super::cbor::{self, Map};

const KTY: i64 = 1;
const ALG: i64 = 3;
const CRV: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;

/// ES256 with an uncompressed P-256 point, or EdDSA with an Ed25519 key, and no member more.
pub(super) fn key(map: &Map) -> Result<PasskeyKey, WebAuthnError> {
    let key = match integer(map, ALG).ok_or(WebAuthnError::PublicKey)? {
        -7 => es256(map),
        -8 => ed25519(map),
        alg => return Err(WebAuthnError::Algorithm { alg }),
    };
    key.ok_or(WebAuthnError::PublicKey)
}

/// Key type EC2 (2), curve P-256 (1).
fn es256(map: &Map) -> Option<PasskeyKey> {
    if map.len() != 5 || integer(map, KTY) != Some(2) || integer(map, CRV) != Some(1) {
        return None;
    }
    let (x, y) = (bytes(map, X)?, bytes(map, Y)?);
    let point = EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
    let key = p256::ecdsa::VerifyingKey::from_encoded_point(&point).ok()?;
    let key = key.to_encoded_point(true).as_bytes().try_into().ok()?;
    Some(PasskeyKey::Es256 { key })
}

/// Key type OKP (1), curve Ed25519 (6). Keys of small order are refused: they verify what nobody signed.
fn ed25519(map: &Map) -> Option<PasskeyKey> {
    if map.len() != 4 || integer(map, KTY) != Some(1) || integer(map, CRV) != Some(6) {
        return None;
    }
    let key = bytes(map, X)?;
    let point = ed25519_dalek::VerifyingKey::from_bytes(&key).ok()?;
    (!point.is_weak()).then_some(PasskeyKey::EdDsa { key })
}

fn integer(map: &Map, label: i64) -> Option<i128> {
    let value = cbor::member(map, &Value::from(label))?;
    value.as_integer().map(i128::from)
}

fn bytes(map: &Map, label: i64) -> Option<[u8; 32]> {
    let value = cbor::member(map, &Value::from(label))?;
    value.as_bytes()?.as_slice().try_into().ok()
}
