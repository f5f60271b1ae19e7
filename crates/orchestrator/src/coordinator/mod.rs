//! Carries intents from submission to result.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_api::{ClusterStatus, Delivery, IntentState, IntentView, PartyStatus, Problem};
use quorate_messaging::Transport;
use quorate_policy::ProofError;
use quorate_service::now_ms;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{KeyListing, NodeReply, NodeRequest, NodeStatus};
use quorate_types::{
    Action, Hash32, IntentHash, OperatorId, PartyId, ProblemCode, RefusalCode, SignedApproval,
    SignedBundle, SignedDiscard, SignedFreeze, SignedIntent, ValidRoster, Verdict,
};

use crate::keys::{self, KeyCache};
use crate::nodes::Nodes;
use crate::silent::Silent;

mod admission;
mod apart;
mod attempt;
mod case;
mod commitments;
mod committee;
mod policies;
mod signing;
mod statuses;
mod stock;
mod waiting;

use admission::{Admission, Place};
use attempt::Attempts;
use case::Case;
use commitments::Commitments;
use policies::Policies;
use statuses::Statuses;
use stock::Stock;

const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// Intents remembered; the oldest ended ones go first.
const MAX_INTENTS: usize = 10_000;
/// Intents of one operator that run or wait at once.
const MAX_INTENTS_EACH: usize = 2_500;
/// Intents in one listing.
const MAX_LISTED: usize = 100;

/// See the module.
pub struct Coordinator {
    roster: Arc<ValidRoster>,
    nodes: Nodes,
    intents: Mutex<HashMap<IntentHash, Arc<Case>>>,
    numbers: AtomicU64,
    stock: Arc<Stock>,
    commitments: Commitments,
    key_cache: KeyCache,
    admission: Admission,
    statuses: Statuses,
    policies: Arc<Policies>,
    heavy: Admission,
}

impl Coordinator {
    /// A coordinator for a roster, reaching agents over a transport. Has pools of presignatures filled until it is dropped.
    #[must_use]
    pub fn new(roster: Arc<ValidRoster>, transport: Arc<dyn Transport>) -> Arc<Self> {
        let (nodes, stock) = (Nodes::new(transport), Arc::new(Stock::default()));
        let filling =
            stock::keep_filled(Arc::downgrade(&stock), nodes.clone(), Arc::clone(&roster));
        tokio::spawn(filling);
        let policies = Arc::new(Policies::new(Arc::clone(&roster)));
        Arc::new(Self {
            roster,
            nodes,
            policies,
            intents: Mutex::new(HashMap::new()),
            numbers: AtomicU64::new(0),
            stock,
            commitments: Commitments::default(),
            key_cache: KeyCache::default(),
            admission: Admission::to(admission::REQUESTS),
            statuses: Statuses::default(),
            heavy: Admission::to(admission::HEAVY),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IntentHash, Arc<Case>>> {
        self.intents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How every party is.
    pub async fn status(&self) -> ClusterStatus {
        let parties = self.roster.party_ids();
        let replies = self
            .nodes
            .ask_all(&parties, &NodeRequest::Status, STATUS_TIMEOUT)
            .await;
        let party_status = |(party, reply): (PartyId, Result<NodeReply, _>)| match reply {
            Ok(NodeReply::Status(status)) => PartyStatus {
                party,
                status: Some(status),
                error: None,
            },
            Ok(NodeReply::Refused(refusal)) => PartyStatus {
                party,
                status: None,
                error: Some(refusal.to_string()),
            },
            Ok(_) => PartyStatus {
                party,
                status: None,
                error: Some("answered something else".to_owned()),
            },
            Err(error) => PartyStatus {
                party,
                status: None,
                error: Some(format!("{error}")),
            },
        };
        let parties = parties
            .into_iter()
            .zip(replies)
            .map(party_status)
            .collect::<Vec<_>>();
        let statuses: Vec<_> = parties.iter().filter_map(|p| p.status.clone()).collect();
        let healing = self.policies.heal(&self.nodes, &statuses, parties.len());
        tokio::join!(
            committee::heal(&self.nodes, &self.roster, &parties),
            healing
        );
        ClusterStatus {
            cluster: self.roster.roster().cluster.clone(),
            threshold: self.roster.threshold(),
            roster: self.roster.hash(),
            parties,
        }
    }

    /// Every key.
    ///
    /// # Errors
    /// Nobody can be asked; or too few to be sure that there is none.
    pub async fn keys(&self) -> Result<Vec<KeyListing>, Problem> {
        keys::all(&self.nodes, &self.roster).await
    }

    /// Has every custodian list a key no more that did not come into force.
    pub async fn discard(&self, discard: SignedDiscard) -> Vec<Delivery> {
        let parties = self.roster.party_ids();
        policies::deliver(&self.nodes, &parties, &NodeRequest::Discard(discard)).await
    }

    /// What every custodian signs to be in force with it.
    pub async fn affirmations(&self, challenge: Hash32) -> Vec<Delivery> {
        let parties = self.roster.party_ids();
        policies::affirmations(&self.nodes, &parties, challenge, STATUS_TIMEOUT).await
    }

    /// Takes an intent and starts on it; one that is known already is only looked up.
    ///
    /// # Errors
    /// A bad signature, wrong roster, implausible times: what the agents would refuse too.
    pub fn submit(self: &Arc<Self>, signed: SignedIntent) -> Result<IntentView, Problem> {
        let intent = signed
            .verify(&self.roster, now_ms())
            .map_err(|e| Problem::new(422, e.code(), "The intent is not valid", e))?;
        let hash = intent.hash();
        let mut intents = self.lock();
        if let Some(known) = intents.get(&hash) {
            return Ok(known.view.borrow().clone());
        }
        check_quota(&intents, &intent.intent().operator)?;
        make_room(&mut intents)?;
        self.admission.has_room(intent.intent())?;
        self.heavy.has_room(intent.intent())?;
        let place = self.admission.enter(intent.intent(), 1);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let case = Arc::new(Case::new(intent, number));
        let view = case.view.borrow().clone();
        intents.insert(hash, Arc::clone(&case));
        let this = Arc::clone(self);
        tokio::spawn(async move { this.run(&case, place).await });
        Ok(view)
    }

    fn case(&self, intent: IntentHash) -> Option<Arc<Case>> {
        self.lock().get(&intent).cloned()
    }

    /// The latest intents, the newest first.
    #[must_use]
    pub fn latest(&self) -> Vec<IntentView> {
        let mut cases: Vec<Arc<Case>> = self.lock().values().cloned().collect();
        cases.sort_by_key(|case| std::cmp::Reverse(case.number));
        cases.truncate(MAX_LISTED);
        cases
            .iter()
            .map(|case| case.view.borrow().clone())
            .collect()
    }

    /// The signed intent itself.
    #[must_use]
    pub fn request(&self, intent: IntentHash) -> Option<SignedIntent> {
        Some(self.case(intent)?.intent.signed().clone())
    }

    /// Takes what a person says of an intent, and tells every custodian: a rejection is to reach them although nothing is asked of
    /// them any more.
    ///
    /// # Errors
    /// An unknown intent, one that has ended, or a word that no custodian accepts. A rejection of
    /// one that has ended reaches the
    /// custodians all the same: whoever has the request might hand it in again.
    pub async fn say(&self, said: SignedApproval) -> Result<IntentView, Problem> {
        let case = self.case(said.approval.intent).ok_or_else(unknown_intent)?;
        let ended = case.ended();
        if let (Some(problem), Verdict::Approve) = (&ended, said.approval.verdict) {
            return Err(problem.clone());
        }
        self.check_word(&said).await.map_err(|e| {
            let title = "The word is not a person's";
            Problem::new(422, RefusalCode::ApprovalRefused, title, e.to_string())
        })?;
        let (nodes, parties) = (self.nodes.clone(), self.roster.party_ids());
        let request = NodeRequest::Say(said.clone());
        let told = tokio::spawn(async move { policies::deliver(&nodes, &parties, &request).await });
        // Whoever is slow hears of it all the same, and nobody waits for that.
        let told = tokio::time::timeout(STATUS_TIMEOUT, told).await;
        if let Some(problem) = ended {
            return Err(problem);
        }
        if let Ok(Ok(told)) = told
            && let Some(problem) = policies::nobody_took(&told)
        {
            return Err(problem);
        }
        case.add(said)?;
        Ok(case.view.borrow().clone())
    }

    /// Whether a person of the policy said it. One custodian that accepts junk is not to fill a
    /// request's places with it (T36).
    async fn check_word(&self, said: &SignedApproval) -> Result<(), ProofError> {
        if self.policies.check_word(said).is_ok() {
            return Ok(());
        }
        // The policy may have changed since it was last looked at.
        self.fetch_policies().await;
        self.policies.check_word(said)
    }

    /// Verifies what custodians say they have in force.
    async fn fetch_policies(&self) -> Vec<NodeStatus> {
        let parties = self.roster.party_ids();
        let statuses = self.statuses.of(&self.nodes, &parties).await;
        self.policies.fetch(&self.nodes, &statuses).await;
        statuses
    }

    /// Has every custodian bring a bundle into force, and sign what is in force with it then: the
    /// challenge is the bundle's hash.
    pub async fn publish(&self, bundle: SignedBundle) -> Vec<Delivery> {
        let (parties, challenge) = (self.roster.party_ids(), bundle.bundle.canonical_hash());
        let request = NodeRequest::Publish(Box::new(bundle));
        policies::order(&self.nodes, &parties, &request, challenge).await
    }

    /// A version of the policy; 0 is the one in force.
    ///
    /// # Errors
    /// Nobody has it, or nobody can be asked.
    pub async fn policy(&self, version: u64) -> Result<SignedBundle, Problem> {
        self.statuses.doubt();
        let statuses = self.fetch_policies().await;
        let parties = self.roster.party_ids();
        let mut silent = Silent::of(parties.len());
        let quiet = |party: &&PartyId| !statuses.iter().any(|s| s.party == **party);
        for party in parties.iter().filter(quiet) {
            silent.push(party, "does not answer");
        }
        silent.unless_somebody_answered()?;
        self.policies.find(&self.nodes, &statuses, version).await
    }

    /// Has every custodian stop, and sign what is in force with it then: the challenge is the
    /// order's hash.
    pub async fn freeze(&self, order: SignedFreeze) -> Vec<Delivery> {
        let (parties, challenge) = (self.roster.party_ids(), order.order.canonical_hash());
        policies::order(
            &self.nodes,
            &parties,
            &NodeRequest::Freeze(order),
            challenge,
        )
        .await
    }

    /// Where an intent is, waiting up to `wait` for its end.
    pub async fn view(&self, intent: IntentHash, wait: Duration) -> Option<IntentView> {
        let mut receiver = self.case(intent)?.view.subscribe();
        let known = receiver.borrow().clone();
        // Its end, or for one that waits anything new.
        let changed = receiver.wait_for(|view| match view.state {
            IntentState::Running => false,
            IntentState::Pending => *view != known,
            IntentState::Done | IntentState::Failed => true,
        });
        let _ = tokio::time::timeout(wait, changed).await;
        Some(receiver.borrow().clone())
    }

    async fn run(&self, case: &Case, mut place: Place) {
        tracing::info!(intent = %case.intent.hash(), action = case.intent.intent().action.name(), "started");
        let attempts = Attempts {
            nodes: &self.nodes,
            case,
        };
        let result = loop {
            let turn = place.turn().await;
            let result = match &case.intent.intent().action {
                Action::SetUpCommittee | Action::CreateKey { .. } | Action::SetProtocol { .. } => {
                    let result = committee::run(&attempts, &self.roster, &self.key_cache).await;
                    drop(turn);
                    result
                }
                Action::Sign { .. } => {
                    let means = signing::Means {
                        roster: &self.roster,
                        stock: &self.stock,
                        commitments: &self.commitments,
                        keys: &self.key_cache,
                        statuses: &self.statuses,
                        policies: &self.policies,
                        admission: &self.admission,
                        heavy: &self.heavy,
                    };
                    signing::run(&attempts, &means, turn).await
                }
            };
            // Whoever waits for people has no turn any more, and holds nobody up.
            match result {
                Err(problem) if problem.code == RefusalCode::PolicyPending => {}
                ended => break ended,
            }
            if let Err(problem) = waiting::until_allowed(&self.nodes, &self.roster, case).await {
                break Err(problem);
            }
            place = self.admission.enter(case.intent.intent(), 1);
        };
        case.view.send_modify(|view| match result {
            Ok(result) => {
                view.state = IntentState::Done;
                view.result = Some(result);
            }
            Err(problem) => {
                tracing::warn!(intent = %case.intent.hash(), code = %problem.code, detail = %problem.detail, "failed");
                view.state = IntentState::Failed;
                view.problem = Some(problem);
            }
        });
    }
}

/// Nothing is known of it here.
pub(crate) fn unknown_intent() -> Problem {
    Problem::new(
        404,
        ProblemCode::IntentUnknown,
        "Unknown intent",
        "this orchestrator does not know the intent; it forgets them when it restarts, send it again",
    )
}

/// Of those that have ended the older half goes: whoever asked for a recent one may not have seen its end yet.
fn forget_older_half(intents: &mut HashMap<IntentHash, Arc<Case>>) {
    let mut numbers: Vec<u64> = intents
        .values()
        .filter(|c| has_ended(c))
        .map(|c| c.number)
        .collect();
    numbers.sort_unstable();
    if let Some(last) = numbers
        .len()
        .checked_sub(1)
        .and_then(|l| numbers.get(l / 2))
    {
        intents.retain(|_, case| case.number > *last || !has_ended(case));
    }
}

/// Whether a request has ended.
fn has_ended(case: &Case) -> bool {
    let state = case.view.borrow().state;
    matches!(state, IntentState::Done | IntentState::Failed)
}

/// One operator's requests are not to take the places of another's.
fn check_quota(
    intents: &HashMap<IntentHash, Arc<Case>>,
    operator: &OperatorId,
) -> Result<(), Problem> {
    // Nobody has so many where all together have not.
    if intents.len() < MAX_INTENTS_EACH {
        return Ok(());
    }
    let own = intents
        .values()
        .filter(|case| case.intent.intent().operator == *operator && !has_ended(case));
    if own.count() < MAX_INTENTS_EACH {
        return Ok(());
    }
    let detail = format!("{MAX_INTENTS_EACH} requests of {operator} are running or waiting");
    let mut problem = Problem::new(429, RefusalCode::Quota, "Too many requests", detail);
    problem.retry_after = Some(60);
    Err(problem)
}

fn make_room(intents: &mut HashMap<IntentHash, Arc<Case>>) -> Result<(), Problem> {
    if intents.len() < MAX_INTENTS {
        return Ok(());
    }
    forget_older_half(intents);
    if intents.len() < MAX_INTENTS {
        return Ok(());
    }
    let mut problem = Problem::new(
        503,
        RefusalCode::Busy,
        "Busy",
        format!(
            "{MAX_INTENTS} requests are running or waiting for approval; send it again in a minute"
        ),
    );
    problem.retry_after = Some(60);
    Err(problem)
}
