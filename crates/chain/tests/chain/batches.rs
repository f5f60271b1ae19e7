//! Several payloads in one request: nothing is added to them, and nothing lost.

use alloy_consensus::TxEip1559;
use alloy_primitives::{TxKind, U256};
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_chain::{Analysis, ChainError, Danger, Effects, Facts, analyse};
use quorate_types::{Batch, Network, Payload, PublicKey, Scheme};

use crate::common::{
    BITCOIN, ETHEREUM, LocalKey, assemble, code, foreign_script, only_message, psbt,
};
use crate::evm::{eip1559, unsigned};

const KEY: LocalKey = LocalKey::new(0x21);

fn batch(members: Vec<Payload>) -> Payload {
    Payload::Batch(Batch::new(members).unwrap())
}

fn numbered(nonce: u64) -> Payload {
    Payload::EvmTransaction(unsigned(&TxEip1559 { nonce, ..eip1559() }))
}

fn spend(scheme: Scheme, inputs: usize, paid: u64) -> Payload {
    let amounts = vec![100_000; inputs];
    let psbt = psbt(scheme, &KEY, &amounts, &[(foreign_script(), paid)]);
    Payload::BitcoinPsbt(psbt.serialize())
}

fn evm(payload: &Payload) -> Result<Analysis, ChainError> {
    read(payload, ETHEREUM, Scheme::Ecdsa)
}

fn read(payload: &Payload, network: Network, scheme: Scheme) -> Result<Analysis, ChainError> {
    analyse(payload, Some(network), scheme, &KEY.secp256k1(), false)
}

/// What must be there for each member, and nothing else.
fn assert_union(payload: &Payload, network: Option<Network>, scheme: Scheme, key: &PublicKey) {
    let read = |payload: &Payload| analyse(payload, network, scheme, key, true).unwrap();
    let whole = read(payload);
    let parts: Vec<Analysis> = payload.members().iter().map(read).collect();

    let indices: Vec<u32> = whole.items.iter().map(|item| item.index()).collect();
    assert_eq!(indices, (0..).take(indices.len()).collect::<Vec<u32>>());
    let messages = |analysis: &Analysis| {
        let items = analysis.items.iter();
        items.map(|item| item.message().clone()).collect::<Vec<_>>()
    };
    let expected: Vec<_> = parts.iter().flat_map(messages).collect();
    assert_eq!(messages(&whole), expected);

    let effects: Vec<Effects> = parts.iter().map(|part| part.effects.clone()).collect();
    let all = &whole.effects;
    assert_eq!(all.members, effects);
    let movements: Vec<_> = effects.iter().flat_map(|e| e.movements.clone()).collect();
    assert_eq!(all.movements, movements);
    assert_eq!(
        all.calls,
        effects.iter().flat_map(|e| e.calls.clone()).collect()
    );
    assert_eq!(
        all.dangers,
        effects.iter().flat_map(|e| e.dangers.clone()).collect()
    );
    let fee = effects
        .iter()
        .fold(U256::ZERO, |sum, e| sum.saturating_add(e.fee));
    assert_eq!(all.fee, fee);
    assert_eq!(
        all.fee_rate,
        effects.iter().filter_map(|e| e.fee_rate).max()
    );

    let members = parts.iter().map(|part| part.facts.clone()).collect();
    assert_eq!(whole.facts, Facts::Batch { members });
    let json = serde_json::to_string(&(&whole.facts, &whole.effects)).unwrap();
    let again: (Facts, Effects) = serde_json::from_str(&json).unwrap();
    assert_eq!(again, (whole.facts.clone(), whole.effects.clone()));
    let of = parts.len();
    let mut lines = vec![format!("batch of {of}, signed all or none")];
    for (number, part) in (1..).zip(&parts) {
        let own = part.facts.summary_lines().into_iter();
        lines.extend(own.map(|line| format!("{number}/{of}: {line}")));
    }
    assert_eq!(whole.facts.summary_lines(), lines);

    let signatures = KEY.sign_all(&whole.items);
    let done = quorate_chain::assemble(payload, network, scheme, key, &signatures).unwrap();
    let mut rest = signatures.as_slice();
    let mut alone = Vec::new();
    for (member, part) in payload.members().iter().zip(&parts) {
        let (own, later) = rest.split_at(part.items.len());
        alone.push(assemble(member, network, scheme, key, own).unwrap());
        rest = later;
    }
    assert_eq!(done, alone);
}

#[test]
fn members_are_read_one_after_the_other() {
    let key = KEY.secp256k1();
    let transactions = batch((0..64).map(numbered).collect());
    assert_union(&transactions, Some(ETHEREUM), Scheme::Ecdsa, &key);
    let texts = ["one", "two", "three"].map(|text| Payload::Message(text.into()));
    assert_union(&batch(texts.to_vec()), Some(ETHEREUM), Scheme::Ecdsa, &key);
    let raw = [b"one", b"two"].map(|text| Payload::Raw(text.to_vec()));
    for (scheme, key) in [
        (Scheme::Ecdsa, key.clone()),
        (Scheme::Bip340, key.clone()),
        (Scheme::Eddsa, KEY.ed25519()),
    ] {
        assert_union(&batch(raw.to_vec()), None, scheme, &key);
    }
    for scheme in [Scheme::Ecdsa, Scheme::Bip340] {
        let spends = [3, 1, 2].map(|inputs| spend(scheme, inputs, 90_000));
        assert_union(&batch(spends.to_vec()), Some(BITCOIN), scheme, &key);
    }
}

#[test]
fn fees_do_not_overflow() {
    let dear = |nonce| {
        let tx = TxEip1559 {
            nonce,
            gas_limit: u64::MAX,
            max_fee_per_gas: u128::MAX,
            ..eip1559()
        };
        Payload::EvmTransaction(unsigned(&tx))
    };
    assert_union(
        &batch((0..64).map(dear).collect()),
        Some(ETHEREUM),
        Scheme::Ecdsa,
        &KEY.secp256k1(),
    );
}

#[test]
fn one_bad_member_refuses_all_and_is_named() {
    let trailing = match numbered(1) {
        Payload::EvmTransaction(bytes) => Payload::EvmTransaction([&bytes[..], &[0]].concat()),
        other => panic!("{other:?}"),
    };
    let refused = evm(&batch(vec![numbered(0), trailing, numbered(2)]));
    assert!(matches!(
        &refused,
        Err(ChainError::Member {
            member: 2,
            of: 3,
            ..
        })
    ));
    assert_eq!(code(refused), "payload-trailing-bytes");

    let other = unsigned(&TxEip1559 {
        chain_id: 5,
        ..eip1559()
    });
    let refused = evm(&batch(vec![numbered(0), Payload::EvmTransaction(other)]));
    let text = refused.as_ref().unwrap_err().to_string();
    assert!(text.starts_with("2 of 2 in the batch: "), "{text}");
    assert_eq!(code(refused), "evm-wrong-chain-id");

    let transactions = batch(vec![numbered(0), numbered(1)]);
    let refused = read(&transactions, BITCOIN, Scheme::Ecdsa);
    assert_eq!(code(refused), "payload-not-for-network");
    let refused = analyse(&transactions, None, Scheme::Ecdsa, &KEY.secp256k1(), true);
    assert_eq!(code(refused), "payload-network-missing");
    let raw = batch(
        [b"one", b"two"]
            .map(|text| Payload::Raw(text.to_vec()))
            .to_vec(),
    );
    let refused = analyse(&raw, None, Scheme::Eddsa, &KEY.ed25519(), false);
    assert_eq!(code(refused), "raw-not-allowed");
}

#[test]
fn a_batch_signs_no_more_items_than_a_request_may() {
    let spends = |last| {
        let members = [(40, 1_000_000), (last, 500_000)];
        let members = members.map(|(inputs, paid)| spend(Scheme::Ecdsa, inputs, paid));
        read(&batch(members.to_vec()), BITCOIN, Scheme::Ecdsa)
    };
    assert_eq!(spends(24).unwrap().items.len(), 64);
    assert_eq!(code(spends(25)), "payload-too-many-items");
}

#[test]
fn a_danger_of_one_member_is_a_danger_of_all() {
    let creation = TxEip1559 {
        to: TxKind::Create,
        ..eip1559()
    };
    let members = vec![numbered(0), Payload::EvmTransaction(unsigned(&creation))];
    let effects = evm(&batch(members)).unwrap().effects;
    assert!(effects.dangers.contains(&Danger::ContractCreation));
    assert!(effects.members[0].dangers.is_empty());
}

#[test]
fn signatures_belong_to_their_members() {
    let payload = batch((0..3).map(numbered).collect());
    let items = evm(&payload).unwrap().items;
    let good = KEY.sign_all(&items);
    let attempt = |signatures: &[_]| {
        let key = KEY.secp256k1();
        quorate_chain::assemble(&payload, Some(ETHEREUM), Scheme::Ecdsa, &key, signatures)
    };
    assert_eq!(attempt(&good).unwrap().len(), 3);
    let swapped = [good[0], good[2], good[1]];
    let refused = attempt(&swapped);
    assert!(matches!(
        &refused,
        Err(ChainError::Member {
            member: 2,
            of: 3,
            ..
        })
    ));
    assert_eq!(code(refused), "signature-invalid");
    for wrong in [&good[..2], &[&good[..], &good[..1]].concat()[..]] {
        assert!(matches!(
            attempt(wrong),
            Err(ChainError::SignatureCount { expected: 3, found }) if found == wrong.len()
        ));
    }
}

/// Transactions that are good or not, each different.
fn transactions() -> impl Strategy<Value = Vec<Payload>> {
    let fields = (
        any::<u128>(),
        any::<[u8; 20]>(),
        vec(any::<u8>(), 0..80),
        0u8..8,
    );
    vec(fields, 2..12).prop_map(|list| {
        let one = |(nonce, (value, to, input, chain)): (u64, (u128, [u8; 20], Vec<u8>, u8))| {
            let tx = TxEip1559 {
                nonce,
                chain_id: if chain == 0 { 5 } else { 1 },
                value: U256::from(value),
                to: TxKind::Call(to.into()),
                input: input.into(),
                ..eip1559()
            };
            Payload::EvmTransaction(unsigned(&tx))
        };
        (0..).zip(list).map(one).collect()
    })
}

proptest! {
    #[test]
    fn a_batch_is_exactly_its_members(members in transactions()) {
        let payload = batch(members);
        let alone: Vec<_> = payload.members().iter().map(evm).collect();
        match alone.iter().position(Result::is_err) {
            None => assert_union(&payload, Some(ETHEREUM), Scheme::Ecdsa, &KEY.secp256k1()),
            Some(bad) => {
                let refused = evm(&payload).unwrap_err();
                let named = matches!(refused, ChainError::Member { member, .. } if member == bad + 1);
                prop_assert!(named, "{}", refused);
            }
        }
        for analysis in alone.iter().flatten() {
            only_message(analysis);
        }
    }
}

/// What is counted for a batch is counted for one network: a member that names none would take the
/// others out of every limit.
#[test]
fn t31_a_batch_does_not_mix_what_names_a_chain_with_what_names_none() {
    let typed = |domain: &str, fields: &str, choice: u8| {
        Payload::TypedData(format!(
            r#"{{"types":{{"EIP712Domain":[{fields}],"Vote":[{{"name":"choice","type":"uint256"}}]}},
            "primaryType":"Vote","domain":{domain},"message":{{"choice":{choice}}}}}"#
        ))
    };
    let named = |choice| {
        typed(
            r#"{"name":"a","chainId":1}"#,
            r#"{"name":"name","type":"string"},{"name":"chainId","type":"uint256"}"#,
            choice,
        )
    };
    let nowhere = |choice| {
        typed(
            r#"{"name":"a"}"#,
            r#"{"name":"name","type":"string"}"#,
            choice,
        )
    };
    let is_anywhere = |members| evm(&batch(members)).unwrap().effects.any_network;
    assert!(!is_anywhere(vec![named(1), named(2)]));
    assert!(is_anywhere(vec![nowhere(1), nowhere(2)]));
    for mixed in [vec![named(1), nowhere(1)], vec![nowhere(1), named(1)]] {
        assert_eq!(evm(&batch(mixed)), Err(ChainError::MixedNetworks));
    }
}
