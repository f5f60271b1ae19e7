//! EIP-712 typed data.
//!
//! JSON has many forms of one value, so "the same bytes" cannot be asked of it. Instead nothing in the document may go
//! unsigned: no duplicate keys, no unknown keys, no field in the message or the domain that its type does not declare,
//! none missing, no declared type unused; and the facts are read from the very values that were hashed.

mod error;
mod known;
mod schema;
mod values;

use alloy_dyn_abi::TypedData;
use alloy_primitives::{U256, hex};
use quorate_types::{HashAlgorithm, Preimage};
use serde_json::Value;

pub use self::error::TypedDataError;
use self::schema::Schema;
pub(super) use self::values::text as value_text;
use crate::facts::TypedDataFacts;
use crate::{ChainError, SigningMessage, strict_json};

/// Longest typed data, in bytes of JSON.
pub const MAX_LEN: usize = 128 * 1024;

/// The domain's type.
const DOMAIN: &str = "EIP712Domain";

pub(crate) fn analyse(
    text: &str,
    chain_id: u64,
) -> Result<(TypedDataFacts, SigningMessage), ChainError> {
    let data = parse(text)?;
    let domain_chain_id = domain_chain_id(&data, chain_id)?;
    let preimage = preimage(&data)?;
    let message = data
        .coerce()
        .map_err(|e| TypedDataError::Value(e.to_string()))?;
    let domain = data.domain();
    let facts = TypedDataFacts {
        domain_name: domain.name.as_ref().map(ToString::to_string),
        domain_version: domain.version.as_ref().map(ToString::to_string),
        domain_chain_id,
        verifying_contract: domain.verifying_contract.map(|a| a.to_checksum(None)),
        domain_salt: domain.salt.map(hex::encode_prefixed),
        primary_type: data.primary_type.clone(),
        fields: values::leaves(&message),
        meaning: known::meaning(&data, &message),
        hash: hex::encode_prefixed(preimage.digest()),
    };
    Ok((facts, SigningMessage::Ecdsa(preimage)))
}

/// `0x19 0x01 || domain separator || hash of the message`; a message that is its own domain has no second hash (EIP-712).
fn preimage(data: &TypedData) -> Result<Preimage, TypedDataError> {
    let value = |e: alloy_dyn_abi::Error| TypedDataError::Value(e.to_string());
    let separator = data.domain().separator();
    let mut bytes = [&[0x19, 0x01], separator.as_slice()].concat();
    if data.primary_type != DOMAIN {
        bytes.extend_from_slice(data.hash_struct().map_err(value)?.as_slice());
    }
    Ok(Preimage::new(HashAlgorithm::Keccak256, bytes))
}

fn parse(text: &str) -> Result<TypedData, TypedDataError> {
    if text.len() > MAX_LEN {
        return Err(TypedDataError::TooLong {
            len: text.len(),
            max: MAX_LEN,
        });
    }
    let value = strict_json::parse(text).map_err(|e| TypedDataError::Json(e.to_string()))?;
    check_document(&value)?;
    let data: TypedData =
        serde_json::from_value(value).map_err(|e| TypedDataError::Json(e.to_string()))?;
    check_domain_type(&data)?;
    Ok(data)
}

/// Everything that can be checked before the library sees the document, which bounds the library's work as well.
fn check_document(value: &Value) -> Result<(), TypedDataError> {
    let object = value
        .as_object()
        .ok_or_else(|| TypedDataError::Json("not an object".to_owned()))?;
    let known = ["types", "primaryType", "domain", "message"];
    if let Some(unknown) = object.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(TypedDataError::UnknownField(unknown.clone()));
    }
    let part = |name: &'static str| {
        object
            .get(name)
            .ok_or_else(|| TypedDataError::MissingField(name.to_owned()))
    };
    let schema = Schema::parse(part("types")?)?;
    let primary = part("primaryType")?
        .as_str()
        .ok_or_else(|| TypedDataError::Json("primaryType is not a string".to_owned()))?;
    if primary == DOMAIN {
        return Err(TypedDataError::PrimaryIsDomain);
    }
    schema.check_graph(primary)?;
    schema.check_struct(DOMAIN, part("domain")?, "domain")?;
    schema.check_struct(primary, part("message")?, "message")
}

/// The library derives the domain's type from the values present; the declared one must be the same (EIP-712: its
/// standard fields, in their order).
fn check_domain_type(data: &TypedData) -> Result<(), TypedDataError> {
    let derived = data.domain().encode_type();
    let declared = data
        .resolver
        .encode_type(DOMAIN)
        .map_err(|e| TypedDataError::Type(e.to_string()))?;
    if declared == derived {
        Ok(())
    } else {
        Err(TypedDataError::DomainType { declared, derived })
    }
}

fn domain_chain_id(data: &TypedData, expected: u64) -> Result<Option<u64>, TypedDataError> {
    match data.domain().chain_id {
        Some(found) if found != U256::from(expected) => Err(TypedDataError::WrongChainId {
            expected,
            found: found.to_string(),
        }),
        other => Ok(other.map(|_| expected)),
    }
}
