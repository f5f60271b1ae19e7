//! CBOR as authenticators write it: shortest heads, definite lengths, little nesting. CTAP 2.1 section 8.

use ciborium::Value;
use ciborium::de::from_reader_with_recursion_limit;

/// CTAP allows four levels; an attestation statement has a fifth around it.
const DEPTH: usize = 8;
/// The most members of a map.
const MEMBERS: usize = 64;

/// A map's members in their order.
pub(super) type Map = Vec<(Value, Value)>;

/// The map that the bytes begin with, and what follows it. None if there is none, if it is not in its one encoding, or if it names
/// a key twice. (The order of keys is not held against it.)
pub(super) fn map(bytes: &[u8]) -> Option<(Map, &[u8])> {
    let mut rest = bytes;
    let value: Value = from_reader_with_recursion_limit(&mut rest, DEPTH).ok()?;
    let mut encoded = Vec::with_capacity(bytes.len());
    ciborium::into_writer(&value, &mut encoded).ok()?;
    let rest = bytes.strip_prefix(encoded.as_slice())?;
    let map = value.into_map().ok()?;
    (map.len() <= MEMBERS && distinct(&map)).then_some((map, rest))
}

/// The map that the bytes are.
pub(super) fn whole_map(bytes: &[u8]) -> Option<Map> {
    map(bytes).and_then(|(map, rest)| rest.is_empty().then_some(map))
}

/// The value of a key.
pub(super) fn member<'a>(map: &'a Map, key: &Value) -> Option<&'a Value> {
    map.iter()
        .find_map(|(name, value)| (name == key).then_some(value))
}

fn distinct(map: &Map) -> bool {
    let mut keys = map.iter().map(|(key, _)| key);
    while let Some(key) = keys.next() {
        if keys.clone().any(|other| other == key) {
            return false;
        }
    }
    true
}
