//! What people have told this custodian directly: freezes, rejections, withdrawals; and when it first saw a request. None of it can be
//! taken back by whoever carries messages.

use std::collections::{BTreeMap, BTreeSet};

use quorate_policy::{verify_freeze, verify_proof};
use quorate_storage::Ledger;
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Approval, Hash32, IntentHash, PersonId, SignedApproval, SignedFreeze, Verdict,
};

use super::{PolicyDesk, PolicyError, lock};

/// Freeze orders kept.
const MAX_FREEZES: usize = 256;
/// Rejections and withdrawals kept, and requests whose first sight is remembered.
const MAX_SAID: usize = 100_000;
/// How long rejections and first sights are kept: longer than any intent lives.
const KEPT_MS: u64 = quorate_types::Intent::MAX_LIFETIME_MS + 24 * 60 * 60 * 1000;

/// In memory, as the ledger has it.
#[derive(Default)]
pub(super) struct Orders {
    freezes: BTreeMap<Hash32, SignedFreeze>,
    said: BTreeMap<(IntentHash, PersonId), SignedApproval>,
    seen: BTreeMap<IntentHash, u64>,
}

impl Orders {
    pub fn load(ledger: &Ledger) -> Result<Self, PolicyError> {
        let mut orders = Self::default();
        for (_, bytes) in ledger.records("freeze/")? {
            let freeze = SignedFreeze::from_canonical_bytes(&bytes, usize::MAX);
            let freeze = freeze.map_err(|_| PolicyError::Damaged("freeze order"))?;
            orders.freezes.insert(freeze.order.canonical_hash(), freeze);
        }
        for (_, bytes) in ledger.records("said/")? {
            let said = SignedApproval::from_canonical_bytes(&bytes, usize::MAX);
            let said = said.map_err(|_| PolicyError::Damaged("rejection"))?;
            let key = (said.approval.intent, said.approval.person.clone());
            orders.said.insert(key, said);
        }
        for (name, bytes) in ledger.records("seen/")? {
            let damaged = || PolicyError::Damaged("first sight of a request");
            let intent = name.strip_prefix("seen/").and_then(|hex| hex.parse().ok());
            let at = borsh::from_slice(&bytes).map_err(|_| damaged())?;
            orders.seen.insert(intent.ok_or_else(damaged)?, at);
        }
        Ok(orders)
    }

    /// Forgets what no living intent can need; returns the records' names.
    fn outlived(&mut self, now: u64) -> Vec<String> {
        let mut names = Vec::new();
        let old = |at: u64| at.saturating_add(KEPT_MS) < now;
        self.seen.retain(|intent, at| {
            if old(*at) {
                names.push(format!("seen/{intent}"));
            }
            !old(*at)
        });
        self.said.retain(|(intent, person), said| {
            let at = said.approval.issued_at;
            if old(at) {
                names.push(said_name(intent, person));
            }
            !old(at)
        });
        names
    }
}

fn said_name(intent: &IntentHash, person: &PersonId) -> String {
    format!("said/{intent}/{person}")
}

/// Of two words of one person the later holds; of one moment, the stricter, as in a tally.
fn outweighs(known: &Approval, said: &Approval) -> bool {
    let same_moment = known.issued_at == said.issued_at;
    known.issued_at > said.issued_at || (same_moment && known.verdict == Verdict::Reject)
}

impl PolicyDesk {
    /// Stops everything, if a guardian ordered it and no bundle has lifted that order.
    ///
    /// # Errors
    /// Not a guardian's order; more of them than are kept; the ledger's.
    pub fn freeze(&self, freeze: SignedFreeze) -> Result<(), PolicyError> {
        let Some(policy) = self.in_force() else {
            return Ok(());
        };
        verify_freeze(policy.engine.bundle(), &freeze)?;
        let id = freeze.order.canonical_hash();
        let mut orders = lock(&self.orders);
        if policy.lifted.contains(&id) || orders.freezes.contains_key(&id) {
            return Ok(());
        }
        if orders.freezes.len() >= MAX_FREEZES {
            // One in force stops everything already.
            let what = "freeze orders";
            return Err(PolicyError::Full {
                what,
                max: MAX_FREEZES,
            });
        }
        self.ledger
            .put_record(&format!("freeze/{id}"), &freeze.canonical_bytes())?;
        tracing::warn!(guardian = %freeze.order.person, reason = ?freeze.order.reason, "frozen");
        orders.freezes.insert(id, freeze);
        Ok(())
    }

    /// The freeze orders in force.
    #[must_use]
    pub fn frozen(&self) -> BTreeMap<Hash32, String> {
        let lifted = self
            .in_force()
            .map(|p| p.lifted.clone())
            .unwrap_or_default();
        let orders = lock(&self.orders);
        let frozen = orders.freezes.iter().filter(|(id, _)| !lifted.contains(id));
        frozen
            .map(|(id, f)| {
                (
                    *id,
                    format!("{} ({})", f.order.reason.escape_debug(), f.order.person),
                )
            })
            .collect()
    }

    /// Remembers a rejection or withdrawal; approvals come with the request and are not kept.
    ///
    /// # Errors
    /// Not by the person it names; more than are kept; the ledger's.
    pub fn say(&self, said: SignedApproval, now: u64) -> Result<(), PolicyError> {
        let approval = &said.approval;
        let Some(policy) = self.in_force() else {
            return Ok(());
        };
        verify_proof(
            policy.engine.bundle(),
            &approval.person,
            approval,
            &said.proof,
        )
        .map_err(quorate_policy::ApprovalError::from)?;
        if approval.verdict == Verdict::Approve {
            return Ok(());
        }
        let key = (approval.intent, approval.person.clone());
        let name = said_name(&key.0, &key.1);
        let mut orders = lock(&self.orders);
        let known = orders.said.get(&key);
        // A rejection is not undone by a withdrawal that was written before it, or at the same moment.
        if known.is_some_and(|known| outweighs(&known.approval, approval)) {
            return Ok(());
        }
        self.make_room(&mut orders, now)?;
        self.ledger.put_record(&name, &said.canonical_bytes())?;
        orders.said.insert(key, said);
        Ok(())
    }

    /// What was said about a request, besides what came with it.
    pub(super) fn said(&self, intent: IntentHash) -> Vec<SignedApproval> {
        let orders = lock(&self.orders);
        let about = orders
            .said
            .iter()
            .filter(|((about, _), _)| *about == intent);
        about.map(|(_, said)| said.clone()).collect()
    }

    /// When a request was first seen here, if it was.
    pub(super) fn seen(&self, intent: IntentHash) -> Option<u64> {
        lock(&self.orders).seen.get(&intent).copied()
    }

    /// Remembers that a request was seen now, unless it was before.
    pub(super) fn see(&self, intent: IntentHash, now: u64) -> Result<(), PolicyError> {
        let mut orders = lock(&self.orders);
        if orders.seen.contains_key(&intent) {
            return Ok(());
        }
        self.make_room(&mut orders, now)?;
        let bytes = borsh::to_vec(&now).map_err(|_| PolicyError::Damaged("clock"))?;
        self.ledger.put_record(&format!("seen/{intent}"), &bytes)?;
        orders.seen.insert(intent, now);
        Ok(())
    }

    fn make_room(&self, orders: &mut Orders, now: u64) -> Result<(), PolicyError> {
        if orders.seen.len() + orders.said.len() < MAX_SAID {
            return Ok(());
        }
        let outlived: BTreeSet<String> = orders.outlived(now).into_iter().collect();
        if outlived.is_empty() {
            let what = "requests that wait";
            return Err(PolicyError::Full {
                what,
                max: MAX_SAID,
            });
        }
        Ok(self.ledger.delete_records(outlived.into_iter().collect())?)
    }
}
