//! What is dangerous about a payload under a bundle: what `chain` says, and a fee that is beyond
//! the bundle's bounds.

use std::collections::BTreeSet;

use quorate_chain::{AssetRef, Danger, Effects, U256};
use quorate_types::{ChainRules, FeeBound, Network};

use crate::request::leaving;

/// Everything dangerous about a payload for `network`, or about any member of a batch.
#[must_use]
pub fn dangers(
    effects: &Effects,
    network: Option<Network>,
    chains: &ChainRules,
) -> BTreeSet<Danger> {
    let mut dangers = effects.dangers.clone();
    let one = std::slice::from_ref(effects);
    let transactions = match effects.members.as_slice() {
        [] => one,
        members => members,
    };
    // Bounds are each transaction's, however many come in one batch.
    if let Some(network) = network
        && transactions
            .iter()
            .any(|tx| is_excessive(tx, &chains.fee_bound(network), chains))
    {
        dangers.insert(Danger::ExcessiveFee);
    }
    dangers
}

fn is_excessive(effects: &Effects, bound: &FeeBound, chains: &ChainRules) -> bool {
    let fee = effects.fee;
    if fee > U256::from(bound.most) {
        return true;
    }
    let coins = leaving(effects, chains).filter(|m| m.asset == AssetRef::Native);
    let moved = coins.fold(U256::ZERO, |sum, m| sum.saturating_add(m.amount));
    let share = moved.saturating_mul(U256::from(bound.percent));
    !moved.is_zero()
        && fee > U256::from(bound.free)
        && fee.saturating_mul(U256::from(100u8)) > share
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_chain::{Movement, MovementKind};

    const ETHEREUM: Network = Network::Evm { chain_id: 1 };

    fn pays(fee: u64, moved: u64) -> Effects {
        Effects {
            movements: vec![Movement {
                asset: AssetRef::Native,
                kind: MovementKind::Transfer,
                destination: "to".to_owned(),
                amount: U256::from(moved),
                own: None,
            }],
            fee: U256::from(fee),
            ..Effects::default()
        }
    }

    fn excessive(effects: &Effects) -> bool {
        let bound = FeeBound {
            network: ETHEREUM,
            most: 1_000,
            percent: 10,
            free: 50,
        };
        let chains = ChainRules {
            fees: vec![bound],
            ..ChainRules::default()
        };
        dangers(effects, Some(ETHEREUM), &chains).contains(&Danger::ExcessiveFee)
    }

    #[test]
    fn a_fee_is_bounded_absolutely_and_by_what_is_moved() {
        assert!(!excessive(&pays(1_000, 10_000)));
        assert!(excessive(&pays(1_001, u64::MAX)));
        assert!(!excessive(&pays(50, 1)));
        assert!(excessive(&pays(51, 509)));
        assert!(!excessive(&pays(51, 510)));
        // Where no coins move, they say nothing about the fee.
        assert!(!excessive(&pays(1_000, 0)));
    }

    #[test]
    fn each_transaction_of_a_batch_is_bounded_by_itself() {
        let cheap = || pays(600, 100_000);
        assert!(!excessive(&Effects::of_batch(vec![cheap(), cheap()])));
        assert!(excessive(&Effects::of_batch(vec![cheap(), pays(51, 1)])));
    }
}
