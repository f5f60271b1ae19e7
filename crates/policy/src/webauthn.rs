//! Passkey assertions (WebAuthn level 3, section 7.2).

use quorate_types::{Assertion, PasskeyKey, RelyingParty};

/// Why an assertion is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebAuthnError {
    /// Placeholder.
    #[error("passkeys are not supported in this build")]
    Unsupported,
}

/// Refuses everything.
///
/// # Errors
/// Always.
pub fn verify(
    _: &Assertion,
    _: &[u8; 32],
    _: &PasskeyKey,
    _: &RelyingParty,
) -> Result<(), WebAuthnError> {
    Err(WebAuthnError::Unsupported)
}
