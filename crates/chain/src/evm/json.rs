//! Unsigned transactions from the JSON that wallets and `eth_sendTransaction` use.

use std::str::FromStr as _;

use alloy_consensus::{TxEip1559, TxEip2930, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use quorate_types::Payload;
use serde::Deserialize;
use serde_json::Value;

use super::{EvmError, UnsignedTx};
use crate::ChainError;

/// Builds the unsigned bytes of a transaction from JSON.
///
/// Fields: `type` (0, 1 or 2; otherwise told from the price fields), `chainId`, `nonce`, `to` (absent or null creates
/// a contract), `value` (default 0), `gas` or `gasLimit`, `gasPrice` (types 0 and 1) or `maxFeePerGas` and
/// `maxPriorityFeePerGas` (type 2), `input` or `data`, `accessList` (types 1 and 2). Numbers are JSON integers,
/// decimal strings or `0x` strings. An address in mixed case must have the right EIP-55 checksum.
///
/// # Errors
/// [`EvmError::Json`] for unknown, duplicate, missing or contradicting fields and numbers out of range.
pub fn from_json(text: &str) -> Result<Payload, ChainError> {
    let fields: Fields = serde_json::from_str(text).map_err(|e| json_error(e.to_string()))?;
    let tx = fields.build()?;
    Ok(Payload::EvmTransaction(tx.encode()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    #[serde(rename = "type")]
    kind: Option<Value>,
    chain_id: Option<Value>,
    nonce: Option<Value>,
    to: Option<String>,
    value: Option<Value>,
    gas: Option<Value>,
    gas_limit: Option<Value>,
    gas_price: Option<Value>,
    max_fee_per_gas: Option<Value>,
    max_priority_fee_per_gas: Option<Value>,
    input: Option<String>,
    data: Option<String>,
    access_list: Option<Vec<AccessFields>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccessFields {
    address: String,
    storage_keys: Vec<String>,
}

impl Fields {
    fn build(self) -> Result<UnsignedTx, ChainError> {
        let kind = self.kind()?;
        self.check_fields_of(kind)?;
        let legacy = TxLegacy {
            chain_id: Some(required("chainId", self.chain_id.as_ref())?),
            nonce: required("nonce", self.nonce.as_ref())?,
            gas_price: number("gasPrice", self.gas_price.as_ref())?.unwrap_or_default(),
            gas_limit: required(
                "gas",
                one_of("gas", "gasLimit", self.gas, self.gas_limit)?.as_ref(),
            )?,
            to: self
                .to
                .as_deref()
                .map_or(Ok(TxKind::Create), |to| address("to", to).map(TxKind::Call))?,
            value: number("value", self.value.as_ref())?.unwrap_or_default(),
            input: one_of("input", "data", self.input, self.data)?
                .map_or(Ok(Bytes::new()), |text| bytes("input", &text))?,
        };
        let access_list = access_list(self.access_list.unwrap_or_default())?;
        match kind {
            Kind::Legacy => Ok(UnsignedTx::Legacy(legacy)),
            Kind::Eip2930 => Ok(UnsignedTx::Eip2930(eip2930(legacy, access_list))),
            Kind::Eip1559 => Ok(UnsignedTx::Eip1559(TxEip1559 {
                max_fee_per_gas: required("maxFeePerGas", self.max_fee_per_gas.as_ref())?,
                max_priority_fee_per_gas: required(
                    "maxPriorityFeePerGas",
                    self.max_priority_fee_per_gas.as_ref(),
                )?,
                ..eip1559(legacy, access_list)
            })),
        }
    }

    fn kind(&self) -> Result<Kind, ChainError> {
        match number::<u64>("type", self.kind.as_ref())? {
            Some(0) => Ok(Kind::Legacy),
            Some(1) => Ok(Kind::Eip2930),
            Some(2) => Ok(Kind::Eip1559),
            Some(3) => Err(EvmError::BlobTransaction.into()),
            Some(4) => Err(EvmError::SetCodeTransaction.into()),
            Some(other) => Err(json_error(format!(
                "type {other} is not supported; use 0, 1 or 2"
            ))),
            None if self.gas_price.is_none() => Ok(Kind::Eip1559),
            None if self.access_list.is_some() => Ok(Kind::Eip2930),
            None => Ok(Kind::Legacy),
        }
    }

    fn check_fields_of(&self, kind: Kind) -> Result<(), ChainError> {
        let eip1559 = self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some();
        match kind {
            Kind::Legacy if self.access_list.is_some() => Err(json_error(
                "a legacy transaction has no accessList; use type 1 or 2",
            )),
            Kind::Legacy | Kind::Eip2930 if eip1559 => Err(json_error(
                "maxFeePerGas and maxPriorityFeePerGas belong to type 2; use gasPrice",
            )),
            Kind::Legacy | Kind::Eip2930 if self.gas_price.is_none() => {
                Err(json_error("gasPrice is missing"))
            }
            Kind::Eip1559 if self.gas_price.is_some() => Err(json_error(
                "gasPrice belongs to types 0 and 1; use maxFeePerGas and maxPriorityFeePerGas",
            )),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Legacy,
    Eip2930,
    Eip1559,
}

fn eip2930(tx: TxLegacy, access_list: AccessList) -> TxEip2930 {
    TxEip2930 {
        chain_id: tx.chain_id.unwrap_or_default(),
        nonce: tx.nonce,
        gas_price: tx.gas_price,
        gas_limit: tx.gas_limit,
        to: tx.to,
        value: tx.value,
        access_list,
        input: tx.input,
    }
}

fn eip1559(tx: TxLegacy, access_list: AccessList) -> TxEip1559 {
    TxEip1559 {
        chain_id: tx.chain_id.unwrap_or_default(),
        nonce: tx.nonce,
        gas_limit: tx.gas_limit,
        max_fee_per_gas: 0,
        max_priority_fee_per_gas: 0,
        to: tx.to,
        value: tx.value,
        access_list,
        input: tx.input,
    }
}

fn json_error(reason: impl Into<String>) -> ChainError {
    EvmError::Json(reason.into()).into()
}

fn required<T: TryFrom<U256>>(name: &str, value: Option<&Value>) -> Result<T, ChainError> {
    number(name, value)?.ok_or_else(|| json_error(format!("{name} is missing")))
}

/// A JSON integer, a decimal string, or a `0x` string.
fn number<T: TryFrom<U256>>(name: &str, value: Option<&Value>) -> Result<Option<T>, ChainError> {
    let Some(value) = value else {
        return Ok(None);
    };
    let parsed = match value {
        Value::Number(n) => n.as_u64().map(U256::from),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => parse_digits(digits, 16),
            None => parse_digits(text, 10),
        },
        _ => None,
    };
    let number = parsed.ok_or_else(|| {
        json_error(format!(
            "{name} must be a non-negative integer, a decimal string or a 0x string"
        ))
    })?;
    T::try_from(number)
        .map(Some)
        .map_err(|_| json_error(format!("{name} is too large")))
}

fn parse_digits(digits: &str, radix: u32) -> Option<U256> {
    let well_formed = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    well_formed
        .then(|| U256::from_str_radix(digits, u64::from(radix)).ok())
        .flatten()
}

fn one_of<T: PartialEq>(
    first: &str,
    second: &str,
    a: Option<T>,
    b: Option<T>,
) -> Result<Option<T>, ChainError> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => Err(json_error(format!(
            "{first} and {second} mean the same but differ"
        ))),
        (a, b) => Ok(a.or(b)),
    }
}

/// `0x` and 40 digits: of one case, or in mixed case with a right EIP-55 checksum.
pub(super) fn checked_address(text: &str) -> Option<Address> {
    let digits = text.strip_prefix("0x")?;
    let mixed = digits.chars().any(|c| c.is_ascii_lowercase())
        && digits.chars().any(|c| c.is_ascii_uppercase());
    if mixed {
        Address::parse_checksummed(text, None).ok()
    } else {
        Address::from_str(text).ok()
    }
}

fn address(name: &str, text: &str) -> Result<Address, ChainError> {
    checked_address(text).ok_or_else(|| {
        json_error(format!(
            "{name} is not an address: 0x and 40 hexadecimal digits, with the right EIP-55 checksum if in mixed case"
        ))
    })
}

fn bytes(name: &str, text: &str) -> Result<Bytes, ChainError> {
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode(digits).ok())
        .map(Bytes::from)
        .ok_or_else(|| json_error(format!("{name} must be 0x and an even number of digits")))
}

fn access_list(items: Vec<AccessFields>) -> Result<AccessList, ChainError> {
    let items = items.into_iter().map(|item| {
        let storage_keys = item
            .storage_keys
            .iter()
            .map(|key| {
                B256::from_str(key).map_err(|_| json_error("storageKeys must be 0x and 64 digits"))
            })
            .collect::<Result<_, _>>()?;
        Ok(AccessListItem {
            address: address("accessList.address", &item.address)?,
            storage_keys,
        })
    });
    items
        .collect::<Result<Vec<_>, ChainError>>()
        .map(AccessList)
}
