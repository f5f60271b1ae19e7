//! Real unsigned transactions for the demo.

use anyhow::Context as _;
use bitcoin::absolute::LockTime;
use bitcoin::psbt::{Input, Psbt};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use quorate_chain::script_pubkey;
use quorate_types::{BitcoinNetwork, Payload, PublicKey, Scheme};

/// EIP-1559: 1.5 ether on chain 31337.
pub fn evm_transfer() -> anyhow::Result<Payload> {
    Ok(quorate_chain::evm::from_json(
        r#"{"type":"0x2","chainId":31337,"nonce":0,"to":"0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
            "value":"1500000000000000000","gas":21000,"maxFeePerGas":"20000000000","maxPriorityFeePerGas":"1000000000"}"#,
    )?)
}

/// EIP-712: a mail, the example of the EIP.
pub fn typed_data() -> Payload {
    Payload::TypedData(
        r#"{"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"version","type":"string"},
            {"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}],
            "Person":[{"name":"name","type":"string"},{"name":"wallet","type":"address"}],
            "Mail":[{"name":"from","type":"Person"},{"name":"to","type":"Person"},{"name":"contents","type":"string"}]},
            "primaryType":"Mail","domain":{"name":"Ether Mail","version":"1","chainId":31337,
            "verifyingContract":"0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},
            "message":{"from":{"name":"Cow","wallet":"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
            "to":{"name":"Bob","wallet":"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},"contents":"Hello, Bob!"}}"#
            .to_owned(),
    )
}

/// A PSBT that spends one output of the child key: 0.6 BTC to someone else, the rest back, 2 000 sat fee.
pub fn bitcoin_spend(scheme: Scheme, child: &PublicKey) -> anyhow::Result<Payload> {
    let ours = ScriptBuf::from_bytes(script_pubkey(BitcoinNetwork::Regtest, scheme, child)?);
    let funding = transaction(
        TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes(vec![0x51, 0x51]),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        },
        vec![TxOut {
            value: Amount::from_sat(100_000_000),
            script_pubkey: ours.clone(),
        }],
    );
    let someone = ScriptBuf::from_bytes([&[0x00, 0x14][..], &[0x42; 20]].concat());
    let spend = transaction(
        TxIn {
            previous_output: OutPoint::new(funding.compute_txid(), 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        },
        vec![
            TxOut {
                value: Amount::from_sat(60_000_000),
                script_pubkey: someone,
            },
            TxOut {
                value: Amount::from_sat(39_998_000),
                script_pubkey: ours,
            },
        ],
    );
    let mut psbt = Psbt::from_unsigned_tx(spend)?;
    psbt.inputs = vec![Input {
        witness_utxo: funding.output.first().cloned(),
        non_witness_utxo: Some(funding),
        ..Input::default()
    }];
    Ok(Payload::BitcoinPsbt(psbt.serialize()))
}

fn transaction(input: TxIn, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output,
    }
}

/// Whom the demo's address book knows.
pub const KNOWN: [u8; 32] = [0x5a; 32];

/// A legacy Solana message: 0.25 SOL to someone known.
pub fn solana_transfer(from: &PublicKey) -> anyhow::Result<Payload> {
    solana_transfer_of(from, KNOWN, 250_000_000)
}

/// A legacy Solana message: one system transfer, signed and paid for by `from`.
pub fn solana_transfer_of(
    from: &PublicKey,
    to: [u8; 32],
    lamports: u64,
) -> anyhow::Result<Payload> {
    let mut message = vec![1, 0, 1, 3];
    message.extend_from_slice(from.as_bytes());
    message.extend_from_slice(&to);
    message.extend_from_slice(&[0; 32]);
    message.extend_from_slice(&[0x77; 32]);
    message.extend_from_slice(&[1, 2, 2, 0, 1, 12]);
    message.extend_from_slice(&2u32.to_le_bytes());
    message.extend_from_slice(&lamports.to_le_bytes());
    anyhow::ensure!(from.as_bytes().len() == 32, "a Solana key has 32 bytes");
    u16::try_from(message.len()).context("a Solana message is short")?;
    Ok(Payload::SolanaMessage(message))
}
