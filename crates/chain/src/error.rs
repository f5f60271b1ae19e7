//! What went wrong, and what to do about it.

use quorate_types::{Curve, Network, Payload, PayloadCode, Scheme};

use crate::evm::EvmError;
use crate::evm::typed_data::TypedDataError;
use crate::psbt::PsbtError;
use crate::solana::SolanaError;
use crate::verification::VerifyError;

/// Why a payload is not analysed, an address not made, or a transaction not assembled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Longer than any payload may be; nothing was parsed.
    #[error(
        "the payload is {len} bytes, more than the {max} allowed; split the work into smaller transactions"
    )]
    PayloadTooLong {
        /// Bytes offered.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Everything but raw bytes belongs to a network.
    #[error("a {kind} payload needs a network; name the chain it is meant for")]
    NetworkMissing {
        /// The payload's kind.
        kind: &'static str,
    },
    /// The payload is for another kind of chain.
    #[error(
        "a {kind} payload cannot be signed for {network}; choose the payload kind of that chain"
    )]
    PayloadNotForNetwork {
        /// The payload's kind.
        kind: &'static str,
        /// The network named.
        network: Network,
    },
    /// Raw bytes with a network.
    #[error(
        "raw bytes belong to no chain, but {network} was named; leave the network out, or use that chain's own payload kind"
    )]
    RawWithNetwork {
        /// The network named.
        network: Network,
    },
    /// Raw bytes for a key that was not created for them.
    #[error(
        "this key may not sign raw bytes; create a key with raw signing on, or sign a transaction or message of a chain"
    )]
    RawSigningNotAllowed,
    /// Raw Ed25519 bytes that a Solana validator would take as a message.
    #[error(
        "the raw bytes are, or could be, a Solana message; sign them as a Solana message instead"
    )]
    RawIsSolanaMessage,
    /// 32 raw bytes whose SHA-256 would be a Bitcoin sighash if they are the inner hash of one.
    #[error(
        "raw bytes of exactly 32 bytes are refused for ECDSA on secp256k1: their SHA-256 can be a Bitcoin sighash; add a prefix that says what they are"
    )]
    RawIsHalfSighash,
    /// The network has no message-signing scheme in this version.
    #[error(
        "message signing on {network} is not supported in this version; only EVM chains (EIP-191) have it"
    )]
    MessageNotSupported {
        /// The network named.
        network: Network,
    },
    /// The scheme does not exist on the curve.
    #[error("scheme {scheme} does not exist on curve {curve}")]
    SchemeNotOnCurve {
        /// The scheme.
        scheme: Scheme,
        /// The key's curve.
        curve: Curve,
    },
    /// The network verifies other signatures.
    #[error("{network} does not take {scheme} on {curve}; it needs {needed}")]
    KeyNotForNetwork {
        /// The network named.
        network: Network,
        /// The key's scheme.
        scheme: Scheme,
        /// The key's curve.
        curve: Curve,
        /// What the network takes.
        needed: &'static str,
    },
    /// Not the canonical encoding of a point other than the identity, in the prime-order group.
    #[error(
        "the bytes are not a {curve} public key: not a point on the curve in its canonical encoding"
    )]
    NotAPoint {
        /// The curve.
        curve: Curve,
    },
    /// Bytes left over after the transaction.
    #[error("{what}: {extra} bytes after its end; send the exact bytes of one {what}")]
    TrailingBytes {
        /// What was parsed.
        what: &'static str,
        /// How many bytes were left.
        extra: usize,
    },
    /// Parsed, but encoding it again gives other bytes (I2).
    #[error(
        "{what}: encoding it again gives other bytes; rebuild it with a tool that writes the canonical encoding"
    )]
    NotCanonical {
        /// What was parsed.
        what: &'static str,
    },
    /// One member of a batch: none of it is signed.
    #[error("{member} of {of} in the batch: {reason}")]
    Member {
        /// Which, from 1.
        member: usize,
        /// How many there are.
        of: usize,
        /// What is wrong with it.
        reason: Box<Self>,
    },
    /// A batch with more to sign than one request may.
    #[error(
        "the batch has more than {max} things to sign, each input of a PSBT being one; split it into several requests"
    )]
    TooManyItems {
        /// How many one request may.
        max: usize,
    },
    /// Some members of a batch name a network in what is signed, others none.
    #[error(
        "some members of the batch are valid on one network and others on every one; sign them apart"
    )]
    MixedNetworks,
    /// More parts of one kind than are judged.
    #[error(
        "the payload has {count} {what}, more than the {max} that are judged at once; split the work into smaller transactions"
    )]
    TooManyParts {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// EVM transactions and messages.
    #[error(transparent)]
    Evm(#[from] EvmError),
    /// EIP-712 typed data.
    #[error(transparent)]
    TypedData(#[from] TypedDataError),
    /// Bitcoin PSBTs.
    #[error(transparent)]
    Psbt(#[from] PsbtError),
    /// Solana messages.
    #[error(transparent)]
    Solana(#[from] SolanaError),
    /// Not one signature per item.
    #[error(
        "{found} signatures for {expected} items; give exactly one per item, in the items' order"
    )]
    SignatureCount {
        /// Items to sign.
        expected: usize,
        /// Signatures given.
        found: usize,
    },
    /// A signature that does not verify.
    #[error("the signature of item {item} is not valid: {reason}")]
    BadSignature {
        /// The item's index, from 0.
        item: u32,
        /// Why.
        reason: VerifyError,
    },
}

impl ChainError {
    /// The same, and which of several payloads it is about, from 1.
    pub(crate) fn in_member(self, member: usize, of: &[Payload]) -> Self {
        if of.len() < 2 {
            return self;
        }
        Self::Member {
            member,
            of: of.len(),
            reason: Box::new(self),
        }
    }

    /// A stable name for programs, for example `evm-wrong-chain-id`.
    #[must_use]
    pub const fn code(&self) -> PayloadCode {
        match self {
            Self::PayloadTooLong { .. } => PayloadCode::PayloadTooLong,
            Self::NetworkMissing { .. } => PayloadCode::PayloadNetworkMissing,
            Self::PayloadNotForNetwork { .. } => PayloadCode::PayloadNotForNetwork,
            Self::RawWithNetwork { .. } => PayloadCode::RawWithNetwork,
            Self::RawSigningNotAllowed => PayloadCode::RawNotAllowed,
            Self::RawIsSolanaMessage => PayloadCode::RawIsSolanaMessage,
            Self::RawIsHalfSighash => PayloadCode::RawIsHalfSighash,
            Self::MessageNotSupported { .. } => PayloadCode::MessageNotSupported,
            Self::SchemeNotOnCurve { .. } => PayloadCode::KeySchemeNotOnCurve,
            Self::KeyNotForNetwork { .. } => PayloadCode::KeyNotForNetwork,
            Self::NotAPoint { .. } => PayloadCode::KeyNotAPoint,
            Self::TrailingBytes { .. } => PayloadCode::PayloadTrailingBytes,
            Self::NotCanonical { .. } => PayloadCode::PayloadNotCanonical,
            Self::Member { reason, .. } => reason.code(),
            Self::TooManyItems { .. } => PayloadCode::PayloadTooManyItems,
            Self::MixedNetworks => PayloadCode::PayloadMixedNetworks,
            Self::TooManyParts { .. } => PayloadCode::PayloadTooManyParts,
            Self::Evm(e) => e.code(),
            Self::TypedData(e) => e.code(),
            Self::Psbt(e) => e.code(),
            Self::Solana(e) => e.code(),
            Self::SignatureCount { .. } => PayloadCode::SignatureCount,
            Self::BadSignature { .. } => PayloadCode::SignatureInvalid,
        }
    }
}

/// Compares what was read with what it encodes to (I2).
pub(crate) fn same_bytes(
    what: &'static str,
    read: &[u8],
    encoded: &[u8],
) -> Result<(), ChainError> {
    if read == encoded {
        return Ok(());
    }
    match read.strip_prefix(encoded) {
        Some(extra) => Err(ChainError::TrailingBytes {
            what,
            extra: extra.len(),
        }),
        None => Err(ChainError::NotCanonical { what }),
    }
}
