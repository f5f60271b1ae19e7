//! Real unsigned transactions that the plain policy of a new cluster lets an operator have, a different one for each number.

use anyhow::Context as _;
use bitcoin::absolute::LockTime;
use bitcoin::psbt::{Input, Psbt};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use quorate_chain::script_pubkey;
use quorate_types::{BitcoinNetwork, KeyRecord, Network, Payload};

/// A payload and the network it is for.
#[derive(Debug, Clone)]
pub struct Unsigned {
    /// The network.
    pub network: Option<Network>,
    /// The bytes.
    pub payload: Payload,
}

impl Unsigned {
    const fn on(network: Network, payload: Payload) -> Self {
        Self {
            network: Some(network),
            payload,
        }
    }
}

/// EIP-1559 on a development chain; the number is its nonce.
pub fn evm_transfer(_: &KeyRecord, number: u64) -> anyhow::Result<Unsigned> {
    let json = format!(
        r#"{{"type":"0x2","chainId":31337,"nonce":{number},"to":"0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
            "value":"1500000000000000000","gas":21000,"maxFeePerGas":"20000000000","maxPriorityFeePerGas":"1000000000"}}"#
    );
    let network = Network::Evm { chain_id: 31337 };
    Ok(Unsigned::on(network, quorate_chain::evm::from_json(&json)?))
}

/// A legacy Solana message with one system transfer; the number is its amount.
pub fn solana_transfer(key: &KeyRecord, number: u64) -> anyhow::Result<Unsigned> {
    let mut message = vec![1, 0, 1, 3];
    message.extend_from_slice(key.public_key.as_bytes());
    message.extend_from_slice(&[0x5a; 32]);
    message.extend_from_slice(&[0; 32]);
    message.extend_from_slice(&[0x77; 32]);
    message.extend_from_slice(&[1, 2, 2, 0, 1, 12]);
    message.extend_from_slice(&2u32.to_le_bytes());
    message.extend_from_slice(&(number + 1).to_le_bytes());
    Ok(Unsigned::on(
        Network::Solana,
        Payload::SolanaMessage(message),
    ))
}

/// A PSBT that spends one taproot output of the key; the number is in the amount sent.
pub fn taproot_spend(key: &KeyRecord, number: u64) -> anyhow::Result<Unsigned> {
    let network = BitcoinNetwork::Regtest;
    let ours = ScriptBuf::from_bytes(script_pubkey(network, key.scheme, &key.public_key)?);
    let funded = output(100_000_000, ours.clone());
    let funding = transaction(OutPoint::null(), vec![funded.clone()]);
    let someone = ScriptBuf::from_bytes([&[0x00, 0x14][..], &[0x42; 20]].concat());
    let sent = number.checked_add(10_000).context("too many")?;
    let change = 99_999_000u64.checked_sub(sent).context("too many")?;
    let spend = transaction(
        OutPoint::new(funding.compute_txid(), 0),
        vec![output(sent, someone), output(change, ours)],
    );
    let mut psbt = Psbt::from_unsigned_tx(spend)?;
    psbt.inputs = vec![Input {
        witness_utxo: Some(funded),
        non_witness_utxo: Some(funding),
        ..Input::default()
    }];
    let payload = Payload::BitcoinPsbt(psbt.serialize());
    Ok(Unsigned::on(Network::Bitcoin(network), payload))
}

const fn output(sat: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut {
        value: Amount::from_sat(sat),
        script_pubkey,
    }
}

fn transaction(previous_output: OutPoint, output: Vec<TxOut>) -> Transaction {
    let input = TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output,
    }
}
