//! What an unsigned EVM transaction says.

use alloy_consensus::Transaction;
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, TxKind, U256, hex, keccak256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, Secp256k1};

use super::{UnsignedTx, calls};
use crate::facts::{EvmAuthorization, EvmFacts, EvmTransactionType};

impl UnsignedTx {
    /// The sender is who is to sign.
    pub(crate) fn facts(&self, sender: Address) -> EvmFacts {
        let read = |tx: &dyn Transaction, kind| read(tx, sender, self.chain_id(), kind);
        match self {
            Self::Legacy(tx) => read(tx, EvmTransactionType::Legacy),
            Self::Eip2930(tx) => read(tx, EvmTransactionType::Eip2930),
            Self::Eip1559(tx) => read(tx, EvmTransactionType::Eip1559),
            Self::Eip4844(tx) => read(tx, EvmTransactionType::Eip4844),
            Self::Eip7702(tx) => read(tx, EvmTransactionType::Eip7702),
        }
    }
}

fn read(
    tx: &dyn Transaction,
    sender: Address,
    chain_id: u64,
    transaction_type: EvmTransactionType,
) -> EvmFacts {
    let data = tx.input();
    let to = match tx.kind() {
        TxKind::Call(to) => Some(to),
        TxKind::Create => None,
    };
    let created = || sender.create(tx.nonce()).to_checksum(None);
    EvmFacts {
        transaction_type,
        chain_id,
        nonce: tx.nonce(),
        sender: sender.to_checksum(None),
        to: to.map(|address| address.to_checksum(None)),
        created: to.is_none().then(created),
        value: tx.value(),
        data_len: data.len(),
        selector: data
            .first_chunk::<4>()
            .filter(|_| to.is_some())
            .map(hex::encode_prefixed),
        data_hash: (!data.is_empty()).then(|| hex::encode_prefixed(keccak256(data))),
        gas_limit: tx.gas_limit(),
        max_fee_per_gas: tx.max_fee_per_gas(),
        max_priority_fee_per_gas: tx.max_priority_fee_per_gas().map(|tip| tip.to_string()),
        max_fee: max_fee(tx),
        access_list_len: tx.access_list().map_or(0, |list| list.len()),
        blobs: tx.blob_versioned_hashes().map_or(0, <[_]>::len),
        max_fee_per_blob_gas: tx.max_fee_per_blob_gas().map(|price| price.to_string()),
        authorizations: tx
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .map(authorization)
            .collect(),
        call: to.map(|to| calls::read(to, tx.value(), data)),
    }
}

/// Gas limit times highest price, and the same for blobs (EIP-4844). Below 2^210, so it cannot overflow.
fn max_fee(tx: &dyn Transaction) -> U256 {
    let product = |gas: U256, price: u128| gas.saturating_mul(U256::from(price));
    let blobs = U256::from(tx.blob_versioned_hashes().map_or(0, <[_]>::len));
    let blob_gas = blobs.saturating_mul(U256::from(DATA_GAS_PER_BLOB));
    product(U256::from(tx.gas_limit()), tx.max_fee_per_gas()).saturating_add(product(
        blob_gas,
        tx.max_fee_per_blob_gas().unwrap_or_default(),
    ))
}

fn authorization(signed: &SignedAuthorization) -> EvmAuthorization {
    EvmAuthorization {
        chain_id: *signed.inner().chain_id(),
        address: signed.inner().address().to_checksum(None),
        nonce: signed.inner().nonce(),
        authority: authority(signed).map(|address| address.to_checksum(None)),
    }
}

/// Who signed it. EIP-7702 takes a y parity of 0 or 1 and a low `s` (EIP-2); anything else has no effect.
fn authority(signed: &SignedAuthorization) -> Option<Address> {
    let recovery_id = RecoveryId::from_i32(i32::from(signed.y_parity())).ok()?;
    if signed.y_parity() > 1 {
        return None;
    }
    let (r, s) = (
        signed.r().to_be_bytes::<32>(),
        signed.s().to_be_bytes::<32>(),
    );
    let signature = RecoverableSignature::from_compact(&[r, s].concat(), recovery_id).ok()?;
    let plain = signature.to_standard();
    let mut low = plain;
    low.normalize_s();
    if low != plain {
        return None;
    }
    let message = Message::from_digest(signed.inner().signature_hash().0);
    let key = Secp256k1::verification_only()
        .recover_ecdsa(&message, &signature)
        .ok()?;
    let [_, raw @ ..] = key.serialize_uncompressed();
    Some(Address::from_raw_public_key(&raw))
}
