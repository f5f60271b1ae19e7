//! A first, shallow look at RLP: one list, nothing after it, and how many fields it has.

use alloy_rlp::{Buf as _, Error as RlpError, Header};

use super::EvmError;
use crate::ChainError;

/// The content of the one list that `bytes` must be.
pub(super) fn list_content<'a>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<&'a [u8], ChainError> {
    let mut rest = bytes;
    let content = Header::decode_bytes(&mut rest, true).map_err(|e| refusal(what, e))?;
    if rest.is_empty() {
        Ok(content)
    } else {
        Err(ChainError::TrailingBytes {
            what,
            extra: rest.len(),
        })
    }
}

/// The lengths of a list's fields, in bytes of content.
pub(super) fn field_lengths(what: &'static str, content: &[u8]) -> Result<Vec<usize>, ChainError> {
    let mut rest = content;
    let mut lengths = Vec::new();
    while !rest.is_empty() {
        let header = Header::decode(&mut rest).map_err(|e| refusal(what, e))?;
        rest.advance(header.payload_length);
        lengths.push(header.payload_length);
    }
    Ok(lengths)
}

/// Sorts a decoder's complaint into "not canonical" and "not such a transaction".
pub(super) fn refusal(what: &'static str, error: RlpError) -> ChainError {
    let reason = error.to_string();
    let non_canonical = matches!(
        error,
        RlpError::LeadingZero | RlpError::NonCanonicalSingleByte | RlpError::NonCanonicalSize
    );
    if non_canonical {
        EvmError::NonCanonicalRlp { what, reason }.into()
    } else {
        EvmError::Malformed { what, reason }.into()
    }
}
