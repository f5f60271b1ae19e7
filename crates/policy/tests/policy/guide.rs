//! Every policy of docs/policy.md, compiled and asked what the guide says of it.

use quorate_chain::{AssetRef, Danger, Effects, Reading, U256};
use quorate_policy::{Decision, compile};
use quorate_types::{Payload, Verdict};

use crate::support::*;

const GUIDE: &str = include_str!("../../../../docs/policy.md");

/// Code blocks with their language line, in order.
fn blocks() -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in GUIDE.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

fn base() -> String {
    let blocks = blocks();
    let (_, text) = blocks
        .iter()
        .find(|(language, _)| language == "toml base")
        .unwrap();
    ["ann", "ben", "cas"]
        .into_iter()
        .fold(text.clone(), |text, name| {
            text.replace(&format!("<{name}'s public key>"), &public(name))
        })
}

fn desk(rules: &str) -> Desk {
    // Settings come before the first table.
    let (settings, tables) = rules.split_at(rules.find('[').unwrap_or(0));
    let text = format!("{settings}\n{}\n{tables}", base());
    let roster = roster(2, 3);
    let bundle = compile(&text, header(&roster, None)).unwrap_or_else(|e| panic!("{e}\n{rules}"));
    Desk::of(roster, bundle)
}

fn address(name: &str) -> &str {
    match name {
        "Alice" => ALICE,
        "Bob" => BOB,
        other => panic!("nobody named {other}"),
    }
}

fn amount_of(asset: &str, amount: &str) -> (quorate_types::Network, AssetRef, U256) {
    let token = |contract: &str| AssetRef::Token {
        contract: contract.to_owned(),
    };
    match asset {
        "ETH" => (ETHEREUM, AssetRef::Native, units(amount, 18)),
        "USDC" => (ETHEREUM, token(USDC), units(amount, 6)),
        "unknown-token" => (ETHEREUM, token(BOB), units(amount, 6)),
        "BTC" => (
            "bitcoin".parse().unwrap(),
            AssetRef::Native,
            units(amount, 8),
        ),
        other => panic!("no asset {other}"),
    }
}

/// `KEY ASSET AMOUNT to NAME`, with what may stand between and after.
struct Line<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl<'a> Line<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            words: text.split_whitespace().collect(),
            at: 0,
        }
    }

    fn next(&mut self) -> &'a str {
        self.at += 1;
        self.words[self.at - 1].trim_end_matches(',')
    }

    fn if_next(&mut self, words: &[&str]) -> bool {
        let found = self.words.get(self.at..self.at + words.len()) == Some(words);
        if found {
            self.at += words.len();
        }
        found
    }

    /// A list that ends where the commas do.
    fn list(&mut self) -> Vec<&'a str> {
        let mut list = Vec::new();
        loop {
            let more = self.words[self.at].ends_with(',');
            list.push(self.next());
            if !more {
                return list;
            }
        }
    }

    fn payment(&mut self, key: &str) -> Ask {
        let asset = self.next();
        let amount = self.next();
        let (network, asset, amount) = amount_of(asset, amount);
        let mut effects = Effects::default();
        if self.if_next(&["fee"]) {
            let decimals = if network == ETHEREUM { 18 } else { 8 };
            effects.fee = units(self.next(), decimals);
        }
        if self.if_next(&["rate"]) {
            effects.fee_rate = Some(self.next().parse().unwrap());
        }
        assert!(self.if_next(&["to"]));
        if let AssetRef::Token { contract } = &asset {
            effects.calls.insert(call(contract, "0xa9059cbb"));
        }
        effects
            .movements
            .push(movement(asset, address(self.next()), amount));
        let payload = match network {
            ETHEREUM => Payload::EvmTransaction(vec![2]),
            _ => Payload::BitcoinPsbt(Vec::new()),
        };
        Ask {
            key: key.to_owned(),
            network,
            payload,
            effects,
        }
    }

    fn ask(&mut self) -> Ask {
        let key = self.next().to_owned();
        let mut ask = transaction(Effects::default());
        ask.key.clone_from(&key);
        if self.if_next(&["raw"]) {
            ask.payload = Payload::Raw(vec![1]);
            return ask;
        }
        if self.if_next(&["call"]) {
            let method = self.next();
            assert!(self.if_next(&["of"]));
            let mut unknown = call(address(self.next()), method);
            unknown.reading = Reading::UnknownMethod;
            ask.effects.calls.insert(unknown);
            ask.effects.dangers.insert(Danger::Undecodable);
            return ask;
        }
        for danger in Danger::ALL {
            if self.if_next(&[danger.name(), "to"]) {
                ask.effects = dangerous(danger).effects;
                ask.effects.movements[0].destination = address(self.next()).to_owned();
                return ask;
            }
        }
        self.payment(&key)
    }
}

const MONDAY: u64 = 4 * 24 * HOUR;

fn at(day: &str, time: &str) -> u64 {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = days.iter().position(|d| *d == day).unwrap() as u64;
    let (hours, minutes) = time.split_once(':').unwrap();
    let weeks = NOW / (7 * 24 * HOUR);
    let week = weeks * 7 * 24 * HOUR;
    week + MONDAY
        + day * 24 * HOUR
        + hours.parse::<u64>().unwrap() * HOUR
        + minutes.parse::<u64>().unwrap() * MINUTE
}

fn judged(desk: &mut Desk, text: &str) -> String {
    let mut line = Line::new(text);
    let ask = line.ask();
    let mut approvers = Vec::new();
    let mut rejecters = Vec::new();
    while line.at < line.words.len() {
        if line.if_next(&["spent"]) {
            let spent = line.payment(&ask.key);
            desk.spend(&spent);
        } else if line.if_next(&["approved", "by"]) {
            approvers = line.list();
        } else if line.if_next(&["rejected", "by"]) {
            rejecters = line.list();
        } else if line.if_next(&["by"]) {
            desk.operator = line.next().to_owned();
        } else if line.if_next(&["after"]) {
            let hours: u64 = line.next().strip_suffix('h').unwrap().parse().unwrap();
            desk.now += hours * HOUR;
        } else if line.if_next(&["at"]) {
            let day = line.next();
            desk.now = at(day, line.next());
            (desk.proposed_at, desk.asked_at) = (desk.now, desk.now);
        } else {
            panic!("cannot read {text:?} from {:?}", line.words[line.at]);
        }
    }
    for who in approvers {
        desk.approve(who, &ask);
    }
    for who in rejecters {
        let mut word = desk.approval(who, &ask);
        word.verdict = Verdict::Reject;
        desk.approvals.push(sign(who, word));
    }
    match desk.ask(&ask).0 {
        Decision::Allow(_) => "allowed".to_owned(),
        Decision::Pending(missing) => {
            let what: Vec<String> = missing.into_iter().map(|m| m.what).collect();
            format!("waits {}", what.join(", "))
        }
        Decision::Deny(reasons) => {
            let rules: Vec<String> = reasons.into_iter().map(|r| r.rule).collect();
            format!("refused {}", rules.join(", "))
        }
    }
}

#[test]
fn every_policy_of_the_guide_does_what_the_guide_says() {
    let mut rules = String::new();
    let mut count = 0;
    for (language, text) in blocks() {
        match language.as_str() {
            "toml" => rules = text,
            "judge" => {
                for line in text.lines() {
                    let (asked, expected) = line.split_once("->").unwrap();
                    let said = judged(&mut desk(&rules), asked.trim());
                    assert_eq!(said, expected.trim(), "{line}\n{rules}");
                    count += 1;
                }
            }
            _ => {}
        }
    }
    assert!(count > 50, "{count} lines were judged");
}
