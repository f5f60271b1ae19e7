//! FROST nonce commitments that custodians hand out ahead, so that signing is one round. Nobody need trust the keeping of them: a custodian uses
//! each of its nonces once, for whatever list it is put into.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{KeyId, KeyRecord, NonceCommitments, PartyId, Preprocessed};

use crate::nodes::Nodes;

const TIMEOUT: Duration = Duration::from_secs(5);
/// How many are asked for at first, and when they have been used: custodians keep a limited number for all keys.
const FIRST_BATCH: u32 = 4;
const BATCH: u32 = 32;
/// How long a custodian that gives none is left alone.
const OFF_FOR: Duration = Duration::from_secs(30);
/// Keys and custodians at once; beyond that all are asked for anew.
const MAX_SHELVES: usize = 20_000;

/// A custodian's, for a key of an epoch.
type Place = (KeyId, u32, PartyId);

#[derive(Default)]
struct Shelf {
    ready: Mutex<Ready>,
    /// Held while more are asked for.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Ready {
    commitments: VecDeque<NonceCommitments>,
    /// Whether any were ever asked for.
    asked: bool,
    /// Since when the custodian gives none.
    off: Option<Instant>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Commitments(Mutex<HashMap<Place, Arc<Shelf>>>);

impl Commitments {
    /// For each item every signer's, if all of them give any.
    pub(super) async fn take(
        &self,
        nodes: &Nodes,
        record: &KeyRecord,
        signers: &[PartyId],
        items: usize,
    ) -> Option<Preprocessed> {
        if items == 0 || items > NodeRequest::MAX_COMMIT as usize {
            return None;
        }
        let of_signer = signers.iter().map(|party| async move {
            let shelf = self.shelf((record.id, record.epoch, party.clone()));
            shelf.take(nodes, record.id, party, items).await
        });
        let by_signer: Vec<Vec<NonceCommitments>> = join_all(of_signer)
            .await
            .into_iter()
            .collect::<Option<_>>()?;
        let of_item = |item: usize| -> Option<Vec<NonceCommitments>> {
            by_signer.iter().map(|own| own.get(item).cloned()).collect()
        };
        (0..items)
            .map(of_item)
            .collect::<Option<_>>()
            .map(Preprocessed::Nonces)
    }

    /// A custodian says that it has not what it once gave: it was restarted.
    pub(super) fn forget(&self, record: &KeyRecord, party: &PartyId) {
        let place = (record.id, record.epoch, party.clone());
        self.lock().remove(&place);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Arc<Shelf>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelf(&self, place: Place) -> Arc<Shelf> {
        let mut shelves = self.lock();
        if shelves.len() >= MAX_SHELVES && !shelves.contains_key(&place) {
            shelves.clear();
        }
        Arc::clone(shelves.entry(place).or_default())
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(
        &self,
        nodes: &Nodes,
        key: KeyId,
        party: &PartyId,
        count: usize,
    ) -> Option<Vec<NonceCommitments>> {
        if let Some(taken) = self.lock().take(count) {
            return Some(taken);
        }
        let _alone = self.asking.lock().await;
        let batch = {
            let mut ready = self.lock();
            // Others may have asked meanwhile.
            if let Some(taken) = ready.take(count) {
                return Some(taken);
            }
            if ready.off.is_some_and(|since| since.elapsed() < OFF_FOR) {
                return None;
            }
            match std::mem::replace(&mut ready.asked, true) {
                true => BATCH,
                false => FIRST_BATCH,
            }
        };
        let count_wanted = batch.max(u32::try_from(count).unwrap_or(u32::MAX));
        let request = NodeRequest::Commit {
            key,
            count: count_wanted,
        };
        let reply = nodes.ask(party, &request, TIMEOUT).await;
        let mut ready = self.lock();
        match reply {
            Ok(NodeReply::Commitments(list)) if list.len() <= count_wanted as usize => {
                ready.commitments.extend(list);
            }
            reply => {
                tracing::debug!(%party, %key, ?reply, "gives no nonce commitments");
                ready.off = Some(Instant::now());
            }
        }
        ready.take(count)
    }
}

impl Ready {
    fn take(&mut self, count: usize) -> Option<Vec<NonceCommitments>> {
        (self.commitments.len() >= count).then(|| self.commitments.drain(..count).collect())
    }
}
