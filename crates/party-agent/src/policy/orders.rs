//! What people have told this custodian directly: freezes, rejections, withdrawals; and when it first saw a request. None of it can be
//! taken back by whoever carries messages.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_policy::{verify_freeze, verify_proof};
use quorate_storage::Ledger;
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Approval, FreezeOrder, Hash32, Intent, IntentHash, OperatorId, PersonId, SignedApproval,
    SignedFreeze, Verdict,
};

use super::{PolicyDesk, PolicyError, lock};

/// Freeze orders kept.
const MAX_FREEZES: usize = 256;
/// Rejections and withdrawals kept of one person.
const MAX_SAID: usize = 1_000;
/// Freeze orders kept of one guardian.
const MAX_FREEZES_EACH: usize = 32;
/// Requests of one operator whose first sight is remembered, until they expire.
const MAX_SEEN: usize = 10_000;
/// How long rejections are kept, and first sights of which nobody remembers the operator: longer
/// than any intent lives.
const KEPT_MS: u64 = Intent::MAX_LIFETIME_MS + 24 * 60 * 60 * 1000;

/// In memory, as the ledger has it.
#[derive(Default)]
pub(super) struct Orders {
    freezes: BTreeMap<Hash32, SignedFreeze>,
    said: BTreeMap<(IntentHash, PersonId), SignedApproval>,
    seen: BTreeMap<IntentHash, Sight>,
    /// How many of them are each operator's.
    seen_of: BTreeMap<OperatorId, usize>,
}

/// The first sight of a request, which a time lock counts from.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
struct Sight {
    /// Unix milliseconds.
    at: u64,
    /// Whose request; none in records of earlier programs.
    of: Option<(OperatorId, u64)>,
}

impl Sight {
    /// Reads a record; earlier programs wrote the time alone.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let alone = |at| Self { at, of: None };
        borsh::from_slice(bytes)
            .ok()
            .or_else(|| borsh::from_slice::<u64>(bytes).ok().map(alone))
    }

    /// When the request cannot be acted on any more, Unix milliseconds.
    fn ends(&self) -> u64 {
        let expiry = self.of.as_ref().map(|(_, expires_at)| *expires_at);
        expiry.map_or(self.at.saturating_add(KEPT_MS), |expires_at| {
            expires_at.saturating_add(Intent::MAX_SKEW_MS)
        })
    }
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
            let sight = Sight::decode(&bytes).ok_or_else(damaged)?;
            orders.remember(intent.ok_or_else(damaged)?, sight);
        }
        Ok(orders)
    }

    fn remember(&mut self, intent: IntentHash, sight: Sight) {
        if let Some((operator, _)) = &sight.of {
            *self.seen_of.entry(operator.clone()).or_default() += 1;
        }
        self.seen.insert(intent, sight);
    }

    /// Whether an operator may have one more request remembered.
    fn has_room_for(&self, operator: &OperatorId) -> bool {
        self.seen_of.get(operator).copied().unwrap_or(0) < MAX_SEEN
    }

    /// Forgets what no living intent can need; returns the records' names.
    fn outlived(&mut self, now: u64) -> Vec<String> {
        let mut names = Vec::new();
        let old = |at: u64| at.saturating_add(KEPT_MS) < now;
        let counts = &mut self.seen_of;
        self.seen.retain(|intent, sight| {
            let ended = sight.ends() < now;
            if ended {
                names.push(format!("seen/{intent}"));
            }
            if let Some((operator, _)) = sight.of.as_ref().filter(|_| ended)
                && let Some(count) = counts.get_mut(operator)
            {
                *count = count.saturating_sub(1);
            }
            !ended
        });
        counts.retain(|_, count| *count > 0);
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
        let _alone = self
            .authority
            .write()
            .unwrap_or_else(PoisonError::into_inner);
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
        let person = &freeze.order.person;
        let others = orders.freezes.values().map(|f| &f.order.person);
        if others.filter(|other| *other == person).count() >= MAX_FREEZES_EACH {
            let what = "freeze orders of one guardian";
            return Err(PolicyError::Full {
                what,
                max: MAX_FREEZES_EACH,
            });
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
        let text = |o: &FreezeOrder| format!("{} ({})", o.reason.escape_debug(), o.person);
        let orders = self.orders();
        let orders = orders.iter();
        orders.map(|o| (o.canonical_hash(), text(o))).collect()
    }

    /// The freeze orders in force as they were given.
    #[must_use]
    pub fn orders(&self) -> Vec<FreezeOrder> {
        let signed = self.freeze_orders().into_iter();
        signed.map(|freeze| freeze.order).collect()
    }

    /// The freeze orders in force, as they were signed.
    pub(crate) fn freeze_orders(&self) -> Vec<SignedFreeze> {
        let lifted = self.in_force().map(|p| p.lifted.clone());
        let lifted = lifted.unwrap_or_default();
        let orders = lock(&self.orders);
        let holds = orders.freezes.iter().filter(|(id, _)| !lifted.contains(id));
        holds.map(|(_, order)| order.clone()).collect()
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
        let _alone = self
            .authority
            .write()
            .unwrap_or_else(PoisonError::into_inner);
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
        lock(&self.orders).seen.get(&intent).map(|sight| sight.at)
    }

    /// Remembers that a request was seen now, unless it was before.
    pub(super) fn see(
        &self,
        hash: IntentHash,
        intent: &Intent,
        now: u64,
    ) -> Result<(), PolicyError> {
        let mut orders = lock(&self.orders);
        if orders.seen.contains_key(&hash) {
            return Ok(());
        }
        self.make_room_for_sights(&mut orders, &intent.operator, now)?;
        let sight = Sight {
            at: now,
            of: Some((intent.operator.clone(), intent.expires_at)),
        };
        let bytes = borsh::to_vec(&sight).map_err(|_| PolicyError::Damaged("clock"))?;
        self.ledger.put_record(&format!("seen/{hash}"), &bytes)?;
        orders.remember(hash, sight);
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

    /// Nor one operator's requests another's.
    fn make_room_for_sights(
        &self,
        orders: &mut Orders,
        operator: &OperatorId,
        now: u64,
    ) -> Result<(), PolicyError> {
        if orders.has_room_for(operator) {
            return Ok(());
        }
        self.forget(orders, now)?;
        let what = "requests of one operator that wait";
        match orders.has_room_for(operator) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(number: usize) -> IntentHash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        IntentHash::from_bytes(hash)
    }

    fn operator(name: &str) -> OperatorId {
        OperatorId::new(name).unwrap()
    }

    #[test]
    fn t34_one_operators_requests_do_not_take_anothers_places_and_go_when_they_expire() {
        let mut orders = Orders::default();
        for number in 0..MAX_SEEN {
            assert!(orders.has_room_for(&operator("eve")));
            let sight = Sight {
                at: 1,
                of: Some((operator("eve"), 1_000)),
            };
            orders.remember(intent(number), sight);
        }
        assert!(!orders.has_room_for(&operator("eve")));
        assert!(orders.has_room_for(&operator("ann")));
        assert!(orders.outlived(1_000).is_empty(), "not before they expire");
        let now = 1_001 + Intent::MAX_SKEW_MS;
        assert_eq!(orders.outlived(now).len(), MAX_SEEN);
        assert!(orders.has_room_for(&operator("eve")));
    }

    #[test]
    fn a_sight_that_an_earlier_program_recorded_is_read() {
        let sight = Sight::decode(&borsh::to_vec(&7u64).unwrap()).unwrap();
        assert_eq!((sight.at, sight.of.is_none()), (7, true));
        assert_eq!(sight.ends(), 7 + KEPT_MS);
        let own = Sight {
            at: 8,
            of: Some((operator("ann"), 9)),
        };
        let again = Sight::decode(&borsh::to_vec(&own).unwrap()).unwrap();
        assert_eq!((again.at, again.of), (8, own.of));
    }
}
