use quorate_chain::facts::{SolanaFacts, SolanaInstruction};
use quorate_chain::{Analysis, ChainError, Facts, Reading, SigningMessage, analyse};
use quorate_types::{Network, Payload, PublicKey, Scheme, Signature};
use solana_message::compiled_instruction::CompiledInstruction;
use solana_message::v0::{self, MessageAddressTableLookup};
use solana_message::{MessageHeader, VersionedMessage, legacy};
use solana_transaction::versioned::VersionedTransaction;

use crate::common::{LocalKey, assemble, code, only_message};

const KEY: LocalKey = LocalKey::new(0x31);
const COMPUTE_BUDGET: &str = "ComputeBudget111111111111111111111111111111";

/// A legacy message: 1.5 SOL from `key` to another account.
pub fn transfer(key: &PublicKey) -> VersionedMessage {
    VersionedMessage::Legacy(legacy_transfer(key))
}

pub fn legacy_transfer(key: &PublicKey) -> legacy::Message {
    let from: [u8; 32] = key.as_bytes().try_into().unwrap();
    legacy::Message {
        header: MessageHeader {
            num_required_signatures: 1,
            num_readonly_signed_accounts: 0,
            num_readonly_unsigned_accounts: 1,
        },
        account_keys: vec![from.into(), [0x55; 32].into(), [0; 32].into()],
        recent_blockhash: [9; 32].into(),
        instructions: vec![CompiledInstruction {
            program_id_index: 2,
            accounts: vec![0, 1],
            data: transfer_data(1_500_000_000),
        }],
    }
}

fn transfer_data(lamports: u64) -> Vec<u8> {
    [&[2, 0, 0, 0][..], &lamports.to_le_bytes()].concat()
}

fn version_0(message: legacy::Message) -> v0::Message {
    v0::Message {
        header: message.header,
        account_keys: message.account_keys,
        recent_blockhash: message.recent_blockhash,
        instructions: message.instructions,
        address_table_lookups: Vec::new(),
    }
}

pub fn analyse_bytes(bytes: &[u8]) -> Result<Analysis, ChainError> {
    let payload = Payload::SolanaMessage(bytes.to_vec());
    analyse(
        &payload,
        Some(Network::Solana),
        Scheme::Eddsa,
        &KEY.ed25519(),
        false,
    )
}

fn facts(message: &VersionedMessage) -> SolanaFacts {
    match analyse_bytes(&message.serialize()).unwrap().facts {
        Facts::Solana(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn refusal(change: impl FnOnce(&mut legacy::Message)) -> &'static str {
    let mut message = legacy_transfer(&KEY.ed25519());
    change(&mut message);
    code(analyse_bytes(
        &VersionedMessage::Legacy(message).serialize(),
    ))
}

/// Adds a program and an instruction of it that takes no accounts.
fn with_instruction(program: &str, data: Vec<u8>) -> VersionedMessage {
    let mut message = legacy_transfer(&KEY.ed25519());
    let program: [u8; 32] = bs58::decode(program)
        .into_vec()
        .unwrap()
        .try_into()
        .unwrap();
    message.account_keys.push(program.into());
    message.header.num_readonly_unsigned_accounts += 1;
    message.instructions.push(CompiledInstruction {
        program_id_index: 3,
        accounts: vec![],
        data,
    });
    VersionedMessage::Legacy(message)
}

#[test]
fn the_signed_message_is_the_bytes() {
    let key = KEY.ed25519();
    for message in [
        transfer(&key),
        VersionedMessage::V0(version_0(legacy_transfer(&key))),
    ] {
        let bytes = message.serialize();
        let analysis = analyse_bytes(&bytes).unwrap();
        assert_eq!(only_message(&analysis), SigningMessage::Ed25519(bytes));
    }
}

#[test]
fn a_transfer_is_decoded() {
    let key = KEY.ed25519();
    let facts = facts(&transfer(&key));
    let from = bs58::encode(key.as_bytes()).into_string();
    let to = bs58::encode([0x55; 32]).into_string();
    assert_eq!(facts.fee_payer, from);
    assert_eq!(facts.max_fee, 5000);
    assert_eq!(facts.version, "legacy");
    assert!(!facts.unresolved_lookups && !facts.durable_nonce);
    let lines = Facts::Solana(facts.clone()).summary_lines();
    assert_eq!(lines[0], format!("send 1.5 SOL from {from} to {to}"));
    assert_eq!(
        lines[1],
        format!("fee at most 0.000005 SOL, paid by {from}")
    );
    let expected = SolanaInstruction::SystemTransfer {
        from,
        to,
        lamports: 1_500_000_000,
    };
    assert_eq!(facts.instructions, [expected]);
    let json = serde_json::to_value(Facts::Solana(facts.clone())).unwrap();
    assert_eq!(json["instructions"][0]["lamports"], "1500000000");
    assert_eq!(
        serde_json::from_value::<Facts>(json).unwrap(),
        Facts::Solana(facts)
    );
}

#[test]
fn t20_a_fee_of_everything_by_compute_price_is_a_fact() {
    let price = |micro: u64| [&[3][..], &micro.to_le_bytes()].concat();
    let message = with_instruction(COMPUTE_BUDGET, price(1_000_000));
    assert_eq!(facts(&message).max_fee, 5000 + 1_400_000);
    let message = with_instruction(COMPUTE_BUDGET, price(u64::MAX));
    assert!(facts(&message).max_fee > 1 << 60);
    let limit = [&[2][..], &1000u32.to_le_bytes()].concat();
    let message = with_instruction(COMPUTE_BUDGET, limit);
    assert_eq!(
        facts(&message).instructions[1],
        SolanaInstruction::ComputeUnitLimit { units: 1000 }
    );
}

#[test]
fn precompile_signatures_are_in_the_fee() {
    let program = "Ed25519SigVerify111111111111111111111111111";
    let message = with_instruction(program, vec![3, 0]);
    assert_eq!(facts(&message).max_fee, 4 * 5000);
}

#[test]
fn t20_what_is_not_decoded_is_shown_as_such() {
    let program = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
    let facts = facts(&with_instruction(program, vec![3, 1, 2]));
    let expected = SolanaInstruction::Other {
        program: program.to_owned(),
        accounts: 0,
        data_len: 3,
        method: "0x03".to_owned(),
        data: "030102".to_owned(),
        reading: Reading::Malformed,
    };
    assert_eq!(facts.instructions[1], expected);
    let mut message = legacy_transfer(&KEY.ed25519());
    message.instructions[0].data.push(0);
    let facts = self::facts(&VersionedMessage::Legacy(message));
    assert!(matches!(
        facts.instructions[0],
        SolanaInstruction::Other { .. }
    ));
}

#[test]
fn t20_lookup_tables_are_a_fact() {
    let mut message = version_0(legacy_transfer(&KEY.ed25519()));
    message.address_table_lookups = vec![MessageAddressTableLookup {
        account_key: [7; 32].into(),
        writable_indexes: vec![1],
        readonly_indexes: vec![],
    }];
    message.instructions[0].accounts[1] = 3;
    let facts = facts(&VersionedMessage::V0(message));
    assert!(facts.unresolved_lookups);
    assert_eq!(facts.version, "0");
    assert!(matches!(
        facts.instructions[0],
        SolanaInstruction::Other { .. }
    ));
}

#[test]
fn t20_durable_nonces_are_a_fact() {
    let mut message = legacy_transfer(&KEY.ed25519());
    let advance = CompiledInstruction {
        program_id_index: 2,
        accounts: vec![1, 1, 0],
        data: vec![4, 0, 0, 0],
    };
    message.instructions.insert(0, advance);
    assert!(facts(&VersionedMessage::Legacy(message)).durable_nonce);
}

#[test]
fn t20_trailing_bytes_after_a_solana_message_are_refused() {
    let mut bytes = transfer(&KEY.ed25519()).serialize();
    bytes.push(0);
    assert_eq!(code(analyse_bytes(&bytes)), "payload-trailing-bytes");
}

#[test]
fn t20_non_canonical_lengths_are_refused() {
    let bytes = transfer(&KEY.ed25519()).serialize();
    assert_eq!(bytes[3], 3);
    let padded = [&bytes[..3], &[0x83, 0x00], &bytes[4..]].concat();
    assert_eq!(code(analyse_bytes(&padded)), "solana-malformed");
}

#[test]
fn i02_a_serialised_transaction_is_not_a_message() {
    let mut bytes = vec![1];
    bytes.extend([0; 64]);
    bytes.extend(transfer(&KEY.ed25519()).serialize());
    assert!(analyse_bytes(&bytes).is_err());
}

#[test]
fn t20_unsupported_solana_forms_are_refused() {
    let message = transfer(&KEY.ed25519()).serialize();
    let later = [&[0x81], &message[..]].concat();
    assert_eq!(code(analyse_bytes(&later)), "solana-unsupported-version");
    let offchain = b"\xffsolana offchain\x00";
    assert_eq!(code(analyse_bytes(offchain)), "solana-offchain-message");
    assert_eq!(code(analyse_bytes(&[])), "solana-malformed");
    assert_eq!(code(analyse_bytes(&vec![0; 1168])), "solana-too-long");
}

#[test]
fn t20_unsound_messages_are_refused() {
    let unsound = "solana-unsound";
    assert_eq!(refusal(|m| m.instructions[0].accounts[1] = 9), unsound);
    assert_eq!(refusal(|m| m.instructions[0].program_id_index = 0), unsound);
    assert_eq!(refusal(|m| m.header.num_required_signatures = 9), unsound);
    assert_eq!(
        refusal(|m| m.header.num_readonly_signed_accounts = 1),
        unsound
    );
    let repeat = |m: &mut legacy::Message| m.account_keys[2] = m.account_keys[1];
    assert_eq!(refusal(repeat), "solana-duplicate-account");
    assert_eq!(
        refusal(|m| m.instructions.clear()),
        "solana-no-instructions"
    );
}

#[test]
fn t20_messages_that_do_not_ask_for_our_signature_are_refused() {
    let message = transfer(&LocalKey::new(9).ed25519());
    let refused = analyse_bytes(&message.serialize());
    assert_eq!(code(refused), "solana-not-a-signer");
    let not_signing = refusal(|m| m.account_keys.swap(0, 1));
    assert_eq!(not_signing, "solana-not-a-signer");
}

fn finish(message: &VersionedMessage) -> Result<quorate_chain::Assembled, ChainError> {
    let bytes = message.serialize();
    let signatures: Vec<Signature> = KEY.sign_all(&analyse_bytes(&bytes)?.items);
    assemble(
        &Payload::SolanaMessage(bytes),
        Some(Network::Solana),
        Scheme::Eddsa,
        &KEY.ed25519(),
        &signatures,
    )
}

#[test]
fn other_signers_are_a_fact_and_stop_assembly() {
    let mut message = legacy_transfer(&KEY.ed25519());
    message.header.num_required_signatures = 2;
    let message = VersionedMessage::Legacy(message);
    let other = bs58::encode([0x55; 32]).into_string();
    assert_eq!(facts(&message).other_signers, [other]);
    assert_eq!(facts(&message).max_fee, 10_000);
    assert_eq!(code(finish(&message)), "solana-other-signers");
}

#[test]
fn assembled_transactions_verify_with_other_libraries() {
    let key = KEY.ed25519();
    for message in [
        transfer(&key),
        VersionedMessage::V0(version_0(legacy_transfer(&key))),
    ] {
        let done = finish(&message).unwrap();
        let tx: VersionedTransaction = bincode::deserialize(&done.bytes).unwrap();
        assert_eq!(tx.message, message);
        tx.sanitize().unwrap();
        let verifying: [u8; 32] = key.as_bytes().try_into().unwrap();
        let signature = ed25519_dalek::Signature::from_slice(tx.signatures[0].as_ref()).unwrap();
        ed25519_dalek::VerifyingKey::from_bytes(&verifying)
            .unwrap()
            .verify_strict(&tx.message.serialize(), &signature)
            .unwrap();
        assert_eq!(done.id, tx.signatures[0].to_string());
        assert_eq!(bincode::serialize(&tx).unwrap(), done.bytes);
    }
}
