//! Escrow: the key that opens a party's backups, split among recovery custodians so that `t` of them bring it back and fewer learn nothing.
//!
//! A random scalar `s` of secp256k1 is split by Feldman's verifiable secret sharing (P. Feldman, "A Practical Scheme for Non-interactive
//! Verifiable Secret Sharing", FOCS 1987); the age identity derived from `s` opens the backups. The [`EscrowPackage`] holds each part encrypted to
//! its custodian, the commitments that let everybody check parts, and the age recipient that backups are encrypted to. A recovery custodian
//! hands a part on, sealed to whoever recovers ([`Contribution`]), and sees neither `s` nor any share.

mod contribution;
mod package;
mod recovery;
mod split;

use quorate_types::{Hash32, PartyId, ThresholdError};

pub use contribution::{Contribution, contribute};
pub use package::{Custodian, EscrowPackage, PartOwner, create};
pub use recovery::{Recovered, RecoveryRequest, RecoveryState, Rejected};

use crate::backup::BackupError;

/// The format of packages, requests, states and contributions.
pub(crate) const FORMAT: u32 = 1;

/// Why escrow does not go on.
#[derive(Debug, thiserror::Error)]
pub enum EscrowError {
    /// `t` of `n` out of range.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
    /// The same name or recipient twice: whoever has it would hold two parts.
    #[error("{0} is named twice; every recovery custodian needs a name and a recipient of its own")]
    Repeated(String),
    /// Encryption or decryption of a part.
    #[error(transparent)]
    Age(#[from] BackupError),
    /// Not a package, request, state or contribution of this version.
    #[error("not {what}: {reason}")]
    Format {
        /// What was expected.
        what: &'static str,
        /// Why it is none.
        reason: String,
    },
    /// The package is not as its party signed it.
    #[error("the escrow package was altered: {0}'s signature does not cover it; take another copy")]
    PackageSignature(PartyId),
    /// Signed by somebody else than the roster's party.
    #[error("the escrow package is not {0}'s: the roster has another identity key for it")]
    OtherIdentity(PartyId),
    /// The identity opens no part.
    #[error("this identity opens no part of the package; its custodians are {0}")]
    NoPart(String),
    /// The part is not the one the commitments stand for.
    #[error("the part of {custodian} is wrong: {reason}. {party} must make a new escrow package")]
    WrongPart {
        /// Whose part.
        custodian: String,
        /// What is wrong.
        reason: &'static str,
        /// Who made the package.
        party: PartyId,
    },
    /// A request for another package.
    #[error("the request is for another escrow package ({0}), not this one")]
    OtherPackage(Hash32),
    /// Not enough parts.
    #[error("{good} good contributions, {needed} are needed{}", list(.rejected))]
    TooFew {
        /// Good ones.
        good: usize,
        /// Needed.
        needed: u16,
        /// The bad ones, with their senders.
        rejected: Vec<Rejected>,
    },
    /// The parts are right, but the key they give is not the one the backups are encrypted to.
    #[error("the parts give another key than the package's recipient: {0} made a wrong package")]
    OtherKey(PartyId),
    /// The party's identity key.
    #[error("the package cannot be signed: {0}")]
    Signer(String),
    /// The secret sharing library.
    #[error("the secret sharing failed: {0}")]
    Sharing(String),
}

fn list(rejected: &[Rejected]) -> String {
    rejected.iter().map(|r| format!("; {r}")).collect()
}

#[cfg(test)]
mod tests;
