//! Blob (EIP-4844) and set-code (EIP-7702) transactions.

use alloy_consensus::transaction::SignerRecoverable as _;
use alloy_consensus::{SignableTransaction as _, TxEip4844, TxEip7702, TxEnvelope};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, U256};
use quorate_chain::facts::EvmFacts;
use quorate_chain::{Danger, Facts, address, analyse};
use quorate_types::{Payload, Scheme};

use crate::common::{ETHEREUM, LocalKey, assemble, code, digest, evm, only_message};

const KEY: LocalKey = LocalKey::new(0x46);

pub fn blob_hash(byte: u8) -> B256 {
    let mut hash = B256::repeat_byte(byte);
    hash.0[0] = 1;
    hash
}

pub fn eip4844() -> TxEip4844 {
    TxEip4844 {
        chain_id: 1,
        nonce: 3,
        gas_limit: 21_000,
        max_fee_per_gas: 30_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: Address::repeat_byte(0x35),
        blob_versioned_hashes: vec![blob_hash(7), blob_hash(8)],
        max_fee_per_blob_gas: 10,
        ..TxEip4844::default()
    }
}

/// An authorisation that `key` signed.
pub fn authorization(key: &LocalKey, chain_id: u64) -> SignedAuthorization {
    let inner = Authorization {
        chain_id: U256::from(chain_id),
        address: Address::repeat_byte(0x63),
        nonce: 1,
    };
    let signature = key.ecdsa(&inner.signature_hash().0);
    SignedAuthorization::new_unchecked(
        inner,
        signature.recovery_id,
        U256::from_be_bytes(signature.r),
        U256::from_be_bytes(signature.s),
    )
}

pub fn eip7702() -> TxEip7702 {
    TxEip7702 {
        chain_id: 1,
        nonce: 3,
        gas_limit: 60_000,
        max_fee_per_gas: 30_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: Address::repeat_byte(0x35),
        authorization_list: vec![authorization(&LocalKey::new(5), 1)],
        ..TxEip7702::default()
    }
}

pub fn unsigned_blob(tx: &TxEip4844) -> Vec<u8> {
    let mut out = Vec::new();
    tx.encode_for_signing(&mut out);
    out
}

pub fn unsigned_set_code(tx: &TxEip7702) -> Vec<u8> {
    let mut out = Vec::new();
    tx.encode_for_signing(&mut out);
    out
}

fn facts(bytes: &[u8]) -> EvmFacts {
    match evm(bytes).unwrap().facts {
        Facts::Evm(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn owner(key: &LocalKey) -> String {
    address(ETHEREUM, Scheme::Ecdsa, &key.secp256k1()).unwrap()
}

#[test]
fn blobs_are_counted_in_the_fee() {
    let facts = facts(&unsigned_blob(&eip4844()));
    assert_eq!(facts.blobs, 2);
    let gas = 21_000u64 * 30_000_000_000;
    assert_eq!(facts.max_fee, U256::from(gas + 2 * 131_072 * 10));
    let lines = Facts::Evm(facts).summary_lines();
    assert!(lines.contains(&"2 blobs at 0.00000001 gwei per gas".to_owned()));
}

#[test]
fn t20_a_blob_fee_of_everything_is_a_fact() {
    let tx = TxEip4844 {
        max_fee_per_blob_gas: u128::MAX,
        ..eip4844()
    };
    let effects = evm(&unsigned_blob(&tx)).unwrap().effects;
    assert!(effects.fee > U256::from(u128::MAX) * U256::from(262_144u64));
}

#[test]
fn t20_blob_transactions_that_no_node_takes_are_refused() {
    let none = TxEip4844 {
        blob_versioned_hashes: vec![],
        ..eip4844()
    };
    assert_eq!(code(evm(&unsigned_blob(&none))), "evm-no-blobs");
    let other_version = TxEip4844 {
        blob_versioned_hashes: vec![blob_hash(7), B256::repeat_byte(2)],
        ..eip4844()
    };
    let refused = evm(&unsigned_blob(&other_version));
    assert_eq!(code(refused), "evm-blob-hash-version");
    let tip = TxEip4844 {
        max_priority_fee_per_gas: 30_000_000_001,
        ..eip4844()
    };
    assert_eq!(code(evm(&unsigned_blob(&tip))), "evm-tip-above-cap");
}

#[test]
fn t20_set_code_is_a_danger_and_its_authority_is_recovered() {
    let analysis = evm(&unsigned_set_code(&eip7702())).unwrap();
    assert!(analysis.effects.dangers.contains(&Danger::SetCode));
    assert!(!analysis.effects.dangers.contains(&Danger::AnyChain));
    let facts = facts(&unsigned_set_code(&eip7702()));
    let one = &facts.authorizations[0];
    assert_eq!(one.authority, Some(owner(&LocalKey::new(5))));
    assert_eq!(one.address, Address::repeat_byte(0x63).to_checksum(None));
    let line = &Facts::Evm(facts.clone()).summary_lines()[1];
    assert!(line.starts_with("HANDS account 0x"), "{line}");
}

#[test]
fn t20_authorizations_for_every_chain_or_without_effect_are_told_apart() {
    let mut tx = eip7702();
    tx.authorization_list = vec![authorization(&LocalKey::new(5), 0)];
    let effects = evm(&unsigned_set_code(&tx)).unwrap().effects;
    assert!(effects.dangers.contains(&Danger::AnyChain));
    let good = authorization(&LocalKey::new(5), 1);
    let order = U256::from_be_bytes(secp256k1::constants::CURVE_ORDER);
    let invalid = [
        (2, good.r(), good.s()),
        (1 - good.y_parity(), good.r(), order - good.s()),
        (good.y_parity(), U256::ZERO, good.s()),
        (good.y_parity(), good.r(), U256::MAX),
    ];
    for (y_parity, r, s) in invalid {
        let signed = SignedAuthorization::new_unchecked(good.inner().clone(), y_parity, r, s);
        tx.authorization_list = vec![signed];
        let analysis = evm(&unsigned_set_code(&tx)).unwrap();
        assert!(analysis.effects.dangers.contains(&Danger::SetCode));
        let Facts::Evm(facts) = analysis.facts else {
            panic!("not evm");
        };
        assert_eq!(facts.authorizations[0].authority, None);
    }
    tx.authorization_list = vec![];
    let refused = evm(&unsigned_set_code(&tx));
    assert_eq!(code(refused), "evm-no-authorizations");
}

#[test]
fn both_types_assemble_to_what_recovers_to_the_sender() {
    for bytes in [unsigned_blob(&eip4844()), unsigned_set_code(&eip7702())] {
        let payload = Payload::EvmTransaction(bytes.clone());
        let child = KEY.secp256k1();
        let analysis = analyse(&payload, Some(ETHEREUM), Scheme::Ecdsa, &child, false).unwrap();
        let expected = alloy_primitives::keccak256(&bytes).0;
        assert_eq!(digest(&only_message(&analysis)), expected);
        let signatures = KEY.sign_all(&analysis.items);
        let done = assemble(&payload, Some(ETHEREUM), Scheme::Ecdsa, &child, &signatures).unwrap();
        let envelope = TxEnvelope::decode_2718_exact(&done.bytes).unwrap();
        assert_eq!(
            envelope.recover_signer().unwrap().to_checksum(None),
            owner(&KEY)
        );
        assert_eq!(done.id, format!("{:#x}", envelope.tx_hash()));
        assert_eq!(code(evm(&done.bytes)), "evm-already-signed");
        let trailing = [&bytes[..], &[0]].concat();
        assert_eq!(code(evm(&trailing)), "payload-trailing-bytes");
    }
}
