//! Carries intents from submission to result.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_api::{ClusterStatus, Delivery, IntentState, IntentView, PartyStatus, Problem};
use quorate_messaging::Transport;
use quorate_service::now_ms;
use quorate_types::node::{KeyListing, NodeReply, NodeRequest};
use quorate_types::{
    Action, IntentHash, PartyId, ProblemCode, RefusalCode, SignedApproval, SignedBundle,
    SignedFreeze, SignedIntent, ValidRoster,
};

use crate::keys::{self, KeyCache};
use crate::nodes::Nodes;

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
use statuses::Statuses;
use stock::Stock;

const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// Intents remembered; the oldest ended ones go first.
const MAX_INTENTS: usize = 10_000;
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
        Arc::new(Self {
            roster,
            nodes,
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
        committee::heal(&self.nodes, &parties).await;
        let statuses: Vec<_> = parties.iter().filter_map(|p| p.status.clone()).collect();
        policies::heal(&self.nodes, &statuses).await;
        ClusterStatus {
            cluster: self.roster.roster().cluster.clone(),
            threshold: self.roster.threshold(),
            roster: self.roster.hash(),
            parties,
        }
    }

    /// Every key.
    pub async fn keys(&self) -> Vec<KeyListing> {
        keys::all(&self.nodes, &self.roster).await
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
    /// An unknown intent, or a word that no custodian accepts.
    pub async fn say(&self, said: SignedApproval) -> Result<IntentView, Problem> {
        let case = self.case(said.approval.intent).ok_or_else(unknown_intent)?;
        let request = NodeRequest::Say(said.clone());
        let told = policies::deliver(&self.nodes, &self.roster.party_ids(), &request).await;
        if told.iter().all(|d| d.problem.is_some()) {
            let problem = told.into_iter().find_map(|d| d.problem).unwrap_or_default();
            return Err(Problem::new(
                422,
                RefusalCode::ApprovalRefused,
                "No custodian accepts it",
                problem,
            ));
        }
        case.add(said)?;
        Ok(case.view.borrow().clone())
    }

    /// Has every custodian bring a bundle into force.
    pub async fn publish(&self, bundle: SignedBundle) -> Vec<Delivery> {
        let parties = self.roster.party_ids();
        policies::deliver(
            &self.nodes,
            &parties,
            &NodeRequest::Publish(Box::new(bundle)),
        )
        .await
    }

    /// A version of the policy; 0 is the one in force.
    ///
    /// # Errors
    /// Nobody has it.
    pub async fn policy(&self, version: u64) -> Result<SignedBundle, Problem> {
        policies::find(&self.nodes, &self.roster.party_ids(), version).await
    }

    /// Has every custodian stop.
    pub async fn freeze(&self, order: SignedFreeze) -> Vec<Delivery> {
        let parties = self.roster.party_ids();
        policies::deliver(&self.nodes, &parties, &NodeRequest::Freeze(order)).await
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
    let ended = |case: &Case| {
        let state = case.view.borrow().state;
        matches!(state, IntentState::Done | IntentState::Failed)
    };
    let mut numbers: Vec<u64> = intents
        .values()
        .filter(|c| ended(c))
        .map(|c| c.number)
        .collect();
    numbers.sort_unstable();
    if let Some(last) = numbers
        .len()
        .checked_sub(1)
        .and_then(|l| numbers.get(l / 2))
    {
        intents.retain(|_, case| case.number > *last || !ended(case));
    }
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
