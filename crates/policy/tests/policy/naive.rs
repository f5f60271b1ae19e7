//! Rolling sums the slow way: a list of spends, gone through for every question. Written from what [`Counter`] and
//! [`History::with`](quorate_policy::History::with) say, and shared with nothing.

use std::collections::BTreeMap;

use quorate_chain::U256;
use quorate_policy::Spend;
use quorate_types::{Asset, Counter, Hash32, Measure};

/// Each spend once, at the latest time anyone recorded it.
pub fn distinct(spends: impl IntoIterator<Item = Spend>) -> Vec<Spend> {
    let mut latest: BTreeMap<[u8; 32], Spend> = BTreeMap::new();
    for spend in spends {
        let name: Hash32 = spend.content();
        let entry = latest.entry(*name.as_bytes()).or_insert(spend.clone());
        if spend.at > entry.at {
            *entry = spend;
        }
    }
    latest.into_values().collect()
}

/// What every counter would stand at with this request, as far as one destination is concerned; the past is [`distinct`].
pub fn standings(
    counters: &[Counter],
    assets: &[Asset],
    past: &[Spend],
    request: &Spend,
    destination: &str,
) -> Vec<i64> {
    let of = |counter: &Counter| standing(counter, assets, past, request, destination);
    counters.iter().map(of).collect()
}

/// Whether a counter counts it, as far as one destination is concerned.
pub fn counts(counter: &Counter, assets: &[Asset], request: &Spend, destination: &str) -> bool {
    share(counter, assets, request, request, destination).is_some()
}

fn standing(
    counter: &Counter,
    assets: &[Asset],
    past: &[Spend],
    request: &Spend,
    destination: &str,
) -> i64 {
    let Some(own) = share(counter, assets, request, request, destination) else {
        return 0;
    };
    let mut total = own;
    for spend in past {
        let inside = spend.at > request.at.saturating_sub(counter.window_ms);
        let same = spend.id == request.id && spend.content() == request.content();
        if inside && !same {
            total += share(counter, assets, spend, request, destination).unwrap_or(0);
        }
    }
    i64::try_from(total).unwrap_or(i64::MAX)
}

/// What one spend adds to the sum that a request is compared with; `None` where the counter does not count it.
fn share(
    counter: &Counter,
    assets: &[Asset],
    spend: &Spend,
    request: &Spend,
    destination: &str,
) -> Option<i128> {
    if !counter.keys.is_empty() && !counter.keys.contains(&spend.key_name) {
        return None;
    }
    if counter.per_key && spend.key != request.key {
        return None;
    }
    let anywhere = counter.destinations.is_empty() && !counter.per_destination;
    let there = |to: &str| {
        (counter.destinations.is_empty() || counter.destinations.iter().any(|d| d == to))
            && (!counter.per_destination || to == destination)
    };
    let lines = spend.lines.iter().filter(|l| there(&l.destination));
    match &counter.measure {
        Measure::Count => (anywhere || lines.count() > 0).then_some(1),
        Measure::Amount { asset } => {
            let asset = assets.iter().find(|a| a.id == *asset).unwrap();
            if spend.network != Some(asset.network) {
                return None;
            }
            let amounts = lines
                .filter(|l| l.asset == asset.contract)
                .map(|l| units(U256::from_be_bytes(l.amount), asset));
            let mut amounts: Vec<i128> = amounts.collect();
            let fee = U256::from_be_bytes(spend.fee);
            if asset.contract.is_none() && anywhere && !fee.is_zero() {
                amounts.push(units(fee, asset));
            }
            (!amounts.is_empty()).then(|| amounts.into_iter().sum())
        }
    }
}

/// Policy units, rounded up; the largest that rules can name where there are more.
pub fn units(amount: U256, asset: &Asset) -> i128 {
    let mut left = amount;
    let mut dust = false;
    for _ in asset.precision..asset.decimals {
        dust |= left % U256::from(10) != U256::ZERO;
        left /= U256::from(10);
    }
    if dust {
        left += U256::from(1);
    }
    i128::from(i64::try_from(left).unwrap_or(i64::MAX))
}
