//! Rolling sums over what was spent, kept so that a request costs little more than a binary search for each counter however long the
//! history is.

use std::collections::{BTreeMap, HashMap};

use quorate_chain::U256;
use quorate_types::{Asset, Bundle, Counter, Hash32, KeyId, Measure};

use crate::spend::{Spend, SpendLine, amount};
use crate::units::to_units;

/// Which sum: the counter's place in the bundle, and what it is split by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Series {
    counter: usize,
    key: Option<KeyId>,
    destination: Option<String>,
}

/// Entries in time order, in blocks with their totals: whatever order they come in, none moves more than a block.
#[derive(Debug, Default)]
struct Sum(Vec<Block>);

/// At least one entry; the spend's name makes the order whole.
#[derive(Debug)]
struct Block {
    entries: Vec<((u64, Hash32), i64)>,
    total: i128,
}

/// A block with more entries becomes two.
const BLOCK: usize = 512;

impl Block {
    fn new(entries: Vec<((u64, Hash32), i64)>) -> Self {
        let total = sum(&entries);
        Self { entries, total }
    }

    fn last(&self) -> Option<(u64, Hash32)> {
        self.entries.last().map(|(name, _)| *name)
    }
}

fn sum(entries: &[((u64, Hash32), i64)]) -> i128 {
    entries.iter().map(|(_, units)| i128::from(*units)).sum()
}

impl Sum {
    /// The block in which an entry is or would be, and where in it.
    fn find(&self, name: &(u64, Hash32)) -> (usize, Result<usize, usize>) {
        let before = self.0.partition_point(|b| b.last() < Some(*name));
        let block = before.min(self.0.len().saturating_sub(1));
        let found = self.0.get(block).map_or(Err(0), |b| {
            b.entries.binary_search_by_key(name, |(n, _)| *n)
        });
        (block, found)
    }

    fn insert(&mut self, at: u64, id: Hash32, units: i64) {
        let entry = ((at, id), units);
        let (place, found) = self.find(&entry.0);
        let Some(block) = self.0.get_mut(place) else {
            self.0.push(Block::new(vec![entry]));
            return;
        };
        let (Ok(within) | Err(within)) = found;
        block.entries.insert(within, entry);
        block.total = block.total.saturating_add(i128::from(units));
        if block.entries.len() > BLOCK {
            let later = block.entries.split_off(BLOCK / 2);
            let earlier = std::mem::take(&mut block.entries);
            *block = Block::new(earlier);
            self.0.insert(place.saturating_add(1), Block::new(later));
        }
    }

    fn remove(&mut self, at: u64, id: Hash32) {
        let (place, found) = self.find(&(at, id));
        let (Some(block), Ok(within)) = (self.0.get_mut(place), found) else {
            return;
        };
        let (_, units) = block.entries.remove(within);
        block.total = block.total.saturating_sub(i128::from(units));
        if block.entries.is_empty() {
            self.0.remove(place);
        }
    }

    /// Everything after a time.
    fn after(&self, time: u64) -> i128 {
        let early = self
            .0
            .partition_point(|b| b.last().is_some_and(|(at, _)| at <= time));
        let mut blocks = self.0.iter().skip(early);
        let first = blocks.next().map_or(0, |block| {
            let from = block.entries.partition_point(|((at, _), _)| *at <= time);
            block.entries.get(from..).map_or(0, sum)
        });
        blocks.fold(first, |sum, block| sum.saturating_add(block.total))
    }
}

/// Where every counter that counts a spend would stand with it.
#[derive(Debug)]
pub(crate) struct Standings {
    /// In the counters' order, of those that are not split by destination.
    everywhere: Vec<i128>,
    /// By destination: which counter, and where it stands there.
    at: HashMap<String, Vec<(usize, i128)>>,
    counted: bool,
}

impl Standings {
    fn new(counters: usize, found: impl Iterator<Item = (Series, i128)>) -> Self {
        let mut standings = Self {
            everywhere: vec![0; counters],
            at: HashMap::new(),
            counted: false,
        };
        for (series, standing) in found {
            standings.counted = true;
            match series.destination {
                Some(to) => {
                    let there = standings.at.entry(to).or_default();
                    there.push((series.counter, standing));
                }
                None => add(&mut standings.everywhere, series.counter, standing),
            }
        }
        standings
    }

    /// Whether any counter counts it.
    pub const fn counted(&self) -> bool {
        self.counted
    }

    /// As far as one destination is concerned, in the counters' order.
    pub fn at(&self, destination: &str) -> Vec<i64> {
        let mut values = self.everywhere.clone();
        for (counter, standing) in self.at.get(destination).into_iter().flatten() {
            add(&mut values, *counter, *standing);
        }
        let clamp = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
        values.into_iter().map(clamp).collect()
    }
}

fn add(values: &mut [i128], counter: usize, standing: i128) {
    if let Some(value) = values.get_mut(counter) {
        *value = value.saturating_add(standing);
    }
}

/// What was spent, as one bundle's counters count it.
#[derive(Debug)]
pub struct History {
    counters: Vec<Counter>,
    assets: Vec<Asset>,
    sums: HashMap<Series, Sum>,
    spends: HashMap<Hash32, Spend>,
}

impl History {
    /// An empty history for a bundle.
    #[must_use]
    pub fn new(bundle: &Bundle) -> Self {
        Self {
            counters: bundle.counters.clone(),
            assets: bundle.assets.clone(),
            sums: HashMap::new(),
            spends: HashMap::new(),
        }
    }

    /// Adds a spend. One that is known counts at the latest time anyone recorded: a window that contains the earlier time contains the
    /// later one, too, as long as it is open.
    pub fn insert(&mut self, spend: Spend) {
        let content = spend.content();
        if let Some(known) = self.spends.get(&content) {
            if known.at >= spend.at {
                return;
            }
            self.remove(content);
        }
        for (series, units) in self.contributions(&spend) {
            let sum = self.sums.entry(series).or_default();
            sum.insert(spend.at, content, units);
        }
        self.spends.insert(content, spend);
    }

    /// Takes a spend out again, by its [`Spend::content`]: it is proven that it will never be signed.
    pub fn remove(&mut self, content: Hash32) {
        let Some(spend) = self.spends.remove(&content) else {
            return;
        };
        for (series, _) in self.contributions(&spend) {
            if let Some(sum) = self.sums.get_mut(&series) {
                sum.remove(spend.at, content);
            }
        }
    }

    /// How many spends there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spends.is_empty()
    }

    /// The longest window of any counter, in milliseconds.
    pub(crate) fn longest_window(&self) -> u64 {
        self.counters.iter().map(|c| c.window_ms).max().unwrap_or(0)
    }

    /// Whether any counter counts this spend.
    #[must_use]
    pub fn counts(&self, spend: &Spend) -> bool {
        !self.contributions(spend).is_empty()
    }

    /// What each counter would stand at if this spend were added now, as far as `destination` is concerned; 0 where the counter does not
    /// count it. [`i64::MAX`] when out of range, which no limit admits. In the bundle's order.
    #[must_use]
    pub fn with(&self, spend: &Spend, destination: &str) -> Vec<i64> {
        self.standings(spend).at(destination)
    }

    /// [`Self::with`] for all destinations.
    pub(crate) fn standings(&self, spend: &Spend) -> Standings {
        let found = self.contributions(spend);
        let own = match found.as_slice() {
            [] => None,
            _ => self.spends.get(&spend.content()),
        };
        let own = own.map(|known| (known.at, self.contributions(known).into_iter().collect()));
        let found = found.into_iter().map(|(series, units)| {
            let before = self.before(&series, spend.at, own.as_ref());
            (series, before.saturating_add(i128::from(units)))
        });
        Standings::new(self.counters.len(), found)
    }

    /// The window's sum without this very spend.
    fn before(&self, series: &Series, at: u64, own: Option<&(u64, HashMap<Series, i64>)>) -> i128 {
        let Some(counter) = self.counters.get(series.counter) else {
            return i128::MAX;
        };
        let opened = at.saturating_sub(counter.window_ms);
        let sum = self.sums.get(series).map_or(0, |sum| sum.after(opened));
        let own = own.filter(|(known_at, _)| *known_at > opened);
        let own = own.and_then(|(_, lines)| lines.get(series));
        sum.saturating_sub(own.map_or(0, |units| i128::from(*units)))
    }

    fn contributions(&self, spend: &Spend) -> Vec<(Series, i64)> {
        let mut found: Vec<(Series, i64)> = Vec::new();
        for (place, counter) in self.counters.iter().enumerate() {
            if !counter.keys.is_empty() && !counter.keys.contains(&spend.key_name) {
                continue;
            }
            let mut totals: BTreeMap<Option<&str>, i64> = BTreeMap::new();
            for (destination, units) in self.counted(counter, spend) {
                let total = totals
                    .entry(destination.filter(|_| counter.per_destination))
                    .or_default();
                *total = total.saturating_add(units);
            }
            let once = counter.measure == Measure::Count;
            found.extend(totals.into_iter().map(|(destination, units)| {
                let series = Series {
                    counter: place,
                    key: counter.per_key.then_some(spend.key),
                    destination: destination.map(str::to_owned),
                };
                // However many lines, it is so many payloads: a batch counts as if each had been a request.
                let payloads = i64::from(spend.payloads);
                (series, if once { payloads } else { units })
            }));
        }
        found
    }

    fn counted<'a>(&self, counter: &Counter, spend: &'a Spend) -> Vec<(Option<&'a str>, i64)> {
        let there = |line: &&SpendLine| {
            counter.destinations.is_empty() || counter.destinations.contains(&line.destination)
        };
        let lines = spend.lines.iter().filter(there);
        let everywhere = counter.destinations.is_empty() && !counter.per_destination;
        match &counter.measure {
            Measure::Count if everywhere => vec![(None, 1)],
            Measure::Count => lines
                .map(|line| (Some(line.destination.as_str()), 1))
                .collect(),
            Measure::Amount { asset } => {
                let Some(asset) = self.assets.iter().find(|a| a.id == *asset) else {
                    return vec![(None, i64::MAX)];
                };
                if spend.network != Some(asset.network) {
                    return Vec::new();
                }
                let of_asset = lines.filter(|line| line.asset == asset.contract);
                let mut counted: Vec<_> = of_asset
                    .map(|line| {
                        (
                            Some(line.destination.as_str()),
                            to_units(amount(&line.amount), asset),
                        )
                    })
                    .collect();
                let fee = amount(&spend.fee);
                if asset.contract.is_none() && everywhere && fee > U256::ZERO {
                    counted.push((None, to_units(fee, asset)));
                }
                counted
            }
        }
    }
}
