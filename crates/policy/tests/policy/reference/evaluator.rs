//! The slow way.

use std::collections::{BTreeMap, BTreeSet};

use quorate_chain::{AssetRef, Danger, Movement, Reading, U256};
use quorate_types::{Approval, Asset, Network, Verdict};

use super::Outcome;
use super::worlds::{Case, Contract, DAYS, Human, KEY_GROUPS, Kind, When, Word, World, span};
use crate::naive;

/// What one destination gets of one asset; nothing of nothing where nothing moves.
struct Leg<'a> {
    asset: Option<&'a Asset>,
    moves: bool,
    /// To all destinations together, with the fee that is paid in it.
    amount: i128,
    /// The same without the fee.
    moved: i128,
    destination: &'a str,
}

struct Desk<'a> {
    world: &'a World,
    case: &'a Case,
    initiator: Option<&'a Human>,
    approvers: Vec<&'a Human>,
}

pub fn decide(world: &World, case: &Case) -> Outcome {
    let only = |rule: &str| Outcome::Deny(BTreeSet::from([rule.to_owned()]));
    if case.frozen {
        return only("frozen");
    }
    let initiator = initiator(world, case);
    let (approvers, rejected) = words(world, case, initiator);
    if rejected {
        return only("rejected");
    }
    if case
        .bound_network()
        .is_some_and(|n| n.to_string() == "bitcoin-testnet")
    {
        return only("bitcoin-network");
    }
    let desk = Desk {
        world,
        case,
        initiator,
        approvers,
    };
    let (mut denied, mut pending) = (BTreeSet::new(), BTreeSet::new());
    for leg in desk.legs() {
        let mut spoken = false;
        for (rule, lifted) in desk.against(&leg) {
            let list = if lifted { &mut pending } else { &mut denied };
            spoken |= !lifted;
            list.insert(rule);
        }
        if !spoken && !desk.permitted(&leg) {
            denied.insert("no-permit".to_owned());
        }
    }
    if !denied.is_empty() {
        Outcome::Deny(denied)
    } else if !pending.is_empty() {
        Outcome::Pending(pending)
    } else {
        Outcome::Allow {
            counted: desk.counted(),
        }
    }
}

/// The person with the operator's key, or else of its name.
fn initiator<'a>(world: &'a World, case: &Case) -> Option<&'a Human> {
    let key = |h: &&Human| h.keys.iter().any(|k| k == case.operator);
    let name = |h: &&Human| h.name == case.operator;
    let humans = &world.humans;
    humans.iter().find(key).or_else(|| humans.iter().find(name))
}

/// Who approves, and whether anybody rejects.
fn words<'a>(world: &'a World, case: &Case, initiator: Option<&Human>) -> (Vec<&'a Human>, bool) {
    let mut last: BTreeMap<&str, &Word> = BTreeMap::new();
    // For good, whatever is said later.
    let mut rejected = false;
    for word in &case.words {
        let Some(human) = world.humans.iter().find(|h| h.name == word.who) else {
            continue;
        };
        let theirs = human.keys.contains(&word.signer) && !word.damaged;
        if !theirs || !word.this_request || !word.this_roster {
            continue;
        }
        if word.verdict == Verdict::Approve && !approves(world, case, initiator, human, word) {
            continue;
        }
        if word.verdict == Verdict::Reject {
            rejected = true;
            continue;
        }
        let strictness = |w: &Word| match w.verdict {
            Verdict::Approve => 0,
            Verdict::Withdraw => 1,
            Verdict::Reject => 2,
        };
        let held = last.get(human.name).copied();
        // The latest, and of two at one time the stricter.
        if held.is_none_or(|held| {
            (word.issued_at, strictness(word)) >= (held.issued_at, strictness(held))
        }) {
            last.insert(human.name, word);
        }
    }
    let approves = |h: &&Human| {
        last.get(h.name)
            .is_some_and(|w| w.verdict == Verdict::Approve)
    };
    (world.humans.iter().filter(approves).collect(), rejected)
}

fn approves(
    world: &World,
    case: &Case,
    initiator: Option<&Human>,
    human: &Human,
    word: &Word,
) -> bool {
    let own = human.name == case.operator && initiator.is_none()
        || initiator.is_some_and(|i| i.name == human.name);
    let apart = world.rules.iter().any(|(_, kind)| match kind {
        Kind::Separation(groups) => groups
            .iter()
            .any(|g| human.groups.contains(g) && initiator.is_some_and(|i| i.groups.contains(g))),
        _ => false,
    });
    let timely = word.issued_at <= case.now + 60_000
        && case.now < word.expires_at
        && word.expires_at >= word.issued_at
        && word.expires_at - word.issued_at <= Approval::MAX_LIFETIME_MS;
    // Committees and keys have no sighashes, and these approvals name one.
    let sighashes = word.these_sighashes && case.signs();
    word.this_policy && sighashes && word.this_display && timely && !own && !apart
}

impl<'a> Desk<'a> {
    fn legs(&self) -> Vec<Leg<'a>> {
        let nothing = Leg {
            asset: None,
            moves: false,
            amount: 0,
            moved: 0,
            destination: "",
        };
        let movements = self.leaving();
        let name = |asset: &AssetRef| match asset {
            AssetRef::Native => None,
            AssetRef::Token { contract } | AssetRef::TokenOrItem { contract } => {
                Some(contract.clone())
            }
            AssetRef::Item { contract, id } => Some(format!("{contract}#{id}")),
        };
        let mut legs = Vec::new();
        let mut seen = BTreeSet::new();
        for movement in &movements {
            let of = name(&movement.asset);
            if !seen.insert((of.clone(), movement.destination.as_str())) {
                continue;
            }
            let there =
                |a: &&Asset| Some(a.network) == self.case.bound_network() && a.contract == of;
            let asset = self.world.assets.iter().find(there);
            let same = movements.iter().filter(|m| name(&m.asset) == of);
            let moved = same.fold(U256::ZERO, |sum, m| {
                let id = matches!(m.asset, AssetRef::TokenOrItem { .. }) && m.amount.is_zero();
                sum.saturating_add(if id { U256::from(1) } else { m.amount })
            });
            let fee = match of {
                None => self.case.effects.fee,
                Some(_) => U256::ZERO,
            };
            let units = |total| asset.map_or(i128::from(i64::MAX), |a| naive::units(total, a));
            legs.push(Leg {
                asset,
                moves: true,
                amount: units(moved.saturating_add(fee)),
                moved: units(moved),
                destination: &movement.destination,
            });
        }
        if legs.is_empty() {
            legs.push(nothing);
        }
        legs
    }

    /// Not what goes to addresses that count as change.
    fn leaving(&self) -> Vec<&'a Movement> {
        let change = |m: &&Movement| {
            let path = m.own.as_ref().map(ToString::to_string);
            self.world.names_change && path.is_some_and(|path| path.starts_with("m/1/"))
        };
        let movements = self.case.effects.movements.iter();
        movements.filter(|m| !change(m)).collect()
    }

    /// Whether more than so much of an asset leaves, be it as a fee.
    fn more_than(&self, asset: &Asset, units: i64, leg: &Leg<'_>) -> bool {
        let moves = leg.asset.is_some_and(|a| a.id == asset.id) && leg.amount > i128::from(units);
        let here = asset.contract.is_none() && Some(asset.network) == self.case.bound_network();
        moves || here && naive::units(self.case.effects.fee, asset) > i128::from(units)
    }

    /// The bounds that hold where a policy sets none.
    fn excessive_fee(&self) -> bool {
        let Some(network) = self.case.bound_network() else {
            return false;
        };
        let (most, percent, free) = match network {
            Network::Bitcoin(_) => (5_000_000u128, 10u8, 50_000u128),
            _ => (500_000_000_000_000_000, 25, 50_000_000_000_000_000),
        };
        let fee = self.case.effects.fee;
        let coins = self.leaving();
        let coins = coins.iter().filter(|m| m.asset == AssetRef::Native);
        let moved = coins.fold(U256::ZERO, |sum, m| sum.saturating_add(m.amount));
        let share = moved.saturating_mul(U256::from(percent));
        fee > U256::from(most)
            || fee > U256::from(free)
                && !moved.is_zero()
                && fee.saturating_mul(U256::from(100u8)) > share
    }

    fn network(&self) -> String {
        self.case
            .bound_network()
            .map(|n| n.to_string())
            .unwrap_or_default()
    }

    fn in_book(&self, address: &str) -> bool {
        self.world.book.iter().any(|(entry, usable)| {
            *usable && Some(entry.network) == self.case.bound_network() && entry.address == address
        })
    }

    fn in_group(&self, group: &str) -> bool {
        self.initiator.is_some_and(|i| i.groups.contains(&group))
    }

    fn approvals(&self, group: &str) -> usize {
        let of = |h: &&&Human| h.groups.contains(&group);
        self.approvers.iter().filter(of).count()
    }

    fn is_key_of(&self, group: &str) -> bool {
        let (_, keys) = KEY_GROUPS.iter().find(|(name, _)| *name == group).unwrap();
        self.case.action != "set-up-committee" && keys.contains(&self.case.key)
    }

    /// Whether a rule is about this; `usually` are its actions where it names none.
    fn applies(&self, when: &When, leg: &Leg<'_>, usually: &[&str]) -> bool {
        let all = |list: &[&str], item: &str| list.is_empty() || list.contains(&item);
        let actions = if when.actions.is_empty() {
            usually
        } else {
            &when.actions
        };
        let asset = when.asset.map(|a| &self.world.assets[a]);
        actions.contains(&self.case.action)
            && all(&when.keys, self.case.key)
            && when.key_group.is_none_or(|g| self.is_key_of(g))
            && all(&when.networks, &self.network())
            && match (asset, when.above) {
                (None, _) => true,
                (Some(asset), Some(above)) => self.more_than(asset, above, leg),
                (Some(asset), None) => leg.asset.is_some_and(|a| a.id == asset.id),
            }
            && all(&when.destinations, leg.destination)
            && (!when.unknown_destination || !self.in_book(leg.destination))
            && (when.proposed_by.is_empty() || when.proposed_by.iter().any(|g| self.in_group(g)))
    }

    fn permitted(&self, leg: &Leg<'_>) -> bool {
        const USUALLY: [&str; 6] = [
            "transaction",
            "message",
            "typed-data",
            "create-key",
            "set-up-committee",
            "set-protocol",
        ];
        let mut named = false;
        let mut permitted = false;
        for (_, kind) in &self.world.rules {
            match kind {
                Kind::Initiators(groups, when) => {
                    named = true;
                    permitted |= groups.iter().any(|g| self.in_group(g))
                        && self.applies(when, leg, &USUALLY);
                }
                Kind::Raw(keys, groups) => {
                    permitted |= self.case.action == "raw"
                        && (keys.is_empty() || keys.contains(&self.case.key))
                        && (groups.is_empty() || groups.iter().any(|g| self.in_group(g)));
                }
                _ => {}
            }
        }
        permitted || (!named && USUALLY.contains(&self.case.action))
    }

    /// The rules that speak against it, and whether approvals or time would lift each.
    fn against(&self, leg: &Leg<'_>) -> Vec<(String, bool)> {
        let mut found: Vec<(String, bool)> = Vec::new();
        for (id, kind) in &self.world.rules {
            if self.speaks(id, kind, leg) {
                found.push((id.clone(), lifted(kind)));
            }
            if let Kind::Gather(group, count, within, when) = kind
                && self.applies(when, leg, &SIGNING)
                && self.too_late(group, *count, span(within))
            {
                found.push((format!("{id}-late"), false));
            }
        }
        let signing = SIGNING.contains(&self.case.action);
        let mut dangers = self.case.effects.dangers.clone();
        if self.excessive_fee() {
            dangers.insert(Danger::ExcessiveFee);
        }
        for danger in &dangers {
            // A message is valid on every chain, and that is no danger by itself.
            let natural = danger.name() == "any-chain" && self.case.action == "message";
            if signing && !natural && !self.danger_allowed(danger.name(), leg) {
                found.push((format!("no-{}", danger.name()), false));
            }
        }
        let unknown = leg.moves && leg.asset.is_none();
        let allowed = self.world.rules.iter().any(|(_, kind)| match kind {
            Kind::AllowUnknownAssets(when) => self.applies(when, leg, &ANYTHING),
            _ => false,
        });
        if signing && unknown && !allowed {
            found.push(("no-unknown-asset".to_owned(), false));
        }
        found
    }

    fn danger_allowed(&self, danger: &str, leg: &Leg<'_>) -> bool {
        self.world.rules.iter().any(|(_, kind)| match kind {
            Kind::AllowDanger(dangers, calls, when) => {
                dangers.contains(&danger)
                    && self.applies(when, leg, &ANYTHING)
                    && (calls.is_empty() || self.only_calls(calls) && self.only_unknown_methods())
            }
            _ => false,
        })
    }

    /// Something is called, and nothing but these: whole contracts only, or listed methods only.
    /// What cannot be decoded are calls of methods that are not known, and nothing else.
    fn only_unknown_methods(&self) -> bool {
        let effects = &self.case.effects;
        let of = |reading| effects.calls.iter().any(|c| c.reading == reading);
        let unknown = of(Reading::UnknownMethod);
        let worse = of(Reading::Malformed) || of(Reading::Incomplete);
        !effects.dangers.contains(&Danger::Undecodable) || unknown && !worse
    }

    fn only_calls(&self, allow: &[Contract]) -> bool {
        let calls = &self.case.effects.calls;
        let whole = |c: &quorate_chain::Call| {
            allow
                .iter()
                .any(|e| e.methods.is_empty() && e.contract == c.contract)
        };
        let method = |c: &quorate_chain::Call| {
            allow
                .iter()
                .any(|e| e.contract == c.contract && e.methods.contains(&c.method.as_str()))
        };
        !calls.is_empty() && (calls.iter().all(whole) || calls.iter().all(method))
    }

    /// Whether so many of the group did not approve in time, which has passed.
    fn too_late(&self, group: &str, count: usize, within: u64) -> bool {
        let since = |at: u64| at.saturating_sub(self.case.asked_at);
        let of = |h: &&&Human| h.groups.contains(&group);
        let timely = |h: &&&Human| since(last_word(self.case, h)) <= within;
        let in_time = self.approvers.iter().filter(of).filter(timely).count();
        since(self.case.now) > within && in_time < count
    }

    fn all_destinations(&self, test: impl Fn(&str) -> bool) -> bool {
        let movements = self.leaving();
        !movements.is_empty() && movements.iter().all(|m| test(&m.destination))
    }

    fn speaks(&self, id: &str, kind: &Kind, leg: &Leg<'_>) -> bool {
        let effects = &self.case.effects;
        let on = |when: &When| self.applies(when, leg, &SIGNING);
        match kind {
            Kind::Threshold(group, count, when) | Kind::Gather(group, count, _, when) => {
                on(when) && self.approvals(group) < *count
            }
            Kind::Roles(roles, when) => {
                let has = |r: &&str| self.approvers.iter().any(|h| h.roles.contains(r));
                on(when) && !roles.iter().all(has)
            }
            Kind::Limit {
                asset,
                max,
                window,
                keys,
                key_group,
                destinations,
                or,
                ..
            } => {
                let lifted = or.is_some_and(|(group, count)| self.approvals(group) >= count);
                let over = if window.is_some() {
                    self.any_signing() && self.standing(id, leg) > *max
                } else {
                    let mut keys = keys.clone();
                    if let Some(group) = key_group {
                        let named = KEY_GROUPS.iter().find(|(name, _)| name == group);
                        keys.extend(named.unwrap().1);
                    }
                    let when = When {
                        keys,
                        destinations: destinations.clone(),
                        ..When::default()
                    };
                    let asset = &self.world.assets[*asset];
                    let this = leg.asset.is_some_and(|a| a.id == asset.id);
                    on(&when)
                        && match destinations.is_empty() {
                            true => self.more_than(asset, *max, leg),
                            false => this && leg.moved > i128::from(*max),
                        }
                };
                over && !lifted
            }
            Kind::Velocity { max, .. } => {
                self.any_signing() && self.standing(id, leg) > i64::from(*max)
            }
            Kind::TimeLock(delay, when) => {
                on(when) && self.case.now - self.case.proposed_at < span(delay)
            }
            Kind::Hours {
                days,
                from,
                to,
                offset,
                when,
            } => {
                let local = (i128::from(self.case.now) + i128::from(*offset) * 60_000) as u64;
                // 1970 began on a Thursday.
                let day = DAYS[((local / 86_400_000 + 3) % 7) as usize];
                let minute = local / 60_000 % 1440;
                on(when) && !(days.contains(&day) && (*from..*to).contains(&minute))
            }
            Kind::AddressBook(when) => on(when) && !self.all_destinations(|d| self.in_book(d)),
            Kind::Destinations(allow, when) => {
                on(when) && !self.all_destinations(|d| allow.contains(&d))
            }
            Kind::Contracts(allow, when) => {
                on(when) && !effects.calls.is_empty() && !self.only_calls(allow)
            }
            Kind::Chains(allow, when) => on(when) && !allow.contains(&self.network().as_str()),
            Kind::Assets(allow, when) => {
                let listed = |asset: &Asset| allow.iter().any(|a| self.world.assets[*a] == *asset);
                on(when) && leg.moves && !leg.asset.is_some_and(listed)
            }
            Kind::Fee { asset, max, rate } => {
                let asset = &self.world.assets[*asset];
                let fee = naive::units(effects.fee, asset);
                let here = Some(asset.network) == self.case.bound_network();
                let over = max.is_some_and(|max| fee > i128::from(max))
                    || rate.is_some_and(|rate| effects.fee_rate.unwrap_or(0) > u64::from(rate));
                on(&When::default()) && here && over
            }
            Kind::Initiators(..)
            | Kind::Raw(..)
            | Kind::AllowDanger(..)
            | Kind::AllowUnknownAssets(_)
            | Kind::Separation(_) => false,
        }
    }

    fn any_signing(&self) -> bool {
        SIGNING.contains(&self.case.action) || self.case.action == "raw"
    }

    fn standing(&self, id: &str, leg: &Leg<'_>) -> i64 {
        let counters = self.world.counters();
        let place = counters.iter().position(|c| c.id.as_str() == id).unwrap();
        let past = naive::distinct(self.case.past.iter().cloned());
        let own = self.case.own_spend(self.world);
        naive::standings(&counters, &self.world.assets, &past, &own, leg.destination)[place]
    }

    fn counted(&self) -> bool {
        let counters = self.world.counters();
        let own = self.case.own_spend(self.world);
        let counts = |to: &str| {
            counters
                .iter()
                .any(|c| naive::counts(c, &self.world.assets, &own, to))
        };
        let leaving = self.leaving();
        let mut places = leaving.iter();
        self.case.signs() && (counts("") || places.any(|m| counts(&m.destination)))
    }
}

/// When somebody whose approval counts gave it.
fn last_word(case: &Case, human: &Human) -> u64 {
    let theirs = |w: &&Word| w.who == human.name && w.verdict == Verdict::Approve;
    let counts = |w: &&Word| {
        !w.damaged
            && w.this_request
            && w.this_roster
            && w.this_policy
            && w.these_sighashes
            && w.this_display
            && human.keys.contains(&w.signer)
            && w.issued_at <= case.now + 60_000
            && case.now < w.expires_at
            && w.expires_at >= w.issued_at
            && w.expires_at - w.issued_at <= Approval::MAX_LIFETIME_MS
    };
    let words = case.words.iter().filter(theirs).filter(counts);
    words.map(|w| w.issued_at).max().unwrap_or(0)
}

const SIGNING: [&str; 3] = ["transaction", "message", "typed-data"];
const ANYTHING: [&str; 7] = super::worlds::ACTIONS;

/// Whether approvals or time lift it.
fn lifted(kind: &Kind) -> bool {
    match kind {
        Kind::Threshold(..)
        | Kind::Gather(..)
        | Kind::Roles(..)
        | Kind::TimeLock(..)
        | Kind::Hours { .. } => true,
        Kind::Limit { or, .. } => or.is_some(),
        _ => false,
    }
}
