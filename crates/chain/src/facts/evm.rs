//! Facts of EVM transactions and messages.

use std::collections::BTreeSet;

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};

use super::amount::{decimal, scaled};
use super::evm_call::{EvmCall, movement_line};
use super::quote;
use crate::effects::{Danger, Movement};

/// How an EVM transaction is encoded and priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvmTransactionType {
    /// Legacy with EIP-155 replay protection.
    Legacy,
    /// EIP-2930, type 1.
    Eip2930,
    /// EIP-1559, type 2.
    Eip1559,
    /// EIP-4844, type 3.
    Eip4844,
    /// EIP-7702, type 4.
    Eip7702,
}

/// An authorisation of EIP-7702: the authority's account runs the code at `address` from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvmAuthorization {
    /// EIP-155 chain id; 0 is valid on every chain.
    #[serde(with = "decimal")]
    pub chain_id: U256,
    /// Whose code, EIP-55; the zero address takes the code away.
    pub address: String,
    /// The authority's nonce.
    pub nonce: u64,
    /// Who signed it, EIP-55; `None` when the signature is not valid, and the authorisation without effect.
    pub authority: Option<String>,
}

/// An EVM transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvmFacts {
    /// Encoding.
    pub transaction_type: EvmTransactionType,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Sender's transaction count.
    pub nonce: u64,
    /// Whose key signs, EIP-55.
    pub sender: String,
    /// Recipient or contract, EIP-55; `None` creates a contract.
    pub to: Option<String>,
    /// The address of the contract it creates, EIP-55.
    pub created: Option<String>,
    /// Wei.
    #[serde(with = "decimal")]
    pub value: U256,
    /// Length of the call data or, for a creation, the init code, in bytes.
    pub data_len: usize,
    /// First four bytes of the call data, `0x` and 8 digits.
    pub selector: Option<String>,
    /// Keccak-256 of the data, `0x` and 64 digits, when there is any.
    pub data_hash: Option<String>,
    /// Gas units.
    pub gas_limit: u64,
    /// Highest price per gas, wei: `gasPrice`, or `maxFeePerGas` of types 2 to 4.
    #[serde(with = "decimal")]
    pub max_fee_per_gas: u128,
    /// Highest tip per gas, wei, of types 2 to 4; decimal string.
    pub max_priority_fee_per_gas: Option<String>,
    /// The most the transaction can cost beyond its value, wei: gas limit times highest price, and the same for
    /// the gas of blobs.
    #[serde(with = "decimal")]
    pub max_fee: U256,
    /// How many addresses the EIP-2930 access list names.
    pub access_list_len: usize,
    /// EIP-4844: how many blobs come with it.
    pub blobs: usize,
    /// EIP-4844: highest price per gas of blobs, wei; decimal string.
    pub max_fee_per_blob_gas: Option<String>,
    /// EIP-7702: accounts that are handed to code.
    pub authorizations: Vec<EvmAuthorization>,
    /// The call it makes, decoded as far as it is understood; `None` creates a contract.
    pub call: Option<EvmCall>,
}

impl EvmFacts {
    pub(super) fn summary_lines(&self) -> Vec<String> {
        let unit = native_unit(self.chain_id);
        let mut lines = vec![self.act(&unit)];
        if let Some(call) = self.call.as_ref().filter(|call| call.data_len > 0) {
            lines.extend(call.lines());
        }
        if let Some(hash) = &self.data_hash {
            lines.push(format!(
                "{} bytes of data, Keccak-256 {hash}",
                self.data_len
            ));
        }
        lines.extend(self.authorizations.iter().map(authorization_line));
        lines.push(format!(
            "fee at most {} {unit} (gas limit {}, {} gwei per gas)",
            ether(self.max_fee),
            self.gas_limit,
            scaled(&self.max_fee_per_gas.to_string(), 9)
        ));
        if let Some(price) = &self.max_fee_per_blob_gas {
            lines.push(format!(
                "{} blobs at {} gwei per gas",
                self.blobs,
                scaled(price, 9)
            ));
        }
        lines.push(format!("chain id {}, nonce {}", self.chain_id, self.nonce));
        if self.access_list_len > 0 {
            lines.push(format!("access list of {} addresses", self.access_list_len));
        }
        lines
    }

    fn act(&self, unit: &str) -> String {
        let value = ether(self.value);
        match (&self.to, self.data_len) {
            (None, len) => format!(
                "create contract {} with {value} {unit} and {len} bytes of code",
                self.created.as_deref().unwrap_or("(unknown)")
            ),
            (Some(to), 0) => format!("send {value} {unit} to {to}"),
            (Some(to), _) => format!("call contract {to} with {value} {unit}"),
        }
    }
}

fn authorization_line(authorization: &EvmAuthorization) -> String {
    let chain = match authorization.chain_id {
        id if id.is_zero() => "every chain".to_owned(),
        id => format!("chain id {id}"),
    };
    let authority = authorization.authority.as_deref();
    format!(
        "HANDS account {} to the code of {} on {chain} (EIP-7702, nonce {})",
        authority.unwrap_or("(invalid signature)"),
        authorization.address,
        authorization.nonce
    )
}

/// An EIP-191 message (`eth_sign`, `personal_sign`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvmMessageFacts {
    /// The chain named in the intent; the message itself names none.
    pub chain_id: u64,
    /// Bytes.
    pub len: usize,
    /// The message, when it is UTF-8.
    pub text: Option<String>,
    /// The message in hexadecimal, when it is not.
    pub hex: Option<String>,
    /// The EIP-191 hash, `0x` and 64 digits.
    pub hash: String,
}

impl EvmMessageFacts {
    pub(super) fn summary_lines(&self) -> Vec<String> {
        let mut lines = vec![format!("sign a message of {} bytes (EIP-191)", self.len)];
        lines.extend(self.text.as_deref().map(|t| format!("text: {}", quote(t))));
        lines.extend(self.hex.as_deref().map(|h| format!("bytes: {h}")));
        lines.push("the signature is valid on every EVM chain".to_owned());
        lines
    }
}

/// One leaf of EIP-712 data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedField {
    /// Where it is, for example `to.wallets[0]`.
    pub path: String,
    /// Solidity type.
    #[serde(rename = "type")]
    pub solidity_type: String,
    /// The value that was hashed: addresses EIP-55, bytes in hexadecimal, integers in decimal.
    pub value: String,
}

/// What typed data of a known standard allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedMeaning {
    /// For people, for example `EIP-2612 permit`.
    pub standard: String,
    /// What it lets others take.
    pub movements: Vec<Movement>,
    /// What is dangerous about it.
    pub dangers: BTreeSet<Danger>,
    /// The calls it allows, in order.
    pub inner: Vec<EvmCall>,
}

/// EIP-712 typed data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedDataFacts {
    /// Domain name.
    pub domain_name: Option<String>,
    /// Domain version.
    pub domain_version: Option<String>,
    /// Domain chain id; `None` means the signature is valid on every chain.
    pub domain_chain_id: Option<u64>,
    /// Contract that will verify, EIP-55.
    pub verifying_contract: Option<String>,
    /// Domain salt.
    pub domain_salt: Option<String>,
    /// Type of the message.
    pub primary_type: String,
    /// The message's leaves in order.
    pub fields: Vec<TypedField>,
    /// What it allows, where it is of a standard that is known here.
    pub meaning: Option<TypedMeaning>,
    /// The EIP-712 hash, `0x` and 64 digits.
    pub hash: String,
}

impl TypedDataFacts {
    pub(super) fn summary_lines(&self) -> Vec<String> {
        let name = self.domain_name.as_deref().unwrap_or("(unnamed)");
        let mut lines = vec![format!(
            "sign typed data {} for {} (EIP-712)",
            self.primary_type,
            quote(name)
        )];
        match &self.meaning {
            Some(meaning) => lines.extend(meaning.lines()),
            None => lines.push("what it allows is NOT understood".to_owned()),
        }
        lines.extend(self.fields.iter().map(|f| {
            let value = if f.solidity_type == "string" {
                quote(&f.value)
            } else {
                f.value.clone()
            };
            format!("{} ({}): {value}", f.path, f.solidity_type)
        }));
        lines.push(match &self.verifying_contract {
            Some(contract) => format!("verified by contract {contract}"),
            None => "names no verifying contract".to_owned(),
        });
        lines.push(match self.domain_chain_id {
            Some(id) => format!("chain id {id}"),
            None => "names no chain: the signature is valid on every EVM chain".to_owned(),
        });
        lines
    }
}

impl TypedMeaning {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("this is an {}", self.standard)];
        lines.extend(self.movements.iter().map(movement_line));
        lines.extend(
            self.dangers
                .iter()
                .map(|danger| format!("DANGER: {danger}")),
        );
        lines.extend(self.inner.iter().flat_map(EvmCall::lines));
        lines
    }
}

fn ether(wei: U256) -> String {
    scaled(&wei.to_string(), 18)
}

/// Ethereum mainnet and three rollups whose coin is ether; for others the coin's name is not known here.
fn native_unit(chain_id: u64) -> String {
    match chain_id {
        1 | 10 | 8453 | 42161 => "ETH".to_owned(),
        other => format!("coins of chain {other}"),
    }
}
