//! The recoverer's side.

use std::collections::BTreeSet;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use borsh::{BorshDeserialize, BorshSerialize};
use quorate_types::canonical::Canonical;
use quorate_types::{Hash32, PartyId};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Contribution, EscrowError, EscrowPackage, FORMAT};
use crate::backup::{Opener, parse_identities};

const MAX_FILE: usize = 64 * 1024;

/// Asks recovery custodians for their parts. Nothing proves who asks: custodians compare its [fingerprint](Self::fingerprint) by a way they trust.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryRequest {
    /// 1
    pub version: u32,
    /// Random; contributions to another recovery are refused.
    pub session: Hash32,
    /// Whose backups are to be opened.
    pub party: PartyId,
    /// The escrow package's hash.
    pub package: Hash32,
    /// One-time age recipient that contributions are sealed to.
    pub recipient: String,
    /// Unix milliseconds.
    pub made_at: u64,
    /// Who asks and why, in words; claimed, not proven.
    pub reason: String,
}

impl Canonical for RecoveryRequest {
    const DOMAIN: &'static str = "quorate/recovery-request/v1";
}

/// What the recoverer keeps until the contributions are there: the request and its one-time key. Secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryState {
    request: RecoveryRequest,
    /// age identity, text.
    identity: Zeroizing<String>,
}

impl std::fmt::Debug for RecoveryState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "RecoveryState {{ request: {:?}, identity: [redacted] }}",
            self.request
        )
    }
}

/// A contribution that was not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The file.
    pub file: String,
    /// Whom it is from, as far as that is proven, and what is wrong.
    pub reason: String,
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is refused, {}", self.file, self.reason)
    }
}

/// The backups' key, brought back.
pub struct Recovered {
    /// Opens the backups.
    pub opener: Opener,
    /// Whose parts were used.
    pub used: Vec<PartyId>,
    /// What was refused.
    pub rejected: Vec<Rejected>,
}

impl std::fmt::Debug for Recovered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recovered {{ used: {:?}, .. }}", self.used)
    }
}

fn format_error(what: &'static str) -> impl Fn(serde_json::Error) -> EscrowError {
    move |e| EscrowError::Format {
        what,
        reason: e.to_string(),
    }
}

fn bounded(json: &[u8], what: &'static str) -> Result<(), EscrowError> {
    if json.len() <= MAX_FILE {
        return Ok(());
    }
    Err(EscrowError::Format {
        what,
        reason: "it is too large".to_owned(),
    })
}

impl RecoveryRequest {
    /// Reads a request file.
    ///
    /// # Errors
    /// [`EscrowError::Format`]
    pub fn from_json(json: &[u8]) -> Result<Self, EscrowError> {
        const WHAT: &str = "a recovery request";
        bounded(json, WHAT)?;
        let request: Self = serde_json::from_slice(json).map_err(format_error(WHAT))?;
        // It is shown on a custodian's terminal.
        if request.version == FORMAT && !request.reason.chars().any(char::is_control) {
            return Ok(request);
        }
        Err(EscrowError::Format {
            what: WHAT,
            reason: "an unknown version, or a reason that is not plain text".to_owned(),
        })
    }

    /// The request as a file's content.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_json(&self) -> Result<Vec<u8>, EscrowError> {
        serde_json::to_vec_pretty(self).map_err(format_error("a recovery request"))
    }

    /// Eight groups of four hexadecimal digits over the whole request, to be read out and compared.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = self.canonical_hash().to_string();
        let groups: Vec<&str> = (0..8).filter_map(|i| hash.get(4 * i..4 * i + 4)).collect();
        groups.join(" ")
    }

    pub(super) fn check(&self, package: &EscrowPackage) -> Result<(), EscrowError> {
        if self.package == package.hash() && self.party == *package.party() {
            return Ok(());
        }
        Err(EscrowError::OtherPackage(self.package))
    }
}

impl RecoveryState {
    /// Begins a recovery: a one-time key and a session of its own.
    #[must_use]
    pub fn start(package: &EscrowPackage, reason: &str, made_at: u64) -> Self {
        let identity = x25519::Identity::generate();
        let mut session = [0u8; 32];
        OsRng.fill_bytes(&mut session);
        Self {
            request: RecoveryRequest {
                version: FORMAT,
                session: Hash32::from_bytes(session),
                party: package.party().clone(),
                package: package.hash(),
                recipient: identity.to_public().to_string(),
                made_at,
                reason: reason.to_owned(),
            },
            identity: Zeroizing::new(identity.to_string().expose_secret().to_owned()),
        }
    }

    /// What custodians are asked.
    #[must_use]
    pub const fn request(&self) -> &RecoveryRequest {
        &self.request
    }

    /// Reads a state file.
    ///
    /// # Errors
    /// [`EscrowError::Format`]
    pub fn from_json(json: &[u8]) -> Result<Self, EscrowError> {
        const WHAT: &str = "a recovery's state";
        bounded(json, WHAT)?;
        serde_json::from_slice(json).map_err(format_error(WHAT))
    }

    /// The state as a file's content. Secret.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, EscrowError> {
        let json = serde_json::to_vec_pretty(self).map_err(format_error("a recovery's state"))?;
        Ok(Zeroizing::new(json))
    }

    /// Checks every contribution and, with `t` good ones, brings the backups' key back. Contributions come with the file each was in.
    ///
    /// # Errors
    /// [`EscrowError::TooFew`] names every bad one; [`EscrowError::OtherKey`].
    pub fn finish<'c>(
        &self,
        package: &EscrowPackage,
        contributions: impl IntoIterator<Item = (&'c str, &'c [u8])>,
    ) -> Result<Recovered, EscrowError> {
        self.request.check(package)?;
        let opener = Opener::Identities(parse_identities(&self.identity)?);
        let mut parts = Vec::new();
        let mut seen = BTreeSet::new();
        let mut rejected = Vec::new();
        for (file, json) in contributions {
            let opened = Contribution::from_json(json)
                .map_err(|e| e.to_string())
                .and_then(|c| c.open(package, &self.request, &opener).map(|p| (c, p)))
                .and_then(|(c, part)| match seen.insert(part.0) {
                    true => Ok(part),
                    false => Err(format!("{} sent its part already", c.custodian)),
                });
            match opened {
                Ok(part) => parts.push(part),
                Err(reason) => rejected.push(Rejected {
                    file: file.to_owned(),
                    reason,
                }),
            }
        }
        let needed = package.threshold().t();
        if parts.len() < usize::from(needed) {
            return Err(EscrowError::TooFew {
                good: parts.len(),
                needed,
                rejected,
            });
        }
        parts.truncate(usize::from(needed));
        let identity = package.commitments()?.combine(&parts)?;
        if identity.to_public().to_string() != package.recipient() {
            return Err(EscrowError::OtherKey(package.party().clone()));
        }
        let owners = parts.iter().filter_map(|(i, _)| package.owner(*i));
        Ok(Recovered {
            opener: Opener::Identities(vec![identity]),
            used: owners.map(|o| o.custodian.clone()).collect(),
            rejected,
        })
    }
}
