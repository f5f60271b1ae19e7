//! Call data, read into a tree of calls.
//!
//! A function is known by its selector and read as its standard defines it, whatever contract is called: a contract can do something
//! else under the same name, with what it was entrusted with before. So the contracts called are part of the effects too.

mod abi;
mod authority;
mod erc20;
mod layout;
mod meaning;
mod multicall;
mod nft;
mod safe;

use alloy_dyn_abi::DynSolValue;
use alloy_primitives::{Address, U256, hex, keccak256};

use self::abi::Function;
pub(crate) use self::erc20::all_or_nothing;
use self::meaning::Target;
pub(crate) use self::meaning::{Inner, Meaning, token};
pub(crate) use self::safe::safe_tx;
use super::typed_data;
use crate::effects::{AssetRef, Danger, Reading};
use crate::facts::EvmCall;

/// Deepest nesting of calls that is read; the outermost is at depth 1.
const MAX_DEPTH: usize = 8;
/// Most calls in one tree.
const MAX_CALLS: usize = 256;
/// Longest byte string that is shown whole among the arguments.
const SHOWN_BYTES: usize = 64;

/// Reads one call and everything in it.
pub(crate) fn read(to: Address, value: U256, data: &[u8]) -> EvmCall {
    let call = Inner {
        to,
        value,
        data: data.to_vec(),
        delegated: false,
    };
    let mut left = MAX_CALLS - 1;
    one(&call, 1, &mut left)
}

/// Reads the calls inside something that is not a call itself.
pub(crate) fn read_inner(inner: &[Inner]) -> Option<Vec<EvmCall>> {
    let mut left = MAX_CALLS;
    many(inner, 1, &mut left)
}

/// `None` beyond the bounds.
fn many(inner: &[Inner], depth: usize, left: &mut usize) -> Option<Vec<EvmCall>> {
    if inner.is_empty() {
        return Some(Vec::new());
    }
    if depth > MAX_DEPTH {
        return None;
    }
    *left = left.checked_sub(inner.len())?;
    Some(inner.iter().map(|call| one(call, depth, left)).collect())
}

fn one(call: &Inner, depth: usize, left: &mut usize) -> EvmCall {
    let mut read = undecoded(call);
    let Some((selector, data)) = call.data.split_first_chunk::<4>() else {
        // Without data there is nothing to decode, unless somebody else's code runs.
        if call.data.is_empty() && !call.delegated {
            read.reading = Reading::Decoded;
        }
        return finish(call, read);
    };
    read.method = hex::encode_prefixed(selector);
    let function = Function::find(*selector).filter(|f| !call.delegated || f.runs_delegated());
    if let Some(function) = function {
        read.function = Some(function.signature.to_owned());
        read.reading = Reading::Malformed;
        if let Some(decoded) = decoded(call, function, data, depth, left) {
            read.arguments = decoded.arguments;
            read.movements = decoded.meaning.movements;
            read.dangers = decoded.meaning.dangers;
            read.inner = decoded.inner;
            read.reading = Reading::Decoded;
        }
    }
    finish(call, read)
}

struct Decoded {
    arguments: Vec<String>,
    meaning: Meaning,
    inner: Vec<EvmCall>,
}

fn decoded(
    call: &Inner,
    function: &Function,
    data: &[u8],
    depth: usize,
    left: &mut usize,
) -> Option<Decoded> {
    let values = function.arguments(data)?;
    let target = Target { contract: call.to };
    let meaning = function.read(&target, &values)?;
    let inner = many(&meaning.inner, depth.checked_add(1)?, left)?;
    Some(Decoded {
        arguments: values.iter().map(shown).collect(),
        meaning,
        inner,
    })
}

fn undecoded(call: &Inner) -> EvmCall {
    EvmCall {
        contract: call.to.to_checksum(None),
        value: call.value,
        method: "0x".to_owned(),
        function: None,
        arguments: Vec::new(),
        data_len: call.data.len(),
        delegated: call.delegated,
        reading: Reading::UnknownMethod,
        movements: Vec::new(),
        dangers: [].into(),
        inner: Vec::new(),
    }
}

/// The coins that come with the call, or a movement of nothing where the call is nothing but its destination; and whether it is understood.
fn finish(call: &Inner, mut read: EvmCall) -> EvmCall {
    if !call.value.is_zero() || (call.data.is_empty() && !call.delegated) {
        let native = Meaning::transfer(AssetRef::Native, call.to, call.value);
        read.movements = [native.movements, read.movements].concat();
    }
    if read.reading != Reading::Decoded {
        read.dangers.insert(Danger::Undecodable);
    }
    read
}

/// An argument for people; long byte strings by length and hash.
fn shown(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bytes(bytes) if bytes.len() > SHOWN_BYTES => {
            format!("{} bytes, Keccak-256 {}", bytes.len(), keccak256(bytes))
        }
        DynSolValue::Array(items) | DynSolValue::Tuple(items) => {
            let items: Vec<_> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        elementary => typed_data::value_text(elementary),
    }
}
