//! Everything is taken once: sequence numbers within a stream, handshake messages by their id, session ids for the life
//! of the process, and all of it only near its timestamp. The clock is an argument.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use quorate_types::SessionId;

/// How far a timestamp may be from this party's clock, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Older than this is stale.
    pub past: u64,
    /// Further ahead than this is a wrong clock.
    pub future: u64,
}

impl Window {
    /// For envelopes: 10 minutes back, 60 seconds ahead. A re-sent message keeps its first timestamp, so the past must
    /// cover a whole session; within it, sequence numbers already stop replays.
    pub const ENVELOPES: Self = Self {
        past: 600_000,
        future: 60_000,
    };

    /// For handshakes and control messages, which are always made fresh: 60 seconds both ways.
    pub const FRESH: Self = Self {
        past: 60_000,
        future: 60_000,
    };

    /// Whether the timestamp is acceptable at this time; both Unix milliseconds.
    #[must_use]
    pub const fn contains(self, timestamp: u64, now: u64) -> bool {
        timestamp >= now.saturating_sub(self.past) && timestamp <= now.saturating_add(self.future)
    }
}

/// What a stream says to a sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Not seen before.
    New,
    /// Seen.
    Duplicate,
    /// So far ahead that an honest sender cannot be there.
    TooFar,
}

/// The sequence numbers received on one stream: all below `next`, and some beyond.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequences {
    next: u32,
    extra: BTreeSet<u32>,
}

impl Sequences {
    /// How far ahead of the first gap a number may be.
    pub const AHEAD: u32 = 256;

    /// Messages per stream and session; far beyond any ceremony.
    pub const MAX: u32 = 4096;

    /// Whether the number may come in. Does not record it: that is for after the message was opened.
    #[must_use]
    pub fn admit(&self, sequence: u32) -> Admission {
        if sequence < self.next || self.extra.contains(&sequence) {
            Admission::Duplicate
        } else if sequence >= Self::MAX || sequence - self.next >= Self::AHEAD {
            Admission::TooFar
        } else {
            Admission::New
        }
    }

    /// Records a number; `false` if it was there already.
    pub fn record(&mut self, sequence: u32) -> bool {
        if sequence < self.next || !self.extra.insert(sequence) {
            return false;
        }
        while self.extra.remove(&self.next) {
            self.next += 1;
        }
        true
    }

    /// The first number not received.
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// The numbers received beyond the first gap.
    pub fn extra(&self) -> impl Iterator<Item = u32> + '_ {
        self.extra.iter().copied()
    }
}

/// Random ids seen within a time window; forgets those whose timestamp would be refused anyway.
#[derive(Debug, Default)]
pub struct SeenIds {
    seen: HashMap<[u8; 16], u64>,
}

impl SeenIds {
    /// Ids kept at most; beyond it everything is refused until some expire.
    pub const MAX: usize = 4096;

    /// Records an id with its timestamp; `false` if it was seen, is stale, or there are too many.
    pub fn record(&mut self, id: [u8; 16], timestamp: u64, now: u64, window: Window) -> bool {
        if !window.contains(timestamp, now) {
            return false;
        }
        if self.seen.len() >= Self::MAX {
            self.seen.retain(|_, t| window.contains(*t, now));
        }
        self.seen.len() < Self::MAX && self.seen.insert(id, timestamp).is_none()
    }
}

/// The session ids this process has opened last, 32 bytes each. Older ones the agent's ledger
/// keeps, across restarts too, and their envelopes are stale.
#[derive(Debug, Default)]
pub struct OpenedSessions {
    ids: HashSet<SessionId>,
    order: VecDeque<SessionId>,
}

impl OpenedSessions {
    /// Ids kept at most; beyond it the oldest go.
    pub const MAX: usize = 100_000;

    /// Records an id; `false` if it was opened before.
    pub fn record(&mut self, id: SessionId) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > Self::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    /// Whether the id was opened before, as far as is remembered.
    #[must_use]
    pub fn contains(&self, id: &SessionId) -> bool {
        self.ids.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t15_each_sequence_number_is_taken_once_in_any_order() {
        let mut stream = Sequences::default();
        for n in [3, 0, 2] {
            assert_eq!(stream.admit(n), Admission::New);
            assert!(stream.record(n));
            assert_eq!(stream.admit(n), Admission::Duplicate);
            assert!(!stream.record(n));
        }
        assert_eq!(stream.next(), 1);
        assert_eq!(stream.extra().collect::<Vec<_>>(), [2, 3]);
        assert!(stream.record(1));
        assert_eq!((stream.next(), stream.extra().count()), (4, 0));
        assert_eq!(stream.admit(3), Admission::Duplicate);
        assert_eq!(stream.admit(4 + Sequences::AHEAD), Admission::TooFar);
        assert_eq!(stream.admit(u32::MAX), Admission::TooFar);
    }

    #[test]
    fn t15_timestamps_outside_the_window_are_stale() {
        let w = Window::ENVELOPES;
        let now = 1_700_000_000_000;
        assert!(w.contains(now, now));
        assert!(w.contains(now - w.past, now) && !w.contains(now - w.past - 1, now));
        assert!(w.contains(now + w.future, now) && !w.contains(now + w.future + 1, now));
        assert!(w.contains(0, 1) && !w.contains(u64::MAX, 1));
    }

    #[test]
    fn t15_ids_are_taken_once_and_forgotten_only_when_stale() {
        let (mut seen, w) = (SeenIds::default(), Window::FRESH);
        assert!(seen.record([1; 16], 1_000_000, 1_000_000, w));
        assert!(!seen.record([1; 16], 1_000_000, 1_000_000, w));
        let later = 1_000_000 + w.past + 1;
        assert!(!seen.record([1; 16], 1_000_000, later, w));
        assert!(seen.record([2; 16], later, later, w));
    }

    #[test]
    fn t15_a_session_id_is_opened_once() {
        let mut opened = OpenedSessions::default();
        let id = SessionId::from_bytes([9; 32]);
        assert!(opened.record(id));
        assert!(!opened.record(id));
        assert!(opened.contains(&id));
    }

    #[test]
    fn t34_opened_sessions_are_bounded_and_the_latest_are_kept() {
        let mut opened = OpenedSessions::default();
        let id = |number: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            SessionId::from_bytes(bytes)
        };
        let more = u32::try_from(OpenedSessions::MAX).unwrap() + 5;
        for number in 0..more {
            assert!(opened.record(id(number)));
        }
        assert_eq!(opened.ids.len(), OpenedSessions::MAX);
        assert_eq!(opened.order.len(), OpenedSessions::MAX);
        assert!(opened.contains(&id(more - 1)) && opened.contains(&id(5)));
        assert!(!opened.record(id(more - 1)));
    }
}
