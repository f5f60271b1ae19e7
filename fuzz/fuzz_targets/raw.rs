//! Raw bytes, and the same bytes as an EIP-191 message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_chain::{Danger, SigningMessage};
use quorate_fuzz::{ETHEREUM, accepted, analysed};
use quorate_types::{Network, Payload, Scheme};

fuzz_target!(|bytes: &[u8]| {
    for scheme in [Scheme::Ecdsa, Scheme::Bip340, Scheme::Eddsa] {
        let payload = Payload::Raw(bytes.to_vec());
        let Some(analysis) = accepted(&payload, None, scheme) else {
            continue;
        };
        assert!(analysis.effects.movements.is_empty() && analysis.effects.calls.is_empty());
        let dangers: Vec<_> = analysis.effects.dangers.iter().collect();
        assert_eq!(dangers, [&Danger::Undecodable]);
        if scheme == Scheme::Eddsa {
            let message = SigningMessage::Ed25519(bytes.to_vec());
            assert_eq!(*analysis.items[0].message(), message);
            let solana = Payload::SolanaMessage(bytes.to_vec());
            assert!(analysed(&solana, Some(Network::Solana), scheme).is_err());
        }
    }
    let message = Payload::Message(bytes.to_vec());
    let analysis = accepted(&message, Some(ETHEREUM), Scheme::Ecdsa).expect("any bytes");
    assert!(analysis.effects.dangers.contains(&Danger::AnyChain));
});
