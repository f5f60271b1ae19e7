//! What an operator asks to have signed: raw bytes plus the network they are meant for. Nothing here is parsed;
//! that is the `chain` crate's work, on every agent.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::Batch;

/// Which Bitcoin chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum BitcoinNetwork {
    /// `bitcoin`
    #[default]
    Mainnet,
    /// `bitcoin-testnet`
    Testnet,
    /// `bitcoin-regtest`
    Regtest,
}

/// The chain a payload is for. An agent refuses a transaction made for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub enum Network {
    /// An EVM chain by its EIP-155 chain id; `ethereum` is 1, others are written `ethereum:31337`.
    Evm {
        /// EIP-155 chain id.
        chain_id: u64,
    },
    /// A Bitcoin chain.
    Bitcoin(BitcoinNetwork),
    /// Solana. Its messages name no cluster, only a recent blockhash.
    Solana,
}

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown chain {0:?}; use ethereum, ethereum:<chain id>, bitcoin, bitcoin-testnet, bitcoin-regtest or solana"
)]
pub struct NetworkError(pub String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || NetworkError(text.chars().take(64).collect());
        match text {
            "ethereum" => Ok(Self::Evm { chain_id: 1 }),
            "bitcoin" => Ok(Self::Bitcoin(BitcoinNetwork::Mainnet)),
            "bitcoin-testnet" => Ok(Self::Bitcoin(BitcoinNetwork::Testnet)),
            "bitcoin-regtest" => Ok(Self::Bitcoin(BitcoinNetwork::Regtest)),
            "solana" => Ok(Self::Solana),
            other => {
                let id = other.strip_prefix("ethereum:").ok_or_else(unknown)?;
                let chain_id = id.parse().map_err(|_| unknown())?;
                Ok(Self::Evm { chain_id })
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evm { chain_id: 1 } => f.write_str("ethereum"),
            Self::Evm { chain_id } => write!(f, "ethereum:{chain_id}"),
            Self::Bitcoin(BitcoinNetwork::Mainnet) => f.write_str("bitcoin"),
            Self::Bitcoin(BitcoinNetwork::Testnet) => f.write_str("bitcoin-testnet"),
            Self::Bitcoin(BitcoinNetwork::Regtest) => f.write_str("bitcoin-regtest"),
            Self::Solana => f.write_str("solana"),
        }
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for BitcoinNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Network::Bitcoin(*self).fmt(f)
    }
}

/// `bitcoin-regtest`, or `regtest` alone; `bitcoin` or `mainnet`.
impl FromStr for BitcoinNetwork {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let full = match text {
            "mainnet" => "bitcoin".to_owned(),
            "testnet" | "regtest" => format!("bitcoin-{text}"),
            full => full.to_owned(),
        };
        match full.parse()? {
            Network::Bitcoin(network) => Ok(network),
            _ => Err(NetworkError(text.chars().take(64).collect())),
        }
    }
}

impl Serialize for BitcoinNetwork {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BitcoinNetwork {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The bytes to sign, unparsed.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Payload {
    /// An unsigned EVM transaction: EIP-2718 type byte and RLP (1559, 2930), or the EIP-155 signing RLP (legacy, nine fields).
    EvmTransaction(Vec<u8>),
    /// A BIP-174 PSBT in its binary form.
    BitcoinPsbt(Vec<u8>),
    /// A serialised Solana message (legacy or v0), the exact bytes to be signed.
    SolanaMessage(Vec<u8>),
    /// Text or bytes under the network's own message-signing scheme: EIP-191 on EVM chains.
    Message(Vec<u8>),
    /// EIP-712 typed data as its JSON form.
    TypedData(String),
    /// Bytes that belong to no chain; the agent hashes them itself with SHA-256 (Ed25519 signs them as they are).
    /// Allowed only for keys created with raw signing on.
    Raw(Vec<u8>),
    /// Several of one of the kinds above, signed by the same key, all or none.
    Batch(Batch),
}

impl Payload {
    /// The longest payload an agent looks at, in bytes.
    pub const MAX_LEN: usize = 1 << 20;
    /// The first byte of a batch's encoding.
    pub(crate) const BATCH_TAG: u8 = 6;

    /// A short name for people and logs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::EvmTransaction(_) => "evm-transaction",
            Self::BitcoinPsbt(_) => "bitcoin-psbt",
            Self::SolanaMessage(_) => "solana-message",
            Self::Message(_) => "message",
            Self::TypedData(_) => "typed-data",
            Self::Raw(_) => "raw",
            Self::Batch(_) => "batch",
        }
    }

    /// A batch's members, of everything else itself.
    #[must_use]
    pub fn members(&self) -> &[Self] {
        match self {
            Self::Batch(batch) => batch.members(),
            one => std::slice::from_ref(one),
        }
    }

    /// How many bytes are to be signed; of a batch, its members' together.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::EvmTransaction(b)
            | Self::BitcoinPsbt(b)
            | Self::SolanaMessage(b)
            | Self::Message(b)
            | Self::Raw(b) => b.len(),
            Self::TypedData(text) => text.len(),
            Self::Batch(batch) => batch.members().iter().map(Self::size).sum(),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.kind(), self.size())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_parse_and_print() {
        for text in [
            "ethereum",
            "ethereum:31337",
            "bitcoin",
            "bitcoin-testnet",
            "bitcoin-regtest",
            "solana",
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert!("dogecoin".parse::<Network>().is_err());
        assert!("ethereum:x".parse::<Network>().is_err());
    }
}
