//! Policy bundles: who people are, what is allowed, signed by m-of-n admins, each version naming the one before (I7).
//!
//! A bundle is data; what its rules mean is the `policy` crate's work.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Read, Write};

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::roster::{usable_key, verify_ed25519};
use crate::{
    ChainRules, GroupName, Hash32, KeyName, Network, Passkey, PersonId, RelyingParty, RoleName,
    RuleId, ValidRoster,
};

/// One admin.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Name.
    pub id: PersonId,
    /// Ed25519 public key, 32 bytes.
    #[serde(with = "hex::serde")]
    pub key: [u8; 32],
}

/// Who signs bundles: `quorum` of the members.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admins {
    /// m, at least 1.
    pub quorum: u16,
    /// n of them.
    pub members: Vec<Admin>,
}

impl Admins {
    /// One admin who signs alone: for a cluster of one's own, and to begin with.
    #[must_use]
    pub fn single(id: PersonId, key: [u8; 32]) -> Self {
        Self {
            quorum: 1,
            members: vec![Admin { id, key }],
        }
    }

    /// Names and keys are different, keys are usable, and a quorum exists.
    ///
    /// # Errors
    /// [`BundleError::Admins`].
    pub fn check(&self) -> Result<(), BundleError> {
        let bad = |what: String| Err(BundleError::Admins(what));
        if self.quorum == 0 || usize::from(self.quorum) > self.members.len() {
            return bad(format!(
                "{} of {} cannot sign; the quorum is 1 to the number of admins",
                self.quorum,
                self.members.len()
            ));
        }
        let names: BTreeSet<_> = self.members.iter().map(|a| &a.id).collect();
        let keys: BTreeSet<_> = self.members.iter().map(|a| &a.key).collect();
        if names.len() != self.members.len() || keys.len() != self.members.len() {
            return bad("a name or a key is listed twice".to_owned());
        }
        match self.members.iter().find(|a| !usable_key(&a.key)) {
            Some(admin) => bad(format!("the key of {} is not a valid public key", admin.id)),
            None => Ok(()),
        }
    }

    /// Which admins' signatures over the message are among these; strangers and repetitions are left out.
    #[must_use]
    pub fn signers(&self, message: &[u8], signatures: &[AdminSignature]) -> BTreeSet<PersonId> {
        let signed = |admin: &&Admin| {
            signatures
                .iter()
                .any(|s| s.admin == admin.id && verify_ed25519(&admin.key, message, &s.signature))
        };
        let good = self.members.iter().filter(signed);
        good.map(|admin| admin.id.clone()).collect()
    }
}

/// What a person signs with.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Credential {
    /// An Ed25519 key, 32 bytes.
    Ed25519 {
        /// The public key.
        #[serde(with = "hex::serde")]
        key: [u8; 32],
    },
    /// A passkey.
    Passkey(Passkey),
}

/// A human. However many credentials one has, one's approval counts once.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Name. An operator of the roster with this name is this person.
    pub id: PersonId,
    /// Groups.
    pub groups: Vec<GroupName>,
    /// Roles.
    pub roles: Vec<RoleName>,
    /// Whether one signature of theirs stops everything.
    pub guardian: bool,
    /// What they sign with.
    pub credentials: Vec<Credential>,
}

/// Keys that rules name together.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyGroup {
    /// Name.
    pub name: GroupName,
    /// Members.
    pub keys: Vec<KeyName>,
}

/// An asset that rules may name, and how its amounts become policy units.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Name in rules, for example `ETH`.
    pub id: String,
    /// Its chain.
    pub network: Network,
    /// EVM: the token's contract, EIP-55. Solana: the mint. `None` is the chain's own coin.
    pub contract: Option<String>,
    /// Decimals of one whole unit: 18 for ether.
    pub decimals: u8,
    /// Decimals that policies see, at most `decimals`: a policy unit is `10^-precision` whole units; amounts are rounded up to it.
    pub precision: u8,
}

/// An address that rules may rely on.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookEntry {
    /// Its chain.
    pub network: Network,
    /// The address as facts show it.
    pub address: String,
    /// For people and rules.
    pub label: String,
}

/// What a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", from = "MeasureForm")]
pub enum Measure {
    /// Policy units of an asset; the chain's own coin with the most the fee can be.
    Amount {
        /// The asset's name.
        asset: String,
    },
    /// Requests; of a batch each payload.
    Count,
}

/// How a measure is read: serde refuses unknown fields of `Count {}`, and takes any of `Count`.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum MeasureForm {
    Amount { asset: String },
    Count {},
}

impl From<MeasureForm> for Measure {
    fn from(form: MeasureForm) -> Self {
        match form {
            MeasureForm::Amount { asset } => Self::Amount { asset },
            MeasureForm::Count {} => Self::Count,
        }
    }
}

/// A sum or count over a rolling window, this request included; rules compare it. An empty list is "all".
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// Name in rules.
    pub id: RuleId,
    /// What is counted.
    pub measure: Measure,
    /// How far back, in milliseconds.
    pub window_ms: u64,
    /// Only these keys.
    pub keys: Vec<KeyName>,
    /// Only these destinations.
    pub destinations: Vec<String>,
    /// Each key by itself.
    pub per_key: bool,
    /// Each destination by itself.
    pub per_destination: bool,
}

/// One Cedar policy.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its id in decisions.
    pub id: RuleId,
    /// Exactly one policy, with `@pending("...")` where it may be lifted.
    pub cedar: String,
}

/// Everything an agent decides by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The cluster it is for, see [`ValidRoster::cluster_id`].
    pub cluster: Hash32,
    /// From 1, by one.
    pub version: u64,
    /// Hash of the version before; zeros for version 1.
    pub previous: Hash32,
    /// Unix milliseconds.
    pub issued_at: u64,
    /// Who signs the next version. This one is signed by those of the version before, the first by the roster's.
    pub admins: Admins,
    /// The people.
    pub people: Vec<Person>,
    /// Where passkeys are used.
    pub relying_party: Option<RelyingParty>,
    /// Groups of keys.
    pub key_groups: Vec<KeyGroup>,
    /// Known assets.
    pub assets: Vec<Asset>,
    /// The address book.
    pub book: Vec<BookEntry>,
    /// How long an entry must have been in force before it counts, in milliseconds.
    pub book_delay_ms: u64,
    /// Rolling counters.
    pub counters: Vec<Counter>,
    /// How many agents must acknowledge a spend that a counter counts; `None`: those that sign.
    pub limit_ack: Option<u16>,
    /// In each list, nobody is in two of the groups, and a proposer's own group does not approve.
    pub separations: Vec<Vec<GroupName>>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// Freeze orders that this bundle lifts, by their hashes.
    pub lifts: Vec<Hash32>,
    /// What the signed bytes of a chain leave open.
    #[serde(default, skip_serializing_if = "is_default")]
    pub chains: ChainRules,
    /// The text it was compiled from, for people.
    pub source: String,
}

fn is_default(rules: &ChainRules) -> bool {
    *rules == ChainRules::default()
}

/// In a bundle's canonical bytes, where the length of its text would be: chain rules follow, then
/// the text. No text is as long, and bundles without chain rules keep the bytes, hashes and
/// signatures that they had before there were any.
const CHAIN_RULES: u32 = u32::MAX;

impl BorshSerialize for Bundle {
    fn serialize<W: Write>(&self, writer: &mut W) -> std::io::Result<()> {
        let Self {
            cluster,
            version,
            previous,
            issued_at,
            admins,
            people,
            relying_party,
            key_groups,
            assets,
            book,
            book_delay_ms,
            counters,
            limit_ack,
            separations,
            rules,
            lifts,
            chains,
            source,
        } = self;
        borsh::to_writer(
            &mut *writer,
            &(cluster, version, previous, issued_at, admins),
        )?;
        borsh::to_writer(&mut *writer, &(people, relying_party, key_groups, assets))?;
        borsh::to_writer(&mut *writer, &(book, book_delay_ms, counters, limit_ack))?;
        borsh::to_writer(&mut *writer, &(separations, rules, lifts))?;
        if !is_default(chains) {
            borsh::to_writer(&mut *writer, &(CHAIN_RULES, chains))?;
        }
        borsh::to_writer(&mut *writer, source)
    }
}

impl BorshDeserialize for Bundle {
    fn deserialize_reader<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        Ok(Self {
            cluster: BorshDeserialize::deserialize_reader(reader)?,
            version: BorshDeserialize::deserialize_reader(reader)?,
            previous: BorshDeserialize::deserialize_reader(reader)?,
            issued_at: BorshDeserialize::deserialize_reader(reader)?,
            admins: BorshDeserialize::deserialize_reader(reader)?,
            people: BorshDeserialize::deserialize_reader(reader)?,
            relying_party: BorshDeserialize::deserialize_reader(reader)?,
            key_groups: BorshDeserialize::deserialize_reader(reader)?,
            assets: BorshDeserialize::deserialize_reader(reader)?,
            book: BorshDeserialize::deserialize_reader(reader)?,
            book_delay_ms: BorshDeserialize::deserialize_reader(reader)?,
            counters: BorshDeserialize::deserialize_reader(reader)?,
            limit_ack: BorshDeserialize::deserialize_reader(reader)?,
            separations: BorshDeserialize::deserialize_reader(reader)?,
            rules: BorshDeserialize::deserialize_reader(reader)?,
            lifts: BorshDeserialize::deserialize_reader(reader)?,
            ..Self::rest(reader)?
        })
    }
}

impl Bundle {
    /// A bundle with nothing but chain rules and text, as they end the canonical bytes.
    fn rest<R: Read>(reader: &mut R) -> std::io::Result<Self> {
        let malformed = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
        let mut length = u32::deserialize_reader(reader)?;
        let mut chains = ChainRules::default();
        if length == CHAIN_RULES {
            chains = ChainRules::deserialize_reader(reader)?;
            if is_default(&chains) {
                return Err(malformed("chain rules that say nothing are left out"));
            }
            length = u32::deserialize_reader(reader)?;
        }
        let mut text = Vec::new();
        reader
            .by_ref()
            .take(u64::from(length))
            .read_to_end(&mut text)?;
        if u32::try_from(text.len()) != Ok(length) {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the text is cut off"));
        }
        let source = String::from_utf8(text).map_err(|_| malformed("the text is not UTF-8"))?;
        Ok(Self {
            chains,
            source,
            ..Self::empty(Hash32::from_bytes([0; 32]))
        })
    }

    /// A bundle of version 0, which no agent brings into force: it allows and counts nothing.
    #[must_use]
    pub fn empty(cluster: Hash32) -> Self {
        Self {
            cluster,
            version: 0,
            previous: Hash32::from_bytes([0; 32]),
            issued_at: 0,
            admins: Admins {
                quorum: 0,
                members: Vec::new(),
            },
            people: Vec::new(),
            relying_party: None,
            key_groups: Vec::new(),
            assets: Vec::new(),
            book: Vec::new(),
            book_delay_ms: 0,
            counters: Vec::new(),
            limit_ack: None,
            separations: Vec::new(),
            rules: Vec::new(),
            lifts: Vec::new(),
            chains: ChainRules::default(),
            source: String::new(),
        }
    }
}

impl Canonical for Bundle {
    const DOMAIN: &'static str = "quorate/policy-bundle/v1";
}

/// One admin's Ed25519 signature over a bundle's [`Canonical::signing_bytes`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSignature {
    /// Who.
    pub admin: PersonId,
    /// 64 bytes.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
}

/// A bundle with signatures.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedBundle {
    /// The bundle.
    pub bundle: Bundle,
    /// Signatures.
    pub signatures: Vec<AdminSignature>,
}

impl Canonical for SignedBundle {
    const DOMAIN: &'static str = "quorate/signed-policy-bundle/v1";
}

impl SignedBundle {
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 1 << 20;
}

/// Why a bundle does not come into force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Admins that cannot sign anything, or ambiguously.
    #[error("the bundle's admins: {0}")]
    Admins(String),
    /// For another cluster.
    #[error("the bundle is for cluster {theirs}, not {ours}")]
    OtherCluster {
        /// In the bundle.
        theirs: Hash32,
        /// The verifier's.
        ours: Hash32,
    },
    /// Not the next one.
    #[error("the bundle is version {found}; the next one is {expected}")]
    Version {
        /// What comes next.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Its `previous` is not the hash of the version in force.
    #[error(
        "the bundle was made after another version {0} than the one in force; make it again from that"
    )]
    Previous(u64),
    /// Not enough admins signed.
    #[error("{} of the {needed} signatures needed are there ({}); the admins of the version before sign", .signed.len(), names(.signed))]
    Signatures {
        /// Whose are there.
        signed: BTreeSet<PersonId>,
        /// How many are needed.
        needed: u16,
    },
    /// Something in it contradicts something else.
    #[error("the bundle is not usable: {0}")]
    Content(String),
}

fn names(people: &BTreeSet<PersonId>) -> String {
    if people.is_empty() {
        return "nobody's".to_owned();
    }
    let names: Vec<_> = people.iter().map(PersonId::as_str).collect();
    names.join(", ")
}

/// A bundle whose place in the chain, signatures and content have been checked. Only [`SignedBundle::follow`] makes one.
#[derive(Debug, Clone)]
pub struct ValidBundle {
    signed: SignedBundle,
    hash: Hash32,
}

impl ValidBundle {
    /// The bundle.
    #[must_use]
    pub const fn bundle(&self) -> &Bundle {
        &self.signed.bundle
    }

    /// With its signatures.
    #[must_use]
    pub const fn signed(&self) -> &SignedBundle {
        &self.signed
    }

    /// Its canonical hash.
    #[must_use]
    pub const fn hash(&self) -> Hash32 {
        self.hash
    }

    /// A person by name.
    #[must_use]
    pub fn person(&self, id: &PersonId) -> Option<&Person> {
        self.bundle().people.iter().find(|p| p.id == *id)
    }
}

impl SignedBundle {
    /// Checks that this is the version after `previous` (or the first) and that the right admins signed it (I7).
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn follow(
        self,
        roster: &ValidRoster,
        previous: Option<&ValidBundle>,
    ) -> Result<ValidBundle, BundleError> {
        let bundle = &self.bundle;
        if bundle.cluster != roster.cluster_id() {
            return Err(BundleError::OtherCluster {
                theirs: bundle.cluster,
                ours: roster.cluster_id(),
            });
        }
        let expected = previous.map_or(0, |p| p.bundle().version).saturating_add(1);
        if bundle.version != expected {
            return Err(BundleError::Version {
                expected,
                found: bundle.version,
            });
        }
        let before = previous.map_or_else(|| Hash32::from_bytes([0; 32]), ValidBundle::hash);
        if bundle.previous != before {
            return Err(BundleError::Previous(expected.saturating_sub(1)));
        }
        let admins = previous.map_or(&roster.roster().admins, |p| &p.bundle().admins);
        let signed = admins.signers(&bundle.signing_bytes(), &self.signatures);
        if signed.len() < usize::from(admins.quorum) {
            return Err(BundleError::Signatures {
                signed,
                needed: admins.quorum,
            });
        }
        bundle.check(roster)?;
        let hash = bundle.canonical_hash();
        Ok(ValidBundle { signed: self, hash })
    }
}

impl Bundle {
    /// Everything that can be checked without the rules' meaning.
    ///
    /// # Errors
    /// [`BundleError::Admins`], [`BundleError::Content`].
    pub fn check(&self, roster: &ValidRoster) -> Result<(), BundleError> {
        self.admins.check()?;
        self.check_people(roster)?;
        self.check_relying_party()?;
        self.check_assets()?;
        self.check_counters(roster)?;
        self.chains.check().map_err(BundleError::Content)?;
        unique("rule", self.rules.iter().map(|r| r.id.as_str()))?;
        unique("key group", self.key_groups.iter().map(|g| g.name.as_str()))?;
        let entries: Vec<String> = self
            .book
            .iter()
            .map(|e| format!("{} {}", e.network, e.address))
            .collect();
        unique("address", entries.iter().map(String::as_str))
    }

    fn check_people(&self, roster: &ValidRoster) -> Result<(), BundleError> {
        unique("person", self.people.iter().map(|p| p.id.as_str()))?;
        let credentials = self.people.iter().flat_map(|p| &p.credentials);
        let keys: Vec<String> = credentials
            .map(|c| match c {
                Credential::Ed25519 { key } => hex::encode(key),
                Credential::Passkey(passkey) => hex::encode(&passkey.credential_id),
            })
            .collect();
        // One human with two names would approve twice.
        unique("credential", keys.iter().map(String::as_str))?;
        for operator in &roster.roster().operators {
            let same_key = Credential::Ed25519 { key: operator.key };
            let by_key = self
                .people
                .iter()
                .find(|p| p.credentials.contains(&same_key));
            let named = self.people.iter().any(|p| p.id == operator.id.person());
            if by_key.is_some_and(|p| named && p.id != operator.id.person()) {
                return content(format!(
                    "operator {} has the name of one person and the key of another",
                    operator.id
                ));
            }
        }
        for person in &self.people {
            for credential in &person.credentials {
                match credential {
                    Credential::Ed25519 { key } if !usable_key(key) => {
                        return content(format!(
                            "a key of {} is not a valid public key",
                            person.id
                        ));
                    }
                    Credential::Passkey(_) if self.relying_party.is_none() => {
                        return content(format!(
                            "{} has a passkey, but no relying party says where passkeys are used",
                            person.id
                        ));
                    }
                    _ => {}
                }
            }
            for separated in &self.separations {
                let of: Vec<_> = separated
                    .iter()
                    .filter(|g| person.groups.contains(g))
                    .collect();
                if of.len() > 1 {
                    return content(format!(
                        "{} is in two groups that are kept apart",
                        person.id
                    ));
                }
            }
        }
        Ok(())
    }

    /// Browsers give a passkey's assertion only to pages of its relying party; others here could only be a mistake.
    fn check_relying_party(&self) -> Result<(), BundleError> {
        let Some(party) = &self.relying_party else {
            return Ok(());
        };
        let host = |origin: &str| {
            let rest = origin.strip_prefix("https://").or_else(|| {
                origin
                    .strip_prefix("http://")
                    .filter(|r| r.starts_with("localhost"))
            })?;
            let host = rest.split_once(':').map_or(rest, |(host, _)| host);
            Some(host.to_owned())
        };
        let fits = |origin: &String| {
            host(origin).is_some_and(|h| h == party.id || h.ends_with(&format!(".{}", party.id)))
        };
        if party.id.is_empty() || party.origins.is_empty() || !party.origins.iter().all(fits) {
            return content(format!(
                "the origins of relying party {:?} must be https://<its name or a name below it>, or http://localhost",
                party.id
            ));
        }
        Ok(())
    }

    fn check_assets(&self) -> Result<(), BundleError> {
        unique("asset", self.assets.iter().map(|a| a.id.as_str()))?;
        let places: Vec<String> = self
            .assets
            .iter()
            .map(|a| format!("{} {}", a.network, a.contract.as_deref().unwrap_or("coin")))
            .collect();
        unique("asset's place", places.iter().map(String::as_str))?;
        match self
            .assets
            .iter()
            .find(|a| a.precision > a.decimals || a.decimals > 36)
        {
            Some(asset) => content(format!(
                "{} has precision {} of {} decimals; at most 36, and precision not above decimals",
                asset.id, asset.precision, asset.decimals
            )),
            None => Ok(()),
        }
    }

    fn check_counters(&self, roster: &ValidRoster) -> Result<(), BundleError> {
        unique("counter", self.counters.iter().map(|c| c.id.as_str()))?;
        for counter in &self.counters {
            if let Measure::Amount { asset } = &counter.measure
                && !self.assets.iter().any(|a| a.id == *asset)
            {
                return content(format!(
                    "counter {} counts unknown asset {asset}",
                    counter.id
                ));
            }
            if counter.window_ms == 0 || counter.window_ms > Self::MAX_WINDOW_MS {
                return content(format!(
                    "the window of counter {} is not 1 ms to 366 days",
                    counter.id
                ));
            }
        }
        let threshold = roster.threshold();
        if !self.counters.is_empty() && 2 * u32::from(threshold.t()) <= u32::from(threshold.n()) {
            return content(format!(
                "rolling limits need 2t > n, or two quorums could have no custodian in common; this cluster is {threshold}"
            ));
        }
        match self.limit_ack {
            Some(q) if q < threshold.t() || q > threshold.n() => content(format!(
                "limit_ack is {q}; it must be from {} to {}",
                threshold.t(),
                threshold.n()
            )),
            _ => Ok(()),
        }
    }

    /// The longest rolling window, in milliseconds.
    pub const MAX_WINDOW_MS: u64 = 366 * 24 * 60 * 60 * 1000;

    /// The longest window of any counter, in milliseconds.
    #[must_use]
    pub fn longest_window(&self) -> u64 {
        self.counters.iter().map(|c| c.window_ms).max().unwrap_or(0)
    }
}

fn content(what: String) -> Result<(), BundleError> {
    Err(BundleError::Content(what))
}

fn unique<'a>(what: &str, items: impl Iterator<Item = &'a str>) -> Result<(), BundleError> {
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(item) {
            return content(format!("{what} {item} is listed twice"));
        }
    }
    Ok(())
}
