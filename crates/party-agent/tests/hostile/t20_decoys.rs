//! T20: transactions that are more, or something else, than they seem.

use quorate_types::{Action, Curve, Network, Payload};

use crate::expect::{Broken, Expected, denied, judged, unproven};
use crate::payload::{Instruction, SOMEONE, SYSTEM, message, transfer};
use crate::target::{Ask, Target};
use crate::weakness::{none, reads_half};

/// `TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA`.
const TOKEN: [u8; 32] = [
    0x06, 0xdd, 0xf6, 0xe1, 0xd7, 0x65, 0xa1, 0x93, 0xd9, 0xcb, 0xe1, 0x46, 0xce, 0xeb, 0x79, 0xac,
    0x1c, 0xb4, 0x85, 0xed, 0x5f, 0x5b, 0x37, 0x91, 0x3a, 0x8c, 0xf5, 0x85, 0x7e, 0xff, 0x00, 0xa9,
];
const ACCOUNT: [u8; 32] = [0x33; 32];
const UNKNOWN: [u8; 32] = [0x77; 32];

/// Everything dangerous allowed.
const PERMISSIVE: &str = r#"
[[rule]]
id = "anything"
type = "allow-danger"
dangers = ["undecodable", "delegatecall", "set-code", "contract-creation", "unlimited-approval", "approval-for-all", "authority-change"]
[[rule]]
id = "any-asset"
type = "allow-unknown-assets"
"#;

type Decoy = fn(&Target) -> Vec<u8>;

fn asking(target: &Target, bytes: Vec<u8>) -> Ask {
    let action = target.signing(Payload::SolanaMessage(bytes));
    target.ask(target.intent("operator", action))
}

async fn attack_with_a_decoy(
    target: &Target,
    decoy: Decoy,
    expected: &Expected,
) -> Result<(), Broken> {
    let ask = asking(target, decoy(target));
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        target.stays_out(number, ask.hash(), &reply, expected)?;
    }
    target.works().await;
    Ok(())
}

fn token_call(target: &Target, accounts: Vec<u8>, data: Vec<u8>) -> Vec<u8> {
    let instruction = Instruction {
        program: 3,
        accounts,
        data,
    };
    message(&target.key, &[ACCOUNT, SOMEONE, TOKEN], &instruction)
}

/// Who owns the token account from now on: somebody else.
fn set_authority(target: &Target) -> Vec<u8> {
    let data = [&[6, 2, 1][..], &SOMEONE].concat();
    token_call(target, vec![1, 0], data)
}

fn unlimited_approval(target: &Target) -> Vec<u8> {
    let data = [&[13][..], &u64::MAX.to_le_bytes(), &[6]].concat();
    token_call(target, vec![1, 2, 2, 0], data)
}

fn token_without_its_mint(target: &Target) -> Vec<u8> {
    let data = [&[3][..], &1u64.to_le_bytes()].concat();
    token_call(target, vec![1, 2, 0], data)
}

/// A system instruction with more data than it has fields.
fn padded_transfer(target: &Target) -> Vec<u8> {
    let instruction = Instruction {
        program: 2,
        accounts: vec![0, 1],
        data: [&2u32.to_le_bytes()[..], &1u64.to_le_bytes(), &[0]].concat(),
    };
    message(&target.key, &[SOMEONE, SYSTEM], &instruction)
}

fn unknown_program(target: &Target) -> Vec<u8> {
    let instruction = Instruction {
        program: 2,
        accounts: vec![0, 1],
        data: transfer(&target.key, 1)[..12].to_vec(),
    };
    message(&target.key, &[SOMEONE, UNKNOWN], &instruction)
}

/// Version 0: whom it pays is in a table that the message does not hold.
fn lookup_table(target: &Target) -> Vec<u8> {
    let mut bytes = vec![0x80];
    let instruction = Instruction {
        program: 1,
        accounts: vec![0, 2],
        data: [&2u32.to_le_bytes()[..], &1_000u64.to_le_bytes()].concat(),
    };
    bytes.extend(message(&target.key, &[SYSTEM], &instruction));
    bytes.push(1);
    bytes.extend(ACCOUNT);
    bytes.extend([1, 9, 0]);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn t20_decoys_are_blocked_by_the_policy_that_nobody_wrote() {
    let target = Target::honest("").await;
    let weak = Target::weak(PERMISSIVE, none).await;
    let decoys: [(Decoy, &[&'static str]); 6] = [
        (set_authority, &["no-authority-change"]),
        (
            unlimited_approval,
            &["no-unknown-asset", "no-unlimited-approval"],
        ),
        (
            token_without_its_mint,
            &["no-undecodable", "no-unknown-asset"],
        ),
        (padded_transfer, &["no-undecodable"]),
        (unknown_program, &["no-undecodable"]),
        (lookup_table, &["no-undecodable"]),
    ];
    for (decoy, rules) in decoys {
        let expected = denied(rules);
        holds!(&target, attack_with_a_decoy, decoy, &expected);
        breaks!(&weak, attack_with_a_decoy, decoy, &expected);
    }
}

fn trailing_byte(target: &Target) -> Vec<u8> {
    [transfer(&target.key, 1), vec![0]].concat()
}

/// A second message after the first.
fn second_message(target: &Target) -> Vec<u8> {
    [transfer(&target.key, 1), transfer(&target.key, 1_000_000)].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn t20_bytes_after_the_transaction_are_refused() {
    let target = Target::honest("").await;
    let weak = Target::weak("", reads_half).await;
    let expected = judged("payload-trailing-bytes");
    for decoy in [trailing_byte as Decoy, second_message] {
        holds!(&target, attack_with_a_decoy, decoy, &expected);
        breaks!(&weak, attack_with_a_decoy, decoy, &expected);
    }
}

/// A length of one byte, written as two.
fn long_length(target: &Target) -> Vec<u8> {
    let mut bytes = transfer(&target.key, 1);
    bytes.splice(3..4, [0x83, 0x00]);
    bytes
}

fn somebody_elses(target: &Target) -> Vec<u8> {
    let mut bytes = transfer(&target.key, 1);
    bytes[4..36].copy_from_slice(&[0x42; 32]);
    bytes
}

fn listed_twice(target: &Target) -> Vec<u8> {
    let mut bytes = transfer(&target.key, 1);
    bytes.copy_within(4..36, 36);
    bytes
}

fn does_nothing(target: &Target) -> Vec<u8> {
    let mut bytes = transfer(&target.key, 1);
    bytes.truncate(4 + 4 * 32);
    bytes.push(0);
    bytes
}

/// What no policy allows: bytes that are not exactly one transaction of this key.
#[tokio::test(flavor = "multi_thread")]
async fn t20_what_is_not_one_canonical_transaction_of_the_key_is_refused() {
    let target = Target::honest(PERMISSIVE).await;
    let decoys: [(Decoy, &'static str); 5] = [
        (long_length, "solana-malformed"),
        (somebody_elses, "solana-not-a-signer"),
        (listed_twice, "solana-duplicate-account"),
        (does_nothing, "solana-no-instructions"),
        (|_| vec![0; 2_000], "solana-too-long"),
    ];
    for (decoy, code) in decoys {
        let expected = judged(code);
        holds!(&target, attack_with_a_decoy, decoy, &expected);
    }
}

/// EIP-1559 on chain 1, 21000 gas, 1000 wei to somebody.
fn ether_transfer() -> Vec<u8> {
    let to = "70".repeat(20);
    hex::decode(format!("02e10180010282520894{to}8203e880c0")).unwrap()
}

/// Without a committee setup nothing is signed with ECDSA; what a payload is read as comes before that.
#[tokio::test(flavor = "multi_thread")]
async fn t20_evm_decoys_are_refused_before_anything_else() {
    let target = Target::honest(PERMISSIVE).await;
    let evm = target.committee.active_key("evm", Curve::Secp256k1).await;
    let good = ether_transfer();
    let other_chain = [&good[..2], &[0x02], &good[3..]].concat();
    let trailing = [&good[..], &[0]].concat();
    let padded = [&[0x02, 0xe2, 0x01, 0x80, 0x81, 0x01], &good[5..]].concat();
    for (bytes, expected) in [
        (good, unproven("committee-not-set-up")),
        (other_chain, judged("evm-wrong-chain-id")),
        (trailing, judged("payload-trailing-bytes")),
        (padded, judged("evm-non-canonical-rlp")),
        (vec![0x05, 0xc0], judged("evm-unknown-type")),
    ] {
        let mut action = target.signing(Payload::EvmTransaction(bytes));
        if let Action::Sign { key, network, .. } = &mut action {
            (*key, *network) = (evm.id, Some(Network::Evm { chain_id: 1 }));
        }
        let ask = target.ask(target.intent("operator", action));
        for number in [1, 2] {
            let reply = target.asked(number, &ask).await;
            let out = target.stays_out(number, ask.hash(), &reply, &expected);
            out.unwrap();
        }
    }
}
