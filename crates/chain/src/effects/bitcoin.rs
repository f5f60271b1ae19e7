//! Effects of Bitcoin transactions.

use alloy_primitives::U256;

use super::{AssetRef, Effects, Movement};
use crate::facts::BitcoinFacts;

pub(super) fn transaction(facts: &BitcoinFacts) -> Effects {
    let foreign = facts.outputs.iter().filter(|o| !o.change);
    Effects {
        movements: foreign
            .map(|o| {
                let script = || format!("script:{}", o.script);
                let to = o.address.clone().unwrap_or_else(script);
                Movement {
                    own: o.path.clone(),
                    ..Movement::transfer(AssetRef::Native, &to, U256::from(o.amount))
                }
            })
            .collect(),
        fee: U256::from(facts.fee),
        fee_rate: Some(facts.fee_rate),
        ..Effects::default()
    }
}
