//! The stock of safe primes, filled by one low-priority thread so that committee setup need not wait for them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quorate_mpc_protocol::{CeremonyRng, PrimeSet, SafePrime};
use quorate_storage::{EncryptedFileStore, ItemKind, ItemName, StoreError};
use quorate_types::Hash32;
use rand_core::{OsRng, RngCore as _, SeedableRng as _};

use crate::pool::Priority;

/// Primes waiting in the sealed store.
pub struct PrimeStock {
    store: Arc<EncryptedFileStore>,
    /// Held while primes are taken out: no prime goes to two setups.
    taking: Mutex<()>,
    stock: AtomicU32,
    wanted: AtomicU32,
    filling: AtomicBool,
    stopped: AtomicBool,
}

/// How many primes one setup takes.
#[expect(clippy::cast_possible_truncation, reason = "the set has four")]
pub const NEEDED: u32 = PrimeSet::LEN as u32;

impl PrimeStock {
    /// Counts what is there.
    ///
    /// # Errors
    /// The store's.
    pub fn open(store: Arc<EncryptedFileStore>) -> Result<Arc<Self>, StoreError> {
        let stock = store.list(ItemKind::Prime)?.len();
        Ok(Arc::new(Self {
            store,
            taking: Mutex::new(()),
            stock: AtomicU32::new(u32::try_from(stock).unwrap_or(u32::MAX)),
            wanted: AtomicU32::new(0),
            filling: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }))
    }

    /// How many are in stock.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.stock.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills up to `wanted` in the background.
    pub fn want(self: &Arc<Self>, wanted: u32) {
        self.wanted.store(wanted, Ordering::SeqCst);
        if !self.begins_filling() {
            return;
        }
        let this = Arc::clone(self);
        let spawned = std::thread::Builder::new()
            .name("primes".to_owned())
            .spawn(move || this.fill());
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for generating primes");
            self.filling.store(false, Ordering::SeqCst);
        }
    }

    /// Whether primes are missing and the caller is the one to search for them.
    fn begins_filling(&self) -> bool {
        let missing = self.len() < self.wanted.load(Ordering::SeqCst);
        missing
            && !self.stopped.load(Ordering::SeqCst)
            && !self.filling.swap(true, Ordering::SeqCst)
    }

    /// Stops filling after the prime being searched for.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    fn fill(&self) {
        Priority::Background.apply();
        let mut seed = zeroize::Zeroizing::new([0u8; 32]);
        OsRng.fill_bytes(&mut *seed);
        let mut rng = CeremonyRng::from_seed(*seed);
        loop {
            let filled = self.fill_with(&mut rng);
            self.filling.store(false, Ordering::SeqCst);
            if let Err(error) = filled {
                tracing::error!(%error, "cannot store a prime; generation stops until the agent restarts");
                return;
            }
            // Primes may have been taken between the last look and giving up the search.
            if !self.begins_filling() {
                return;
            }
        }
    }

    fn fill_with(&self, rng: &mut CeremonyRng) -> Result<(), StoreError> {
        while self.len() < self.wanted.load(Ordering::SeqCst) {
            let prime = SafePrime::generate(rng);
            if self.stopped.load(Ordering::SeqCst) {
                break;
            }
            self.add(&prime)?;
        }
        Ok(())
    }

    /// Puts a prime into the stock.
    ///
    /// # Errors
    /// The store's.
    pub fn add(&self, prime: &SafePrime) -> Result<(), StoreError> {
        let mut id = [0u8; 32];
        OsRng.fill_bytes(&mut id);
        let name = ItemName {
            kind: ItemKind::Prime,
            id: Hash32::from_bytes(id),
            epoch: 0,
        };
        self.store.put(name, prime.as_secret_bytes())?;
        self.stock.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Takes four out of the stock for good: they are deleted before they are used, so that a crash cannot use them twice.
    ///
    /// # Errors
    /// The store's; [`StoreError::Missing`] never.
    pub fn take(&self) -> Result<Option<PrimeSet>, StoreError> {
        let _alone = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.store.list(ItemKind::Prime)?;
        let Some(chosen) = names.first_chunk::<{ PrimeSet::LEN }>() else {
            return Ok(None);
        };
        let mut primes = Vec::with_capacity(chosen.len());
        for name in chosen {
            primes.push(SafePrime::from_secret_bytes(&self.store.get(*name)?));
            self.store.delete(*name)?;
            self.stock.fetch_sub(1, Ordering::Relaxed);
        }
        let set = <[SafePrime; PrimeSet::LEN]>::try_from(primes).ok();
        Ok(set.and_then(|set| PrimeSet::new(set).ok()))
    }
}
