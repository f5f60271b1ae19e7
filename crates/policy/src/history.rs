//! Rolling sums over what was spent, kept so that a request costs a binary search for each counter however long the history is.

use std::collections::HashMap;

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

/// Entries in time order, with running totals.
#[derive(Debug, Default)]
struct Sum {
    entries: Vec<(u64, Hash32, i64)>,
    /// Total before and with each entry.
    totals: Vec<i128>,
}

impl Sum {
    fn insert(&mut self, at: u64, id: Hash32, units: i64) {
        let place = self.entries.partition_point(|(other, ..)| *other <= at);
        self.entries.insert(place, (at, id, units));
        self.total_from(place);
    }

    fn remove(&mut self, at: u64, id: Hash32) {
        let from = self.entries.partition_point(|(other, ..)| *other < at);
        let found = self
            .entries
            .iter()
            .skip(from)
            .position(|(_, other, _)| *other == id);
        if let Some(offset) = found {
            self.entries.remove(from.saturating_add(offset));
            self.total_from(from);
        }
    }

    fn total_from(&mut self, place: usize) {
        self.totals.truncate(place);
        let mut total = self.totals.last().copied().unwrap_or(0);
        for (_, _, units) in self.entries.iter().skip(place) {
            total = total.saturating_add(i128::from(*units));
            self.totals.push(total);
        }
    }

    /// Everything after a time.
    fn after(&self, time: u64) -> i128 {
        let place = self.entries.partition_point(|(at, ..)| *at <= time);
        let before = place.checked_sub(1).and_then(|i| self.totals.get(i));
        let all = self.totals.last().copied().unwrap_or(0);
        all.saturating_sub(before.copied().unwrap_or(0))
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
        let mut values = vec![0i128; self.counters.len()];
        for (series, units) in self.contributions(spend) {
            if series
                .destination
                .as_deref()
                .is_some_and(|d| d != destination)
            {
                continue;
            }
            let before = self.before(&series, spend);
            if let Some(value) = values.get_mut(series.counter) {
                *value = value
                    .saturating_add(before)
                    .saturating_add(i128::from(units));
            }
        }
        let clamp = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
        values.into_iter().map(clamp).collect()
    }

    /// The window's sum without this very spend.
    fn before(&self, series: &Series, spend: &Spend) -> i128 {
        let Some(counter) = self.counters.get(series.counter) else {
            return i128::MAX;
        };
        let opened = spend.at.saturating_sub(counter.window_ms);
        let sum = self.sums.get(series).map_or(0, |sum| sum.after(opened));
        let own = self.spends.get(&spend.content());
        let own = own.filter(|known| known.at > opened);
        let own = own.map_or(0, |known| {
            let found = self
                .contributions(known)
                .into_iter()
                .find(|(s, _)| s == series);
            found.map_or(0, |(_, units)| i128::from(units))
        });
        sum.saturating_sub(own)
    }

    fn contributions(&self, spend: &Spend) -> Vec<(Series, i64)> {
        let mut found: Vec<(Series, i64)> = Vec::new();
        for (place, counter) in self.counters.iter().enumerate() {
            if !counter.keys.is_empty() && !counter.keys.contains(&spend.key_name) {
                continue;
            }
            let key = counter.per_key.then_some(spend.key);
            for (destination, units) in self.counted(counter, spend) {
                let series = Series {
                    counter: place,
                    key,
                    destination: destination
                        .filter(|_| counter.per_destination)
                        .map(str::to_owned),
                };
                match found.iter_mut().find(|(known, _)| *known == series) {
                    Some((_, total)) => *total = total.saturating_add(units),
                    None => found.push((series, units)),
                }
            }
            if counter.measure == Measure::Count {
                // However many lines, it is one request.
                for (_, units) in found.iter_mut().filter(|(s, _)| s.counter == place) {
                    *units = 1;
                }
            }
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
