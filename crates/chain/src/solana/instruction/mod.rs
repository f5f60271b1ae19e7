//! Instructions that are understood; all others are shown as what they are, undecoded.
//!
//! An instruction is decoded only when its data has exactly the length, and its accounts exactly the number, that its program
//! documents, and every account is in the message itself: accounts from address lookup tables cannot be known from the message.

mod associated;
mod compute_budget;
mod memo;
mod reader;
mod system;
mod token;

use solana_message::compiled_instruction::CompiledInstruction;

use self::reader::Accounts;
pub(super) use self::token::PROGRAM as TOKEN_PROGRAM;
use crate::effects::Reading;
use crate::facts::SolanaInstruction;

/// Programs whose instructions begin with a count of signatures that the fee is charged for.
const SIGNATURE_PROGRAMS: [&str; 3] = [
    "Ed25519SigVerify111111111111111111111111111",
    "KeccakSecp256k11111111111111111111111111111",
    "Secp256r1SigVerify1111111111111111111111111",
];

/// What a program's reader makes of one instruction.
enum Read {
    /// Understood completely.
    Done(SolanaInstruction),
    /// An instruction of this tag exists, but is not written like this.
    Malformed,
    /// No such instruction is known here.
    Unknown,
}

/// Reads one instruction; `keys` are the message's static accounts in base58. Accounts beyond them come from lookup tables.
pub(super) fn decode(instruction: &CompiledInstruction, keys: &[String]) -> SolanaInstruction {
    let program = key(keys, instruction.program_id_index).unwrap_or_default();
    let data = instruction.data.as_slice();
    let accounts: Option<Vec<String>> = instruction
        .accounts
        .iter()
        .map(|index| key(keys, *index))
        .collect();
    let reading = match accounts.map(|keys| read(&program, data, &Accounts::new(keys))) {
        Some(Read::Done(done)) => return done,
        Some(Read::Malformed) => Reading::Malformed,
        None if is_known(&program) => Reading::Incomplete,
        Some(Read::Unknown) | None => Reading::UnknownMethod,
    };
    SolanaInstruction::Other {
        method: method(&program, data),
        program,
        accounts: instruction.accounts.len(),
        data_len: data.len(),
        data: hex::encode(data),
        reading,
    }
}

fn read(program: &str, data: &[u8], accounts: &Accounts) -> Read {
    match program {
        system::PROGRAM => system::read(data, accounts),
        compute_budget::PROGRAM => compute_budget::read(data, accounts),
        token::PROGRAM | token::PROGRAM_2022 => token::read(program, data, accounts),
        associated::PROGRAM => associated::read(data, accounts),
        memo::PROGRAM | memo::PROGRAM_1 => memo::read(data, accounts),
        _ => Read::Unknown,
    }
}

fn is_known(program: &str) -> bool {
    let known = [
        system::PROGRAM,
        compute_budget::PROGRAM,
        token::PROGRAM,
        token::PROGRAM_2022,
        associated::PROGRAM,
        memo::PROGRAM,
        memo::PROGRAM_1,
    ];
    known.contains(&program)
}

/// The tag at the beginning of the data: as long as the program's tags are; of a program that is not known here 8 bytes, which is what
/// Anchor's discriminators take.
fn method(program: &str, data: &[u8]) -> String {
    match program {
        system::PROGRAM => hex_tag(data, 4),
        token::PROGRAM | token::PROGRAM_2022 => token::method(data),
        compute_budget::PROGRAM | associated::PROGRAM => hex_tag(data, 1),
        memo::PROGRAM | memo::PROGRAM_1 => hex_tag(data, 0),
        _ => hex_tag(data, 8),
    }
}

fn hex_tag(data: &[u8], len: usize) -> String {
    format!("0x{}", hex::encode(data.get(..len).unwrap_or(data)))
}

/// Signatures that an instruction has a precompile verify, each charged like one of the transaction's own.
pub(super) fn verified_signatures(instruction: &CompiledInstruction, keys: &[String]) -> u64 {
    let charged = key(keys, instruction.program_id_index)
        .is_some_and(|program| SIGNATURE_PROGRAMS.contains(&program.as_str()));
    let count = instruction.data.first().copied().filter(|_| charged);
    u64::from(count.unwrap_or_default())
}

fn key(keys: &[String], index: u8) -> Option<String> {
    keys.get(usize::from(index)).cloned()
}

/// What was read by the reader of a known tag.
fn known(read: Option<SolanaInstruction>) -> Read {
    read.map_or(Read::Malformed, Read::Done)
}
