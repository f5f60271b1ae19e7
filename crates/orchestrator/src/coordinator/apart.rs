//! Custodians that do not sign together: by DKLs23 because one has banned the other, or because
//! their versions of the protocol are not adjacent. Each says so of itself; who makes it up is
//! chosen less.

use std::collections::BTreeSet;

use quorate_types::node::{KeyListing, NodeStatus};
use quorate_types::{PartyId, Protocol};

/// Pairs that do not sign for a key together, as one of them says.
#[derive(Default)]
pub(super) struct Apart(BTreeSet<(PartyId, PartyId)>);

impl Apart {
    pub(super) fn of(statuses: &[NodeStatus], key: &KeyListing) -> Self {
        let mut pairs = by_version(statuses);
        if key.signs_by() == Protocol::Dkls23 {
            pairs.extend(by_ban(statuses, key));
        }
        Self(pairs)
    }

    fn go_together(&self, a: &PartyId, b: &PartyId) -> bool {
        !self
            .0
            .iter()
            .any(|(by, whom)| (by, whom) == (a, b) || (by, whom) == (b, a))
    }

    /// Moves the first t that go together to the front. Where no t do, all stay: the custodians
    /// then say why.
    pub(super) fn put_first(&self, parties: &mut [PartyId], t: usize) {
        let mut chosen = Vec::new();
        if !self.0.is_empty() && self.choose(parties, t, &mut chosen) {
            parties.sort_by_key(|party| !chosen.contains(party));
        }
    }

    /// Tries every choice, in order; of fifteen there are a few thousand.
    fn choose(&self, from: &[PartyId], t: usize, chosen: &mut Vec<PartyId>) -> bool {
        if chosen.len() == t {
            return true;
        }
        let Some((first, rest)) = from.split_first() else {
            return false;
        };
        if chosen.iter().all(|other| self.go_together(first, other)) {
            chosen.push(first.clone());
            if self.choose(rest, t, chosen) {
                return true;
            }
            chosen.pop();
        }
        self.choose(rest, t, chosen)
    }
}

fn by_ban(statuses: &[NodeStatus], key: &KeyListing) -> BTreeSet<(PartyId, PartyId)> {
    let of_key = |status: &NodeStatus| {
        let bans = status.bans.iter().filter(|ban| ban.key == key.record.id);
        let pairs = bans.map(|ban| (status.party.clone(), ban.party.clone()));
        pairs.collect::<Vec<_>>()
    };
    statuses.iter().flat_map(of_key).collect()
}

fn by_version(statuses: &[NodeStatus]) -> BTreeSet<(PartyId, PartyId)> {
    let mut pairs = BTreeSet::new();
    for one in statuses {
        let strangers = one.strangers.iter();
        pairs.extend(strangers.map(|other| (one.party.clone(), other.clone())));
        let version = one.dialect.version;
        let strangers = statuses
            .iter()
            .filter(|s| !version.works_with(s.dialect.version));
        pairs.extend(strangers.map(|other| (one.party.clone(), other.party.clone())));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use quorate_types::node::Standing;
    use quorate_types::{Dialect, Hash32, WireVersion};

    use super::*;

    fn party(number: usize) -> PartyId {
        PartyId::new(&format!("party-{number}")).unwrap()
    }

    fn first(apart: &[(usize, usize)], n: usize, t: usize) -> Vec<PartyId> {
        let pairs = apart.iter().map(|(by, whom)| (party(*by), party(*whom)));
        let mut parties: Vec<PartyId> = (1..=n).map(party).collect();
        Apart(pairs.collect()).put_first(&mut parties, t);
        parties.truncate(t);
        parties
    }

    fn status(number: usize, version: u16, strangers: &[usize]) -> NodeStatus {
        NodeStatus {
            party: party(number),
            version: String::new(),
            dialect: Dialect {
                version: WireVersion(version),
                ..Dialect::current()
            },
            roster: Hash32::from_bytes([0; 32]),
            primes: 0,
            primes_needed: 0,
            committee: None,
            keys: 0,
            running: 0,
            standing: Standing::Serving { not_before: 0 },
            policy_version: 0,
            policy: None,
            frozen: Vec::new(),
            pools: Vec::new(),
            strangers: strangers.iter().copied().map(party).collect(),
            bans: Vec::new(),
        }
    }

    #[test]
    fn custodians_whose_versions_are_not_adjacent_are_not_asked_together() {
        let chosen = |statuses: &[NodeStatus]| {
            let mut parties: Vec<PartyId> = statuses.iter().map(|s| s.party.clone()).collect();
            Apart(by_version(statuses)).put_first(&mut parties, 2);
            parties.truncate(2);
            parties
        };
        let upgraded = [status(1, 1, &[]), status(2, 3, &[]), status(3, 2, &[])];
        assert_eq!(chosen(&upgraded), [party(1), party(3)]);
        // One that tells the others another version than the orchestrator keeps itself apart, and
        // nobody else.
        let liar = [status(1, 1, &[]), status(2, 1, &[1]), status(3, 1, &[1])];
        assert_eq!(chosen(&liar), [party(2), party(3)]);
    }

    #[test]
    fn who_banned_and_who_is_banned_are_not_asked_together() {
        let parties = |numbers: &[usize]| numbers.iter().map(|n| party(*n)).collect::<Vec<_>>();
        assert_eq!(first(&[], 3, 2), parties(&[1, 2]));
        assert_eq!(first(&[(1, 2)], 3, 2), parties(&[1, 3]));
        assert_eq!(first(&[(2, 1)], 3, 2), parties(&[1, 3]));
        assert_eq!(first(&[(1, 2), (1, 3)], 3, 2), parties(&[2, 3]));
        // One that says it banned everybody is left out.
        assert_eq!(
            first(&[(1, 2), (1, 3), (1, 4), (1, 5)], 5, 3),
            parties(&[2, 3, 4])
        );
        assert_eq!(first(&[(1, 2), (4, 3)], 5, 3), parties(&[1, 3, 5]));
        // No two go together: whoever is asked first says why.
        assert_eq!(first(&[(1, 2), (2, 3), (3, 1)], 3, 2), parties(&[1, 2]));
    }
}
