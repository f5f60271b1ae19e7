//! Contracts that make many calls: `multicall` of OpenZeppelin and Uniswap, Multicall2 and Multicall3.

use alloy_dyn_abi::DynSolValue as V;
use alloy_primitives::U256;

use super::abi::Reader;
use super::meaning::{Inner, Meaning, Target};

pub(super) const FUNCTIONS: &[(&str, Reader)] = &[
    ("multicall(bytes[])", own),
    ("multicall(uint256,bytes[])", own),
    ("multicall(bytes32,bytes[])", own),
    ("aggregate((address,bytes)[])", others),
    ("blockAndAggregate((address,bytes)[])", others),
    ("tryAggregate(bool,(address,bytes)[])", others),
    ("tryBlockAndAggregate(bool,(address,bytes)[])", others),
    ("aggregate3((address,bool,bytes)[])", others),
    ("aggregate3Value((address,bool,uint256,bytes)[])", others),
];

/// Functions of the contract itself. What native value comes with the outer call is counted there.
fn own(target: &Target, values: &[V]) -> Option<Meaning> {
    let [.., V::Array(calls)] = values else {
        return None;
    };
    let inner = calls.iter().map(|call| match call {
        V::Bytes(data) => Some(Inner {
            to: target.contract,
            value: U256::ZERO,
            data: data.clone(),
            delegated: false,
        }),
        _ => None,
    });
    inner.collect::<Option<_>>().map(Meaning::calls)
}

/// Functions of any contract, called by this one.
fn others(_: &Target, values: &[V]) -> Option<Meaning> {
    let [.., V::Array(calls)] = values else {
        return None;
    };
    calls
        .iter()
        .map(other)
        .collect::<Option<_>>()
        .map(Meaning::calls)
}

fn other(call: &V) -> Option<Inner> {
    let V::Tuple(fields) = call else {
        return None;
    };
    let (to, value, data) = match fields.as_slice() {
        [V::Address(to), V::Bytes(data)] | [V::Address(to), V::Bool(_), V::Bytes(data)] => {
            (to, U256::ZERO, data)
        }
        [
            V::Address(to),
            V::Bool(_),
            V::Uint(value, _),
            V::Bytes(data),
        ] => (to, *value, data),
        _ => return None,
    };
    Some(Inner {
        to: *to,
        value,
        data: data.clone(),
        delegated: false,
    })
}
