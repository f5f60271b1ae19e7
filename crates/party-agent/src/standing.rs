//! Whether this agent may take part, from what its peers remember of it (T25, I4, I8).
//!
//! A disk that was put back, by a restore or by a snapshot nobody mentioned, has forgotten presignatures that were used, results that
//! were given and spends that count. So every start asks the peers for the latest heartbeat they heard from this party:
//!
//! * if one is later than what is on the disk, or the disk says it was restored, the party resumes as restored: once `min(t, n-1)`
//!   peers have answered, so that at least one of them is honest, it destroys its presignatures and nonces, takes its log up after the
//!   gap, and from then on refuses intents issued before;
//! * where those peers are gone for good, the custodian may say so and have it resume with what there is;
//! * if one knows a later epoch or policy than the disk, the party stays quarantined until it has that;
//! * otherwise it serves: at once with `min(t, n-1)` answers; after a while with `t-1`, which are enough to sign with but may all be
//!   hostile, and then without the presignatures and nonces it had, and refusing intents issued before; the others are asked on;
//! * if it hears its own signature from another process since it started, another copy of it runs, and it stops until it is restarted.

use std::collections::BTreeMap;

use quorate_storage::RestoreMark;
use quorate_types::node::Standing;
use quorate_types::presence::Heartbeat;
use quorate_types::{PartyId, Threshold};

/// What is known at a moment.
#[derive(Debug)]
pub struct Knowledge<'a> {
    /// What this disk said of itself when the process started, or resumed.
    pub own: &'a Heartbeat,
    /// The disk's restore mark.
    pub mark: Option<RestoreMark>,
    /// For each peer that answered, the latest heartbeat of this party's earlier lives it knows. Signatures were checked.
    pub answers: &'a BTreeMap<PartyId, Option<Heartbeat>>,
    /// Of the roster.
    pub threshold: Threshold,
    /// Whether peers had time enough to answer.
    pub waited: bool,
    /// Whether the custodian has said that no more peers will answer.
    pub accepted: bool,
    /// Whether another process of this party was heard since this one started.
    pub rival: bool,
}

/// Said of a second process with the same identity.
pub(crate) const ANOTHER_COPY: &str = "another copy of this custodian is running: stop the one that is not to be (of a restored one and the old one, the old one) for good, then restart the other";

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// More answers are needed, or something must be caught up with.
    Stay(Standing),
    /// Serve, with everything the disk has.
    Serve,
    /// Serve, but destroy presignatures and nonces first: too few peers could say that none was used.
    ServePurged,
    /// Resume as restored, then serve.
    Resume {
        /// The restore's number.
        counter: u64,
        /// The largest log size a peer heard of.
        seen_log_size: u64,
        /// The latest time on a heartbeat that a peer heard, in Unix milliseconds; 0 where none heard any.
        seen_at: u64,
    },
}

impl Knowledge<'_> {
    /// Decides.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if let Some(reason) = self.behind() {
            return Verdict::Stay(Standing::Quarantined { reason });
        }
        let sure = usize::from(self.threshold.t().min(self.threshold.n() - 1));
        let enough_to_sign = usize::from(self.threshold.t() - 1);
        let have = self.answers.len();
        let forgotten = self.has_forgotten();
        if have >= sure || (self.accepted && self.waited && forgotten) {
            return match forgotten {
                true => self.resume(),
                false => Verdict::Serve,
            };
        }
        if self.waited && have >= enough_to_sign && !forgotten {
            return Verdict::ServePurged;
        }
        if forgotten {
            let reason = format!(
                "this disk was restored or put back, and {have} of the {sure} peers needed have said what they last heard from this party; start them, or if they are lost for good: quorate agent accept-restore"
            );
            return Verdict::Stay(Standing::Quarantined { reason });
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Verdict::Stay(Standing::Confirming {
            answers: count(have),
            needed: count(if self.waited { enough_to_sign } else { sure }),
        })
    }

    fn seen(&self) -> impl Iterator<Item = &Heartbeat> {
        self.answers.values().flatten()
    }

    fn behind(&self) -> Option<String> {
        let own = self.own;
        if self.rival {
            return Some(ANOTHER_COPY.to_owned());
        }
        if let Some(seen) = self.seen().find(|s| s.epoch > own.epoch) {
            return Some(format!(
                "peers saw this party hold shares of epoch {}, this disk has none above {}: have its shares repaired, or restore a later backup",
                seen.epoch, own.epoch
            ));
        }
        let seen = self.seen().find(|s| s.policy_version > own.policy_version);
        seen.map(|seen| {
            format!(
                "peers saw this party enforce policy version {}, this disk has {}: publish the policy to it again",
                seen.policy_version, own.policy_version
            )
        })
    }

    fn has_forgotten(&self) -> bool {
        let unconfirmed = self.mark.is_some_and(|mark| !mark.confirmed);
        unconfirmed || self.seen().any(|seen| seen.is_after(self.own))
    }

    fn resume(&self) -> Verdict {
        let seen_log_size = self.seen().map(|s| s.log_size).max().unwrap_or(0);
        let seen_restores = self.seen().map(|s| s.restores).max().unwrap_or(0);
        // A restore that is marked has its number already; a disk put back unmarked gets one now.
        let marked = self.mark.map_or(0, |mark| mark.counter);
        let counted = match self.mark {
            Some(mark) if !mark.confirmed => mark.counter,
            _ => marked.saturating_add(1),
        };
        Verdict::Resume {
            counter: counted.max(seen_restores.saturating_add(1)),
            seen_log_size,
            seen_at: self.seen().map(|s| s.at).max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_types::Hash32;

    fn heartbeat(log_size: u64) -> Heartbeat {
        Heartbeat {
            party: PartyId::new("party-1").unwrap(),
            roster: Hash32::from_bytes([0; 32]),
            at: 0,
            life: [0; 16],
            restores: 0,
            log_size,
            epoch: 0,
            policy_version: 0,
            keys: 0,
            presignatures: 0,
        }
    }

    fn mark(confirmed: bool) -> RestoreMark {
        RestoreMark {
            counter: 3,
            restored_at: 0,
            backup_made_at: 0,
            confirmed,
        }
    }

    fn verdict(
        own: &Heartbeat,
        mark: Option<RestoreMark>,
        answers: &[Option<Heartbeat>],
        (t, n): (u16, u16),
        waited: bool,
    ) -> Verdict {
        let answers = answers
            .iter()
            .enumerate()
            .map(|(i, a)| {
                (
                    PartyId::new(&format!("party-{}", i + 2)).unwrap(),
                    a.clone(),
                )
            })
            .collect();
        Knowledge {
            own,
            mark,
            answers: &answers,
            threshold: Threshold::new(t, n).unwrap(),
            waited,
            accepted: false,
            rival: false,
        }
        .verdict()
    }

    #[test]
    fn a_disk_that_has_all_peers_saw_serves_as_soon_as_enough_say_so() {
        let own = heartbeat(10);
        let same = Some(heartbeat(10));
        let two = [same.clone(), None];
        assert_eq!(verdict(&own, None, &two, (2, 3), false), Verdict::Serve);
        let confirming = verdict(&own, None, std::slice::from_ref(&same), (2, 3), false);
        let expected = Standing::Confirming {
            answers: 1,
            needed: 2,
        };
        assert_eq!(confirming, Verdict::Stay(expected));
        let waited = verdict(&own, None, &[same], (2, 3), true);
        assert_eq!(waited, Verdict::ServePurged, "one peer is down");
        let alone = verdict(&own, None, &[], (2, 3), true);
        assert!(matches!(alone, Verdict::Stay(_)), "nobody to sign with");
    }

    #[test]
    fn where_all_must_sign_all_others_are_asked() {
        let own = heartbeat(10);
        assert_eq!(verdict(&own, None, &[None], (2, 2), false), Verdict::Serve);
    }

    #[test]
    fn t25_a_restored_disk_resumes_only_when_one_of_those_who_answered_must_be_honest() {
        let own = heartbeat(10);
        let seen = Some(heartbeat(25));
        for waited in [false, true] {
            let one = verdict(&own, Some(mark(false)), &[None], (2, 3), waited);
            assert!(
                matches!(one, Verdict::Stay(Standing::Quarantined { .. })),
                "{one:?}"
            );
        }
        let both = verdict(&own, Some(mark(false)), &[None, seen], (2, 3), false);
        let resume = Verdict::Resume {
            counter: 3,
            seen_log_size: 25,
            seen_at: 0,
        };
        assert_eq!(both, resume);
        let confirmed = verdict(&own, Some(mark(true)), &[None, None], (2, 3), false);
        assert_eq!(confirmed, Verdict::Serve, "that was settled before");
    }

    #[test]
    fn t25_an_old_disk_put_back_unmarked_is_found_out() {
        let own = heartbeat(10);
        let seen = Some(heartbeat(11));
        let one = verdict(&own, None, std::slice::from_ref(&seen), (2, 3), true);
        assert!(
            matches!(one, Verdict::Stay(Standing::Quarantined { .. })),
            "{one:?}"
        );
        let both = verdict(&own, None, &[seen, None], (2, 3), false);
        let resume = Verdict::Resume {
            counter: 1,
            seen_log_size: 11,
            seen_at: 0,
        };
        assert_eq!(both, resume);
    }

    #[test]
    fn t25_an_older_backup_than_the_last_restore_is_found_out() {
        let own = heartbeat(30);
        let seen = Heartbeat {
            restores: 7,
            ..heartbeat(20)
        };
        let both = verdict(&own, None, &[Some(seen), None], (2, 3), false);
        let resume = Verdict::Resume {
            counter: 8,
            seen_log_size: 20,
            seen_at: 0,
        };
        assert_eq!(both, resume);
    }

    #[test]
    fn i08_a_disk_of_an_older_epoch_or_policy_stays_quarantined_whoever_answers() {
        let own = heartbeat(10);
        for seen in [
            Heartbeat {
                epoch: 1,
                ..heartbeat(10)
            },
            Heartbeat {
                policy_version: 4,
                ..heartbeat(10)
            },
        ] {
            for answers in [
                vec![Some(seen.clone())],
                vec![None, Some(seen.clone())],
                vec![Some(heartbeat(9)), Some(seen.clone())],
            ] {
                let verdict = verdict(&own, Some(mark(false)), &answers, (2, 3), true);
                assert!(
                    matches!(verdict, Verdict::Stay(Standing::Quarantined { .. })),
                    "{verdict:?}"
                );
            }
        }
    }

    #[test]
    fn where_peers_are_lost_for_good_the_custodian_may_say_so() {
        let own = heartbeat(10);
        let seen = Heartbeat {
            at: 77,
            ..heartbeat(12)
        };
        let answers = BTreeMap::from([(PartyId::new("party-2").unwrap(), Some(seen))]);
        let knowledge = |own, accepted| Knowledge {
            own,
            mark: None,
            answers: &answers,
            threshold: Threshold::new(2, 3).unwrap(),
            waited: true,
            accepted,
            rival: false,
        };
        let stay = knowledge(&own, false).verdict();
        assert!(matches!(stay, Verdict::Stay(_)), "{stay:?}");
        let resume = Verdict::Resume {
            counter: 1,
            seen_log_size: 12,
            seen_at: 77,
        };
        assert_eq!(knowledge(&own, true).verdict(), resume);
        // Nothing to accept where nothing was forgotten.
        let whole = heartbeat(12);
        assert_eq!(knowledge(&whole, true).verdict(), Verdict::ServePurged);
        // An older epoch is not made good by saying so.
        let behind = Heartbeat {
            epoch: 1,
            ..heartbeat(12)
        };
        let answers = BTreeMap::from([(PartyId::new("party-2").unwrap(), Some(behind))]);
        let stay = Knowledge {
            answers: &answers,
            ..knowledge(&own, true)
        };
        assert!(matches!(stay.verdict(), Verdict::Stay(_)));
    }

    #[test]
    fn t04_one_that_has_heard_another_copy_stops_whatever_peers_say() {
        let own = heartbeat(10);
        let peer = |number| PartyId::new(&format!("party-{number}")).unwrap();
        let answers = BTreeMap::from([(peer(2), Some(heartbeat(11))), (peer(3), None)]);
        let knowledge = Knowledge {
            own: &own,
            mark: None,
            answers: &answers,
            threshold: Threshold::new(2, 3).unwrap(),
            waited: true,
            accepted: true,
            rival: true,
        };
        let stay = knowledge.verdict();
        assert!(
            matches!(stay, Verdict::Stay(Standing::Quarantined { .. })),
            "{stay:?}"
        );
    }
}
