//! The system program: `SystemInstruction`, bincode, a u32 tag.

use super::reader::{Accounts, Fields};
use super::{Read, known};
use crate::facts::SolanaInstruction;

pub(super) const PROGRAM: &str = "11111111111111111111111111111111";
/// Longest seed of a derived address.
const MAX_SEED: usize = 32;

pub(super) fn read(data: &[u8], accounts: &Accounts) -> Read {
    let mut fields = Fields(data);
    let Some(tag) = fields.u32() else {
        return Read::Unknown;
    };
    let read = match tag {
        0 => create(fields, accounts),
        1 => assign(fields, accounts),
        2 => transfer(fields, accounts),
        3 => create_with_seed(fields, accounts),
        4 => advance_nonce(&fields, accounts),
        5 => withdraw_nonce(fields, accounts),
        6 => initialize_nonce(fields, accounts),
        7 => authorize_nonce(fields, accounts),
        8 => allocate(fields, accounts),
        9 => allocate_with_seed(fields, accounts),
        10 => assign_with_seed(fields, accounts),
        11 => transfer_with_seed(fields, accounts),
        12 => upgrade_nonce(&fields, accounts),
        _ => return Read::Unknown,
    };
    known(read)
}

fn create(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [from, account] = accounts.exactly()?;
    let (lamports, space, owner) = (fields.u64()?, fields.u64()?, fields.key()?);
    fields.end()?;
    Some(SolanaInstruction::CreateAccount {
        from: from.clone(),
        account: account.clone(),
        lamports,
        space,
        owner,
    })
}

/// With the base's signature apart unless the base is who pays.
fn create_with_seed(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let base = fields.key()?;
    seed(&mut fields)?;
    let (from, account) = match accounts.all() {
        [from, account] if *from == base => (from, account),
        [from, account, signer] if *signer == base => (from, account),
        _ => return None,
    };
    let (lamports, space, owner) = (fields.u64()?, fields.u64()?, fields.key()?);
    fields.end()?;
    Some(SolanaInstruction::CreateAccount {
        from: from.clone(),
        account: account.clone(),
        lamports,
        space,
        owner,
    })
}

fn assign(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [account] = accounts.exactly()?;
    let owner = fields.key()?;
    fields.end()?;
    Some(SolanaInstruction::Assign {
        account: account.clone(),
        owner,
    })
}

fn assign_with_seed(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let base = fields.key()?;
    seed(&mut fields)?;
    let owner = fields.key()?;
    fields.end()?;
    Some(SolanaInstruction::Assign {
        account: account_of_base(accounts, &base)?,
        owner,
    })
}

fn transfer(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [from, to] = accounts.exactly()?;
    let lamports = fields.u64()?;
    fields.end()?;
    Some(SolanaInstruction::SystemTransfer {
        from: from.clone(),
        to: to.clone(),
        lamports,
    })
}

/// Accounts: from, base, to.
fn transfer_with_seed(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [from, _, to] = accounts.exactly()?;
    let lamports = fields.u64()?;
    seed(&mut fields)?;
    fields.key()?;
    fields.end()?;
    Some(SolanaInstruction::SystemTransfer {
        from: from.clone(),
        to: to.clone(),
        lamports,
    })
}

/// Accounts: nonce, recent blockhashes, authority.
fn advance_nonce(fields: &Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [account, _, _] = accounts.exactly()?;
    fields.end()?;
    Some(SolanaInstruction::AdvanceNonce {
        account: account.clone(),
    })
}

/// Accounts: nonce, recipient, recent blockhashes, rent, authority.
fn withdraw_nonce(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [account, to, _, _, _] = accounts.exactly()?;
    let lamports = fields.u64()?;
    fields.end()?;
    Some(SolanaInstruction::WithdrawNonce {
        account: account.clone(),
        to: to.clone(),
        lamports,
    })
}

/// Accounts: nonce, recent blockhashes, rent.
fn initialize_nonce(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [account, _, _] = accounts.exactly()?;
    let authority = fields.key()?;
    fields.end()?;
    Some(SolanaInstruction::NonceAuthority {
        account: account.clone(),
        authority,
    })
}

/// Accounts: nonce, authority.
fn authorize_nonce(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [account, _] = accounts.exactly()?;
    let authority = fields.key()?;
    fields.end()?;
    Some(SolanaInstruction::NonceAuthority {
        account: account.clone(),
        authority,
    })
}

fn upgrade_nonce(fields: &Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [account] = accounts.exactly()?;
    fields.end()?;
    Some(SolanaInstruction::UpgradeNonce {
        account: account.clone(),
    })
}

fn allocate(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let [account] = accounts.exactly()?;
    let space = fields.u64()?;
    fields.end()?;
    Some(SolanaInstruction::Allocate {
        account: account.clone(),
        space,
    })
}

/// Gives the account to an owner as well.
fn allocate_with_seed(mut fields: Fields, accounts: &Accounts) -> Option<SolanaInstruction> {
    let base = fields.key()?;
    seed(&mut fields)?;
    fields.u64()?;
    let owner = fields.key()?;
    fields.end()?;
    Some(SolanaInstruction::Assign {
        account: account_of_base(accounts, &base)?,
        owner,
    })
}

/// Accounts: the derived account, its base.
fn account_of_base(accounts: &Accounts, base: &str) -> Option<String> {
    let [account, signer] = accounts.exactly()?;
    (signer == base).then(|| account.clone())
}

fn seed(fields: &mut Fields) -> Option<()> {
    (fields.string()?.len() <= MAX_SEED).then_some(())
}
