//! The hashed values as text.

use alloy_dyn_abi::DynSolValue;
use alloy_primitives::hex;

use crate::facts::TypedField;

/// The message's elementary values in order; an empty array is a leaf of its own.
pub(super) fn leaves(message: &DynSolValue) -> Vec<TypedField> {
    let mut out = Vec::new();
    collect(String::new(), message, &mut out);
    out
}

fn collect(path: String, value: &DynSolValue, out: &mut Vec<TypedField>) {
    match value {
        DynSolValue::CustomStruct {
            prop_names, tuple, ..
        } => {
            let dot = if path.is_empty() { "" } else { "." };
            for (name, value) in prop_names.iter().zip(tuple) {
                collect(format!("{path}{dot}{name}"), value, out);
            }
        }
        DynSolValue::Array(items) | DynSolValue::FixedArray(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                collect(format!("{path}[{i}]"), item, out);
            }
        }
        leaf => out.push(TypedField {
            path,
            solidity_type: leaf
                .sol_type_name()
                .map_or_else(|| "array".to_owned(), |name| name.into_owned()),
            value: text(leaf),
        }),
    }
}

/// An elementary value: addresses EIP-55, integers decimal, bytes hexadecimal.
pub(in crate::evm) fn text(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(b) => b.to_string(),
        DynSolValue::Int(i, _) => i.to_string(),
        DynSolValue::Uint(u, _) => u.to_string(),
        DynSolValue::FixedBytes(word, len) => {
            hex::encode_prefixed(word.get(..*len).unwrap_or(word.as_slice()))
        }
        DynSolValue::Address(address) => address.to_checksum(None),
        DynSolValue::Function(function) => hex::encode_prefixed(function),
        DynSolValue::Bytes(bytes) => hex::encode_prefixed(bytes),
        DynSolValue::String(text) => text.clone(),
        _ => "[]".to_owned(),
    }
}
