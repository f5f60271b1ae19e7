//! What a policy is asked about.

use std::collections::{BTreeMap, BTreeSet};

use quorate_chain::{Effects, Movement, U256};
use quorate_types::{
    Action, Asset, Bundle, ChainRules, Curve, Hash32, IntentHash, KeyId, KeyName, KeyRecord,
    Network, OperatorId, Payload, Scheme,
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
    /// When it was asked for, as the operator signed it, Unix milliseconds.
    pub asked_at: u64,
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

    /// The chain, as far as the signed bytes or the bundle say which: one that only whoever asks
    /// has named is none.
    pub(crate) const fn network(&self) -> Option<Network> {
        match self {
            Self::Sign {
                network, effects, ..
            } if !effects.any_network => *network,
            _ => None,
        }
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
    /// What a signing would take under a bundle's chain rules; `None` for everything else.
    #[must_use]
    pub fn spend(&self, chains: &ChainRules) -> Option<Spend> {
        let Act::Sign {
            id,
            key,
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
            self.act.network(),
            effects,
            chains,
            sighashes,
            self.now,
        ))
    }
}

/// One evaluation: what one destination gets of one asset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Leg {
    /// The asset's name in the bundle; empty where nothing moves, or an unknown asset.
    pub asset: String,
    pub known: bool,
    /// What leaves of it, policy units: what all destinations get, and the most that the fee can
    /// be where it is paid in it.
    pub amount: i64,
    /// What all destinations get of it.
    pub moved: i64,
    /// What this one gets.
    pub leg: i64,
    pub destination: String,
}

/// What leaves the key: not what goes to addresses that the bundle counts as change.
pub(crate) fn leaving<'a>(
    effects: &'a Effects,
    chains: &ChainRules,
) -> impl Iterator<Item = &'a Movement> {
    let change = |m: &&Movement| m.own.as_ref().is_some_and(|path| chains.is_change(path));
    effects.movements.iter().filter(move |m| !change(m))
}

/// At least one leg: a request that moves nothing is judged, too.
pub(crate) fn legs(act: &Act<'_>, bundle: &Bundle) -> Vec<Leg> {
    let nothing = || Leg {
        known: true,
        ..Leg::default()
    };
    let Act::Sign { effects, .. } = act else {
        return vec![nothing()];
    };
    let network = act.network();
    let mut amounts: BTreeMap<Option<String>, BTreeMap<&str, U256>> = BTreeMap::new();
    for movement in leaving(effects, &bundle.chains) {
        let of_asset = amounts.entry(asset_name(&movement.asset)).or_default();
        let leg = of_asset.entry(&movement.destination).or_default();
        *leg = leg.saturating_add(movement.counted());
    }
    let asset_of = |contract: &Option<String>| {
        let place = |a: &&Asset| Some(a.network) == network && a.contract == *contract;
        bundle.assets.iter().find(place)
    };
    let mut legs = Vec::new();
    for (contract, destinations) in amounts {
        legs.extend(legs_of(asset_of(&contract), destinations, effects));
    }
    if legs.is_empty() {
        legs.push(nothing());
    }
    legs
}

/// What each destination gets of one asset, `None` being one that the bundle does not know.
fn legs_of(
    asset: Option<&Asset>,
    destinations: BTreeMap<&str, U256>,
    effects: &Effects,
) -> Vec<Leg> {
    let sum = |sum: U256, amount: &U256| sum.saturating_add(*amount);
    let moved = destinations.values().fold(U256::ZERO, sum);
    let fee = match asset {
        Some(asset) if asset.contract.is_none() => effects.fee,
        _ => U256::ZERO,
    };
    let units = |amount| asset.map_or(i64::MAX, |asset| to_units(amount, asset));
    let leg = |(destination, amount): (&str, U256)| Leg {
        asset: asset.map(|a| a.id.clone()).unwrap_or_default(),
        known: asset.is_some(),
        amount: units(moved.saturating_add(fee)),
        moved: units(moved),
        leg: units(amount),
        destination: destination.to_owned(),
    };
    destinations.into_iter().map(leg).collect()
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
