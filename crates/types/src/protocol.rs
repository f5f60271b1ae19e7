//! Which protocol signs for a key, where another than its scheme's usual one was ever chosen.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::{Attestation, Hash32, KeyId, KeyRecord, PartyId, Protocol, SessionId, ValidRoster};

/// That a protocol signs for a key from now on, as each party attests it. In force once all have.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolRecord {
    /// The key.
    pub key: KeyId,
    /// The share generation it is for; a later one begins with the scheme's default again.
    pub epoch: u32,
    /// 1 for the first change of a key's protocol, one more with every further one. An earlier one never comes into force again.
    pub sequence: u32,
    /// What signs. `dkls23` is a library that nobody has audited.
    pub protocol: Protocol,
    /// For DKLs23, the setup that every signer must use.
    pub setup: Option<Hash32>,
    /// The session in which it was agreed on.
    pub session: SessionId,
    /// The committee in share order.
    pub committee: Vec<PartyId>,
}

impl Canonical for ProtocolRecord {
    const DOMAIN: &'static str = "quorate/protocol-record/v1";
}

/// The protocol in force for a key, with every party's attestation.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolListing {
    /// What was agreed on.
    pub record: ProtocolRecord,
    /// All parties' attestations.
    pub attestations: Vec<Attestation>,
}

impl ProtocolListing {
    /// Whether it is about this key as it is now, and every party of the roster attests it.
    #[must_use]
    pub fn is_good(&self, key: &KeyRecord, roster: &ValidRoster) -> bool {
        let record = &self.record;
        (record.key, record.epoch, &record.committee) == (key.id, key.epoch, &key.committee)
            && record.protocol.signs(key.scheme)
            && roster.attesters(record, &self.attestations).len() == roster.parties().len()
    }
}

/// A party that failed a consistency check of DKLs23 at the custodian that lists it, and with which that one signs no more by DKLs23 for
/// the key.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ban {
    /// The key.
    pub key: KeyId,
    /// Who failed it.
    pub party: PartyId,
    /// With which setup.
    pub setup: Hash32,
    /// In which session.
    pub session: SessionId,
    /// Unix milliseconds.
    pub at: u64,
}

impl Ban {
    /// In one listing.
    pub const MAX_LISTED: usize = 1024;
}
