//! The memo programs: the data is the text, the accounts are who signs it.

use super::reader::Accounts;
use super::{Read, known};
use crate::facts::SolanaInstruction;

pub(super) const PROGRAM: &str = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr";
/// Version 1, which takes no accounts.
pub(super) const PROGRAM_1: &str = "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo";

pub(super) fn read(data: &[u8], accounts: &Accounts) -> Read {
    let memo = std::str::from_utf8(data).ok();
    let memo = memo.map(|text| SolanaInstruction::Memo {
        text: text.to_owned(),
        signers: accounts.all().to_vec(),
    });
    known(memo)
}
