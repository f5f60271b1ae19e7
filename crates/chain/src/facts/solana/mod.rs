//! Facts of Solana transactions.

mod lines;

use serde::{Deserialize, Serialize};

use super::amount::decimal;
use crate::effects::Reading;

/// The program of a token instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCall {
    /// SPL token, token-2022 or the associated-token-account program, base58.
    pub program: String,
    /// The tag of the instruction, `0x` and hexadecimal digits.
    pub method: String,
}

/// One instruction. Keys are base58.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SolanaInstruction {
    /// `Transfer` or `TransferWithSeed` of the system program.
    SystemTransfer {
        /// Who pays.
        from: String,
        /// Who receives.
        to: String,
        /// Lamports.
        #[serde(with = "decimal")]
        lamports: u64,
    },
    /// `CreateAccount` or `CreateAccountWithSeed` of the system program.
    CreateAccount {
        /// Who pays.
        from: String,
        /// The account that comes into being.
        account: String,
        /// Lamports it is given.
        #[serde(with = "decimal")]
        lamports: u64,
        /// Bytes.
        space: u64,
        /// The program that may change it from then on.
        owner: String,
    },
    /// `Assign`, `AssignWithSeed` or `AllocateWithSeed` of the system program: the account is handed to a program.
    Assign {
        /// Which.
        account: String,
        /// The program that may change it from then on.
        owner: String,
    },
    /// `Allocate` of the system program.
    Allocate {
        /// Which.
        account: String,
        /// Bytes.
        space: u64,
    },
    /// `AdvanceNonceAccount` of the system program.
    AdvanceNonce {
        /// The nonce account.
        account: String,
    },
    /// `WithdrawNonceAccount` of the system program.
    WithdrawNonce {
        /// The nonce account.
        account: String,
        /// Who receives.
        to: String,
        /// Lamports.
        #[serde(with = "decimal")]
        lamports: u64,
    },
    /// `InitializeNonceAccount` or `AuthorizeNonceAccount` of the system program.
    NonceAuthority {
        /// The nonce account.
        account: String,
        /// Who may advance it and withdraw from it from then on.
        authority: String,
    },
    /// `UpgradeNonceAccount` of the system program.
    UpgradeNonce {
        /// The nonce account.
        account: String,
    },
    /// `RequestHeapFrame` of the compute-budget program.
    HeapFrame {
        /// Bytes.
        bytes: u32,
    },
    /// `SetComputeUnitLimit` of the compute-budget program.
    ComputeUnitLimit {
        /// Compute units.
        units: u32,
    },
    /// `SetComputeUnitPrice` of the compute-budget program.
    ComputeUnitPrice {
        /// Micro-lamports per compute unit.
        #[serde(with = "decimal")]
        micro_lamports: u64,
    },
    /// `SetLoadedAccountsDataSizeLimit` of the compute-budget program.
    LoadedAccountsLimit {
        /// Bytes.
        bytes: u32,
    },
    /// `Transfer`, `TransferChecked` or `TransferCheckedWithFee` of SPL token or token-2022.
    TokenTransfer {
        /// Program and tag.
        call: TokenCall,
        /// The token; a plain `Transfer` does not name it.
        mint: Option<String>,
        /// The token account it leaves.
        source: String,
        /// The token account that receives; whose it is, the message does not say.
        destination: String,
        /// Owner or delegate of the source.
        authority: String,
        /// In the token's smallest unit.
        #[serde(with = "decimal")]
        amount: u64,
        /// Decimals of the token, where they are named.
        decimals: Option<u8>,
        /// What the token's own transfer fee takes of the amount, where it is named.
        fee: Option<u64>,
    },
    /// `Approve` or `ApproveChecked`.
    TokenApprove {
        /// Program and tag.
        call: TokenCall,
        /// The token; a plain `Approve` does not name it.
        mint: Option<String>,
        /// The token account.
        source: String,
        /// Who may take from it.
        delegate: String,
        /// In the token's smallest unit.
        #[serde(with = "decimal")]
        amount: u64,
    },
    /// `Revoke`: no delegate may take from it any more.
    TokenRevoke {
        /// Program and tag.
        call: TokenCall,
        /// The token account.
        source: String,
    },
    /// `SetAuthority`.
    TokenSetAuthority {
        /// Program and tag.
        call: TokenCall,
        /// The mint or token account.
        account: String,
        /// Which authority: 0 mint, 1 freeze, 2 owner, 3 close; others of token-2022's extensions.
        role: u8,
        /// Who has it from then on; `None` is nobody.
        authority: Option<String>,
    },
    /// `MintTo` or `MintToChecked`.
    TokenMint {
        /// Program and tag.
        call: TokenCall,
        /// The token.
        mint: String,
        /// The token account that receives.
        account: String,
        /// In the token's smallest unit.
        #[serde(with = "decimal")]
        amount: u64,
    },
    /// `Burn` or `BurnChecked`.
    TokenBurn {
        /// Program and tag.
        call: TokenCall,
        /// The token.
        mint: String,
        /// The token account it is taken from.
        account: String,
        /// In the token's smallest unit.
        #[serde(with = "decimal")]
        amount: u64,
    },
    /// `CloseAccount`: whatever lamports the account holds go to the destination.
    TokenClose {
        /// Program and tag.
        call: TokenCall,
        /// The token account.
        account: String,
        /// Who receives its lamports.
        destination: String,
    },
    /// `SyncNative`: the account of wrapped SOL counts the lamports it holds.
    TokenSyncNative {
        /// Program and tag.
        call: TokenCall,
        /// The token account.
        account: String,
    },
    /// `Create` or `CreateIdempotent` of the associated-token-account program.
    CreateTokenAccount {
        /// Program and tag.
        call: TokenCall,
        /// Who pays its rent.
        payer: String,
        /// The token account.
        account: String,
        /// Whose it is.
        wallet: String,
        /// The token.
        mint: String,
        /// Which token program.
        token_program: String,
    },
    /// A memo.
    Memo {
        /// The text.
        text: String,
        /// Who signs it.
        signers: Vec<String>,
    },
    /// Anything else.
    Other {
        /// The program called.
        program: String,
        /// How many accounts it is given.
        accounts: usize,
        /// Bytes of data.
        data_len: usize,
        /// The tag at the beginning of the data, `0x` and hexadecimal digits.
        method: String,
        /// The data in hexadecimal.
        data: String,
        /// Why it is not decoded.
        reading: Reading,
    },
}

/// A Solana message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SolanaFacts {
    /// `legacy` or `0`.
    pub version: String,
    /// Whose key signs, base58.
    pub signer: String,
    /// Who pays the fee, base58.
    pub fee_payer: String,
    /// Base58; a nonce when `durable_nonce` is set.
    pub recent_blockhash: String,
    /// Whether the first instruction advances a nonce, so that the transaction does not expire.
    pub durable_nonce: bool,
    /// Who else must sign, base58.
    pub other_signers: Vec<String>,
    /// What it does, in order.
    pub instructions: Vec<SolanaInstruction>,
    /// Whether accounts come from address lookup tables, which the message does not show.
    pub unresolved_lookups: bool,
    /// The most the fee can be in lamports: 5000 per signature, and the compute-unit price times the limit (or the
    /// highest limit there is).
    #[serde(with = "decimal")]
    pub max_fee: u64,
    /// The most the rent of token accounts it creates can be in lamports, at mainnet's 6960 lamports per byte.
    #[serde(with = "decimal")]
    pub max_rent: u64,
}
