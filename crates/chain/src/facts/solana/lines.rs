//! Solana transactions for people.

use super::{SolanaFacts, SolanaInstruction};
use crate::facts::amount::scaled;
use crate::facts::quote;

type I = SolanaInstruction;

impl SolanaFacts {
    pub(in crate::facts) fn summary_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.instructions.iter().map(instruction_line).collect();
        lines.push(format!(
            "fee at most {} SOL, paid by {}",
            sol(self.max_fee),
            self.fee_payer
        ));
        if self.max_rent > 0 {
            lines.push(format!(
                "rent of new token accounts at most {} SOL",
                sol(self.max_rent)
            ));
        }
        if self.unresolved_lookups {
            lines.push("uses accounts from lookup tables that were not resolved".to_owned());
        }
        if !self.other_signers.is_empty() {
            lines.push(format!(
                "also needs the signatures of {}",
                self.other_signers.join(", ")
            ));
        }
        if self.durable_nonce {
            lines.push("does not expire: uses a durable nonce".to_owned());
        }
        lines.push(format!("recent blockhash {}", self.recent_blockhash));
        lines
    }
}

fn instruction_line(instruction: &SolanaInstruction) -> String {
    match instruction {
        I::SystemTransfer { .. }
        | I::CreateAccount { .. }
        | I::Assign { .. }
        | I::Allocate { .. }
        | I::AdvanceNonce { .. }
        | I::WithdrawNonce { .. }
        | I::NonceAuthority { .. }
        | I::UpgradeNonce { .. } => system_line(instruction),
        I::HeapFrame { bytes } => format!("ask for a heap of {bytes} bytes"),
        I::ComputeUnitLimit { units } => format!("limit compute units to {units}"),
        I::ComputeUnitPrice { micro_lamports } => {
            format!("pay {micro_lamports} micro-lamports per compute unit")
        }
        I::LoadedAccountsLimit { bytes } => format!("limit loaded accounts to {bytes} bytes"),
        I::Memo { text, .. } => format!("memo {}", quote(text)),
        I::CreateTokenAccount {
            account,
            wallet,
            mint,
            ..
        } => format!("create token account {account} of {wallet} for token {mint}"),
        I::Other {
            program,
            accounts,
            data_len,
            ..
        } => format!(
            "call program {program} with {accounts} accounts and {data_len} bytes of data that were not decoded"
        ),
        token => token_line(token).unwrap_or_default(),
    }
}

fn system_line(instruction: &SolanaInstruction) -> String {
    match instruction {
        I::SystemTransfer { from, to, lamports } => {
            format!("send {} SOL from {from} to {to}", sol(*lamports))
        }
        I::CreateAccount {
            from,
            account,
            lamports,
            space,
            owner,
        } => format!(
            "create account {account} of {space} bytes for program {owner} with {} SOL from {from}",
            sol(*lamports)
        ),
        I::Assign { account, owner } => format!("HAND account {account} to program {owner}"),
        I::Allocate { account, space } => format!("allocate {space} bytes to account {account}"),
        I::AdvanceNonce { account } => format!("advance nonce account {account}"),
        I::WithdrawNonce {
            account,
            to,
            lamports,
        } => format!(
            "send {} SOL from nonce account {account} to {to}",
            sol(*lamports)
        ),
        I::NonceAuthority { account, authority } => {
            format!("HAND nonce account {account} to {authority}")
        }
        I::UpgradeNonce { account } => format!("upgrade nonce account {account}"),
        _ => String::new(),
    }
}

fn token_line(instruction: &SolanaInstruction) -> Option<String> {
    Some(match instruction {
        I::TokenTransfer {
            mint,
            source,
            destination,
            amount,
            ..
        } => format!(
            "send {amount} smallest units of {} from {source} to token account {destination}",
            token_name(mint.as_ref())
        ),
        I::TokenApprove {
            mint,
            source,
            delegate,
            amount,
            ..
        } => format!(
            "let {delegate} take {amount} smallest units of {} from {source}",
            token_name(mint.as_ref())
        ),
        other => return token_account_line(other),
    })
}

fn token_account_line(instruction: &SolanaInstruction) -> Option<String> {
    Some(match instruction {
        I::TokenRevoke { source, .. } => format!("let nobody take from {source} any more"),
        I::TokenSetAuthority {
            account,
            role,
            authority,
            ..
        } => format!(
            "HAND authority {role} of {account} to {}",
            authority.as_deref().unwrap_or("nobody")
        ),
        I::TokenMint {
            mint,
            account,
            amount,
            ..
        } => format!("mint {amount} smallest units of token {mint} to {account}"),
        I::TokenBurn {
            mint,
            account,
            amount,
            ..
        } => format!("burn {amount} smallest units of token {mint} from {account}"),
        I::TokenClose {
            account,
            destination,
            ..
        } => format!("close token account {account}; ALL its lamports go to {destination}"),
        I::TokenSyncNative { account, .. } => format!("count the lamports of {account}"),
        _ => return None,
    })
}

fn token_name(mint: Option<&String>) -> String {
    mint.map_or_else(
        || "a token that is NOT named".to_owned(),
        |mint| format!("token {mint}"),
    )
}

fn sol(lamports: u64) -> String {
    scaled(&lamports.to_string(), 9)
}
