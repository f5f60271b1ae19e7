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
//! * what peers say they heard proves nothing about the policy where all who answer may be hostile,
//!   or where nobody's heartbeats reached them. So peers also hand out their own chain of bundles,
//!   signed by the admins, and the party follows it; t of them that have nothing later,
//!   and are not behind themselves, suffice, for one is honest. Where there cannot be t, a disk
//!   that was restored, or that no peer remembers as
//!   it is, waits until its custodian confirms the version (T35);
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
    /// How far the policy can be believed to be the latest.
    pub policy: PolicyKnowledge,
}

/// What is known of the policy besides the version that the disk had, which [`Knowledge::own`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyKnowledge {
    /// The version in force now; it may have come since the process started.
    pub version: u64,
    /// The highest version this party is known to have had in force; durable.
    pub floor: u64,
    /// How many peers say, since this process asked, that they have no later version than this
    /// party.
    pub told: usize,
    /// How many of those are settled: not started, or restored, a moment ago themselves.
    pub vouched: usize,
    /// The version that the custodian has confirmed to this process.
    pub confirmed: Option<u64>,
    /// Whether this process has served: versions that came into force since are later than the one
    /// it began with.
    pub has_served: bool,
}

/// Said of a second process with the same identity.
pub(crate) const ANOTHER_COPY: &str = "another copy of this custodian is running: stop the one that is not to be (of a restored one and the old one, the old one) for good, then restart the other";

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// More answers are needed, or something must be caught up with.
    Stay(Standing),
    /// The custodian must confirm the policy's version first.
    ConfirmPolicy {
        /// Why, and what to do.
        reason: String,
    },
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
        let have = self.answers.len();
        let gathered = have >= self.sure();
        if self.has_forgotten() {
            return match gathered || (self.accepted && self.waited) {
                true if self.is_latest_policy() => self.resume(),
                true => self.confirm_policy("this disk was restored or put back"),
                false => self.wait_for_memories(),
            };
        }
        // Peers that speak an older version of the protocol hand out no policy: they are not waited
        // for.
        let told = self.policy.told >= self.sure() || self.waited;
        if (gathered && told) || (self.waited && have >= self.enough_to_sign()) {
            return match (self.is_known_policy(), gathered) {
                (true, true) => Verdict::Serve,
                (true, false) => Verdict::ServePurged,
                (false, _) => self.confirm_policy("no peer remembers this party as this disk is"),
            };
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let answers = match gathered {
            true => self.policy.told,
            false => have,
        };
        Verdict::Stay(Standing::Confirming {
            answers: count(answers),
            needed: count(match self.waited {
                true => self.enough_to_sign(),
                false => self.sure(),
            }),
        })
    }

    /// Answers of which one is honest, where not every party must sign.
    fn sure(&self) -> usize {
        usize::from(self.threshold.t().min(self.threshold.n() - 1))
    }

    fn enough_to_sign(&self) -> usize {
        usize::from(self.threshold.t() - 1)
    }

    /// Whether nothing later than the policy in force can be in force elsewhere: t peers have none,
    /// of whom one is honest, or the custodian says so.
    fn is_latest_policy(&self) -> bool {
        let confirmed = self.policy.confirmed;
        self.policy.vouched >= usize::from(self.threshold.t())
            || confirmed.is_some_and(|version| self.policy.version >= version)
    }

    /// The same for a disk of which nothing says that it was put back: t peers that have none later
    /// suffice, settled or not, and so does a peer that remembers this party under this policy; and
    /// a party that never did anything has nothing to go back
    /// to.
    fn is_known_policy(&self) -> bool {
        let own = self.own;
        let is_new = self.mark.is_none() && own.log_size == 0 && own.keys == 0;
        let remembered = |seen: &Heartbeat| {
            (seen.restores, seen.policy_version) == (own.restores, own.policy_version)
        };
        // After a restart of them all none is settled, and none is more forgetful than another.
        let told = self.policy.told >= usize::from(self.threshold.t());
        let settled = self.policy.has_served || is_new || self.is_latest_policy();
        settled || told || self.seen().any(remembered)
    }

    fn wait_for_memories(&self) -> Verdict {
        let (have, sure) = (self.answers.len(), self.sure());
        let reason = format!(
            "this disk was restored or put back, and {have} of the {sure} peers needed have said what they last heard from this party; start them, or if they are lost for good: quorate agent accept-restore"
        );
        Verdict::Stay(Standing::Quarantined { reason })
    }

    fn confirm_policy(&self, why: &str) -> Verdict {
        let version = self.policy.version;
        let (vouched, t) = (self.policy.vouched, self.threshold.t());
        let reason = format!(
            "{why}, and {vouched} of the {t} peers it takes say that there is no policy after version {version}; ask the admins which version is in force, then: quorate agent accept-policy VERSION"
        );
        Verdict::ConfirmPolicy { reason }
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
        let seen = self.seen().map(|seen| seen.policy_version).max();
        let floor = self.policy.floor.max(seen.unwrap_or(0));
        let (own, confirmed) = (self.policy.version, self.policy.confirmed.unwrap_or(0));
        if floor > own {
            return Some(format!(
                "this party has enforced policy version {floor}, this disk has {own}: start a peer that has it, or publish the policy again"
            ));
        }
        (confirmed > own).then(|| {
            format!(
                "the custodian confirmed policy version {confirmed}, this disk has {own}: start a peer that has it, or publish the policy again"
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
        let policy = PolicyKnowledge {
            vouched: answers.len(),
            ..PolicyKnowledge::default()
        };
        judged(own, mark, answers, (t, n), waited, policy)
    }

    fn judged(
        own: &Heartbeat,
        mark: Option<RestoreMark>,
        answers: &[Option<Heartbeat>],
        (t, n): (u16, u16),
        waited: bool,
        policy: PolicyKnowledge,
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
            policy: PolicyKnowledge {
                version: policy.version.max(own.policy_version),
                told: policy.told.max(policy.vouched),
                ..policy
            },
        }
        .verdict()
    }

    fn under(version: u64, log_size: u64) -> Heartbeat {
        Heartbeat {
            policy_version: version,
            keys: 1,
            ..heartbeat(log_size)
        }
    }

    #[track_caller]
    fn waits_for_the_custodian(verdict: &Verdict) {
        assert!(
            matches!(verdict, Verdict::ConfirmPolicy { .. }),
            "{verdict:?}"
        );
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
        let remembered = [Some(heartbeat(10))];
        assert_eq!(
            verdict(&own, None, &remembered, (2, 2), false),
            Verdict::Serve
        );
        let nobody = verdict(&own, None, &[], (2, 2), true);
        assert!(matches!(nobody, Verdict::Stay(_)), "{nobody:?}");
    }

    /// All who answer may be hostile where all must sign: that they remember nothing says nothing.
    #[test]
    fn t35_i07_where_all_must_sign_a_disk_that_no_peer_remembers_waits_for_its_custodian() {
        let own = under(1, 10);
        let earlier = Some(Heartbeat {
            policy_version: 0,
            ..heartbeat(4)
        });
        for answer in [None, earlier] {
            for waited in [false, true] {
                let answers = std::slice::from_ref(&answer);
                waits_for_the_custodian(&verdict(&own, None, answers, (2, 2), waited));
            }
        }
        let confirmed = PolicyKnowledge {
            vouched: 1,
            confirmed: Some(1),
            ..PolicyKnowledge::default()
        };
        let serves = judged(&own, None, &[None], (2, 2), false, confirmed);
        assert_eq!(serves, Verdict::Serve);
        let later = PolicyKnowledge {
            confirmed: Some(2),
            ..confirmed
        };
        let behind = judged(&own, None, &[None], (2, 2), false, later);
        assert!(matches!(behind, Verdict::Stay(_)), "{behind:?}");
    }

    #[test]
    fn t35_a_party_that_never_did_anything_starts_unattended() {
        let own = Heartbeat {
            policy_version: 1,
            ..heartbeat(0)
        };
        assert_eq!(verdict(&own, None, &[None], (2, 2), false), Verdict::Serve);
        waits_for_the_custodian(&verdict(&own, Some(mark(true)), &[None], (2, 2), false));
    }

    #[test]
    fn t35_i07_a_restored_disk_where_all_must_sign_waits_for_its_custodian() {
        let own = under(1, 10);
        let seen = Some(under(1, 10));
        for answer in [None, seen] {
            let answers = std::slice::from_ref(&answer);
            waits_for_the_custodian(&verdict(&own, Some(mark(false)), answers, (2, 2), true));
        }
    }

    #[test]
    fn t35_i07_a_restored_disk_goes_on_when_t_peers_have_no_later_policy() {
        let own = under(1, 10);
        let answers = [None, None];
        let silent = judged(
            &own,
            Some(mark(false)),
            &answers,
            (2, 3),
            true,
            PolicyKnowledge {
                vouched: 1,
                ..PolicyKnowledge::default()
            },
        );
        waits_for_the_custodian(&silent);
        let both = verdict(&own, Some(mark(false)), &answers, (2, 3), true);
        assert!(matches!(both, Verdict::Resume { .. }), "{both:?}");
    }

    #[test]
    fn t35_i07_too_few_answers_do_not_do_for_a_disk_that_no_peer_remembers() {
        let own = under(3, 10);
        let answers = [Some(under(2, 9))];
        waits_for_the_custodian(&verdict(&own, None, &answers, (2, 3), true));
        let answers = [Some(under(3, 9))];
        let remembered = verdict(&own, None, &answers, (2, 3), true);
        assert_eq!(remembered, Verdict::ServePurged);
    }

    #[test]
    fn t35_i07_below_the_highest_version_a_party_had_it_stays_quarantined() {
        let own = under(2, 10);
        for confirmed in [None, Some(1), Some(2)] {
            let policy = PolicyKnowledge {
                floor: 3,
                vouched: 2,
                confirmed,
                ..PolicyKnowledge::default()
            };
            let answers = [Some(under(2, 10)), Some(under(2, 10))];
            let verdict = judged(&own, None, &answers, (2, 3), true, policy);
            assert!(
                matches!(verdict, Verdict::Stay(Standing::Quarantined { .. })),
                "{verdict:?}"
            );
        }
    }

    /// Its peers remember it under the version that it began with, and of its own new heartbeats
    /// they tell it nothing.
    #[test]
    fn t35_a_policy_that_comes_while_it_serves_makes_nobody_doubt_the_one_before() {
        let own = under(2, 10);
        let policy = PolicyKnowledge {
            vouched: 1,
            has_served: true,
            ..PolicyKnowledge::default()
        };
        let purged = judged(&own, None, &[None], (2, 3), true, policy);
        assert_eq!(purged, Verdict::ServePurged);
        // That it forgot something it may still hear.
        let answers = [Some(under(2, 11))];
        let forgot = judged(&own, None, &answers, (2, 3), true, policy);
        assert!(matches!(forgot, Verdict::Stay(_)), "{forgot:?}");
    }

    /// It was away for a version, which one peer hands out: what the disk had when it started is
    /// what a
    /// peer must remember.
    #[test]
    fn t35_a_later_policy_that_is_followed_does_not_make_a_disk_unknown() {
        let own = under(2, 10);
        let policy = PolicyKnowledge {
            version: 3,
            vouched: 1,
            ..PolicyKnowledge::default()
        };
        let answers = [Some(under(2, 10))];
        let verdict = judged(&own, None, &answers, (2, 3), true, policy);
        assert_eq!(verdict, Verdict::ServePurged);
    }

    /// Saying that peers are lost is not saying which policy is in force.
    #[test]
    fn t35_i07_accepting_a_restore_is_not_accepting_a_policy() {
        let own = under(1, 10);
        let answers = BTreeMap::from([(PartyId::new("party-2").unwrap(), None)]);
        let knowledge = |confirmed| Knowledge {
            own: &own,
            mark: Some(mark(false)),
            answers: &answers,
            threshold: Threshold::new(2, 3).unwrap(),
            waited: true,
            accepted: true,
            rival: false,
            policy: PolicyKnowledge {
                version: 1,
                vouched: 1,
                confirmed,
                ..PolicyKnowledge::default()
            },
        };
        waits_for_the_custodian(&knowledge(None).verdict());
        let resumed = knowledge(Some(1)).verdict();
        assert!(matches!(resumed, Verdict::Resume { .. }), "{resumed:?}");
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
        let policy = PolicyKnowledge {
            confirmed: Some(0),
            ..PolicyKnowledge::default()
        };
        let knowledge = |own, accepted| Knowledge {
            own,
            mark: None,
            answers: &answers,
            threshold: Threshold::new(2, 3).unwrap(),
            waited: true,
            accepted,
            rival: false,
            policy,
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
            policy: PolicyKnowledge::default(),
        };
        let stay = knowledge.verdict();
        assert!(
            matches!(stay, Verdict::Stay(Standing::Quarantined { .. })),
            "{stay:?}"
        );
    }
}
