//! What custodians sign to be in force with them. Who ordered something learns from that alone
//! whether it was done: the orchestrator's word is
//! no more than a hint, and a custodian that did not answer may still hear of the order later.

use std::collections::BTreeMap;

use quorate_api::{ClientError, Delivery, Problem};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::Refusal;
use quorate_types::{Affirmation, Class, FreezeOrder, Hash32, PartyId, ProblemCode, ValidRoster};
use rand_core::{OsRng, RngCore as _};
use serde_json::{Value, json};

use crate::operator::Viewer;
use crate::output;

/// How an order went at one custodian.
pub enum Outcome {
    /// It signed that it is done.
    Affirmed,
    /// It took the order, and does not sign what is in force with it: an older version.
    Unsigned,
    /// It signed that it refuses.
    Refused(Refusal),
    /// Nothing is known but what the orchestrator says: it may still do it.
    Unknown(String),
}

/// How an order went.
pub struct Ordered {
    outcomes: Vec<(PartyId, Outcome)>,
    /// How many custodians sign.
    t: usize,
}

impl Ordered {
    /// Judges what came back: `done` says whether what a custodian affirms is what was ordered.
    pub fn new(
        roster: &ValidRoster,
        deliveries: Vec<Delivery>,
        challenge: Hash32,
        done: impl Fn(&Affirmation) -> bool,
    ) -> Self {
        let mut deliveries: BTreeMap<PartyId, Delivery> = deliveries
            .into_iter()
            .map(|d| (d.party.clone(), d))
            .collect();
        let outcome = |party: PartyId| {
            let outcome = match deliveries.remove(&party) {
                Some(delivery) => outcome(roster, delivery, challenge, &done),
                None => Outcome::Unknown("the orchestrator says nothing of it".to_owned()),
            };
            (party, outcome)
        };
        Self {
            outcomes: roster.party_ids().into_iter().map(outcome).collect(),
            t: roster.threshold().t().into(),
        }
    }

    fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|(_, o)| which(o)).count()
    }

    /// Prints how it went at each custodian.
    pub fn print(&self, done: &str) {
        for (party, outcome) in &self.outcomes {
            match outcome {
                Outcome::Affirmed => println!("{party}: {done} (signed)"),
                Outcome::Unsigned => {
                    println!("{party}: says that it is {done}, and does not sign it")
                }
                Outcome::Refused(refusal) => println!("{party}: REFUSES: {refusal}"),
                Outcome::Unknown(why) => println!(
                    "{party}: NOT KNOWN to be {done}: {why}. It may still hear of it; quorate status shows"
                ),
            }
        }
    }

    /// For programs: each custodian and what is known of it.
    pub fn in_json(&self) -> Value {
        let row = |(party, outcome): &(PartyId, Outcome)| {
            let (state, problem) = match outcome {
                Outcome::Affirmed => ("affirmed", None),
                Outcome::Unsigned => ("unsigned", None),
                Outcome::Refused(refusal) => ("refused", Some(refusal.to_string())),
                Outcome::Unknown(why) => ("unknown", Some(why.clone())),
            };
            json!({ "party": party, "outcome": state, "problem": problem })
        };
        self.outcomes.iter().map(row).collect()
    }

    /// Fails unless so many custodians affirm it that the others are too few to sign without them.
    pub fn unless_too_few(&self, done: &str) -> anyhow::Result<()> {
        let all = self.outcomes.len();
        let needed = (all + 1).saturating_sub(self.t);
        let affirmed = self.count(|o| matches!(o, Outcome::Affirmed));
        if affirmed >= needed {
            return Ok(());
        }
        let refusals: Vec<Refusal> = self
            .outcomes
            .iter()
            .filter_map(|(_, o)| refusal(o))
            .collect();
        let code = match (
            refusals.first(),
            self.count(|o| matches!(o, Outcome::Unknown(_))),
        ) {
            (_, unknown) if unknown == all => ProblemCode::Unreachable.into(),
            // The others could all do it, and it would not be enough.
            (Some(first), _) if all - refusals.len() < needed => first.code.widen(),
            _ => ProblemCode::OrderIncomplete.into(),
        };
        let mut detail = format!(
            "{affirmed} of {all} custodians affirm that they are {done}, and it takes {needed}: the others could sign without them"
        );
        if let Some(first) = refusals.first() {
            detail = format!("{detail}. Refused: {first}");
        }
        let mut problem = Problem::new(
            0,
            code,
            "The command did not reach enough custodians",
            detail,
        );
        problem.refusals = refusals;
        let unknown = self.outcomes.iter();
        let unknown = unknown.filter(|(_, o)| matches!(o, Outcome::Unknown(_)));
        problem.missing = unknown.map(|(party, _)| party.clone()).collect();
        Err(ClientError::Problem(Box::new(problem)).into())
    }

    /// Whether some custodian is not known to have done it.
    pub fn is_partial(&self) -> bool {
        self.count(|o| !matches!(o, Outcome::Affirmed)) > 0
    }
}

fn refusal(outcome: &Outcome) -> Option<Refusal> {
    match outcome {
        Outcome::Refused(refusal) => Some(refusal.clone()),
        Outcome::Affirmed | Outcome::Unsigned | Outcome::Unknown(_) => None,
    }
}

fn outcome(
    roster: &ValidRoster,
    delivery: Delivery,
    challenge: Hash32,
    done: impl Fn(&Affirmation) -> bool,
) -> Outcome {
    let Delivery {
        party,
        problem,
        refusal,
        affirmation,
    } = delivery;
    // An affirmation holds whatever the orchestrator says beside it.
    let affirmation = affirmation.as_ref();
    let affirmed = affirmation.and_then(|a| a.verify(roster, &party, challenge));
    if affirmed.is_some_and(done) {
        return Outcome::Affirmed;
    }
    match (refusal, problem) {
        (Some(refusal), _) if refusal.signer(roster) == Some(&party) => {
            match refusal.code.class() {
                Class::PeerAbsent => Outcome::Unknown(refusal.to_string()),
                _ => Outcome::Refused(refusal),
            }
        }
        (_, Some(problem)) => Outcome::Unknown(problem),
        (_, None) if affirmed.is_some() => {
            Outcome::Unknown("it affirms something else than was ordered".to_owned())
        }
        (_, None) if affirmation.is_some() => {
            Outcome::Unknown("what it affirms is not signed by it".to_owned())
        }
        (_, None) => Outcome::Unsigned,
    }
}

/// What is in force with the custodians, as each signed it a moment ago.
pub struct InForce {
    /// What those say that answered.
    pub affirmed: Vec<Affirmation>,
    /// Whoever did not, and why.
    pub unknown: Vec<(PartyId, String)>,
}

impl InForce {
    /// Asks every custodian.
    pub async fn ask(viewer: &Viewer) -> anyhow::Result<Self> {
        let mut challenge = [0; 32];
        OsRng.fill_bytes(&mut challenge);
        let challenge = Hash32::from_bytes(challenge);
        let deliveries = viewer.api.affirmations(challenge).await;
        let mut deliveries = match deliveries {
            Ok(deliveries) => deliveries,
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotFound => {
                let parties = viewer.roster.party_ids().into_iter();
                let unknown = parties.map(|p| (p, "the orchestrator is too old to ask".to_owned()));
                return Ok(Self {
                    affirmed: Vec::new(),
                    unknown: unknown.collect(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let (mut affirmed, mut unknown) = (Vec::new(), Vec::new());
        for party in viewer.roster.party_ids() {
            let at = deliveries.iter().position(|d| d.party == party);
            let delivery = at.map(|at| deliveries.swap_remove(at));
            let signed = delivery.as_ref().and_then(|d| d.affirmation.as_ref());
            match signed.and_then(|s| s.verify(&viewer.roster, &party, challenge)) {
                Some(good) => affirmed.push(good.clone()),
                None => {
                    let why = delivery.and_then(|d| d.problem);
                    unknown.push((party, why.unwrap_or_else(|| "signs nothing".to_owned())));
                }
            }
        }
        Ok(Self { affirmed, unknown })
    }

    /// The freeze orders in force, and with whom each is.
    pub fn orders(&self) -> Vec<(FreezeOrder, Vec<&PartyId>)> {
        let mut orders: BTreeMap<Hash32, (FreezeOrder, Vec<&PartyId>)> = BTreeMap::new();
        for affirmation in &self.affirmed {
            for order in &affirmation.orders {
                let entry = orders.entry(order.canonical_hash());
                let (_, with) = entry.or_insert_with(|| (order.clone(), Vec::new()));
                with.push(&affirmation.party);
            }
        }
        let mut orders: Vec<_> = orders.into_values().collect();
        orders.sort_by_key(|(order, _)| order.issued_at);
        orders
    }

    /// For programs.
    pub fn orders_in_json(&self) -> Value {
        let orders = self.orders().into_iter();
        let row = |(order, with): (FreezeOrder, Vec<&PartyId>)| {
            json!({
                "order": order.canonical_hash(), "by": order.person, "reason": order.reason,
                "since": order.issued_at, "with": with,
            })
        };
        orders.map(row).collect()
    }
}

/// An order in words: by whom, since when, why.
pub fn described(order: &FreezeOrder) -> String {
    format!(
        "by {} since {}: {:?}",
        order.person,
        output::time(order.issued_at),
        order.reason
    )
}

#[cfg(test)]
mod tests;
