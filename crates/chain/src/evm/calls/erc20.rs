//! ERC-20, ERC-2612 on chain, and DAI's permit.

use alloy_dyn_abi::DynSolValue as V;
use alloy_primitives::U256;

use super::abi::Reader;
use super::meaning::{Meaning, Target, token, token_or_item};

pub(super) const FUNCTIONS: &[(&str, Reader)] = &[
    ("transfer(address,uint256)", transfer),
    ("transferFrom(address,address,uint256)", transfer_from),
    ("approve(address,uint256)", approve),
    ("increaseAllowance(address,uint256)", increase),
    ("decreaseAllowance(address,uint256)", decrease),
    (
        "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
        permit,
    ),
    (
        "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)",
        dai_permit,
    ),
];

fn transfer(target: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [V::Address(to), V::Uint(amount, _)] => {
            Some(Meaning::transfer(token(target.contract), *to, *amount))
        }
        _ => None,
    }
}

/// Counted from whoever it comes. ERC-721 has the same selector, with an item's id for the amount.
fn transfer_from(target: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [V::Address(_), V::Address(to), V::Uint(amount, _)] => Some(Meaning::transfer(
            token_or_item(target.contract),
            *to,
            *amount,
        )),
        _ => None,
    }
}

/// `approve` of ERC-721 has the same selector, with an item's id for the amount.
fn approve(target: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [V::Address(spender), V::Uint(amount, _)] => Some(Meaning::approval(
            token_or_item(target.contract),
            *spender,
            *amount,
        )),
        _ => None,
    }
}

/// Only ERC-20 has it.
fn increase(target: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [V::Address(spender), V::Uint(amount, _)] => {
            Some(Meaning::approval(token(target.contract), *spender, *amount))
        }
        _ => None,
    }
}

/// Nothing new may be taken; shown as an approval of nothing, so that the spender is seen.
fn decrease(target: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [V::Address(spender), V::Uint(_, _)] => Some(Meaning::approval(
            token(target.contract),
            *spender,
            U256::ZERO,
        )),
        _ => None,
    }
}

/// Whoever signed it; counted as if it were this account's.
fn permit(target: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [V::Address(_), V::Address(spender), V::Uint(amount, _), ..] => {
            Some(Meaning::approval(token(target.contract), *spender, *amount))
        }
        _ => None,
    }
}

/// `permit(holder, spender, nonce, expiry, allowed, v, r, s)`: everything or nothing.
fn dai_permit(target: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [
            V::Address(_),
            V::Address(spender),
            V::Uint(_, _),
            V::Uint(_, _),
            V::Bool(allowed),
            ..,
        ] => Some(Meaning::approval(
            token(target.contract),
            *spender,
            all_or_nothing(*allowed),
        )),
        _ => None,
    }
}

/// The amount of an approval that knows only everything and nothing.
pub(crate) const fn all_or_nothing(allowed: bool) -> U256 {
    if allowed { U256::MAX } else { U256::ZERO }
}
