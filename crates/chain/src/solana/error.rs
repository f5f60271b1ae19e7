//! Why a Solana message is refused.

use quorate_types::PayloadCode;

/// Why a Solana message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SolanaError {
    /// Does not fit a packet.
    #[error("the Solana message is {len} bytes; with a signature at most {max} fit a packet")]
    TooLong {
        /// Bytes offered.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not a message.
    #[error(
        "the bytes are not a Solana message: {0}; send the serialised message, without signatures"
    )]
    Malformed(String),
    /// A later message version.
    #[error("Solana message version {0} is not supported; use a legacy or a version 0 message")]
    UnsupportedVersion(u8),
    /// The off-chain message format.
    #[error("Solana off-chain messages are not supported in this version")]
    OffchainMessage,
    /// Parsed, but no validator would take it.
    #[error("the Solana message is not sound: {0}")]
    Unsound(String),
    /// An account listed twice.
    #[error("the Solana message lists an account twice")]
    DuplicateAccount,
    /// Does nothing but pay a fee.
    #[error("the Solana message has no instructions")]
    NoInstructions,
    /// Our key is not asked to sign.
    #[error("the signing key {key} is not among the message's required signers")]
    NotASigner {
        /// Base58.
        key: String,
    },
    /// Others must sign as well, so this signature alone makes no transaction.
    #[error(
        "the message also needs the signatures of {signers}; collect them and join them with this signature outside"
    )]
    OtherSigners {
        /// Base58, comma separated.
        signers: String,
    },
}

impl SolanaError {
    pub(crate) const fn code(&self) -> PayloadCode {
        match self {
            Self::TooLong { .. } => PayloadCode::SolanaTooLong,
            Self::Malformed(_) => PayloadCode::SolanaMalformed,
            Self::UnsupportedVersion(_) => PayloadCode::SolanaUnsupportedVersion,
            Self::OffchainMessage => PayloadCode::SolanaOffchainMessage,
            Self::Unsound(_) => PayloadCode::SolanaUnsound,
            Self::DuplicateAccount => PayloadCode::SolanaDuplicateAccount,
            Self::NoInstructions => PayloadCode::SolanaNoInstructions,
            Self::NotASigner { .. } => PayloadCode::SolanaNotASigner,
            Self::OtherSigners { .. } => PayloadCode::SolanaOtherSigners,
        }
    }
}
