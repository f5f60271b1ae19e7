//! What this agent's log says: canonical, public, one leaf each.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_policy::SpendConflict;
use quorate_storage::Start;
use quorate_types::canonical::{Canonical, tagged_hash};
use quorate_types::{
    Ban, Code, Hash32, IntentHash, KeyId, PartyId, PersonId, Protocol, ProtocolRecord, RefusalCode,
    SessionId,
};

use crate::judge::RefusalReason;
use crate::policy::Ruling;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum LogEntry {
    /// A run was begun.
    Begun {
        /// The intent.
        intent: IntentHash,
        /// From 0.
        attempt: u32,
        /// One for each item.
        sessions: Vec<SessionId>,
        /// In protocol order.
        participants: Vec<PartyId>,
        /// Who only acknowledges what is spent.
        witnesses: Vec<PartyId>,
        /// The presignatures it uses up, one for each item; none in the interactive protocol.
        presignatures: Vec<Hash32>,
        /// The policy that allowed it.
        policy: Hash32,
        /// Whose approvals counted.
        approvers: Vec<PersonId>,
    },
    /// A run ended with a result.
    Finished {
        /// The intent.
        intent: IntentHash,
        /// Hash of the result's canonical bytes.
        result: Hash32,
    },
    /// The party was restored; leaves between the last one here and this one are lost.
    Restored {
        /// How often, this time included.
        counter: u64,
        /// The log's size that peers had last seen.
        seen_log_size: u64,
    },
    /// A request of an operator was refused.
    Refused {
        /// The intent.
        intent: IntentHash,
        /// The refusal's stable code.
        code: Code<RefusalCode>,
        /// The policy's version; 0 without one.
        policy_version: u64,
        /// The rules that spoke against it, with what they said.
        reasons: Vec<String>,
    },
    /// A peer showed another history of spending than before: two records it signed in one place, or one that it no longer shows.
    SpendConflict {
        /// Canonical bytes of the record it showed before.
        before: Vec<u8>,
        /// Canonical bytes of what it shows now.
        now: Option<Vec<u8>>,
    },
    /// Another protocol signs for a key from now on.
    Protocol {
        /// The key.
        key: KeyId,
        /// Which change it is.
        sequence: u32,
        /// The protocol.
        protocol: Protocol,
        /// Hash of the record that every party attested.
        record: Hash32,
    },
    /// A peer failed a consistency check of DKLs23.
    Banned(Ban),
    /// This custodian's administrator lets a banned party sign again, with a later setup.
    BanLifted(Ban),
}

impl Canonical for LogEntry {
    const DOMAIN: &'static str = "quorate/log-entry/v3";
}

pub(crate) fn begun(
    start: &Start,
    participants: &[PartyId],
    witnesses: &[PartyId],
    presignatures: &[Hash32],
    ruling: &Ruling,
) -> Vec<u8> {
    LogEntry::Begun {
        intent: start.intent,
        attempt: start.attempt,
        sessions: start.sessions.clone(),
        participants: participants.to_vec(),
        witnesses: witnesses.to_vec(),
        presignatures: presignatures.to_vec(),
        policy: ruling.allowed.policy(),
        approvers: ruling.approvers.clone(),
    }
    .canonical_bytes()
}

pub(crate) fn refused(intent: IntentHash, policy_version: u64, reason: &RefusalReason) -> Vec<u8> {
    LogEntry::Refused {
        intent,
        code: reason.code().into(),
        policy_version,
        reasons: vec![reason.to_string()],
    }
    .canonical_bytes()
}

pub(crate) fn spend_conflict(conflict: &SpendConflict) -> Vec<u8> {
    LogEntry::SpendConflict {
        before: conflict.before.canonical_bytes(),
        now: conflict.now.as_ref().map(Canonical::canonical_bytes),
    }
    .canonical_bytes()
}

pub(crate) fn finished(intent: IntentHash, result: &[u8]) -> Vec<u8> {
    LogEntry::Finished {
        intent,
        result: tagged_hash("quorate/result/v1", &[result]),
    }
    .canonical_bytes()
}

pub(crate) fn restored(counter: u64, seen_log_size: u64) -> Vec<u8> {
    LogEntry::Restored {
        counter,
        seen_log_size,
    }
    .canonical_bytes()
}

pub(crate) fn protocol(record: &ProtocolRecord) -> Vec<u8> {
    LogEntry::Protocol {
        key: record.key,
        sequence: record.sequence,
        protocol: record.protocol,
        record: record.canonical_hash(),
    }
    .canonical_bytes()
}

pub(crate) fn banned(ban: &Ban) -> Vec<u8> {
    LogEntry::Banned(ban.clone()).canonical_bytes()
}

pub(crate) fn ban_lifted(ban: &Ban) -> Vec<u8> {
    LogEntry::BanLifted(ban.clone()).canonical_bytes()
}
