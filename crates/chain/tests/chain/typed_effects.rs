//! What typed data and messages allow.

use alloy_primitives::{Address, U256};
use quorate_chain::{AssetRef, Danger, Effects, MovementKind, Reading, analyse};
use quorate_types::{Payload, Scheme};
use serde_json::{Value, json};

use crate::common::{ETHEREUM, LocalKey};
use crate::evm_calls::{EVE, FRIEND, SAFE, TOKEN, movement, multi_send, packed, token, transfer};

const PERMIT2: &str = "0x000000000022D473030F116dDEE9F6B43aC78BA3";

fn effects_of(payload: &Payload) -> Effects {
    let key = LocalKey::new(1).secp256k1();
    analyse(payload, Some(ETHEREUM), Scheme::Ecdsa, &key, false)
        .unwrap()
        .effects
}

fn effects(document: &Value) -> Effects {
    effects_of(&Payload::TypedData(document.to_string()))
}

fn fields(text: &str) -> Value {
    let one = |field: &str| {
        let (type_name, name) = field.split_once(' ').unwrap();
        json!({"name": name, "type": type_name})
    };
    text.split(',').map(one).collect()
}

/// A document whose domain names chain and contract; `types` are `Name:fields`.
pub fn document(contract: &str, types: &[(&str, &str)], message: Value) -> Value {
    let mut declared = json!({
        "EIP712Domain": fields("string name,uint256 chainId,address verifyingContract")
    });
    for (name, text) in types {
        declared[name] = fields(text);
    }
    json!({
        "types": declared, "primaryType": types[0].0, "message": message,
        "domain": {"name": "Any", "chainId": 1, "verifyingContract": contract}
    })
}

const PERMIT: (&str, &str) = (
    "Permit",
    "address owner,address spender,uint256 value,uint256 nonce,uint256 deadline",
);

fn permit(value: &str) -> Value {
    let message = json!({"owner": SAFE, "spender": EVE, "value": value, "nonce": 0, "deadline": 1});
    document(&TOKEN.to_checksum(None), &[PERMIT], message)
}

fn details(contract: Address, amount: &str) -> Value {
    json!({"token": contract, "amount": amount, "expiration": 1, "nonce": 0})
}

const DETAILS: (&str, &str) = (
    "PermitDetails",
    "address token,uint160 amount,uint48 expiration,uint48 nonce",
);
const SINGLE: (&str, &str) = (
    "PermitSingle",
    "PermitDetails details,address spender,uint256 sigDeadline",
);

#[test]
fn an_eip2612_permit_is_an_approval() {
    let read = effects(&permit("12"));
    let expected = movement(token(TOKEN), MovementKind::Approval, EVE, U256::from(12));
    assert_eq!(read.movements, [expected]);
    assert!(read.dangers.is_empty());
    assert_eq!(read.fee, U256::ZERO);
    let unlimited = effects(&permit(&U256::MAX.to_string()));
    assert!(unlimited.dangers.contains(&Danger::UnlimitedApproval));
}

#[test]
fn a_dai_permit_is_everything_or_nothing() {
    let dai = |allowed| {
        let types = (
            "Permit",
            "address holder,address spender,uint256 nonce,uint256 expiry,bool allowed",
        );
        let message =
            json!({"holder": SAFE, "spender": EVE, "nonce": 0, "expiry": 0, "allowed": allowed});
        effects(&document(&TOKEN.to_checksum(None), &[types], message))
    };
    assert_eq!(dai(true).movements[0].amount, U256::MAX);
    assert!(dai(true).dangers.contains(&Danger::UnlimitedApproval));
    assert_eq!(dai(false).movements[0].amount, U256::ZERO);
    assert!(dai(false).dangers.is_empty());
}

#[test]
fn permit2_names_the_token_in_the_message() {
    let single = |contract: &str, amount: &str| {
        let message = json!({"details": details(TOKEN, amount), "spender": EVE, "sigDeadline": 1});
        effects(&document(contract, &[SINGLE, DETAILS], message))
    };
    let read = single(PERMIT2, "5");
    let expected = movement(token(TOKEN), MovementKind::Approval, EVE, U256::from(5));
    assert_eq!(read.movements, std::slice::from_ref(&expected));
    assert!(read.dangers.is_empty());
    // T33: of 160 bits, and far below the highest.
    for (amount, unlimited) in [
        (U256::MAX >> 96usize, true),
        (U256::MAX >> 97usize, true),
        (U256::ONE << 120, true),
        ((U256::ONE << 120) - U256::ONE, false),
    ] {
        let dangers = single(PERMIT2, &amount.to_string()).dangers;
        assert_eq!(dangers.contains(&Danger::UnlimitedApproval), unlimited);
    }
    // The same words to another contract mean nothing known.
    let elsewhere = single(&TOKEN.to_checksum(None), "5");
    assert!(elsewhere.movements.is_empty() && elsewhere.dangers.contains(&Danger::Undecodable));

    let batch = (
        "PermitBatch",
        "PermitDetails[] details,address spender,uint256 sigDeadline",
    );
    let many = json!({"details": [details(TOKEN, "5"), details(FRIEND, "6")],
        "spender": EVE, "sigDeadline": 1});
    let read = effects(&document(PERMIT2, &[batch, DETAILS], many));
    let second = movement(token(FRIEND), MovementKind::Approval, EVE, U256::from(6));
    assert_eq!(read.movements, [expected, second]);
}

#[test]
fn permit2_orders_to_transfer() {
    let permissions = ("TokenPermissions", "address token,uint256 amount");
    let rest = "address spender,uint256 nonce,uint256 deadline";
    let one = json!({"token": TOKEN, "amount": "7"});
    for (name, field, value) in [
        (
            "PermitTransferFrom",
            "TokenPermissions permitted",
            one.clone(),
        ),
        (
            "PermitBatchTransferFrom",
            "TokenPermissions[] permitted",
            json!([one]),
        ),
    ] {
        let message = json!({"permitted": value, "spender": EVE, "nonce": 0, "deadline": 1});
        let types = format!("{field},{rest}");
        let read = effects(&document(PERMIT2, &[(name, &types), permissions], message));
        let expected = movement(token(TOKEN), MovementKind::Approval, EVE, U256::from(7));
        assert_eq!(read.movements, [expected]);
        assert!(read.dangers.is_empty());
    }
}

fn safe_tx(to: Address, data: &[u8], operation: u8, gas_price: u64) -> Value {
    let types = (
        "SafeTx",
        "address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce",
    );
    let message = json!({
        "to": to, "value": "0", "data": format!("0x{}", hex::encode(data)),
        "operation": operation, "safeTxGas": 0, "baseGas": 0, "gasPrice": gas_price,
        "gasToken": Address::ZERO, "refundReceiver": EVE, "nonce": 4
    });
    document(&SAFE.to_checksum(None), &[types], message)
}

#[test]
fn safe_transactions_are_unpacked() {
    let read = effects(&safe_tx(TOKEN, &transfer(FRIEND, 5), 0, 0));
    let expected = movement(token(TOKEN), MovementKind::Transfer, FRIEND, U256::from(5));
    assert_eq!(read.movements, [expected]);
    assert!(read.dangers.is_empty());
    // The Safe that verifies it is called as well as what it calls.
    let calls: Vec<_> = read
        .calls
        .iter()
        .map(|c| (c.contract.clone(), c.method.as_str()))
        .collect();
    let mut expected = [
        (SAFE.to_checksum(None), "eip712:SafeTx"),
        (TOKEN.to_checksum(None), "0xa9059cbb"),
    ];
    expected.sort();
    assert_eq!(calls, expected);
}

/// What nobody here understands is no call that a list of contracts vouches for.
#[test]
fn t20_the_contract_that_verifies_typed_data_is_among_its_calls() {
    let known = effects(&permit("12"));
    let unknown = effects(&document(
        &TOKEN.to_checksum(None),
        &[("Vote", "uint256 choice")],
        json!({"choice": 1}),
    ));
    for (read, method, reading) in [
        (known, "eip712:Permit", Reading::Decoded),
        (unknown, "eip712:Vote", Reading::Incomplete),
    ] {
        let call = read.calls.first().unwrap();
        assert_eq!(call.contract, TOKEN.to_checksum(None));
        assert_eq!((call.method.as_str(), call.reading), (method, reading));
    }
}

#[test]
fn t20_a_delegatecall_hidden_in_multisend_inside_a_safe_message() {
    let batch = multi_send(&[packed(1, EVE, 0, &transfer(FRIEND, 5))]);
    let read = effects(&safe_tx(FRIEND, &batch, 1, 0));
    assert!(read.movements.is_empty());
    assert!(read.dangers.contains(&Danger::Delegatecall));
    assert!(read.dangers.contains(&Danger::Undecodable));
    let refund = effects(&safe_tx(TOKEN, &transfer(FRIEND, 5), 0, 1));
    assert_eq!(refund.movements[0].destination, EVE.to_checksum(None));
    assert_eq!(refund.movements[0].amount, U256::MAX);
    assert_eq!(refund.movements[0].asset, AssetRef::Native);
    let unknown = effects(&safe_tx(TOKEN, &transfer(FRIEND, 5), 2, 0));
    assert!(unknown.movements.is_empty() && unknown.dangers.contains(&Danger::Undecodable));
}

#[test]
fn t20_almost_a_permit_is_not_a_permit() {
    let undecodable = |document: &Value| {
        let read = effects(document);
        assert!(read.movements.is_empty());
        assert!(read.dangers.contains(&Danger::Undecodable), "{document}");
        read
    };
    // Another order, another integer type, a further field.
    let reordered = "address spender,address owner,uint256 value,uint256 nonce,uint256 deadline";
    let narrower = "address owner,address spender,uint128 value,uint256 nonce,uint256 deadline";
    for types in [reordered, narrower] {
        let mut changed = permit("12");
        changed["types"]["Permit"] = fields(types);
        undecodable(&changed);
    }
    let mut longer = permit("12");
    longer["types"]["Permit"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "x", "type": "bool"}));
    longer["message"]["x"] = json!(true);
    undecodable(&longer);
    // A domain that is not bound to a contract, or not to a chain.
    let mut unbound = permit("12");
    unbound["types"]["EIP712Domain"]
        .as_array_mut()
        .unwrap()
        .pop();
    unbound["domain"]
        .as_object_mut()
        .unwrap()
        .remove("verifyingContract");
    undecodable(&unbound);
    let mut any_chain = permit("12");
    any_chain["types"]["EIP712Domain"]
        .as_array_mut()
        .unwrap()
        .remove(1);
    any_chain["domain"]
        .as_object_mut()
        .unwrap()
        .remove("chainId");
    assert!(undecodable(&any_chain).dangers.contains(&Danger::AnyChain));
}

#[test]
fn messages_are_text_that_every_chain_takes() {
    let read = effects_of(&Payload::Message(b"hello".to_vec()));
    assert_eq!(
        read.dangers.into_iter().collect::<Vec<_>>(),
        [Danger::AnyChain]
    );
    assert!(read.movements.is_empty() && read.calls.is_empty());
}

/// Safe and ERC-4337 accounts take EIP-191 signatures of the hash of a transaction.
#[test]
fn t20_a_transaction_hash_as_a_message_is_not_text() {
    for message in [vec![0xfe; 32], vec![b'a'; 32], vec![0xff; 5]] {
        let read = effects_of(&Payload::Message(message));
        assert!(read.dangers.contains(&Danger::Undecodable));
    }
}

#[test]
fn raw_bytes_are_not_understood() {
    let key = LocalKey::new(1).secp256k1();
    let payload = Payload::Raw(b"hello".to_vec());
    let read = analyse(&payload, None, Scheme::Ecdsa, &key, true)
        .unwrap()
        .effects;
    assert_eq!(
        read.dangers.into_iter().collect::<Vec<_>>(),
        [Danger::Undecodable]
    );
}
