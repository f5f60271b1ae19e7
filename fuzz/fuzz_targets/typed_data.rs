//! EIP-712 typed data as JSON.
#![no_main]

use alloy_dyn_abi::TypedData;
use libfuzzer_sys::fuzz_target;
use quorate_chain::{Danger, Facts, SigningMessage};
use quorate_fuzz::{ETHEREUM, accepted};
use quorate_types::{Payload, Scheme};

fuzz_target!(|text: &str| {
    let payload = Payload::TypedData(text.to_owned());
    let Some(analysis) = accepted(&payload, Some(ETHEREUM), Scheme::Ecdsa) else {
        return;
    };
    let data: TypedData = serde_json::from_str(text).expect("accepted");
    let hash = data.eip712_signing_hash().expect("accepted");
    let SigningMessage::Ecdsa(preimage) = analysis.items[0].message() else {
        panic!("not signed by ECDSA");
    };
    assert_eq!(*preimage.digest(), hash.0);
    let Facts::TypedData(facts) = &analysis.facts else {
        panic!("not typed data");
    };
    let dangers = &analysis.effects.dangers;
    assert_eq!(
        facts.domain_chain_id.is_none(),
        dangers.contains(&Danger::AnyChain)
    );
    assert!(facts.meaning.is_some() || dangers.contains(&Danger::Undecodable));
});
