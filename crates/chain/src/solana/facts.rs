//! What a Solana message does.

use solana_message::VersionedMessage;

use super::CheckedMessage;
use super::instruction::{TOKEN_PROGRAM as PROGRAM, decode, verified_signatures};
use crate::facts::{SolanaFacts, SolanaInstruction};

/// Base fee per signature.
const LAMPORTS_PER_SIGNATURE: u64 = 5000;
/// The most compute units a transaction may ask for.
const MAX_COMPUTE_UNITS: u32 = 1_400_000;
const MICRO: u128 = 1_000_000;
/// Rent exemption per byte, two years of 3480.
const LAMPORTS_PER_BYTE: u64 = 6960;
/// Bytes that every account is charged for beyond its data.
const ACCOUNT_OVERHEAD: u64 = 128;
/// Data of an SPL token account.
const TOKEN_ACCOUNT: u64 = 165;
/// More than the extensions that a mint asks of its accounts come to.
const TOKEN_2022_ACCOUNT: u64 = 1024;

impl CheckedMessage {
    pub(crate) fn facts(&self) -> SolanaFacts {
        let keys: Vec<String> = self
            .message
            .static_account_keys()
            .iter()
            .map(|key| bs58::encode(key.as_array()).into_string())
            .collect();
        let instructions: Vec<_> = self
            .message
            .instructions()
            .iter()
            .map(|instruction| decode(instruction, &keys))
            .collect();
        SolanaFacts {
            version: match &self.message {
                VersionedMessage::Legacy(_) => "legacy".to_owned(),
                VersionedMessage::V0(_) => "0".to_owned(),
            },
            signer: bs58::encode(self.ours).into_string(),
            fee_payer: keys.first().cloned().unwrap_or_default(),
            recent_blockhash: bs58::encode(self.message.recent_blockhash().as_ref()).into_string(),
            durable_nonce: matches!(
                instructions.first(),
                Some(SolanaInstruction::AdvanceNonce { .. })
            ),
            other_signers: self.other_signers(),
            max_fee: self.max_fee(&instructions, &keys),
            max_rent: max_rent(&instructions),
            instructions,
            unresolved_lookups: self
                .message
                .address_table_lookups()
                .is_some_and(|lookups| !lookups.is_empty()),
        }
    }

    fn max_fee(&self, instructions: &[SolanaInstruction], keys: &[String]) -> u64 {
        let own = u64::from(self.message.header().num_required_signatures);
        let verified = self
            .message
            .instructions()
            .iter()
            .map(|instruction| verified_signatures(instruction, keys))
            .fold(0u64, u64::saturating_add);
        own.saturating_add(verified)
            .saturating_mul(LAMPORTS_PER_SIGNATURE)
            .saturating_add(priority_fee(instructions))
    }
}

/// What the accounts that the associated-token-account program creates can cost. Their size is not in the message: 165 bytes with SPL
/// token, more with the extensions that token-2022 mints can have.
fn max_rent(instructions: &[SolanaInstruction]) -> u64 {
    let rents = instructions.iter().map(|instruction| match instruction {
        SolanaInstruction::CreateTokenAccount { token_program, .. } => {
            if token_program == PROGRAM {
                rent(TOKEN_ACCOUNT)
            } else {
                rent(TOKEN_2022_ACCOUNT)
            }
        }
        _ => 0,
    });
    rents.fold(0, u64::saturating_add)
}

/// Rent exemption of an account of so many bytes.
const fn rent(bytes: u64) -> u64 {
    bytes
        .saturating_add(ACCOUNT_OVERHEAD)
        .saturating_mul(LAMPORTS_PER_BYTE)
}

/// Price times limit, rounded up. Without a limit the runtime's default is lower than the highest, which is taken here.
fn priority_fee(instructions: &[SolanaInstruction]) -> u64 {
    let limit = instructions.iter().find_map(|i| match i {
        SolanaInstruction::ComputeUnitLimit { units } => Some((*units).min(MAX_COMPUTE_UNITS)),
        _ => None,
    });
    let price = instructions.iter().find_map(|i| match i {
        SolanaInstruction::ComputeUnitPrice { micro_lamports } => Some(*micro_lamports),
        _ => None,
    });
    let units = u128::from(limit.unwrap_or(MAX_COMPUTE_UNITS));
    let micro = units.saturating_mul(u128::from(price.unwrap_or_default()));
    u64::try_from(micro.div_ceil(MICRO)).unwrap_or(u64::MAX)
}
