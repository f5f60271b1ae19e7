//! What this agent's log says: canonical, public, one leaf each.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_storage::Start;
use quorate_types::canonical::{Canonical, tagged_hash};
use quorate_types::{Hash32, IntentHash, PartyId, SessionId};

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
}

impl Canonical for LogEntry {
    const DOMAIN: &'static str = "quorate/log-entry/v1";
}

pub(crate) fn begun(start: &Start, participants: &[PartyId]) -> Vec<u8> {
    LogEntry::Begun {
        intent: start.intent,
        attempt: start.attempt,
        sessions: start.sessions.clone(),
        participants: participants.to_vec(),
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
