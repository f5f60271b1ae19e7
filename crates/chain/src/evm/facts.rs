//! What an unsigned EVM transaction says.

use alloy_consensus::Transaction;
use alloy_primitives::{Address, TxKind, U256, hex, keccak256};

use super::UnsignedTx;
use crate::facts::{Erc20Transfer, EvmFacts, EvmTransactionType};

/// `transfer(address,uint256)`.
const ERC20_TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];

impl UnsignedTx {
    pub(crate) fn facts(&self) -> EvmFacts {
        match self {
            Self::Legacy(tx) => read(tx, self.chain_id(), EvmTransactionType::Legacy),
            Self::Eip2930(tx) => read(tx, self.chain_id(), EvmTransactionType::Eip2930),
            Self::Eip1559(tx) => read(tx, self.chain_id(), EvmTransactionType::Eip1559),
        }
    }
}

fn read(tx: &impl Transaction, chain_id: u64, transaction_type: EvmTransactionType) -> EvmFacts {
    let data = tx.input();
    let to = match tx.kind() {
        TxKind::Call(to) => Some(to),
        TxKind::Create => None,
    };
    let call = to.is_some();
    EvmFacts {
        transaction_type,
        chain_id,
        nonce: tx.nonce(),
        to: to.map(|address| address.to_checksum(None)),
        value: tx.value(),
        data_len: data.len(),
        selector: data
            .first_chunk::<4>()
            .filter(|_| call)
            .map(hex::encode_prefixed),
        data_hash: (!data.is_empty()).then(|| hex::encode_prefixed(keccak256(data))),
        gas_limit: tx.gas_limit(),
        max_fee_per_gas: tx.max_fee_per_gas(),
        max_priority_fee_per_gas: tx.max_priority_fee_per_gas().map(|tip| tip.to_string()),
        // Below 2^192, so it cannot overflow.
        max_fee: U256::from(tx.gas_limit()).saturating_mul(U256::from(tx.max_fee_per_gas())),
        access_list_len: tx.access_list().map_or(0, |list| list.len()),
        erc20_transfer: to.and_then(|token| erc20_transfer(token, data)),
    }
}

/// Exactly selector, an address padded with zeros, and an amount.
fn erc20_transfer(token: Address, data: &[u8]) -> Option<Erc20Transfer> {
    let arguments = data.strip_prefix(&ERC20_TRANSFER)?;
    let arguments: &[u8; 64] = arguments.try_into().ok()?;
    let (recipient, amount) = arguments.split_at(32);
    let recipient = recipient.strip_prefix(&[0u8; 12])?;
    Some(Erc20Transfer {
        token: token.to_checksum(None),
        recipient: Address::try_from(recipient).ok()?.to_checksum(None),
        amount: U256::try_from_be_slice(amount)?,
    })
}
