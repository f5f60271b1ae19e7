//! Session descriptors and ids.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::{Hash32, IntentHash, KeyId, PartyId, SessionId};

/// Which ceremony a session runs.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum CeremonyKind {
    /// Distributed key generation.
    Keygen,
    /// Auxiliary information of a committee.
    Aux,
    /// Presignature generation.
    Presign,
    /// Signing.
    Sign,
    /// Refresh, reshare, repair.
    Reshare,
    /// Showing each other what was spent, before a request that a limit counts is signed.
    Spend,
}

impl CeremonyKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Keygen,
        Self::Aux,
        Self::Presign,
        Self::Sign,
        Self::Reshare,
        Self::Spend,
    ];

    /// The subject token: `keygen`, `aux`, `presign`, `sign`, `reshare`, `spend`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keygen => "keygen",
            Self::Aux => "aux",
            Self::Presign => "presign",
            Self::Sign => "sign",
            Self::Reshare => "reshare",
            Self::Spend => "spend",
        }
    }
}

impl fmt::Display for CeremonyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CeremonyKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|k| k.as_str() == text)
            .ok_or_else(|| format!("unknown ceremony {text:?}"))
    }
}

/// Everything that makes one run of one ceremony what it is. Its hash is the session id, which is the libraries'
/// execution id and is covered by every envelope's signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SessionDescriptor {
    /// Which ceremony.
    pub kind: CeremonyKind,
    /// The intent that asked for it.
    pub intent: IntentHash,
    /// Hash of the policy bundle that the participants decided by; of the roster before there is one.
    pub policy: Hash32,
    /// The key, where there is one.
    pub key: Option<KeyId>,
    /// The key's share generation.
    pub epoch: u32,
    /// Participants in protocol order.
    pub participants: Vec<PartyId>,
    /// Which try, from 0.
    pub attempt: u32,
    /// Which message or input of the intent, from 0.
    pub item: u32,
    /// One fresh 32-byte nonce per participant, in the same order; each party checks its own.
    pub nonces: Vec<[u8; 32]>,
    /// For signing, the hash of the key's [`crate::ProtocolRecord`] in force; none where its protocol was never changed.
    pub protocol: Option<Hash32>,
}

impl Canonical for SessionDescriptor {
    const DOMAIN: &'static str = "quorate/session/v1";
}

impl SessionDescriptor {
    /// Hash of all of it.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        SessionId::from_bytes(*self.canonical_hash().as_bytes())
    }

    /// The party's position among the participants, from 0.
    #[must_use]
    pub fn index_of(&self, party: &PartyId) -> Option<u16> {
        let index = self.participants.iter().position(|p| p == party)?;
        u16::try_from(index).ok()
    }
}
