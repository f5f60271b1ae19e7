//! SPL token and token-2022: a u8 tag, then packed fields.
//!
//! Accounts beyond the documented ones (signers of a multisig authority, accounts of a transfer hook) are not understood.

use super::reader::{Accounts, Fields};
use super::{Read, hex_tag, known};
use crate::facts::{SolanaInstruction, TokenCall};

pub(in crate::solana) const PROGRAM: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
pub(super) const PROGRAM_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
const TAG: usize = 1;
const TRANSFER_FEE_EXTENSION: u8 = 26;

pub(super) fn read(program: &str, data: &[u8], accounts: &Accounts) -> Read {
    let mut fields = Fields(data);
    let Some(tag) = fields.u8() else {
        return Read::Unknown;
    };
    let call = TokenCall {
        program: program.to_owned(),
        method: method(data),
    };
    let read = match tag {
        3 => transfer(call, fields, accounts),
        4 => approve(call, fields, accounts),
        5 => revoke(call, &fields, accounts),
        6 => set_authority(call, fields, accounts),
        7 | 14 => mint_to(call, tag, fields, accounts),
        8 | 15 => burn(call, tag, fields, accounts),
        9 => close(call, &fields, accounts),
        12 => transfer_checked(call, fields, accounts),
        13 => approve_checked(call, fields, accounts),
        17 => sync_native(call, &fields, accounts),
        TRANSFER_FEE_EXTENSION if program == PROGRAM_2022 => {
            transfer_fee_extension(call, fields, accounts)
        }
        _ => return Read::Unknown,
    };
    known(read)
}

/// The tag; those of extensions have a second byte.
pub(super) fn method(data: &[u8]) -> String {
    let len = if data.first() == Some(&TRANSFER_FEE_EXTENSION) {
        2
    } else {
        TAG
    };
    hex_tag(data, len)
}

/// Accounts: source, destination, authority. The mint is not named.
fn transfer(call: TokenCall, mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [source, destination, authority] = accounts.exactly()?;
    let amount = fields.u64()?;
    fields.end()?;
    Some(SolanaInstruction::TokenTransfer {
        call,
        mint: None,
        source: source.clone(),
        destination: destination.clone(),
        authority: authority.clone(),
        amount,
        decimals: None,
        fee: None,
    })
}

/// Accounts: source, mint, destination, authority.
fn transfer_checked(
    call: TokenCall,
    mut fields: Fields,
    accounts: &Accounts,
) -> Option<SolanaInstruction> {
    let (amount, decimals) = (fields.u64()?, fields.u8()?);
    fields.end()?;
    transfer_of_mint(call, accounts, amount, decimals, None)
}

/// `TransferFeeExtension`: of its instructions `TransferCheckedWithFee` (1).
fn transfer_fee_extension(
    call: TokenCall,
    mut fields: Fields,
    accounts: &Accounts,
) -> Option<SolanaInstruction> {
    if fields.u8()? != 1 {
        return None;
    }
    let (amount, decimals, fee) = (fields.u64()?, fields.u8()?, fields.u64()?);
    fields.end()?;
    transfer_of_mint(call, accounts, amount, decimals, Some(fee))
}

fn transfer_of_mint(
    call: TokenCall,
    accounts: &Accounts,
    amount: u64,
    decimals: u8,
    fee: Option<u64>,
) -> Option<SolanaInstruction> {
    let [source, mint, destination, authority] = accounts.exactly()?;
    Some(SolanaInstruction::TokenTransfer {
        call,
        mint: Some(mint.clone()),
        source: source.clone(),
        destination: destination.clone(),
        authority: authority.clone(),
        amount,
        decimals: Some(decimals),
        fee,
    })
}

/// Accounts: source, delegate, owner. The mint is not named.
fn approve(call: TokenCall, mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [source, delegate, _] = accounts.exactly()?;
    let amount = fields.u64()?;
    fields.end()?;
    Some(SolanaInstruction::TokenApprove {
        call,
        mint: None,
        source: source.clone(),
        delegate: delegate.clone(),
        amount,
    })
}

/// Accounts: source, mint, delegate, owner.
fn approve_checked(
    call: TokenCall,
    mut fields: Fields,
    accounts: &Accounts,
) -> Option<SolanaInstruction> {
    let [source, mint, delegate, _] = accounts.exactly()?;
    let (amount, _decimals) = (fields.u64()?, fields.u8()?);
    fields.end()?;
    Some(SolanaInstruction::TokenApprove {
        call,
        mint: Some(mint.clone()),
        source: source.clone(),
        delegate: delegate.clone(),
        amount,
    })
}

/// Accounts: source, owner.
fn revoke(call: TokenCall, fields: &Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [source, _] = accounts.exactly()?;
    fields.end()?;
    Some(SolanaInstruction::TokenRevoke {
        call,
        source: source.clone(),
    })
}

/// Accounts: mint or account, authority. Fields: which authority, and who has it from now on.
fn set_authority(
    call: TokenCall,
    mut fields: Fields,
    accounts: &Accounts,
) -> Option<SolanaInstruction> {
    let [account, _] = accounts.exactly()?;
    let (role, authority) = (fields.u8()?, fields.optional_key()?);
    fields.end()?;
    Some(SolanaInstruction::TokenSetAuthority {
        call,
        account: account.clone(),
        role,
        authority,
    })
}

/// Accounts: mint, account, mint authority.
fn mint_to(
    call: TokenCall,
    tag: u8,
    mut fields: Fields,
    accounts: &Accounts,
) -> Option<SolanaInstruction> {
    let [mint, account, _] = accounts.exactly()?;
    let amount = amount_of(tag == 14, &mut fields)?;
    Some(SolanaInstruction::TokenMint {
        call,
        mint: mint.clone(),
        account: account.clone(),
        amount,
    })
}

/// Accounts: account, mint, owner.
fn burn(
    call: TokenCall,
    tag: u8,
    mut fields: Fields,
    accounts: &Accounts,
) -> Option<SolanaInstruction> {
    let [account, mint, _] = accounts.exactly()?;
    let amount = amount_of(tag == 15, &mut fields)?;
    Some(SolanaInstruction::TokenBurn {
        call,
        mint: mint.clone(),
        account: account.clone(),
        amount,
    })
}

/// The amount, and in the checked forms the decimals after it.
fn amount_of(checked: bool, fields: &mut Fields) -> Option<u64> {
    let amount = fields.u64()?;
    if checked {
        fields.u8()?;
    }
    fields.end()?;
    Some(amount)
}

/// Accounts: account, destination, owner.
fn close(call: TokenCall, fields: &Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [account, destination, _] = accounts.exactly()?;
    fields.end()?;
    Some(SolanaInstruction::TokenClose {
        call,
        account: account.clone(),
        destination: destination.clone(),
    })
}

/// Accounts: the account of wrapped SOL.
fn sync_native(call: TokenCall, fields: &Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [account] = accounts.exactly()?;
    fields.end()?;
    Some(SolanaInstruction::TokenSyncNative {
        call,
        account: account.clone(),
    })
}
