//! Solana messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_chain::{Facts, SigningMessage};
use quorate_fuzz::{accepted, assert_exact};
use quorate_types::{Network, Payload, Scheme};
use solana_message::VersionedMessage;

fuzz_target!(|bytes: &[u8]| {
    let payload = Payload::SolanaMessage(bytes.to_vec());
    let Some(analysis) = accepted(&payload, Some(Network::Solana), Scheme::Eddsa) else {
        return;
    };
    let message = SigningMessage::Ed25519(bytes.to_vec());
    assert_eq!(*analysis.items[0].message(), message);
    assert_exact(
        Payload::SolanaMessage,
        bytes,
        Network::Solana,
        Scheme::Eddsa,
    );
    let other: VersionedMessage = bincode::deserialize(bytes).expect("accepted");
    assert_eq!(other.serialize(), bytes);
    let Facts::Solana(facts) = &analysis.facts else {
        panic!("not solana");
    };
    assert_eq!(facts.instructions.len(), other.instructions().len());
    // Raw signing must not be a way around the analysis.
    let raw = Payload::Raw(bytes.to_vec());
    assert!(accepted(&raw, None, Scheme::Eddsa).is_none());
});
