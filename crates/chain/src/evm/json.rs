//! Unsigned transactions from the JSON that wallets and `eth_sendTransaction` use.

use std::str::FromStr as _;

use alloy_consensus::{TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use quorate_types::Payload;
use serde::Deserialize;
use serde_json::Value;

use super::{EvmError, UnsignedTx};
use crate::ChainError;

/// Builds the unsigned bytes of a transaction from JSON.
///
/// Fields: `type` (0 to 4; otherwise 0, 1 or 2, told from the price fields), `chainId`, `nonce`, `to` (absent or null creates
/// a contract, in types 0 to 2), `value` (default 0), `gas` or `gasLimit`, `gasPrice` (types 0 and 1) or `maxFeePerGas` and
/// `maxPriorityFeePerGas` (types 2 to 4), `input` or `data`, `accessList` (types 1 to 4), `maxFeePerBlobGas` and
/// `blobVersionedHashes` (type 3), `authorizationList` (type 4). Numbers are JSON integers, decimal strings or `0x`
/// strings. An address in mixed case must have the right EIP-55 checksum.
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
    max_fee_per_blob_gas: Option<Value>,
    blob_versioned_hashes: Option<Vec<String>>,
    authorization_list: Option<Vec<AuthorizationFields>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccessFields {
    address: String,
    storage_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AuthorizationFields {
    chain_id: Value,
    address: String,
    nonce: Value,
    y_parity: Value,
    r: Value,
    s: Value,
}

impl Fields {
    fn build(self) -> Result<UnsignedTx, ChainError> {
        let kind = self.kind()?;
        self.check_fields_of(kind)?;
        let dynamic = self.dynamic(kind)?;
        match kind {
            Kind::Legacy => Ok(UnsignedTx::Legacy(self.legacy(dynamic)?)),
            Kind::Eip2930 => Ok(UnsignedTx::Eip2930(self.eip2930(dynamic)?)),
            Kind::Eip1559 => Ok(UnsignedTx::Eip1559(dynamic)),
            Kind::Eip4844 => Ok(UnsignedTx::Eip4844(self.eip4844(dynamic)?)),
            Kind::Eip7702 => Ok(UnsignedTx::Eip7702(self.eip7702(dynamic)?)),
        }
    }

    /// The fields of type 2, most of which the other types share.
    fn dynamic(&self, kind: Kind) -> Result<TxEip1559, ChainError> {
        let price = |name, value: &Option<Value>| match kind {
            Kind::Legacy | Kind::Eip2930 => Ok(0),
            _ => required(name, value.as_ref()),
        };
        let gas = one_of("gas", "gasLimit", self.gas.clone(), self.gas_limit.clone())?;
        let input = one_of("input", "data", self.input.clone(), self.data.clone())?;
        Ok(TxEip1559 {
            chain_id: required("chainId", self.chain_id.as_ref())?,
            nonce: required("nonce", self.nonce.as_ref())?,
            gas_limit: required("gas", gas.as_ref())?,
            max_fee_per_gas: price("maxFeePerGas", &self.max_fee_per_gas)?,
            max_priority_fee_per_gas: price(
                "maxPriorityFeePerGas",
                &self.max_priority_fee_per_gas,
            )?,
            to: self
                .to
                .as_deref()
                .map_or(Ok(TxKind::Create), |to| address("to", to).map(TxKind::Call))?,
            value: number("value", self.value.as_ref())?.unwrap_or_default(),
            access_list: access_list(self.access_list.as_deref().unwrap_or_default())?,
            input: input.map_or(Ok(Bytes::new()), |text| bytes("input", &text))?,
        })
    }

    fn legacy(&self, tx: TxEip1559) -> Result<TxLegacy, ChainError> {
        Ok(TxLegacy {
            chain_id: Some(tx.chain_id),
            nonce: tx.nonce,
            gas_price: required("gasPrice", self.gas_price.as_ref())?,
            gas_limit: tx.gas_limit,
            to: tx.to,
            value: tx.value,
            input: tx.input,
        })
    }

    fn eip2930(&self, tx: TxEip1559) -> Result<TxEip2930, ChainError> {
        Ok(TxEip2930 {
            chain_id: tx.chain_id,
            nonce: tx.nonce,
            gas_price: required("gasPrice", self.gas_price.as_ref())?,
            gas_limit: tx.gas_limit,
            to: tx.to,
            value: tx.value,
            access_list: tx.access_list,
            input: tx.input,
        })
    }

    fn eip4844(&self, tx: TxEip1559) -> Result<TxEip4844, ChainError> {
        let hashes = self.blob_versioned_hashes.as_deref().unwrap_or_default();
        Ok(TxEip4844 {
            chain_id: tx.chain_id,
            nonce: tx.nonce,
            gas_limit: tx.gas_limit,
            max_fee_per_gas: tx.max_fee_per_gas,
            max_priority_fee_per_gas: tx.max_priority_fee_per_gas,
            to: recipient(tx.to)?,
            value: tx.value,
            access_list: tx.access_list,
            blob_versioned_hashes: hashes
                .iter()
                .map(|text| word("blobVersionedHashes", text))
                .collect::<Result<_, _>>()?,
            max_fee_per_blob_gas: required("maxFeePerBlobGas", self.max_fee_per_blob_gas.as_ref())?,
            input: tx.input,
        })
    }

    fn eip7702(&self, tx: TxEip1559) -> Result<TxEip7702, ChainError> {
        let authorizations = self.authorization_list.as_deref().unwrap_or_default();
        Ok(TxEip7702 {
            chain_id: tx.chain_id,
            nonce: tx.nonce,
            gas_limit: tx.gas_limit,
            max_fee_per_gas: tx.max_fee_per_gas,
            max_priority_fee_per_gas: tx.max_priority_fee_per_gas,
            to: recipient(tx.to)?,
            value: tx.value,
            access_list: tx.access_list,
            authorization_list: authorizations
                .iter()
                .map(authorization)
                .collect::<Result<_, _>>()?,
            input: tx.input,
        })
    }

    fn kind(&self) -> Result<Kind, ChainError> {
        match number::<u64>("type", self.kind.as_ref())? {
            Some(0) => Ok(Kind::Legacy),
            Some(1) => Ok(Kind::Eip2930),
            Some(2) => Ok(Kind::Eip1559),
            Some(3) => Ok(Kind::Eip4844),
            Some(4) => Ok(Kind::Eip7702),
            Some(other) => Err(json_error(format!(
                "type {other} is not supported; use 0 to 4"
            ))),
            None if self.gas_price.is_none() => Ok(Kind::Eip1559),
            None if self.access_list.is_some() => Ok(Kind::Eip2930),
            None => Ok(Kind::Legacy),
        }
    }

    fn check_fields_of(&self, kind: Kind) -> Result<(), ChainError> {
        let eip1559 = self.max_fee_per_gas.is_some() || self.max_priority_fee_per_gas.is_some();
        let blobs = self.max_fee_per_blob_gas.is_some() || self.blob_versioned_hashes.is_some();
        match kind {
            Kind::Legacy | Kind::Eip2930 | Kind::Eip1559 | Kind::Eip7702 if blobs => Err(
                json_error("maxFeePerBlobGas and blobVersionedHashes belong to type 3"),
            ),
            Kind::Legacy | Kind::Eip2930 | Kind::Eip1559 | Kind::Eip4844
                if self.authorization_list.is_some() =>
            {
                Err(json_error("authorizationList belongs to type 4"))
            }
            Kind::Legacy if self.access_list.is_some() => Err(json_error(
                "a legacy transaction has no accessList; use type 1 or 2",
            )),
            Kind::Legacy | Kind::Eip2930 if eip1559 => Err(json_error(
                "maxFeePerGas and maxPriorityFeePerGas belong to types 2 to 4; use gasPrice",
            )),
            Kind::Legacy | Kind::Eip2930 if self.gas_price.is_none() => {
                Err(json_error("gasPrice is missing"))
            }
            Kind::Eip1559 | Kind::Eip4844 | Kind::Eip7702 if self.gas_price.is_some() => {
                Err(json_error(
                    "gasPrice belongs to types 0 and 1; use maxFeePerGas and maxPriorityFeePerGas",
                ))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Legacy,
    Eip2930,
    Eip1559,
    Eip4844,
    Eip7702,
}

/// Types 3 and 4 create no contracts.
fn recipient(to: TxKind) -> Result<Address, ChainError> {
    to.to()
        .copied()
        .ok_or_else(|| json_error("to is missing; types 3 and 4 create no contracts"))
}

fn authorization(fields: &AuthorizationFields) -> Result<SignedAuthorization, ChainError> {
    let inner = Authorization {
        chain_id: required("authorizationList.chainId", Some(&fields.chain_id))?,
        address: address("authorizationList.address", &fields.address)?,
        nonce: required("authorizationList.nonce", Some(&fields.nonce))?,
    };
    Ok(SignedAuthorization::new_unchecked(
        inner,
        required("authorizationList.yParity", Some(&fields.y_parity))?,
        required("authorizationList.r", Some(&fields.r))?,
        required("authorizationList.s", Some(&fields.s))?,
    ))
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

fn word(name: &str, text: &str) -> Result<B256, ChainError> {
    text.strip_prefix("0x")
        .and_then(|_| B256::from_str(text).ok())
        .ok_or_else(|| json_error(format!("{name} must be 0x and 64 digits")))
}

fn access_list(items: &[AccessFields]) -> Result<AccessList, ChainError> {
    let items = items.iter().map(|item| {
        let storage_keys = item
            .storage_keys
            .iter()
            .map(|key| word("storageKeys", key))
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
