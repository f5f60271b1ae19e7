//! What is computed before a message is known: presignatures, made in the background and kept in pools, and nonces for FROST. Each is used once.
//!
//! Presignatures are sealed under a key that this process alone has (docs/decisions/0011): a disk that is put back, a copy of it, or a
//! crash leaves nothing that could be used again, whatever peers and network do. A restarted agent begins with empty pools.

mod issuing;
mod making;
mod nonces;
mod pools;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use quorate_storage::{Ledger, OneTimeId, OneTimeKind, SealedOneTime, Sealer, StoreError};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::PoolStatus;
use quorate_types::{Hash32, KeyId, KeyName, PartyId, PoolLevel, PresignaturePool};

use crate::{AgentError, PresignConfig};
use issuing::Issued;
pub(crate) use issuing::Taken;
use making::{PROMISED_FOR, Promised};
use nonces::Nonces;
use pools::Pools;

/// The pools of one agent.
pub(crate) struct PresignDesk {
    config: PresignConfig,
    /// Sessions at once: one computes while another waits for messages.
    at_once: u32,
    sealer: Sealer,
    ledger: Arc<Ledger>,
    inner: Mutex<Inner>,
}

struct Inner {
    pools: Pools,
    /// By own nonce.
    promised: HashMap<[u8; 32], (Instant, Promised)>,
    nonces: Nonces,
    issued: Issued,
}

impl Inner {
    /// Promises that were not redeemed in time are void.
    fn lapse(&mut self) {
        let pools = &mut self.pools;
        self.promised.retain(|_, (since, promised)| {
            let kept = since.elapsed() < PROMISED_FOR;
            if !kept {
                pools.not_made(&promised.pool, promised.count);
            }
            kept
        });
    }
}

impl PresignDesk {
    /// Empty pools. What an earlier process left is destroyed; it could not be opened any more.
    pub(crate) fn open(
        party: PartyId,
        ledger: Arc<Ledger>,
        config: PresignConfig,
    ) -> Result<Self, AgentError> {
        ledger.purge_one_time()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            inner: Mutex::new(Inner {
                pools: Pools::new(&config),
                promised: HashMap::new(),
                nonces: Nonces::default(),
                issued: Issued::default(),
            }),
            config,
            at_once: u32::try_from(cores).unwrap_or(1).saturating_add(1),
            sealer: Sealer::ephemeral(party)?,
            ledger,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Changed in single steps, so a panic elsewhere leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Someone signs with these signers: a pool of presignatures would make the next time faster. Returns whether it is the first of all.
    pub(crate) fn note_use(&self, key: &KeyName, pool: PresignaturePool) -> bool {
        if !self.config.is_on(key) {
            return false;
        }
        let (first, evicted) = {
            let pools = &mut self.lock().pools;
            (pools.is_untouched(), pools.touch(pool))
        };
        if !evicted.is_empty() {
            let ledger = Arc::clone(&self.ledger);
            // Nobody waits for that, and it blocks.
            std::thread::spawn(move || discard(&ledger, evicted));
        }
        first
    }

    /// Presignatures are of no use to a key any more.
    pub(crate) fn forget_key(&self, key: KeyId) {
        let gone = self.lock().pools.remove_key(key);
        self.discard(gone);
    }

    /// How full the pools are, for whoever has them filled.
    pub(crate) fn levels(&self) -> Vec<PoolLevel> {
        let mut inner = self.lock();
        inner.lapse();
        inner.pools.levels(self.at_once)
    }

    /// The same for people.
    pub(crate) fn status(&self) -> Vec<PoolStatus> {
        self.lock().pools.status()
    }

    /// How many presignatures there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().pools.total()
    }

    /// Names in the ledger for presignatures of a pool.
    pub(crate) fn names(pool: &PresignaturePool, ids: &[Hash32]) -> Vec<OneTimeId> {
        let pool = pool.canonical_hash();
        let name = |id: &Hash32| OneTimeId {
            kind: OneTimeKind::Presignature,
            pool,
            id: *id,
        };
        ids.iter().map(name).collect()
    }

    /// These were used, and are not in the ledger any more.
    pub(crate) fn used(&self, pool: &PresignaturePool, ids: &[Hash32]) {
        let pools = &mut self.lock().pools;
        pools.remove(pool, ids);
        pools.use_again(pool);
    }

    /// This one is not in the ledger.
    pub(crate) fn lost(&self, pool: &PresignaturePool, id: Hash32) {
        self.lock().pools.remove(pool, &[id]);
    }

    fn discard(&self, names: Vec<OneTimeId>) {
        discard(&self.ledger, names);
    }

    fn seal(&self, name: OneTimeId, secret: &[u8]) -> Result<SealedOneTime, StoreError> {
        self.sealer.seal_one_time(name, secret)
    }
}

/// Destroys presignatures nobody will use. They are forgotten already; what cannot be removed now goes with the process.
fn discard(ledger: &Ledger, names: Vec<OneTimeId>) {
    if names.is_empty() {
        return;
    }
    if let Err(error) = ledger.discard_one_time(names) {
        tracing::warn!(%error, "cannot discard presignatures");
    }
}
