//! ERC-721 and ERC-1155. `transferFrom` and `approve` of ERC-721 are with ERC-20, whose selectors they share.

use alloy_dyn_abi::DynSolValue as V;
use alloy_primitives::U256;

use super::abi::Reader;
use super::erc20::all_or_nothing;
use super::meaning::{MAX_ITEMS, Meaning, Target, item, token, uints};
use crate::effects::{Danger, MovementKind};

pub(super) const FUNCTIONS: &[(&str, Reader)] = &[
    ("safeTransferFrom(address,address,uint256)", one),
    ("safeTransferFrom(address,address,uint256,bytes)", one),
    (
        "safeTransferFrom(address,address,uint256,uint256,bytes)",
        some,
    ),
    (
        "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
        batch,
    ),
    ("setApprovalForAll(address,bool)", approval_for_all),
];

fn one(target: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [V::Address(_), V::Address(to), V::Uint(id, _), ..] => {
            Some(Meaning::transfer(item(target.contract, id), *to, U256::ONE))
        }
        _ => None,
    }
}

fn some(target: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [
            V::Address(_),
            V::Address(to),
            V::Uint(id, _),
            V::Uint(amount, _),
            V::Bytes(_),
        ] => Some(Meaning::transfer(item(target.contract, id), *to, *amount)),
        _ => None,
    }
}

fn batch(target: &Target, values: &[V]) -> Option<Meaning> {
    let [
        V::Address(_),
        V::Address(to),
        V::Array(ids),
        V::Array(amounts),
        V::Bytes(_),
    ] = values
    else {
        return None;
    };
    let (ids, amounts) = (uints(ids)?, uints(amounts)?);
    if ids.len() != amounts.len() || ids.len() > MAX_ITEMS {
        return None;
    }
    let moved = ids
        .iter()
        .zip(amounts)
        .map(|(id, amount)| Meaning::transfer(item(target.contract, id), *to, amount));
    Some(moved.fold(Meaning::default(), Meaning::and))
}

/// An operator for every token of the contract, those that come later as well: an approval of everything.
fn approval_for_all(target: &Target, values: &[V]) -> Option<Meaning> {
    let [V::Address(operator), V::Bool(allowed)] = values else {
        return None;
    };
    let amount = all_or_nothing(*allowed);
    let mut meaning = Meaning::transfer(token(target.contract), *operator, amount);
    for movement in &mut meaning.movements {
        movement.kind = MovementKind::Approval;
    }
    Some(meaning.with_danger_if(*allowed, Danger::ApprovalForAll))
}
