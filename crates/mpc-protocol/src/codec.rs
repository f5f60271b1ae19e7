//! Message encodings: postcard on the wire, with the length bounded before anything is decoded.

use serde::{Serialize, de::DeserializeOwned};

pub(crate) fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, String> {
    postcard::to_stdvec(message).map_err(|e| e.to_string())
}

/// Refuses trailing bytes and anything longer than `max_len`.
pub(crate) fn decode<M: DeserializeOwned>(bytes: &[u8], max_len: usize) -> Result<M, String> {
    if bytes.len() > max_len {
        return Err(format!(
            "{} bytes, more than the {max_len} allowed",
            bytes.len()
        ));
    }
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(format!("{} trailing bytes", rest.len())),
        Err(e) => Err(e.to_string()),
    }
}
