//! Effects of Solana messages.

use alloy_primitives::U256;

use super::{AssetRef, Call, Danger, Effects, Movement, MovementKind, Reading};
use crate::facts::{SolanaFacts, SolanaInstruction, TokenCall};

type I = SolanaInstruction;

/// An approval of so much or more is unlimited. Real supplies can come near the highest `u64`, but
/// nobody needs to let a delegate take a billion whole tokens of nine decimals.
const UNLIMITED: u64 = 1_000_000_000_000_000_000;

/// The rent of token accounts that are created is part of the fee.
pub(super) fn message(facts: &SolanaFacts) -> Effects {
    let mut effects = Effects {
        fee: U256::from(facts.max_fee).saturating_add(U256::from(facts.max_rent)),
        ..Effects::default()
    };
    for instruction in &facts.instructions {
        effects.add_instruction(instruction, &facts.signer);
    }
    effects
}

impl Effects {
    /// The system, compute-budget and memo programs are the chain itself and no calls; every other program is.
    fn add_instruction(&mut self, instruction: &SolanaInstruction, signer: &str) {
        match instruction {
            I::SystemTransfer { to, lamports, .. } | I::WithdrawNonce { to, lamports, .. } => {
                self.sends(AssetRef::Native, to, *lamports);
            }
            I::CreateAccount {
                account, lamports, ..
            } => {
                self.hands_over(account, signer);
                self.sends(AssetRef::Native, account, *lamports);
            }
            I::Allocate { account, .. } => self.hands_over(account, signer),
            I::Assign { .. } | I::NonceAuthority { .. } => {
                self.dangers.insert(Danger::AuthorityChange);
            }
            I::CreateTokenAccount { call, .. } => self.calls_token(call, Reading::Decoded),
            I::Other {
                program,
                method,
                reading,
                ..
            } => self.calls_program(program, method, *reading),
            other => self.add_token_instruction(other, signer),
        }
    }

    /// A wallet that is given data or an owner cannot pay any more.
    fn hands_over(&mut self, account: &str, signer: &str) {
        if account == signer {
            self.dangers.insert(Danger::AuthorityChange);
        }
    }

    /// Instructions of the token programs; what is left does nothing to anybody's assets.
    fn add_token_instruction(&mut self, instruction: &SolanaInstruction, signer: &str) {
        match instruction {
            I::TokenTransfer {
                call,
                mint,
                source,
                destination,
                amount,
                ..
            } => {
                let asset = self.token_of(call, mint.as_ref(), source);
                self.sends(asset, destination, *amount);
            }
            I::TokenApprove {
                call,
                mint,
                source,
                delegate,
                amount,
            } => {
                let asset = self.token_of(call, mint.as_ref(), source);
                self.approves(asset, delegate, *amount);
            }
            other => self.add_token_supply_instruction(other, signer),
        }
    }

    /// Tokens that come into being leave whoever may make them; tokens that vanish leave their account.
    fn add_token_supply_instruction(&mut self, instruction: &SolanaInstruction, signer: &str) {
        match instruction {
            I::TokenMint {
                call,
                mint,
                account,
                amount,
            } => {
                let asset = self.token_of(call, Some(mint), account);
                self.sends(asset, account, *amount);
            }
            I::TokenBurn {
                call,
                mint,
                account,
                amount,
            } => {
                let asset = self.token_of(call, Some(mint), account);
                self.sends(asset, &format!("burn:{mint}"), *amount);
            }
            other => self.add_token_account_instruction(other, signer),
        }
    }

    fn add_token_account_instruction(&mut self, instruction: &SolanaInstruction, signer: &str) {
        match instruction {
            // How many lamports, the message does not say: wrapped SOL is held as lamports.
            I::TokenClose {
                call, destination, ..
            } => {
                self.calls_token(call, Reading::Decoded);
                if destination != signer {
                    self.sends(AssetRef::Native, destination, u64::MAX);
                }
            }
            I::TokenSetAuthority { call, .. } => {
                self.calls_token(call, Reading::Decoded);
                self.dangers.insert(Danger::AuthorityChange);
            }
            I::TokenRevoke { call, .. } | I::TokenSyncNative { call, .. } => {
                self.calls_token(call, Reading::Decoded);
            }
            _ => {}
        }
    }

    fn sends(&mut self, asset: AssetRef, to: &str, amount: u64) {
        let movement = Movement::transfer(asset, to, U256::from(amount));
        self.movements.push(movement);
    }

    fn approves(&mut self, asset: AssetRef, delegate: &str, amount: u64) {
        if amount >= UNLIMITED {
            self.dangers.insert(Danger::UnlimitedApproval);
        }
        self.movements.push(Movement {
            kind: MovementKind::Approval,
            ..Movement::transfer(asset, delegate, U256::from(amount))
        });
    }

    /// The token that a call moves. Where the message does not name the mint, a small number of something may be worth anything.
    fn token_of(&mut self, call: &TokenCall, mint: Option<&String>, source: &str) -> AssetRef {
        let reading = match mint {
            Some(_) => Reading::Decoded,
            None => Reading::Incomplete,
        };
        self.calls_token(call, reading);
        let contract = mint.cloned().unwrap_or_else(|| format!("unknown:{source}"));
        AssetRef::Token { contract }
    }

    fn calls_token(&mut self, call: &TokenCall, reading: Reading) {
        self.calls_program(&call.program, &call.method, reading);
    }

    fn calls_program(&mut self, program: &str, method: &str, reading: Reading) {
        if reading != Reading::Decoded {
            self.dangers.insert(Danger::Undecodable);
        }
        self.calls.insert(Call {
            contract: program.to_owned(),
            method: method.to_owned(),
            reading,
        });
    }
}
