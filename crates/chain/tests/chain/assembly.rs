use alloy_consensus::transaction::SignerRecoverable as _;
use alloy_consensus::{SignableTransaction as _, TxEip2930, TxEnvelope};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, Signature as EvmSignature, eip191_hash_message};
use quorate_chain::{Assembled, ChainError, address, analyse};
use quorate_types::{Network, Payload, PublicKey, Scheme, Signature};

use crate::common::{ETHEREUM, LocalKey, assemble, code};
use crate::evm::{eip155, eip1559, unsigned};

const KEY: LocalKey = LocalKey::new(0x46);

fn sign(
    payload: &Payload,
    network: Option<Network>,
    scheme: Scheme,
    child: &PublicKey,
) -> Vec<Signature> {
    KEY.sign_all(
        &analyse(payload, network, scheme, child, true)
            .unwrap()
            .items,
    )
}

fn signed(payload: &Payload) -> Assembled {
    let child = KEY.secp256k1();
    let signatures = sign(payload, Some(ETHEREUM), Scheme::Ecdsa, &child);
    assemble(payload, Some(ETHEREUM), Scheme::Ecdsa, &child, &signatures).unwrap()
}

fn sender() -> Address {
    let text = address(ETHEREUM, Scheme::Ecdsa, &KEY.secp256k1()).unwrap();
    text.parse().unwrap()
}

#[test]
fn eip155_example_has_the_published_signed_form() {
    let done = signed(&Payload::EvmTransaction(eip155()));
    assert_eq!(
        hex::encode(done.bytes),
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );
    assert_eq!(
        done.id,
        "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788"
    );
}

#[test]
fn signed_transactions_recover_to_the_sender() {
    let mut eip2930 = Vec::new();
    TxEip2930 {
        chain_id: 1,
        nonce: 3,
        ..TxEip2930::default()
    }
    .encode_for_signing(&mut eip2930);
    let many = (0..16).map(|nonce| unsigned(&alloy_consensus::TxEip1559 { nonce, ..eip1559() }));
    for bytes in many.chain([eip155(), eip2930]) {
        let done = signed(&Payload::EvmTransaction(bytes));
        let envelope = TxEnvelope::decode_2718_exact(&done.bytes).unwrap();
        assert_eq!(envelope.recover_signer().unwrap(), sender());
        assert_eq!(done.id, format!("{:#x}", envelope.tx_hash()));
    }
}

#[test]
fn eip191_signatures_recover_to_the_sender() {
    for i in 0..16u8 {
        let text = vec![b'a', i];
        let done = signed(&Payload::Message(text.clone()));
        assert!(matches!(done.bytes[64], 27 | 28));
        let signature = EvmSignature::from_raw(&done.bytes).unwrap();
        let recovered = signature.recover_address_from_msg(&text).unwrap();
        assert_eq!(recovered, sender());
        assert_eq!(done.id, format!("{:#x}", eip191_hash_message(&text)));
    }
}

#[test]
fn raw_payloads_assemble_to_the_signature() {
    let payload = Payload::Raw(b"hello".to_vec());
    for (scheme, child) in [
        (Scheme::Ecdsa, KEY.secp256k1()),
        (Scheme::Bip340, KEY.secp256k1()),
        (Scheme::Eddsa, KEY.ed25519()),
    ] {
        let signatures = sign(&payload, None, scheme, &child);
        let done = assemble(&payload, None, scheme, &child, &signatures).unwrap();
        assert_eq!(done.bytes, signatures[0].to_bytes());
        assert_eq!(
            done.id,
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
    }
}

#[test]
fn signatures_of_another_message_key_or_scheme_are_refused() {
    let child = KEY.secp256k1();
    let payload = Payload::EvmTransaction(eip155());
    let attempt = |signature: Signature| {
        assemble(
            &payload,
            Some(ETHEREUM),
            Scheme::Ecdsa,
            &child,
            &[signature],
        )
    };
    let other = Payload::Message(b"x".to_vec());
    let other_message = sign(&other, Some(ETHEREUM), Scheme::Ecdsa, &child)[0];
    assert_eq!(code(attempt(other_message)), "signature-invalid");
    let items = analyse(&payload, Some(ETHEREUM), Scheme::Ecdsa, &child, false)
        .unwrap()
        .items;
    let other_key = LocalKey::new(2).sign_all(&items)[0];
    assert_eq!(code(attempt(other_key)), "signature-invalid");
    let error = attempt(Signature::Ed25519([0; 64])).unwrap_err();
    assert!(matches!(error, ChainError::BadSignature { item: 0, .. }));
}

#[test]
fn assembling_refuses_what_analysis_refuses() {
    let mut bytes = eip155();
    bytes.push(0);
    let refused = assemble(
        &Payload::EvmTransaction(bytes),
        Some(ETHEREUM),
        Scheme::Ecdsa,
        &KEY.secp256k1(),
        &[],
    );
    assert_eq!(code(refused), "payload-trailing-bytes");
}
