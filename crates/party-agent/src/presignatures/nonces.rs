//! FROST nonces made ahead. They are in this process's memory and nowhere else (docs/decisions/0013): no disk that is put back and no crash
//! leaves any that could be used again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use quorate_mpc_protocol::FrostNonces;
use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{Hash32, KeyId, KeyRecord, NonceCommitments, Scheme};

use crate::Agent;
use crate::agent::{blocking, local_refusal};
use crate::judge::RefusalReason;
use crate::signing::fresh_rng;

/// Nonces at once, of all keys; the oldest go first.
const MAX_TOTAL: usize = 16 * 1024;

/// A key's share generation.
type Generation = (KeyId, u32);

/// Nonces whose commitments were handed out.
#[derive(Default)]
pub(super) struct Nonces {
    by_id: HashMap<Hash32, (Generation, FrostNonces)>,
    /// The oldest first; those that were used are still in it.
    order: VecDeque<Hash32>,
}

impl Nonces {
    fn add(&mut self, of: Generation, id: Hash32, nonces: FrostNonces) {
        self.by_id.insert(id, (of, nonces));
        self.order.push_back(id);
        while self.by_id.len() > MAX_TOTAL {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.by_id.remove(&oldest);
        }
        if self.order.len() > 2 * MAX_TOTAL {
            self.order.retain(|id| self.by_id.contains_key(id));
        }
    }

    fn has(&self, of: Generation, id: &Hash32) -> bool {
        self.by_id
            .get(id)
            .is_some_and(|(made_for, _)| *made_for == of)
    }

    /// The first of these that is not here, or is asked for twice.
    pub(super) fn missing(&self, record: &KeyRecord, ids: &[Hash32]) -> Option<Hash32> {
        let of = (record.id, record.epoch);
        let missing = |(place, id): &(usize, &Hash32)| {
            !self.has(of, id) || ids.iter().take(*place).any(|other| other == *id)
        };
        ids.iter().enumerate().find(missing).map(|(_, id)| *id)
    }

    /// All of these, which are nowhere any more (I4); none if one is missing.
    pub(super) fn take(
        &mut self,
        record: &KeyRecord,
        ids: &[Hash32],
    ) -> Result<Vec<FrostNonces>, Hash32> {
        if let Some(id) = self.missing(record, ids) {
            return Err(id);
        }
        let taken = ids.iter().filter_map(|id| self.by_id.remove(id));
        Ok(taken.map(|(_, nonces)| nonces).collect())
    }
}

impl Agent {
    /// Makes nonces for signatures to come.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        key: KeyId,
        count: u32,
    ) -> Result<NodeReply, RefusalReason> {
        self.check_standing().await?;
        let record = self.keybook.key(key)?;
        let schnorr = matches!(record.scheme, Scheme::Bip340 | Scheme::Eddsa);
        if !schnorr || !self.presignatures.config.is_on(&record.name) {
            return Err(RefusalReason::NoPresignatureWanted);
        }
        let share = self.keybook.share(&record).await?;
        let this = Arc::clone(self);
        blocking(move || {
            let count = count.min(NodeRequest::MAX_COMMIT);
            let mut rng = fresh_rng();
            let made = (0..count)
                .map(|_| FrostNonces::generate(&share, &mut rng))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|abort| local_refusal(&abort.reason))?;
            let of = (record.id, record.epoch);
            let mut commitments: Vec<NonceCommitments> = Vec::with_capacity(made.len());
            let mut inner = this.presignatures.lock();
            for (nonces, commitment) in made {
                inner.nonces.add(of, commitment.id(), nonces);
                commitments.push(commitment);
            }
            Ok(NodeReply::Commitments(commitments))
        })
        .await
    }
}
