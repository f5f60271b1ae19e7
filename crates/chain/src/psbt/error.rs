//! Why a PSBT is refused.

use quorate_types::PayloadCode;

/// Why a PSBT is refused. Inputs and outputs are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PsbtError {
    /// Not a PSBT.
    #[error("the bytes are not a PSBT (BIP-174, BIP-370): {0}")]
    Malformed(String),
    /// Neither BIP-174 nor BIP-370.
    #[error("PSBT version {0} is not supported; use version 0 (BIP-174) or 2 (BIP-370)")]
    UnsupportedVersion(u32),
    /// A version 2 PSBT that is still being put together.
    #[error(
        "the PSBT may still be given inputs or outputs (PSBT_GLOBAL_TX_MODIFIABLE); finish it and set the flags to 0"
    )]
    Modifiable,
    /// A required lock time out of its range.
    #[error(
        "input {input} requires a lock time that is not one: heights are 1 to 499999999, times 500000000 and more"
    )]
    RequiredLockTime {
        /// Which input.
        input: usize,
    },
    /// Inputs that cannot be spent together (BIP-370).
    #[error("some inputs require a height as lock time, others a time; spend them apart")]
    LockTimeConflict,
    /// Nothing to sign, or nothing to pay.
    #[error("the PSBT has no {0}")]
    Empty(&'static str),
    /// A field that this version does not know.
    #[error("{place} has an unknown or proprietary field; remove it")]
    UnknownField {
        /// `the PSBT`, `input 3`, `output 0`.
        place: String,
    },
    /// A field that a key-only input does not have.
    #[error(
        "input {input} has {field}, which does not belong to an input of a single key; remove it"
    )]
    UnexpectedField {
        /// Which input.
        input: usize,
        /// Which field.
        field: &'static str,
    },
    /// Signatures or final scripts are present.
    #[error("input {input} is already signed; send the unsigned PSBT")]
    AlreadySigned {
        /// Which input.
        input: usize,
    },
    /// No `witness_utxo`.
    #[error("input {input} has no witness_utxo; add the output it spends")]
    MissingWitnessUtxo {
        /// Which input.
        input: usize,
    },
    /// P2WPKH without the previous transaction.
    #[error(
        "input {input} has no non_witness_utxo; BIP-143 signatures do not cover the other inputs' amounts, so add the whole previous transaction"
    )]
    MissingPreviousTransaction {
        /// Which input.
        input: usize,
    },
    /// The previous transaction is not the one the input names.
    #[error("input {input}: the previous transaction's id is {found}, not {expected}")]
    WrongPreviousTransaction {
        /// Which input.
        input: usize,
        /// The outpoint's txid.
        expected: String,
        /// The txid of `non_witness_utxo`.
        found: String,
    },
    /// `witness_utxo` says something else than the previous transaction.
    #[error("input {input}: witness_utxo is not output {vout} of the previous transaction")]
    UtxoMismatch {
        /// Which input.
        input: usize,
        /// Which output.
        vout: u32,
    },
    /// Someone else's output.
    #[error("input {input} spends script {found}, which is not the signing key's {expected}")]
    NotOurInput {
        /// Which input.
        input: usize,
        /// The spent script, hexadecimal.
        found: String,
        /// Our script, hexadecimal.
        expected: String,
    },
    /// `tap_internal_key` is not the child key.
    #[error("input {input}: tap_internal_key is not the signing key")]
    WrongInternalKey {
        /// Which input.
        input: usize,
    },
    /// Not ALL, or for taproot DEFAULT.
    #[error(
        "input {input} asks for sighash type {sighash:#x}; only ALL, and for taproot DEFAULT, are signed"
    )]
    SighashType {
        /// Which input.
        input: usize,
        /// The type asked for.
        sighash: u32,
    },
    /// One output spent twice.
    #[error("input {input} spends {outpoint} a second time")]
    DuplicateInput {
        /// Which input.
        input: usize,
        /// `txid:vout`.
        outpoint: String,
    },
    /// More than 21 million bitcoin.
    #[error("the {0} add up to more than 21 million bitcoin")]
    AmountOutOfRange(&'static str),
    /// A negative fee.
    #[error("the outputs ({outputs} sat) exceed the inputs ({inputs} sat)")]
    OutputsExceedInputs {
        /// Satoshi.
        inputs: u64,
        /// Satoshi.
        outputs: u64,
    },
    /// No sighash for an input.
    #[error("input {input} has no sighash: {reason}")]
    Sighash {
        /// Which input.
        input: usize,
        /// What the library said.
        reason: String,
    },
}

impl PsbtError {
    pub(crate) const fn code(&self) -> PayloadCode {
        match self {
            Self::Malformed(_) => PayloadCode::PsbtMalformed,
            Self::UnsupportedVersion(_) => PayloadCode::PsbtUnsupportedVersion,
            Self::Modifiable => PayloadCode::PsbtModifiable,
            Self::RequiredLockTime { .. } => PayloadCode::PsbtRequiredLockTime,
            Self::LockTimeConflict => PayloadCode::PsbtLockTimeConflict,
            Self::Empty(_) => PayloadCode::PsbtEmpty,
            Self::UnknownField { .. } => PayloadCode::PsbtUnknownField,
            Self::UnexpectedField { .. } => PayloadCode::PsbtUnexpectedField,
            Self::AlreadySigned { .. } => PayloadCode::PsbtAlreadySigned,
            Self::MissingWitnessUtxo { .. } => PayloadCode::PsbtMissingWitnessUtxo,
            Self::MissingPreviousTransaction { .. } => PayloadCode::PsbtMissingPreviousTransaction,
            Self::WrongPreviousTransaction { .. } => PayloadCode::PsbtWrongPreviousTransaction,
            Self::UtxoMismatch { .. } => PayloadCode::PsbtUtxoMismatch,
            Self::NotOurInput { .. } => PayloadCode::PsbtNotOurInput,
            Self::WrongInternalKey { .. } => PayloadCode::PsbtWrongInternalKey,
            Self::SighashType { .. } => PayloadCode::PsbtSighashType,
            Self::DuplicateInput { .. } => PayloadCode::PsbtDuplicateInput,
            Self::AmountOutOfRange(_) => PayloadCode::PsbtAmountOutOfRange,
            Self::OutputsExceedInputs { .. } => PayloadCode::PsbtOutputsExceedInputs,
            Self::Sighash { .. } => PayloadCode::PsbtSighash,
        }
    }
}
