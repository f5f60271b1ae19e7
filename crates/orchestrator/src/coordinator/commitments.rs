//! FROST nonce commitments that custodians hand out ahead, so that signing is one round. Nobody need trust the keeping of them: a custodian uses
//! each of its nonces once, for whatever list it is put into.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use quorate_chain::are_commitments;
use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{Curve, KeyId, KeyRecord, NonceCommitments, PartyId, Preprocessed};

use crate::nodes::Nodes;

const TIMEOUT: Duration = Duration::from_secs(5);
/// How many are asked for at first: custodians keep a limited number for all keys.
const FIRST_BATCH: u32 = 4;
/// How many when those have been used.
const BATCH: u32 = 32;
/// With fewer left of a key that is used, more are asked for.
const LOW: usize = 12;
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
    /// How often more were asked for.
    asked: u32,
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
        let shelf = self.shelf((record.id, record.epoch, party.clone()));
        shelf.lock().commitments.clear();
    }

    /// A custodian handed out what no signature share comes of: it is asked for none for a while.
    pub(super) fn mistrust(&self, record: &KeyRecord, party: &PartyId) {
        let shelf = self.shelf((record.id, record.epoch, party.clone()));
        shelf.lock().turn_off();
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

/// The signers whose commitments in these lists are no points. Looked for when a try has failed only: most tries
/// are good, and decoding points is work for each of them.
pub(super) fn spoilers(
    curve: Curve,
    signers: &[PartyId],
    items: &[Vec<NonceCommitments>],
) -> Vec<PartyId> {
    let is_good = |place: usize| {
        let mut own = items.iter().filter_map(|list| list.get(place));
        own.all(|commitments| are_commitments(curve, commitments))
    };
    let places = signers.iter().enumerate();
    places
        .filter(|(place, _)| !is_good(*place))
        .map(|(_, party)| party.clone())
        .collect()
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(
        self: &Arc<Self>,
        nodes: &Nodes,
        key: KeyId,
        party: &PartyId,
        count: usize,
    ) -> Option<Vec<NonceCommitments>> {
        let taken = self.lock().take(count);
        if taken.is_some() {
            self.fill_ahead(nodes, key, party);
            return taken;
        }
        let _alone = self.asking.lock().await;
        // Others may have asked meanwhile.
        let taken = self.lock().take(count);
        if taken.is_some() {
            return taken;
        }
        let waited_for = u32::try_from(count).unwrap_or(u32::MAX);
        let asked = self.lock().asked;
        let batch = match asked {
            0 => FIRST_BATCH,
            _ => BATCH,
        };
        self.ask(nodes, key, party, batch.max(waited_for)).await;
        self.lock().take(count)
    }

    /// Asks for more while some are left, so that no signature waits for it.
    fn fill_ahead(self: &Arc<Self>, nodes: &Nodes, key: KeyId, party: &PartyId) {
        let is_low = self.lock().is_low();
        if !is_low {
            return;
        }
        let (shelf, nodes, party) = (Arc::clone(self), nodes.clone(), party.clone());
        tokio::spawn(async move {
            // Who holds it asks already.
            let Ok(_alone) = shelf.asking.try_lock() else {
                return;
            };
            let is_low = shelf.lock().is_low();
            if is_low {
                shelf.ask(&nodes, key, &party, BATCH).await;
            }
        });
    }

    /// With `asking` held.
    async fn ask(&self, nodes: &Nodes, key: KeyId, party: &PartyId, count: u32) {
        {
            let mut ready = self.lock();
            if ready.is_off() {
                return;
            }
            ready.asked = ready.asked.saturating_add(1);
        }
        let request = NodeRequest::Commit { key, count };
        let reply = nodes.ask(party, &request, TIMEOUT).await;
        let mut ready = self.lock();
        match reply {
            Ok(NodeReply::Commitments(list)) if list.len() <= count as usize => ready.add(list),
            reply => {
                tracing::debug!(%party, %key, ?reply, "gives no nonce commitments");
                ready.turn_off();
            }
        }
    }
}

impl Ready {
    fn take(&mut self, count: usize) -> Option<Vec<NonceCommitments>> {
        (self.commitments.len() >= count).then(|| self.commitments.drain(..count).collect())
    }

    /// None of a custodian that was turned off while it was asked.
    fn add(&mut self, list: Vec<NonceCommitments>) {
        if !self.is_off() {
            self.commitments.extend(list);
        }
    }

    /// Of a key that is used: one that signed a few times only is not worth the memory.
    fn is_low(&self) -> bool {
        self.asked > 1 && self.commitments.len() < LOW
    }

    fn is_off(&self) -> bool {
        self.off.is_some_and(|since| since.elapsed() < OFF_FOR)
    }

    fn turn_off(&mut self) {
        self.commitments.clear();
        self.off = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(count: usize) -> Vec<NonceCommitments> {
        let one = NonceCommitments {
            hiding: vec![1; 32],
            binding: vec![2; 32],
        };
        vec![one; count]
    }

    #[test]
    fn nothing_is_taken_from_whom_is_mistrusted_even_if_it_was_asked_before() {
        let mut ready = Ready::default();
        ready.add(some(3));
        assert_eq!(ready.take(2), Some(some(2)));
        ready.turn_off();
        assert_eq!(ready.take(1), None);
        ready.add(some(4));
        assert_eq!(ready.take(1), None);
    }

    #[test]
    fn more_are_asked_for_ahead_only_for_a_key_that_is_used() {
        let mut ready = Ready {
            asked: 1,
            ..Ready::default()
        };
        ready.add(some(3));
        assert!(!ready.is_low());
        ready.asked = 2;
        assert!(ready.is_low());
        ready.add(some(LOW));
        assert!(!ready.is_low());
        assert_eq!(ready.take(LOW), Some(some(LOW)));
        assert!(ready.is_low());
    }
}
