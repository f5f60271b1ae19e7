//! Solana. The signing key pays the fees.

use quorate_types::{Network, Payload, Scheme};
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::v0::{self, MessageAddressTableLookup};
use solana_message::{VersionedMessage, legacy};

use super::{Entry, root};
use crate::solana_programs::{
    ASSOCIATED, BUDGET, MEMO, SYSTEM, Step, TOKEN, TOKEN_2022, checked, key, le, me, message, name,
    program,
};

const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGkZwyTDt1v";
const PYUSD: &str = "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo";
const JUPITER: &str = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4";
const RECENT_BLOCKHASHES: &str = "SysvarRecentB1ockHashes11111111111111111111";
/// Token accounts, and somebody's wallet.
const SOURCE: u8 = 0x21;
const DESTINATION: u8 = 0x22;
const WALLET: u8 = 0x23;

fn ours() -> [u8; 32] {
    root(Scheme::Eddsa).as_bytes().try_into().unwrap()
}

/// A message of the key that the other tests use, for the corpus's key.
fn of_root(steps: &[Step]) -> legacy::Message {
    let mut message = message(steps);
    for account in &mut message.account_keys {
        if account.as_ref() == me() {
            *account = ours().into();
        }
    }
    message
}

fn entry(
    name: &'static str,
    source: &'static str,
    message: VersionedMessage,
    movements: Vec<String>,
    dangers: &'static [&'static str],
    fee: &'static str,
) -> Entry {
    Entry {
        name,
        source,
        network: Network::Solana,
        scheme: Scheme::Eddsa,
        payload: Payload::SolanaMessage(message.serialize()),
        movements,
        dangers,
        fee,
    }
}

fn plain(
    name: &'static str,
    source: &'static str,
    steps: &[Step],
    movements: Vec<String>,
    dangers: &'static [&'static str],
) -> Entry {
    let message = VersionedMessage::Legacy(of_root(steps));
    entry(name, source, message, movements, dangers, "5000")
}

fn system_transfer(lamports: u64) -> Vec<u8> {
    le(&[2, 0, 0, 0], &[lamports])
}

fn versioned(
    message: legacy::Message,
    lookups: Vec<MessageAddressTableLookup>,
) -> VersionedMessage {
    VersionedMessage::V0(v0::Message {
        header: message.header,
        account_keys: message.account_keys,
        recent_blockhash: message.recent_blockhash,
        instructions: message.instructions,
        address_table_lookups: lookups,
    })
}

pub fn entries() -> Vec<Entry> {
    [payments(), token_accounts(), others()]
        .into_iter()
        .flatten()
        .collect()
}

fn payments() -> Vec<Entry> {
    let wallet = name(key(WALLET));
    let destination = name(key(DESTINATION));
    let accounts = [key(SOURCE), program(USDC), key(DESTINATION), me()];
    let fees = [&[26, 1][..], &le(&[], &[3_000_000]), &[6], &le(&[], &[0])].concat();
    let dollars = [key(SOURCE), program(PYUSD), key(DESTINATION), me()];
    vec![
        prioritised_transfer(),
        first_usdc_payment(),
        plain(
            "usdc-transfer-checked",
            "TransferChecked of 2.5 USDC between token accounts",
            &[(TOKEN, &accounts, checked(12, 2_500_000))],
            vec![format!("transfer 2500000 token {USDC} to {destination}")],
            &[],
        ),
        plain(
            "token-transfer-plain",
            "Transfer, as older wallets make it: the mint is not in the message",
            &[(
                TOKEN,
                &[key(SOURCE), key(DESTINATION), me()],
                le(&[3], &[2_500_000]),
            )],
            vec![format!(
                "transfer 2500000 token unknown:{} to {destination}",
                name(key(SOURCE))
            )],
            &["undecodable"],
        ),
        plain(
            "token-2022-with-fee",
            "TransferCheckedWithFee of token-2022 with a fee of 0",
            &[(TOKEN_2022, &dollars, fees)],
            vec![format!("transfer 3000000 token {PYUSD} to {destination}")],
            &[],
        ),
        plain(
            "durable-nonce",
            "AdvanceNonceAccount first, then a transfer: it never expires",
            &[
                (
                    SYSTEM,
                    &[key(0x41), program(RECENT_BLOCKHASHES), me()],
                    vec![4, 0, 0, 0],
                ),
                (SYSTEM, &[me(), key(WALLET)], system_transfer(1_500_000_000)),
            ],
            vec![format!("transfer 1500000000 native to {wallet}")],
            &[],
        ),
    ]
}

fn prioritised_transfer() -> Entry {
    let limit = [&[2][..], &1000u32.to_le_bytes()].concat();
    let message = of_root(&[
        (BUDGET, &[], limit),
        (BUDGET, &[], le(&[3], &[2_000_000])),
        (SYSTEM, &[me(), key(WALLET)], system_transfer(1_000_000)),
    ]);
    entry(
        "sol-transfer-with-priority",
        "as wallets send SOL: compute-unit limit and price, then a transfer",
        VersionedMessage::Legacy(message),
        vec![format!("transfer 1000000 native to {}", name(key(WALLET)))],
        &[],
        // 5000 for the signature, 1000 units at 2 lamports.
        "7000",
    )
}

fn first_usdc_payment() -> Entry {
    let create = [
        me(),
        key(DESTINATION),
        key(WALLET),
        program(USDC),
        program(SYSTEM),
        program(TOKEN),
    ];
    let accounts = [key(SOURCE), program(USDC), key(DESTINATION), me()];
    let message = of_root(&[
        (ASSOCIATED, &create, vec![1]),
        (TOKEN, &accounts, checked(12, 2_500_000)),
        (MEMO, &[me()], b"invoice 7".to_vec()),
    ]);
    entry(
        "usdc-first-payment",
        "as wallets pay somebody who never had the token: CreateIdempotent, TransferChecked, a memo; version 0",
        versioned(message, vec![]),
        vec![format!(
            "transfer 2500000 token {USDC} to {}",
            name(key(DESTINATION))
        )],
        &[],
        // 5000 for the signature, 2039280 for the rent of 165 bytes.
        "2044280",
    )
}

fn token_accounts() -> Vec<Entry> {
    let delegate = name(key(WALLET));
    let accounts = [key(SOURCE), program(USDC), key(WALLET), me()];
    let handed = [vec![6, 2, 1], key(WALLET).to_vec()].concat();
    vec![
        plain(
            "approve-everything",
            "ApproveChecked of 2^64-1 USDC, as drainers ask for",
            &[(TOKEN, &accounts, checked(13, u64::MAX))],
            vec![format!(
                "approval 18446744073709551615 token {USDC} to {delegate}"
            )],
            &["unlimited-approval"],
        ),
        plain(
            "set-owner",
            "SetAuthority of a token account's owner, as drainers do: nothing moves",
            &[(TOKEN, &[key(SOURCE), me()], handed)],
            vec![],
            &["authority-change"],
        ),
        plain(
            "close-to-self",
            "CloseAccount of wrapped SOL, to the key itself",
            &[(TOKEN, &[key(SOURCE), me(), me()], vec![9])],
            vec![],
            &[],
        ),
        plain(
            "close-to-another",
            "CloseAccount towards somebody else: how much, the message does not say",
            &[(TOKEN, &[key(SOURCE), key(WALLET), me()], vec![9])],
            vec![format!(
                "transfer 18446744073709551615 native to {delegate}"
            )],
            &[],
        ),
    ]
}

fn others() -> Vec<Entry> {
    let assign = [vec![1, 0, 0, 0], program(TOKEN).to_vec()].concat();
    let mut swap = of_root(&[(JUPITER, &[me(), key(SOURCE)], (0..24).collect())]);
    let after_static = u8::try_from(swap.account_keys.len()).unwrap();
    let accounts = vec![0, 1, after_static, after_static + 1];
    swap.instructions[0] = CompiledInstruction {
        accounts,
        ..swap.instructions[0].clone()
    };
    let table = MessageAddressTableLookup {
        account_key: [7; 32].into(),
        writable_indexes: vec![3],
        readonly_indexes: vec![5],
    };
    vec![
        plain(
            "assign",
            "Assign of the signing account itself to another program",
            &[(SYSTEM, &[me()], assign)],
            vec![],
            &["authority-change"],
        ),
        entry(
            "swap-with-lookup-table",
            "a call of a program that is not known here, with accounts from a lookup table, as swaps are",
            versioned(swap, vec![table]),
            vec![],
            &["undecodable"],
            "5000",
        ),
    ]
}
