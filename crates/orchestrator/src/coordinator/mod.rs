//! Carries intents from submission to result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_api::{ClusterStatus, IntentState, IntentView, PartyStatus, Problem};
use quorate_messaging::Transport;
use quorate_service::now_ms;
use quorate_types::node::{KeyListing, NodeReply, NodeRequest};
use quorate_types::{Action, IntentHash, PartyId, SignedIntent, ValidRoster, VerifiedIntent};
use tokio::sync::watch;

use crate::keys;
use crate::nodes::Nodes;

mod attempt;
mod committee;
mod signing;

use attempt::Attempts;

const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// Intents remembered; the oldest ended ones go first.
const MAX_INTENTS: usize = 10_000;

/// See the module.
pub struct Coordinator {
    roster: Arc<ValidRoster>,
    nodes: Nodes,
    intents: Mutex<HashMap<IntentHash, watch::Sender<IntentView>>>,
}

impl Coordinator {
    /// A coordinator for a roster, reaching agents over a transport.
    #[must_use]
    pub fn new(roster: Arc<ValidRoster>, transport: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self {
            roster,
            nodes: Nodes::new(transport),
            intents: Mutex::new(HashMap::new()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IntentHash, watch::Sender<IntentView>>> {
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
            .map_err(|e| Problem::new(422, "intent-invalid", "The intent is not valid", e))?;
        let hash = intent.hash();
        let mut intents = self.lock();
        if let Some(known) = intents.get(&hash) {
            return Ok(known.borrow().clone());
        }
        make_room(&mut intents)?;
        let view = IntentView {
            intent: hash,
            state: IntentState::Running,
            attempts: 0,
            participants: Vec::new(),
            result: None,
            problem: None,
            notes: Vec::new(),
        };
        let sender = watch::Sender::new(view.clone());
        intents.insert(hash, sender.clone());
        let this = Arc::clone(self);
        tokio::spawn(async move { this.run(intent, &sender).await });
        Ok(view)
    }

    /// Where an intent is, waiting up to `wait` for its end.
    pub async fn view(&self, intent: IntentHash, wait: Duration) -> Option<IntentView> {
        let mut receiver = self.lock().get(&intent)?.subscribe();
        let ended = receiver.wait_for(|view| view.state != IntentState::Running);
        let _ = tokio::time::timeout(wait, ended).await;
        Some(receiver.borrow().clone())
    }

    async fn run(&self, intent: VerifiedIntent, state: &watch::Sender<IntentView>) {
        tracing::info!(intent = %intent.hash(), action = intent.intent().action.name(), "started");
        let attempts = Attempts {
            nodes: &self.nodes,
            intent: &intent,
            view: state,
        };
        let result = match &intent.intent().action {
            Action::SetUpCommittee | Action::CreateKey { .. } => {
                committee::run(&attempts, &self.roster).await
            }
            Action::Sign { .. } => signing::run(&attempts, &self.roster).await,
        };
        state.send_modify(|view| match result {
            Ok(result) => {
                view.state = IntentState::Done;
                view.result = Some(result);
            }
            Err(problem) => {
                tracing::warn!(intent = %intent.hash(), code = problem.code, detail = %problem.detail, "failed");
                view.state = IntentState::Failed;
                view.problem = Some(problem);
            }
        });
    }
}

fn make_room(intents: &mut HashMap<IntentHash, watch::Sender<IntentView>>) -> Result<(), Problem> {
    if intents.len() < MAX_INTENTS {
        return Ok(());
    }
    intents.retain(|_, view| view.borrow().state == IntentState::Running);
    if intents.len() < MAX_INTENTS {
        return Ok(());
    }
    Err(Problem::new(
        503,
        "busy",
        "Busy",
        format!("{MAX_INTENTS} intents are running; retry in a moment"),
    ))
}
