//! T20: no byte of a payload is decoration. Changing, removing or inserting one leads to a refusal, or to other facts or
//! another digest.

use quorate_chain::analyse;
use quorate_types::{Network, Payload, PublicKey, Scheme};

use crate::common::{BITCOIN, ETHEREUM, LocalKey, usual_psbt};
use crate::evm::{eip155, eip1559, unsigned};
use crate::evm_types::{eip4844, eip7702, unsigned_blob, unsigned_set_code};
use crate::psbt_version2::version2;
use crate::solana::transfer;

fn variants(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x02, 0x10, 0x40, 0x80, 0xff] {
            let mut changed = bytes.to_vec();
            changed[at] ^= flip;
            out.push(changed);
        }
        out.push([&bytes[..at], &bytes[at + 1..]].concat());
        out.push([&bytes[..at], &[0], &bytes[at..]].concat());
    }
    out
}

/// Returns how many variants were refused and how many read as something else.
fn check(
    make: impl Fn(Vec<u8>) -> Payload,
    bytes: &[u8],
    network: Network,
    scheme: Scheme,
    key: &PublicKey,
) -> (usize, usize) {
    let read = |bytes: Vec<u8>| analyse(&make(bytes), Some(network), scheme, key, false);
    let original = read(bytes.to_vec()).unwrap();
    let (mut refused, mut different) = (0, 0);
    for variant in variants(bytes) {
        match read(variant.clone()) {
            Err(_) => refused += 1,
            Ok(analysis) => {
                // Removing or inserting a byte next to an equal one gives the same bytes.
                if variant != bytes {
                    assert_ne!(analysis, original, "{}", hex::encode(&variant));
                    different += 1;
                }
            }
        }
    }
    (refused, different)
}

#[test]
fn t20_no_byte_of_an_evm_transaction_is_decoration() {
    let key = LocalKey::new(1).secp256k1();
    let blob = unsigned_blob(&eip4844());
    let set_code = unsigned_set_code(&eip7702());
    for bytes in [eip155(), unsigned(&eip1559()), blob, set_code] {
        let (refused, different) = check(
            Payload::EvmTransaction,
            &bytes,
            ETHEREUM,
            Scheme::Ecdsa,
            &key,
        );
        assert!(refused > 50 && different > 50, "{refused} {different}");
    }
}

#[test]
fn t20_no_byte_of_a_psbt_is_decoration() {
    let key = LocalKey::new(0x21);
    for scheme in [Scheme::Ecdsa, Scheme::Bip340] {
        let psbt = usual_psbt(scheme, &key);
        for bytes in [psbt.serialize(), version2(&psbt).serialize()] {
            let (refused, different) = check(
                Payload::BitcoinPsbt,
                &bytes,
                BITCOIN,
                scheme,
                &key.secp256k1(),
            );
            assert!(refused > 50 && different > 50, "{refused} {different}");
        }
    }
}

#[test]
fn t20_no_byte_of_a_solana_message_is_decoration() {
    let key = LocalKey::new(0x31).ed25519();
    let bytes = transfer(&key).serialize();
    let (refused, different) = check(
        Payload::SolanaMessage,
        &bytes,
        Network::Solana,
        Scheme::Eddsa,
        &key,
    );
    assert!(refused > 50 && different > 50, "{refused} {different}");
}
