//! What holds of every transaction and every tree of calls, for generated ones.

use alloy_consensus::{
    SignableTransaction as _, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
};
use alloy_dyn_abi::DynSolValue as V;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_chain::{Analysis, AssetRef, ChainError, Danger, Movement, MovementKind, analyse};
use quorate_types::{Network, Payload, Scheme};
use solana_message::VersionedMessage;

use crate::common::{BITCOIN, ETHEREUM, LocalKey, foreign_script, psbt, script};
use crate::evm_calls::{
    SAFE, address, aggregate3, bytes, call, effects, either, exec, movement, multi_send, packed,
    token, transfer,
};
use crate::evm_types::{authorization, blob_hash};
use crate::psbt_version2::version2;
use crate::round_trips::config;
use crate::solana_programs::{
    BUDGET, MEMO, SYSTEM, Step, TOKEN, TOKEN_2022, checked, key, le, me, message,
};

/// The fields that all types of EVM transactions have.
fn fields() -> impl Strategy<Value = TxEip1559> {
    let numbers = (
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
    );
    let lists = (vec(any::<u8>(), 0..120), vec(any::<[u8; 32]>(), 0..3));
    (numbers, any::<[u8; 20]>(), lists).prop_map(
        |((nonce, gas_limit, cap, tip, value), to, (input, storage_keys))| TxEip1559 {
            chain_id: 1,
            nonce,
            gas_limit,
            max_fee_per_gas: cap.into(),
            max_priority_fee_per_gas: tip.min(cap).into(),
            to: TxKind::Call(to.into()),
            value: U256::from(value),
            access_list: AccessList(vec![AccessListItem {
                address: to.into(),
                storage_keys: storage_keys.into_iter().map(B256::from).collect(),
            }]),
            input: Bytes::from(input),
        },
    )
}

/// Unsigned bytes of one of the five types.
fn transaction() -> impl Strategy<Value = Vec<u8>> {
    (fields(), 0u8..5, any::<u64>(), 1u8..4).prop_map(|(tx, kind, number, count)| {
        let mut out = Vec::new();
        match kind {
            0 => legacy(tx).encode_for_signing(&mut out),
            1 => eip2930(tx).encode_for_signing(&mut out),
            2 => tx.encode_for_signing(&mut out),
            3 => eip4844(tx, number, count).encode_for_signing(&mut out),
            _ => eip7702(tx, number, count).encode_for_signing(&mut out),
        }
        out
    })
}

fn legacy(tx: TxEip1559) -> TxLegacy {
    TxLegacy {
        chain_id: Some(1),
        nonce: tx.nonce,
        gas_price: tx.max_fee_per_gas,
        gas_limit: tx.gas_limit,
        to: tx.to,
        value: tx.value,
        input: tx.input,
    }
}

fn eip2930(tx: TxEip1559) -> TxEip2930 {
    TxEip2930 {
        chain_id: 1,
        nonce: tx.nonce,
        gas_price: tx.max_fee_per_gas,
        gas_limit: tx.gas_limit,
        to: tx.to,
        value: tx.value,
        access_list: tx.access_list,
        input: tx.input,
    }
}

fn eip4844(tx: TxEip1559, price: u64, count: u8) -> TxEip4844 {
    TxEip4844 {
        chain_id: 1,
        nonce: tx.nonce,
        gas_limit: tx.gas_limit,
        max_fee_per_gas: tx.max_fee_per_gas,
        max_priority_fee_per_gas: tx.max_priority_fee_per_gas,
        to: *tx.to.to().unwrap(),
        value: tx.value,
        access_list: tx.access_list,
        blob_versioned_hashes: (0..count).map(blob_hash).collect(),
        max_fee_per_blob_gas: price.into(),
        input: tx.input,
    }
}

fn eip7702(tx: TxEip1559, chain_id: u64, count: u8) -> TxEip7702 {
    TxEip7702 {
        chain_id: 1,
        nonce: tx.nonce,
        gas_limit: tx.gas_limit,
        max_fee_per_gas: tx.max_fee_per_gas,
        max_priority_fee_per_gas: tx.max_priority_fee_per_gas,
        to: *tx.to.to().unwrap(),
        value: tx.value,
        access_list: tx.access_list,
        authorization_list: (1..=count)
            .map(|byte| authorization(&LocalKey::new(byte), chain_id))
            .collect(),
        input: tx.input,
    }
}

/// PSBTs of both versions and both kinds of outputs.
fn any_psbt() -> impl Strategy<Value = (Scheme, Vec<u8>)> {
    let amounts = vec(1000u64..1_000_000, 1..3);
    (amounts, any::<bool>(), any::<bool>()).prop_map(|(amounts, taproot, second)| {
        let scheme = if taproot {
            Scheme::Bip340
        } else {
            Scheme::Ecdsa
        };
        let total: u64 = amounts.iter().sum();
        let key = LocalKey::new(0x21);
        let outputs = [
            (foreign_script(), total / 3),
            (script(scheme, &key), total / 3),
        ];
        let made = psbt(scheme, &key, &amounts, &outputs);
        let bytes = if second {
            version2(&made).serialize()
        } else {
            made.serialize()
        };
        (scheme, bytes)
    })
}

/// Messages of one to four instructions that are decoded.
fn solana() -> impl Strategy<Value = Vec<u8>> {
    let step = (0usize..6, any::<u64>(), 2u8..9);
    vec(step, 1..5).prop_map(|steps| {
        let accounts: Vec<[[u8; 32]; 4]> = steps
            .iter()
            .map(|(_, _, byte)| [key(*byte), key(byte + 1), key(byte + 2), me()])
            .collect();
        let steps: Vec<Step> = steps
            .iter()
            .zip(&accounts)
            .map(|((kind, number, _), keys)| match kind {
                0 => (SYSTEM, &keys[..2], le(&[2, 0, 0, 0], &[*number])),
                1 => (TOKEN, &keys[..], checked(12, *number)),
                2 => (TOKEN_2022, &keys[..], checked(13, *number)),
                3 => (TOKEN, &keys[..3], le(&[8], &[*number])),
                4 => (BUDGET, &[][..], le(&[3], &[*number])),
                _ => (MEMO, &keys[3..], number.to_string().into_bytes()),
            })
            .collect();
        VersionedMessage::Legacy(message(&steps)).serialize()
    })
}

fn read_evm(bytes: Vec<u8>) -> Result<Analysis, ChainError> {
    let key = LocalKey::new(1).secp256k1();
    analyse(
        &Payload::EvmTransaction(bytes),
        Some(ETHEREUM),
        Scheme::Ecdsa,
        &key,
        false,
    )
}

fn read_psbt(scheme: Scheme, bytes: Vec<u8>) -> Result<Analysis, ChainError> {
    let key = LocalKey::new(0x21).secp256k1();
    analyse(
        &Payload::BitcoinPsbt(bytes),
        Some(BITCOIN),
        scheme,
        &key,
        false,
    )
}

fn read_solana(bytes: Vec<u8>) -> Result<Analysis, ChainError> {
    let key = LocalKey::new(0x31).ed25519();
    let payload = Payload::SolanaMessage(bytes);
    analyse(&payload, Some(Network::Solana), Scheme::Eddsa, &key, false)
}

/// Every byte, changed in one way, is refused or read as something else.
fn assert_no_decoration(
    bytes: &[u8],
    flip: u8,
    read: impl Fn(Vec<u8>) -> Result<Analysis, ChainError>,
) {
    let original = read(bytes.to_vec()).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= flip;
        if let Ok(other) = read(changed) {
            assert_ne!(other, original, "byte {at} of {}", hex::encode(bytes));
        }
    }
}

/// A call and what it does, told apart from how it is encoded.
#[derive(Debug, Clone)]
enum Tree {
    Transfer(Address, u64),
    Approve(Address, U256),
    Send(Address, u64),
    Unknown(u32),
    Owner(Address),
    Exec(Box<Tree>),
    Delegated(Vec<Tree>),
    Aggregate(Vec<Tree>),
    Multicall(Vec<Tree>),
}

/// Who is called by the leaves.
const CONTRACT: Address = Address::repeat_byte(0x70);

fn tree() -> impl Strategy<Value = Tree> {
    let someone = || any::<[u8; 20]>().prop_map(Address::from);
    let leaf = prop_oneof![
        (someone(), any::<u64>()).prop_map(|(to, n)| Tree::Transfer(to, n)),
        (someone(), any::<[u8; 32]>())
            .prop_map(|(to, n)| Tree::Approve(to, U256::from_be_bytes(n))),
        (someone(), any::<u64>()).prop_map(|(to, n)| Tree::Send(to, n)),
        (0u32..1000).prop_map(Tree::Unknown),
        someone().prop_map(Tree::Owner),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|child| Tree::Exec(Box::new(child))),
            vec(inner.clone(), 0..4).prop_map(Tree::Delegated),
            vec(inner.clone(), 0..4).prop_map(Tree::Aggregate),
            vec(inner, 0..4).prop_map(Tree::Multicall),
        ]
    })
}

/// Recipient, value and data of the call.
fn encode(tree: &Tree) -> (Address, u64, Vec<u8>) {
    match tree {
        Tree::Transfer(to, n) => (CONTRACT, 0, transfer(*to, *n)),
        Tree::Approve(to, n) => {
            let arguments = vec![address(*to), V::Uint(*n, 256)];
            (CONTRACT, 0, call("approve(address,uint256)", arguments))
        }
        Tree::Send(to, n) => (*to, *n, vec![]),
        Tree::Unknown(n) => (CONTRACT, 0, call(&format!("noSuchMethod{n}()"), vec![])),
        Tree::Owner(to) => {
            let data = call("transferOwnership(address)", vec![address(*to)]);
            (CONTRACT, 0, data)
        }
        Tree::Exec(child) => {
            let (to, value, data) = encode(child);
            (SAFE, 0, exec(to, value, &data, 0))
        }
        Tree::Delegated(children) => {
            let one = |child| {
                let (to, value, data) = encode(child);
                packed(0, to, value, &data)
            };
            let batch: Vec<_> = children.iter().map(one).collect();
            (SAFE, 0, exec(CONTRACT, 0, &multi_send(&batch), 1))
        }
        Tree::Aggregate(children) => {
            let one = |child| {
                let (to, _, data) = encode(child);
                (to, data)
            };
            let calls: Vec<_> = children.iter().map(one).collect();
            (CONTRACT, 0, aggregate3(&calls))
        }
        Tree::Multicall(children) => {
            let calls = children.iter().map(|child| bytes(&encode(child).2));
            let calls = V::Array(calls.collect());
            (CONTRACT, 0, call("multicall(bytes[])", vec![calls]))
        }
    }
}

/// What it does when it is called at `at` with `value`: `multicall` calls its own contract and `aggregate3` passes no value on, whatever
/// was meant.
fn expected(tree: &Tree, at: Address, value: u64, out: &mut (Vec<Movement>, Vec<Danger>)) {
    let send = |to, n| movement(AssetRef::Native, MovementKind::Transfer, to, U256::from(n));
    match tree {
        Tree::Transfer(to, n) => {
            let moved = movement(token(at), MovementKind::Transfer, *to, U256::from(*n));
            out.0.push(moved);
        }
        Tree::Approve(to, n) => {
            out.0
                .push(movement(either(at), MovementKind::Approval, *to, *n));
            if *n >= U256::ONE << 120 {
                out.1.push(Danger::UnlimitedApproval);
            }
        }
        Tree::Send(_, _) => out.0.push(send(at, value)),
        Tree::Unknown(_) => out.1.push(Danger::Undecodable),
        Tree::Owner(_) => out.1.push(Danger::AuthorityChange),
        Tree::Exec(child) => {
            let (to, value, _) = encode(child);
            expected(child, to, value, out);
        }
        Tree::Delegated(children) => {
            out.1.push(Danger::Delegatecall);
            for child in children {
                let (to, value, _) = encode(child);
                expected(child, to, value, out);
            }
        }
        Tree::Aggregate(children) => {
            for child in children {
                expected(child, encode(child).0, 0, out);
            }
        }
        Tree::Multicall(children) => {
            for child in children {
                expected(child, at, 0, out);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..config() })]

    #[test]
    fn t20_no_byte_of_any_evm_transaction_is_decoration(bytes in transaction(), flip in 1u8..) {
        assert_no_decoration(&bytes, flip, read_evm);
    }

    #[test]
    fn t20_no_byte_of_any_solana_message_is_decoration(bytes in solana(), flip in 1u8..) {
        assert_no_decoration(&bytes, flip, read_solana);
    }

    #[test]
    fn effects_of_call_trees_are_what_was_put_in(tree in tree()) {
        let (to, value, data) = encode(&tree);
        let read = effects(to, value, &data);
        let mut wanted = (Vec::new(), Vec::new());
        expected(&tree, to, value, &mut wanted);
        prop_assert_eq!(read.movements, wanted.0);
        prop_assert_eq!(read.dangers, wanted.1.into_iter().collect());
    }

    /// One changed byte of a token transfer moves something else, or is not a transfer any more.
    #[test]
    fn t20_no_byte_of_a_token_transfer_is_ignored(
        to in any::<[u8; 20]>(),
        amount in any::<u64>(),
        at in 4usize..68,
        flip in 1u8..,
    ) {
        let data = transfer(to.into(), amount);
        let mut changed = data.clone();
        changed[at] ^= flip;
        prop_assert_ne!(effects(CONTRACT, 0, &changed), effects(CONTRACT, 0, &data));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..config() })]

    #[test]
    fn t20_no_byte_of_any_psbt_is_decoration((scheme, bytes) in any_psbt(), flip in 1u8..) {
        assert_no_decoration(&bytes, flip, |bytes| read_psbt(scheme, bytes));
    }
}
