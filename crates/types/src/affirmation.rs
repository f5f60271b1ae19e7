//! What a custodian affirms to be in force with it: the version of its policy, and freeze orders.
//! Signed, so that whoever ordered something
//! need not believe the orchestrator that it was done.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::{FreezeOrder, Hash32, PartyId, ValidRoster};

/// State of one custodian at one moment.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affirmation {
    /// The cluster, see [`ValidRoster::cluster_id`].
    pub cluster: Hash32,
    /// The custodian.
    pub party: PartyId,
    /// Number that whoever asked chose: an affirmation with a fresh one was not made before.
    pub challenge: Hash32,
    /// The custodian's clock, Unix milliseconds.
    pub at: u64,
    /// Version of its policy; 0 without one.
    pub policy_version: u64,
    /// Hash of its policy.
    pub policy: Option<Hash32>,
    /// Freeze orders in force. While there is one, nothing begins.
    pub orders: Vec<FreezeOrder>,
}

impl Canonical for Affirmation {
    const DOMAIN: &'static str = "quorate/affirmation/v1";
}

/// An affirmation with the signature of the custodian's identity key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedAffirmation {
    /// What is affirmed.
    pub affirmation: Affirmation,
    /// Ed25519, 64 bytes.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
}

impl SignedAffirmation {
    /// The affirmation, if this custodian of the roster made it for this challenge.
    #[must_use]
    pub fn verify(
        &self,
        roster: &ValidRoster,
        party: &PartyId,
        challenge: Hash32,
    ) -> Option<&Affirmation> {
        let affirmation = &self.affirmation;
        let fits = affirmation.cluster == roster.cluster_id()
            && affirmation.party == *party
            && affirmation.challenge == challenge;
        let message = affirmation.signing_bytes();
        (fits && roster.party_signed(party, &message, &self.signature)).then_some(affirmation)
    }
}
