//! Solana messages, by hand.

use quorate_types::KeyRecord;
use rand_core::{OsRng, RngCore as _};

pub const SYSTEM: [u8; 32] = [0; 32];
pub const SOMEONE: [u8; 32] = [0x5a; 32];
/// Lamports.
pub const SOL: u64 = 1_000_000_000;

/// One instruction of a legacy message: the program's and the accounts' places, and the data.
pub struct Instruction {
    pub program: u8,
    pub accounts: Vec<u8>,
    pub data: Vec<u8>,
}

/// A legacy message that the key signs and pays for; the last account is the read-only program.
pub fn message(key: &KeyRecord, others: &[[u8; 32]], instruction: &Instruction) -> Vec<u8> {
    let mut blockhash = [0; 32];
    OsRng.fill_bytes(&mut blockhash);
    let count = u8::try_from(others.len() + 1).unwrap();
    let mut bytes = vec![1, 0, 1, count];
    bytes.extend(key.public_key.as_bytes());
    bytes.extend(others.concat());
    bytes.extend(blockhash);
    bytes.push(1);
    bytes.push(instruction.program);
    for list in [&instruction.accounts, &instruction.data] {
        bytes.push(u8::try_from(list.len()).unwrap());
        bytes.extend(list);
    }
    bytes
}

/// A system transfer.
pub fn transfer(key: &KeyRecord, lamports: u64) -> Vec<u8> {
    let instruction = Instruction {
        program: 2,
        accounts: vec![0, 1],
        data: [&2u32.to_le_bytes()[..], &lamports.to_le_bytes()].concat(),
    };
    message(key, &[SOMEONE, SYSTEM], &instruction)
}
