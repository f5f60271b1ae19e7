//! Why typed data is refused.

use quorate_types::PayloadCode;

/// Why EIP-712 typed data is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypedDataError {
    /// Longer than [`super::MAX_LEN`].
    #[error("the typed data is {len} bytes, more than the {max} allowed")]
    TooLong {
        /// Bytes offered.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not JSON, a duplicate key, or not the shape of EIP-712.
    #[error("the typed data is not EIP-712 JSON: {0}")]
    Json(String),
    /// A key that is not signed.
    #[error(
        "the typed data has an unknown field {0}, which the signature would not cover; remove it"
    )]
    UnknownField(String),
    /// A declared field without a value.
    #[error("the typed data lacks {0}")]
    MissingField(String),
    /// A type that cannot be used.
    #[error("the typed data's types are not usable: {0}")]
    Type(String),
    /// A type that nothing refers to.
    #[error("type {0} is declared but not part of the message; remove it")]
    UnusedType(String),
    /// The primary type is the domain's.
    #[error("primaryType is EIP712Domain; nothing but the domain would be signed")]
    PrimaryIsDomain,
    /// The declared domain type is not the one of the values.
    #[error(
        "the domain is declared as {declared} but its values make {derived}; declare the standard fields in their order"
    )]
    DomainType {
        /// From `types`.
        declared: String,
        /// From `domain`.
        derived: String,
    },
    /// A value that is not of its type.
    #[error("a value does not fit its type: {0}")]
    Value(String),
    /// For another chain.
    #[error("the typed data is for chain id {found}, the intent for chain id {expected}")]
    WrongChainId {
        /// The network's.
        expected: u64,
        /// The domain's, decimal.
        found: String,
    },
}

impl TypedDataError {
    pub(crate) const fn code(&self) -> PayloadCode {
        match self {
            Self::TooLong { .. } => PayloadCode::TypedDataTooLong,
            Self::Json(_) => PayloadCode::TypedDataJson,
            Self::UnknownField(_) => PayloadCode::TypedDataUnknownField,
            Self::MissingField(_) => PayloadCode::TypedDataMissingField,
            Self::Type(_) => PayloadCode::TypedDataType,
            Self::UnusedType(_) => PayloadCode::TypedDataUnusedType,
            Self::PrimaryIsDomain => PayloadCode::TypedDataPrimaryIsDomain,
            Self::DomainType { .. } => PayloadCode::TypedDataDomainType,
            Self::Value(_) => PayloadCode::TypedDataValue,
            Self::WrongChainId { .. } => PayloadCode::TypedDataWrongChainId,
        }
    }
}
