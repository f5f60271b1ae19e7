//! The associated-token-account program: no data or a u8 tag.

use super::reader::Accounts;
use super::{Read, hex_tag, known, system, token};
use crate::facts::{SolanaInstruction, TokenCall};

pub(super) const PROGRAM: &str = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL";

pub(super) fn read(data: &[u8], accounts: &Accounts) -> Read {
    match data {
        // `Create` and `CreateIdempotent`.
        [] | [0 | 1] => known(create(accounts, data)),
        [0 | 1, ..] => Read::Malformed,
        _ => Read::Unknown,
    }
}

/// Accounts: payer, token account, its owner, mint, system program, token program.
fn create(accounts: &Accounts, data: &[u8]) -> Option<SolanaInstruction> {
    let [payer, account, wallet, mint, system_program, token_program] = accounts.exactly()?;
    let programs = system_program == system::PROGRAM
        && [token::PROGRAM, token::PROGRAM_2022].contains(&token_program.as_str());
    programs.then(|| SolanaInstruction::CreateTokenAccount {
        call: TokenCall {
            program: PROGRAM.to_owned(),
            method: hex_tag(data, 1),
        },
        payer: payer.clone(),
        account: account.clone(),
        wallet: wallet.clone(),
        mint: mint.clone(),
        token_program: token_program.clone(),
    })
}
