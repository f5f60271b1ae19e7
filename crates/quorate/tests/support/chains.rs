//! Chains that judge what was signed: anvil for EVM, Bitcoin Core's script check, Solana's runtime.

use std::process::Command;
use std::time::Duration;

use bitcoin::TxOut;
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Process, Ran, anvil, free_port, python, wait_for};

/// An EVM chain with chain id 31337 that mines every transaction at once.
pub struct Anvil {
    runtime: Runtime,
    client: reqwest::Client,
    url: String,
    _process: Process,
    _dir: TempDir,
}

impl Anvil {
    pub fn start() -> Self {
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(anvil());
        command.args([
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--hardfork",
            "prague",
        ]);
        let process = Process::spawn("anvil", &mut command, &dir.path().join("anvil.log"));
        wait_for("anvil listens", Duration::from_secs(60), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: format!("http://127.0.0.1:{port}"),
            _process: process,
            _dir: dir,
        }
    }

    /// One JSON-RPC call.
    pub fn call(&self, method: &str, params: &Value) -> Result<Value, String> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let reply: Value = self.runtime.block_on(async {
            self.client
                .post(&self.url)
                .json(&body)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap()
        });
        match reply.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(reply["result"].clone()),
        }
    }

    pub fn balance(&self, address: &str) -> u128 {
        let hex = self
            .call("eth_getBalance", &json!([address, "latest"]))
            .unwrap();
        u128::from_str_radix(hex.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// Hands in a signed transaction and returns its receipt.
    pub fn send(&self, raw: &str) -> Result<Value, String> {
        let hash = self.call("eth_sendRawTransaction", &json!([raw]))?;
        Ok(wait_for(
            "the transaction is mined",
            Duration::from_secs(30),
            || {
                let receipt = self
                    .call("eth_getTransactionReceipt", &json!([hash]))
                    .unwrap();
                (!receipt.is_null()).then_some(receipt)
            },
        ))
    }
}

/// Whether every input of a transaction is a valid spend, by Bitcoin Core's own check, taproot included.
pub fn bitcoin_core_accepts(transaction: &[u8], spent: &[TxOut]) -> bool {
    let utxos: Vec<Utxo> = spent
        .iter()
        .map(|output| Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: u32::try_from(output.script_pubkey.len()).unwrap(),
            value: i64::try_from(output.value.to_sat()).unwrap(),
        })
        .collect();
    spent.iter().enumerate().all(|(index, output)| {
        verify_with_flags(
            output.script_pubkey.as_bytes(),
            output.value.to_sat(),
            transaction,
            Some(&utxos),
            index,
            VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT,
        )
        .is_ok()
    })
}

/// What Solana's runtime says to wire transactions, one after the other, on a chain where `payer` owns 2 SOL: `ok <balance of to>` or
/// `refused <why>`.
pub fn litesvm(payer: &str, to: &str, transactions: &[String]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/litesvm.py");
    let mut command = Command::new(python());
    command.args([script, payer, to]).args(transactions);
    let ran = Ran::of(&mut command, Duration::from_secs(120)).ok();
    ran.stdout.lines().map(str::to_owned).collect()
}
