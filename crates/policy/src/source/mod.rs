//! `policy.toml`: the common rules in a few readable lines, and raw Cedar beside them. Compiled into a [`Bundle`]; what admins sign and agents
//! evaluate is the compiled form, and the text goes with it for people.

mod cedar;
mod document;
mod rules;

use quorate_types::bundle::Admins;
use quorate_types::{Asset, Bundle, Credential, Hash32, KeyGroup, Person, Rule};

use document::Document;

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
        source: source.to_owned(),
    };
    rules::compile(&document, &mut bundle)?;
    bundle.rules.extend(document.cedar.iter().map(|raw| Rule {
        id: raw.id.clone(),
        cedar: raw.policy.clone(),
    }));
    Ok(bundle)
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
