//! This custodian's own copy of the policy, and everything besides a request that it is judged by: the bundles in their chain, freezes,
//! rejections, when a request was first seen, and what was spent. All of it durable in the ledger.

mod bundles;
mod orders;
mod ruling;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use quorate_policy::{SignedSpendRecord, SpendBook};
use quorate_storage::backup::SPENDS;
use quorate_storage::{Ledger, LedgerError, Spend};
use quorate_types::canonical::{Canonical as _, tagged_hash};
use quorate_types::{Bundle, Hash32, PartyId, SignedBundle, ValidRoster};

use bundles::InForce;
pub(crate) use bundles::version_of;
use orders::Orders;
pub use ruling::{PolicyRefusal, Question, Ruling};

/// Why an agent's policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A bundle.
    #[error(transparent)]
    Bundle(#[from] quorate_types::BundleError),
    /// Its rules.
    #[error(transparent)]
    Engine(#[from] quorate_policy::EngineError),
    /// A freeze order, rejection or withdrawal that is not by whom it says.
    #[error(transparent)]
    Approval(#[from] quorate_policy::ApprovalError),
    /// Something stored that cannot be read.
    #[error("the ledger's {0} is damaged")]
    Damaged(&'static str),
    /// There is nothing to check it with.
    #[error("this custodian has no policy yet")]
    NoPolicy,
    /// More than an agent keeps.
    #[error("this custodian keeps no more than {max} {what}")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many.
        max: usize,
    },
}

/// See the module.
pub struct PolicyDesk {
    roster: Arc<ValidRoster>,
    ledger: Arc<Ledger>,
    /// None before there is a policy: nothing is then signed.
    in_force: RwLock<Option<Arc<InForce>>>,
    orders: Mutex<Orders>,
    spending: Mutex<SpendBook>,
    /// Bundles come into force one at a time.
    publishing: Mutex<()>,
    /// Held by whatever may forbid a request while it comes into force, and shared by requests from
    /// the last look at that until their start is durable.
    authority: RwLock<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PolicyDesk {
    /// Reads everything back; the first bundle is taken from `genesis` where the ledger has none.
    ///
    /// # Errors
    /// See [`PolicyError`]: a bundle that is not rightly signed keeps the agent from starting.
    pub fn open(
        party: PartyId,
        roster: Arc<ValidRoster>,
        ledger: Arc<Ledger>,
        genesis: Option<SignedBundle>,
        now: u64,
    ) -> Result<Self, PolicyError> {
        let restores = ledger.restores()?;
        let mut chain = bundles::load(&ledger, &roster)?;
        if let (None, Some(genesis)) = (&chain, genesis) {
            let first = bundles::next(&roster, None, genesis, now)?;
            bundles::store(&ledger, &first)?;
            chain = Some(first);
        }
        let orders = Orders::load(&ledger)?;
        let nothing = Bundle::empty(roster.cluster_id());
        let counted = chain
            .as_ref()
            .map_or(&nothing, |c| c.engine.bundle().bundle());
        take_in_spends(&ledger)?;
        let mut spending = load_spending(party, restores, &ledger, counted)?;
        prune(&mut spending, &ledger, now)?;
        Ok(Self {
            roster,
            ledger,
            in_force: RwLock::new(chain.map(Arc::new)),
            orders: Mutex::new(orders),
            spending: Mutex::new(spending),
            publishing: Mutex::new(()),
            authority: RwLock::new(()),
        })
    }

    pub(crate) fn in_force(&self) -> Option<Arc<InForce>> {
        self.in_force
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The version in force; 0 without one.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.in_force()
            .map_or(0, |p| p.engine.bundle().bundle().version)
    }

    /// The hash of the bundle in force.
    #[must_use]
    pub fn hash(&self) -> Option<Hash32> {
        self.in_force().map(|p| p.engine.bundle().hash())
    }

    /// Brings the next version into force; the one in force again is no error (I7). No restart is needed: whatever was prepared
    /// under the version before is judged anew when it begins.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn publish(&self, signed: SignedBundle, now: u64) -> Result<u64, PolicyError> {
        let _one_at_a_time = lock(&self.publishing);
        let before = self.in_force();
        if let Some(before) = before
            .as_ref()
            .filter(|b| b.engine.bundle().signed().bundle == signed.bundle)
        {
            return Ok(before.engine.bundle().bundle().version);
        }
        let next = bundles::next(&self.roster, before.as_deref(), signed, now)?;
        let _alone = self
            .authority
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        bundles::store(&self.ledger, &next)?;
        let version = next.engine.bundle().bundle().version;
        {
            let mut spending = lock(&self.spending);
            spending.recount(next.engine.bundle().bundle());
            // Inside, so that nobody judges by the new rules and the old sums.
            *self
                .in_force
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(next));
        }
        tracing::info!(version, "policy in force");
        Ok(version)
    }

    /// A version as it was published; 0 asks for the one in force.
    ///
    /// # Errors
    /// The ledger's.
    pub fn bundle(&self, version: u64) -> Result<Option<SignedBundle>, PolicyError> {
        match version {
            0 => Ok(self.in_force().map(|p| p.engine.bundle().signed().clone())),
            _ => bundles::stored(&self.ledger, version),
        }
    }

    /// The highest version that was ever in force here, as far as is known. Below it this custodian
    /// takes part in nothing.
    ///
    /// # Errors
    /// The ledger's.
    pub(crate) fn floor(&self) -> Result<u64, LedgerError> {
        floor(&self.ledger)
    }

    /// The floor never goes down.
    ///
    /// # Errors
    /// The ledger's.
    pub(crate) fn raise_floor(&self, version: u64) -> Result<(), LedgerError> {
        raise_floor(&self.ledger, version)
    }

    /// Forgets spend records that count for no window any more, here and in the ledger. Returns how
    /// many.
    ///
    /// # Errors
    /// The ledger's; what it still has is then forgotten when it is next opened.
    pub(crate) fn prune_spending(&self, now: u64) -> Result<usize, LedgerError> {
        prune(&mut self.spending(), &self.ledger, now)
    }

    pub(crate) fn spending(&self) -> MutexGuard<'_, SpendBook> {
        lock(&self.spending)
    }
}

/// The version that a chain of stored bundles ends with, every signature checked; 0 without any.
pub(crate) fn chain_version<'a>(
    roster: &ValidRoster,
    records: impl Iterator<Item = (&'a String, &'a Vec<u8>)>,
) -> Result<u64, PolicyError> {
    let last = bundles::follow_all(roster, records)?;
    Ok(last.map_or(0, |last| last.engine.bundle().bundle().version))
}

/// Spends that came out of a backup are the ledger's own from now on.
fn take_in_spends(ledger: &Ledger) -> Result<(), PolicyError> {
    let Some(bytes) = ledger.record(SPENDS)? else {
        return Ok(());
    };
    let spends = borsh::from_slice(&bytes).map_err(|_| PolicyError::Damaged("spend records"))?;
    ledger.add_spends(spends)?;
    Ok(ledger.delete_records(vec![SPENDS.to_owned()])?)
}

/// In the ledger: the highest version of the policy that was ever in force, little-endian.
const FLOOR: &str = "policy-floor";

fn floor(ledger: &Ledger) -> Result<u64, LedgerError> {
    let stored = ledger.record(FLOOR)?;
    let decoded = stored.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
    Ok(decoded.unwrap_or(0))
}

/// Raises the floor to a version; a lower one changes nothing.
pub(crate) fn raise_floor(ledger: &Ledger, version: u64) -> Result<(), LedgerError> {
    match floor(ledger)? < version {
        true => ledger.put_record(FLOOR, &version.to_le_bytes()),
        false => Ok(()),
    }
}

fn prune(book: &mut SpendBook, ledger: &Ledger, now: u64) -> Result<usize, LedgerError> {
    let forgotten = book.prune(book.horizon(now));
    if !forgotten.is_empty() {
        ledger.remove_spends(forgotten.iter().map(to_ledger).collect())?;
    }
    Ok(forgotten.len())
}

/// As the ledger keeps a record.
pub(crate) fn to_ledger(signed: &SignedSpendRecord) -> Spend {
    let record = signed.canonical_bytes();
    Spend {
        at: signed.record.at,
        id: tagged_hash("quorate/spend-place/v1", &[&record]),
        record,
    }
}

fn load_spending(
    party: PartyId,
    restores: u64,
    ledger: &Ledger,
    bundle: &Bundle,
) -> Result<SpendBook, PolicyError> {
    let mut book = SpendBook::new(party, restores, bundle);
    let mut records = Vec::new();
    for spend in ledger.spends_since(0)? {
        let signed = SignedSpendRecord::from_canonical_bytes(&spend.record, usize::MAX);
        records.push(signed.map_err(|_| PolicyError::Damaged("spend record"))?);
    }
    // A void comes after what it voids.
    records
        .sort_by(|a, b| (&a.record.party, a.record.place).cmp(&(&b.record.party, b.record.place)));
    for signed in records {
        book.add(signed);
    }
    for version in 1..bundle.version {
        if let Some(before) = bundles::stored(ledger, version)? {
            book.was_under(&before.bundle);
        }
    }
    Ok(book)
}
