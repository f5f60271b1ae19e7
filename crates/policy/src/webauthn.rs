//! Approvals by passkey: what an authenticator answered to a challenge, checked without asking anyone.
//!
//! WebAuthn level 3, sections 7.1 (registration) and 7.2 (assertion), as far as they need no server state. The challenge is not
//! random: it is the SHA-256 of the approval, so an assertion approves that one thing. What is left to the caller:
//!
//! - An assertion stays good for ever. Whoever acts on an approval must see to it that its nonce is used once.
//! - The signature counter is not compared with an earlier one: agents share no state, and passkeys that are synchronised count
//!   nothing.
//! - ES256 signatures with a high s are accepted: WebAuthn does not ask for a low one. One approval therefore has several valid
//!   encodings; only its challenge may be used to tell approvals apart, never the signature's bytes.

mod authenticator_data;
mod cbor;
mod client_data;
mod cose;
mod error;
mod registration;
#[cfg(test)]
mod tests;

use ed25519_dalek::Signature as EdDsaSignature;
use p256::ecdsa::Signature as Es256Signature;
use p256::ecdsa::signature::Verifier as _;
use quorate_types::{Assertion, Passkey, PasskeyKey, RelyingParty};

use authenticator_data::AuthenticatorData;
pub use error::WebAuthnError;
pub use registration::register;

/// What client data says it is for, section 5.8.1.
const GET: &str = "webauthn.get";

/// Verifies an assertion over `challenge` under one credential's key, section 7.2.
///
/// `challenge` is the 32 bytes the relying party chose, here the SHA-256 of the approval. Both user presence and user verification
/// are required. Frames embedded in another site's page are refused.
///
/// The credential's id is not signed: which key `assertion.credential_id` stands for is for the caller to look up, or for
/// [`verify_among`].
///
/// # Errors
/// The first check that fails.
pub fn verify(
    assertion: &Assertion,
    challenge: &[u8; 32],
    key: &PasskeyKey,
    party: &RelyingParty,
) -> Result<(), WebAuthnError> {
    bounded("credential_id", assertion.credential_id.len())?;
    bounded("authenticator_data", assertion.authenticator_data.len())?;
    bounded("signature", assertion.signature.len())?;
    let hash = client_data::check(&assertion.client_data_json, GET, challenge, party)?;
    let data = AuthenticatorData::parse(&assertion.authenticator_data, party)?;
    data.check_assertion()?;
    let signed = [assertion.authenticator_data.as_slice(), &hash].concat();
    verify_signature(key, &signed, &assertion.signature)
}

/// Verifies an assertion under whichever of an approver's credentials it names, section 7.2 steps 5 and 6 first.
///
/// # Errors
/// [`WebAuthnError::UnknownCredential`] if it names none of them, else as [`verify`].
pub fn verify_among<'a>(
    assertion: &Assertion,
    challenge: &[u8; 32],
    passkeys: &'a [Passkey],
    party: &RelyingParty,
) -> Result<&'a Passkey, WebAuthnError> {
    let passkey = passkeys
        .iter()
        .find(|passkey| passkey.credential_id == assertion.credential_id)
        .ok_or(WebAuthnError::UnknownCredential)?;
    verify(assertion, challenge, &passkey.key, party)?;
    Ok(passkey)
}

/// Section 6.5.5: ES256 is ASN.1 DER, EdDSA the 64 bytes of RFC 8032.
fn verify_signature(
    key: &PasskeyKey,
    signed: &[u8],
    signature: &[u8],
) -> Result<(), WebAuthnError> {
    match key {
        PasskeyKey::Es256 { key } => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .map_err(|_| WebAuthnError::PublicKey)?;
            let signature = Es256Signature::from_der(signature)
                .map_err(|_| WebAuthnError::SignatureEncoding)?;
            key.verify(signed, &signature)
        }
        PasskeyKey::EdDsa { key } => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(key)
                .map_err(|_| WebAuthnError::PublicKey)?;
            let signature = EdDsaSignature::from_slice(signature)
                .map_err(|_| WebAuthnError::SignatureEncoding)?;
            key.verify_strict(signed, &signature)
        }
    }
    .map_err(|_| WebAuthnError::Signature)
}

/// Nothing longer is parsed.
fn bounded(field: &'static str, len: usize) -> Result<(), WebAuthnError> {
    match Assertion::MAX_FIELD {
        max if len > max => Err(WebAuthnError::FieldTooLong { field, len, max }),
        _ => Ok(()),
    }
}
