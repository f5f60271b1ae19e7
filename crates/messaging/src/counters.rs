//! What was refused, counted by reason. A refusal never ends a session; a rising counter is for the operator.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why something that came in was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Longer than [`crate::MAX_ENVELOPE`]; nothing was decoded.
    Oversize,
    /// Not an envelope, link or control message of this version.
    Undecodable,
    /// Subject and content name different senders, recipients, sessions or ceremonies.
    SubjectMismatch,
    /// The sender is not in the roster.
    UnknownSender,
    /// The signature is not the named sender's.
    ForgedSignature,
    /// The timestamp is outside the window.
    StaleTimestamp,
    /// This sequence number, or this handshake message, was there before.
    Replay,
    /// The sender is in the roster but not in the session.
    NotParticipant,
    /// For a session that this party has closed.
    SessionOver,
    /// Sealed under a channel this party does not know (lost at a restart, or too old); it will be re-sent.
    UnknownChannel,
    /// Signed by the sender, and yet it cannot be opened or does not match its commitment.
    CannotOpen,
    /// The sender has more waiting here, or runs further ahead, than it is allowed to.
    OverQuota,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Oversize,
        Self::Undecodable,
        Self::SubjectMismatch,
        Self::UnknownSender,
        Self::ForgedSignature,
        Self::StaleTimestamp,
        Self::Replay,
        Self::NotParticipant,
        Self::SessionOver,
        Self::UnknownChannel,
        Self::CannotOpen,
        Self::OverQuota,
    ];

    /// A metric label: `snake_case`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oversize => "oversize",
            Self::Undecodable => "undecodable",
            Self::SubjectMismatch => "subject_mismatch",
            Self::UnknownSender => "unknown_sender",
            Self::ForgedSignature => "forged_signature",
            Self::StaleTimestamp => "stale_timestamp",
            Self::Replay => "replay",
            Self::NotParticipant => "not_participant",
            Self::SessionOver => "session_over",
            Self::UnknownChannel => "unknown_channel",
            Self::CannotOpen => "cannot_open",
            Self::OverQuota => "over_quota",
        }
    }

    /// Whether honest peers and a lossy network cause it too, so that it is no sign of an attack by itself.
    #[must_use]
    pub const fn is_routine(self) -> bool {
        matches!(
            self,
            Self::Replay | Self::SessionOver | Self::UnknownChannel
        )
    }
}

/// Counters of one messenger, since its start.
#[derive(Debug, Default)]
pub struct Counters {
    refused: [AtomicU64; Refusal::ALL.len()],
    sent: AtomicU64,
    resent: AtomicU64,
    received: AtomicU64,
    handshakes: AtomicU64,
}

impl Counters {
    /// How often something was refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refused
            .get(reason as usize)
            .map_or(0, |c| c.load(Ordering::Relaxed))
    }

    /// Messages sent, each counted once.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Envelopes published again, because a peer missed them or its channel came up late.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }

    /// Messages handed to sessions.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Noise channels established.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    pub(crate) fn count_refused(&self, reason: Refusal) {
        if let Some(counter) = self.refused.get(reason as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_resent(&self) {
        self.resent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_handshake(&self) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter_and_label() {
        let counters = Counters::default();
        for reason in Refusal::ALL {
            counters.count_refused(reason);
        }
        assert!(Refusal::ALL.iter().all(|r| counters.refused(*r) == 1));
        let labels: std::collections::BTreeSet<_> =
            Refusal::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(labels.len(), Refusal::ALL.len());
    }
}
