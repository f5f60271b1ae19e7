//! Message encodings: a hash of the place the message belongs to, then postcard. Everything is bounded before it is decoded.

use std::panic::{AssertUnwindSafe, catch_unwind};

use postcard::de_flavors::Flavor;
use quorate_types::canonical::tagged_hash;
use quorate_types::{Hash32, SessionId};
use serde::{Serialize, de::DeserializeOwned};

/// The one place in which a message means something. A payload begins with its hash, so that a message from another session,
/// attempt, round or party is refused at once and its sender named, whatever the library behind would make of it (T05).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub session: &'a SessionId,
    pub round: u16,
    pub from: u16,
}

impl Place<'_> {
    fn hash(&self) -> Hash32 {
        let parts: [&[u8]; 3] = [
            self.session.as_bytes(),
            &self.round.to_le_bytes(),
            &self.from.to_le_bytes(),
        ];
        tagged_hash("quorate/message-place/v1", &parts)
    }

    pub(crate) fn encode<M: Serialize>(&self, message: &M) -> Result<Vec<u8>, String> {
        postcard::to_extend(message, self.hash().as_bytes().to_vec()).map_err(|e| e.to_string())
    }

    /// The encoded message, if the payload is short enough and belongs here.
    pub(crate) fn open<'p>(&self, payload: &'p [u8], max_len: usize) -> Result<&'p [u8], String> {
        if payload.len() > max_len {
            return Err(format!(
                "{} bytes, more than the {max_len} allowed",
                payload.len()
            ));
        }
        payload
            .strip_prefix(self.hash().as_bytes().as_slice())
            .ok_or_else(|| "made for another session, round or sender".to_owned())
    }
}

/// Decodes stored CBOR, with nothing after it.
pub(crate) fn from_cbor<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, String> {
    let value = ciborium::from_reader(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(format!("{} trailing bytes", bytes.len()))
    }
}

/// Refuses trailing bytes, and any string or byte string longer than `max_item`.
pub(crate) fn decode<M: DeserializeOwned>(bytes: &[u8], max_item: usize) -> Result<M, String> {
    // The libraries' integers carry their radix, and the parser behind panics on one above 36.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let mut input = postcard::Deserializer::from_flavor(Capped {
            rest: bytes,
            max_item,
        });
        let message = M::deserialize(&mut input)?;
        Ok((message, input.finalize()?))
    }));
    match decoded {
        Ok(Ok((message, []))) => Ok(message),
        Ok(Ok((_, rest))) => Err(format!("{} trailing bytes", rest.len())),
        Ok(Err(error)) => {
            let error: postcard::Error = error;
            Err(error.to_string())
        }
        Err(_) => Err("a field that the decoder cannot hold".to_owned()),
    }
}

/// A byte slice from which no item longer than `max_item` is taken.
struct Capped<'de> {
    rest: &'de [u8],
    max_item: usize,
}

impl<'de> Flavor<'de> for Capped<'de> {
    type Remainder = &'de [u8];
    type Source = &'de [u8];

    fn pop(&mut self) -> postcard::Result<u8> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.rest = rest;
        Ok(*first)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }

    fn try_take_n(&mut self, count: usize) -> postcard::Result<&'de [u8]> {
        if count > self.max_item {
            return Err(postcard::Error::SerdeDeCustom);
        }
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    fn finalize(self) -> postcard::Result<&'de [u8]> {
        Ok(self.rest)
    }
}
