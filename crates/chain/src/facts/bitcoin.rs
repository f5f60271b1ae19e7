//! Facts of Bitcoin transactions.

use quorate_types::DerivationPath;
use serde::{Deserialize, Serialize};

use super::amount::scaled;

/// One input; every input spends an output of the signing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BitcoinInput {
    /// `txid:vout` of the output it spends.
    pub outpoint: String,
    /// Satoshi.
    pub amount: u64,
    /// nSequence.
    pub sequence: u32,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BitcoinOutput {
    /// Its address, where the script has one.
    pub address: Option<String>,
    /// The output script in hexadecimal.
    pub script: String,
    /// Satoshi.
    pub amount: u64,
    /// Whether it comes back: it pays the very script that the inputs come from.
    pub change: bool,
    /// The path at which our root key has this script, where the PSBT says where to look.
    pub path: Option<DerivationPath>,
}

/// A Bitcoin transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BitcoinFacts {
    /// The transaction's id; witnesses do not change it.
    pub txid: String,
    /// What it spends.
    pub inputs: Vec<BitcoinInput>,
    /// What it pays.
    pub outputs: Vec<BitcoinOutput>,
    /// Satoshi leaving the key's script, without the fee.
    pub sent: u64,
    /// Satoshi.
    pub fee: u64,
    /// Estimated size of the signed transaction in virtual bytes.
    pub estimated_vsize: u64,
    /// Fee per virtual byte in satoshi, estimated, rounded up.
    pub fee_rate: u64,
    /// nLockTime; 0 is none, below 500000000 a block height, otherwise Unix seconds.
    pub lock_time: u32,
    /// Whether the lock time has an effect: it is not 0 and some input is not final.
    pub lock_time_enforced: bool,
    /// Whether it signals replaceability (BIP-125).
    pub replaceable: bool,
}

impl BitcoinFacts {
    pub(super) fn summary_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.outputs.iter().map(output_line).collect();
        lines.push(format!(
            "fee {} BTC ({} sat/vB estimated)",
            btc(self.fee),
            self.fee_rate
        ));
        let total = self
            .inputs
            .iter()
            .fold(0u64, |sum, input| sum.saturating_add(input.amount));
        lines.push(format!(
            "spends {} inputs worth {} BTC",
            self.inputs.len(),
            btc(total)
        ));
        if self.lock_time_enforced {
            lines.push(format!("not valid before lock time {}", self.lock_time));
        }
        if self.replaceable {
            lines.push("replaceable until confirmed (BIP-125)".to_owned());
        }
        lines
    }
}

fn output_line(output: &BitcoinOutput) -> String {
    let amount = btc(output.amount);
    match (&output.address, output.change, &output.path) {
        (Some(address), true, _) => format!("return {amount} BTC to our own {address}"),
        (Some(address), false, Some(path)) => {
            format!("send {amount} BTC to {address}, a child of this key at {path}")
        }
        (Some(address), false, None) => format!("send {amount} BTC to {address}"),
        (None, ..) => format!("send {amount} BTC to script {}", output.script),
    }
}

fn btc(satoshi: u64) -> String {
    scaled(&satoshi.to_string(), 8)
}
