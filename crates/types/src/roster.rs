//! Who is who: the parties and operators of one cluster. Each agent has its own copy and trusts no other.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::bundle::Admins;
use crate::canonical::{Canonical, tagged_hash};
use crate::{Attestation, Hash32, MAX_PARTIES, OperatorId, PartyId};

/// `t` of `n`: `t` parties sign, fewer learn nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, Serialize)]
pub struct Threshold {
    t: u16,
    n: u16,
}

/// A threshold outside `2 <= t <= n <= 15`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("threshold {t} of {n} is out of range: need 2 <= t <= n <= {MAX_PARTIES}")]
pub struct ThresholdError {
    /// The threshold offered.
    pub t: u16,
    /// The committee size offered.
    pub n: u16,
}

impl Threshold {
    /// Checks `2 <= t <= n <= 15`.
    ///
    /// # Errors
    /// Anything outside.
    pub const fn new(t: u16, n: u16) -> Result<Self, ThresholdError> {
        if t < 2 || t > n || n > MAX_PARTIES {
            return Err(ThresholdError { t, n });
        }
        Ok(Self { t, n })
    }

    /// How many parties sign.
    #[must_use]
    pub const fn t(self) -> u16 {
        self.t
    }

    /// How many parties there are.
    #[must_use]
    pub const fn n(self) -> u16 {
        self.n
    }
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.t, self.n)
    }
}

impl BorshDeserialize for Threshold {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let (t, n) = <(u16, u16)>::deserialize_reader(reader)?;
        Self::new(t, n).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            t: u16,
            n: u16,
        }
        let Fields { t, n } = <Fields as Deserialize>::deserialize(deserializer)?;
        Self::new(t, n).map_err(serde::de::Error::custom)
    }
}

/// One party of the committee.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyEntry {
    /// Its name, also its NATS user.
    pub id: PartyId,
    /// Ed25519 public key that signs its envelopes and attestations, 32 bytes.
    #[serde(with = "hex::serde")]
    pub identity: [u8; 32],
    /// X25519 static public key of its Noise channels, 32 bytes.
    #[serde(with = "hex::serde")]
    pub channel: [u8; 32],
}

/// Someone who may propose intents.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorEntry {
    /// Name.
    pub id: OperatorId,
    /// Ed25519 public key, 32 bytes.
    #[serde(with = "hex::serde")]
    pub key: [u8; 32],
}

/// The roster as written; see [`ValidRoster`] for the checked form.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// Name of the cluster: `a-z`, `0-9`, `-`.
    pub cluster: String,
    /// Default threshold of new keys.
    pub threshold: Threshold,
    /// The committee, in share order.
    pub parties: Vec<PartyEntry>,
    /// The operators.
    pub operators: Vec<OperatorEntry>,
    /// Who signs the first policy bundle.
    pub admins: Admins,
}

impl Canonical for Roster {
    const DOMAIN: &'static str = "quorate/roster/v2";
}

/// What is wrong with a roster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// `n` of the threshold is not the number of parties.
    #[error("roster says {n} parties in its threshold but lists {listed}")]
    PartyCount {
        /// From the threshold.
        n: u16,
        /// Entries present.
        listed: usize,
    },
    /// The same party, operator or key twice.
    #[error("roster lists {what} {who} twice")]
    Duplicate {
        /// Which list or key.
        what: &'static str,
        /// Whose.
        who: String,
    },
    /// An Ed25519 key that is not a point, or is of small order.
    #[error("roster: the {what} of {who} is not a valid public key")]
    BadKey {
        /// Which key.
        what: &'static str,
        /// Whose.
        who: String,
    },
    /// Not the JSON of a roster.
    #[error("roster: {0}")]
    Json(String),
    /// Admins that cannot sign a policy.
    #[error("roster: {0}")]
    Admins(String),
    /// No operator could propose anything.
    #[error("roster lists no operator")]
    NoOperator,
}

/// A roster whose every entry has been checked.
#[derive(Debug, Clone)]
pub struct ValidRoster {
    roster: Roster,
    hash: Hash32,
}

impl TryFrom<Roster> for ValidRoster {
    type Error = RosterError;

    fn try_from(roster: Roster) -> Result<Self, RosterError> {
        if roster.parties.len() != usize::from(roster.threshold.n()) {
            return Err(RosterError::PartyCount {
                n: roster.threshold.n(),
                listed: roster.parties.len(),
            });
        }
        if roster.operators.is_empty() {
            return Err(RosterError::NoOperator);
        }
        let mut names = BTreeSet::new();
        let mut keys = BTreeSet::new();
        for party in &roster.parties {
            once(&mut names, party.id.as_str().to_owned(), "party", &party.id)?;
            once(
                &mut keys,
                hex::encode(party.identity),
                "identity key of",
                &party.id,
            )?;
            once(
                &mut keys,
                hex::encode(party.channel),
                "channel key of",
                &party.id,
            )?;
            usable("identity key", party.id.as_str(), &party.identity)?;
        }
        let mut names = BTreeSet::new();
        for operator in &roster.operators {
            once(
                &mut names,
                operator.id.as_str().to_owned(),
                "operator",
                &operator.id,
            )?;
            once(
                &mut keys,
                hex::encode(operator.key),
                "key of operator",
                &operator.id,
            )?;
            usable("key", operator.id.as_str(), &operator.key)?;
        }
        roster
            .admins
            .check()
            .map_err(|e| RosterError::Admins(e.to_string()))?;
        let hash = roster.canonical_hash();
        Ok(Self { roster, hash })
    }
}

fn once(
    seen: &mut BTreeSet<String>,
    value: String,
    what: &'static str,
    who: &impl ToString,
) -> Result<(), RosterError> {
    if seen.insert(value) {
        Ok(())
    } else {
        Err(RosterError::Duplicate {
            what,
            who: who.to_string(),
        })
    }
}

fn usable(what: &'static str, who: &str, key: &[u8; 32]) -> Result<(), RosterError> {
    if usable_key(key) {
        return Ok(());
    }
    Err(RosterError::BadKey {
        what,
        who: who.to_owned(),
    })
}

/// Whether 32 bytes are an Ed25519 public key that is not of small order.
#[must_use]
pub fn usable_key(key: &[u8; 32]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak())
}

impl ValidRoster {
    /// Parses and checks a roster file's JSON; unknown fields are refused.
    ///
    /// # Errors
    /// See [`RosterError`].
    pub fn from_json(text: &str) -> Result<Self, RosterError> {
        let roster: Roster =
            serde_json::from_str(text).map_err(|e| RosterError::Json(e.to_string()))?;
        roster.try_into()
    }

    /// The roster itself.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Canonical hash; part of every session id, so that agents with different rosters cannot run a ceremony together.
    #[must_use]
    pub const fn hash(&self) -> Hash32 {
        self.hash
    }

    /// Names the cluster as policies and approvals do: its name and its first admins. Other changes of the roster do not change it.
    #[must_use]
    pub fn cluster_id(&self) -> Hash32 {
        let Roster {
            cluster, admins, ..
        } = &self.roster;
        // Writing to memory fails for lengths over u32::MAX only.
        let admins = borsh::to_vec(admins).unwrap_or_default();
        tagged_hash("quorate/cluster-id/v1", &[cluster.as_bytes(), &admins])
    }

    /// `t` of `n`.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.roster.threshold
    }

    /// The parties in share order.
    #[must_use]
    pub fn parties(&self) -> &[PartyEntry] {
        &self.roster.parties
    }

    /// The parties' names in share order.
    #[must_use]
    pub fn party_ids(&self) -> Vec<PartyId> {
        self.parties().iter().map(|p| p.id.clone()).collect()
    }

    /// A party by name.
    #[must_use]
    pub fn party(&self, id: &PartyId) -> Option<&PartyEntry> {
        self.parties().iter().find(|p| p.id == *id)
    }

    /// A party's position in the committee, from 0.
    #[must_use]
    pub fn index_of(&self, id: &PartyId) -> Option<u16> {
        let index = self.parties().iter().position(|p| p.id == *id)?;
        u16::try_from(index).ok()
    }

    /// An operator by name.
    #[must_use]
    pub fn operator(&self, id: &OperatorId) -> Option<&OperatorEntry> {
        self.roster.operators.iter().find(|o| o.id == *id)
    }

    /// Whether `signature` is the party's over these bytes (strict Ed25519 verification).
    #[must_use]
    pub fn party_signed(&self, party: &PartyId, message: &[u8], signature: &[u8; 64]) -> bool {
        self.party(party)
            .is_some_and(|entry| verify_ed25519(&entry.identity, message, signature))
    }

    /// Which parties' attestations of this record are valid; duplicates and strangers are left out.
    #[must_use]
    pub fn attesters(
        &self,
        record: &impl Canonical,
        attestations: &[Attestation],
    ) -> BTreeSet<PartyId> {
        let message = record.signing_bytes();
        attestations
            .iter()
            .filter(|a| self.party_signed(&a.party, &message, &a.signature))
            .map(|a| a.party.clone())
            .collect()
    }
}

/// Strict Ed25519 verification (no malleable or small-order signatures).
#[must_use]
pub fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}
