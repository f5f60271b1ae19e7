//! What people have told this custodian directly: freezes, rejections, withdrawals; and when it first saw a request. None of it can be
//! taken back by whoever carries messages.

use std::collections::BTreeMap;

use quorate_policy::{verify_freeze, verify_proof};
use quorate_storage::Ledger;
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Approval, Hash32, Intent, IntentHash, PersonId, SignedApproval, SignedFreeze, Verdict,
};

use super::{PolicyDesk, PolicyError, lock};

/// Freeze orders kept.
const MAX_FREEZES: usize = 256;
/// Rejections and withdrawals kept of one person.
const MAX_SAID: usize = 1_000;
/// Requests whose first sight is remembered.
const MAX_SEEN: usize = 100_000;
/// How long rejections and first sights are kept: longer than any intent lives.
const KEPT_MS: u64 = Intent::MAX_LIFETIME_MS + 24 * 60 * 60 * 1000;

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

/// Whether a word changes nothing: a rejection is for good, and of others the later one holds.
fn outweighs(known: &Approval, said: &Approval) -> bool {
    known.verdict == Verdict::Reject
        || (said.verdict != Verdict::Reject && known.issued_at > said.issued_at)
}

impl PolicyDesk {
    /// Stops everything, if a guardian ordered it and no bundle has lifted that order.
    ///
    /// # Errors
    /// Not a guardian's order; more of them than are kept; the ledger's.
    pub fn freeze(&self, freeze: SignedFreeze) -> Result<(), PolicyError> {
        let policy = self.in_force().ok_or(PolicyError::NoPolicy)?;
        verify_freeze(policy.engine.bundle(), &freeze)?;
        let id = freeze.order.canonical_hash();
        let mut orders = lock(&self.orders);
        if policy.lifted.contains(&id) || orders.freezes.contains_key(&id) {
            return Ok(());
        }
        let lifted = |id: &Hash32| policy.lifted.contains(id);
        let old: Vec<Hash32> = orders.freezes.keys().copied().filter(lifted).collect();
        // Lifted ones have done their work, and cannot be replayed: the bundles name them.
        for id in &old {
            orders.freezes.remove(id);
        }
        let names = old.iter().map(|id| format!("freeze/{id}")).collect();
        self.ledger.delete_records(names)?;
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
        let policy = self.in_force().ok_or(PolicyError::NoPolicy)?;
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
        let soon = now.saturating_add(Intent::MAX_SKEW_MS);
        let other_cluster = approval.cluster != policy.engine.bundle().bundle().cluster;
        if other_cluster || approval.issued_at > soon {
            let person = approval.person.clone();
            return Err(quorate_policy::ApprovalError::Times(person).into());
        }
        let key = (approval.intent, approval.person.clone());
        let name = said_name(&key.0, &key.1);
        let mut orders = lock(&self.orders);
        let known = orders.said.get(&key);
        // A rejection is not undone by a withdrawal that was written before it, or at the same moment.
        if known.is_some_and(|known| outweighs(&known.approval, approval)) {
            return Ok(());
        }
        let bytes = said.canonical_bytes();
        if bytes.len() > SignedApproval::MAX_LEN {
            let what = "bytes of one word";
            return Err(PolicyError::Full {
                what,
                max: SignedApproval::MAX_LEN,
            });
        }
        self.make_room_for_words(&mut orders, &key.1, now)?;
        self.ledger.put_record(&name, &bytes)?;
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
        self.make_room_for_sights(&mut orders, now)?;
        let bytes = borsh::to_vec(&now).map_err(|_| PolicyError::Damaged("clock"))?;
        self.ledger.put_record(&format!("seen/{intent}"), &bytes)?;
        orders.seen.insert(intent, now);
        Ok(())
    }

    /// One person's words are not to crowd out another's.
    fn make_room_for_words(
        &self,
        orders: &mut Orders,
        person: &PersonId,
        now: u64,
    ) -> Result<(), PolicyError> {
        let count = |orders: &Orders| orders.said.keys().filter(|(_, p)| p == person).count();
        if count(orders) < MAX_SAID {
            return Ok(());
        }
        self.forget(orders, now)?;
        let what = "rejections and withdrawals of one person";
        match count(orders) < MAX_SAID {
            true => Ok(()),
            false => Err(PolicyError::Full {
                what,
                max: MAX_SAID,
            }),
        }
    }

    fn make_room_for_sights(&self, orders: &mut Orders, now: u64) -> Result<(), PolicyError> {
        if orders.seen.len() < MAX_SEEN {
            return Ok(());
        }
        self.forget(orders, now)?;
        let what = "requests that wait";
        match orders.seen.len() < MAX_SEEN {
            true => Ok(()),
            false => Err(PolicyError::Full {
                what,
                max: MAX_SEEN,
            }),
        }
    }

    fn forget(&self, orders: &mut Orders, now: u64) -> Result<(), PolicyError> {
        Ok(self.ledger.delete_records(orders.outlived(now))?)
    }
}
