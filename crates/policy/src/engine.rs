//! A bundle, ready to decide: parsed, strictly validated, with its people as entities.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Effect, Entities, Entity, EntityId,
    EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, Request as CedarRequest,
    RestrictedExpression, Schema, ValidationMode, Validator,
};
use chrono::{DateTime, Datelike as _};
use quorate_chain::{Call, Danger, Effects, Reading};
use quorate_types::{Bundle, Network, PersonId, SignedApproval, ValidBundle};

use crate::decision::{Allowed, Decision, Missing, Reason};
use crate::history::{History, Standings};
use crate::people::{Expected, Tally, initiator};
use crate::request::{Act, Leg, Request, calls, legs};
use crate::schema::{groups, schema};
use crate::spend::Spend;
use crate::units::to_units;

/// Why a bundle's rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A rule that is not one Cedar policy.
    #[error("rule {rule} is not one Cedar policy: {reason}")]
    Syntax {
        /// Which.
        rule: String,
        /// What the parser said.
        reason: String,
    },
    /// Rules that do not fit the facts.
    #[error("the rules do not fit what they are asked about: {0}")]
    Validation(String),
    /// The generated schema.
    #[error("the schema of the bundle cannot be made: {0}")]
    Schema(String),
}

/// What a request is judged with besides the bundle.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Approvals, rejections and withdrawals, as they came and as this agent remembers them.
    pub approvals: &'a [SignedApproval],
    /// Hash of the lines that this agent would show.
    pub display: quorate_types::Hash32,
    /// Freeze orders in force; their reasons, for people.
    pub frozen: &'a [String],
    /// The address book; entries that are too new do not count.
    pub book: &'a Book,
}

/// An address book: by network and address the label, and when the entry begins to count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book(HashMap<(String, String), (String, u64)>);

impl Book {
    /// Entries that count at once.
    #[must_use]
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a quorate_types::BookEntry>) -> Self {
        Self::usable_from(entries.into_iter().map(|entry| (entry, 0)))
    }

    /// Entries, and from when each counts, Unix milliseconds.
    #[must_use]
    pub fn usable_from<'a>(
        entries: impl IntoIterator<Item = (&'a quorate_types::BookEntry, u64)>,
    ) -> Self {
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

struct Notes {
    pending: Option<String>,
    reason: String,
}

/// A bundle's rules, ready to be asked.
pub struct Engine {
    bundle: ValidBundle,
    policies: PolicySet,
    /// Those of them that permit: a request that only lacks approvals must be permitted, too.
    permits: PolicySet,
    notes: HashMap<String, Notes>,
    entities: Entities,
    authorizer: Authorizer,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine(version {})", self.bundle.bundle().version)
    }
}

/// Parses and strictly validates a bundle's rules.
///
/// # Errors
/// See [`EngineError`].
pub fn check_rules(bundle: &Bundle) -> Result<PolicySet, EngineError> {
    let mut policies = PolicySet::new();
    for rule in &bundle.rules {
        let syntax = |reason: String| EngineError::Syntax {
            rule: rule.id.to_string(),
            reason,
        };
        let policy = Policy::parse(Some(PolicyId::new(rule.id.as_str())), &rule.cedar)
            .map_err(|e| syntax(full(&e)))?;
        policies.add(policy).map_err(|e| syntax(full(&e)))?;
    }
    let text = schema(bundle);
    let (parsed, _) =
        Schema::from_cedarschema_str(&text).map_err(|e| EngineError::Schema(full(&e)))?;
    let result = Validator::new(parsed).validate(&policies, ValidationMode::Strict);
    let mut complaints: Vec<String> = result.validation_errors().map(|e| full(e)).collect();
    // A warning is a rule that can never speak, or text that looks like other text.
    complaints.extend(result.validation_warnings().map(|e| full(e)));
    if complaints.is_empty() {
        Ok(policies)
    } else {
        Err(EngineError::Validation(complaints.join("; ")))
    }
}

fn full(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl Engine {
    /// Makes a bundle ready.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn new(bundle: ValidBundle) -> Result<Self, EngineError> {
        let policies = check_rules(bundle.bundle())?;
        let note = |policy: &Policy| {
            let said = |key: &str| policy.annotation(key).map(str::to_owned);
            let notes = Notes {
                pending: said("pending"),
                reason: said("reason").unwrap_or_default(),
            };
            (policy.id().to_string(), notes)
        };
        let permits = policies
            .policies()
            .filter(|policy| policy.effect() == Effect::Permit);
        Ok(Self {
            permits: PolicySet::from_policies(permits.cloned())
                .map_err(|e| EngineError::Schema(full(&e)))?,
            notes: policies.policies().map(note).collect(),
            entities: entities(bundle.bundle())?,
            policies,
            authorizer: Authorizer::new(),
            bundle,
        })
    }

    /// The bundle.
    #[must_use]
    pub const fn bundle(&self) -> &ValidBundle {
        &self.bundle
    }

    /// Judges a request. Whatever goes wrong on the way is a denial (I9).
    #[must_use]
    pub fn decide(
        &self,
        request: &Request<'_>,
        evidence: &Evidence<'_>,
        history: &History,
    ) -> (Decision, Tally) {
        let initiator = initiator(&self.bundle, request);
        let sighashes = match request.act {
            Act::Sign { sighashes, .. } => sighashes,
            Act::SetUpCommittee | Act::CreateKey(_) | Act::SetProtocol(_) => &[],
        };
        let expected = Expected {
            intent: request.intent,
            sighashes,
            display: evidence.display,
            now: request.now,
            initiator: &initiator,
        };
        let tally = Tally::of(&self.bundle, &expected, evidence.approvals);
        if let Some(reason) = evidence.frozen.first() {
            let text = format!("a guardian has frozen everything: {reason}");
            return (deny("frozen", text), tally);
        }
        if let Some(who) = tally.rejecters.first() {
            return (deny("rejected", format!("{who} rejected it")), tally);
        }
        let spend = request.spend();
        let standings = spend.as_ref().map(|spend| history.standings(spend));
        let counted = standings.as_ref().is_some_and(Standings::counted);
        if counted && spend.is_some_and(|spend| spend.lines.len() > Spend::MAX_LINES) {
            let max = Spend::MAX_LINES;
            let text = format!("a limit counts it, and it moves more than {max} amounts");
            return (deny("evaluation-error", text), tally);
        }
        let mut verdict = Verdict::default();
        for act in request.act.parts() {
            let part = Request { act, ..*request };
            for leg in legs(&act, &self.bundle.bundle().assets) {
                let facts = LegFacts {
                    leg: &leg,
                    tally: &tally,
                    standings: standings.as_ref(),
                    book: evidence.book,
                };
                match self.evaluate(&part, &initiator, &facts) {
                    Ok(answer) => self.learn(&answer, &mut verdict),
                    Err(error) => verdict.deny("evaluation-error", error),
                }
            }
        }
        (
            verdict.into_decision(Allowed::new(self.bundle.hash(), counted)),
            tally,
        )
    }

    fn evaluate(
        &self,
        request: &Request<'_>,
        initiator: &PersonId,
        facts: &LegFacts<'_>,
    ) -> Result<Answer, String> {
        let context = self.context(request, facts);
        let context = Context::from_pairs(context).map_err(|e| full(&e))?;
        let (resource, entity) = self.resource(request).map_err(|e| e.to_string())?;
        let principal = uid("Person", initiator.as_str())?;
        let mut extra = vec![entity];
        if self.bundle.person(initiator).is_none() {
            // An operator that the policy does not know: a principal without groups or roles.
            extra.push(person_entity(initiator, &[], &[])?);
        }
        let entities = self
            .entities
            .clone()
            .add_entities(extra, None)
            .map_err(|e| full(&e))?;
        let action = uid("Action", request.act.action())?;
        let asked =
            CedarRequest::new(principal, action, resource, context, None).map_err(|e| full(&e))?;
        let ask = |policies| self.authorizer.is_authorized(&asked, policies, &entities);
        let response = ask(&self.policies);
        let permitted = response.decision() == CedarDecision::Allow
            || ask(&self.permits).decision() == CedarDecision::Allow;
        Ok(Answer {
            response,
            permitted,
        })
    }

    fn resource(&self, request: &Request<'_>) -> Result<(EntityUid, Entity), String> {
        let Some(key) = request.act.key() else {
            let committee = uid("Committee", "committee")?;
            return Ok((committee.clone(), Entity::with_uid(committee)));
        };
        let of = |g: &&quorate_types::KeyGroup| g.keys.contains(key.name);
        let groups = self.bundle.bundle().key_groups.iter().filter(of);
        let parents = groups
            .map(|g| uid("KeyGroup", g.name.as_str()))
            .collect::<Result<HashSet<_>, _>>()?;
        let attributes = HashMap::from([
            ("name".to_owned(), text(key.name.as_str())),
            ("scheme".to_owned(), text(&key.scheme.to_string())),
            ("curve".to_owned(), text(&key.curve.to_string())),
        ]);
        let resource = uid("Key", key.name.as_str())?;
        let entity = Entity::new(resource.clone(), attributes, parents).map_err(|e| full(&e))?;
        Ok((resource, entity))
    }

    fn context(
        &self,
        request: &Request<'_>,
        facts: &LegFacts<'_>,
    ) -> Vec<(String, RestrictedExpression)> {
        let LegFacts {
            leg,
            tally,
            standings,
            book,
        } = facts;
        let bundle = self.bundle.bundle();
        let mut context = vec![
            ("asset", text(&leg.asset)),
            ("amount", long(leg.amount)),
            ("leg", long(leg.leg)),
            ("destination", text(&leg.destination)),
            ("knownAsset", boolean(leg.known)),
            ("proposedAt", datetime(request.proposed_at)),
            ("now", datetime(request.now)),
            ("weekMinute", long(week_minute(request.now))),
            (
                "approvers",
                texts(tally.approvers.iter().map(PersonId::as_str)),
            ),
            (
                "approverRoles",
                RestrictedExpression::new_set(
                    tally
                        .roles
                        .iter()
                        .filter_map(|r| uid("Role", r.as_str()).ok())
                        .map(RestrictedExpression::new_entity_uid),
                ),
            ),
            (
                "approvals",
                record(groups(bundle).into_iter().map(|group| {
                    let count = tally.groups.get(&group).copied().unwrap_or(0);
                    (group.to_string(), long(count))
                })),
            ),
            ("counters", record(counters(bundle, *standings, leg))),
        ];
        context.extend(self.payload_context(request, leg, book));
        context
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn payload_context(
        &self,
        request: &Request<'_>,
        leg: &Leg,
        book: &Book,
    ) -> Vec<(&'static str, RestrictedExpression)> {
        let Act::Sign {
            network, effects, ..
        } = request.act
        else {
            return empty_payload();
        };
        let destinations: BTreeSet<&str> = effects
            .movements
            .iter()
            .map(|m| m.destination.as_str())
            .collect();
        let (calls, contracts) = calls(effects);
        let listed = |to: &str| book.label(network, to, request.now).is_some();
        let coin = |a: &&quorate_types::Asset| Some(a.network) == network && a.contract.is_none();
        let coin = self.bundle.bundle().assets.iter().find(coin);
        // Without the coin's decimals only "no fee" is known.
        let unknown = if effects.fee.is_zero() { 0 } else { i64::MAX };
        let fee = coin.map_or(unknown, |coin| to_units(effects.fee, coin));
        let label = book.label(network, &leg.destination, request.now);
        vec![
            (
                "network",
                text(&network.map(|n| n.to_string()).unwrap_or_default()),
            ),
            ("label", text(label.unwrap_or_default())),
            ("inBook", boolean(label.is_some())),
            ("destinations", texts(destinations.iter().copied())),
            ("calls", texts(calls.iter().map(String::as_str))),
            ("contracts", texts(contracts.iter().map(String::as_str))),
            ("fee", long(fee)),
            (
                "feeRate",
                long(
                    effects
                        .fee_rate
                        .map_or(0, |r| i64::try_from(r).unwrap_or(i64::MAX)),
                ),
            ),
            ("malformed", boolean(malformed(effects))),
            ("dangers", texts(effects.dangers.iter().map(|d| d.name()))),
        ]
        .into_iter()
        .chain(std::iter::once((
            "allInBook",
            boolean(!destinations.is_empty() && destinations.iter().all(|d| listed(d))),
        )))
        .collect()
    }

    fn learn(&self, answer: &Answer, verdict: &mut Verdict) {
        let Answer {
            response,
            permitted,
        } = answer;
        let mut failed = false;
        for error in response.diagnostics().errors() {
            // Cedar skips a policy that errs; here that is a denial.
            failed = true;
            verdict.deny("evaluation-error", full(error));
        }
        if failed || response.decision() == CedarDecision::Allow {
            return;
        }
        let mut denied = false;
        for rule in response.diagnostics().reason() {
            let rule = rule.to_string();
            match self.notes.get(&rule) {
                Some(Notes {
                    pending: Some(what),
                    reason,
                }) => {
                    verdict.missing.insert(Missing {
                        rule,
                        what: what.clone(),
                        text: reason.clone(),
                    });
                }
                other => {
                    denied = true;
                    let reason = other.map(|notes| notes.reason.clone());
                    verdict.deny(&rule, reason.unwrap_or_default());
                }
            }
        }
        if !permitted && !denied {
            verdict.deny("no-permit", "no rule permits this".to_owned());
        }
    }
}

/// What Cedar says of one leg.
struct Answer {
    response: cedar_policy::Response,
    /// Whether some rule permits it, whatever forbids it.
    permitted: bool,
}

struct LegFacts<'a> {
    leg: &'a Leg,
    tally: &'a Tally,
    standings: Option<&'a Standings>,
    book: &'a Book,
}

#[derive(Default)]
struct Verdict {
    missing: BTreeSet<Missing>,
    reasons: BTreeSet<Reason>,
}

impl Verdict {
    fn deny(&mut self, rule: &str, text: String) {
        self.reasons.insert(Reason {
            rule: rule.to_owned(),
            text,
        });
    }

    fn into_decision(self, allowed: Allowed) -> Decision {
        if !self.reasons.is_empty() {
            return Decision::Deny(self.reasons.into_iter().collect());
        }
        if !self.missing.is_empty() {
            return Decision::Pending(self.missing.into_iter().collect());
        }
        Decision::Allow(allowed)
    }
}

fn deny(rule: &str, text: String) -> Decision {
    Decision::Deny(vec![Reason {
        rule: rule.to_owned(),
        text,
    }])
}

fn counters(
    bundle: &Bundle,
    standings: Option<&Standings>,
    leg: &Leg,
) -> Vec<(String, RestrictedExpression)> {
    let values = match standings {
        Some(standings) => standings.at(&leg.destination),
        None => vec![0; bundle.counters.len()],
    };
    let named = bundle.counters.iter().zip(values);
    named
        .map(|(counter, value)| (counter.id.to_string(), long(value)))
        .collect()
}

fn empty_payload() -> Vec<(&'static str, RestrictedExpression)> {
    let none = || texts(std::iter::empty());
    vec![
        ("network", text("")),
        ("label", text("")),
        ("inBook", boolean(false)),
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

/// Whether something is not understood that no list of contracts and methods can vouch for: bytes that are not what a known method
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
    i64::try_from(minutes).unwrap_or(i64::MAX)
}

fn entities(bundle: &Bundle) -> Result<Entities, EngineError> {
    let bad = |e: String| EngineError::Schema(e);
    let people = bundle.people.iter().map(|p| {
        let groups: Vec<&str> = p.groups.iter().map(|g| g.as_str()).collect();
        let roles: Vec<&str> = p.roles.iter().map(|r| r.as_str()).collect();
        person_entity(&p.id, &groups, &roles)
    });
    let people = people.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    // Which actions are in which: without them `action in` is never true.
    let (schema, _) = Schema::from_cedarschema_str(&schema(bundle)).map_err(|e| bad(full(&e)))?;
    let actions = schema.action_entities().map_err(|e| bad(full(&e)))?;
    actions
        .add_entities(people, None)
        .map_err(|e| bad(full(&e)))
}

fn person_entity(id: &PersonId, groups: &[&str], roles: &[&str]) -> Result<Entity, String> {
    let parents = groups
        .iter()
        .map(|g| uid("Group", g))
        .chain(roles.iter().map(|r| uid("Role", r)));
    let parents = parents.collect::<Result<HashSet<_>, _>>()?;
    let attributes = HashMap::from([("name".to_owned(), text(id.as_str()))]);
    Entity::new(uid("Person", id.as_str())?, attributes, parents).map_err(|e| full(&e))
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind = EntityTypeName::from_str(kind).map_err(|e| full(&e))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
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

/// A time after the year 9999, which Cedar's texts cannot say, is none: whatever asks for it denies.
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
