//! How much one payload may have of what people read and policies judge one by one.
//!
//! Judging costs an agent time for each part, whoever asks; a payload with more is refused before
//! it is judged. What is bounded elsewhere: the calls of a transaction and their nesting
//! (`evm::calls`), the fields of typed data (`evm::typed_data`), a Solana message by its length.

use crate::ChainError;

/// Inputs of a PSBT, each of which is signed by a session of its own.
pub(crate) const INPUTS: usize = 256;
/// Outputs of a PSBT.
pub(crate) const OUTPUTS: usize = 512;
/// What leaves or may leave, in a payload or in all members of a batch.
pub(crate) const MOVEMENTS: usize = 512;

/// Refuses more than there may be.
pub(crate) const fn check(what: &'static str, count: usize, max: usize) -> Result<(), ChainError> {
    if count > max {
        return Err(ChainError::TooManyParts { what, count, max });
    }
    Ok(())
}
