//! What a payload does, for people and policies. Nothing here is signed; all of it was read from what is signed.
//!
//! In JSON, amounts that may exceed 2^53 are decimal strings; byte strings are hexadecimal, with `0x` on EVM chains.

pub(crate) mod amount;
mod bitcoin;
mod evm;
mod evm_call;
mod solana;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::bitcoin::{BitcoinFacts, BitcoinInput, BitcoinOutput};
pub use self::evm::{
    EvmAuthorization, EvmFacts, EvmMessageFacts, EvmTransactionType, TypedDataFacts, TypedField,
    TypedMeaning,
};
pub use self::evm_call::EvmCall;
pub use self::solana::{SolanaFacts, SolanaInstruction, TokenCall};

/// What a payload does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Facts {
    /// An EVM transaction.
    Evm(EvmFacts),
    /// An EIP-191 message.
    EvmMessage(EvmMessageFacts),
    /// EIP-712 typed data.
    TypedData(TypedDataFacts),
    /// A Bitcoin transaction.
    Bitcoin(BitcoinFacts),
    /// A Solana transaction.
    Solana(SolanaFacts),
    /// Raw bytes.
    Raw(RawFacts),
    /// Several of one kind.
    Batch {
        /// In the order in which they are signed.
        members: Vec<Self>,
    },
}

/// Raw bytes outside any chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFacts {
    /// How many bytes.
    pub len: usize,
    /// SHA-256 of the bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// The bytes as text, where they are UTF-8.
    pub text: Option<String>,
}

impl RawFacts {
    fn summary_lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("sign {} raw bytes that belong to no chain", self.len),
            format!("SHA-256 {}", self.sha256),
        ];
        lines.extend(self.text.as_deref().map(|t| format!("text: {}", quote(t))));
        lines
    }
}

impl Facts {
    /// What an approver reads: the act first, then its cost, then what is unusual. Control and invisible characters of
    /// foreign text are escaped.
    #[must_use]
    pub fn summary_lines(&self) -> Vec<String> {
        match self {
            Self::Evm(facts) => facts.summary_lines(),
            Self::EvmMessage(facts) => facts.summary_lines(),
            Self::TypedData(facts) => facts.summary_lines(),
            Self::Bitcoin(facts) => facts.summary_lines(),
            Self::Solana(facts) => facts.summary_lines(),
            Self::Raw(facts) => facts.summary_lines(),
            Self::Batch { members } => batch_lines(members),
        }
    }
}

/// Each line with its member's number, so that no foreign text can seem to be another member's.
fn batch_lines(members: &[Facts]) -> Vec<String> {
    let of = members.len();
    let mut lines = vec![format!("batch of {of}, signed all or none")];
    for (number, member) in (1..).zip(members) {
        let own = member.summary_lines().into_iter();
        lines.extend(own.map(|line| format!("{number}/{of}: {line}")));
    }
    lines
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary_lines().join("\n"))
    }
}

/// Foreign text for one line of a terminal.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}
