//! Which pools there are and how full they are.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use quorate_storage::OneTimeId;
use quorate_types::node::PoolStatus;
use quorate_types::{Hash32, KeyId, PoolLevel, PresignaturePool};

use super::PresignDesk;
use crate::PresignConfig;

/// Pools at once; the one unused for longest makes room.
const MAX_POOLS: usize = 64;
/// How often presignatures of a pool are discarded for being of no use, at most.
const DISCARD_EVERY: Duration = Duration::from_secs(30);
/// Presignatures at once, in all pools.
const MAX_TOTAL: usize = 16 * 1024;

struct Level {
    ids: BTreeSet<Hash32>,
    making: u32,
    /// Below the low mark it begins to fill, and ends at the high one.
    filling: bool,
    /// Rises with every use of any pool.
    used: u64,
    /// When some were last discarded for being of no use.
    discarded: Option<Instant>,
}

pub(super) struct Pools {
    low: usize,
    high: usize,
    pools: HashMap<PresignaturePool, Level>,
    uses: u64,
}

impl Pools {
    pub(super) fn new(config: &PresignConfig) -> Self {
        Self {
            low: usize::from(config.low),
            high: usize::from(config.high),
            pools: HashMap::new(),
            uses: 0,
        }
    }

    /// Whether no pool was ever used.
    pub(super) const fn is_untouched(&self) -> bool {
        self.uses == 0
    }

    /// The pool was used now. Returns the presignatures of the pool that had to go for it.
    pub(super) fn touch(&mut self, pool: PresignaturePool) -> Vec<OneTimeId> {
        self.uses += 1;
        let uses = self.uses;
        if let Some(level) = self.pools.get_mut(&pool) {
            level.used = uses;
            return Vec::new();
        }
        let evicted = self.make_room();
        let level = Level {
            ids: BTreeSet::new(),
            making: 0,
            filling: true,
            used: uses,
            discarded: None,
        };
        self.pools.insert(pool, level);
        evicted
    }

    fn make_room(&mut self) -> Vec<OneTimeId> {
        if self.pools.len() < MAX_POOLS {
            return Vec::new();
        }
        let idle = self.pools.iter().filter(|(_, level)| level.making == 0);
        let oldest = idle.min_by_key(|(_, level)| level.used);
        let Some(oldest) = oldest.map(|(pool, _)| pool.clone()) else {
            return Vec::new();
        };
        let gone = self.pools.remove(&oldest).map(|level| level.ids);
        let ids: Vec<_> = gone.into_iter().flatten().collect();
        PresignDesk::names(&oldest, &ids)
    }

    /// The key is no more signed for with presignatures. Returns those that there were.
    pub(super) fn remove_key(&mut self, key: KeyId) -> Vec<OneTimeId> {
        let gone = self.pools.extract_if(|pool, _| pool.key == key);
        gone.flat_map(|(pool, level)| {
            let ids: Vec<_> = level.ids.into_iter().collect();
            PresignDesk::names(&pool, &ids)
        })
        .collect()
    }

    /// How many more a pool should have now.
    fn wanted(&self, level: &Level) -> usize {
        if !level.filling {
            return 0;
        }
        let coming = level.ids.len() + level.making as usize;
        let room = MAX_TOTAL.saturating_sub(self.total());
        self.high.saturating_sub(coming).min(room)
    }

    /// Reserves room for presignatures to be made; returns for how many, and which of the pool are of no use: every signer must have one.
    pub(super) fn reserve(
        &mut self,
        pool: &PresignaturePool,
        count: u32,
        useful: &[Hash32],
    ) -> (u32, Vec<OneTimeId>) {
        let Some(level) = self.pools.get_mut(pool) else {
            return (0, Vec::new());
        };
        // What is just being finished may be here and not there; and whoever says what is useful may be lying.
        let recently = level
            .discarded
            .is_some_and(|at| at.elapsed() < DISCARD_EVERY);
        let useless: Vec<Hash32> = if level.making > 0 || recently {
            Vec::new()
        } else {
            let of_no_use = |id: &&Hash32| !useful.contains(id);
            level.ids.iter().filter(of_no_use).copied().collect()
        };
        if !useless.is_empty() {
            level.discarded = Some(Instant::now());
        }
        for id in &useless {
            level.ids.remove(id);
        }
        level.refill(self.low, self.high);
        let wanted = self.pools.get(pool).map_or(0, |level| self.wanted(level));
        let count = count.min(u32::try_from(wanted).unwrap_or(u32::MAX));
        if let Some(level) = self.pools.get_mut(pool) {
            level.making += count;
        }
        (count, PresignDesk::names(pool, &useless))
    }

    /// One that was to be made is there.
    pub(super) fn made(&mut self, pool: &PresignaturePool, id: Hash32) {
        if let Some(level) = self.pools.get_mut(pool) {
            level.making = level.making.saturating_sub(1);
            level.ids.insert(id);
            level.refill(self.low, self.high);
        }
    }

    /// So many that were to be made will not be.
    pub(super) fn not_made(&mut self, pool: &PresignaturePool, count: u32) {
        if let Some(level) = self.pools.get_mut(pool) {
            level.making = level.making.saturating_sub(count);
        }
    }

    /// A pool that is there was used now.
    pub(super) fn use_again(&mut self, pool: &PresignaturePool) {
        self.uses += 1;
        if let Some(level) = self.pools.get_mut(pool) {
            level.used = self.uses;
        }
    }

    pub(super) fn remove(&mut self, pool: &PresignaturePool, ids: &[Hash32]) {
        if let Some(level) = self.pools.get_mut(pool) {
            for id in ids {
                level.ids.remove(id);
            }
            level.refill(self.low, self.high);
        }
    }

    /// Whether there is nothing to sign with.
    pub(super) fn is_empty(&self, pool: &PresignaturePool) -> bool {
        self.pools
            .get(pool)
            .is_none_or(|level| level.ids.is_empty())
    }

    pub(super) fn making(&self) -> u32 {
        self.pools.values().map(|level| level.making).sum()
    }

    pub(super) fn total(&self) -> usize {
        self.pools.values().map(|level| level.ids.len()).sum()
    }

    /// The most recently used first.
    fn in_order(&self) -> Vec<(&PresignaturePool, &Level)> {
        let mut pools: Vec<_> = self.pools.iter().collect();
        pools.sort_by_key(|(_, level)| std::cmp::Reverse(level.used));
        pools
    }

    /// `at_once` are made at once: while they are, nobody wants more.
    pub(super) fn levels(&self, at_once: u32) -> Vec<PoolLevel> {
        let free = at_once.saturating_sub(self.making());
        let level = |(pool, level): (&PresignaturePool, &Level)| PoolLevel {
            pool: pool.clone(),
            ids: level.ids.iter().take(PoolLevel::MAX_IDS).copied().collect(),
            wanted: u32::try_from(self.wanted(level))
                .unwrap_or(u32::MAX)
                .min(free),
            making: level.making,
        };
        self.in_order().into_iter().map(level).collect()
    }

    pub(super) fn status(&self) -> Vec<PoolStatus> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let status = |(pool, level): (&PresignaturePool, &Level)| PoolStatus {
            pool: pool.clone(),
            level: count(level.ids.len()),
            low: count(self.low),
            high: count(self.high),
        };
        self.in_order().into_iter().map(status).collect()
    }
}

impl Level {
    fn refill(&mut self, low: usize, high: usize) {
        if self.ids.len() < low {
            self.filling = true;
        } else if self.ids.len() >= high {
            self.filling = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_types::{DerivationPath, PartyId};

    use super::*;

    fn pool(key: u8) -> PresignaturePool {
        PresignaturePool {
            key: KeyId::from_bytes([key; 32]),
            epoch: 0,
            path: DerivationPath::root(),
            signers: vec![PartyId::new("party-1").unwrap()],
        }
    }

    fn id(number: u8) -> Hash32 {
        Hash32::from_bytes([number; 32])
    }

    fn pools(low: u16, high: u16) -> Pools {
        Pools::new(&PresignConfig {
            low,
            high,
            ..PresignConfig::default()
        })
    }

    fn wanted(pools: &Pools) -> u32 {
        pools.levels(8)[0].wanted
    }

    #[test]
    fn a_pool_fills_to_the_high_mark_and_rests_until_the_low_one() {
        let mut pools = pools(2, 4);
        pools.touch(pool(1));
        assert_eq!(wanted(&pools), 4);
        assert_eq!(pools.reserve(&pool(1), 10, &[]).0, 4);
        assert_eq!((wanted(&pools), pools.making()), (0, 4));
        pools.not_made(&pool(1), 1);
        assert_eq!(wanted(&pools), 1);
        for number in 1..=3 {
            pools.made(&pool(1), id(number));
        }
        assert_eq!(wanted(&pools), 1);
        pools.reserve(&pool(1), 1, &[id(1), id(2), id(3)]);
        pools.made(&pool(1), id(4));
        assert_eq!(wanted(&pools), 0);
        pools.remove(&pool(1), &[id(1), id(2)]);
        assert_eq!(wanted(&pools), 0, "between the marks nothing is made");
        pools.remove(&pool(1), &[id(3)]);
        assert_eq!(wanted(&pools), 3);
    }

    #[test]
    fn a_pool_is_empty_until_one_is_made_and_when_the_last_is_used() {
        let mut pools = pools(1, 2);
        assert!(pools.is_empty(&pool(1)));
        pools.touch(pool(1));
        assert_eq!(pools.reserve(&pool(1), 1, &[]).0, 1);
        assert!(pools.is_empty(&pool(1)));
        pools.made(&pool(1), id(1));
        assert!(!pools.is_empty(&pool(1)) && pools.is_empty(&pool(2)));
        pools.remove(&pool(1), &[id(1)]);
        assert!(pools.is_empty(&pool(1)));
    }

    #[test]
    fn what_not_every_signer_has_goes() {
        let mut pools = pools(1, 4);
        pools.touch(pool(1));
        pools.reserve(&pool(1), 4, &[]);
        for number in 1..=4 {
            pools.made(&pool(1), id(number));
        }
        let (count, gone) = pools.reserve(&pool(1), 4, &[]);
        assert_eq!((count, gone.len()), (4, 4));
        // Not while some are being finished.
        pools.made(&pool(1), id(5));
        assert!(pools.reserve(&pool(1), 1, &[]).1.is_empty());
    }

    /// Whoever says what is useful cannot keep a pool empty by saying so again and again.
    #[test]
    fn what_is_of_no_use_goes_once_in_a_while_only() {
        let mut pools = pools(1, 2);
        pools.touch(pool(1));
        for number in [1, 2] {
            pools.reserve(&pool(1), 1, &[]);
            pools.made(&pool(1), id(number));
        }
        assert_eq!(pools.total(), 1);
        pools.reserve(&pool(1), 1, &[]);
        pools.made(&pool(1), id(3));
        assert_eq!(pools.total(), 2);
    }

    #[test]
    fn a_pool_in_use_outlives_one_that_is_not() {
        let mut pools = pools(1, 2);
        for key in 0..u8::try_from(MAX_POOLS).unwrap() {
            pools.touch(pool(key));
        }
        pools.use_again(&pool(0));
        pools.touch(pool(200));
        let has = |key| pools.levels(8).iter().any(|level| level.pool == pool(key));
        assert!(has(0) && !has(1));
    }

    #[test]
    fn a_keys_pools_go_together_and_no_others() {
        let mut pools = pools(1, 2);
        for key in [1, 2] {
            pools.touch(pool(key));
            pools.reserve(&pool(key), 1, &[]);
            pools.made(&pool(key), id(key));
        }
        let gone = pools.remove_key(pool(1).key);
        assert_eq!(gone, PresignDesk::names(&pool(1), &[id(1)]));
        assert_eq!(pools.total(), 1);
    }

    #[test]
    fn pools_are_bounded_and_the_least_recently_used_goes() {
        let mut pools = pools(1, 2);
        for key in 0..u8::try_from(MAX_POOLS).unwrap() {
            assert!(pools.touch(pool(key)).is_empty());
        }
        pools.reserve(&pool(1), 1, &[]);
        pools.made(&pool(1), id(1));
        pools.touch(pool(0));
        let evicted = pools.touch(pool(200));
        assert_eq!(evicted, PresignDesk::names(&pool(1), &[id(1)]));
        assert_eq!(pools.levels(8).len(), MAX_POOLS);
        assert_eq!(pools.reserve(&pool(1), 1, &[]), (0, Vec::new()));
    }
}
