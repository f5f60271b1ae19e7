//! Unsigned EVM transactions.
#![no_main]

use alloy_consensus::transaction::RlpEcdsaDecodableTx;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702};
use alloy_primitives::{Signature, keccak256};
use libfuzzer_sys::fuzz_target;
use quorate_chain::SigningMessage;
use quorate_fuzz::{ETHEREUM, accepted, assert_exact};
use quorate_types::{Payload, Scheme};

fuzz_target!(|bytes: &[u8]| {
    let payload = Payload::EvmTransaction(bytes.to_vec());
    let Some(analysis) = accepted(&payload, Some(ETHEREUM), Scheme::Ecdsa) else {
        return;
    };
    let SigningMessage::Ecdsa(preimage) = analysis.items[0].message() else {
        panic!("not signed by ECDSA");
    };
    assert_eq!(*preimage.digest(), keccak256(bytes).0);
    assert_exact(Payload::EvmTransaction, bytes, ETHEREUM, Scheme::Ecdsa);
    match bytes[0] {
        1 => assert_encodes::<TxEip2930>(bytes),
        2 => assert_encodes::<TxEip1559>(bytes),
        3 => assert_encodes::<TxEip4844>(bytes),
        4 => assert_encodes::<TxEip7702>(bytes),
        _ => {}
    }
});

fn assert_encodes<T: RlpEcdsaDecodableTx + SignableTransaction<Signature>>(bytes: &[u8]) {
    let mut rlp = &bytes[1..];
    let content = alloy_rlp::Header::decode_bytes(&mut rlp, true).unwrap();
    let tx = T::rlp_decode_fields(&mut &*content).unwrap();
    let mut out = Vec::new();
    tx.encode_for_signing(&mut out);
    assert_eq!(out, bytes);
}
