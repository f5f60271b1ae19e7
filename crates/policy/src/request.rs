//! What a policy is asked about.

use std::collections::{BTreeMap, BTreeSet};

use quorate_chain::{Effects, U256};
use quorate_types::{
    Action, Asset, Curve, Hash32, IntentHash, KeyId, KeyName, KeyRecord, Network, OperatorId,
    Payload, Scheme,
};

use crate::spend::{Spend, asset_name};
use crate::units::to_units;

/// The key that is to sign or to be made.
#[derive(Debug, Clone, Copy)]
pub struct KeyFacts<'a> {
    /// Name.
    pub name: &'a KeyName,
    /// Scheme.
    pub scheme: Scheme,
    /// Curve.
    pub curve: Curve,
}

impl<'a> KeyFacts<'a> {
    /// Of a key that exists.
    #[must_use]
    pub const fn of(record: &'a KeyRecord) -> Self {
        Self {
            name: &record.name,
            scheme: record.scheme,
            curve: record.public_key.curve(),
        }
    }
}

/// A payload as it was understood, and the key it is for.
#[derive(Debug, Clone, Copy)]
pub struct Understood<'a> {
    /// The key.
    pub record: &'a KeyRecord,
    /// What it would do.
    pub effects: &'a Effects,
    /// One for each item; see [`quorate_types::Approval::sighashes`].
    pub sighashes: &'a [Hash32],
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub enum Act<'a> {
    /// Committee setup.
    SetUpCommittee,
    /// A DKG.
    CreateKey(KeyFacts<'a>),
    /// Another protocol for a key.
    SetProtocol(KeyFacts<'a>),
    /// Signing.
    Sign {
        /// The key's id.
        id: KeyId,
        /// The key.
        key: KeyFacts<'a>,
        /// The chain.
        network: Option<Network>,
        /// What is signed.
        payload: &'a Payload,
        /// What it would do.
        effects: &'a Effects,
        /// One for each item; see [`quorate_types::Approval::sighashes`].
        sighashes: &'a [Hash32],
    },
}

/// A request as an agent verified it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its hash.
    pub intent: IntentHash,
    /// Who proposes.
    pub operator: &'a OperatorId,
    /// The operator's Ed25519 key.
    pub operator_key: &'a [u8; 32],
    /// What.
    pub act: Act<'a>,
    /// When this agent first saw it, Unix milliseconds.
    pub proposed_at: u64,
    /// This agent's clock, Unix milliseconds.
    pub now: u64,
}

impl<'a> Act<'a> {
    /// What an intent asks for. `None` for a signing whose payload was not understood, and for another change of a `key` that is not given.
    #[must_use]
    pub fn of(
        action: &'a Action,
        key: Option<&'a KeyRecord>,
        understood: Option<Understood<'a>>,
    ) -> Option<Self> {
        match action {
            Action::SetUpCommittee => Some(Self::SetUpCommittee),
            Action::CreateKey {
                name,
                curve,
                scheme,
                ..
            } => Some(Self::CreateKey(KeyFacts {
                name,
                scheme: *scheme,
                curve: *curve,
            })),
            Action::Sign {
                network, payload, ..
            } => understood.map(|understood| Self::Sign {
                id: understood.record.id,
                key: KeyFacts::of(understood.record),
                network: *network,
                payload,
                effects: understood.effects,
                sighashes: understood.sighashes,
            }),
            Action::SetProtocol { .. } => key.map(|record| Self::SetProtocol(KeyFacts::of(record))),
        }
    }

    /// The Cedar action's name.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::SetUpCommittee => "set-up-committee",
            Self::CreateKey(_) => "create-key",
            Self::SetProtocol(_) => "set-protocol",
            // A batch's members are of one kind.
            Self::Sign { payload, .. } => match payload.members().first() {
                Some(
                    Payload::EvmTransaction(_)
                    | Payload::BitcoinPsbt(_)
                    | Payload::SolanaMessage(_),
                ) => "sign-transaction",
                Some(Payload::Message(_)) => "sign-message",
                Some(Payload::TypedData(_)) => "sign-typed-data",
                Some(Payload::Raw(_) | Payload::Batch(_)) | None => "sign-raw",
            },
        }
    }

    /// What must be allowed, all of it: the whole, for what is moved in all counts, and each member of a batch as if it came alone,
    /// so that none hides behind the others.
    pub(crate) fn parts(self) -> Vec<Self> {
        let mut parts = vec![self];
        if let Self::Sign { effects: whole, .. } = self {
            parts.extend(whole.members.iter().map(|member| {
                let mut part = self;
                if let Self::Sign { effects, .. } = &mut part {
                    *effects = member;
                }
                part
            }));
        }
        parts
    }

    /// The key, where there is one.
    #[must_use]
    pub const fn key(&self) -> Option<KeyFacts<'a>> {
        match self {
            Self::SetUpCommittee => None,
            Self::CreateKey(key) | Self::SetProtocol(key) | Self::Sign { key, .. } => Some(*key),
        }
    }
}

impl Request<'_> {
    /// What a signing would take; `None` for everything else.
    #[must_use]
    pub fn spend(&self) -> Option<Spend> {
        let Act::Sign {
            id,
            key,
            network,
            effects,
            sighashes,
            ..
        } = self.act
        else {
            return None;
        };
        let name = key.name.clone();
        Some(Spend::new(
            self.intent,
            (id, name),
            network,
            effects,
            sighashes,
            self.now,
        ))
    }
}

/// One evaluation: what one destination gets of one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leg {
    /// The asset's name in the bundle; empty where nothing moves, or an unknown asset.
    pub asset: String,
    pub known: bool,
    /// What all destinations get of it, policy units.
    pub amount: i64,
    /// What this one gets.
    pub leg: i64,
    pub destination: String,
}

/// At least one leg: a request that moves nothing is judged, too.
pub(crate) fn legs(act: &Act<'_>, assets: &[Asset]) -> Vec<Leg> {
    let nothing = || Leg {
        asset: String::new(),
        known: true,
        amount: 0,
        leg: 0,
        destination: String::new(),
    };
    let Act::Sign {
        network, effects, ..
    } = act
    else {
        return vec![nothing()];
    };
    let mut amounts: BTreeMap<Option<String>, BTreeMap<&str, U256>> = BTreeMap::new();
    for movement in &effects.movements {
        let of_asset = amounts.entry(asset_name(&movement.asset)).or_default();
        let leg = of_asset.entry(&movement.destination).or_default();
        *leg = leg.saturating_add(movement.amount);
    }
    let mut legs = Vec::new();
    for (contract, destinations) in amounts {
        let place = |a: &&Asset| Some(a.network) == *network && a.contract == contract;
        let asset = assets.iter().find(place);
        let total = destinations
            .values()
            .fold(U256::ZERO, |sum, a| sum.saturating_add(*a));
        let units = |amount| asset.map_or(i64::MAX, |asset| to_units(amount, asset));
        for (destination, amount) in destinations {
            legs.push(Leg {
                asset: asset.map(|a| a.id.clone()).unwrap_or_default(),
                known: asset.is_some(),
                amount: units(total),
                leg: units(amount),
                destination: destination.to_owned(),
            });
        }
    }
    if legs.is_empty() {
        legs.push(nothing());
    }
    legs
}

/// The names under which calls are listed: `contract method`.
pub(crate) fn calls(effects: &Effects) -> (BTreeSet<String>, BTreeSet<String>) {
    let calls = effects.calls.iter();
    let both = calls.map(|call| {
        (
            format!("{} {}", call.contract, call.method),
            call.contract.clone(),
        )
    });
    both.unzip()
}
