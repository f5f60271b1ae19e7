//! Carrying policies: to every custodian, and to those that missed a version. Nothing that a
//! custodian says of its policy is believed: bundles are checked against the admins' chain here
//! too, so that one that claims a version it does not have costs a moment, once (T36).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use quorate_api::{Delivery, Problem};
use quorate_policy::{ProofError, verify_proof};
use quorate_types::node::{NodeReply, NodeRequest, NodeStatus, Refusal, Standing};
use quorate_types::{
    Code, Hash32, PartyId, ProblemCode, RefusalCode, SignedApproval, SignedBundle, ValidBundle,
    ValidRoster,
};

use crate::nodes::{NodeError, Nodes};
use crate::silent::Silent;

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long one custodian has to hand a bundle out or take one.
const ASK: Duration = Duration::from_millis(1500);
/// How long everything that is fetched, or delivered, may take at once.
const BUDGET: Duration = Duration::from_secs(3);
/// How long a custodian that did not hand out what it claimed to have is not asked again.
const LIAR_FOR: Duration = Duration::from_secs(600);
/// How long nothing is delivered to a custodian that did not take it.
const STUBBORN_FOR: Duration = Duration::from_secs(30);

/// Tells everybody the same, and says how it went.
pub(super) async fn deliver(
    nodes: &Nodes,
    parties: &[PartyId],
    request: &NodeRequest,
) -> Vec<Delivery> {
    join_all(parties.iter().map(|party| tell(nodes, party, request))).await
}

/// Gives everybody the same order, and has those that take it sign what is in force with them then.
pub(super) async fn order(
    nodes: &Nodes,
    parties: &[PartyId],
    request: &NodeRequest,
    challenge: Hash32,
) -> Vec<Delivery> {
    let one = async |party| {
        let told = tell(nodes, party, request).await;
        match told.problem {
            Some(_) => told,
            None => Delivery {
                // Whoever cannot sign it has taken the order all the same.
                affirmation: affirm(nodes, party, challenge, TIMEOUT).await.affirmation,
                ..told
            },
        }
    };
    join_all(parties.iter().map(one)).await
}

/// What everybody signs to be in force.
pub(super) async fn affirmations(
    nodes: &Nodes,
    parties: &[PartyId],
    challenge: Hash32,
    timeout: Duration,
) -> Vec<Delivery> {
    let each = parties.iter();
    join_all(each.map(|party| affirm(nodes, party, challenge, timeout))).await
}

async fn tell(nodes: &Nodes, party: &PartyId, request: &NodeRequest) -> Delivery {
    match nodes.ask(party, request, TIMEOUT).await {
        Ok(NodeReply::Noted | NodeReply::Bundle(_)) => Delivery::done(party.clone()),
        other => not_done(party, other),
    }
}

async fn affirm(nodes: &Nodes, party: &PartyId, challenge: Hash32, timeout: Duration) -> Delivery {
    let request = NodeRequest::Affirm { challenge };
    match nodes.ask(party, &request, timeout).await {
        Ok(NodeReply::Affirmed(affirmation)) => Delivery {
            affirmation: Some(*affirmation),
            ..Delivery::done(party.clone())
        },
        other => not_done(party, other),
    }
}

fn not_done(party: &PartyId, reply: Result<NodeReply, NodeError>) -> Delivery {
    let (problem, refusal) = match reply {
        Ok(NodeReply::Refused(refusal)) => (refusal.to_string(), Some(refusal)),
        Ok(_) => ("answered something else".to_owned(), None),
        Err(error) => (error.to_string(), None),
    };
    Delivery {
        problem: Some(problem),
        refusal,
        ..Delivery::done(party.clone())
    }
}

/// The problem of a word that nobody took: nobody can be reached, or what most custodians say
/// against it.
pub(super) fn nobody_took(told: &[Delivery]) -> Option<Problem> {
    if told.iter().any(|d| d.problem.is_none()) {
        return None;
    }
    let mut silent = Silent::of(told.len());
    for delivery in told.iter().filter(|d| d.refusal.is_none()) {
        let why = delivery.problem.clone().unwrap_or_default();
        silent.push(&delivery.party, why);
    }
    if let Err(problem) = silent.unless_somebody_answered() {
        return Some(problem);
    }
    let refusals: Vec<Refusal> = told.iter().filter_map(|d| d.refusal.clone()).collect();
    let count = |code: &Code<RefusalCode>| refusals.iter().filter(|r| r.code == *code).count();
    let most = refusals.iter().max_by_key(|r| count(&r.code))?;
    let code = most.code.clone().widen();
    let mut problem = Problem::new(422, code, "No custodian accepts it", most);
    problem.refusals = refusals;
    Some(problem)
}

/// Custodians that are passed over, each until a time.
#[derive(Default)]
struct PassedOver(HashMap<PartyId, Instant>);

impl PassedOver {
    fn add(&mut self, party: &PartyId, time: Duration) {
        self.0.insert(party.clone(), Instant::now() + time);
    }

    fn has(&self, party: &PartyId) -> bool {
        self.0
            .get(party)
            .is_some_and(|until| Instant::now() < *until)
    }
}

#[derive(Default)]
struct Known {
    /// Every version from the first, each followed from the one before.
    chain: Vec<Arc<ValidBundle>>,
    /// Claimed a version and did not hand it out, or something else.
    liars: PassedOver,
    /// Did not take what they lack.
    stubborn: PassedOver,
}

/// The admins' policies, as this orchestrator has verified them.
pub(super) struct Policies {
    roster: Arc<ValidRoster>,
    known: Mutex<Known>,
    /// One fetches and delivers; others wait for it rather than do it again.
    healing: tokio::sync::Mutex<()>,
}

impl Policies {
    pub(super) fn new(roster: Arc<ValidRoster>) -> Self {
        Self {
            roster,
            known: Mutex::default(),
            healing: tokio::sync::Mutex::new(()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn top(&self) -> Option<Arc<ValidBundle>> {
        self.known().chain.last().cloned()
    }

    /// The highest version verified; 0 without any.
    fn version(&self) -> u64 {
        self.top().map_or(0, |top| top.bundle().version)
    }

    /// A version as it was published; 0 asks for the highest.
    fn bundle(&self, version: u64) -> Option<SignedBundle> {
        if version == 0 {
            return self.top().map(|top| top.signed().clone());
        }
        let known = self.known();
        let found = known.chain.iter().find(|b| b.bundle().version == version);
        found.map(|bundle| bundle.signed().clone())
    }

    /// Whether a custodian has in force what it says, as far as that can be: a version of the chain
    /// by its hash, or none.
    fn is_verified(&self, status: &NodeStatus) -> bool {
        let known = self.known();
        let mut chain = known.chain.iter();
        match status.policy_version {
            0 => status.policy.is_none(),
            version => chain
                .find(|b| b.bundle().version == version)
                .is_some_and(|bundle| status.policy == Some(bundle.hash())),
        }
    }

    /// The version to work under: the highest verified one that so many have in force, or where
    /// there is none the highest that anybody has.
    pub(super) fn common(&self, statuses: &[NodeStatus], many: usize) -> Option<u64> {
        let verified = statuses.iter().filter(|s| self.is_verified(s));
        let mut versions: Vec<u64> = verified.map(|s| s.policy_version).collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        let count = |version: &u64| versions.iter().filter(|o| *o == version).count();
        let shared = versions.iter().find(|v| count(v) >= many);
        shared.or_else(|| versions.first()).copied()
    }

    /// Those that have a version in force, and not another one under its number.
    pub(super) fn under(&self, statuses: Vec<NodeStatus>, version: Option<u64>) -> Vec<PartyId> {
        let mut statuses = statuses;
        statuses.retain(|s| Some(s.policy_version) == version && self.is_verified(s));
        statuses.into_iter().map(|s| s.party).collect()
    }

    /// A version that somebody has; with 0 the highest.
    pub(super) async fn find(
        &self,
        nodes: &Nodes,
        statuses: &[NodeStatus],
        version: u64,
    ) -> Result<SignedBundle, Problem> {
        self.fetch(nodes, statuses).await;
        self.bundle(version).ok_or_else(|| {
            Problem::new(
                404,
                ProblemCode::PolicyUnknown,
                "Unknown policy version",
                "no custodian that answers has it",
            )
        })
    }

    /// Whether a person of the policy in force said this. Nothing is known of who may say what
    /// about which request; custodians judge that.
    pub(super) fn check_word(&self, said: &SignedApproval) -> Result<(), ProofError> {
        let person = &said.approval.person;
        let unknown = || ProofError::UnknownPerson(person.clone());
        let top = self.top().ok_or_else(unknown)?;
        verify_proof(&top, person, &said.approval, &said.proof).map(drop)
    }

    /// Fetches versions that somebody claims to have and this orchestrator has not verified.
    pub(super) async fn fetch(&self, nodes: &Nodes, statuses: &[NodeStatus]) {
        let all = async { while self.fetch_next(nodes, statuses).await {} };
        // Where the time runs out, what was verified until then counts.
        let _ = tokio::time::timeout(BUDGET, all).await;
    }

    /// Returns whether there was a next version.
    async fn fetch_next(&self, nodes: &Nodes, statuses: &[NodeStatus]) -> bool {
        let version = self.version().saturating_add(1);
        let claims = |s: &&NodeStatus| s.policy_version >= version && is_open(s);
        let claimants: Vec<PartyId> = {
            let known = self.known();
            let claimants = statuses.iter().filter(claims).map(|s| s.party.clone());
            claimants.filter(|party| !known.liars.has(party)).collect()
        };
        let ask = |party: PartyId| async move {
            let asked = nodes
                .ask(&party, &NodeRequest::Policy { version }, ASK)
                .await;
            (party, asked)
        };
        let mut replies: FuturesUnordered<_> = claimants.into_iter().map(ask).collect();
        while let Some((party, reply)) = replies.next().await {
            // One that is silent may only be slow.
            let out_for = match reply {
                Ok(NodeReply::Bundle(Some(bundle))) => match self.follow(*bundle) {
                    Some(()) => return true,
                    None => LIAR_FOR,
                },
                Ok(_) => LIAR_FOR,
                Err(_) => STUBBORN_FOR,
            };
            tracing::warn!(%party, version, "does not hand out the policy it says it has; it is not asked for a while");
            self.known().liars.add(&party, out_for);
        }
        false
    }

    /// Takes a bundle that comes next.
    fn follow(&self, bundle: SignedBundle) -> Option<()> {
        if self.bundle(bundle.bundle.version).as_ref() == Some(&bundle) {
            // Another request was as quick.
            return Some(());
        }
        let top = self.top();
        let next = bundle.follow(&self.roster, top.as_deref()).ok()?;
        let mut known = self.known();
        // Another request may have been as quick.
        if known.chain.len() as u64 + 1 == next.bundle().version {
            known.chain.push(Arc::new(next));
        }
        Some(())
    }

    /// Brings custodians that missed versions up to the highest one. Where `enough` have it already
    /// nobody waits for the others. Returns whether the custodians should be asked again.
    pub(super) async fn heal(
        self: &Arc<Self>,
        nodes: &Nodes,
        statuses: &[NodeStatus],
        enough: usize,
    ) -> bool {
        if statuses.iter().all(|s| self.is_verified(s)) && self.behind(statuses).is_empty() {
            return false;
        }
        let Ok(turn) = self.healing.try_lock() else {
            // What they were asked is out of date when the other one is done.
            drop(self.healing.lock().await);
            return true;
        };
        self.fetch(nodes, statuses).await;
        let behind = self.behind(statuses);
        if behind.is_empty() {
            return false;
        }
        let current = self.under(statuses.to_vec(), Some(self.version())).len();
        if current < enough {
            self.bring_up(nodes, behind).await;
            return true;
        }
        drop(turn);
        let (this, nodes) = (Arc::clone(self), nodes.clone());
        tokio::spawn(async move {
            let _turn = this.healing.lock().await;
            this.bring_up(&nodes, behind).await;
        });
        false
    }

    /// Those that have a lower version than the highest verified one, with theirs.
    fn behind(&self, statuses: &[NodeStatus]) -> Vec<(PartyId, u64)> {
        let top = self.version();
        let behind = statuses
            .iter()
            .filter(|s| s.policy_version < top && is_open(s));
        let known = self.known();
        let behind = behind.filter(|s| !known.stubborn.has(&s.party));
        behind
            .map(|s| (s.party.clone(), s.policy_version))
            .collect()
    }

    async fn bring_up(&self, nodes: &Nodes, behind: Vec<(PartyId, u64)>) {
        let one = async |(party, has): (PartyId, u64)| {
            let brought = tokio::time::timeout(BUDGET, self.deliver_after(nodes, &party, has));
            if !matches!(brought.await, Ok(true)) {
                self.known().stubborn.add(&party, STUBBORN_FOR);
            }
        };
        join_all(behind.into_iter().map(one)).await;
    }

    /// Whether a custodian took every version after the one it has.
    async fn deliver_after(&self, nodes: &Nodes, party: &PartyId, has: u64) -> bool {
        for version in has.saturating_add(1)..=self.version() {
            let Some(bundle) = self.bundle(version) else {
                return false;
            };
            let request = NodeRequest::Publish(Box::new(bundle));
            match nodes.ask(party, &request, ASK).await {
                Ok(NodeReply::Bundle(_)) => {
                    tracing::info!(%party, version, "policy delivered");
                }
                other => {
                    tracing::warn!(%party, version, ?other, "cannot deliver the policy");
                    return false;
                }
            }
        }
        true
    }
}

fn is_open(status: &NodeStatus) -> bool {
    !matches!(status.standing, Standing::Sealed { .. })
}

#[cfg(test)]
mod tests;
