//! Generated policies and requests.

use std::fmt::Write as _;

use ed25519_dalek::Signer as _;
use quorate_chain::{AssetRef, Call, Danger, Effects, Movement, MovementKind, Reading, U256};
use quorate_policy::{Act, Book, Decision, Engine, Evidence, History, Request, Spend, compile};
use quorate_types::ChainRules;
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    Approval, Asset, BookEntry, Counter, Hash32, IntentHash, KeyId, KeyName, Measure, Network,
    OperatorId, Payload, Proof, RuleId, SignedApproval, Verdict,
};

use crate::support::*;

/// Numbers to choose by; 0, the plainest choice, when they have run out.
pub struct Tape {
    choices: Vec<u32>,
    at: usize,
}

impl Tape {
    pub const fn new(choices: Vec<u32>) -> Self {
        Self { choices, at: 0 }
    }

    pub fn below(&mut self, n: usize) -> usize {
        let choice = self.choices.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        choice as usize % n
    }

    /// One time in `n`, and not when the numbers have run out.
    pub fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Some of them, mostly few.
    pub fn some<T: Clone>(&mut self, of: &[T], one_in: usize) -> Vec<T> {
        let mut some = Vec::new();
        for item in of {
            if self.rarely(one_in) {
                some.push(item.clone());
            }
        }
        some
    }

    fn at_least_one<T: Clone>(&mut self, of: &[T]) -> Vec<T> {
        let mut some = self.some(of, 3);
        if some.is_empty() {
            some.push(of[self.below(of.len())].clone());
        }
        some
    }
}

pub const KEYS: [&str; 3] = ["hot", "vault", "reserve"];
pub const KEY_GROUPS: [(&str, &[&str]); 2] = [("cold", &["vault", "reserve"]), ("any", &KEYS)];
pub const GROUPS: [&str; 3] = ["treasury", "risk", "trading"];
const ROLES: [&str; 2] = ["head", "compliance"];
const PEOPLE: [&str; 5] = ["ann", "ben", "cas", "trader", "bot"];
const OPERATORS: [&str; 3] = ["operator", "trader", "bot"];
pub const NETWORKS: [&str; 4] = ["ethereum", "ethereum:10", "bitcoin", "bitcoin-testnet"];
const PLACES: [&str; 4] = [ALICE, BOB, "bc1qdestination", "elsewhere"];
const METHODS: [&str; 3] = ["0xa9059cbb", "0x095ea7b3", "0x"];
pub const ACTIONS: [&str; 7] = [
    "transaction",
    "message",
    "typed-data",
    "raw",
    "create-key",
    "set-up-committee",
    "set-protocol",
];
/// Nothing is signed by these.
const UNSIGNED: [&str; 3] = ["create-key", "set-up-committee", "set-protocol"];
/// Policy units at which rules and requests meet.
const UNITS: [i64; 8] = [0, 1, 2, 5, 10, 1000, i64::MAX - 1, i64::MAX];

#[derive(Debug, Clone)]
pub struct Human {
    pub name: &'static str,
    pub groups: Vec<&'static str>,
    pub roles: Vec<&'static str>,
    /// The names of its keys.
    pub keys: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct When {
    pub keys: Vec<&'static str>,
    pub key_group: Option<&'static str>,
    pub networks: Vec<&'static str>,
    pub asset: Option<usize>,
    pub above: Option<i64>,
    pub destinations: Vec<&'static str>,
    pub unknown_destination: bool,
    pub proposed_by: Vec<&'static str>,
    pub actions: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Contract {
    pub contract: &'static str,
    pub methods: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Initiators(Vec<&'static str>, When),
    Threshold(&'static str, usize, When),
    Roles(Vec<&'static str>, When),
    Limit {
        asset: usize,
        max: i64,
        window: Option<&'static str>,
        per: Vec<&'static str>,
        keys: Vec<&'static str>,
        key_group: Option<&'static str>,
        destinations: Vec<&'static str>,
        or: Option<(&'static str, usize)>,
    },
    Velocity {
        max: u32,
        window: &'static str,
        per: Vec<&'static str>,
        keys: Vec<&'static str>,
    },
    TimeLock(&'static str, When),
    Gather(&'static str, usize, &'static str, When),
    Hours {
        days: Vec<&'static str>,
        from: u64,
        to: u64,
        /// Minutes east of Greenwich.
        offset: i64,
        when: When,
    },
    AddressBook(When),
    Destinations(Vec<&'static str>, When),
    Contracts(Vec<Contract>, When),
    Chains(Vec<&'static str>, When),
    Assets(Vec<usize>, When),
    Fee {
        asset: usize,
        max: Option<i64>,
        rate: Option<u32>,
    },
    Raw(Vec<&'static str>, Vec<&'static str>),
    AllowDanger(Vec<&'static str>, Vec<Contract>, When),
    AllowUnknownAssets(When),
    Separation(Vec<&'static str>),
}

/// A policy.
pub struct World {
    pub humans: Vec<Human>,
    pub assets: Vec<Asset>,
    /// Which entries are old enough, with the others.
    pub book: Vec<(BookEntry, bool)>,
    pub rules: Vec<(String, Kind)>,
    pub names_change: bool,
    pub text: String,
}

pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WINDOWS: [&str; 4] = ["24h", "90s", "15m", "7d"];

pub fn span(text: &str) -> u64 {
    match text {
        "90s" => 90_000,
        "15m" => 15 * MINUTE,
        "24h" => 24 * HOUR,
        "7d" => 7 * 24 * HOUR,
        _ => panic!("{text}"),
    }
}

impl World {
    pub fn new(tape: &mut Tape) -> Self {
        let humans = humans(tape);
        let assets = assets(tape);
        let mut world = Self {
            book: book(tape),
            rules: Vec::new(),
            names_change: tape.rarely(3),
            text: String::new(),
            humans,
            assets,
        };
        for number in 0..1 + tape.below(6) {
            if let Some(kind) = world.rule(tape) {
                world.rules.push((format!("rule-{number}"), kind));
            }
        }
        world.text = world.toml();
        world
    }

    /// As its text says; change is what goes below m/1, on some.
    pub fn chains(&self) -> ChainRules {
        ChainRules {
            change: match self.names_change {
                true => vec!["m/1".parse().unwrap()],
                false => Vec::new(),
            },
            ..ChainRules::default()
        }
    }

    /// One whose addresses are all old enough, which its text does not say.
    pub fn of_age(tape: &mut Tape) -> Self {
        let mut world = Self::new(tape);
        for (_, usable) in &mut world.book {
            *usable = true;
        }
        world
    }

    /// Nobody, or so many.
    fn members(&self, group: &str) -> usize {
        let of = |h: &&Human| h.groups.contains(&group);
        self.humans.iter().filter(of).count()
    }

    fn groups(&self) -> Vec<&'static str> {
        let there = |g: &&&str| self.members(g) > 0;
        GROUPS.iter().filter(there).copied().collect()
    }

    fn approvals(&self, tape: &mut Tape) -> Option<(&'static str, usize)> {
        let groups = self.groups();
        if groups.is_empty() {
            return None;
        }
        let group = tape.one(&groups);
        Some((group, 1 + tape.below(self.members(group))))
    }

    fn when(&self, tape: &mut Tape) -> When {
        if !tape.rarely(2) {
            return When::default();
        }
        let asset = tape.rarely(3).then(|| tape.below(self.assets.len()));
        When {
            keys: tape.some(&KEYS, 8),
            key_group: tape.rarely(6).then(|| tape.one(&KEY_GROUPS).0),
            networks: tape.some(&NETWORKS, 8),
            asset,
            above: (asset.is_some() && tape.rarely(2)).then(|| limit(tape)),
            destinations: tape.some(&PLACES, 8),
            unknown_destination: tape.rarely(6),
            proposed_by: if tape.rarely(4) {
                tape.some(&self.groups(), 2)
            } else {
                Vec::new()
            },
            actions: tape.some(&ACTIONS, 12),
        }
    }

    fn rule(&self, tape: &mut Tape) -> Option<Kind> {
        let list = |tape: &mut Tape| tape.at_least_one(&PLACES);
        Some(match tape.below(18) {
            0 | 1 => {
                let (group, count) = self.approvals(tape)?;
                Kind::Threshold(group, count, self.when(tape))
            }
            2..=4 => {
                let window = (!tape.rarely(3)).then(|| tape.one(&WINDOWS));
                Kind::Limit {
                    asset: tape.below(self.assets.len()),
                    max: limit(tape),
                    per: match window {
                        Some(_) => tape.some(&["key", "destination"], 3),
                        None => Vec::new(),
                    },
                    window,
                    keys: tape.some(&KEYS, 6),
                    key_group: tape.rarely(6).then_some("cold"),
                    destinations: tape.some(&PLACES, 8),
                    or: if tape.rarely(2) {
                        self.approvals(tape)
                    } else {
                        None
                    },
                }
            }
            5 => Kind::Velocity {
                max: tape.one(&[3, 0, 1, 2, u32::MAX]),
                window: tape.one(&WINDOWS),
                per: tape.some(&["key", "destination"], 3),
                keys: tape.some(&KEYS, 6),
            },
            16 => {
                let (group, count) = self.approvals(tape)?;
                Kind::Gather(group, count, tape.one(&WINDOWS), self.when(tape))
            }
            6 => Kind::TimeLock(tape.one(&WINDOWS), self.when(tape)),
            7 => {
                let from = tape.one(&[0, 8 * 60, 17 * 60 + 46, 23 * 60 + 59]);
                Kind::Hours {
                    days: tape.at_least_one(&DAYS),
                    from,
                    to: tape.one(&[1440, from + 1, (from + 300).min(1440)]),
                    offset: tape.one(&[0, 60, -60, 330, 840, -840]),
                    when: self.when(tape),
                }
            }
            8 => Kind::AddressBook(self.when(tape)),
            9 => Kind::Destinations(list(tape), self.when(tape)),
            10 => Kind::Contracts(contracts(tape)?, self.when(tape)),
            11 => match tape.below(2) {
                0 => Kind::Chains(tape.at_least_one(&NETWORKS), self.when(tape)),
                _ => {
                    let all: Vec<usize> = (0..self.assets.len()).collect();
                    Kind::Assets(tape.at_least_one(&all), self.when(tape))
                }
            },
            12 => {
                let max = tape.rarely(2).then(|| limit(tape));
                let rate = max.is_none() || tape.rarely(2);
                Kind::Fee {
                    asset: tape.one(&[0, 2]),
                    max,
                    rate: rate.then(|| tape.one(&[10, 0, 200])),
                }
            }
            13 => {
                let groups = self.groups();
                Kind::Raw(tape.some(&KEYS, 4), tape.some(&groups, 4))
            }
            14 => match tape.below(3) {
                0 => Kind::AllowUnknownAssets(self.when(tape)),
                _ => {
                    let dangers: Vec<&str> = Danger::ALL.iter().map(|d| d.name()).collect();
                    let calls = if tape.rarely(2) {
                        contracts(tape)?
                    } else {
                        Vec::new()
                    };
                    Kind::AllowDanger(tape.at_least_one(&dangers), calls, self.when(tape))
                }
            },
            15 => match tape.below(3) {
                0 => {
                    let apart = tape.at_least_one(&GROUPS);
                    let both =
                        |h: &Human| h.groups.iter().filter(|g| apart.contains(g)).count() > 1;
                    if self.humans.iter().any(both) {
                        return None;
                    }
                    Kind::Separation(apart)
                }
                _ => {
                    let groups = self.groups();
                    if groups.is_empty() {
                        return None;
                    }
                    Kind::Initiators(tape.at_least_one(&groups), self.when(tape))
                }
            },
            _ => {
                let held = |r: &&&str| self.humans.iter().any(|h| h.roles.contains(r));
                let roles: Vec<&str> = ROLES.iter().filter(held).copied().collect();
                if roles.is_empty() {
                    return None;
                }
                Kind::Roles(tape.at_least_one(&roles), self.when(tape))
            }
        })
    }

    /// The policy, ready; `None` where its rules contradict themselves.
    pub fn engine(&self) -> Option<Engine> {
        let roster = roster(2, 3);
        let bundle = compile(&self.text, header(&roster, None))
            .unwrap_or_else(|e| panic!("{e}\n{}", self.text));
        let valid = signed_by(bundle, &["root-1", "root-2"])
            .follow(&roster, None)
            .unwrap_or_else(|e| panic!("{e}\n{}", self.text));
        Engine::new(valid).ok()
    }

    /// What rules with a window count, as the bundle should have it.
    pub fn counters(&self) -> Vec<Counter> {
        let name = |keys: &[&str]| keys.iter().map(|k| KeyName::new(k).unwrap()).collect();
        let counter = |(id, kind): &(String, Kind)| {
            let id = RuleId::new(id).unwrap();
            match kind {
                Kind::Limit {
                    asset,
                    window: Some(window),
                    per,
                    keys,
                    key_group,
                    destinations,
                    ..
                } => {
                    let mut keys = keys.clone();
                    if key_group.is_some() {
                        keys.extend(KEY_GROUPS[0].1);
                    }
                    Some(Counter {
                        id,
                        measure: Measure::Amount {
                            asset: self.assets[*asset].id.clone(),
                        },
                        window_ms: span(window),
                        keys: name(&keys),
                        destinations: destinations.iter().map(|d| (*d).to_owned()).collect(),
                        per_key: per.contains(&"key"),
                        per_destination: per.contains(&"destination"),
                    })
                }
                Kind::Velocity {
                    window, per, keys, ..
                } => Some(Counter {
                    id,
                    measure: Measure::Count,
                    window_ms: span(window),
                    keys: name(keys),
                    destinations: Vec::new(),
                    per_key: per.contains(&"key"),
                    per_destination: per.contains(&"destination"),
                }),
                _ => None,
            }
        };
        self.rules.iter().filter_map(counter).collect()
    }
}

fn limit(tape: &mut Tape) -> i64 {
    tape.one(&[5, 0, 1, 2, 10, 1000, i64::MAX - 1])
}

fn humans(tape: &mut Tape) -> Vec<Human> {
    let mut humans: Vec<Human> = Vec::new();
    for name in PEOPLE {
        if tape.rarely(6) {
            continue;
        }
        let mut keys = vec![name.to_owned()];
        if tape.rarely(3) {
            keys.push(format!("{name}-2"));
        }
        // The operator whom the policy has under another name.
        if name == "ann" && tape.rarely(4) {
            keys.push("operator".to_owned());
        }
        // A person of an operator's name with keys of its own.
        if name == "bot" && tape.rarely(2) {
            keys[0] = "bot-own".to_owned();
        }
        humans.push(Human {
            name,
            groups: tape.some(&GROUPS, 2),
            roles: tape.some(&ROLES, 2),
            keys,
        });
    }
    humans
}

fn assets(tape: &mut Tape) -> Vec<Asset> {
    let asset = |id: &str, network: &str, contract: Option<&str>, decimals, precision| Asset {
        id: id.to_owned(),
        network: network.parse().unwrap(),
        contract: contract.map(str::to_owned),
        decimals,
        precision,
    };
    let ether = tape.one(&[8, 0, 18, 17]);
    let coin = tape.one(&[6, 0, 5]);
    let mut assets = vec![
        asset("ETH", NETWORKS[0], None, 18, ether),
        asset("USDC", NETWORKS[0], Some(USDC), 6, coin),
        asset("BTC", NETWORKS[2], None, 8, 8),
    ];
    if tape.rarely(2) {
        assets.push(asset("USDC.op", NETWORKS[1], Some(USDC), 36, 2));
    }
    assets
}

fn book(tape: &mut Tape) -> Vec<(BookEntry, bool)> {
    let mut book = Vec::new();
    for network in NETWORKS {
        for address in PLACES {
            if tape.rarely(3) {
                let entry = BookEntry {
                    network: network.parse().unwrap(),
                    address: address.to_owned(),
                    label: "a label".to_owned(),
                };
                book.push((entry, !tape.rarely(4)));
            }
        }
    }
    book
}

fn contracts(tape: &mut Tape) -> Option<Vec<Contract>> {
    let mut entries: Vec<Contract> = Vec::new();
    for contract in [USDC, BOB] {
        if tape.rarely(2) {
            let methods = tape.some(&METHODS, 2);
            entries.push(Contract { contract, methods });
        }
    }
    (!entries.is_empty()).then_some(entries)
}

// The policy's text.

fn quoted(items: &[&str]) -> String {
    let items: Vec<String> = items.iter().map(|i| format!("\"{i}\"")).collect();
    format!("[{}]", items.join(", "))
}

/// Units as a decimal number of whole ones.
fn whole(units: i64, asset: &Asset) -> String {
    let width = usize::from(asset.precision);
    let digits = format!("{units:0>min$}", min = width + 1);
    let (whole, fraction) = digits.split_at(digits.len() - width);
    if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    }
}

fn clock(minutes: u64) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

impl World {
    fn toml(&self) -> String {
        let mut text = String::new();
        for h in &self.humans {
            let keys: Vec<String> = h.keys.iter().map(|k| public(k)).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let _ = writeln!(
                text,
                "[people.{}]\ngroups = {}\nroles = {}\ned25519 = {}",
                h.name,
                quoted(&h.groups),
                quoted(&h.roles),
                quoted(&keys)
            );
        }
        let _ = writeln!(text, "[key_groups]");
        for (name, keys) in KEY_GROUPS {
            let _ = writeln!(text, "{name} = {}", quoted(keys));
        }
        for a in &self.assets {
            let _ = writeln!(
                text,
                "[[asset]]\nid = \"{}\"\nnetwork = \"{}\"\ndecimals = {}\nprecision = {}",
                a.id, a.network, a.decimals, a.precision
            );
            if let Some(contract) = &a.contract {
                let _ = writeln!(text, "contract = \"{contract}\"");
            }
        }
        for (entry, _) in &self.book {
            let _ = writeln!(
                text,
                "[[address]]\nnetwork = \"{}\"\naddress = \"{}\"\nlabel = \"{}\"",
                entry.network, entry.address, entry.label
            );
        }
        if self.names_change {
            let _ = writeln!(text, "[bitcoin]\nchange = [\"m/1\"]");
        }
        for (id, kind) in &self.rules {
            let _ = writeln!(text, "[[rule]]\nid = \"{id}\"\n{}", self.rule_text(kind));
        }
        text
    }

    fn when_text(&self, when: &When) -> String {
        let mut parts = Vec::new();
        let mut list = |name: &str, items: &[&str]| {
            if !items.is_empty() {
                parts.push(format!("{name} = {}", quoted(items)));
            }
        };
        list("keys", &when.keys);
        list("networks", &when.networks);
        list("destinations", &when.destinations);
        list("proposed_by", &when.proposed_by);
        list("actions", &when.actions);
        if let Some(group) = when.key_group {
            parts.push(format!("key_group = \"{group}\""));
        }
        if let Some(asset) = when.asset {
            let asset = &self.assets[asset];
            parts.push(format!("asset = \"{}\"", asset.id));
            if let Some(above) = when.above {
                parts.push(format!("above = \"{}\"", whole(above, asset)));
            }
        }
        if when.unknown_destination {
            parts.push("unknown_destination = true".to_owned());
        }
        format!("when = {{ {} }}", parts.join(", "))
    }

    fn contract_text(entries: &[Contract]) -> String {
        let entry = |e: &Contract| {
            let methods = quoted(&e.methods);
            format!("{{ contract = \"{}\", methods = {methods} }}", e.contract)
        };
        let entries: Vec<String> = entries.iter().map(entry).collect();
        format!("[{}]", entries.join(", "))
    }

    fn rule_text(&self, kind: &Kind) -> String {
        let simple = |name: &str, rest: String, when: &When| {
            format!("type = \"{name}\"\n{rest}\n{}", self.when_text(when))
        };
        match kind {
            Kind::Initiators(groups, when) => {
                simple("initiators", format!("groups = {}", quoted(groups)), when)
            }
            Kind::Threshold(group, count, when) => {
                let rest = format!("group = \"{group}\"\napprovals = {count}");
                simple("threshold", rest, when)
            }
            Kind::Roles(roles, when) => simple("roles", format!("roles = {}", quoted(roles)), when),
            Kind::Limit {
                asset,
                max,
                window,
                per,
                keys,
                key_group,
                destinations,
                or,
            } => {
                let asset = &self.assets[*asset];
                let mut text = format!(
                    "type = \"limit\"\nasset = \"{}\"\nmax = \"{}\"\nper = {}\nkeys = {}\ndestinations = {}",
                    asset.id,
                    whole(*max, asset),
                    quoted(per),
                    quoted(keys),
                    quoted(destinations)
                );
                if let Some(window) = window {
                    let _ = write!(text, "\nwindow = \"{window}\"");
                }
                if let Some(group) = key_group {
                    let _ = write!(text, "\nkey_group = \"{group}\"");
                }
                if let Some((group, count)) = or {
                    let _ = write!(
                        text,
                        "\nor_approvals = {{ group = \"{group}\", approvals = {count} }}"
                    );
                }
                text
            }
            Kind::Velocity {
                max,
                window,
                per,
                keys,
            } => format!(
                "type = \"velocity\"\nmax = {max}\nwindow = \"{window}\"\nper = {}\nkeys = {}",
                quoted(per),
                quoted(keys)
            ),
            Kind::TimeLock(delay, when) => {
                simple("time-lock", format!("delay = \"{delay}\""), when)
            }
            Kind::Gather(group, count, within, when) => {
                let rest =
                    format!("group = \"{group}\"\napprovals = {count}\nwithin = \"{within}\"");
                simple("gather", rest, when)
            }
            Kind::Hours {
                days,
                from,
                to,
                offset,
                when,
            } => {
                let sign = if *offset < 0 { '-' } else { '+' };
                let rest = format!(
                    "days = {}\nfrom = \"{}\"\nto = \"{}\"\nutc_offset = \"{sign}{}\"",
                    quoted(days),
                    clock(*from),
                    clock(*to),
                    clock(offset.unsigned_abs())
                );
                simple("hours", rest, when)
            }
            Kind::AddressBook(when) => simple("address-book", String::new(), when),
            Kind::Destinations(allow, when) => {
                simple("destinations", format!("allow = {}", quoted(allow)), when)
            }
            Kind::Contracts(allow, when) => {
                let rest = format!("allow = {}", Self::contract_text(allow));
                simple("contracts", rest, when)
            }
            Kind::Chains(allow, when) => {
                simple("chains", format!("allow = {}", quoted(allow)), when)
            }
            Kind::Assets(allow, when) => {
                let ids: Vec<&str> = allow.iter().map(|a| self.assets[*a].id.as_str()).collect();
                simple("assets", format!("allow = {}", quoted(&ids)), when)
            }
            Kind::Fee { asset, max, rate } => {
                let asset = &self.assets[*asset];
                let mut text = format!("type = \"fee\"\nasset = \"{}\"", asset.id);
                if let Some(max) = max {
                    let _ = write!(text, "\nmax = \"{}\"", whole(*max, asset));
                }
                if let Some(rate) = rate {
                    let _ = write!(text, "\nmax_rate = {rate}");
                }
                text
            }
            Kind::Raw(keys, groups) => format!(
                "type = \"raw\"\nkeys = {}\ngroups = {}",
                quoted(keys),
                quoted(groups)
            ),
            Kind::AllowDanger(dangers, calls, when) => {
                let calls = Self::contract_text(calls);
                let rest = format!("dangers = {}\ncalls = {calls}", quoted(dangers));
                simple("allow-danger", rest, when)
            }
            Kind::AllowUnknownAssets(when) => simple("allow-unknown-assets", String::new(), when),
            Kind::Separation(groups) => {
                format!("type = \"separation\"\ngroups = {}", quoted(groups))
            }
        }
    }
}

/// What an approval is, besides what it says.
#[derive(Debug, Clone)]
pub struct Word {
    pub who: &'static str,
    /// The name of the key that signs it.
    pub signer: String,
    pub damaged: bool,
    pub verdict: Verdict,
    pub this_request: bool,
    pub this_roster: bool,
    pub this_policy: bool,
    pub these_sighashes: bool,
    pub this_display: bool,
    pub issued_at: u64,
    pub expires_at: u64,
}

/// A request and what comes with it.
#[derive(Debug, Clone)]
pub struct Case {
    pub operator: &'static str,
    pub action: &'static str,
    pub key: &'static str,
    pub network: Option<Network>,
    pub effects: Effects,
    pub transaction: u8,
    pub words: Vec<Word>,
    pub frozen: bool,
    pub now: u64,
    pub asked_at: u64,
    pub proposed_at: u64,
    pub past: Vec<Spend>,
    approvals: Vec<SignedApproval>,
}

fn key_id(key: &str) -> KeyId {
    KeyId::from_bytes([u8::try_from(key.len()).unwrap(); 32])
}

fn payload(action: &str) -> Payload {
    match action {
        "message" => Payload::Message(vec![1]),
        "typed-data" => Payload::TypedData("1".to_owned()),
        "raw" => Payload::Raw(vec![1]),
        _ => Payload::EvmTransaction(vec![1]),
    }
}

impl World {
    fn amount(&self, tape: &mut Tape) -> U256 {
        if tape.rarely(16) {
            return U256::MAX;
        }
        let units = U256::from(tape.one(&UNITS).unsigned_abs());
        let asset = &self.assets[tape.below(self.assets.len())];
        let scale = U256::from(10).pow(U256::from(asset.decimals - asset.precision));
        let amount = units.saturating_mul(scale);
        match tape.below(4) {
            1 => amount.saturating_add(U256::from(1)),
            2 => amount.saturating_sub(U256::from(1)),
            _ => amount,
        }
    }

    fn effects(&self, tape: &mut Tape) -> Effects {
        let mut effects = Effects::default();
        for _ in 0..tape.one(&[1, 0, 1, 2, 3]) {
            let contract = || USDC.to_owned();
            let asset = match tape.below(9) {
                8 => AssetRef::TokenOrItem {
                    contract: contract(),
                },
                0..=3 => AssetRef::Native,
                4 | 5 => AssetRef::Token {
                    contract: contract(),
                },
                6 => AssetRef::Token {
                    contract: BOB.to_owned(),
                },
                _ => AssetRef::Item {
                    contract: contract(),
                    id: "7".to_owned(),
                },
            };
            effects.movements.push(Movement {
                asset,
                kind: tape.one(&[MovementKind::Transfer, MovementKind::Approval]),
                destination: tape.pick(&PLACES).to_owned(),
                amount: self.amount(tape),
                own: tape
                    .rarely(8)
                    .then(|| tape.pick(&["m/1/0", "m/0/1"]).parse().unwrap()),
            });
        }
        for contract in [USDC, BOB, ALICE] {
            for method in METHODS {
                if tape.rarely(8) {
                    effects.calls.insert(Call {
                        contract: contract.to_owned(),
                        method: method.to_owned(),
                        reading: tape.one(&[
                            Reading::Decoded,
                            Reading::UnknownMethod,
                            Reading::UnknownMethod,
                            Reading::Incomplete,
                            Reading::Malformed,
                        ]),
                    });
                }
            }
        }
        if tape.rarely(3) {
            effects.fee = self.amount(tape);
        }
        if tape.rarely(3) {
            effects.fee_rate = Some(tape.one(&[10, 11, 200, 201, u64::MAX]));
        }
        if tape.rarely(4) {
            effects.dangers.extend(tape.some(&Danger::ALL, 6));
        }
        effects.any_network = tape.rarely(8);
        effects
    }

    fn spend(&self, case: &Case, at: u64) -> Spend {
        Spend::new(
            IntentHash::from_bytes([9; 32]),
            (key_id(case.key), KeyName::new(case.key).unwrap()),
            case.bound_network(),
            &case.effects,
            &self.chains(),
            &[Hash32::from_bytes([case.transaction; 32])],
            at,
        )
    }

    /// What is asked, without approvals.
    fn ask(&self, tape: &mut Tape, now: u64) -> Case {
        let action = match tape.below(11) {
            0..=5 => "transaction",
            other => ACTIONS[other - 4],
        };
        let signs = !UNSIGNED.contains(&action);
        let network = tape.one(&[0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3]);
        Case {
            operator: tape.one(&OPERATORS),
            action,
            key: tape.one(&KEYS),
            network: (signs && action != "raw").then(|| NETWORKS[network].parse().unwrap()),
            effects: if signs {
                self.effects(tape)
            } else {
                Effects::default()
            },
            transaction: 0,
            words: Vec::new(),
            frozen: false,
            now,
            asked_at: now,
            proposed_at: now,
            past: Vec::new(),
            approvals: Vec::new(),
        }
    }

    pub fn case(&self, tape: &mut Tape, engine: &Engine) -> Case {
        let now = NOW + tape.one(&[0, 1, 13]) * 7 * HOUR;
        let mut case = self.ask(tape, now);
        let ago = [
            0,
            1,
            90_000,
            90_001,
            15 * MINUTE,
            24 * HOUR - 1,
            24 * HOUR,
            24 * HOUR + 1,
            7 * 24 * HOUR,
        ];
        case.proposed_at = now - tape.one(&ago);
        case.asked_at = now - tape.one(&ago);
        case.frozen = tape.rarely(40);
        for transaction in 1..=tape.below(6) {
            let mut before = self.ask(tape, now);
            if UNSIGNED.contains(&before.action) {
                continue;
            }
            before.transaction = u8::try_from(transaction).unwrap();
            for _ in 0..1 + tape.below(2) {
                case.past.push(self.spend(&before, now - tape.one(&ago)));
            }
        }
        if tape.rarely(6) && !UNSIGNED.contains(&case.action) {
            // It was tried before.
            case.past.push(self.spend(&case, now - tape.one(&ago)));
        }
        for _ in 0..tape.below(6) {
            if let Some(word) = self.word(tape, now) {
                case.words.push(word);
            }
        }
        case.approvals = case.words.iter().map(|w| w.signed(engine)).collect();
        case
    }

    fn word(&self, tape: &mut Tape, now: u64) -> Option<Word> {
        if self.humans.is_empty() {
            return None;
        }
        let human = &self.humans[tape.below(self.humans.len())];
        let key = tape.below(human.keys.len());
        let signer = match tape.below(12) {
            0 => "stranger".to_owned(),
            1 => self.humans[tape.below(self.humans.len())].keys[0].clone(),
            _ => human.keys[key].clone(),
        };
        let who = if tape.rarely(20) {
            "nobody"
        } else {
            human.name
        };
        let issued_at = match tape.below(12) {
            0 => now,
            1 => now + MINUTE,
            2 => now + MINUTE + 1,
            3 => now - 7 * 24 * HOUR,
            _ => now - MINUTE,
        };
        let expires_at = match tape.below(12) {
            0 => now,
            1 => now + 1,
            2 => issued_at + Approval::MAX_LIFETIME_MS,
            3 => issued_at + Approval::MAX_LIFETIME_MS + 1,
            4 => issued_at - 1,
            _ => now + HOUR,
        };
        Some(Word {
            who,
            signer,
            damaged: tape.rarely(16),
            verdict: match tape.below(16) {
                0 => Verdict::Reject,
                1 => Verdict::Withdraw,
                _ => Verdict::Approve,
            },
            this_request: !tape.rarely(16),
            this_roster: !tape.rarely(16),
            this_policy: !tape.rarely(16),
            these_sighashes: !tape.rarely(16),
            this_display: !tape.rarely(16),
            issued_at,
            expires_at,
        })
    }
}

const DISPLAY: Hash32 = Hash32::from_bytes([7; 32]);
const OTHER: Hash32 = Hash32::from_bytes([8; 32]);
const INTENT: IntentHash = IntentHash::from_bytes([3; 32]);
const SIGHASH: Hash32 = Hash32::from_bytes([0; 32]);

impl Word {
    fn signed(&self, engine: &Engine) -> SignedApproval {
        let bundle = engine.bundle();
        let this = |is: bool, hash: Hash32| if is { hash } else { OTHER };
        let approval = Approval {
            cluster: this(self.this_roster, bundle.bundle().cluster),
            intent: if self.this_request {
                INTENT
            } else {
                IntentHash::from_bytes([4; 32])
            },
            sighashes: if self.these_sighashes {
                vec![SIGHASH]
            } else {
                vec![SIGHASH, SIGHASH]
            },
            verdict: self.verdict,
            policy: this(self.this_policy, bundle.hash()),
            policy_version: 1,
            display: this(self.this_display, DISPLAY),
            person: person(self.who),
            nonce: [5; 16],
            issued_at: self.issued_at,
            expires_at: self.expires_at,
        };
        let signer = key(&self.signer);
        let mut signature = signer.sign(&approval.signing_bytes()).to_bytes();
        signature[7] ^= u8::from(self.damaged);
        let proof = Proof::Ed25519 {
            key: signer.verifying_key().to_bytes(),
            signature,
        };
        SignedApproval { approval, proof }
    }
}

impl Case {
    pub fn decide(&self, engine: &Engine, world: &World) -> Decision {
        let mut history = History::new(engine.bundle().bundle());
        for spend in &self.past {
            history.insert(spend.clone());
        }
        let name = KeyName::new(self.key).unwrap();
        let (payload, sighashes) = (payload(self.action), [SIGHASH]);
        let act = match self.action {
            "set-up-committee" => Act::SetUpCommittee,
            "create-key" => Act::CreateKey(facts(&name)),
            "set-protocol" => Act::SetProtocol(facts(&name)),
            _ => Act::Sign {
                id: key_id(self.key),
                key: facts(&name),
                network: self.network,
                payload: &payload,
                effects: &self.effects,
                sighashes: &sighashes,
            },
        };
        // Nothing but the signing of something has sighashes.
        let approvals: Vec<SignedApproval> = self.approvals.clone();
        let request = Request {
            intent: INTENT,
            operator: &OperatorId::new(self.operator).unwrap(),
            operator_key: &key(self.operator).verifying_key().to_bytes(),
            act,
            asked_at: self.asked_at,
            proposed_at: self.proposed_at,
            now: self.now,
        };
        let frozen: Vec<String> = self
            .frozen
            .then(|| "drill".to_owned())
            .into_iter()
            .collect();
        let usable = world.book.iter().filter(|(_, usable)| *usable);
        let evidence = Evidence {
            approvals: &approvals,
            display: DISPLAY,
            frozen: &frozen,
            book: &Book::new(usable.map(|(entry, _)| entry)),
        };
        engine.decide(&request, &evidence, &history).0
    }

    /// The chain, where it is not only the asker's word.
    pub fn bound_network(&self) -> Option<Network> {
        self.network.filter(|_| !self.effects.any_network)
    }

    pub fn signs(&self) -> bool {
        !UNSIGNED.contains(&self.action)
    }

    /// As the agents would record it.
    pub fn own_spend(&self, world: &World) -> Spend {
        Spend::new(
            INTENT,
            (key_id(self.key), KeyName::new(self.key).unwrap()),
            self.bound_network(),
            &self.effects,
            &world.chains(),
            &[SIGHASH],
            self.now,
        )
    }
}
