//! decode(encode(x)) = x, for generated transactions.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use quorate_chain::{Facts, SigningMessage, analyse};
use quorate_types::{Network, Payload, Scheme};
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::{MessageHeader, VersionedMessage, legacy, v0};

use crate::common::{
    ETHEREUM, LocalKey, analyse_psbt, digest, foreign_script, only_message, psbt, script,
};
use crate::evm_types::{authorization, blob_hash};

/// Fixed, so that a failure and its printed minimal input repeat on every run.
const SEED: u64 = 0x0071_756f_7261_7465;

pub fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(SEED),
        ..ProptestConfig::default()
    }
}

fn kind() -> impl Strategy<Value = TxKind> {
    prop_oneof![
        Just(TxKind::Create),
        any::<[u8; 20]>().prop_map(|a| TxKind::Call(Address::from(a))),
    ]
}

/// Numbers of every length, so that short and empty encodings come up.
fn amount() -> impl Strategy<Value = U256> {
    (any::<[u8; 32]>(), 0usize..256).prop_map(|(b, shift)| U256::from_be_bytes(b) >> shift)
}

fn legacy_tx() -> impl Strategy<Value = TxLegacy> {
    let numbers = (any::<u64>(), 0u32..64, any::<u128>(), 0u32..128);
    (numbers, kind(), amount(), vec(any::<u8>(), 0..200)).prop_map(
        |((number, shift, price, price_shift), to, value, input)| TxLegacy {
            chain_id: Some(1),
            nonce: number >> shift,
            gas_price: price >> price_shift,
            gas_limit: number.rotate_left(shift),
            to,
            value,
            input: Bytes::from(input),
        },
    )
}

fn access_list() -> impl Strategy<Value = AccessList> {
    let item = (any::<[u8; 20]>(), vec(any::<[u8; 32]>(), 0..3)).prop_map(|(address, keys)| {
        AccessListItem {
            address: Address::from(address),
            storage_keys: keys.into_iter().map(B256::from).collect(),
        }
    });
    vec(item, 0..3).prop_map(AccessList)
}

/// The bytes analyse, the digest is of these bytes, and the facts say what was put in.
fn check_evm<T: SignableTransaction<alloy_primitives::Signature>>(tx: &T) {
    let mut bytes = Vec::new();
    tx.encode_for_signing(&mut bytes);
    let payload = Payload::EvmTransaction(bytes.clone());
    let key = LocalKey::new(1).secp256k1();
    let analysis = analyse(&payload, Some(ETHEREUM), Scheme::Ecdsa, &key, false).unwrap();
    assert_eq!(digest(&only_message(&analysis)), keccak256(&bytes).0);
    let Facts::Evm(facts) = analysis.facts else {
        panic!("{:?}", analysis.facts);
    };
    assert_eq!(facts.nonce, tx.nonce());
    assert_eq!(facts.value, tx.value());
    assert_eq!(facts.gas_limit, tx.gas_limit());
    assert_eq!(facts.max_fee_per_gas, tx.max_fee_per_gas());
    assert_eq!(facts.to, tx.to().map(|a| a.to_checksum(None)));
    assert_eq!(facts.data_len, tx.input().len());
    let hash = (!tx.input().is_empty()).then(|| hex::encode_prefixed(keccak256(tx.input())));
    assert_eq!(facts.data_hash, hash);
}

/// Some sound message whose first account is `key`.
fn solana_message(key: [u8; 32]) -> impl Strategy<Value = legacy::Message> {
    let instruction = (vec(0u8..4, 0..6), vec(any::<u8>(), 0..150), 1u8..4);
    (any::<[u8; 32]>(), vec(instruction, 1..4), 1u8..3).prop_map(
        move |(blockhash, instructions, signers)| legacy::Message {
            header: MessageHeader {
                num_required_signatures: signers,
                num_readonly_signed_accounts: signers - 1,
                num_readonly_unsigned_accounts: 1,
            },
            account_keys: vec![key.into(), [1; 32].into(), [2; 32].into(), [0; 32].into()],
            recent_blockhash: blockhash.into(),
            instructions: instructions
                .into_iter()
                .map(|(accounts, data, program_id_index)| CompiledInstruction {
                    program_id_index,
                    accounts,
                    data,
                })
                .collect(),
        },
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn evm_legacy(tx in legacy_tx()) {
        check_evm(&tx);
    }

    #[test]
    fn evm_eip2930(tx in legacy_tx(), access_list in access_list()) {
        check_evm(&TxEip2930 {
            chain_id: 1,
            nonce: tx.nonce,
            gas_price: tx.gas_price,
            gas_limit: tx.gas_limit,
            to: tx.to,
            value: tx.value,
            access_list,
            input: tx.input,
        });
    }

    #[test]
    fn evm_eip1559(tx in legacy_tx(), access_list in access_list(), tip in any::<u128>()) {
        check_evm(&TxEip1559 {
            chain_id: 1,
            nonce: tx.nonce,
            gas_limit: tx.gas_limit,
            max_fee_per_gas: tx.gas_price,
            max_priority_fee_per_gas: tip.min(tx.gas_price),
            to: tx.to,
            value: tx.value,
            access_list,
            input: tx.input,
        });
    }

    #[test]
    fn evm_eip4844(tx in legacy_tx(), to in any::<[u8; 20]>(), blobs in 1u8..7, price in any::<u128>()) {
        check_evm(&TxEip4844 {
            chain_id: 1,
            nonce: tx.nonce,
            gas_limit: tx.gas_limit,
            max_fee_per_gas: tx.gas_price,
            to: to.into(),
            value: tx.value,
            blob_versioned_hashes: (0..blobs).map(blob_hash).collect(),
            max_fee_per_blob_gas: price,
            input: tx.input,
            ..TxEip4844::default()
        });
    }

    #[test]
    fn evm_eip7702(tx in legacy_tx(), to in any::<[u8; 20]>(), authorities in 1u8..4) {
        check_evm(&TxEip7702 {
            chain_id: 1,
            nonce: tx.nonce,
            gas_limit: tx.gas_limit,
            max_fee_per_gas: tx.gas_price,
            to: to.into(),
            value: tx.value,
            authorization_list: (1..=authorities)
                .map(|byte| authorization(&LocalKey::new(byte), tx.nonce))
                .collect(),
            input: tx.input,
            ..TxEip7702::default()
        });
    }

    #[test]
    fn bitcoin_psbt(
        amounts in vec(1000u64..1_000_000_000, 1..5),
        share in 0u64..=1000,
        taproot in any::<bool>(),
    ) {
        let key = LocalKey::new(0x21);
        let scheme = if taproot { Scheme::Bip340 } else { Scheme::Ecdsa };
        let total: u64 = amounts.iter().sum();
        let sent = total / 1000 * share;
        let outputs = [(foreign_script(), sent), (script(scheme, &key), (total - sent) / 2)];
        let psbt = psbt(scheme, &key, &amounts, &outputs);
        let analysis = analyse_psbt(scheme, &key, &psbt).unwrap();
        prop_assert_eq!(analysis.items.len(), amounts.len());
        let Facts::Bitcoin(facts) = analysis.facts else {
            panic!("not bitcoin");
        };
        let read: Vec<u64> = facts.inputs.iter().map(|i| i.amount).collect();
        prop_assert_eq!(read, amounts);
        prop_assert_eq!(facts.sent, sent);
        prop_assert_eq!(facts.fee, total - sent - (total - sent) / 2);
        prop_assert_eq!(facts.txid, psbt.unsigned_tx.compute_txid().to_string());
    }

    #[test]
    fn solana_messages(
        message in solana_message(LocalKey::new(0x31).ed25519().as_bytes().try_into().unwrap()),
        versioned in any::<bool>(),
    ) {
        let instructions = message.instructions.len();
        let blockhash = message.recent_blockhash.to_string();
        let signers = usize::from(message.header.num_required_signatures);
        let message = if versioned {
            VersionedMessage::V0(v0::Message {
                header: message.header,
                account_keys: message.account_keys,
                recent_blockhash: message.recent_blockhash,
                instructions: message.instructions,
                address_table_lookups: Vec::new(),
            })
        } else {
            VersionedMessage::Legacy(message)
        };
        let payload = Payload::SolanaMessage(message.serialize());
        let key = LocalKey::new(0x31).ed25519();
        let analysis = analyse(&payload, Some(Network::Solana), Scheme::Eddsa, &key, false).unwrap();
        prop_assert_eq!(only_message(&analysis), SigningMessage::Ed25519(message.serialize()));
        let Facts::Solana(facts) = analysis.facts else {
            panic!("not solana");
        };
        prop_assert_eq!(facts.instructions.len(), instructions);
        prop_assert_eq!(facts.recent_blockhash, blockhash);
        prop_assert_eq!(facts.other_signers.len(), signers - 1);
    }

    #[test]
    fn no_bytes_make_analysis_panic(bytes in vec(any::<u8>(), 0..400)) {
        let key = LocalKey::new(1);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for (payload, network, scheme, key) in [
            (Payload::EvmTransaction(bytes.clone()), ETHEREUM, Scheme::Ecdsa, key.secp256k1()),
            (Payload::TypedData(text), ETHEREUM, Scheme::Ecdsa, key.secp256k1()),
            (Payload::BitcoinPsbt(bytes.clone()), crate::common::BITCOIN, Scheme::Bip340, key.secp256k1()),
            (Payload::SolanaMessage(bytes.clone()), Network::Solana, Scheme::Eddsa, key.ed25519()),
        ] {
            let _ = analyse(&payload, Some(network), scheme, &key, false);
        }
    }
}
