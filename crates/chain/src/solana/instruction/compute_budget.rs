//! The compute-budget program: `ComputeBudgetInstruction`, borsh, a u8 tag. It takes no accounts.

use super::reader::{Accounts, Fields};
use super::{Read, known};
use crate::facts::SolanaInstruction;

pub(super) const PROGRAM: &str = "ComputeBudget111111111111111111111111111111";

pub(super) fn read(data: &[u8], accounts: &Accounts) -> Read {
    let mut fields = Fields(data);
    let Some(tag @ 1..=4) = fields.u8() else {
        return Read::Unknown;
    };
    known(one(tag, fields, accounts))
}

fn one(tag: u8, mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [] = accounts.exactly()?;
    let read = match tag {
        1 => SolanaInstruction::HeapFrame {
            bytes: fields.u32()?,
        },
        2 => SolanaInstruction::ComputeUnitLimit {
            units: fields.u32()?,
        },
        3 => SolanaInstruction::ComputeUnitPrice {
            micro_lamports: fields.u64()?,
        },
        _ => SolanaInstruction::LoadedAccountsLimit {
            bytes: fields.u32()?,
        },
    };
    fields.end()?;
    Some(read)
}
