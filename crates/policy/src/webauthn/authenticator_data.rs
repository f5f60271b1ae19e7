//! Authenticator data: what the authenticator says about itself and its user. WebAuthn level 3 section 6.1.

use quorate_types::RelyingParty;
use sha2::{Digest as _, Sha256};

use super::{WebAuthnError, cbor};

/// User present.
const UP: u8 = 1 << 0;
/// User verified.
const UV: u8 = 1 << 2;
/// The key may be backed up.
const BE: u8 = 1 << 3;
/// The key is backed up.
const BS: u8 = 1 << 4;
/// Attested credential data follows.
const AT: u8 = 1 << 6;
/// Extension data follows.
const ED: u8 = 1 << 7;

/// Data of the right relying party whose user was present and verified.
pub(super) struct AuthenticatorData<'a> {
    flags: u8,
    /// After the 37 bytes that are always there: SHA-256 of the RP id, flags, counter (u32, big-endian).
    rest: &'a [u8],
    len: usize,
}

impl<'a> AuthenticatorData<'a> {
    /// Checks what is the same for registrations and assertions.
    pub fn parse(bytes: &'a [u8], party: &RelyingParty) -> Result<Self, WebAuthnError> {
        let len = bytes.len();
        let short = || WebAuthnError::AuthenticatorData { len };
        let (rp_id_hash, after) = bytes.split_first_chunk::<32>().ok_or_else(short)?;
        let ([flags, _counter @ ..], rest) = after.split_first_chunk::<5>().ok_or_else(short)?;
        if rp_id_hash[..] != Sha256::digest(party.id.as_bytes())[..] {
            let id = party.id.clone();
            return Err(WebAuthnError::RelyingParty { id });
        }
        let (data, flags) = (
            Self {
                flags: *flags,
                rest,
                len,
            },
            *flags,
        );
        if flags & UP == 0 {
            return Err(WebAuthnError::UserNotPresent);
        }
        if flags & UV == 0 {
            return Err(WebAuthnError::UserNotVerified);
        }
        if flags & BS != 0 && flags & BE == 0 {
            return Err(WebAuthnError::BackupState);
        }
        Ok(data)
    }

    /// An assertion's carries no credential, and ends where its flags say.
    pub fn check_assertion(&self) -> Result<(), WebAuthnError> {
        if self.flags & AT != 0 {
            return Err(WebAuthnError::UnexpectedCredentialData);
        }
        self.check_end(self.rest)
    }

    /// A registration's attested credential data and what follows it.
    pub fn credential(&self) -> Result<&'a [u8], WebAuthnError> {
        match self.flags & AT {
            0 => Err(WebAuthnError::CredentialData),
            _ => Ok(self.rest),
        }
    }

    /// Nothing may follow, or with ED exactly one CBOR map. No extension is asked for, and none is acted on.
    pub fn check_end(&self, rest: &[u8]) -> Result<(), WebAuthnError> {
        match (self.flags & ED != 0, rest) {
            (false, []) => Ok(()),
            (false, _) | (true, []) => Err(WebAuthnError::AuthenticatorData { len: self.len }),
            (true, map) => cbor::whole_map(map)
                .map(|_| ())
                .ok_or(WebAuthnError::Extensions),
        }
    }
}
