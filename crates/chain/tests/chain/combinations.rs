use quorate_chain::{Facts, SigningMessage, TaprootTweak, analyse};
use quorate_types::{Network, Payload, PublicKey, Scheme};
use sha2::{Digest as _, Sha256};

use crate::common::{BITCOIN, ETHEREUM, LocalKey, code, digest, only_message};
use crate::solana::transfer;

fn raw(bytes: &[u8], scheme: Scheme, key: &PublicKey) -> Result<SigningMessage, &'static str> {
    let payload = Payload::Raw(bytes.to_vec());
    let analysis = analyse(&payload, None, scheme, key, true);
    analysis
        .map(|a| only_message(&a))
        .map_err(|e| quorate_types::CodeSet::as_str(e.code()))
}

#[test]
fn payloads_for_another_kind_of_chain_are_refused() {
    let key = LocalKey::new(1);
    let payloads = [
        (Payload::EvmTransaction(vec![2]), BITCOIN),
        (Payload::EvmTransaction(vec![2]), Network::Solana),
        (Payload::TypedData("{}".to_owned()), BITCOIN),
        (Payload::BitcoinPsbt(vec![1]), ETHEREUM),
        (Payload::SolanaMessage(vec![1]), ETHEREUM),
    ];
    for (payload, network) in payloads {
        let refused = analyse(
            &payload,
            Some(network),
            Scheme::Ecdsa,
            &key.secp256k1(),
            true,
        );
        assert_eq!(code(refused), "payload-not-for-network", "{payload:?}");
        let refused = analyse(&payload, None, Scheme::Ecdsa, &key.secp256k1(), true);
        assert_eq!(code(refused), "payload-network-missing", "{payload:?}");
    }
}

#[test]
fn message_signing_exists_on_evm_chains_only() {
    let key = LocalKey::new(1);
    let payload = Payload::Message(b"hello".to_vec());
    for (network, scheme, key) in [
        (BITCOIN, Scheme::Ecdsa, key.secp256k1()),
        (Network::Solana, Scheme::Eddsa, key.ed25519()),
    ] {
        let refused = analyse(&payload, Some(network), scheme, &key, false);
        assert_eq!(code(refused), "message-not-supported");
    }
}

#[test]
fn keys_of_another_scheme_or_curve_are_refused() {
    let key = LocalKey::new(1);
    let payload = Payload::Message(b"hello".to_vec());
    let refused = analyse(&payload, Some(ETHEREUM), Scheme::Ecdsa, &key.p256(), false);
    assert_eq!(code(refused), "key-not-for-network");
    let refused = analyse(&payload, Some(ETHEREUM), Scheme::Eddsa, &key.p256(), false);
    assert_eq!(code(refused), "key-scheme-not-on-curve");
    assert_eq!(
        raw(b"hello", Scheme::Bip340, &key.ed25519()),
        Err("key-scheme-not-on-curve")
    );
}

#[test]
fn oversized_payloads_are_refused_before_parsing() {
    let payload = Payload::SolanaMessage(vec![0; Payload::MAX_LEN + 1]);
    let key = LocalKey::new(1).ed25519();
    let refused = analyse(&payload, Some(Network::Solana), Scheme::Eddsa, &key, false);
    assert_eq!(code(refused), "payload-too-long");
}

#[test]
fn i02_raw_bytes_need_a_key_made_for_them_and_no_network() {
    let payload = Payload::Raw(b"hello".to_vec());
    let key = LocalKey::new(1).secp256k1();
    let refused = analyse(&payload, None, Scheme::Ecdsa, &key, false);
    assert_eq!(code(refused), "raw-not-allowed");
    let refused = analyse(&payload, Some(ETHEREUM), Scheme::Ecdsa, &key, true);
    assert_eq!(code(refused), "raw-with-network");
}

#[test]
fn i02_raw_bytes_are_hashed_here() {
    let key = LocalKey::new(1);
    let sha = |bytes: &[u8]| <[u8; 32]>::from(Sha256::digest(bytes));
    for key in [key.secp256k1(), key.p256()] {
        let message = raw(b"hello", Scheme::Ecdsa, &key).unwrap();
        assert_eq!(digest(&message), sha(b"hello"));
    }
    let tag = sha(b"quorate/raw-message/v1");
    let expected = SigningMessage::Bip340 {
        message: sha(&[&tag[..], &tag, b"hello"].concat()),
        tweak: TaprootTweak::None,
    };
    assert_eq!(
        raw(b"hello", Scheme::Bip340, &key.secp256k1()).unwrap(),
        expected
    );
    assert_eq!(
        raw(b"hello", Scheme::Eddsa, &key.ed25519()).unwrap(),
        SigningMessage::Ed25519(b"hello".to_vec())
    );
}

#[test]
fn i02_raw_bytes_cannot_be_a_solana_message() {
    let key = LocalKey::new(1).ed25519();
    let message = transfer(&key).serialize();
    let refused = Err("raw-is-solana-message");
    assert_eq!(raw(&message, Scheme::Eddsa, &key), refused);
    // A version that does not exist yet, and a message with something after it.
    let future = [&[0x81], &message[..]].concat();
    assert_eq!(raw(&future, Scheme::Eddsa, &key), refused);
    let longer = [&message[..], &[0]].concat();
    assert_eq!(raw(&longer, Scheme::Eddsa, &key), refused);
    assert!(raw(&[0x81; 64], Scheme::Eddsa, &key).is_ok());
}

#[test]
fn i02_raw_bytes_cannot_be_half_a_bitcoin_sighash() {
    let key = LocalKey::new(1);
    let refused = raw(&[7; 32], Scheme::Ecdsa, &key.secp256k1());
    assert_eq!(refused, Err("raw-is-half-sighash"));
    assert!(raw(&[7; 31], Scheme::Ecdsa, &key.secp256k1()).is_ok());
    assert!(raw(&[7; 32], Scheme::Ecdsa, &key.p256()).is_ok());
    assert!(raw(&[7; 32], Scheme::Bip340, &key.secp256k1()).is_ok());
}

#[test]
fn raw_facts_show_what_is_signed() {
    let key = LocalKey::new(1).p256();
    let payload = Payload::Raw(b"hello".to_vec());
    let facts = analyse(&payload, None, Scheme::Ecdsa, &key, true)
        .unwrap()
        .facts;
    assert_eq!(facts.summary_lines()[2], "text: \"hello\"");
    assert!(matches!(&facts, Facts::Raw(raw) if raw.len == 5));
    assert_eq!(serde_json::to_value(&facts).unwrap()["kind"], "raw");
}
