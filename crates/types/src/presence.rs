//! What agents tell each other on `mpc.presence.<party>`: how they are, and what they remember of each other.
//!
//! A heartbeat is signed, so a peer's memory of one proves what its sender had then: an agent whose disk was put back learns from its
//! own signature that it has forgotten something, and nobody can make it believe so wrongly.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::canonical::Canonical;
use crate::{Hash32, PartyId, ValidRoster};

/// How an agent is. All counts only go up in the life of a party.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Heartbeat {
    /// Who.
    pub party: PartyId,
    /// Hash of its roster.
    pub roster: Hash32,
    /// Unix milliseconds, as its machine believes.
    pub at: u64,
    /// Random, of the process that sends it: two at once under one name are two copies.
    pub life: [u8; 16],
    /// How often it was restored.
    pub restores: u64,
    /// Leaves in its log.
    pub log_size: u64,
    /// The highest epoch of any key it has a share of.
    pub epoch: u32,
    /// The version of its policy; 0 without one.
    pub policy_version: u64,
    /// Keys it has shares of.
    pub keys: u32,
    /// Presignatures it has.
    pub presignatures: u32,
}

impl Canonical for Heartbeat {
    const DOMAIN: &'static str = "quorate/heartbeat/v1";
}

impl Heartbeat {
    /// Whether the party had done more when it sent this than when it sent the other.
    #[must_use]
    pub fn is_after(&self, other: &Self) -> bool {
        (self.restores, self.log_size) > (other.restores, other.log_size)
    }
}

/// A heartbeat with its sender's signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedHeartbeat {
    /// What is said.
    pub heartbeat: Heartbeat,
    /// Ed25519, by the party's identity key.
    pub signature: [u8; 64],
}

impl SignedHeartbeat {
    /// The heartbeat, if its sender is in the roster and signed it.
    #[must_use]
    pub fn verify(&self, roster: &ValidRoster) -> Option<&Heartbeat> {
        let message = self.heartbeat.signing_bytes();
        roster
            .party_signed(&self.heartbeat.party, &message, &self.signature)
            .then_some(&self.heartbeat)
    }
}

/// What one party remembers of another that asked.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Recollection {
    /// Who remembers.
    pub from: PartyId,
    /// Who asked.
    pub about: PartyId,
    /// The asker's fresh nonce.
    pub nonce: [u8; 32],
    /// The latest of the asker's heartbeats that it knows.
    pub last: Option<SignedHeartbeat>,
}

impl Canonical for Recollection {
    const DOMAIN: &'static str = "quorate/recollection/v1";
}

/// A recollection with its sender's signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedRecollection {
    /// What is said.
    pub recollection: Recollection,
    /// Ed25519, by the identity key of whoever remembers.
    pub signature: [u8; 64],
}

impl SignedRecollection {
    /// The recollection, if its sender is in the roster and signed it.
    #[must_use]
    pub fn verify(&self, roster: &ValidRoster) -> Option<&Recollection> {
        let message = self.recollection.signing_bytes();
        roster
            .party_signed(&self.recollection.from, &message, &self.signature)
            .then_some(&self.recollection)
    }
}

/// A message on the presence subject.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Presence {
    /// So am I.
    Heartbeat(SignedHeartbeat),
    /// What did you last hear from me? An answer to a forged question is as true as any.
    Recall {
        /// Who asks.
        party: PartyId,
        /// Fresh.
        nonce: [u8; 32],
    },
    /// This.
    Recollection(SignedRecollection),
}

impl Presence {
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 4096;
}

impl Canonical for Presence {
    const DOMAIN: &'static str = "quorate/presence/v1";
}
