//! Presignatures: what they are bound to, and what is left to send when one is used.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::{
    DerivationPath, EcdsaPartial, Hash32, IntentHash, KeyId, KeyRecord, PartyId, ValidRoster,
};

/// What a presignature is made for and of use for alone: fixing any of it later is unsafe (CVE-2025-66017). Its hash names the pool.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct PresignaturePool {
    /// The key.
    pub key: KeyId,
    /// Its share generation.
    pub epoch: u32,
    /// The child.
    pub path: DerivationPath,
    /// Who signs, in protocol order.
    pub signers: Vec<PartyId>,
}

impl PresignaturePool {
    /// For a key as it is now.
    #[must_use]
    pub fn of(record: &KeyRecord, path: &DerivationPath, signers: &[PartyId]) -> Self {
        Self {
            key: record.id,
            epoch: record.epoch,
            path: path.clone(),
            signers: signers.to_vec(),
        }
    }
}

impl Canonical for PresignaturePool {
    const DOMAIN: &'static str = "quorate/presignature-pool/v1";
}

/// How many presignatures of a pool an agent has, and wants.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PoolLevel {
    /// Which.
    pub pool: PresignaturePool,
    /// Those that are there, in id order, at most [`PoolLevel::MAX_IDS`].
    pub ids: Vec<Hash32>,
    /// How many more the agent wants now: none between the marks, unless it is filling up, nor while it makes as many as it can.
    pub wanted: u32,
    /// How many are being made.
    pub making: u32,
}

impl PoolLevel {
    /// Ids in one answer.
    pub const MAX_IDS: usize = 1024;
}

/// An agent's part in a signature made from presignatures: one partial signature for each item. None of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedPartials {
    /// Whose.
    pub party: PartyId,
    /// Of which request.
    pub intent: IntentHash,
    /// Of which try.
    pub attempt: u32,
    /// Hash of the pool that the presignatures are of.
    pub pool: Hash32,
    /// The presignatures, one for each item.
    pub presignatures: Vec<Hash32>,
    /// In the order of the items.
    pub partials: Vec<EcdsaPartial>,
    /// Ed25519 by the agent's identity key: whoever sent a wrong one cannot deny it.
    pub signature: [u8; 64],
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Statement {
    party: PartyId,
    intent: IntentHash,
    attempt: u32,
    pool: Hash32,
    presignatures: Vec<Hash32>,
    partials: Vec<EcdsaPartial>,
}

impl Canonical for Statement {
    const DOMAIN: &'static str = "quorate/partial-signatures/v1";
}

impl SignedPartials {
    /// The bytes that the signature covers.
    #[must_use]
    pub fn signing_bytes(&self) -> Vec<u8> {
        Statement {
            party: self.party.clone(),
            intent: self.intent,
            attempt: self.attempt,
            pool: self.pool,
            presignatures: self.presignatures.clone(),
            partials: self.partials.clone(),
        }
        .signing_bytes()
    }

    /// Whether the party it names signed it.
    #[must_use]
    pub fn is_signed(&self, roster: &ValidRoster) -> bool {
        roster.party_signed(&self.party, &self.signing_bytes(), &self.signature)
    }
}
