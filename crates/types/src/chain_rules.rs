//! What the admins of a cluster say of chains where the signed bytes leave it open: which Bitcoin
//! network, which addresses are change, and how high a fee may be.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{BitcoinNetwork, DerivationPath, Network};

/// Part of a [`crate::Bundle`]. The default is what bundles without it mean: Bitcoin's main
/// network, no branch for change, and the fee bounds of each chain's default.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct ChainRules {
    /// The one Bitcoin network of the cluster. No signature on a Bitcoin transaction covers its
    /// network, so a transaction asked for on another one is refused.
    pub bitcoin: BitcoinNetwork,
    /// Branches of every key, such as `m/1`, whose Bitcoin addresses are change: what goes there
    /// has not left. What goes back to the address that is spent from is change in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub change: Vec<DerivationPath>,
    /// Bounds of fees, each network once; a network that is not listed has its default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<FeeBound>,
}

/// Beyond this a fee is no longer what a chain asks for, but money that is given away: the danger
/// `excessive-fee`. Amounts are in the smallest unit of the chain's own coin: wei, satoshi,
/// lamport.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct FeeBound {
    /// The chain.
    pub network: Network,
    /// The most a fee may be, whatever is moved.
    #[serde(with = "decimal")]
    pub most: u128,
    /// The most a fee may be in percent of the chain's own coin that the transaction moves. Not
    /// asked where it moves none, as a token transfer does.
    pub percent: u32,
    /// Up to this much `percent` is not asked: small payments cost more than they move.
    #[serde(with = "decimal")]
    pub free: u128,
}

impl FeeBound {
    /// The bound of a chain for which the admins have set none.
    #[must_use]
    pub const fn default_of(network: Network) -> Self {
        let (most, percent, free) = match network {
            // 0.5 and 0.05 of an EVM chain's coin.
            Network::Evm { .. } => (500_000_000_000_000_000, 25, 50_000_000_000_000_000),
            // 0.05 and 0.0005 bitcoin.
            Network::Bitcoin(_) => (5_000_000, 10, 50_000),
            // 0.1 and 0.01 SOL, the rent of new token accounts included.
            Network::Solana => (100_000_000, 25, 10_000_000),
        };
        Self {
            network,
            most,
            percent,
            free,
        }
    }
}

impl ChainRules {
    /// The most branches for change, and the most bounds of fees.
    pub const MAX: usize = 64;

    /// The bound of a network's fees.
    #[must_use]
    pub fn fee_bound(&self, network: Network) -> FeeBound {
        let set = self.fees.iter().find(|bound| bound.network == network);
        set.copied()
            .unwrap_or_else(|| FeeBound::default_of(network))
    }

    /// Whether addresses at this path are change: the path lies below a branch that is named.
    #[must_use]
    pub fn is_change(&self, path: &DerivationPath) -> bool {
        let below = |branch: &DerivationPath| {
            let branch = branch.components();
            path.components().len() > branch.len() && path.components().starts_with(branch)
        };
        self.change.iter().any(below)
    }

    /// Says what contradicts itself.
    ///
    /// # Errors
    /// A text for people.
    pub fn check(&self) -> Result<(), String> {
        if self.change.len() > Self::MAX || self.fees.len() > Self::MAX {
            let max = Self::MAX;
            return Err(format!(
                "at most {max} branches for change and {max} fee bounds"
            ));
        }
        if self.change.iter().any(DerivationPath::is_root) {
            return Err(
                "m is no branch for change: every child would be one; name m/1 or deeper"
                    .to_owned(),
            );
        }
        let mut seen = BTreeSet::new();
        let twice = |bound: &&FeeBound| !seen.insert(bound.network.to_string());
        match self.fees.iter().find(twice) {
            Some(bound) => Err(format!("{} has two fee bounds", bound.network)),
            None => Ok(()),
        }
    }
}

/// Amounts as decimal text in JSON, which not every reader can hold as a number.
mod decimal {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(amount: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> DerivationPath {
        text.parse().unwrap()
    }

    #[test]
    fn change_lies_below_a_branch_and_is_not_the_branch() {
        let rules = ChainRules {
            change: vec![path("m/1"), path("m/0/7")],
            ..ChainRules::default()
        };
        assert!(rules.is_change(&path("m/1/0")) && rules.is_change(&path("m/0/7/1/2")));
        for other in ["m", "m/1", "m/0", "m/0/7", "m/0/8/1", "m/11/0"] {
            assert!(!rules.is_change(&path(other)), "{other}");
        }
        assert!(!ChainRules::default().is_change(&path("m/1/0")));
    }

    #[test]
    fn a_network_has_one_bound_and_the_root_is_no_branch() {
        let bound = FeeBound {
            most: 7,
            ..FeeBound::default_of(Network::Solana)
        };
        let set = ChainRules {
            fees: vec![bound],
            ..ChainRules::default()
        };
        assert_eq!(set.check(), Ok(()));
        assert_eq!(set.fee_bound(Network::Solana).most, 7);
        let other = Network::Evm { chain_id: 1 };
        assert_eq!(set.fee_bound(other), FeeBound::default_of(other));
        let twice = ChainRules {
            fees: vec![bound, bound],
            ..set
        };
        assert!(twice.check().is_err());
        let root = ChainRules {
            change: vec![path("m")],
            ..ChainRules::default()
        };
        assert!(root.check().is_err());
    }
}
