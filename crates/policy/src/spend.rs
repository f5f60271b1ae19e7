//! What a request takes from a key, as every agent that took part keeps it and shows it to others.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_chain::{AssetRef, Effects, U256};
use quorate_types::canonical::{Canonical, tagged_hash};
use quorate_types::{ChainRules, Hash32, IntentHash, KeyId, KeyName, Network, PartyId};

use crate::request::leaving;

/// What one destination gets.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SpendLine {
    /// `None`: the network's own coin. Otherwise the token's contract or mint, for an item with `#` and its id.
    pub asset: Option<String>,
    /// Who gets it, as the facts show it.
    pub destination: String,
    /// In the smallest unit, 32 bytes big-endian.
    pub amount: [u8; 32],
}

/// A signing that counts towards rolling limits.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Spend {
    /// What is signed: two requests to sign the same things have the same id and count once, for a chain takes the
    /// same transaction once.
    pub id: Hash32,
    /// The request.
    pub intent: IntentHash,
    /// The key.
    pub key: KeyId,
    /// Its name.
    pub key_name: KeyName,
    /// The chain; `None` for raw bytes.
    pub network: Option<Network>,
    /// Unix milliseconds, by the recorder's clock.
    pub at: u64,
    /// What leaves.
    pub lines: Vec<SpendLine>,
    /// The most the fee can be, in the network's smallest unit, 32 bytes big-endian.
    pub fee: [u8; 32],
    /// How many payloads: more than one in a batch.
    pub payloads: u32,
}

impl Spend {
    /// The most lines that are kept apart; a request with more is refused where limits are in force.
    pub const MAX_LINES: usize = 512;

    /// The spend of a signing with these effects, under a bundle's chain rules.
    #[must_use]
    pub fn new(
        intent: IntentHash,
        (key, key_name): (KeyId, KeyName),
        network: Option<Network>,
        effects: &Effects,
        chains: &ChainRules,
        sighashes: &[Hash32],
        at: u64,
    ) -> Self {
        let lines = leaving(effects, chains).map(|m| SpendLine {
            asset: asset_name(&m.asset),
            destination: m.destination.clone(),
            amount: m.counted().to_be_bytes(),
        });
        Self {
            id: spend_id(key, sighashes),
            intent,
            key,
            key_name,
            network,
            at,
            lines: lines.collect(),
            fee: effects.fee.to_be_bytes(),
            payloads: u32::try_from(effects.members.len().max(1)).unwrap_or(u32::MAX),
        }
    }

    /// Names it with what it takes: another record of it counts once only if it says the same.
    #[must_use]
    pub fn content(&self) -> Hash32 {
        let same = (
            &self.key,
            &self.key_name,
            &self.network,
            &self.lines,
            &self.fee,
            &self.payloads,
        );
        // Writing to memory fails for lengths over u32::MAX only, which bounds rule out; all such would count as one more.
        let bytes = borsh::to_vec(&same).unwrap_or_default();
        tagged_hash("quorate/spend-content/v1", &[self.id.as_bytes(), &bytes])
    }
}

/// Names what is signed.
#[must_use]
pub fn spend_id(key: KeyId, sighashes: &[Hash32]) -> Hash32 {
    let mut parts: Vec<&[u8]> = vec![key.as_bytes()];
    parts.extend(sighashes.iter().map(|h| h.as_bytes().as_slice()));
    tagged_hash("quorate/spend-id/v1", &parts)
}

/// The name under which assets are compared; `None` for the network's own coin.
#[must_use]
pub fn asset_name(asset: &AssetRef) -> Option<String> {
    match asset {
        AssetRef::Native => None,
        AssetRef::Token { contract } | AssetRef::TokenOrItem { contract } => Some(contract.clone()),
        AssetRef::Item { contract, id } => Some(format!("{contract}#{id}")),
    }
}

pub(crate) fn amount(bytes: &[u8; 32]) -> U256 {
    U256::from_be_bytes(*bytes)
}

/// What one agent recorded.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum SpendEntry {
    /// It takes part in signing this, from now on.
    Spend(Spend),
    /// It did not take part after all and never will in the session that this earlier record of its own was made for.
    Void {
        /// The record's place.
        place: Place,
    },
}

/// Where a record is among its party's: `restores` first, then `sequence`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
)]
pub struct Place {
    /// How often the party had been restored: counts begin anew with each time.
    pub restores: u64,
    /// From 0, without gaps.
    pub sequence: u64,
}

/// One line of an agent's history. Signed by that agent, so nobody else can invent it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SpendRecord {
    /// Who recorded it.
    pub party: PartyId,
    /// Where it is among the party's records.
    pub place: Place,
    /// Unix milliseconds, by the party's clock.
    pub at: u64,
    /// What was recorded.
    pub entry: SpendEntry,
}

impl Canonical for SpendRecord {
    const DOMAIN: &'static str = "quorate/spend-record/v2";
}

/// A record with its recorder's signature.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedSpendRecord {
    /// The record.
    pub record: SpendRecord,
    /// Ed25519 over [`Canonical::signing_bytes`].
    pub signature: [u8; 64],
}

impl Canonical for SignedSpendRecord {
    const DOMAIN: &'static str = "quorate/signed-spend-record/v1";
}
