//! Typed data whose meaning is known: permits and Safe transactions.
//!
//! Known by the exact EIP-712 type with everything it refers to, and by a domain that names chain and contract. The domain's name and
//! version are not looked at: they are the contract's own affair.

use alloy_dyn_abi::{DynSolValue as V, TypedData};
use alloy_primitives::{Address, address};

use crate::evm::calls::{Meaning, all_or_nothing, read_inner, safe_tx, token};
use crate::facts::TypedMeaning;

/// Uniswap's Permit2 on most chains. Its types mean nothing where another contract verifies them.
const PERMIT2: Address = address!("000000000022D473030F116dDEE9F6B43aC78BA3");

/// What a message of the type says, verified by the contract.
type Reader = fn(Address, &[V]) -> Option<Meaning>;

/// `encodeType` of EIP-712, name for people, reader.
const KNOWN: &[(&str, &str, Reader)] = &[
    (
        "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)",
        "EIP-2612 permit",
        permit,
    ),
    (
        "Permit(address holder,address spender,uint256 nonce,uint256 expiry,bool allowed)",
        "approval by DAI's permit",
        dai_permit,
    ),
    (
        "PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)",
        "allowance by Permit2",
        permit2,
    ),
    (
        "PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)",
        "allowance by Permit2, in a batch",
        permit2,
    ),
    (
        "PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)",
        "order to transfer by Permit2",
        permit2,
    ),
    (
        "PermitBatchTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline)TokenPermissions(address token,uint256 amount)",
        "order to transfer by Permit2, in a batch",
        permit2,
    ),
    (
        "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)",
        "order to a Safe account",
        safe,
    ),
];

/// What the message allows; `None` when it is not of a known type or its domain is not bound to a chain and a contract.
pub(super) fn meaning(data: &TypedData, message: &V) -> Option<TypedMeaning> {
    let domain = data.domain();
    let contract = domain.verifying_contract?;
    domain.chain_id?;
    let encoded = data.resolver.encode_type(&data.primary_type).ok()?;
    let (_, standard, reader) = KNOWN.iter().find(|(known, ..)| *known == encoded)?;
    let meaning = reader(contract, fields(message)?)?;
    Some(TypedMeaning {
        standard: (*standard).to_owned(),
        inner: read_inner(&meaning.inner)?,
        movements: meaning.movements,
        dangers: meaning.dangers,
    })
}

fn fields(value: &V) -> Option<&[V]> {
    match value {
        V::CustomStruct { tuple, .. } => Some(tuple),
        _ => None,
    }
}

fn permit(contract: Address, values: &[V]) -> Option<Meaning> {
    match values {
        [V::Address(_), V::Address(spender), V::Uint(amount, _), ..] => {
            Some(Meaning::approval(token(contract), *spender, *amount))
        }
        _ => None,
    }
}

fn dai_permit(contract: Address, values: &[V]) -> Option<Meaning> {
    match values {
        [V::Address(_), V::Address(spender), .., V::Bool(allowed)] => Some(Meaning::approval(
            token(contract),
            *spender,
            all_or_nothing(*allowed),
        )),
        _ => None,
    }
}

/// One or many `(token, amount, ..)`, then the spender.
fn permit2(contract: Address, values: &[V]) -> Option<Meaning> {
    let [permitted, V::Address(spender), ..] = values else {
        return None;
    };
    if contract != PERMIT2 {
        return None;
    }
    let one = |details: &V| approval(fields(details)?, *spender);
    match permitted {
        V::Array(many) => many.iter().try_fold(Meaning::default(), |all, details| {
            Some(all.and(one(details)?))
        }),
        single => one(single),
    }
}

fn approval(details: &[V], spender: Address) -> Option<Meaning> {
    match details {
        [V::Address(contract), V::Uint(amount, _), ..] => {
            Some(Meaning::approval(token(*contract), spender, *amount))
        }
        _ => None,
    }
}

fn safe(_: Address, values: &[V]) -> Option<Meaning> {
    safe_tx(values)
}
