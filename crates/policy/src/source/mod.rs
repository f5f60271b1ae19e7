//! `policy.toml`: the common rules in a few readable lines, and raw Cedar beside them. Compiled into a [`Bundle`]; what admins sign and agents
//! evaluate is the compiled form, and the text goes with it for people.

mod cedar;
mod document;
mod rules;
mod words;

use quorate_types::bundle::Admins;
use quorate_types::{
    Asset, Bundle, ChainRules, Credential, FeeBound, Hash32, KeyGroup, Network, Person, Rule,
};

use crate::units::digits;
use document::Document;
pub use words::{Statement, Words, changes, named_keys, printable, words};

/// What a bundle has besides its text.
#[derive(Debug, Clone)]
pub struct Header {
    /// The cluster it is for.
    pub cluster: Hash32,
    /// Its version.
    pub version: u64,
    /// Hash of the version before; zeros for the first.
    pub previous: Hash32,
    /// Unix milliseconds.
    pub issued_at: u64,
    /// Who signs the next version unless the text says otherwise.
    pub admins: Admins,
    /// Freeze orders it lifts.
    pub lifts: Vec<Hash32>,
}

/// Why a text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not the TOML of a policy.
    #[error("{0}")]
    Toml(String),
    /// One rule.
    #[error("rule {rule}: {reason}")]
    Rule {
        /// Which.
        rule: String,
        /// What is wrong.
        reason: String,
    },
    /// Something else.
    #[error("{0}")]
    Content(String),
}

/// Compiles a text.
///
/// # Errors
/// See [`SourceError`]. Whether the rules fit together is [`crate::check_rules`]'s work.
pub fn compile(source: &str, header: Header) -> Result<Bundle, SourceError> {
    let document: Document =
        toml::from_str(source).map_err(|e| SourceError::Toml(e.to_string()))?;
    check_addresses(source)?;
    let mut bundle = Bundle {
        cluster: header.cluster,
        version: header.version,
        previous: header.previous,
        issued_at: header.issued_at,
        admins: document.admins.clone().map_or(header.admins, Into::into),
        people: people(&document),
        relying_party: document.passkeys.clone(),
        key_groups: key_groups(&document),
        assets: document.asset.iter().map(asset).collect::<Result<_, _>>()?,
        book: document.address.clone(),
        book_delay_ms: document.address_delay.map_or(0, |d| d.ms()),
        counters: Vec::new(),
        limit_ack: document.limit_ack,
        separations: Vec::new(),
        rules: Vec::new(),
        lifts: header.lifts,
        chains: ChainRules {
            bitcoin: document.bitcoin.network,
            change: document.bitcoin.change.clone(),
            fees: document
                .fee_bound
                .iter()
                .map(fee_bound)
                .collect::<Result<_, _>>()?,
        },
        source: source.to_owned(),
    };
    bundle.chains.check().map_err(SourceError::Content)?;
    rules::compile(&document, &mut bundle)?;
    bundle.rules.extend(document.cedar.iter().map(|raw| Rule {
        id: raw.id.clone(),
        cedar: raw.policy.clone(),
    }));
    Ok(bundle)
}

/// Rules that refuse dangers, as a bundle's text comes to now, where the bundle itself has none of
/// that id: it was made by a program that did not know the danger. What the text allows stays
/// allowed; where the text cannot be read any more, what such a program cannot have known is
/// refused.
pub(crate) fn unwritten_refusals(bundle: &Bundle) -> Vec<Rule> {
    let there = |rule: &Rule| bundle.rules.iter().any(|r| r.id == rule.id);
    let mut refusals = match recompiled(bundle) {
        Ok(now) => rules::refusals(&now.rules),
        Err(_) => rules::later_refusals(),
    };
    refusals.retain(|rule| !there(rule));
    refusals
}

/// What a bundle's text comes to now.
fn recompiled(bundle: &Bundle) -> Result<Bundle, SourceError> {
    let header = Header {
        cluster: bundle.cluster,
        version: bundle.version,
        previous: bundle.previous,
        issued_at: bundle.issued_at,
        admins: bundle.admins.clone(),
        lifts: bundle.lifts.clone(),
    };
    compile(&bundle.source, header)
}

/// Addresses are compared as texts: one in another spelling than the facts' would never match, and a rule that is about it would be silent.
fn check_addresses(source: &str) -> Result<(), SourceError> {
    let value: toml::Value =
        toml::from_str(source).map_err(|e| SourceError::Toml(e.to_string()))?;
    let mut queue = vec![&value];
    while let Some(value) = queue.pop() {
        match value {
            toml::Value::String(text) => check_address(text)?,
            toml::Value::Array(items) => queue.extend(items),
            toml::Value::Table(table) => queue.extend(table.values()),
            _ => {}
        }
    }
    Ok(())
}

fn check_address(text: &str) -> Result<(), SourceError> {
    let looks_like_one =
        text.len() == 42 && text.get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x"));
    if looks_like_one && !quorate_chain::address::is_checksummed(text) {
        return Err(SourceError::Content(format!(
            "{text} is not written with its EIP-55 checksum, as transactions are shown"
        )));
    }
    Ok(())
}

fn people(document: &Document) -> Vec<Person> {
    let people = document.people.iter();
    people
        .map(|(id, person)| {
            let keys = person
                .ed25519
                .iter()
                .map(|key| Credential::Ed25519 { key: key.0 });
            let passkeys = person.passkeys.iter().cloned().map(Credential::Passkey);
            Person {
                id: id.clone(),
                groups: person.groups.clone(),
                roles: person.roles.clone(),
                guardian: person.guardian,
                credentials: keys.chain(passkeys).collect(),
            }
        })
        .collect()
}

fn key_groups(document: &Document) -> Vec<KeyGroup> {
    let groups = document.key_groups.iter();
    groups
        .map(|(name, keys)| KeyGroup {
            name: name.clone(),
            keys: keys.clone(),
        })
        .collect()
}

/// Digits after the point of one whole coin of a chain's own.
const fn coin_decimals(network: Network) -> u8 {
    match network {
        Network::Evm { .. } => 18,
        Network::Bitcoin(_) => 8,
        Network::Solana => 9,
    }
}

fn fee_bound(entry: &document::FeeBoundEntry) -> Result<FeeBound, SourceError> {
    let document::FeeBoundEntry {
        network,
        most,
        percent,
        free,
    } = entry;
    let decimals = coin_decimals(*network);
    let default = FeeBound::default_of(*network);
    let coins = |text: &Option<String>, default: u128| {
        match text {
        None => Ok(default),
        Some(text) => digits(text, decimals).ok_or_else(|| {
            SourceError::Content(format!(
                "fee_bound of {network}: {text:?} is no number of whole coins with at most {decimals} digits after the point"
            ))
        }),
    }
    };
    Ok(FeeBound {
        network: *network,
        most: coins(most, default.most)?,
        percent: percent.unwrap_or(default.percent),
        free: coins(free, default.free)?,
    })
}

fn asset(entry: &document::AssetEntry) -> Result<Asset, SourceError> {
    let named_well = (1..=24).contains(&entry.id.len())
        && entry
            .id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !named_well {
        return Err(SourceError::Content(format!(
            "asset {:?}: a name is 1 to 24 letters, digits, '.', '_' or '-'",
            entry.id
        )));
    }
    Ok(Asset {
        id: entry.id.clone(),
        network: entry.network,
        contract: entry.contract.clone(),
        decimals: entry.decimals,
        precision: entry.precision.unwrap_or_else(|| entry.decimals.min(8)),
    })
}
