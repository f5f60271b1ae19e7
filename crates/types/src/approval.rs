//! What approvers and guardians sign. Which of their signatures count is decided by each agent, under its own bundle.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::passkey::Assertion;
use crate::{Hash32, IntentHash, PersonId};

/// What an approver says of a request.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let it be signed.
    Approve,
    /// Do not sign it: nobody's approval outweighs this one.
    Reject,
    /// Forget my approval of it. A rejection is not forgotten.
    Withdraw,
}

/// One person's word on one request. For a passkey its canonical hash is the WebAuthn challenge.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The cluster it was written for, see [`crate::ValidRoster::cluster_id`].
    pub cluster: Hash32,
    /// The request.
    pub intent: IntentHash,
    /// What would be signed, one hash for each item: of the child key and the 32 bytes for ECDSA and BIP-340, or SHA-256 of the message for
    /// Ed25519.
    pub sighashes: Vec<Hash32>,
    /// What is said.
    pub verdict: Verdict,
    /// Hash of the bundle in force as the approver saw it: under another one the approval does not count.
    pub policy: Hash32,
    /// Its version.
    pub policy_version: u64,
    /// Hash of the decoded lines that the approver was shown; an agent compares it with its own.
    pub display: Hash32,
    /// Who.
    pub person: PersonId,
    /// Fresh.
    pub nonce: [u8; 16],
    /// Unix milliseconds.
    pub issued_at: u64,
    /// Unix milliseconds; it does not count from then on.
    pub expires_at: u64,
}

impl Canonical for Approval {
    const DOMAIN: &'static str = "quorate/approval/v1";
}

impl Approval {
    /// The longest an approval may live, in milliseconds: a week.
    pub const MAX_LIFETIME_MS: u64 = 7 * 24 * 60 * 60 * 1000;
}

/// How a person signs.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Proof {
    /// Ed25519 over [`Canonical::signing_bytes`].
    Ed25519 {
        /// Which of the person's keys, 32 bytes.
        #[serde(with = "hex::serde")]
        key: [u8; 32],
        /// 64 bytes.
        #[serde(with = "hex::serde")]
        signature: [u8; 64],
    },
    /// A passkey's assertion whose challenge is [`Canonical::canonical_hash`].
    Passkey(Assertion),
}

/// An approval with its proof.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedApproval {
    /// What is said.
    pub approval: Approval,
    /// Who says it.
    pub proof: Proof,
}

impl Canonical for SignedApproval {
    const DOMAIN: &'static str = "quorate/signed-approval/v1";
}

impl SignedApproval {
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 16 * 1024;
    /// How many go with one request.
    pub const MAX_COUNT: usize = 64;
}

/// A guardian's word to stop everything. It holds until a bundle lifts it, which takes the admins' quorum.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeOrder {
    /// The cluster it was written for, see [`crate::ValidRoster::cluster_id`].
    pub cluster: Hash32,
    /// The guardian.
    pub person: PersonId,
    /// Fresh.
    pub nonce: [u8; 16],
    /// Unix milliseconds.
    pub issued_at: u64,
    /// For people, at most [`FreezeOrder::MAX_REASON`] bytes.
    pub reason: String,
}

impl Canonical for FreezeOrder {
    const DOMAIN: &'static str = "quorate/freeze/v1";
}

impl FreezeOrder {
    /// The longest reason, in bytes.
    pub const MAX_REASON: usize = 512;
}

/// A freeze order with its proof.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedFreeze {
    /// What is ordered.
    pub order: FreezeOrder,
    /// Who orders it.
    pub proof: Proof,
}

impl Canonical for SignedFreeze {
    const DOMAIN: &'static str = "quorate/signed-freeze/v1";
}
