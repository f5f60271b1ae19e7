//! Facts of EVM transactions and messages.

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};

use super::amount::{decimal, scaled};
use super::quote;

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
}

/// `transfer(address,uint256)` of ERC-20, as far as the call data says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erc20Transfer {
    /// The contract called, EIP-55.
    pub token: String,
    /// Who receives, EIP-55.
    pub recipient: String,
    /// In the token's smallest unit.
    #[serde(with = "decimal")]
    pub amount: U256,
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
    /// Recipient or contract, EIP-55; `None` creates a contract.
    pub to: Option<String>,
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
    /// Highest price per gas, wei: `gasPrice`, or `maxFeePerGas` of EIP-1559.
    #[serde(with = "decimal")]
    pub max_fee_per_gas: u128,
    /// Highest tip per gas, wei, of EIP-1559; decimal string.
    pub max_priority_fee_per_gas: Option<String>,
    /// The most the transaction can cost beyond its value, wei: gas limit times highest price.
    #[serde(with = "decimal")]
    pub max_fee: U256,
    /// How many addresses the EIP-2930 access list names.
    pub access_list_len: usize,
    /// The ERC-20 transfer, when the call data is exactly one.
    pub erc20_transfer: Option<Erc20Transfer>,
}

impl EvmFacts {
    pub(super) fn summary_lines(&self) -> Vec<String> {
        let unit = native_unit(self.chain_id);
        let mut lines = vec![self.act(&unit)];
        if let Some(transfer) = &self.erc20_transfer {
            lines.push(format!(
                "ERC-20 transfer of {} smallest units of token {} to {}",
                transfer.amount, transfer.token, transfer.recipient
            ));
        } else if let Some(hash) = &self.data_hash {
            let selector = self.selector.as_deref().unwrap_or("none");
            lines.push(format!(
                "{} bytes of data that were not decoded, selector {selector}, Keccak-256 {hash}",
                self.data_len
            ));
        }
        lines.push(format!(
            "fee at most {} {unit} (gas limit {}, {} gwei per gas)",
            ether(self.max_fee),
            self.gas_limit,
            scaled(&self.max_fee_per_gas.to_string(), 9)
        ));
        lines.push(format!("chain id {}, nonce {}", self.chain_id, self.nonce));
        if self.access_list_len > 0 {
            lines.push(format!("access list of {} addresses", self.access_list_len));
        }
        lines
    }

    fn act(&self, unit: &str) -> String {
        let value = ether(self.value);
        match (&self.to, self.data_len) {
            (None, len) => format!("create a contract with {value} {unit} and {len} bytes of code"),
            (Some(to), 0) => format!("send {value} {unit} to {to}"),
            (Some(to), _) => format!("call contract {to} with {value} {unit}"),
        }
    }
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
