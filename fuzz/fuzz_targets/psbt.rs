//! PSBTs of both versions, for both kinds of outputs.
#![no_main]

use bitcoin::Psbt;
use libfuzzer_sys::fuzz_target;
use quorate_chain::Facts;
use quorate_chain::facts::BitcoinFacts;
use quorate_fuzz::{accepted, assert_exact};
use quorate_types::{BitcoinNetwork, Network, Payload, Scheme};

const BITCOIN: Network = Network::Bitcoin(BitcoinNetwork::Mainnet);

fuzz_target!(|bytes: &[u8]| {
    for scheme in [Scheme::Ecdsa, Scheme::Bip340] {
        let payload = Payload::BitcoinPsbt(bytes.to_vec());
        let Some(analysis) = accepted(&payload, Some(BITCOIN), scheme) else {
            continue;
        };
        let Facts::Bitcoin(facts) = &analysis.facts else {
            panic!("not bitcoin");
        };
        assert_eq!(analysis.items.len(), facts.inputs.len());
        assert_exact(Payload::BitcoinPsbt, bytes, BITCOIN, scheme);
        assert_balanced(facts);
        assert_eq!(facts.txid, other_txid(bytes));
    }
});

/// What comes in goes out, as fee, to others, or back.
fn assert_balanced(facts: &BitcoinFacts) {
    let inputs: u64 = facts.inputs.iter().map(|i| i.amount).sum();
    let outputs: u64 = facts.outputs.iter().map(|o| o.amount).sum();
    let foreign = facts.outputs.iter().filter(|o| !o.change);
    assert_eq!(inputs, outputs + facts.fee);
    assert_eq!(facts.sent, foreign.map(|o| o.amount).sum::<u64>());
}

/// The transaction as other implementations read it: version 0 also writes the same bytes again.
fn other_txid(bytes: &[u8]) -> String {
    match Psbt::deserialize(bytes) {
        Ok(psbt) => {
            assert_eq!(psbt.serialize(), bytes);
            psbt.unsigned_tx.compute_txid().to_string()
        }
        Err(_) => {
            let psbt = psbt_v2::v2::Psbt::deserialize(bytes).expect("version 2");
            let signer = psbt_v2::v2::Signer::new(psbt).expect("a lock time");
            signer.unsigned_tx().compute_txid().to_string()
        }
    }
}
