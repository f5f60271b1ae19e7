//! Functions by their canonical signatures, and their arguments by the strict reading of the contract ABI.
//!
//! The ABI specification calls an encoding strict when heads and tails lie in order, without gaps, overlaps or dirty padding.
//! Contracts take looser ones too, so two readers could see two things in the same bytes; only the strict one is read here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use alloy_dyn_abi::{DynSolType, DynSolValue};
use alloy_primitives::keccak256;

use super::meaning::{Meaning, Target};
use super::{authority, erc20, layout, multicall, nft, safe};

/// What a function does, from its arguments; `None` where they make no sense together.
pub(super) type Reader = fn(&Target, &[DynSolValue]) -> Option<Meaning>;

/// A function this version understands.
pub(super) struct Function {
    /// For example `transfer(address,uint256)`.
    pub(super) signature: &'static str,
    types: Vec<DynSolType>,
    reader: Reader,
}

static FUNCTIONS: LazyLock<BTreeMap<[u8; 4], Function>> = LazyLock::new(|| {
    let tables = [
        erc20::FUNCTIONS,
        nft::FUNCTIONS,
        safe::FUNCTIONS,
        multicall::FUNCTIONS,
    ];
    let authority = authority::SIGNATURES
        .iter()
        .map(|signature| (*signature, authority::change as Reader));
    let all = tables.into_iter().flatten().copied().chain(authority);
    all.filter_map(|(signature, reader)| {
        Some((selector(signature), Function::new(signature, reader)?))
    })
    .collect()
});

/// First four bytes of the Keccak-256 of the signature.
fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak256(signature).0;
    [a, b, c, d]
}

impl Function {
    fn new(signature: &'static str, reader: Reader) -> Option<Self> {
        let arguments = signature.get(signature.find('(')?..)?;
        let types = match arguments {
            "()" => Vec::new(),
            _ => match DynSolType::parse(arguments).ok()? {
                DynSolType::Tuple(types) => types,
                single => vec![single],
            },
        };
        Some(Self {
            signature,
            types,
            reader,
        })
    }

    /// The function with this selector.
    pub(super) fn find(selector: [u8; 4]) -> Option<&'static Self> {
        FUNCTIONS.get(&selector)
    }

    /// Whether it is one of the functions that exist to be run with another account's rights.
    pub(super) fn runs_delegated(&self) -> bool {
        self.signature == safe::MULTI_SEND
    }

    /// The arguments, if `data` is exactly how the ABI writes them.
    pub(super) fn arguments(&self, data: &[u8]) -> Option<Vec<DynSolValue>> {
        // Bounds the library's work: with offsets in order nothing is copied twice.
        if layout::used(&self.types, data)? != data.len() {
            return None;
        }
        if self.types.is_empty() {
            return Some(Vec::new());
        }
        let whole = DynSolType::Tuple(self.types.clone());
        let decoded = whole.abi_decode_params(data).ok()?;
        if decoded.abi_encode_params() != data {
            return None;
        }
        match decoded {
            DynSolValue::Tuple(values) => Some(values),
            _ => None,
        }
    }

    pub(super) fn read(&self, target: &Target, values: &[DynSolValue]) -> Option<Meaning> {
        (self.reader)(target, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector_of(signature: &str) -> String {
        hex::encode(selector(signature))
    }

    /// Selectors as block explorers and the contracts' own documentation show them.
    #[test]
    fn known_selectors() {
        for (signature, expected) in [
            ("transfer(address,uint256)", "a9059cbb"),
            ("transferFrom(address,address,uint256)", "23b872dd"),
            ("approve(address,uint256)", "095ea7b3"),
            ("setApprovalForAll(address,bool)", "a22cb465"),
            (safe::EXEC_TRANSACTION, "6a761202"),
            ("multiSend(bytes)", "8d80ff0a"),
            ("multicall(bytes[])", "ac9650d8"),
            ("aggregate3((address,bool,bytes)[])", "82ad56cb"),
            ("upgradeToAndCall(address,bytes)", "4f1ef286"),
            ("transferOwnership(address)", "f2fde38b"),
        ] {
            assert_eq!(selector_of(signature), expected, "{signature}");
            assert!(Function::find(selector(signature)).is_some());
        }
    }

    #[test]
    fn every_table_entry_parses_and_none_hides_another() {
        let listed = erc20::FUNCTIONS.len()
            + nft::FUNCTIONS.len()
            + safe::FUNCTIONS.len()
            + multicall::FUNCTIONS.len()
            + authority::SIGNATURES.len();
        assert_eq!(FUNCTIONS.len(), listed);
    }
}
