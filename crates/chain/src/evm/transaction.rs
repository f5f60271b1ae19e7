//! Unsigned EVM transactions: bytes, and back to the same bytes.

use alloy_consensus::transaction::{RlpEcdsaDecodableTx, RlpEcdsaEncodableTx};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxLegacy};
use alloy_primitives::{Signature, U256, hex, keccak256};
use alloy_rlp::Decodable as _;
use quorate_types::EcdsaSignature;

use super::EvmError;
use super::rlp::{field_lengths, list_content, refusal};
use crate::error::same_bytes;
use crate::{Assembled, ChainError, SigningMessage};

const LEGACY: &str = "legacy transaction";
const EIP2930: &str = "EIP-2930 transaction";
const EIP1559: &str = "EIP-1559 transaction";

/// Fields `v`, `r`, `s` that a signature adds to a typed transaction.
const SIGNATURE_FIELDS: usize = 3;

/// An unsigned transaction of a type that this version signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnsignedTx {
    /// With EIP-155 chain id.
    Legacy(TxLegacy),
    /// Type 1.
    Eip2930(TxEip2930),
    /// Type 2.
    Eip1559(TxEip1559),
}

impl UnsignedTx {
    /// Decodes the bytes and checks the chain id.
    pub(crate) fn parse(bytes: &[u8], chain_id: u64) -> Result<Self, ChainError> {
        let tx = Self::decode(bytes)?;
        let found = tx.chain_id();
        if found != chain_id {
            return Err(EvmError::WrongChainId {
                expected: chain_id,
                found,
            }
            .into());
        }
        if let Self::Eip1559(tx) = &tx
            && tx.max_priority_fee_per_gas > tx.max_fee_per_gas
        {
            return Err(EvmError::TipAboveCap {
                tip: tx.max_priority_fee_per_gas,
                cap: tx.max_fee_per_gas,
            }
            .into());
        }
        Ok(tx)
    }

    /// Decodes the bytes, encodes the result and compares (I2).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ChainError> {
        let (tx, what) = match bytes {
            [] => return Err(EvmError::Empty.into()),
            [1, rlp @ ..] => (Self::Eip2930(typed(EIP2930, rlp, 8)?), EIP2930),
            [2, rlp @ ..] => (Self::Eip1559(typed(EIP1559, rlp, 9)?), EIP1559),
            [3, ..] => return Err(EvmError::BlobTransaction.into()),
            [4, ..] => return Err(EvmError::SetCodeTransaction.into()),
            [0xc0..=0xff, ..] => (Self::Legacy(legacy(bytes)?), LEGACY),
            [other, ..] => return Err(EvmError::UnknownType(*other).into()),
        };
        same_bytes(what, bytes, &tx.encode())?;
        Ok(tx)
    }

    /// The exact bytes whose Keccak-256 is signed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Legacy(tx) => tx.encode_for_signing(&mut out),
            Self::Eip2930(tx) => tx.encode_for_signing(&mut out),
            Self::Eip1559(tx) => tx.encode_for_signing(&mut out),
        }
        out
    }

    pub(crate) fn signing_message(&self) -> SigningMessage {
        SigningMessage::EcdsaPrehash(keccak256(self.encode()).0)
    }

    /// EIP-155 chain id; a legacy transaction without one does not decode.
    pub(crate) fn chain_id(&self) -> u64 {
        match self {
            Self::Legacy(tx) => tx.chain_id.unwrap_or_default(),
            Self::Eip2930(tx) => tx.chain_id,
            Self::Eip1559(tx) => tx.chain_id,
        }
    }

    /// Adds a verified signature: EIP-155 `v` for legacy, y parity for typed transactions.
    pub(crate) fn assemble(&self, signature: &EcdsaSignature) -> Assembled {
        let signature = Signature::new(
            U256::from_be_bytes(signature.r),
            U256::from_be_bytes(signature.s),
            signature.recovery_id & 1 == 1,
        );
        let mut bytes = Vec::new();
        match self {
            Self::Legacy(tx) => tx.eip2718_encode(&signature, &mut bytes),
            Self::Eip2930(tx) => tx.eip2718_encode(&signature, &mut bytes),
            Self::Eip1559(tx) => tx.eip2718_encode(&signature, &mut bytes),
        }
        let id = hex::encode_prefixed(keccak256(&bytes));
        Assembled { bytes, id }
    }
}

fn typed<T: RlpEcdsaDecodableTx>(
    what: &'static str,
    rlp: &[u8],
    expected: usize,
) -> Result<T, ChainError> {
    let content = list_content(what, rlp)?;
    let found = field_lengths(what, content)?.len();
    if found == expected.saturating_add(SIGNATURE_FIELDS) {
        return Err(EvmError::AlreadySigned { what }.into());
    }
    if found != expected {
        return Err(EvmError::FieldCount {
            what,
            expected,
            found,
        }
        .into());
    }
    decode_fields(what, content).map(|(tx, _)| tx)
}

/// Nine fields: six, then chain id, 0, 0 (EIP-155). A signed one has `v`, `r`, `s` in their place.
fn legacy(bytes: &[u8]) -> Result<TxLegacy, ChainError> {
    let content = list_content(LEGACY, bytes)?;
    match field_lengths(LEGACY, content)?.as_slice() {
        [_, _, _, _, _, _] => return Err(EvmError::PreEip155.into()),
        [_, _, _, _, _, _, _, 0, 0] => {}
        [_, _, _, _, _, _, _, _, _] => {
            return Err(EvmError::AlreadySigned { what: LEGACY }.into());
        }
        other => {
            return Err(EvmError::FieldCount {
                what: LEGACY,
                expected: 9,
                found: other.len(),
            }
            .into());
        }
    }
    let (tx, mut rest) = decode_fields::<TxLegacy>(LEGACY, content)?;
    let chain_id = u64::decode(&mut rest).map_err(|e| refusal(LEGACY, e))?;
    Ok(TxLegacy {
        chain_id: Some(chain_id),
        ..tx
    })
}

fn decode_fields<'a, T: RlpEcdsaDecodableTx>(
    what: &'static str,
    content: &'a [u8],
) -> Result<(T, &'a [u8]), ChainError> {
    let mut rest = content;
    let tx = T::rlp_decode_fields(&mut rest).map_err(|e| refusal(what, e))?;
    Ok((tx, rest))
}
