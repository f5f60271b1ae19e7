//! Registrations: a new credential's id and public key. WebAuthn level 3 sections 6.5 and 7.1.

use ciborium::Value;
use quorate_types::{Passkey, RelyingParty};

use super::authenticator_data::AuthenticatorData;
use super::{WebAuthnError, bounded, cbor, client_data, cose};

const CREATE: &str = "webauthn.create";
/// The longest credential id, section 7.1.
const MAX_CREDENTIAL_ID: usize = 1023;

/// Reads a new credential out of what the browser answered to `challenge`.
///
/// `attestation_object` is the CBOR map of section 6.5.4, `client_data_json` the text exactly as the browser gave it. Presence and
/// verification of the user are required here too, so that a credential that could never approve is not registered.
///
/// The attestation statement is not checked, whatever its format: who may approve is decided by the administrators who sign the
/// policy bundle, and their signatures vouch for the credential. Nothing here proves which make the authenticator is.
///
/// # Errors
/// The first check that fails.
pub fn register(
    attestation_object: &[u8],
    client_data_json: &str,
    challenge: &[u8; 32],
    party: &RelyingParty,
) -> Result<Passkey, WebAuthnError> {
    bounded("attestation_object", attestation_object.len())?;
    client_data::check(client_data_json, CREATE, challenge, party)?;
    let object = cbor::whole_map(attestation_object).ok_or(WebAuthnError::AttestationObject)?;
    let data = cbor::member(&object, &Value::from("authData"))
        .and_then(Value::as_bytes)
        .ok_or(WebAuthnError::AttestationObject)?;
    let data = AuthenticatorData::parse(data, party)?;
    let (passkey, rest) = credential(data.credential()?)?;
    data.check_end(rest)?;
    Ok(passkey)
}

/// Attested credential data, section 6.5.2: AAGUID (16 bytes), length of the id (u16, big-endian), id, COSE key. And what follows.
fn credential(bytes: &[u8]) -> Result<(Passkey, &[u8]), WebAuthnError> {
    let (credential_id, rest) = credential_id(bytes).ok_or(WebAuthnError::CredentialData)?;
    let (key, rest) = cbor::map(rest).ok_or(WebAuthnError::PublicKey)?;
    let passkey = Passkey {
        credential_id: credential_id.to_vec(),
        key: cose::key(&key)?,
    };
    Ok((passkey, rest))
}

fn credential_id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_aaguid, rest) = bytes.split_first_chunk::<16>()?;
    let (len, rest) = rest.split_first_chunk::<2>()?;
    let len = usize::from(u16::from_be_bytes(*len));
    if len == 0 || len > MAX_CREDENTIAL_ID {
        return None;
    }
    rest.split_at_checked(len)
}
