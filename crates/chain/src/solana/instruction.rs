//! Instructions that are understood; all others are shown as what they are, undecoded.

use solana_message::compiled_instruction::CompiledInstruction;

use crate::facts::SolanaInstruction;

const SYSTEM: &str = "11111111111111111111111111111111";
const COMPUTE_BUDGET: &str = "ComputeBudget111111111111111111111111111111";

/// Programs whose instructions begin with a count of signatures that the fee is charged for.
const SIGNATURE_PROGRAMS: [&str; 3] = [
    "Ed25519SigVerify111111111111111111111111111",
    "KeccakSecp256k11111111111111111111111111111",
    "Secp256r1SigVerify1111111111111111111111111",
];

/// Reads one instruction; `keys` are the message's static accounts in base58. Accounts beyond them come from lookup tables.
pub(super) fn decode(instruction: &CompiledInstruction, keys: &[String]) -> SolanaInstruction {
    let program = key(keys, instruction.program_id_index).unwrap_or_default();
    let known = match program.as_str() {
        SYSTEM => system(instruction, keys),
        COMPUTE_BUDGET => compute_budget(instruction),
        _ => None,
    };
    known.unwrap_or_else(|| SolanaInstruction::Other {
        program,
        accounts: instruction.accounts.len(),
        data_len: instruction.data.len(),
        data: hex::encode(&instruction.data),
    })
}

/// Signatures that an instruction has a precompile verify, each charged like one of the transaction's own.
pub(super) fn verified_signatures(instruction: &CompiledInstruction, keys: &[String]) -> u64 {
    let charged = key(keys, instruction.program_id_index)
        .is_some_and(|program| SIGNATURE_PROGRAMS.contains(&program.as_str()));
    let count = instruction.data.first().copied().filter(|_| charged);
    u64::from(count.unwrap_or_default())
}

/// `SystemInstruction`: a u32 tag, then the fields, all little-endian.
fn system(instruction: &CompiledInstruction, keys: &[String]) -> Option<SolanaInstruction> {
    let account = |position: usize| key(keys, *instruction.accounts.get(position)?);
    match instruction.data.as_slice() {
        [2, 0, 0, 0, lamports @ ..] if instruction.accounts.len() == 2 => {
            Some(SolanaInstruction::SystemTransfer {
                from: account(0)?,
                to: account(1)?,
                lamports: u64::from_le_bytes(lamports.try_into().ok()?),
            })
        }
        [4, 0, 0, 0] => Some(SolanaInstruction::AdvanceNonce {
            account: account(0),
        }),
        _ => None,
    }
}

/// `ComputeBudgetInstruction`: a u8 tag, then one little-endian integer.
fn compute_budget(instruction: &CompiledInstruction) -> Option<SolanaInstruction> {
    match instruction.data.as_slice() {
        [2, units @ ..] => Some(SolanaInstruction::ComputeUnitLimit {
            units: u32::from_le_bytes(units.try_into().ok()?),
        }),
        [3, price @ ..] => Some(SolanaInstruction::ComputeUnitPrice {
            micro_lamports: u64::from_le_bytes(price.try_into().ok()?),
        }),
        _ => None,
    }
}

fn key(keys: &[String], index: u8) -> Option<String> {
    keys.get(usize::from(index)).cloned()
}
