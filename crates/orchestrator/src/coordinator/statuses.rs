//! How custodians said they are a moment ago, so that not every request asks each of them first.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quorate_types::PartyId;
use quorate_types::node::{NodeReply, NodeRequest, NodeStatus};

use crate::nodes::Nodes;

const TIMEOUT: Duration = Duration::from_millis(1500);
/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Default)]
pub(super) struct Statuses(Mutex<HashMap<PartyId, (Instant, NodeStatus)>>);

impl Statuses {
    fn lock(&self) -> MutexGuard<'_, HashMap<PartyId, (Instant, NodeStatus)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What these say of themselves, in their order; who does not answer is left out. Unless all of them did so a moment ago they are asked.
    pub(super) async fn of(&self, nodes: &Nodes, parties: &[PartyId]) -> Vec<NodeStatus> {
        if let Some(fresh) = self.fresh(parties) {
            return fresh;
        }
        let replies = nodes.ask_all(parties, &NodeRequest::Status, TIMEOUT).await;
        let answers = parties.iter().zip(replies);
        let answers = answers.filter_map(|(party, reply)| match reply {
            // An agent's answer is another's only if it lies, and then it is not asked.
            Ok(NodeReply::Status(status)) if status.party == *party => Some(status),
            _ => None,
        });
        let answers: Vec<NodeStatus> = answers.collect();
        let now = Instant::now();
        let mut known = self.lock();
        for status in &answers {
            known.insert(status.party.clone(), (now, status.clone()));
        }
        answers
    }

    fn fresh(&self, parties: &[PartyId]) -> Option<Vec<NodeStatus>> {
        let known = self.lock();
        let one = |party: &PartyId| {
            let (at, status) = known.get(party)?;
            (at.elapsed() < FRESH).then(|| status.clone())
        };
        parties.iter().map(one).collect()
    }

    /// Something is not as they said.
    pub(super) fn doubt(&self) {
        self.lock().clear();
    }
}
