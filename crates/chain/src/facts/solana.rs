//! Facts of Solana transactions.

use serde::{Deserialize, Serialize};

use super::amount::{decimal, scaled};

/// One instruction. Keys are base58.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SolanaInstruction {
    /// `Transfer` of the system program.
    SystemTransfer {
        /// Who pays.
        from: String,
        /// Who receives.
        to: String,
        /// Lamports.
        #[serde(with = "decimal")]
        lamports: u64,
    },
    /// `AdvanceNonceAccount` of the system program.
    AdvanceNonce {
        /// The nonce account; `None` when it is in a lookup table.
        account: Option<String>,
    },
    /// `SetComputeUnitLimit` of the compute-budget program.
    ComputeUnitLimit {
        /// Compute units.
        units: u32,
    },
    /// `SetComputeUnitPrice` of the compute-budget program.
    ComputeUnitPrice {
        /// Micro-lamports per compute unit.
        #[serde(with = "decimal")]
        micro_lamports: u64,
    },
    /// Anything else.
    Other {
        /// The program called.
        program: String,
        /// How many accounts it is given.
        accounts: usize,
        /// Bytes of data.
        data_len: usize,
        /// The data in hexadecimal.
        data: String,
    },
}

/// A Solana message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SolanaFacts {
    /// `legacy` or `0`.
    pub version: String,
    /// Who pays the fee, base58.
    pub fee_payer: String,
    /// Base58; a nonce when `durable_nonce` is set.
    pub recent_blockhash: String,
    /// Whether the first instruction advances a nonce, so that the transaction does not expire.
    pub durable_nonce: bool,
    /// Who else must sign, base58.
    pub other_signers: Vec<String>,
    /// What it does, in order.
    pub instructions: Vec<SolanaInstruction>,
    /// Whether accounts come from address lookup tables, which the message does not show.
    pub unresolved_lookups: bool,
    /// The most the fee can be in lamports: 5000 per signature, and the compute-unit price times the limit (or the
    /// highest limit there is).
    #[serde(with = "decimal")]
    pub max_fee: u64,
}

impl SolanaFacts {
    pub(super) fn summary_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.instructions.iter().map(instruction_line).collect();
        lines.push(format!(
            "fee at most {} SOL, paid by {}",
            sol(self.max_fee),
            self.fee_payer
        ));
        if self.unresolved_lookups {
            lines.push("uses accounts from lookup tables that were not resolved".to_owned());
        }
        if !self.other_signers.is_empty() {
            lines.push(format!(
                "also needs the signatures of {}",
                self.other_signers.join(", ")
            ));
        }
        if self.durable_nonce {
            lines.push("does not expire: uses a durable nonce".to_owned());
        }
        lines.push(format!("recent blockhash {}", self.recent_blockhash));
        lines
    }
}

fn instruction_line(instruction: &SolanaInstruction) -> String {
    match instruction {
        SolanaInstruction::SystemTransfer { from, to, lamports } => {
            format!("send {} SOL from {from} to {to}", sol(*lamports))
        }
        SolanaInstruction::AdvanceNonce { account } => format!(
            "advance nonce account {}",
            account.as_deref().unwrap_or("from a lookup table")
        ),
        SolanaInstruction::ComputeUnitLimit { units } => format!("limit compute units to {units}"),
        SolanaInstruction::ComputeUnitPrice { micro_lamports } => {
            format!("pay {micro_lamports} micro-lamports per compute unit")
        }
        SolanaInstruction::Other {
            program,
            accounts,
            data_len,
            ..
        } => format!(
            "call program {program} with {accounts} accounts and {data_len} bytes of data that were not decoded"
        ),
    }
}

fn sol(lamports: u64) -> String {
    scaled(&lamports.to_string(), 9)
}
