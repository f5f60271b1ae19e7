//! Unsigned transactions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::absolute::LockTime;
use bitcoin::psbt::{Input, Psbt};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};

/// The account that receives.
pub const SOMEONE: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// EIP-1559 on chain 31337.
pub fn eip1559(nonce: u64, value: u128) -> String {
    format!(
        r#"{{"type":2,"chainId":31337,"nonce":{nonce},"to":"{SOMEONE}","value":"{value}","gas":21000,
            "maxFeePerGas":"20000000000","maxPriorityFeePerGas":"1000000000"}}"#
    )
}

/// EIP-2930 with an access list.
pub fn eip2930(nonce: u64, value: u128) -> String {
    let slot = "00".repeat(32);
    format!(
        r#"{{"type":1,"chainId":31337,"nonce":{nonce},"to":"{SOMEONE}","value":"{value}","gas":30000,"gasPrice":"20000000000",
            "accessList":[{{"address":"{SOMEONE}","storageKeys":["0x{slot}"]}}]}}"#
    )
}

/// Legacy with EIP-155.
pub fn legacy(nonce: u64, value: u128) -> String {
    format!(
        r#"{{"type":0,"chainId":31337,"nonce":{nonce},"to":"{SOMEONE}","value":"{value}","gas":21000,"gasPrice":"20000000000"}}"#
    )
}

/// A PSBT that spends one output of each amount at `address` (regtest) and what it spends.
pub fn bitcoin_spend(address: &str, amounts: &[u64]) -> (Psbt, Vec<TxOut>) {
    let ours = address
        .parse::<Address<_>>()
        .unwrap()
        .require_network(Network::Regtest)
        .unwrap();
    let funding: Vec<Transaction> = amounts
        .iter()
        .zip(1..)
        .map(|(sat, n)| funding(&ours, *sat, n))
        .collect();
    let total: u64 = amounts.iter().sum();
    let spend = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: funding
            .iter()
            .map(|f| input(OutPoint::new(f.compute_txid(), 0), ScriptBuf::new()))
            .collect(),
        output: vec![
            TxOut {
                value: Amount::from_sat(total / 2),
                script_pubkey: ScriptBuf::from_bytes([&[0x00, 0x14][..], &[0x42; 20]].concat()),
            },
            TxOut {
                value: Amount::from_sat(total / 2 - 2_000),
                script_pubkey: ours.script_pubkey(),
            },
        ],
    };
    let spent: Vec<TxOut> = funding.iter().map(|f| f.output[0].clone()).collect();
    let mut psbt = Psbt::from_unsigned_tx(spend).unwrap();
    for (slot, funding) in psbt.inputs.iter_mut().zip(funding) {
        *slot = Input {
            witness_utxo: Some(funding.output[0].clone()),
            non_witness_utxo: Some(funding),
            ..Input::default()
        };
    }
    (psbt, spent)
}

pub fn psbt_text(psbt: &Psbt) -> String {
    STANDARD.encode(psbt.serialize())
}

fn funding(to: &Address, sat: u64, number: u8) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input(
            OutPoint::null(),
            ScriptBuf::from_bytes(vec![0x51, number]),
        )],
        output: vec![TxOut {
            value: Amount::from_sat(sat),
            script_pubkey: to.script_pubkey(),
        }],
    }
}

fn input(previous_output: OutPoint, script_sig: ScriptBuf) -> TxIn {
    TxIn {
        previous_output,
        script_sig,
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}

/// Whom [`solana_transfer`] pays.
pub const SOLANA_SOMEONE: [u8; 32] = [0x5a; 32];

/// A legacy Solana message: one system transfer, signed and paid for by `from`.
pub fn solana_transfer(from: &[u8], blockhash: &[u8; 32], lamports: u64) -> Vec<u8> {
    [
        &[1, 0, 1, 3][..],
        from,
        &SOLANA_SOMEONE,
        &[0; 32],
        blockhash,
        &[1, 2, 2, 0, 1, 12],
        &2u32.to_le_bytes(),
        &lamports.to_le_bytes(),
    ]
    .concat()
}
