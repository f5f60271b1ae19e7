//! Safe (Gnosis Safe) 1.0 to 1.4 accounts, and MultiSend.

use alloy_dyn_abi::DynSolValue as V;
use alloy_primitives::{Address, U256};

use super::abi::Reader;
use super::meaning::{Inner, MAX_ITEMS, Meaning, Target, token};
use crate::effects::{AssetRef, Danger};

/// `to, value, data, operation, safeTxGas, baseGas, gasPrice, gasToken, refundReceiver, signatures`.
pub(super) const EXEC_TRANSACTION: &str =
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)";

/// MultiSend and MultiSendCallOnly; Safes run it by delegatecall.
pub(super) const MULTI_SEND: &str = "multiSend(bytes)";

pub(super) const FUNCTIONS: &[(&str, Reader)] = &[
    (EXEC_TRANSACTION, exec_transaction),
    (
        "execTransactionFromModule(address,uint256,bytes,uint8)",
        exec_from_module,
    ),
    (
        "execTransactionFromModuleReturnData(address,uint256,bytes,uint8)",
        exec_from_module,
    ),
    (MULTI_SEND, multi_send),
    ("addOwnerWithThreshold(address,uint256)", authority),
    ("removeOwner(address,address,uint256)", authority),
    ("swapOwner(address,address,address)", authority),
    ("changeThreshold(uint256)", authority),
    ("enableModule(address)", authority),
    ("disableModule(address,address)", authority),
    ("setGuard(address)", authority),
    ("setModuleGuard(address)", authority),
    ("setFallbackHandler(address)", authority),
    ("changeMasterCopy(address)", authority),
    (
        "setup(address[],uint256,address,bytes,address,address,uint256,address)",
        setup,
    ),
];

fn exec_transaction(_: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [
            V::Address(to),
            V::Uint(value, _),
            V::Bytes(data),
            V::Uint(operation, _),
            V::Uint(_, _),
            V::Uint(_, _),
            V::Uint(gas_price, _),
            V::Address(gas_token),
            V::Address(refund_receiver),
            V::Bytes(_),
        ] => {
            let act = operation_of(*to, *value, data, *operation)?;
            Some(act.and(refund(*gas_price, *gas_token, *refund_receiver)))
        }
        _ => None,
    }
}

/// The same, as the message that owners sign (`SafeTx`): the fields up to the refund receiver, then the nonce.
pub(crate) fn safe_tx(values: &[V]) -> Option<Meaning> {
    match values {
        [fields @ .., V::Uint(_, _)] => {
            let fields: Vec<V> = fields
                .iter()
                .cloned()
                .chain([V::Bytes(Vec::new())])
                .collect();
            let nobody = Target {
                contract: Address::ZERO,
            };
            exec_transaction(&nobody, &fields)
        }
        _ => None,
    }
}

fn exec_from_module(_: &Target, values: &[V]) -> Option<Meaning> {
    match values {
        [
            V::Address(to),
            V::Uint(value, _),
            V::Bytes(data),
            V::Uint(operation, _),
        ] => operation_of(*to, *value, data, *operation),
        _ => None,
    }
}

/// 0 is a call, 1 a delegatecall; there is no other.
fn operation_of(to: Address, value: U256, data: &[u8], operation: U256) -> Option<Meaning> {
    let delegated = match u8::try_from(operation).ok()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let inner = Inner {
        to,
        value: if delegated { U256::ZERO } else { value },
        data: data.to_vec(),
        delegated,
    };
    Some(Meaning::calls(vec![inner]).with_danger_if(delegated, Danger::Delegatecall))
}

/// With a gas price the Safe pays whoever is named (or, with the zero address, whoever sends the transaction) for gas that the
/// owners never see, `baseGas` being any number: it counts as everything there is.
fn refund(gas_price: U256, gas_token: Address, receiver: Address) -> Meaning {
    if gas_price.is_zero() {
        return Meaning::default();
    }
    let asset = if gas_token.is_zero() {
        AssetRef::Native
    } else {
        token(gas_token)
    };
    Meaning::transfer(asset, receiver, U256::MAX)
}

/// MultiSend's packed transactions: operation (1 byte), to (20), value (32), length of the data (32), data.
fn multi_send(_: &Target, values: &[V]) -> Option<Meaning> {
    let [V::Bytes(packed)] = values else {
        return None;
    };
    let mut rest = packed.as_slice();
    let mut meaning = Meaning::default();
    while !rest.is_empty() {
        if meaning.inner.len() >= MAX_ITEMS {
            return None;
        }
        let (one, after) = packed_transaction(rest)?;
        meaning = meaning.and(one);
        rest = after;
    }
    Some(meaning)
}

fn packed_transaction(packed: &[u8]) -> Option<(Meaning, &[u8])> {
    let (operation, rest) = packed.split_first()?;
    let (to, rest) = rest.split_first_chunk::<20>()?;
    let (value, rest) = rest.split_first_chunk::<32>()?;
    let (len, rest) = rest.split_first_chunk::<32>()?;
    let len = usize::try_from(U256::from_be_bytes(*len)).ok()?;
    let (data, rest) = rest.split_at_checked(len)?;
    let act = operation_of(
        Address::from(*to),
        U256::from_be_bytes(*value),
        data,
        U256::from(*operation),
    )?;
    Some((act, rest))
}

/// Owners, threshold, modules, guard, fallback handler or implementation.
fn authority(_: &Target, _: &[V]) -> Option<Meaning> {
    Some(Meaning::danger(Danger::AuthorityChange))
}

/// The first configuration of an account: owners, threshold, a delegatecall unless `to` is zero, fallback handler, and a payment.
fn setup(_: &Target, values: &[V]) -> Option<Meaning> {
    let [
        V::Array(_),
        V::Uint(_, _),
        V::Address(to),
        V::Bytes(data),
        V::Address(_),
        V::Address(payment_token),
        V::Uint(payment, _),
        V::Address(receiver),
    ] = values
    else {
        return None;
    };
    let mut meaning = Meaning::danger(Danger::AuthorityChange);
    if !to.is_zero() {
        meaning = meaning.and(operation_of(*to, U256::ZERO, data, U256::ONE)?);
    }
    if !payment.is_zero() {
        let asset = if payment_token.is_zero() {
            AssetRef::Native
        } else {
            token(*payment_token)
        };
        meaning = meaning.and(Meaning::transfer(asset, *receiver, *payment));
    }
    Some(meaning)
}
