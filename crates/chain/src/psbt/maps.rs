//! The key-value maps that every PSBT is made of (BIP-174), before anything in them is understood.

use std::collections::BTreeSet;

use bitcoin::VarInt;
use bitcoin::consensus::encode::{deserialize_partial, serialize};

use super::PsbtError;

const MAGIC: &[u8] = b"psbt\xff";

/// `PSBT_GLOBAL_VERSION`.
pub(super) const VERSION: u8 = 0xfb;

/// A key (its type and its data) and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// One map in the order it was written; BIP-174 asks for none. No key is in it twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Map(pub(super) Vec<Pair>);

impl Map {
    /// The value of a key that is its type alone.
    pub(super) fn value(&self, key_type: u8) -> Option<&[u8]> {
        let found = self.0.iter().find(|pair| pair.key == [key_type]);
        found.map(|pair| pair.value.as_slice())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for pair in &self.0 {
            write_prefixed(out, &pair.key);
            write_prefixed(out, &pair.value);
        }
        out.push(0);
    }
}

/// Reads the maps of a PSBT one by one.
pub(super) struct MapReader<'a> {
    rest: &'a [u8],
}

impl<'a> MapReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, PsbtError> {
        let rest = bytes.strip_prefix(MAGIC);
        let rest = rest.ok_or_else(|| malformed("does not begin with psbt and 0xff"))?;
        Ok(Self { rest })
    }

    pub(super) fn next_map(&mut self) -> Result<Map, PsbtError> {
        let mut seen = BTreeSet::new();
        let mut pairs = Vec::new();
        loop {
            let key = self.prefixed()?;
            if key.is_empty() {
                return Ok(Map(pairs));
            }
            if !seen.insert(key) {
                return Err(malformed("a map has a key twice"));
            }
            pairs.push(Pair {
                key: key.to_vec(),
                value: self.prefixed()?.to_vec(),
            });
        }
    }

    fn prefixed(&mut self) -> Result<&'a [u8], PsbtError> {
        let (len, used) = deserialize_partial::<VarInt>(self.rest)
            .map_err(|_| malformed("a length is cut off or not the shortest"))?;
        let taken = usize::try_from(len.0).ok().and_then(|len| {
            let after = self.rest.get(used..)?;
            after.split_at_checked(len)
        });
        let (taken, rest) = taken.ok_or_else(|| malformed("a map is cut off"))?;
        self.rest = rest;
        Ok(taken)
    }
}

/// The beginning of every PSBT.
pub(super) fn begin() -> Vec<u8> {
    MAGIC.to_vec()
}

/// `PSBT_GLOBAL_VERSION`, 0 when it is not there; `None` where the bytes are no PSBT.
pub(super) fn version(bytes: &[u8]) -> Option<u32> {
    let global = MapReader::new(bytes).ok()?.next_map().ok()?;
    match global.value(VERSION) {
        Some(value) => value.try_into().ok().map(u32::from_le_bytes),
        None => Some(0),
    }
}

pub(super) fn malformed(reason: &str) -> PsbtError {
    PsbtError::Malformed(reason.to_owned())
}

fn write_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(serialize(&VarInt::from(bytes.len())));
    out.extend_from_slice(bytes);
}
