//! What Solana instructions move, and T20, instructions that must not pass for something else.

use alloy_primitives::U256;
use quorate_chain::facts::SolanaInstruction;
use quorate_chain::{AssetRef, Danger, Effects, Facts, Movement, MovementKind, Reading};
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::v0::MessageAddressTableLookup;
use solana_message::{MessageHeader, VersionedMessage, legacy, v0};

use crate::common::LocalKey;
use crate::solana::analyse_bytes;

pub const SYSTEM: &str = "11111111111111111111111111111111";
pub const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
pub const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
pub const ASSOCIATED: &str = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL";
pub const MEMO: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";
pub const BUDGET: &str = "ComputeBudget111111111111111111111111111111";

/// One instruction: program, accounts, data.
pub type Step<'a> = (&'a str, &'a [[u8; 32]], Vec<u8>);

pub fn me() -> [u8; 32] {
    LocalKey::new(0x31).ed25519().as_bytes().try_into().unwrap()
}

pub fn key(byte: u8) -> [u8; 32] {
    [byte; 32]
}

pub fn name(key: [u8; 32]) -> String {
    bs58::encode(key).into_string()
}

pub fn program(text: &str) -> [u8; 32] {
    bs58::decode(text).into_vec().unwrap().try_into().unwrap()
}

/// A legacy message that our key alone signs and pays for.
pub fn message(steps: &[Step]) -> legacy::Message {
    let mut keys = vec![me()];
    let others = steps
        .iter()
        .flat_map(|(_, accounts, _)| accounts.iter().copied());
    let programs = steps.iter().map(|(name, ..)| program(name));
    for key in others.chain(programs) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let index = |key: &[u8; 32]| u8::try_from(keys.iter().position(|k| k == key).unwrap()).unwrap();
    let instructions = steps
        .iter()
        .map(|(name, accounts, data)| CompiledInstruction {
            program_id_index: index(&program(name)),
            accounts: accounts.iter().map(index).collect(),
            data: data.clone(),
        });
    legacy::Message {
        header: MessageHeader {
            num_required_signatures: 1,
            num_readonly_signed_accounts: 0,
            num_readonly_unsigned_accounts: 1,
        },
        instructions: instructions.collect(),
        account_keys: keys.into_iter().map(Into::into).collect(),
        recent_blockhash: [9; 32].into(),
    }
}

pub fn effects(steps: &[Step]) -> Effects {
    let message = VersionedMessage::Legacy(message(steps));
    analyse_bytes(&message.serialize()).unwrap().effects
}

fn instructions(steps: &[Step]) -> Vec<SolanaInstruction> {
    let message = VersionedMessage::Legacy(message(steps));
    match analyse_bytes(&message.serialize()).unwrap().facts {
        Facts::Solana(facts) => facts.instructions,
        other => panic!("{other:?}"),
    }
}

pub fn le(tag: &[u8], numbers: &[u64]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|n| n.to_le_bytes());
    tag.iter().copied().chain(numbers).collect()
}

fn system(tag: u8, numbers: &[u64]) -> Vec<u8> {
    le(&[tag, 0, 0, 0], numbers)
}

/// A token amount and the decimals after it.
pub fn checked(tag: u8, amount: u64) -> Vec<u8> {
    [le(&[tag], &[amount]), vec![6]].concat()
}

fn movement(kind: MovementKind, asset: AssetRef, destination: &str, amount: u64) -> Movement {
    Movement {
        asset,
        kind,
        destination: destination.to_owned(),
        amount: U256::from(amount),
        own: None,
    }
}

fn sent(asset: AssetRef, destination: &str, amount: u64) -> Movement {
    movement(MovementKind::Transfer, asset, destination, amount)
}

fn token(contract: &str) -> AssetRef {
    AssetRef::Token {
        contract: contract.to_owned(),
    }
}

fn dangers(effects: &Effects) -> Vec<Danger> {
    effects.dangers.iter().copied().collect()
}

#[track_caller]
fn assert_moves(step: Step, expected: &[Movement]) {
    let read = effects(&[step]);
    assert_eq!(read.movements, expected);
    assert_eq!(dangers(&read), []);
    assert!(read.calls.iter().all(|c| c.reading == Reading::Decoded));
}

#[track_caller]
fn assert_reading(step: Step, expected: Reading) {
    let read = effects(&[step]);
    assert_eq!(read.movements, []);
    assert_eq!(dangers(&read), [Danger::Undecodable]);
    assert_eq!(read.calls.first().unwrap().reading, expected);
}

#[test]
fn system_instructions_that_move_lamports() {
    let lamports = |to: u8, amount| sent(AssetRef::Native, &name(key(to)), amount);
    let pair = [me(), key(2)];
    assert_moves((SYSTEM, &pair, system(2, &[5])), &[lamports(2, 5)]);
    let create = [system(0, &[5, 165]), key(7).to_vec()].concat();
    assert_moves((SYSTEM, &pair, create), &[lamports(2, 5)]);
    let seeded = |tag: u8, before: &[u64], after: &[u64]| {
        let tag = [tag, 0, 0, 0];
        [
            &le(&tag, before)[..],
            &me(),
            &le(&[], &[2]),
            b"ab",
            &le(&[], after),
            &key(7),
        ]
        .concat()
    };
    assert_moves(
        (SYSTEM, &pair, seeded(3, &[], &[5, 165])),
        &[lamports(2, 5)],
    );
    let transfer = [
        &le(&[11, 0, 0, 0], &[5])[..],
        &le(&[], &[2]),
        b"ab",
        &key(7),
    ]
    .concat();
    let three = [key(4), me(), key(2)];
    assert_moves((SYSTEM, &three, transfer), &[lamports(2, 5)]);
    let five = [key(4), key(2), key(5), key(6), me()];
    assert_moves((SYSTEM, &five, system(5, &[5])), &[lamports(2, 5)]);
}

#[test]
fn system_instructions_that_move_nothing() {
    assert_moves((SYSTEM, &[key(2)], system(8, &[100])), &[]);
    assert_moves((SYSTEM, &[key(2), key(3), me()], system(4, &[])), &[]);
    assert_moves((SYSTEM, &[key(2)], system(12, &[])), &[]);
}

#[test]
fn t20_accounts_and_nonces_that_are_handed_over_are_dangers() {
    let with_key = |tag: u8| [system(tag, &[]), key(7).to_vec()].concat();
    let seeded = |tag: u8, space: &[u64]| {
        let seed = [&le(&[], &[2])[..], b"ab", &le(&[], space)].concat();
        [&system(tag, &[])[..], &me(), &seed, &key(7)].concat()
    };
    let steps: [Step; 5] = [
        (SYSTEM, &[me()], with_key(1)),
        (SYSTEM, &[key(2), key(3), key(4)], with_key(6)),
        (SYSTEM, &[key(2), me()], with_key(7)),
        (SYSTEM, &[key(2), me()], seeded(9, &[10])),
        (SYSTEM, &[key(2), me()], seeded(10, &[])),
    ];
    for step in steps {
        assert_eq!(dangers(&effects(&[step])), [Danger::AuthorityChange]);
    }
}

#[test]
fn token_transfers_name_mint_and_token_account() {
    let four = [key(2), key(3), key(4), me()];
    let expected = [sent(token(&name(key(3))), &name(key(4)), 5)];
    for program in [TOKEN, TOKEN_2022] {
        assert_moves((program, &four, checked(12, 5)), &expected);
    }
    let with_fee = [&[26, 1][..], &le(&[], &[5]), &[6], &le(&[], &[1])].concat();
    assert_moves((TOKEN_2022, &four, with_fee.clone()), &expected);
    assert_reading((TOKEN, &four, with_fee), Reading::UnknownMethod);
}

/// A plain transfer is of whatever token the accounts hold.
#[test]
fn t20_a_token_that_is_not_named_is_unknown() {
    let unknown = token(&format!("unknown:{}", name(key(2))));
    let transfer = effects(&[(TOKEN, &[key(2), key(4), me()], le(&[3], &[5]))]);
    assert_eq!(
        transfer.movements,
        [sent(unknown.clone(), &name(key(4)), 5)]
    );
    let approve = effects(&[(TOKEN, &[key(2), key(4), me()], le(&[4], &[5]))]);
    let expected = movement(MovementKind::Approval, unknown, &name(key(4)), 5);
    assert_eq!(approve.movements, [expected]);
    for read in [transfer, approve] {
        assert_eq!(dangers(&read), [Danger::Undecodable]);
        assert_eq!(read.calls.first().unwrap().reading, Reading::Incomplete);
    }
}

/// A wallet with data, or with another owner, cannot pay any more.
#[test]
fn t20_a_wallet_that_is_given_data_is_handed_over() {
    let system = "11111111111111111111111111111111";
    let allocate = |account| effects(&[(system, &[account], le(&[8, 0, 0, 0], &[10]))]);
    assert_eq!(dangers(&allocate(me())), [Danger::AuthorityChange]);
    let owner = [le(&[0, 0, 0, 0], &[7, 10]), key(9).to_vec()].concat();
    let create = |account| effects(&[(system, &[key(3), account], owner.clone())]);
    assert_eq!(dangers(&create(me())), [Danger::AuthorityChange]);
    assert_eq!(dangers(&create(key(4))), []);
}

#[test]
fn token_approvals() {
    let four = [key(2), key(3), key(4), me()];
    let of = |amount| {
        movement(
            MovementKind::Approval,
            token(&name(key(3))),
            &name(key(4)),
            amount,
        )
    };
    assert_moves((TOKEN, &four, checked(13, 5)), &[of(5)]);
    // T33: a billion whole tokens of nine decimals.
    let bound = 1_000_000_000_000_000_000;
    for amount in [bound, u64::MAX >> 1, u64::MAX] {
        let unlimited = effects(&[(TOKEN, &four, checked(13, amount))]);
        assert_eq!(dangers(&unlimited), [Danger::UnlimitedApproval]);
    }
    assert_moves((TOKEN, &four, checked(13, bound - 1)), &[of(bound - 1)]);
    assert_moves((TOKEN, &[key(2), me()], vec![5]), &[]);
}

#[test]
fn tokens_that_come_into_being_and_vanish() {
    let three = [key(2), key(3), me()];
    let minted = [sent(token(&name(key(2))), &name(key(3)), 5)];
    assert_moves((TOKEN, &three, le(&[7], &[5])), &minted);
    assert_moves((TOKEN, &three, checked(14, 5)), &minted);
    let burnt = format!("burn:{}", name(key(3)));
    let burnt = [sent(token(&name(key(3))), &burnt, 5)];
    assert_moves((TOKEN, &three, le(&[8], &[5])), &burnt);
    assert_moves((TOKEN, &three, checked(15, 5)), &burnt);
}

#[test]
fn t20_authorities_of_tokens() {
    let to = [vec![6, 2, 1], key(9).to_vec()].concat();
    for data in [to.clone(), vec![6, 0, 0]] {
        let read = effects(&[(TOKEN, &[key(2), me()], data)]);
        assert_eq!(dangers(&read), [Danger::AuthorityChange]);
    }
    for data in [to[..34].to_vec(), vec![6, 2, 2], [&to[..], &[0]].concat()] {
        assert_reading((TOKEN, &[key(2), me()], data), Reading::Malformed);
    }
}

/// How much a closed account holds, the message does not say; wrapped SOL is held as lamports.
#[test]
fn t20_closing_an_account_towards_eve_moves_everything() {
    let all = sent(AssetRef::Native, &name(key(9)), u64::MAX);
    assert_moves((TOKEN, &[key(2), key(9), me()], vec![9]), &[all]);
    assert_moves((TOKEN, &[key(2), me(), me()], vec![9]), &[]);
}

#[test]
fn associated_accounts_cost_rent() {
    let create = |token_program: &str, data: Vec<u8>| {
        let accounts = [
            me(),
            key(2),
            key(3),
            key(4),
            program(SYSTEM),
            program(token_program),
        ];
        effects(&[(ASSOCIATED, &accounts, data)])
    };
    for (data, method) in [(vec![], "0x"), (vec![0], "0x00"), (vec![1], "0x01")] {
        let read = create(TOKEN, data);
        assert_eq!(read.fee, U256::from(5000u64 + 2_039_280));
        assert_eq!(dangers(&read), []);
        assert_eq!(read.calls.first().unwrap().method, method);
    }
    let larger = create(TOKEN_2022, vec![1]);
    assert_eq!(larger.fee, U256::from(5000u64 + 6960 * (128 + 1024)));
    assert_eq!(dangers(&create(MEMO, vec![1])), [Danger::Undecodable]);
    assert_eq!(dangers(&create(TOKEN, vec![2])), [Danger::Undecodable]);
}

#[test]
fn memos_are_quoted() {
    let step: Step = (MEMO, &[me()], "a\u{1b}[2J".as_bytes().to_vec());
    let message = VersionedMessage::Legacy(message(std::slice::from_ref(&step)));
    let analysis = analyse_bytes(&message.serialize()).unwrap();
    assert_eq!(analysis.facts.summary_lines()[0], "memo \"a\\u{1b}[2J\"");
    assert!(analysis.effects.calls.is_empty() && analysis.effects.dangers.is_empty());
    assert_reading((MEMO, &[me()], vec![0xff]), Reading::Malformed);
}

#[test]
fn compute_budget_is_no_call() {
    let units = |tag: u8| [&[tag][..], &7u32.to_le_bytes()].concat();
    for data in [units(1), units(2), le(&[3], &[7]), units(4)] {
        assert_moves((BUDGET, &[], data.clone()), &[]);
        assert_reading((BUDGET, &[key(2)], data), Reading::Malformed);
    }
    assert_reading((BUDGET, &[], units(0)), Reading::UnknownMethod);
}

#[test]
fn t20_lengths_and_account_counts_are_exact() {
    let accounts = [key(2), key(3), key(4), me(), key(5)];
    let steps: [(&str, usize, Vec<u8>); 9] = [
        (SYSTEM, 2, system(2, &[5])),
        (SYSTEM, 3, system(4, &[])),
        (SYSTEM, 1, system(8, &[5])),
        (TOKEN, 4, checked(12, 5)),
        (TOKEN, 4, checked(13, 5)),
        (TOKEN, 3, le(&[7], &[5])),
        (TOKEN, 3, checked(15, 5)),
        (TOKEN, 3, vec![9]),
        (TOKEN, 2, vec![6, 0, 0]),
    ];
    for (program, count, data) in steps {
        assert_eq!(
            effects(&[(program, &accounts[..count], data.clone())])
                .calls
                .len(),
            usize::from(program == TOKEN)
        );
        let longer = [&data[..], &[0]].concat();
        let shorter = data[..data.len() - 1].to_vec();
        let bad: [Step; 3] = [
            (program, &accounts[..count], longer),
            (program, &accounts[..count - 1], data.clone()),
            (program, &accounts[..count + 1], data),
        ];
        for step in bad {
            assert_reading(step, Reading::Malformed);
        }
        if shorter.len() > 4 {
            assert_reading((program, &accounts[..count], shorter), Reading::Malformed);
        }
    }
}

#[test]
fn t20_accounts_from_lookup_tables_are_not_decoded() {
    let lookups = |accounts: Vec<u8>, table: Vec<u8>| {
        let plain = message(&[(TOKEN, &[key(2), key(3), key(4), me()], checked(12, 5))]);
        let mut instruction = plain.instructions[0].clone();
        if !accounts.is_empty() {
            instruction.accounts = accounts;
        }
        let message = v0::Message {
            header: plain.header,
            account_keys: plain.account_keys,
            recent_blockhash: plain.recent_blockhash,
            instructions: vec![instruction],
            address_table_lookups: vec![MessageAddressTableLookup {
                account_key: [7; 32].into(),
                writable_indexes: table,
                readonly_indexes: vec![],
            }],
        };
        analyse_bytes(&VersionedMessage::V0(message).serialize()).unwrap()
    };
    // Accounts: me, source, mint, destination, program; 5 is the first from the table.
    let hidden = lookups(vec![1, 2, 5, 0], vec![1]).effects;
    assert_eq!(hidden.movements, []);
    assert_eq!(dangers(&hidden), [Danger::Undecodable]);
    assert_eq!(hidden.calls.first().unwrap().reading, Reading::Incomplete);
    let unused = lookups(vec![], vec![1]);
    assert_eq!(dangers(&unused.effects), []);
    assert!(matches!(unused.facts, Facts::Solana(f) if f.unresolved_lookups));
}

#[test]
fn t20_unknown_programs_show_their_discriminator() {
    let program = name(key(0x44));
    let read = effects(&[(&program, &[me()], (0..20).collect())]);
    assert_eq!(dangers(&read), [Danger::Undecodable]);
    let call = read.calls.first().unwrap();
    assert_eq!(call.method, "0x0001020304050607");
    assert_eq!(
        (&call.contract, call.reading),
        (&program, Reading::UnknownMethod)
    );
}

#[test]
fn t20_decoy_instructions_do_not_hide_others() {
    let pair = [me(), me()];
    let four = [key(2), key(3), key(9), me()];
    let decoy: Step = (SYSTEM, &pair, system(2, &[1]));
    let mut steps = vec![decoy; 6];
    steps.insert(4, (TOKEN, &four, checked(12, 1_000_000)));
    let read = effects(&steps);
    assert_eq!(read.movements.len(), 7);
    assert_eq!(read.movements[4].destination, name(key(9)));
    let lines = instructions(&steps);
    assert!(matches!(
        &lines[4],
        SolanaInstruction::TokenTransfer {
            amount: 1_000_000,
            ..
        }
    ));
}
