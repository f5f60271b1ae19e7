//! What agents tell each other on `mpc.presence.<party>`: how they are, and what they remember of each other.
//!
//! A heartbeat is signed, so a peer's memory of one proves what its sender had then: an agent whose disk was put back learns from its
//! own signature that it has forgotten something, and nobody can make it believe so wrongly.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::canonical::Canonical;
use crate::{Hash32, PartyId, SignedBundle, SignedFreeze, ValidRoster};

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
        let done = |h: &Self| (h.restores, h.log_size, h.policy_version);
        done(self) > done(other)
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

/// Policy of one party, as it tells another that catches up. The bundle and the orders prove
/// themselves: admins and guardians signed them. The version alone is only what the sender says.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PolicyWord {
    /// Sender.
    pub from: PartyId,
    /// Party that asked.
    pub to: PartyId,
    /// The asker's fresh nonce.
    pub nonce: [u8; 32],
    /// Highest version that the sender has, or had, in force; 0 without a policy.
    pub version: u64,
    /// Whether the sender's process has served, so that it is not behind itself.
    pub settled: bool,
    /// The version after the asker's, where it was asked for and the sender has it.
    pub next: Option<Box<SignedBundle>>,
    /// Freeze orders that the sender has in force, at most [`PolicyWord::MAX_FREEZES`].
    pub freezes: Vec<SignedFreeze>,
}

impl Canonical for PolicyWord {
    const DOMAIN: &'static str = "quorate/policy-word/v1";
}

impl PolicyWord {
    /// Freeze orders in one word. One in force stops everything already.
    pub const MAX_FREEZES: usize = 8;
}

/// A policy word with its sender's signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedPolicyWord {
    /// What is said.
    pub word: PolicyWord,
    /// Ed25519, by the sender's identity key.
    pub signature: [u8; 64],
}

impl SignedPolicyWord {
    /// The word, if its sender is in the roster and signed it.
    #[must_use]
    pub fn verify(&self, roster: &ValidRoster) -> Option<&PolicyWord> {
        let message = self.word.signing_bytes();
        roster
            .party_signed(&self.word.from, &message, &self.signature)
            .then_some(&self.word)
    }
}

/// A message on the presence subject. A program that does not know a variant passes it over.
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
    /// Which policy do you have in force? Asked of all; one of them may be asked for the version
    /// after the asker's as well.
    AskPolicy {
        /// Who asks.
        party: PartyId,
        /// Fresh.
        nonce: [u8; 32],
        /// Version that the asker has; 0 without a policy.
        have: u64,
        /// Who is to hand out the version after that.
        from: Option<PartyId>,
    },
    /// The answer.
    Policy(Box<SignedPolicyWord>),
}

impl Presence {
    /// The longest, in bytes: a policy with freeze orders. Everything else is below 4096.
    pub const MAX_LEN: usize = SignedBundle::MAX_LEN + 256 * 1024;
}

impl Canonical for Presence {
    const DOMAIN: &'static str = "quorate/presence/v1";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peers remember the latest heartbeat only: a policy that came while nothing was signed must
    /// make one.
    #[test]
    fn t35_a_heartbeat_under_a_later_policy_is_later() {
        let heartbeat = |log_size, policy_version| Heartbeat {
            party: PartyId::new("party-1").unwrap(),
            roster: Hash32::from_bytes([0; 32]),
            at: 0,
            life: [0; 16],
            restores: 0,
            log_size,
            epoch: 0,
            policy_version,
            keys: 0,
            presignatures: 0,
        };
        assert!(heartbeat(5, 2).is_after(&heartbeat(5, 1)));
        assert!(!heartbeat(5, 1).is_after(&heartbeat(5, 2)));
        assert!(heartbeat(6, 1).is_after(&heartbeat(5, 2)));
    }
}
