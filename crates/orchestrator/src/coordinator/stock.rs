//! Presignatures: what agents have in common, who gets which, and having pools filled that agents want filled. None of it is trusted: an
//! agent uses each of its presignatures once, whoever asks how often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{
    DerivationPath, Hash32, KeyRecord, PartyId, PoolLevel, PresignaturePool, ValidRoster,
};

use crate::nodes::Nodes;

const TIMEOUT: Duration = Duration::from_secs(5);
/// How often agents are asked while pools are being filled.
const BUSY: Duration = Duration::from_millis(200);
/// How long a request may take to use what it was given; what every signer still has by then was not used.
const GIVEN_FOR: Duration = Duration::from_secs(60);
/// Pools of one custodian.
const MAX_POOLS: usize = 64;
/// How long a pool that could not be filled is left alone the first time; each further time twice as long.
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How often otherwise.
const IDLE: Duration = Duration::from_secs(1);

/// Presignatures for one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hand {
    pub pool: PresignaturePool,
    /// One for each item.
    pub ids: Vec<Hash32>,
}

#[derive(Default)]
struct Shelf {
    /// Every signer has these, and none was given to a request yet.
    ready: BTreeSet<Hash32>,
    /// Given to requests and when, as long as some agent still lists them.
    given: BTreeMap<Hash32, Instant>,
    filling: Filling,
}

/// How filling a pool goes. One that comes to nothing, for a signer is silent or spoils it, is tried less and less often: it takes computing from
/// the others.
#[derive(Default)]
struct Filling {
    /// What there was when it was begun, until it is seen what came of it.
    before: Option<BTreeSet<Hash32>>,
    /// How often in a row nothing came of it.
    failed: u32,
    /// Not again before this.
    rest: Option<Instant>,
}

impl Filling {
    fn rests(&self) -> bool {
        self.rest.is_some_and(|until| Instant::now() < until)
    }

    /// These are there now. What is used as soon as it is there is seen while others are still being made.
    fn look(&mut self, now: &BTreeSet<Hash32>, making: bool) {
        let something_new = self.before.as_ref().map(|before| !now.is_subset(before));
        match something_new {
            Some(true) => *self = Self::default(),
            Some(false) if !making => {
                self.before = None;
                self.fail();
            }
            _ => {}
        }
    }

    /// The last one was given. What failed while there were some may have given way to signing: without any, custodians make them sooner.
    fn hurry(&mut self) {
        *self = Self::default();
    }

    fn fail(&mut self) {
        let rest = FIRST_REST.saturating_mul(1 << self.failed.min(6));
        self.failed += 1;
        self.rest = Some(Instant::now() + rest.min(LONGEST_REST));
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Stock(Mutex<BTreeMap<PresignaturePool, Shelf>>);

impl Stock {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PresignaturePool, Shelf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many for a key and child, with signers none of whom is to be avoided: of the fullest pool.
    pub(super) fn take(
        &self,
        record: &KeyRecord,
        path: &DerivationPath,
        count: usize,
        avoid: &BTreeSet<PartyId>,
    ) -> Option<Hand> {
        let mut shelves = self.lock();
        let first = PresignaturePool::of(record, path, &[]);
        let fits = |pool: &PresignaturePool| {
            (pool.key, pool.epoch, &pool.path) == (record.id, record.epoch, path)
        };
        let (pool, shelf) = shelves
            .range_mut(first..)
            .take_while(|(pool, _)| fits(pool))
            .filter(|(pool, _)| !pool.signers.iter().any(|p| avoid.contains(p)))
            .max_by_key(|(_, shelf)| shelf.ready.len())?;
        let ids = shelf.take(count)?;
        let pool = pool.clone();
        Some(Hand { pool, ids })
    }

    /// So many of one pool.
    pub(super) fn take_of(&self, pool: PresignaturePool, count: usize) -> Option<Hand> {
        let ids = self.lock().get_mut(&pool)?.take(count)?;
        Some(Hand { pool, ids })
    }

    /// They were not used after all.
    pub(super) fn put_back(&self, hand: &Hand) {
        if let Some(shelf) = self.lock().get_mut(&hand.pool) {
            for id in &hand.ids {
                if shelf.given.remove(id).is_some() {
                    shelf.ready.insert(*id);
                }
            }
        }
    }

    /// Whether a pool is to be filled now, when so many of it are being made.
    fn may_fill(&self, pool: &PresignaturePool, making: bool, common: &[Hash32]) -> bool {
        let mut shelves = self.lock();
        let filling = &mut shelves.entry(pool.clone()).or_default().filling;
        filling.look(&common.iter().copied().collect(), making);
        !filling.rests()
    }

    /// Filling it was begun, or could not be.
    fn filling(&self, pool: &PresignaturePool, begun: bool, before: Vec<Hash32>) {
        if let Some(shelf) = self.lock().get_mut(pool) {
            match begun {
                true => shelf.filling.before = Some(before.into_iter().collect()),
                false => shelf.filling.fail(),
            }
        }
    }

    /// Takes in what agents have now.
    fn learn(&self, levels: &BTreeMap<PartyId, Vec<PoolLevel>>) {
        let mut shelves = self.lock();
        let pools: BTreeSet<&PresignaturePool> =
            levels.values().flatten().map(|level| &level.pool).collect();
        shelves.retain(|pool, _| pools.contains(pool));
        for pool in pools {
            let lists = lists(levels, pool);
            let anywhere: BTreeSet<Hash32> = lists
                .iter()
                .flatten()
                .flat_map(|l| l.ids.iter().copied())
                .collect();
            let shelf = shelves.entry(pool.clone()).or_default();
            shelf
                .given
                .retain(|id, at| anywhere.contains(id) && at.elapsed() < GIVEN_FOR);
            let given = &shelf.given;
            shelf.ready = common(&lists)
                .into_iter()
                .filter(|id| !given.contains_key(id))
                .collect();
        }
    }
}

impl Shelf {
    fn take(&mut self, count: usize) -> Option<Vec<Hash32>> {
        if self.ready.len() < count {
            return None;
        }
        let ids: Vec<Hash32> = self.ready.iter().take(count).copied().collect();
        for id in &ids {
            self.ready.remove(id);
            self.given.insert(*id, Instant::now());
        }
        if self.ready.is_empty() {
            self.filling.hurry();
        }
        Some(ids)
    }
}

/// What each signer of a pool says of it.
fn lists<'a>(
    levels: &'a BTreeMap<PartyId, Vec<PoolLevel>>,
    pool: &PresignaturePool,
) -> Vec<Option<&'a PoolLevel>> {
    let of = |party: &PartyId| levels.get(party)?.iter().find(|level| level.pool == *pool);
    pool.signers.iter().map(of).collect()
}

/// What all of them have.
fn common(lists: &[Option<&PoolLevel>]) -> Vec<Hash32> {
    let mut sets = lists.iter().map(|list| {
        let ids = list.map_or(&[][..], |level| level.ids.as_slice());
        ids.iter().copied().collect::<BTreeSet<_>>()
    });
    let first = sets.next().unwrap_or_default();
    let all = sets.fold(first, |all, set| all.intersection(&set).copied().collect());
    all.into_iter().collect()
}

/// How many presignatures to have made: as many as each signer wants. A signer whose pool seems full of what others have lost does not know that
/// it wants any before it hears which are of use.
fn wanted(lists: &[Option<&PoolLevel>], common: usize) -> u32 {
    let Some(known) = lists.iter().copied().collect::<Option<Vec<_>>>() else {
        return 0;
    };
    let wants = || known.iter().map(|level| level.wanted);
    let least = wants().min().unwrap_or(0);
    let idle = known.iter().all(|level| level.making == 0);
    let lost = known.iter().any(|level| level.ids.len() > common);
    if least == 0 && idle && lost {
        wants().max().unwrap_or(0)
    } else {
        least
    }
}

/// Has pools filled until the stock is dropped.
pub(super) async fn keep_filled(stock: Weak<Stock>, nodes: Nodes, roster: Arc<ValidRoster>) {
    let parties = roster.party_ids();
    loop {
        let Some(stock) = stock.upgrade() else {
            return;
        };
        let busy = refill(&stock, &nodes, &parties).await;
        drop(stock);
        tokio::time::sleep(if busy { BUSY } else { IDLE }).await;
    }
}

/// One look at the pools; returns whether any is being filled.
async fn refill(stock: &Stock, nodes: &Nodes, parties: &[PartyId]) -> bool {
    let replies = nodes.ask_all(parties, &NodeRequest::Pools, TIMEOUT).await;
    let levels: BTreeMap<PartyId, Vec<PoolLevel>> = parties
        .iter()
        .zip(replies)
        .filter_map(|(party, reply)| match reply {
            Ok(NodeReply::Pools(levels)) => {
                Some((party.clone(), plausible(party, parties, levels)))
            }
            _ => None,
        })
        .collect();
    stock.learn(&levels);
    let pools: BTreeSet<&PresignaturePool> = levels.values().flatten().map(|l| &l.pool).collect();
    let levels = &levels;
    let fill = |pool| fill(stock, nodes, levels, pool);
    let filled = futures::future::join_all(pools.into_iter().map(fill)).await;
    filled.into_iter().any(|busy| busy)
}

/// Has one pool filled if its signers want that. Returns whether it is being filled.
async fn fill(
    stock: &Stock,
    nodes: &Nodes,
    levels: &BTreeMap<PartyId, Vec<PoolLevel>>,
    pool: &PresignaturePool,
) -> bool {
    let lists = lists(levels, pool);
    let making = lists.iter().flatten().any(|level| level.making > 0);
    let common = common(&lists);
    let may_fill = stock.may_fill(pool, making, &common);
    let wanted = wanted(&lists, common.len());
    if wanted == 0 || !may_fill {
        return making;
    }
    let begun = presign(nodes, pool, wanted, common.clone()).await;
    stock.filling(pool, begun, common);
    begun || making
}

/// Of what a custodian says, the pools that can be: it and others of the roster sign, each once. A list is as long as an honest one at most.
fn plausible(party: &PartyId, parties: &[PartyId], levels: Vec<PoolLevel>) -> Vec<PoolLevel> {
    let can_be = |level: &PoolLevel| {
        let signers: BTreeSet<&PartyId> = level.pool.signers.iter().collect();
        signers.len() == level.pool.signers.len()
            && signers.len() >= 2
            && signers.contains(party)
            && signers.iter().all(|p| parties.contains(p))
    };
    levels.into_iter().filter(can_be).take(MAX_POOLS).collect()
}

/// Has every signer make so many, or as many as all can just now. Returns whether they do.
async fn presign(nodes: &Nodes, pool: &PresignaturePool, wanted: u32, useful: Vec<Hash32>) -> bool {
    let prepare = NodeRequest::PreparePresign {
        pool: pool.clone(),
        count: wanted.min(NodeRequest::MAX_PRESIGN),
        useful,
    };
    let replies = nodes.ask_all(&pool.signers, &prepare, TIMEOUT).await;
    let promises: Vec<Option<([u8; 32], u32)>> = replies
        .into_iter()
        .map(|reply| match reply {
            Ok(NodeReply::Prepared { nonce, items }) => Some((nonce, items)),
            _ => None,
        })
        .collect();
    // If one makes none, none are made, and those who promised some are told so.
    let count = promises
        .iter()
        .map(|p| p.map_or(0, |(_, items)| items))
        .min();
    let count = count.unwrap_or(0).min(wanted);
    let begin = NodeRequest::BeginPresign {
        nonces: promises
            .iter()
            .map(|p| p.map_or([0; 32], |(nonce, _)| nonce))
            .collect(),
        count,
    };
    let promised = pool.signers.iter().zip(&promises);
    let promised: Vec<PartyId> = promised
        .filter(|(_, promise)| promise.is_some())
        .map(|(party, _)| party.clone())
        .collect();
    let begun = nodes.ask_all(&promised, &begin, TIMEOUT).await;
    count > 0
        && begun
            .iter()
            .all(|reply| matches!(reply, Ok(NodeReply::Running)))
}

#[cfg(test)]
mod tests {
    use quorate_types::KeyId;

    use super::*;

    fn party(number: usize) -> PartyId {
        PartyId::new(&format!("party-{number}")).unwrap()
    }

    fn pool(signers: &[usize]) -> PresignaturePool {
        PresignaturePool {
            key: KeyId::from_bytes([1; 32]),
            epoch: 0,
            path: DerivationPath::root(),
            signers: signers.iter().map(|n| party(*n)).collect(),
        }
    }

    fn ids(numbers: &[u8]) -> Vec<Hash32> {
        numbers
            .iter()
            .map(|n| Hash32::from_bytes([*n; 32]))
            .collect()
    }

    fn level(pool: PresignaturePool, numbers: &[u8]) -> PoolLevel {
        PoolLevel {
            pool,
            ids: ids(numbers),
            wanted: 0,
            making: 0,
        }
    }

    fn levels(of: &[(usize, &[u8])]) -> BTreeMap<PartyId, Vec<PoolLevel>> {
        let one =
            |(number, have): &(usize, &[u8])| (party(*number), vec![level(pool(&[1, 2]), have)]);
        of.iter().map(one).collect()
    }

    #[test]
    fn only_what_every_signer_has_is_given_and_only_once() {
        let stock = Stock::default();
        let now = levels(&[(1, &[1, 2, 3]), (2, &[2, 3, 4])]);
        stock.learn(&now);
        let hand = stock.take_of(pool(&[1, 2]), 2).unwrap();
        assert_eq!(hand.ids, ids(&[2, 3]));
        // An agent that has not used them yet still lists them.
        stock.learn(&now);
        assert_eq!(stock.take_of(pool(&[1, 2]), 1), None);
        stock.put_back(&hand);
        assert!(stock.take_of(pool(&[1, 2]), 2).is_some());
        assert_eq!(stock.take_of(pool(&[2, 1]), 1), None);
    }

    #[test]
    fn pools_that_cannot_be_are_not_looked_at() {
        let roster = [party(1), party(2), party(3)];
        let said = |signers: &[usize]| {
            let levels = vec![level(pool(signers), &[1])];
            plausible(&party(1), &roster, levels).len()
        };
        assert_eq!(said(&[1, 2]), 1);
        for signers in [&[1][..], &[1, 1], &[2, 3], &[1, 4], &[]] {
            assert_eq!(said(signers), 0, "{signers:?}");
        }
        let many = vec![level(pool(&[1, 2]), &[]); MAX_POOLS + 1];
        assert_eq!(plausible(&party(1), &roster, many).len(), MAX_POOLS);
    }

    #[test]
    fn a_pool_that_is_full_of_what_others_have_lost_is_filled_again() {
        let list = |have: &[u8], wanted, making| PoolLevel {
            wanted,
            making,
            ..level(pool(&[1, 2]), have)
        };
        let wanted_of = |one: &PoolLevel, two: &PoolLevel| {
            let lists = [Some(one), Some(two)];
            wanted(&lists, common(&lists).len())
        };
        let (full, empty) = (list(&[1, 2, 3], 0, 0), list(&[], 4, 0));
        assert_eq!(wanted_of(&full, &empty), 4);
        // Between the marks, and one of them a moment ahead.
        assert_eq!(wanted_of(&full, &full), 0);
        assert_eq!(wanted_of(&list(&[1, 2, 3], 0, 1), &empty), 0);
        assert_eq!(wanted_of(&list(&[], 2, 0), &empty), 2);
        assert_eq!(wanted(&[Some(&empty), None], 0), 0);
    }

    #[test]
    fn a_pool_that_does_not_fill_is_tried_less_and_less_often() {
        let stock = Stock::default();
        let pool = pool(&[1, 2]);
        stock.learn(&levels(&[(1, &[1]), (2, &[1])]));
        let some = ids(&[1]);
        assert!(stock.may_fill(&pool, false, &some));
        stock.filling(&pool, true, some.clone());
        // While it is being made, and when something new has come of it.
        assert!(stock.may_fill(&pool, true, &some));
        assert!(stock.may_fill(&pool, false, &ids(&[1, 2])));
        // Nothing has come of it: what is left was there before.
        stock.filling(&pool, true, ids(&[1, 2]));
        assert!(!stock.may_fill(&pool, false, &ids(&[2])));
        let rest = |stock: &Stock| {
            let shelves = stock.lock();
            let until = shelves[&pool].filling.rest.unwrap();
            until.saturating_duration_since(Instant::now())
        };
        assert!(rest(&stock) <= FIRST_REST);
        for _ in 0..40 {
            stock.filling(&pool, false, Vec::new());
        }
        assert!(rest(&stock) > FIRST_REST && rest(&stock) <= LONGEST_REST);
    }

    /// A signer that says it has none, and had some, changes nothing: only what was given counts.
    #[test]
    fn a_pool_whose_last_one_is_given_does_not_rest() {
        let stock = Stock::default();
        let pool = pool(&[1, 2]);
        let failed = |numbers: &[u8]| {
            stock.learn(&levels(&[(1, numbers), (2, numbers)]));
            stock.filling(&pool, false, Vec::new());
            stock.may_fill(&pool, false, &ids(numbers))
        };
        assert!(!failed(&[1, 2]));
        stock.take_of(pool.clone(), 1).unwrap();
        assert!(!stock.may_fill(&pool, false, &ids(&[2])));
        stock.take_of(pool.clone(), 1).unwrap();
        assert!(stock.may_fill(&pool, false, &ids(&[])));
        // Nor does what was begun before that count.
        stock.learn(&levels(&[(1, &[4]), (2, &[4])]));
        stock.filling(&pool, true, ids(&[4]));
        stock.take_of(pool.clone(), 1).unwrap();
        assert!(stock.may_fill(&pool, false, &ids(&[])));
        assert!(!failed(&[3]));
        assert!(!failed(&[]));
    }

    #[test]
    fn what_a_restarted_agent_has_lost_is_not_given() {
        let stock = Stock::default();
        stock.learn(&levels(&[(1, &[1, 2]), (2, &[1, 2])]));
        stock.learn(&levels(&[(1, &[1, 2]), (2, &[])]));
        assert_eq!(stock.take_of(pool(&[1, 2]), 1), None);
        stock.learn(&levels(&[(1, &[1, 2, 5]), (2, &[5])]));
        assert_eq!(stock.take_of(pool(&[1, 2]), 1).unwrap().ids, ids(&[5]));
        stock.learn(&levels(&[]));
        assert!(stock.lock().is_empty());
    }
}
