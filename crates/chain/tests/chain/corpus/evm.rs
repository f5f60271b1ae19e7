//! Ethereum.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702};
use alloy_dyn_abi::DynSolValue as V;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address};
use quorate_types::{Payload, Scheme};
use serde_json::{Value, json};

use super::Entry;
use crate::common::{ETHEREUM, LocalKey};
use crate::evm::eip155;
use crate::evm_calls::{aggregate3, big, bytes, call, exec, multi_send, packed, transfer, uint};
use crate::evm_types::{authorization, blob_hash};
use crate::typed_data::mail;
use crate::typed_effects::document;

const USDC: Address = address!("A0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48");
const USDT: Address = address!("dAC17F958D2ee523a2206206994597C13D831ec7");
const WETH: Address = address!("C02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2");
const UNISWAP_V2_ROUTER: Address = address!("7a250d5630B4cF539739dF2C5dAcb4c659F2488D");
const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");
const MULTI_SEND_CALL_ONLY: Address = address!("40A2aCCbd92BCA938b02010E17A5b8929b49130D");
const BAYC: Address = address!("BC4CA0EdA7647A8aB7C2061c2E118A18a936f13D");
const OPENSEA_STORE: Address = address!("495f947276749Ce646f68AC8c248420045cb7b5e");
const BATCH_INBOX: Address = address!("FF00000000000000000000000000000000000010");
const PERMIT2: &str = "0x000000000022D473030F116dDEE9F6B43aC78BA3";
const FRIEND: Address = address!("d8dA6BF26964aF9D7eEd9e03E53415D37aA96045");
/// Some Safe, some other account.
const SAFE: Address = Address::repeat_byte(0x5a);
const OTHER: Address = Address::repeat_byte(0x0e);

/// 100 000 gas at 30 gwei.
const FEE: &str = "3000000000000000";
const UNLIMITED: &str =
    "115792089237316195423570985008687907853269984665640564039457584007913129639935";

fn of_type_2(to: TxKind, value: u64, data: Vec<u8>) -> Payload {
    encoded(&TxEip1559 {
        chain_id: 1,
        nonce: 42,
        gas_limit: 100_000,
        max_fee_per_gas: 30_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value: U256::from(value),
        input: Bytes::from(data),
        ..TxEip1559::default()
    })
}

fn encoded<T: SignableTransaction<Signature>>(tx: &T) -> Payload {
    let mut out = Vec::new();
    tx.encode_for_signing(&mut out);
    Payload::EvmTransaction(out)
}

fn entry(
    name: &'static str,
    source: &'static str,
    payload: Payload,
    movements: Vec<String>,
    dangers: &'static [&'static str],
    fee: &'static str,
) -> Entry {
    Entry {
        name,
        source,
        network: ETHEREUM,
        scheme: Scheme::Ecdsa,
        payload,
        movements,
        dangers,
        fee,
    }
}

fn calling(
    name: &'static str,
    source: &'static str,
    to: Address,
    data: Vec<u8>,
    movements: Vec<String>,
    dangers: &'static [&'static str],
) -> Entry {
    let payload = of_type_2(TxKind::Call(to), 0, data);
    entry(name, source, payload, movements, dangers, FEE)
}

pub fn entries() -> Vec<Entry> {
    [tokens(), items(), accounts(), types(), signed_messages()]
        .into_iter()
        .flatten()
        .collect()
}

fn tokens() -> Vec<Entry> {
    let unlimited = vec![V::Address(UNISWAP_V2_ROUTER), big(U256::MAX)];
    let trailing = [transfer(FRIEND, 250_000_000), vec![0; 32]].concat();
    vec![
        calling(
            "usdc-transfer",
            "ERC-20 transfer of 250 USDC (6 decimals), the most common call on mainnet",
            USDC,
            transfer(FRIEND, 250_000_000),
            vec![format!("transfer 250000000 token {USDC} to {FRIEND}")],
            &[],
        ),
        calling(
            "usdc-transfer-with-trailing-word",
            "the same with 32 zero bytes after it, which the contract ignores",
            USDC,
            trailing,
            vec![],
            &["undecodable"],
        ),
        calling(
            "usdt-approve-unlimited",
            "ERC-20 approve of 2^256-1 to Uniswap's V2 router, as its web site asked for",
            USDT,
            call("approve(address,uint256)", unlimited),
            vec![format!(
                "approval {UNLIMITED} token or item of {USDT} to {UNISWAP_V2_ROUTER}"
            )],
            &["unlimited-approval"],
        ),
        entry(
            "weth-deposit",
            "deposit() of WETH9 with one ether: a method that is not decoded, with native value",
            of_type_2(
                TxKind::Call(WETH),
                1_000_000_000_000_000_000,
                call("deposit()", vec![]),
            ),
            vec![format!("transfer 1000000000000000000 native to {WETH}")],
            &["undecodable"],
            FEE,
        ),
        calling(
            "multicall3-aggregate3",
            "aggregate3 of Multicall3 with two ERC-20 calls, the second with a decoy's recipient",
            MULTICALL3,
            aggregate3(&[
                (USDC, transfer(FRIEND, 1_000_000)),
                (USDT, transfer(OTHER, 2_000_000)),
            ]),
            vec![
                format!("transfer 1000000 token {USDC} to {FRIEND}"),
                format!("transfer 2000000 token {USDT} to {OTHER}"),
            ],
            &[],
        ),
    ]
}

fn items() -> Vec<Entry> {
    let bayc = vec![V::Address(OTHER), V::Address(FRIEND), uint(1234)];
    let batch = vec![
        V::Address(OTHER),
        V::Address(FRIEND),
        V::Array(vec![uint(11), uint(12)]),
        V::Array(vec![uint(1), uint(5)]),
        bytes(&[]),
    ];
    vec![
        calling(
            "erc721-safe-transfer",
            "safeTransferFrom of item 1234 of a well known ERC-721 collection",
            BAYC,
            call("safeTransferFrom(address,address,uint256)", bayc.clone()),
            vec![format!("transfer 1 item 1234 of {BAYC} to {FRIEND}")],
            &[],
        ),
        calling(
            "erc721-transfer-from",
            "transferFrom of the same item: the call data does not say that it is no ERC-20",
            BAYC,
            call("transferFrom(address,address,uint256)", bayc),
            vec![format!("transfer 1234 token or item of {BAYC} to {FRIEND}")],
            &[],
        ),
        calling(
            "erc1155-batch",
            "safeBatchTransferFrom of a well known ERC-1155 contract",
            OPENSEA_STORE,
            call(
                "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
                batch,
            ),
            vec![
                format!("transfer 1 item 11 of {OPENSEA_STORE} to {FRIEND}"),
                format!("transfer 5 item 12 of {OPENSEA_STORE} to {FRIEND}"),
            ],
            &[],
        ),
        calling(
            "set-approval-for-all",
            "setApprovalForAll, as market places ask for and thieves as well",
            BAYC,
            call(
                "setApprovalForAll(address,bool)",
                vec![V::Address(OTHER), V::Bool(true)],
            ),
            vec![format!("approval {UNLIMITED} token {BAYC} to {OTHER}")],
            &["approval-for-all"],
        ),
    ]
}

fn accounts() -> Vec<Entry> {
    let batch = multi_send(&[
        packed(0, USDC, 0, &transfer(FRIEND, 7_000_000)),
        packed(0, OTHER, 900, &[]),
    ]);
    let owner = vec![V::Address(OTHER), uint(1)];
    vec![
        calling(
            "safe-usdc-transfer",
            "execTransaction of Safe 1.3: an ERC-20 transfer from the Safe",
            SAFE,
            exec(USDC, 0, &transfer(FRIEND, 7_000_000), 0),
            vec![format!("transfer 7000000 token {USDC} to {FRIEND}")],
            &[],
        ),
        calling(
            "safe-multisend",
            "execTransaction of Safe 1.3 with the delegatecall of MultiSendCallOnly 1.3 that its web site makes of a batch",
            SAFE,
            exec(MULTI_SEND_CALL_ONLY, 0, &batch, 1),
            vec![
                format!("transfer 7000000 token {USDC} to {FRIEND}"),
                format!("transfer 900 native to {OTHER}"),
            ],
            &["delegatecall"],
        ),
        calling(
            "safe-add-owner",
            "a Safe calling itself: another owner, and one signature is enough",
            SAFE,
            exec(
                SAFE,
                0,
                &call("addOwnerWithThreshold(address,uint256)", owner),
                0,
            ),
            vec![],
            &["authority-change"],
        ),
        calling(
            "proxy-upgrade",
            "upgradeTo of an EIP-1967 proxy",
            USDC,
            call("upgradeTo(address)", vec![V::Address(OTHER)]),
            vec![],
            &["authority-change"],
        ),
    ]
}

fn types() -> Vec<Entry> {
    vec![
        entry(
            "eip155-example",
            "the example of EIP-155, byte for byte",
            Payload::EvmTransaction(eip155()),
            vec![
                "transfer 1000000000000000000 native to 0x3535353535353535353535353535353535353535"
                    .to_owned(),
            ],
            &[],
            // 21 000 gas at 20 gwei.
            "420000000000000",
        ),
        access_list(),
        entry(
            "blobs",
            "a rollup's batch, EIP-4844 with two blobs, as OP Mainnet posts them",
            encoded(&TxEip4844 {
                chain_id: 1,
                nonce: 42,
                gas_limit: 21_000,
                max_fee_per_gas: 30_000_000_000,
                max_priority_fee_per_gas: 1_000_000_000,
                to: BATCH_INBOX,
                blob_versioned_hashes: vec![blob_hash(7), blob_hash(8)],
                max_fee_per_blob_gas: 1_000_000_000,
                ..TxEip4844::default()
            }),
            vec![format!("transfer 0 native to {BATCH_INBOX}")],
            &[],
            // 21 000 gas at 30 gwei and 262 144 blob gas at 1 gwei.
            "892144000000000",
        ),
        entry(
            "set-code",
            "EIP-7702: one authorisation, signed by another key",
            encoded(&TxEip7702 {
                chain_id: 1,
                nonce: 42,
                gas_limit: 100_000,
                max_fee_per_gas: 30_000_000_000,
                max_priority_fee_per_gas: 1_000_000_000,
                to: OTHER,
                authorization_list: vec![authorization(&LocalKey::new(5), 1)],
                ..TxEip7702::default()
            }),
            vec![format!("transfer 0 native to {OTHER}")],
            &["set-code"],
            FEE,
        ),
        entry(
            "contract-creation",
            "init code that returns an empty contract, with some wei; the address is of the sender and nonce 42",
            of_type_2(TxKind::Create, 5, vec![0x60, 0, 0x60, 0, 0xf3]),
            vec![format!("transfer 5 native to {}", sender().create(42))],
            &["contract-creation"],
            FEE,
        ),
    ]
}

/// The child of the corpus's root key.
fn sender() -> Address {
    let child = quorate_chain::hd::derive_child(
        &super::root(Scheme::Ecdsa),
        &super::CHAIN_CODE,
        &super::path(ETHEREUM),
    );
    let text = quorate_chain::address(ETHEREUM, Scheme::Ecdsa, &child.unwrap());
    text.unwrap().parse().unwrap()
}

fn access_list() -> Entry {
    let arguments = vec![V::Address(OTHER), V::Address(FRIEND), uint(3)];
    let item = AccessListItem {
        address: USDC,
        storage_keys: vec![B256::repeat_byte(9)],
    };
    entry(
        "access-list",
        "EIP-2930: ERC-20 transferFrom with an access list",
        encoded(&TxEip2930 {
            chain_id: 1,
            nonce: 42,
            gas_limit: 100_000,
            gas_price: 30_000_000_000,
            to: TxKind::Call(USDC),
            value: U256::ZERO,
            input: Bytes::from(call("transferFrom(address,address,uint256)", arguments)),
            access_list: AccessList(vec![item]),
        }),
        vec![format!("transfer 3 token or item of {USDC} to {FRIEND}")],
        &[],
        FEE,
    )
}

fn typed(
    name: &'static str,
    source: &'static str,
    document: &serde_json::Value,
    movements: Vec<String>,
    dangers: &'static [&'static str],
) -> Entry {
    let payload = Payload::TypedData(sorted(document.clone()).to_string());
    entry(name, source, payload, movements, dangers, "0")
}

fn signed_messages() -> Vec<Entry> {
    let permit = "address owner,address spender,uint256 value,uint256 nonce,uint256 deadline";
    let single = "PermitDetails details,address spender,uint256 sigDeadline";
    let details = "address token,uint160 amount,uint48 expiration,uint48 nonce";
    let safe_tx = "address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce";
    let inner = hex::encode(transfer(FRIEND, 7_000_000));
    vec![
        typed(
            "permit",
            "EIP-2612 permit of USDC",
            &document(
                &USDC.to_checksum(None),
                &[("Permit", permit)],
                json!({"owner": OTHER, "spender": FRIEND, "value": "5000000", "nonce": 0, "deadline": 1_900_000_000}),
            ),
            vec![format!("approval 5000000 token {USDC} to {FRIEND}")],
            &[],
        ),
        typed(
            "permit2-unlimited",
            "PermitSingle of Permit2 for 2^160-1 USDC, as Uniswap's web site asks for",
            &document(
                PERMIT2,
                &[("PermitSingle", single), ("PermitDetails", details)],
                json!({"details": {"token": USDC, "amount": "1461501637330902918203684832716283019655932542975", "expiration": 1_900_000_000, "nonce": 0},
                    "spender": OTHER, "sigDeadline": 1_900_000_000}),
            ),
            vec![format!(
                "approval 1461501637330902918203684832716283019655932542975 token {USDC} to {OTHER}"
            )],
            &["unlimited-approval"],
        ),
        typed(
            "safe-message",
            "SafeTx as owners of a Safe sign it",
            &document(
                &SAFE.to_checksum(None),
                &[("SafeTx", safe_tx)],
                json!({"to": USDC, "value": 0, "data": format!("0x{inner}"), "operation": 0, "safeTxGas": 0, "baseGas": 0,
                    "gasPrice": 0, "gasToken": Address::ZERO, "refundReceiver": Address::ZERO, "nonce": 11}),
            ),
            vec![format!("transfer 7000000 token {USDC} to {FRIEND}")],
            &[],
        ),
        typed(
            "eip712-mail",
            "the example of EIP-712: well formed, of no standard that is known here",
            &mail(),
            vec![],
            &["undecodable"],
        ),
        entry(
            "personal-sign",
            "EIP-191, the text of a sign-in",
            Payload::Message(b"example.org wants you to sign in\nNonce: 8".to_vec()),
            vec![],
            &["any-chain"],
            "0",
        ),
    ]
}

/// With every object's fields in the order of their names, whatever order the library keeps.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            let fields = fields
                .into_iter()
                .map(|(name, value)| (name, sorted(value)));
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        leaf => leaf,
    }
}
