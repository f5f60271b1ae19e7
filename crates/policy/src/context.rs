//! What Cedar is asked with: who proposes, which key, and everything a rule may compare.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema,
};
use cedar_policy_core::ast;
use chrono::{DateTime, Datelike as _};
use quorate_chain::{Call, Danger, Effects, Reading};
use quorate_types::{
    Asset, BookEntry, Bundle, GroupName, KeyGroup, Network, PersonId, ValidBundle,
};

use crate::fees::dangers;
use crate::history::Standings;
use crate::people::Tally;
use crate::request::{Act, KeyFacts, Leg, Request, calls};
use crate::schema::{groups, members, schema};
use crate::units::to_units;

/// An address book: by network and address the label, and when the entry begins to count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book(HashMap<(String, String), (String, u64)>);

impl Book {
    /// Entries that count at once.
    #[must_use]
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a BookEntry>) -> Self {
        Self::usable_from(entries.into_iter().map(|entry| (entry, 0)))
    }

    /// Entries, and from when each counts, Unix milliseconds.
    #[must_use]
    pub fn usable_from<'a>(entries: impl IntoIterator<Item = (&'a BookEntry, u64)>) -> Self {
        let entries = entries.into_iter();
        let entries = entries.map(|(entry, from)| {
            let place = (entry.network.to_string(), entry.address.clone());
            (place, (entry.label.clone(), from))
        });
        Self(entries.collect())
    }

    fn label(&self, network: Option<Network>, address: &str, now: u64) -> Option<&str> {
        let place = (network?.to_string(), address.to_owned());
        let (label, from) = self.0.get(&place)?;
        (now >= *from).then_some(label)
    }
}

/// What every evaluation of one request, or of one member of a batch, has in common; made once,
/// however many destinations there are.
pub(crate) struct Asked<'a> {
    pub principal: EntityUid,
    pub action: EntityUid,
    pub resource: EntityUid,
    pub entities: Entities,
    shared: Context,
    bundle: &'a Bundle,
    network: Option<Network>,
    now: u64,
    book: &'a Book,
    standings: Option<&'a Standings>,
}

/// What the request is judged by besides itself.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub bundle: &'a ValidBundle,
    pub entities: &'a Entities,
    pub initiator: &'a PersonId,
    pub tally: &'a Tally,
    pub book: &'a Book,
    pub standings: Option<&'a Standings>,
}

impl<'a> Asked<'a> {
    pub fn new(request: &Request<'_>, known: &Known<'a>) -> Result<Self, String> {
        let bundle = known.bundle.bundle();
        let (resource, entity) = resource(bundle, request.act.key())?;
        let mut extra = vec![entity];
        if known.bundle.person(known.initiator).is_none() {
            // An operator that the policy does not know: a principal without groups or roles.
            extra.push(person_entity(known.initiator, &[], &[])?);
        }
        let entities = known.entities.clone();
        let entities = entities
            .add_entities(extra, None)
            .map_err(|e| full_text(&e))?;
        let mut shared = people_context(bundle, known.tally, request);
        shared.extend(payload_context(bundle, request, known.book));
        Ok(Self {
            principal: uid("Person", known.initiator.as_str())?,
            action: uid("Action", request.act.action())?,
            resource,
            entities,
            shared: context(shared)?,
            bundle,
            network: request.act.network(),
            now: request.now,
            book: known.book,
            standings: known.standings,
        })
    }

    /// Everything a rule may compare where this destination is concerned.
    pub fn context_of(&self, leg: &Leg) -> Result<Context, String> {
        let label = self.book.label(self.network, &leg.destination, self.now);
        let own = context(vec![
            ("asset", text(&leg.asset)),
            ("amount", long(leg.amount)),
            ("moved", long(leg.moved)),
            ("leg", long(leg.leg)),
            ("destination", text(&leg.destination)),
            ("knownAsset", boolean(leg.known)),
            ("label", text(label.unwrap_or_default())),
            ("inBook", boolean(label.is_some())),
            ("counters", record(self.counters(&leg.destination))),
        ])?;
        joined(&self.shared, &own)
    }

    fn counters(&self, destination: &str) -> Vec<(String, RestrictedExpression)> {
        let counters = &self.bundle.counters;
        let values = match self.standings {
            Some(standings) => standings.at(destination),
            None => vec![0; counters.len()],
        };
        let named = counters.iter().zip(values);
        named
            .map(|(counter, value)| (counter.id.to_string(), long(value)))
            .collect()
    }
}

type Field = (&'static str, RestrictedExpression);

fn context(fields: Vec<Field>) -> Result<Context, String> {
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(fields).map_err(|e| full_text(&e))
}

/// Both, without evaluating again what they hold: the values are shared, and a set of a thousand
/// destinations is made once. The public interface only joins expressions.
fn joined(shared: &Context, own: &Context) -> Result<Context, String> {
    let (ast::Context::Value(shared), ast::Context::Value(own)) = (shared.as_ref(), own.as_ref())
    else {
        return Err("a fact without a value".to_owned());
    };
    let mut all = BTreeMap::clone(shared);
    all.extend(
        own.iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    Ok(ast::Context::Value(Arc::new(all)).into())
}

fn people_context(bundle: &Bundle, tally: &Tally, request: &Request<'_>) -> Vec<Field> {
    let roles = tally.roles.iter();
    let roles = roles.filter_map(|r| uid("Role", r.as_str()).ok());
    let count = |group: &_| tally.groups.get(group).copied().unwrap_or(0);
    let approvals = groups(bundle)
        .into_iter()
        .map(|group| (group.to_string(), long(count(&group))));
    let since_asked = |at: u64| long(clamped(at.saturating_sub(request.asked_at)));
    vec![
        ("proposedAt", datetime(request.proposed_at)),
        ("now", datetime(request.now)),
        ("sinceAsked", since_asked(request.now)),
        ("gathered", record(gathered(bundle, tally, request))),
        ("weekMinute", long(week_minute(request.now))),
        (
            "approvers",
            texts(tally.approvers.iter().map(PersonId::as_str)),
        ),
        (
            "approverRoles",
            RestrictedExpression::new_set(roles.map(RestrictedExpression::new_entity_uid)),
        ),
        ("approvals", record(approvals)),
    ]
}

/// For each group, how long after the request its first approval came, its second and so on, in
/// milliseconds; what did not come yet comes later than anything.
fn gathered(
    bundle: &Bundle,
    tally: &Tally,
    request: &Request<'_>,
) -> Vec<(String, RestrictedExpression)> {
    let of_group = |group: &GroupName| {
        let times = tally.gathered.get(group);
        let nth = |number: usize| {
            let time = times.and_then(|times| times.get(number.checked_sub(1)?));
            let after = time.map_or(i64::MAX, |at| clamped(at.saturating_sub(request.asked_at)));
            (number.to_string(), long(after))
        };
        record((1..=members(bundle, group)).map(nth))
    };
    let groups = groups(bundle).into_iter();
    groups
        .map(|group| (group.to_string(), of_group(&group)))
        .collect()
}

fn payload_context(bundle: &Bundle, request: &Request<'_>, book: &Book) -> Vec<Field> {
    let Act::Sign { effects, .. } = request.act else {
        return empty_payload();
    };
    let network = request.act.network();
    let destinations: BTreeSet<&str> = crate::request::leaving(effects, &bundle.chains)
        .map(|m| m.destination.as_str())
        .collect();
    let (calls, contracts) = calls(effects);
    let listed = |to: &&str| book.label(network, to, request.now).is_some();
    let fee_rate = effects.fee_rate.map_or(0, clamped);
    let dangers = dangers(effects, network, &bundle.chains);
    vec![
        (
            "network",
            text(&network.map(|n| n.to_string()).unwrap_or_default()),
        ),
        (
            "allInBook",
            boolean(!destinations.is_empty() && destinations.iter().all(listed)),
        ),
        ("destinations", texts(destinations.into_iter())),
        ("calls", texts(calls.iter().map(String::as_str))),
        ("contracts", texts(contracts.iter().map(String::as_str))),
        ("fee", long(fee(bundle, network, effects))),
        ("feeRate", long(fee_rate)),
        ("malformed", boolean(malformed(effects))),
        ("dangers", texts(dangers.iter().map(|d| d.name()))),
    ]
}

/// In policy units of the chain's own coin. Without the coin's decimals only "no fee" is known.
fn fee(bundle: &Bundle, network: Option<Network>, effects: &Effects) -> i64 {
    let coin = |a: &&Asset| Some(a.network) == network && a.contract.is_none();
    let unknown = if effects.fee.is_zero() { 0 } else { i64::MAX };
    let coin = bundle.assets.iter().find(coin);
    coin.map_or(unknown, |coin| to_units(effects.fee, coin))
}

fn empty_payload() -> Vec<Field> {
    let none = || texts(std::iter::empty());
    vec![
        ("network", text("")),
        ("allInBook", boolean(false)),
        ("destinations", none()),
        ("calls", none()),
        ("contracts", none()),
        ("fee", long(0)),
        ("feeRate", long(0)),
        ("malformed", boolean(false)),
        ("dangers", none()),
    ]
}

/// Whether something is not understood that no list of contracts and methods can vouch for: bytes
/// that are not what a known method
/// takes, or that belong to no call.
fn malformed(effects: &Effects) -> bool {
    let unknown = effects
        .calls
        .iter()
        .any(|c| c.reading == Reading::UnknownMethod);
    let worse = |c: &Call| matches!(c.reading, Reading::Malformed | Reading::Incomplete);
    effects.dangers.contains(&Danger::Undecodable) && (!unknown || effects.calls.iter().any(worse))
}

/// Minutes since Monday 00:00 UTC.
fn week_minute(now: u64) -> i64 {
    // The epoch was a Thursday, three days after a Monday.
    let minutes = (now / 60_000).wrapping_add(3 * 24 * 60) % (7 * 24 * 60);
    clamped(minutes)
}

fn resource(bundle: &Bundle, key: Option<KeyFacts<'_>>) -> Result<(EntityUid, Entity), String> {
    let Some(key) = key else {
        let committee = uid("Committee", "committee")?;
        return Ok((committee.clone(), Entity::with_uid(committee)));
    };
    let of = |g: &&KeyGroup| g.keys.contains(key.name);
    let groups = bundle.key_groups.iter().filter(of);
    let parents = groups
        .map(|g| uid("KeyGroup", g.name.as_str()))
        .collect::<Result<HashSet<_>, _>>()?;
    let attributes = HashMap::from([
        ("name".to_owned(), text(key.name.as_str())),
        ("scheme".to_owned(), text(&key.scheme.to_string())),
        ("curve".to_owned(), text(&key.curve.to_string())),
    ]);
    let resource = uid("Key", key.name.as_str())?;
    let entity = Entity::new(resource.clone(), attributes, parents).map_err(|e| full_text(&e))?;
    Ok((resource, entity))
}

/// The people of a bundle, and which actions are in which: without those `action in` is never true.
pub(crate) fn entities(bundle: &Bundle) -> Result<Entities, String> {
    let people = bundle.people.iter().map(|p| {
        let groups: Vec<&str> = p.groups.iter().map(|g| g.as_str()).collect();
        let roles: Vec<&str> = p.roles.iter().map(|r| r.as_str()).collect();
        person_entity(&p.id, &groups, &roles)
    });
    let people = people.collect::<Result<Vec<_>, _>>()?;
    let (schema, _) = Schema::from_cedarschema_str(&schema(bundle)).map_err(|e| full_text(&e))?;
    let actions = schema.action_entities().map_err(|e| full_text(&e))?;
    actions
        .add_entities(people, None)
        .map_err(|e| full_text(&e))
}

fn person_entity(id: &PersonId, groups: &[&str], roles: &[&str]) -> Result<Entity, String> {
    let parents = groups
        .iter()
        .map(|g| uid("Group", g))
        .chain(roles.iter().map(|r| uid("Role", r)));
    let parents = parents.collect::<Result<HashSet<_>, _>>()?;
    let attributes = HashMap::from([("name".to_owned(), text(id.as_str()))]);
    Entity::new(uid("Person", id.as_str())?, attributes, parents).map_err(|e| full_text(&e))
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind = EntityTypeName::from_str(kind).map_err(|e| full_text(&e))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// An error and everything that caused it.
pub(crate) fn full_text(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> RestrictedExpression {
    RestrictedExpression::new_set(values.map(text))
}

fn long(value: i64) -> RestrictedExpression {
    RestrictedExpression::new_long(value)
}

fn boolean(value: bool) -> RestrictedExpression {
    RestrictedExpression::new_bool(value)
}

/// What is beyond Cedar's numbers is their highest.
fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A time after the year 9999, which Cedar's texts cannot say, is none: whatever asks for it
/// denies.
fn datetime(unix_ms: u64) -> RestrictedExpression {
    let time = i64::try_from(unix_ms)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .filter(|time| time.year() <= 9999);
    time.map_or_else(
        || text("not a time"),
        |time| {
            RestrictedExpression::new_datetime(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        },
    )
}

fn record(
    fields: impl IntoIterator<Item = (String, RestrictedExpression)>,
) -> RestrictedExpression {
    let fields: BTreeMap<String, RestrictedExpression> = fields.into_iter().collect();
    RestrictedExpression::new_record(fields).unwrap_or_else(|_| text("not a record"))
}
