//! The text's form.

use std::collections::BTreeMap;
use std::str::FromStr;

use quorate_types::{
    Admin, Admins, BitcoinNetwork, BookEntry, DerivationPath, GroupName, KeyName, Network, Passkey,
    PersonId, RelyingParty, RoleName, RuleId,
};
use serde::Deserialize;

use super::rules::RuleKind;

/// 32 bytes as 64 hexadecimal digits.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Key(#[serde(with = "hex::serde")] pub [u8; 32]);

/// A length of time: `90s`, `15m`, `24h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(u64);

impl Span {
    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// A length of so many milliseconds.
    #[must_use]
    pub const fn of_ms(ms: u64) -> Self {
        Self(ms)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a length of time; write 90s, 15m, 24h or 7d");
        let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let ms: u64 = match unit {
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(ms).map(Self).ok_or_else(wrong)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (unit, ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)] {
            if self.0 > 0 && self.0.is_multiple_of(ms) && !(unit == "d" && self.0 == ms) {
                return write!(f, "{}{unit}", self.0 / ms);
            }
        }
        match self.0.is_multiple_of(1000) {
            true => write!(f, "{}s", self.0 / 1000),
            false => write!(f, "{}ms", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminsEntry {
    quorum: u16,
    members: BTreeMap<PersonId, Key>,
}

impl From<AdminsEntry> for Admins {
    fn from(entry: AdminsEntry) -> Self {
        let members = entry.members.into_iter();
        Self {
            quorum: entry.quorum,
            members: members.map(|(id, Key(key))| Admin { id, key }).collect(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonEntry {
    #[serde(default)]
    pub groups: Vec<GroupName>,
    #[serde(default)]
    pub roles: Vec<RoleName>,
    #[serde(default)]
    pub guardian: bool,
    #[serde(default)]
    pub ed25519: Vec<Key>,
    #[serde(default)]
    pub passkeys: Vec<Passkey>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AssetEntry {
    pub id: String,
    pub network: Network,
    #[serde(default)]
    pub contract: Option<String>,
    pub decimals: u8,
    #[serde(default)]
    pub precision: Option<u8>,
}

/// What the signed bytes of Bitcoin leave open.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BitcoinEntry {
    #[serde(default)]
    pub network: BitcoinNetwork,
    /// Branches of every key whose addresses are change.
    #[serde(default)]
    pub change: Vec<DerivationPath>,
}

/// How high a chain's fees may be; amounts in whole coins, and what is left out is the default's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeeBoundEntry {
    pub network: Network,
    #[serde(default)]
    pub most: Option<String>,
    #[serde(default)]
    pub percent: Option<u32>,
    #[serde(default)]
    pub free: Option<String>,
}

/// A rule of a template.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RuleEntry {
    pub id: RuleId,
    #[serde(flatten)]
    pub kind: RuleKind,
}

/// A rule in Cedar.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub id: RuleId,
    pub policy: String,
}

/// The whole text.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub admins: Option<AdminsEntry>,
    #[serde(default)]
    pub people: BTreeMap<PersonId, PersonEntry>,
    #[serde(default)]
    pub passkeys: Option<RelyingParty>,
    #[serde(default)]
    pub key_groups: BTreeMap<GroupName, Vec<KeyName>>,
    #[serde(default)]
    pub asset: Vec<AssetEntry>,
    #[serde(default)]
    pub address: Vec<BookEntry>,
    #[serde(default)]
    pub address_delay: Option<Span>,
    #[serde(default)]
    pub limit_ack: Option<u16>,
    #[serde(default)]
    pub bitcoin: BitcoinEntry,
    #[serde(default)]
    pub fee_bound: Vec<FeeBoundEntry>,
    #[serde(default)]
    pub rule: Vec<RuleEntry>,
    #[serde(default)]
    pub cedar: Vec<RawRule>,
}
