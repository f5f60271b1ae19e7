//! Call data: what is decoded, and T20, decoys that must not pass for something else.

use alloy_consensus::TxEip1559;
use alloy_dyn_abi::DynSolValue as V;
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use quorate_chain::facts::EvmCall;
use quorate_chain::{AssetRef, Danger, Effects, Facts, Movement, MovementKind, Reading};

use crate::common::evm;
use crate::evm::{eip1559, unsigned};

pub const TOKEN: Address = Address::repeat_byte(0x70);
pub const FRIEND: Address = Address::repeat_byte(0xf1);
pub const SAFE: Address = Address::repeat_byte(0x5a);
pub const EVE: Address = Address::repeat_byte(0xee);

pub const EXEC: &str =
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)";

pub fn address(a: Address) -> V {
    V::Address(a)
}

pub fn uint(n: u64) -> V {
    V::Uint(U256::from(n), 256)
}

pub fn big(n: U256) -> V {
    V::Uint(n, 256)
}

pub fn bytes(data: &[u8]) -> V {
    V::Bytes(data.to_vec())
}

/// Call data of a function.
pub fn call(signature: &str, arguments: Vec<V>) -> Vec<u8> {
    let selector = &keccak256(signature)[..4];
    let encoded = V::Tuple(arguments.clone()).abi_encode_params();
    let encoded = if arguments.is_empty() {
        vec![]
    } else {
        encoded
    };
    [selector, &encoded].concat()
}

pub fn transfer(to: Address, amount: u64) -> Vec<u8> {
    call("transfer(address,uint256)", vec![address(to), uint(amount)])
}

/// A Safe transaction without a refund.
pub fn exec(to: Address, value: u64, data: &[u8], operation: u64) -> Vec<u8> {
    call(EXEC, exec_arguments(to, value, data, operation))
}

fn exec_arguments(to: Address, value: u64, data: &[u8], operation: u64) -> Vec<V> {
    vec![
        address(to),
        uint(value),
        bytes(data),
        uint(operation),
        uint(0),
        uint(0),
        uint(0),
        address(Address::ZERO),
        address(Address::ZERO),
        bytes(&[0x1b; 65]),
    ]
}

/// One transaction of MultiSend.
pub fn packed(operation: u8, to: Address, value: u64, data: &[u8]) -> Vec<u8> {
    let word = |n: u64| U256::from(n).to_be_bytes::<32>();
    let len = word(data.len().try_into().unwrap());
    [&[operation], to.as_slice(), &word(value), &len, data].concat()
}

pub fn multi_send(transactions: &[Vec<u8>]) -> Vec<u8> {
    call("multiSend(bytes)", vec![bytes(&transactions.concat())])
}

pub fn aggregate3(calls: &[(Address, Vec<u8>)]) -> Vec<u8> {
    let one =
        |(to, data): &(Address, Vec<u8>)| V::Tuple(vec![address(*to), V::Bool(false), bytes(data)]);
    let calls = calls.iter().map(one).collect();
    call("aggregate3((address,bool,bytes)[])", vec![V::Array(calls)])
}

pub fn tx_with(to: Address, value: u64, data: &[u8]) -> Vec<u8> {
    unsigned(&TxEip1559 {
        to: TxKind::Call(to),
        value: U256::from(value),
        input: Bytes::copy_from_slice(data),
        ..eip1559()
    })
}

pub fn effects(to: Address, value: u64, data: &[u8]) -> Effects {
    evm(&tx_with(to, value, data)).unwrap().effects
}

fn tree(to: Address, data: &[u8]) -> EvmCall {
    match evm(&tx_with(to, 0, data)).unwrap().facts {
        Facts::Evm(facts) => facts.call.unwrap(),
        other => panic!("{other:?}"),
    }
}

pub fn movement(asset: AssetRef, kind: MovementKind, to: Address, amount: U256) -> Movement {
    Movement {
        asset,
        kind,
        destination: to.to_checksum(None),
        amount,
        own: None,
    }
}

pub fn token(contract: Address) -> AssetRef {
    AssetRef::Token {
        contract: contract.to_checksum(None),
    }
}

/// What a function of both ERC-20 and ERC-721 is about.
pub fn either(contract: Address) -> AssetRef {
    AssetRef::TokenOrItem {
        contract: contract.to_checksum(None),
    }
}

fn item(contract: Address, id: u64) -> AssetRef {
    AssetRef::Item {
        contract: contract.to_checksum(None),
        id: id.to_string(),
    }
}

fn sent(asset: AssetRef, to: Address, amount: u64) -> Movement {
    movement(asset, MovementKind::Transfer, to, U256::from(amount))
}

fn approved(asset: AssetRef, to: Address, amount: u64) -> Movement {
    movement(asset, MovementKind::Approval, to, U256::from(amount))
}

fn dangers(effects: &Effects) -> Vec<Danger> {
    effects.dangers.iter().copied().collect()
}

/// Understood completely, with these movements.
#[track_caller]
fn assert_moves(data: &[u8], expected: &[Movement]) {
    let effects = effects(TOKEN, 0, data);
    assert_eq!(effects.movements, expected);
    assert_eq!(dangers(&effects), []);
    assert!(effects.calls.iter().all(|c| c.reading == Reading::Decoded));
}

/// Known by name, and nothing of it believed.
#[track_caller]
fn assert_malformed(data: &[u8]) {
    let effects = effects(TOKEN, 0, data);
    assert_eq!(effects.movements, []);
    assert_eq!(dangers(&effects), [Danger::Undecodable]);
    let readings: Vec<_> = effects.calls.iter().map(|c| c.reading).collect();
    assert_eq!(readings, [Reading::Malformed]);
}

#[test]
fn erc20_calls() {
    assert_moves(&transfer(FRIEND, 5), &[sent(token(TOKEN), FRIEND, 5)]);
    let from = |n| {
        let arguments = vec![address(SAFE), address(FRIEND), uint(n)];
        call("transferFrom(address,address,uint256)", arguments)
    };
    assert_moves(&from(5), &[sent(either(TOKEN), FRIEND, 5)]);
    for (name, asset, left) in [
        ("approve", either(TOKEN), 7),
        ("increaseAllowance", token(TOKEN), 7),
        ("decreaseAllowance", token(TOKEN), 0),
    ] {
        let data = call(
            &format!("{name}(address,uint256)"),
            vec![address(FRIEND), uint(7)],
        );
        assert_moves(&data, &[approved(asset, FRIEND, left)]);
    }
}

/// Item 0 of ERC-721 is shown as what the call says, and counted as something.
#[test]
fn t33_an_id_of_zero_counts() {
    for function in [
        "transferFrom(address,address,uint256)",
        "approve(address,uint256)",
    ] {
        let mut arguments = vec![address(SAFE), address(FRIEND), uint(0)];
        if function.starts_with("approve") {
            arguments.remove(0);
        }
        let read = effects(TOKEN, 0, &call(function, arguments));
        assert_eq!(read.movements[0].amount, U256::ZERO);
        assert_eq!(read.movements[0].counted(), U256::ONE);
    }
    let transferred = effects(TOKEN, 0, &transfer(FRIEND, 0));
    assert_eq!(transferred.movements[0].counted(), U256::ZERO);
}

#[test]
fn erc2612_and_dai_permits_on_chain() {
    let signature = [
        uint(27),
        V::FixedBytes([1; 32].into(), 32),
        V::FixedBytes([2; 32].into(), 32),
    ];
    let permit = [
        vec![address(SAFE), address(FRIEND), uint(9), uint(1_800_000_000)],
        signature.to_vec(),
    ];
    let data = call(
        "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
        permit.concat(),
    );
    assert_moves(&data, &[approved(token(TOKEN), FRIEND, 9)]);
    let dai = |allowed| {
        let permit = vec![
            address(SAFE),
            address(FRIEND),
            uint(0),
            uint(0),
            V::Bool(allowed),
        ];
        call(
            "permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)",
            [permit, signature.to_vec()].concat(),
        )
    };
    assert_moves(&dai(false), &[approved(token(TOKEN), FRIEND, 0)]);
    let everything = effects(TOKEN, 0, &dai(true));
    assert_eq!(dangers(&everything), [Danger::UnlimitedApproval]);
    assert_eq!(everything.movements[0].amount, U256::MAX);
}

#[test]
fn t33_approvals_beyond_any_real_supply_are_unlimited() {
    let supply = U256::ONE << 120;
    let half = U256::ONE << 255;
    for (amount, unlimited) in [
        (supply - U256::ONE, false),
        (supply, true),
        (half - U256::ONE, true),
        (U256::MAX, true),
    ] {
        let data = call("approve(address,uint256)", vec![address(EVE), big(amount)]);
        let effects = effects(TOKEN, 0, &data);
        assert_eq!(
            effects.dangers.contains(&Danger::UnlimitedApproval),
            unlimited
        );
        assert_eq!(effects.movements[0].amount, amount);
    }
}

#[test]
fn nft_calls() {
    let three = vec![address(SAFE), address(FRIEND), uint(3)];
    let expected = [sent(item(TOKEN, 3), FRIEND, 1)];
    assert_moves(
        &call("safeTransferFrom(address,address,uint256)", three.clone()),
        &expected,
    );
    let data = [three.clone(), vec![bytes(&[1, 2])]].concat();
    let four = "safeTransferFrom(address,address,uint256,bytes)";
    assert_moves(&call(four, data), &expected);
    let data = [three, vec![uint(20), bytes(&[])]].concat();
    let five = "safeTransferFrom(address,address,uint256,uint256,bytes)";
    assert_moves(&call(five, data), &[sent(item(TOKEN, 3), FRIEND, 20)]);
}

#[test]
fn erc1155_batches() {
    let batch = |ids: &[u64], amounts: &[u64]| {
        let list = |numbers: &[u64]| V::Array(numbers.iter().copied().map(uint).collect());
        call(
            "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
            vec![
                address(SAFE),
                address(FRIEND),
                list(ids),
                list(amounts),
                bytes(&[]),
            ],
        )
    };
    let expected = [
        sent(item(TOKEN, 1), FRIEND, 10),
        sent(item(TOKEN, 2), FRIEND, 20),
    ];
    assert_moves(&batch(&[1, 2], &[10, 20]), &expected);
    assert_malformed(&batch(&[1, 2], &[10]));
    assert_malformed(&batch(&[1; 257], &[1; 257]));
}

#[test]
fn t20_an_operator_for_all_is_a_danger() {
    let data = |allowed| {
        let arguments = vec![address(EVE), V::Bool(allowed)];
        call("setApprovalForAll(address,bool)", arguments)
    };
    assert_moves(&data(false), &[approved(token(TOKEN), EVE, 0)]);
    let effects = effects(TOKEN, 0, &data(true));
    assert_eq!(dangers(&effects), [Danger::ApprovalForAll]);
    let expected = movement(token(TOKEN), MovementKind::Approval, EVE, U256::MAX);
    assert_eq!(effects.movements, [expected]);
}

#[test]
fn native_value_is_a_movement_and_so_is_nothing() {
    let plain = effects(FRIEND, 0, &[]);
    assert_eq!(plain.movements, [sent(AssetRef::Native, FRIEND, 0)]);
    assert!(plain.calls.is_empty() && plain.dangers.is_empty());
    let both = effects(TOKEN, 3, &transfer(FRIEND, 5));
    let expected = [
        sent(AssetRef::Native, TOKEN, 3),
        sent(token(TOKEN), FRIEND, 5),
    ];
    assert_eq!(both.movements, expected);
}

#[test]
fn unknown_methods_are_calls_that_are_not_understood() {
    for (data, method) in [
        (&[0xde, 0xad, 0xbe, 0xef, 1][..], "0xdeadbeef"),
        (&[0xa9, 0x05, 0x9c], "0x"),
    ] {
        let effects = effects(TOKEN, 0, data);
        assert_eq!(dangers(&effects), [Danger::Undecodable]);
        let call = effects.calls.first().unwrap();
        assert_eq!(
            (call.method.as_str(), call.reading),
            (method, Reading::UnknownMethod)
        );
        assert_eq!(call.contract, TOKEN.to_checksum(None));
    }
}

#[test]
fn t20_trailing_missing_and_dirty_bytes_in_call_data() {
    let good = transfer(FRIEND, 5);
    assert_malformed(&[&good[..], &[0]].concat());
    assert_malformed(&[&good[..], &[0; 32]].concat());
    assert_malformed(&good[..good.len() - 1]);
    assert_malformed(&good[..4]);
    for dirty in 4..16 {
        let mut data = good.clone();
        data[dirty] = 1;
        assert_malformed(&data);
    }
    let mut truth = call(
        "setApprovalForAll(address,bool)",
        vec![address(EVE), V::Bool(true)],
    );
    *truth.last_mut().unwrap() = 2;
    assert_malformed(&truth);
}

/// Offsets that say the tails lie elsewhere: over each other, in another order, with something hidden between.
#[test]
fn t20_overlapping_reordered_and_gapped_offsets() {
    let selector = &keccak256("safeTransferFrom(address,address,uint256,bytes)")[..4];
    let word = |n: u64| U256::from(n).to_be_bytes::<32>().to_vec();
    let with_offset = |offset: u64, tail: &[Vec<u8>]| {
        let head = [
            SAFE.into_word().to_vec(),
            FRIEND.into_word().to_vec(),
            word(3),
            word(offset),
        ];
        [selector, &head.concat(), &tail.concat()].concat()
    };
    let effects = effects(TOKEN, 0, &with_offset(128, &[word(0)]));
    assert_eq!(dangers(&effects), []);
    assert_malformed(&with_offset(160, &[word(7), word(0)]));
    assert_malformed(&with_offset(64, &[]));
    assert_malformed(&with_offset(0, &[word(0)]));
    assert_malformed(&with_offset(u64::MAX, &[word(0)]));
    // Padding of the bytes that is not zero.
    let mut dirty = with_offset(128, &[word(1), word(0)]);
    *dirty.last_mut().unwrap() = 1;
    assert_malformed(&dirty);
    // Two calls that share one tail.
    let multicall = &keccak256("multicall(bytes[])")[..4];
    let shared = [word(32), word(2), word(64), word(64), word(0)].concat();
    assert_malformed(&[multicall, &shared].concat());
}

#[test]
fn safe_transactions_are_unpacked() {
    let data = exec(TOKEN, 0, &transfer(FRIEND, 5), 0);
    let effects = effects(SAFE, 0, &data);
    assert_eq!(effects.movements, [sent(token(TOKEN), FRIEND, 5)]);
    assert_eq!(dangers(&effects), []);
    let calls: Vec<_> = effects.calls.iter().map(|c| &*c.method).collect();
    assert_eq!(calls, ["0x6a761202", "0xa9059cbb"]);
    let value = self::effects(SAFE, 0, &exec(FRIEND, 8, &[], 0));
    assert_eq!(value.movements, [sent(AssetRef::Native, FRIEND, 8)]);
}

#[test]
fn t20_a_safe_delegatecall_is_a_danger_and_believed_nothing() {
    // What looks like a transfer is whatever the code at EVE does with the Safe's own rights.
    let effects = effects(SAFE, 0, &exec(EVE, 0, &transfer(FRIEND, 5), 1));
    assert_eq!(
        dangers(&effects),
        [Danger::Undecodable, Danger::Delegatecall]
    );
    assert_eq!(effects.movements, []);
    let empty = self::effects(SAFE, 0, &exec(EVE, 0, &[], 1));
    assert_eq!(dangers(&empty), [Danger::Undecodable, Danger::Delegatecall]);
    assert!(
        empty
            .calls
            .iter()
            .any(|c| c.contract == EVE.to_checksum(None))
    );
}

#[test]
fn t20_other_safe_operations_are_malformed() {
    for operation in [2, 255, 256, 257] {
        let effects = effects(SAFE, 0, &exec(TOKEN, 0, &transfer(FRIEND, 5), operation));
        assert_eq!(dangers(&effects), [Danger::Undecodable], "{operation}");
        assert_eq!(effects.movements, []);
    }
}

/// A Safe pays for gas what the transaction says, to whom it says.
#[test]
fn t20_a_safe_refund_to_eve_is_a_movement_of_everything() {
    for (gas_token, asset) in [(Address::ZERO, AssetRef::Native), (TOKEN, token(TOKEN))] {
        let mut arguments = exec_arguments(FRIEND, 1, &[], 0);
        arguments[5] = big(U256::MAX >> 1);
        arguments[6] = uint(1);
        arguments[7] = address(gas_token);
        arguments[8] = address(EVE);
        let effects = effects(SAFE, 0, &call(EXEC, arguments));
        let refund = movement(asset, MovementKind::Transfer, EVE, U256::MAX);
        assert!(effects.movements.contains(&refund), "{effects:?}");
    }
}

#[test]
fn t20_a_delegatecall_hidden_in_multisend_inside_exec_transaction() {
    let batch = multi_send(&[
        packed(0, TOKEN, 0, &transfer(FRIEND, 5)),
        packed(1, EVE, 0, &transfer(FRIEND, 5)),
        packed(0, FRIEND, 9, &[]),
    ]);
    let library = Address::repeat_byte(0x40);
    let read = effects(SAFE, 0, &exec(library, 0, &batch, 1));
    let expected = [
        sent(token(TOKEN), FRIEND, 5),
        sent(AssetRef::Native, FRIEND, 9),
    ];
    assert_eq!(read.movements, expected);
    assert_eq!(dangers(&read), [Danger::Undecodable, Danger::Delegatecall]);
    let honest = multi_send(&[packed(0, TOKEN, 0, &transfer(FRIEND, 5))]);
    let read = effects(SAFE, 0, &exec(library, 0, &honest, 1));
    assert_eq!(dangers(&read), [Danger::Delegatecall]);
}

#[test]
fn t20_multisend_that_does_not_end_with_its_last_transaction() {
    let one = packed(0, TOKEN, 0, &transfer(FRIEND, 5));
    for broken in [
        [&one[..], &[0]].concat(),
        one[..one.len() - 1].to_vec(),
        vec![2; 85],
        packed(0, TOKEN, 0, &[])[..84].to_vec(),
    ] {
        assert_malformed(&multi_send(&[broken]));
    }
    assert_moves(&multi_send(&[]), &[]);
}

#[test]
fn t20_changes_of_a_safe_and_of_owners_are_dangers() {
    let of_safe = [
        call(
            "addOwnerWithThreshold(address,uint256)",
            vec![address(EVE), uint(1)],
        ),
        call("changeThreshold(uint256)", vec![uint(1)]),
        call("enableModule(address)", vec![address(EVE)]),
        call("setGuard(address)", vec![address(Address::ZERO)]),
        call("setFallbackHandler(address)", vec![address(EVE)]),
    ];
    for data in of_safe {
        let effects = effects(SAFE, 0, &exec(SAFE, 0, &data, 0));
        assert_eq!(dangers(&effects), [Danger::AuthorityChange]);
    }
    let of_contracts = [
        call("transferOwnership(address)", vec![address(EVE)]),
        call("renounceOwnership()", vec![]),
        call("upgradeTo(address)", vec![address(EVE)]),
        call(
            "upgradeToAndCall(address,bytes)",
            vec![address(EVE), bytes(&[])],
        ),
        call(
            "grantRole(bytes32,address)",
            vec![V::FixedBytes([0; 32].into(), 32), address(EVE)],
        ),
    ];
    for data in of_contracts {
        assert_eq!(
            dangers(&effects(TOKEN, 0, &data)),
            [Danger::AuthorityChange]
        );
    }
    let with_code = call(
        "upgradeToAndCall(address,bytes)",
        vec![address(EVE), bytes(&[1])],
    );
    assert_eq!(
        dangers(&effects(TOKEN, 0, &with_code)),
        [Danger::Delegatecall, Danger::AuthorityChange]
    );
}

#[test]
fn t20_a_safe_setup_with_code_and_payment() {
    let data = call(
        "setup(address[],uint256,address,bytes,address,address,uint256,address)",
        vec![
            V::Array(vec![address(FRIEND)]),
            uint(1),
            address(EVE),
            bytes(&[1, 2, 3, 4]),
            address(Address::ZERO),
            address(Address::ZERO),
            uint(6),
            address(EVE),
        ],
    );
    let effects = effects(SAFE, 0, &data);
    let expected = [
        Danger::Undecodable,
        Danger::Delegatecall,
        Danger::AuthorityChange,
    ];
    assert_eq!(dangers(&effects), expected);
    assert_eq!(effects.movements, [sent(AssetRef::Native, EVE, 6)]);
}

#[test]
fn t20_decoy_inner_calls_are_all_seen() {
    let multicall3 = Address::repeat_byte(0xca);
    let friendly = (TOKEN, transfer(FRIEND, 1));
    let unlimited = call(
        "approve(address,uint256)",
        vec![address(EVE), big(U256::MAX)],
    );
    let mut calls = vec![friendly; 20];
    calls.insert(13, (TOKEN, unlimited));
    let read = effects(multicall3, 0, &aggregate3(&calls));
    assert_eq!(read.movements.len(), 21);
    assert_eq!(read.movements[13].destination, EVE.to_checksum(None));
    assert_eq!(dangers(&read), [Danger::UnlimitedApproval]);
    let hidden = V::Array(vec![bytes(&transfer(FRIEND, 1)), bytes(&[1, 2, 3, 4])]);
    for (signature, first) in [
        ("multicall(bytes[])", None),
        ("multicall(uint256,bytes[])", Some(uint(1))),
        (
            "multicall(bytes32,bytes[])",
            Some(V::FixedBytes([1; 32].into(), 32)),
        ),
    ] {
        let arguments = first.into_iter().chain([hidden.clone()]).collect();
        let read = effects(TOKEN, 0, &call(signature, arguments));
        assert_eq!(read.movements, [sent(token(TOKEN), FRIEND, 1)]);
        assert_eq!(dangers(&read), [Danger::Undecodable]);
    }
}

#[test]
fn multicall_variants_are_unpacked() {
    let pair = V::Tuple(vec![address(TOKEN), bytes(&transfer(FRIEND, 1))]);
    let value = V::Tuple(vec![address(FRIEND), V::Bool(true), uint(4), bytes(&[])]);
    let one = [sent(token(TOKEN), FRIEND, 1)];
    for (signature, arguments, expected) in [
        (
            "aggregate((address,bytes)[])",
            vec![V::Array(vec![pair.clone()])],
            &one[..],
        ),
        (
            "tryAggregate(bool,(address,bytes)[])",
            vec![V::Bool(true), V::Array(vec![pair])],
            &one,
        ),
        (
            "aggregate3Value((address,bool,uint256,bytes)[])",
            vec![V::Array(vec![value])],
            &[sent(AssetRef::Native, FRIEND, 4)],
        ),
    ] {
        assert_moves(&call(signature, arguments), expected);
    }
}

#[test]
fn t20_nesting_and_counts_are_bounded() {
    let nested = |levels: usize| {
        (1..levels).fold(transfer(FRIEND, 1), |data, _| aggregate3(&[(TOKEN, data)]))
    };
    assert_eq!(dangers(&effects(TOKEN, 0, &nested(8))), []);
    let deeper = effects(TOKEN, 0, &nested(9));
    assert_eq!(dangers(&deeper), [Danger::Undecodable]);
    assert!(deeper.calls.iter().any(|c| c.reading == Reading::Malformed));
    let many = |n| aggregate3(&vec![(TOKEN, transfer(FRIEND, 1)); n]);
    assert_eq!(effects(TOKEN, 0, &many(255)).movements.len(), 255);
    assert_malformed(&many(256));
    // A tree that is small in each place and large as a whole.
    let wide = aggregate3(&vec![(TOKEN, many(16)); 16]);
    assert!(
        effects(TOKEN, 0, &wide)
            .dangers
            .contains(&Danger::Undecodable)
    );
}

/// Thirty thousand calls that all share one tail of thirty thousand words: gigabytes for who believes the offsets.
#[test]
fn t20_offsets_that_explode_are_refused_quickly() {
    let count = 15_000u64;
    let word = |n: u64| U256::from(n).to_be_bytes::<32>();
    let tail = 32 * count;
    let head = [32, count]
        .into_iter()
        .chain(std::iter::repeat_n(tail, 15_000));
    let shared = std::iter::once(32 * (count - 1)).chain(std::iter::repeat_n(0, 14_999));
    let words: Vec<u8> = head.chain(shared).flat_map(word).collect();
    let selector = &keccak256("multicall(bytes[])")[..4];
    let started = std::time::Instant::now();
    assert_malformed(&[selector, &words].concat());
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn people_see_the_tree() {
    let batch = multi_send(&[packed(0, TOKEN, 0, &transfer(FRIEND, 5))]);
    let analysis = evm(&tx_with(SAFE, 0, &exec(EVE, 0, &batch, 1))).unwrap();
    let lines = analysis.facts.summary_lines();
    let [token, friend, eve, safe] = [TOKEN, FRIEND, EVE, SAFE].map(|a| a.to_checksum(None));
    assert_eq!(lines[0], format!("call contract {safe} with 0 ETH"));
    assert!(lines[1].starts_with(&format!("call {safe}: execTransaction(")));
    assert_eq!(lines[2], "  DANGER: delegatecall");
    assert!(lines[3].starts_with(&format!("  run code of {eve}: multiSend(bytes) with ")));
    assert_eq!(
        lines[4],
        format!("    call {token}: transfer(address,uint256) with {friend}, 5")
    );
    assert_eq!(
        lines[5],
        format!("      moves 5 smallest units of token {token} to {friend}")
    );
    let tree = tree(SAFE, &exec(EVE, 0, &batch, 1));
    assert!(tree.inner[0].delegated && !tree.inner[0].inner[0].delegated);
    let json = serde_json::to_value(&analysis.effects).unwrap();
    assert_eq!(
        serde_json::from_value::<Effects>(json).unwrap(),
        analysis.effects
    );
    let json = serde_json::to_value(&analysis.facts).unwrap();
    assert_eq!(
        serde_json::from_value::<Facts>(json).unwrap(),
        analysis.facts
    );
}
