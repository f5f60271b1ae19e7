//! Facts of one call and the calls inside it.

use std::collections::BTreeSet;

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};

use super::amount::decimal;
use crate::effects::{AssetRef, Danger, Movement, MovementKind, Reading};

/// A call of a contract, or a transfer of coins without data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvmCall {
    /// Who is called, EIP-55.
    pub contract: String,
    /// Wei that goes with it.
    #[serde(with = "decimal")]
    pub value: U256,
    /// The selector, `0x` and 8 digits, or `0x` when the data is shorter.
    pub method: String,
    /// The function of this selector, if it is known here, for example `transfer(address,uint256)`.
    pub function: Option<String>,
    /// Its arguments, if they were decoded: addresses EIP-55, integers decimal, bytes hexadecimal or, when there are many, by length
    /// and hash.
    pub arguments: Vec<String>,
    /// Bytes of call data.
    pub data_len: usize,
    /// Whether the code called runs with the rights of the account that calls.
    pub delegated: bool,
    /// How much of it is understood.
    pub reading: Reading,
    /// What it moves by itself, inner calls left out.
    pub movements: Vec<Movement>,
    /// What is dangerous about it by itself, inner calls left out.
    pub dangers: BTreeSet<Danger>,
    /// The calls it makes in turn, in order.
    pub inner: Vec<EvmCall>,
}

impl EvmCall {
    /// The tree, each level indented.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.head()];
        let own = self.movements.iter().map(movement_line);
        let dangers = self
            .dangers
            .iter()
            .map(|danger| format!("DANGER: {danger}"));
        let inner = self.inner.iter().flat_map(Self::lines);
        let below = own.chain(dangers).chain(inner);
        lines.extend(below.map(|line| format!("  {line}")));
        lines
    }

    fn head(&self) -> String {
        let how = if self.delegated {
            "run code of"
        } else {
            "call"
        };
        let what = match (&self.function, self.reading) {
            (_, Reading::Decoded) if self.data_len == 0 => "without data".to_owned(),
            (Some(function), Reading::Decoded) => {
                format!("{function} with {}", self.arguments.join(", "))
            }
            (Some(function), _) => format!("{function}, whose arguments are NOT well formed"),
            (None, _) => format!("method {}, which is NOT understood", self.method),
        };
        format!("{how} {}: {what}", self.contract)
    }
}

/// A movement for people.
pub(super) fn movement_line(movement: &Movement) -> String {
    let Movement {
        destination,
        amount,
        ..
    } = movement;
    let amount = if *amount == U256::MAX {
        "ALL".to_owned()
    } else {
        amount.to_string()
    };
    let what = match &movement.asset {
        AssetRef::Native => format!("{amount} smallest units of the chain's coin"),
        AssetRef::Token { contract } => format!("{amount} smallest units of token {contract}"),
        AssetRef::TokenOrItem { contract } => format!(
            "{amount} smallest units of token {contract} (or the item of that number, if it has items)"
        ),
        AssetRef::Item { contract, id } => format!("{amount} of item {id} of {contract}"),
    };
    match movement.kind {
        MovementKind::Transfer => format!("moves {what} to {destination}"),
        MovementKind::Approval => format!("lets {destination} take {what}"),
    }
}
