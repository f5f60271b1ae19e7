//! Why an EVM transaction is refused.

use quorate_types::PayloadCode;

/// Why an EVM transaction is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvmError {
    /// No bytes.
    #[error("the EVM transaction is empty")]
    Empty,
    /// Not RLP, or not the RLP of such a transaction.
    #[error("the bytes are not an unsigned {what}: {reason}")]
    Malformed {
        /// The transaction's type.
        what: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// RLP that says the same in more bytes than needed.
    #[error(
        "the {what} is not canonical RLP ({reason}); integers have no leading zeros and lengths are shortest"
    )]
    NonCanonicalRlp {
        /// The transaction's type.
        what: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// Six fields: valid on every chain.
    #[error("legacy transaction without EIP-155 replay protection; add the fields chain id, 0, 0")]
    PreEip155,
    /// Signature fields are present.
    #[error("the {what} is already signed; send the unsigned form")]
    AlreadySigned {
        /// The transaction's type.
        what: &'static str,
    },
    /// Another number of fields.
    #[error("an unsigned {what} has {expected} fields, not {found}")]
    FieldCount {
        /// The transaction's type.
        what: &'static str,
        /// Fields of the type.
        expected: usize,
        /// Fields found.
        found: usize,
    },
    /// EIP-4844 without blobs.
    #[error("a blob transaction (EIP-4844) must have at least one blob; use type 2 without")]
    NoBlobs,
    /// EIP-4844 with a hash of another version.
    #[error("blob {blob} has a versioned hash that does not begin with 0x01")]
    BlobHashVersion {
        /// Which blob, from 0.
        blob: usize,
    },
    /// EIP-7702 without authorisations.
    #[error(
        "a set-code transaction (EIP-7702) must have at least one authorisation; use type 2 without"
    )]
    NoAuthorizations,
    /// An EIP-2718 type that does not exist here.
    #[error(
        "transaction type {0} is not supported; use legacy, 1 (EIP-2930), 2 (EIP-1559), 3 (EIP-4844) or 4 (EIP-7702)"
    )]
    UnknownType(u8),
    /// Made for another chain.
    #[error("the transaction is for chain id {found}, the intent for chain id {expected}")]
    WrongChainId {
        /// The network's.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// The tip is above the cap; no node takes it.
    #[error("maxPriorityFeePerGas {tip} is above maxFeePerGas {cap}; lower it")]
    TipAboveCap {
        /// Wei per gas.
        tip: u128,
        /// Wei per gas.
        cap: u128,
    },
    /// A JSON transaction that is not understood.
    #[error("JSON transaction: {0}")]
    Json(String),
}

impl EvmError {
    pub(crate) const fn code(&self) -> PayloadCode {
        match self {
            Self::Empty => PayloadCode::EvmEmpty,
            Self::Malformed { .. } => PayloadCode::EvmMalformed,
            Self::NonCanonicalRlp { .. } => PayloadCode::EvmNonCanonicalRlp,
            Self::PreEip155 => PayloadCode::EvmPreEip155,
            Self::AlreadySigned { .. } => PayloadCode::EvmAlreadySigned,
            Self::FieldCount { .. } => PayloadCode::EvmFieldCount,
            Self::NoBlobs => PayloadCode::EvmNoBlobs,
            Self::BlobHashVersion { .. } => PayloadCode::EvmBlobHashVersion,
            Self::NoAuthorizations => PayloadCode::EvmNoAuthorizations,
            Self::UnknownType(_) => PayloadCode::EvmUnknownType,
            Self::WrongChainId { .. } => PayloadCode::EvmWrongChainId,
            Self::TipAboveCap { .. } => PayloadCode::EvmTipAboveCap,
            Self::Json(_) => PayloadCode::EvmJson,
        }
    }
}
