//! Unsigned EVM transactions: bytes, and back to the same bytes.

use alloy_consensus::transaction::{RlpEcdsaDecodableTx, RlpEcdsaEncodableTx};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip4844::VERSIONED_HASH_VERSION_KZG;
use alloy_primitives::{Signature, U256, hex, keccak256};
use alloy_rlp::Decodable as _;
use quorate_types::{EcdsaSignature, HashAlgorithm, Preimage};

use super::EvmError;
use super::rlp::{field_lengths, list_content, refusal};
use crate::error::same_bytes;
use crate::{Assembled, ChainError, SigningMessage};

const LEGACY: &str = "legacy transaction";
const EIP2930: &str = "EIP-2930 transaction";
const EIP1559: &str = "EIP-1559 transaction";
const EIP4844: &str = "EIP-4844 transaction";
const EIP7702: &str = "EIP-7702 transaction";

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
    /// Type 3, without the blobs themselves: whoever broadcasts it adds them (EIP-4844, networking).
    Eip4844(TxEip4844),
    /// Type 4.
    Eip7702(TxEip7702),
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
        tx.check_prices()?;
        tx.check_lists()?;
        Ok(tx)
    }

    fn check_prices(&self) -> Result<(), EvmError> {
        let (tip, cap) = match self {
            Self::Legacy(_) | Self::Eip2930(_) => return Ok(()),
            Self::Eip1559(tx) => (tx.max_priority_fee_per_gas, tx.max_fee_per_gas),
            Self::Eip4844(tx) => (tx.max_priority_fee_per_gas, tx.max_fee_per_gas),
            Self::Eip7702(tx) => (tx.max_priority_fee_per_gas, tx.max_fee_per_gas),
        };
        if tip > cap {
            return Err(EvmError::TipAboveCap { tip, cap });
        }
        Ok(())
    }

    /// EIP-4844 asks for at least one blob and hashes of version 1, EIP-7702 for at least one authorisation.
    fn check_lists(&self) -> Result<(), EvmError> {
        match self {
            Self::Eip4844(tx) if tx.blob_versioned_hashes.is_empty() => Err(EvmError::NoBlobs),
            Self::Eip4844(tx) => match tx
                .blob_versioned_hashes
                .iter()
                .position(|hash| hash.first() != Some(&VERSIONED_HASH_VERSION_KZG))
            {
                Some(blob) => Err(EvmError::BlobHashVersion { blob }),
                None => Ok(()),
            },
            Self::Eip7702(tx) if tx.authorization_list.is_empty() => {
                Err(EvmError::NoAuthorizations)
            }
            _ => Ok(()),
        }
    }

    /// Decodes the bytes, encodes the result and compares (I2).
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ChainError> {
        let (tx, what) = match bytes {
            [] => return Err(EvmError::Empty.into()),
            [1, rlp @ ..] => (Self::Eip2930(typed(EIP2930, rlp, 8)?), EIP2930),
            [2, rlp @ ..] => (Self::Eip1559(typed(EIP1559, rlp, 9)?), EIP1559),
            [3, rlp @ ..] => (Self::Eip4844(typed(EIP4844, rlp, 11)?), EIP4844),
            [4, rlp @ ..] => (Self::Eip7702(typed(EIP7702, rlp, 10)?), EIP7702),
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
            Self::Eip4844(tx) => tx.encode_for_signing(&mut out),
            Self::Eip7702(tx) => tx.encode_for_signing(&mut out),
        }
        out
    }

    pub(crate) fn signing_message(&self) -> SigningMessage {
        SigningMessage::Ecdsa(Preimage::new(HashAlgorithm::Keccak256, self.encode()))
    }

    /// EIP-155 chain id; a legacy transaction without one does not decode.
    pub(crate) fn chain_id(&self) -> u64 {
        match self {
            Self::Legacy(tx) => tx.chain_id.unwrap_or_default(),
            Self::Eip2930(tx) => tx.chain_id,
            Self::Eip1559(tx) => tx.chain_id,
            Self::Eip4844(tx) => tx.chain_id,
            Self::Eip7702(tx) => tx.chain_id,
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
            Self::Eip4844(tx) => tx.eip2718_encode(&signature, &mut bytes),
            Self::Eip7702(tx) => tx.eip2718_encode(&signature, &mut bytes),
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
