//! Why an assertion or a registration is refused, and what to do about it.

/// The first check that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebAuthnError {
    /// Nothing of it was parsed.
    #[error(
        "the passkey's {field} is {len} bytes, more than the {max} allowed; use another authenticator"
    )]
    FieldTooLong {
        /// The field.
        field: &'static str,
        /// Bytes offered.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not one JSON object without duplicate members, or a member is missing or of another type.
    #[error("the passkey's client data is not what a browser writes: {reason}; send it unchanged")]
    ClientData {
        /// What is wrong.
        reason: String,
    },
    /// Made for another ceremony.
    #[error(
        "the passkey's client data is of type {found:?}, not {expected:?}; a registration cannot approve, nor an approval register"
    )]
    Type {
        /// What it says.
        found: String,
        /// What it must say.
        expected: &'static str,
    },
    /// Made over another challenge.
    #[error("the passkey answered another challenge; approve exactly this request again")]
    Challenge,
    /// Made on a page that is none of the relying party's.
    #[error("the passkey was used at {found:?}; approve at one of: {}", allowed.join(", "))]
    Origin {
        /// Where.
        found: String,
        /// The relying party's origins.
        allowed: Vec<String>,
    },
    /// Made in a frame of another site's page.
    #[error(
        "the passkey was used inside another site's page; open the approval page in a tab of its own"
    )]
    CrossOrigin,
    /// Too short, or bytes are left over.
    #[error(
        "the passkey's authenticator data has {len} bytes, which does not fit its flags; send it unchanged"
    )]
    AuthenticatorData {
        /// Its length.
        len: usize,
    },
    /// Made for another relying party id.
    #[error("the passkey is not one of {id:?}; use one that was registered there")]
    RelyingParty {
        /// The id it must be for.
        id: String,
    },
    /// The UP flag is off.
    #[error("nobody touched the authenticator; approve again and confirm on the device")]
    UserNotPresent,
    /// The UV flag is off.
    #[error(
        "the authenticator did not verify its user; set a PIN or a fingerprint up on it and approve again"
    )]
    UserNotVerified,
    /// BS without BE, section 6.1.3.
    #[error("the authenticator says that a key it cannot back up is backed up; use another one")]
    BackupState,
    /// Credential data in an assertion.
    #[error(
        "the passkey's answer carries credential data, which belongs to registrations; approve again"
    )]
    UnexpectedCredentialData,
    /// No credential data in a registration, or it is cut off.
    #[error("the registration carries no complete credential; register again")]
    CredentialData,
    /// Extension data that is not one CBOR map to the end.
    #[error(
        "the passkey's extension data is not one canonical CBOR map; use another authenticator"
    )]
    Extensions,
    /// The attestation object is not a CBOR map with authenticator data.
    #[error("the attestation object is not what a browser writes; send it unchanged")]
    AttestationObject,
    /// No algorithm that approvals take.
    #[error(
        "the passkey's algorithm is COSE {alg}; register one with ES256 (-7) or EdDSA on Ed25519 (-8)"
    )]
    Algorithm {
        /// The COSE number.
        alg: i128,
    },
    /// Not a point on its curve, of small order, or a COSE key with members missing or left over.
    #[error("the passkey's public key is not a usable one of its algorithm; register another")]
    PublicKey,
    /// Neither DER nor 64 bytes, whichever the key's algorithm takes.
    #[error("the passkey's signature is not in its algorithm's encoding; send it unchanged")]
    SignatureEncoding,
    /// It does not verify.
    #[error("the passkey's signature is not valid for this request; approve it again")]
    Signature,
    /// The assertion names a credential that is not among the approver's.
    #[error("the passkey is not one of this approver's; use one that the policy lists")]
    UnknownCredential,
}

impl WebAuthnError {
    /// A stable name for programs, for example `webauthn.challenge`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::FieldTooLong { .. } => "webauthn.field_too_long",
            Self::ClientData { .. } => "webauthn.client_data",
            Self::Type { .. } => "webauthn.type",
            Self::Challenge => "webauthn.challenge",
            Self::Origin { .. } => "webauthn.origin",
            Self::CrossOrigin => "webauthn.cross_origin",
            Self::AuthenticatorData { .. } => "webauthn.authenticator_data",
            Self::RelyingParty { .. } => "webauthn.relying_party",
            Self::UserNotPresent => "webauthn.user_not_present",
            Self::UserNotVerified => "webauthn.user_not_verified",
            Self::BackupState => "webauthn.backup_state",
            Self::UnexpectedCredentialData => "webauthn.unexpected_credential_data",
            Self::CredentialData => "webauthn.credential_data",
            Self::Extensions => "webauthn.extensions",
            Self::AttestationObject => "webauthn.attestation_object",
            Self::Algorithm { .. } => "webauthn.algorithm",
            Self::PublicKey => "webauthn.public_key",
            Self::SignatureEncoding => "webauthn.signature_encoding",
            Self::Signature => "webauthn.signature",
            Self::UnknownCredential => "webauthn.unknown_credential",
        }
    }
}
