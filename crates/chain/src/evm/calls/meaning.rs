//! What a decoded call does, before its inner calls are read.

use std::collections::BTreeSet;

use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{Address, U256};

use crate::effects::{AssetRef, Danger, Movement, MovementKind};

/// 2^120 smallest units are 10^18 whole tokens of 18 decimals, more than any token's real supply.
const UNLIMITED_BITS: usize = 120;

/// Most tokens in one batch.
pub(super) const MAX_ITEMS: usize = 256;

/// Who is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) contract: Address,
}

/// A call that a decoded call makes in turn.
#[derive(Debug, Clone)]
pub(crate) struct Inner {
    pub(crate) to: Address,
    /// Wei.
    pub(crate) value: U256,
    pub(crate) data: Vec<u8>,
    /// The code at `to` runs with the rights of the account that calls.
    pub(crate) delegated: bool,
}

/// What a call does itself, and what it has others do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meaning {
    pub(crate) movements: Vec<Movement>,
    pub(crate) dangers: BTreeSet<Danger>,
    pub(crate) inner: Vec<Inner>,
}

impl Meaning {
    pub(crate) fn transfer(asset: AssetRef, to: Address, amount: U256) -> Self {
        Self {
            movements: vec![Movement {
                asset,
                kind: MovementKind::Transfer,
                destination: to.to_checksum(None),
                amount,
                own: None,
            }],
            ..Self::default()
        }
    }

    /// An approval; from [`UNLIMITED_BITS`] on it has no bound that means anything.
    pub(crate) fn approval(asset: AssetRef, spender: Address, amount: U256) -> Self {
        Self {
            movements: vec![Movement {
                asset,
                kind: MovementKind::Approval,
                destination: spender.to_checksum(None),
                amount,
                own: None,
            }],
            ..Self::default()
        }
        .with_danger_if(amount.bit_len() > UNLIMITED_BITS, Danger::UnlimitedApproval)
    }

    pub(crate) fn danger(danger: Danger) -> Self {
        Self::default().with_danger_if(true, danger)
    }

    pub(crate) fn calls(inner: Vec<Inner>) -> Self {
        Self {
            inner,
            ..Self::default()
        }
    }

    pub(crate) fn with_danger_if(mut self, present: bool, danger: Danger) -> Self {
        if present {
            self.dangers.insert(danger);
        }
        self
    }

    /// Both, in this order.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.movements.extend(other.movements);
        self.dangers.extend(other.dangers);
        self.inner.extend(other.inner);
        self
    }
}

pub(crate) fn token(contract: Address) -> AssetRef {
    AssetRef::Token {
        contract: contract.to_checksum(None),
    }
}

/// Of the functions that ERC-20 and ERC-721 share.
pub(super) fn token_or_item(contract: Address) -> AssetRef {
    AssetRef::TokenOrItem {
        contract: contract.to_checksum(None),
    }
}

pub(super) fn item(contract: Address, id: &U256) -> AssetRef {
    AssetRef::Item {
        contract: contract.to_checksum(None),
        id: id.to_string(),
    }
}

/// The integers of an array.
pub(super) fn uints(values: &[DynSolValue]) -> Option<Vec<U256>> {
    values
        .iter()
        .map(|value| Some(value.as_uint()?.0))
        .collect()
}
