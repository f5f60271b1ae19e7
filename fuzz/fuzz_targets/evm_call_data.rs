//! Call data of EVM transactions: 20 bytes of contract, then the data.
#![no_main]

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_dyn_abi::DynSolType;
use alloy_primitives::{Address, Bytes, TxKind};
use libfuzzer_sys::fuzz_target;
use quorate_chain::facts::EvmCall;
use quorate_chain::{Danger, Facts, Reading};
use quorate_fuzz::{ETHEREUM, accepted};
use quorate_types::{Payload, Scheme};

fuzz_target!(|bytes: &[u8]| {
    let Some((to, data)) = bytes.split_first_chunk::<20>() else {
        return;
    };
    let tx = TxEip1559 {
        chain_id: 1,
        to: TxKind::Call(Address::from(*to)),
        input: Bytes::copy_from_slice(data),
        ..TxEip1559::default()
    };
    let mut encoded = Vec::new();
    tx.encode_for_signing(&mut encoded);
    let payload = Payload::EvmTransaction(encoded);
    let analysis = accepted(&payload, Some(ETHEREUM), Scheme::Ecdsa).expect("well formed");
    let Facts::Evm(facts) = &analysis.facts else {
        panic!("not EVM facts");
    };
    let call = facts.call.as_ref().expect("not a creation");
    if call.reading == Reading::Decoded && !data.is_empty() {
        assert_strict(call.function.as_ref().expect("decoded"), &data[4..]);
    }
    let understood = !analysis.effects.dangers.contains(&Danger::Undecodable);
    assert_eq!(understood, all_decoded(call));
    assert!(size(call, 1) <= 256);
});

/// The ABI library makes the same bytes of the same values.
fn assert_strict(function: &str, data: &[u8]) {
    let arguments = &function[function.find('(').unwrap()..];
    if arguments == "()" {
        assert!(data.is_empty());
        return;
    }
    let types = DynSolType::parse(arguments).unwrap();
    let types = match types {
        DynSolType::Tuple(_) => types,
        single => DynSolType::Tuple(vec![single]),
    };
    let values = types.abi_decode_params(data).unwrap();
    assert_eq!(values.abi_encode_params(), data);
}

fn all_decoded(call: &EvmCall) -> bool {
    call.reading == Reading::Decoded && call.inner.iter().all(all_decoded)
}

fn size(call: &EvmCall, depth: usize) -> usize {
    assert!(depth <= 8);
    1 + call.inner.iter().map(|c| size(c, depth + 1)).sum::<usize>()
}
