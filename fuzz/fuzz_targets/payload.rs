//! Encoded payloads, batches among them: a batch is accepted if each of its members is, and is exactly all of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_chain::Analysis;
use quorate_fuzz::{ETHEREUM, accepted};
use quorate_types::{Batch, BitcoinNetwork, Network, Payload, Scheme};

const BITCOIN: Network = Network::Bitcoin(BitcoinNetwork::Mainnet);

fuzz_target!(|bytes: &[u8]| {
    let Ok(payload) = borsh::from_slice::<Payload>(bytes) else {
        return;
    };
    assert_eq!(borsh::to_vec(&payload).expect("to memory"), bytes);
    for (network, scheme) in [
        (Some(ETHEREUM), Scheme::Ecdsa),
        (Some(BITCOIN), Scheme::Ecdsa),
        (Some(BITCOIN), Scheme::Bip340),
        (Some(Network::Solana), Scheme::Eddsa),
        (None, Scheme::Eddsa),
    ] {
        let alone = payload.members().iter();
        let alone: Option<Vec<Analysis>> = alone.map(|m| accepted(m, network, scheme)).collect();
        let whole = accepted(&payload, network, scheme);
        let Some(alone) = alone else {
            assert!(whole.is_none());
            continue;
        };
        let items: Vec<_> = alone.iter().flat_map(|a| &a.items).collect();
        let Some(whole) = whole else {
            assert!(items.len() > Batch::MAX);
            continue;
        };
        assert_eq!(whole.items.len(), items.len());
        for (item, own) in whole.items.iter().zip(items) {
            assert_eq!(item.message(), own.message());
        }
        let movements: Vec<_> = alone.iter().flat_map(|a| &a.effects.movements).collect();
        assert_eq!(
            whole.effects.movements.iter().collect::<Vec<_>>(),
            movements
        );
    }
});
