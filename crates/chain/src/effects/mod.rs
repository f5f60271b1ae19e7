//! What a payload would do, in words that are the same on every chain: what policies are written about.
//!
//! Where a payload is not understood completely, its effects say so ([`Danger::Undecodable`]) and must be read as "at least this".
//!
//! What a reader of effects has to know:
//!
//! - A function is read as its standard defines it. The contract called can be another one that does something else, so
//!   [`Effects::calls`] matter even where no movement and no danger is left over.
//! - [`Danger::Undecodable`] may be excused by naming contract and method only when each call that is not decoded is
//!   [`Reading::UnknownMethod`]. A malformed call of a known method hides its movements; nothing excuses that.
//! - Coins that a call passes on are counted where they go first and where they go then.
//! - Whose tokens a call moves is not looked at: `transferFrom` of somebody else's counts like a transfer.
//! - A batch's effects are those of all its members, which hides what only one of them lacks: policies must also hold for each of
//!   [`Effects::members`] alone.
//! - Text that is signed (EIP-191) moves nothing here; what a contract makes of it, nobody can say. It is an action of its own.

mod bitcoin;
mod evm;
mod solana;

use std::collections::BTreeSet;
use std::fmt;

use alloy_primitives::U256;
use quorate_types::DerivationPath;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::facts::amount::decimal;

/// What is moved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum AssetRef {
    /// The network's own coin, counted in its smallest unit: wei, satoshi, lamport.
    Native,
    /// A fungible token, counted in its smallest unit.
    Token {
        /// EVM: the contract, EIP-55. Solana: the mint, base58, or `unknown:` and the token account that it leaves, where the
        /// message does not name the mint.
        contract: String,
    },
    /// ERC-20 and ERC-721 share the functions `approve` and `transferFrom`: the amount is one of a
    /// token or, if the contract is a collection of items, an item's id. The call does not say
    /// which, so the amount is never taken for less than one unit.
    TokenOrItem {
        /// The contract, EIP-55.
        contract: String,
    },
    /// One non-fungible token; the amount is how many of the id.
    Item {
        /// The contract, EIP-55.
        contract: String,
        /// The token id, decimal.
        id: String,
    },
}

/// What kind of hold on an asset is given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MovementKind {
    /// It leaves.
    Transfer,
    /// Somebody may take it later; counted as if it left.
    Approval,
}

/// Something that leaves, or may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// What.
    pub asset: AssetRef,
    /// How.
    pub kind: MovementKind,
    /// To whom: the decoded recipient, not only the contract called. EVM: EIP-55. Bitcoin: the address, or `script:` and the output
    /// script in hexadecimal. Solana: base58, for tokens the token account and not its owner, or `burn:` and the mint.
    pub destination: String,
    /// In the asset's smallest unit. The highest of its type (2^256 - 1, on Solana 2^64 - 1) also stands for an amount that the
    /// payload does not say: all there is.
    #[serde(with = "decimal")]
    pub amount: U256,
    /// Where the destination is a child of the very key that signs, its path. Whether what goes
    /// there counts as change, the policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<DerivationPath>,
}

impl Movement {
    /// What may leave at most, as limits count it: of what may be an item's id, at least one.
    #[must_use]
    pub fn counted(&self) -> U256 {
        match self.asset {
            AssetRef::TokenOrItem { .. } => self.amount.max(U256::ONE),
            AssetRef::Native | AssetRef::Token { .. } | AssetRef::Item { .. } => self.amount,
        }
    }
}

/// How much of a call is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// Completely: what it does is among the effects.
    Decoded,
    /// Its method is not known here, so that nothing of what it does is among the effects.
    UnknownMethod,
    /// Known and well formed, but the payload does not say everything it does: a Solana token without its mint, accounts from a
    /// lookup table. Its movements, where there are any, are among the effects.
    Incomplete,
    /// Its method is known, but its arguments are not written, or do not fit together, as its standard says; or it is nested too
    /// deeply. No honest tool makes such a call: a policy that allows unknown methods by name should not allow this.
    Malformed,
}

/// A call of foreign code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Call {
    /// EVM: the contract, EIP-55. Solana: the program, base58.
    pub contract: String,
    /// EVM: the selector, `0x` and 8 digits, or `0x` for a call without one. Solana: the leading tag of the instruction data as the program defines it, `0x`
    /// and hexadecimal digits, or `0x`; of unknown programs the first 8 bytes, as far as there are any.
    pub method: String,
    /// How much of it is understood. Whatever is not `Decoded` comes with [`Danger::Undecodable`].
    pub reading: Reading,
}

/// What makes a payload dangerous whatever it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Danger {
    /// Something in it is not understood.
    Undecodable,
    /// Foreign code runs with the account's own rights (Safe `DELEGATECALL`, and the like).
    Delegatecall,
    /// The account is handed to other code (EIP-7702).
    SetCode,
    /// A contract is created.
    ContractCreation,
    /// An approval without a bound that means anything: of more than any token's real supply
    /// (2^120 smallest units and more on EVM chains, 10^18 on Solana), or without an amount.
    UnlimitedApproval,
    /// An operator may move every token of a contract.
    ApprovalForAll,
    /// An owner, authority, guard, module, implementation or close authority is changed; or a
    /// Solana wallet is given data, after which it cannot pay.
    AuthorityChange,
    /// The signature is valid on every chain.
    AnyChain,
    /// The fee is beyond the policy's bounds. It depends on the policy, so that it is among no
    /// [`Effects`]: agents and approvers' programs add it.
    ExcessiveFee,
}

impl Danger {
    /// Its name in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Delegatecall => "delegatecall",
            Self::SetCode => "set-code",
            Self::ContractCreation => "contract-creation",
            Self::UnlimitedApproval => "unlimited-approval",
            Self::ApprovalForAll => "approval-for-all",
            Self::AuthorityChange => "authority-change",
            Self::AnyChain => "any-chain",
            Self::ExcessiveFee => "excessive-fee",
        }
    }

    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Undecodable,
        Self::Delegatecall,
        Self::SetCode,
        Self::ContractCreation,
        Self::UnlimitedApproval,
        Self::ApprovalForAll,
        Self::AuthorityChange,
        Self::AnyChain,
        Self::ExcessiveFee,
    ];
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Everything a payload would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// What leaves, in the payload's order. Change that comes back to the key is not among it.
    pub movements: Vec<Movement>,
    /// Whose code is called, nested calls included.
    pub calls: BTreeSet<Call>,
    /// The most it can cost beyond what it moves, in the network's smallest unit; 0 for messages.
    #[serde(with = "decimal")]
    pub fee: U256,
    /// Bitcoin: satoshi per virtual byte, rounded up.
    pub fee_rate: Option<u64>,
    /// What is dangerous about it.
    pub dangers: BTreeSet<Danger>,
    /// Whether the bytes that are signed name no network, nor does anything that custodians have
    /// attested: whichever was asked for says nothing then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_network: bool,
    /// Of a batch, what each member would do alone; empty for everything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Self>,
}

impl Effects {
    /// Everything that the members of a batch do: fees are added up, the highest fee rate counts.
    #[must_use]
    pub fn of_batch(members: Vec<Self>) -> Self {
        let mut all = Self::default();
        for member in &members {
            let Self {
                movements,
                calls,
                fee,
                fee_rate,
                dangers,
                any_network,
                members: _,
            } = member;
            all.any_network |= any_network;
            all.movements.extend(movements.iter().cloned());
            all.calls.extend(calls.iter().cloned());
            all.fee = all.fee.saturating_add(*fee);
            all.fee_rate = all.fee_rate.max(*fee_rate);
            all.dangers.extend(dangers);
        }
        all.members = members;
        all
    }
}

impl Facts {
    /// What it would do, in chain-neutral words.
    #[must_use]
    pub fn effects(&self) -> Effects {
        match self {
            Self::Evm(facts) => evm::transaction(facts),
            Self::Bitcoin(facts) => bitcoin::transaction(facts),
            Self::Solana(facts) => solana::message(facts),
            Self::EvmMessage(facts) => evm::message(facts),
            Self::TypedData(facts) => evm::typed_data(facts),
            Self::Raw(_) => Effects {
                dangers: BTreeSet::from([Danger::Undecodable]),
                ..Effects::default()
            },
            Self::Batch { members } => {
                Effects::of_batch(members.iter().map(Self::effects).collect())
            }
        }
    }
}

impl Movement {
    fn transfer(asset: AssetRef, destination: &str, amount: impl Into<U256>) -> Self {
        Self {
            asset,
            kind: MovementKind::Transfer,
            destination: destination.to_owned(),
            amount: amount.into(),
            own: None,
        }
    }
}
