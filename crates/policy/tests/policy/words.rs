//! A difference in meaning is a difference in words.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use quorate_policy::{Header, changes, compile, words};
use quorate_types::{Bundle, Counter, Measure};
use toml::Value;

use crate::reference::{evaluator, worlds};
use crate::seeds::check;
use crate::support::*;

fn compiled(text: &str) -> Result<Bundle, String> {
    compile(text, header(&roster(2, 3), None)).map_err(|e| e.to_string())
}

/// A bundle without what is not its meaning.
fn meaning(bundle: &Bundle) -> Bundle {
    Bundle {
        source: String::new(),
        ..bundle.clone()
    }
}

/// People, keys, assets and addresses that the rules below name, with something of everything.
fn head() -> String {
    format!(
        r#"limit_ack = 3
address_delay = "24h"
{}
[passkeys]
id = "example.com"
origins = ["https://app.example.com"]
[people.pam]
groups = ["ops"]
passkeys = [{{ credential_id = "c0ffee", key = {{ alg = "eddsa", key = "{key}" }} }}]
[admins]
quorum = 1
[admins.members]
new = "{key}"
other = "{other}"
[bitcoin]
network = "bitcoin"
change = ["m/1"]
[[fee_bound]]
network = "ethereum"
most = "0.5"
percent = 20
free = "0.1"
[[address]]
network = "ethereum"
address = "{ALICE}"
label = "Alice"
"#,
        people(),
        key = public("new"),
        other = public("other"),
    )
}

const WHEN: &str = r#"when = { keys = ["hot"], key_group = "cold", networks = ["ethereum"], asset = "ETH", above = "1.5", destinations = ["elsewhere"], unknown_destination = true, proposed_by = ["trading"], actions = ["transaction", "raw"] }"#;

/// Every template with every field.
const TEMPLATES: [(&str, &str); 18] = [
    ("initiators", "groups = [\"trading\"]\n@"),
    ("threshold", "group = \"treasury\"\napprovals = 2\n@"),
    ("roles", "roles = [\"compliance\"]\n@"),
    (
        "limit",
        "asset = \"ETH\"\nmax = \"5\"\nwindow = \"24h\"\nper = [\"key\"]\nkeys = [\"hot\"]\nkey_group = \"cold\"\ndestinations = [\"elsewhere\"]\nor_approvals = { group = \"treasury\", approvals = 2 }",
    ),
    (
        "velocity",
        "max = 3\nwindow = \"1h\"\nper = [\"key\"]\nkeys = [\"hot\"]",
    ),
    ("time-lock", "delay = \"24h\"\n@"),
    (
        "gather",
        "group = \"treasury\"\napprovals = 2\nwithin = \"24h\"\n@",
    ),
    (
        "hours",
        "days = [\"mon\", \"fri\"]\nfrom = \"08:00\"\nto = \"18:00\"\nutc_offset = \"+01:00\"\n@",
    ),
    ("address-book", "@"),
    ("destinations", "allow = [\"elsewhere\"]\n@"),
    (
        "contracts",
        "allow = [{ contract = \"elsewhere\", methods = [\"0x12345678\"] }]\n@",
    ),
    ("chains", "allow = [\"ethereum\"]\n@"),
    ("assets", "allow = [\"ETH\"]\n@"),
    ("fee", "asset = \"ETH\"\nmax = \"0.1\"\nmax_rate = 200"),
    ("raw", "keys = [\"hot\"]\ngroups = [\"trading\"]"),
    (
        "allow-danger",
        "dangers = [\"undecodable\"]\ncalls = [{ contract = \"elsewhere\", methods = [\"0x12345678\"] }]\n@",
    ),
    ("allow-unknown-assets", "@"),
    ("separation", "groups = [\"trading\", \"ops\"]"),
];

/// A limit is two rules in one: without a window it has no `per`.
const LIMIT_OF_ONE: &str = "type = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nkeys = [\"hot\"]\nkey_group = \"cold\"\ndestinations = [\"elsewhere\"]\nor_approvals = { group = \"treasury\", approvals = 2 }";

fn rule(body: &str) -> Value {
    let text = format!("id = \"one\"\n{}", body.replace('@', WHEN));
    toml::from_str::<toml::Table>(&text).unwrap().into()
}

fn templates() -> Vec<Value> {
    let all = TEMPLATES.map(|(kind, body)| rule(&format!("type = \"{kind}\"\n{body}")));
    all.into_iter().chain([rule(LIMIT_OF_ONE)]).collect()
}

fn with_rule(head: &Value, rule: Value) -> Value {
    let mut whole = head.as_table().unwrap().clone();
    whole.insert("rule".to_owned(), Value::Array(vec![rule]));
    Value::Table(whole)
}

/// Values that may stand somewhere else in a policy.
const TEXTS: [&str; 42] = [
    "bitcoin-regtest",
    "m/1/2",
    "hot",
    "vault",
    "cold",
    "treasury",
    "risk",
    "trading",
    "ops",
    "compliance",
    "treasury-head",
    "ETH",
    "USDC",
    "BTC",
    "ethereum",
    "ethereum:10",
    "bitcoin",
    "solana",
    "elsewhere",
    "a place, or another",
    "0",
    "1",
    "0.00000001",
    "2.5",
    "1000000",
    "90s",
    "7d",
    "key",
    "destination",
    "sun",
    "07:00",
    "23:59",
    "-01:00",
    "+00:00",
    "0x12345678",
    "0x87654321",
    "undecodable",
    "delegatecall",
    "message",
    "create-key",
    "Al\u{456}ce",
    "https://a.example.com",
];

/// Every way to change one thing: another value, one more, one less.
fn variants(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::String(_) => all.extend(TEXTS.map(|t| Value::String(t.to_owned()))),
        Value::Integer(n) => all.extend([n - 1, n + 1, 0, 1_000_000].map(Value::Integer)),
        Value::Boolean(b) => all.push(Value::Boolean(!b)),
        Value::Array(items) => {
            let fresh = |all: &mut Vec<Value>, items: Vec<Value>| {
                let doubled = items
                    .iter()
                    .enumerate()
                    .any(|(i, v)| items[..i].contains(v));
                if !doubled {
                    all.push(Value::Array(items));
                }
            };
            for place in 0..items.len() {
                let mut less = items.clone();
                less.remove(place);
                fresh(&mut all, less);
                for other in variants(&items[place]) {
                    let mut changed = items.clone();
                    changed[place] = other;
                    fresh(&mut all, changed);
                }
            }
            for other in items.first().map(variants).unwrap_or_default() {
                fresh(&mut all, [items.clone(), vec![other]].concat());
            }
        }
        Value::Table(fields) => {
            for (name, field) in fields
                .iter()
                .filter(|(name, _)| *name != "id" || fields.len() == 2)
            {
                let mut less = fields.clone();
                less.remove(name);
                all.push(Value::Table(less));
                for other in variants(field) {
                    let mut changed = fields.clone();
                    changed.insert(name.clone(), other);
                    all.push(Value::Table(changed));
                }
            }
        }
        Value::Float(_) | Value::Datetime(_) => {}
    }
    all
}

/// Demands that the texts of two policies differ if their bundles do; whether they do.
fn differs(base: &Bundle, other: &Bundle) -> bool {
    if meaning(base) == meaning(other) {
        return false;
    }
    let lines = changes(Some(base), other);
    assert!(
        !lines.is_empty(),
        "nothing is said of the difference between\n{}\n----\n{}",
        base.source,
        other.source
    );
    assert!(lines.iter().all(|l| !l.starts_with('!')), "{lines:#?}");
    true
}

#[test]
fn every_change_of_a_field_of_a_template_is_said() {
    let few = format!("{}[people.pam]\ngroups = [\"ops\"]\n", people());
    let head: Value = toml::from_str::<toml::Table>(&few).unwrap().into();
    let compile = |rule: Value| {
        let text = toml::to_string(&with_rule(&head, rule)).unwrap();
        compiled(&text)
    };
    for template in templates() {
        let base = compile(template.clone()).unwrap_or_else(|e| panic!("{e}\n{template}"));
        let mut said = 0;
        for variant in variants(&template) {
            if let Ok(other) = compile(variant) {
                said += usize::from(differs(&base, &other));
            }
        }
        assert!(said > 0, "{template}");
    }
}

/// The rest of a bundle: people, keys, admins, assets, addresses, settings.
#[test]
fn every_change_of_what_is_no_rule_is_said() {
    let base: Value = toml::from_str::<toml::Table>(&head()).unwrap().into();
    let compile = |value: &Value| compiled(&toml::to_string(value).unwrap());
    let bundle = compile(&base).unwrap();
    let mut said = 0;
    for variant in variants(&base) {
        if let Ok(other) = compile(&variant) {
            said += usize::from(differs(&bundle, &other));
        }
    }
    assert!(said > 100, "{said}");
    let keys = [public("new"), public("stranger")];
    let other = compiled(&head().replace(&keys[0], &keys[1])).unwrap();
    let lines = changes(Some(&bundle), &other);
    assert_eq!(lines.len(), 4, "an admin and a passkey: {lines:#?}");
}

/// What a parser expected: the names in backquotes.
fn expected(error: &str) -> BTreeSet<String> {
    let (_, names) = error
        .split_once("expected")
        .unwrap_or_else(|| panic!("{error}"));
    names
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The templates above are all there are, with all the fields that there are.
#[test]
fn no_template_and_no_field_is_forgotten() {
    let kinds = expected(&compiled("[[rule]]\nid = \"one\"\ntype = \"zzz\"").unwrap_err());
    let named: BTreeSet<String> = TEMPLATES
        .iter()
        .map(|(kind, _)| (*kind).to_owned())
        .collect();
    assert_eq!(kinds, named);
    let head: Value = toml::from_str::<toml::Table>(&head()).unwrap().into();
    for template in templates() {
        let table = template.as_table().unwrap();
        let mut wrong = table.clone();
        wrong.insert("zzz".to_owned(), Value::Boolean(true));
        let text = toml::to_string(&with_rule(&head, wrong.into())).unwrap();
        let fields = expected(&compiled(&text).unwrap_err());
        let there: BTreeSet<String> = table.keys().cloned().collect();
        let mut missing = fields
            .difference(&there)
            .map(String::as_str)
            .collect::<Vec<_>>();
        // A limit in one request has no window.
        missing.retain(|name| {
            !(table["type"].as_str() == Some("limit") && ["window", "per"].contains(name))
        });
        assert!(missing.is_empty(), "{missing:?} of {template}");
    }
    let wrong = WHEN.replace("{ ", "{ zzz = 1, ");
    let text = format!("[[rule]]\nid = \"one\"\ntype = \"address-book\"\n{wrong}");
    for field in expected(&compiled(&text).unwrap_err()) {
        assert!(WHEN.contains(&format!("{field} = ")), "{field}");
    }
}

/// One policy, and the same with a few choices made otherwise.
#[test]
fn policies_that_decide_differently_have_different_words() {
    let seen = std::cell::RefCell::new([0u32; 2]);
    let choices = (
        vec(any::<u32>(), 200..400),
        vec((0..120usize, any::<u32>()), 1..4),
    );
    check(
        "policies_that_decide_differently_have_different_words",
        300,
        &choices,
        |(choices, changed)| {
            let mut other = choices.clone();
            for (place, choice) in changed {
                other[place] = choice;
            }
            let [mut tape, mut other] = [choices, other].map(worlds::Tape::new);
            let worlds = [
                worlds::World::of_age(&mut tape),
                worlds::World::of_age(&mut other),
            ];
            let Some(engine) = worlds[0].engine() else {
                return Ok(());
            };
            let bundles = [0, 1].map(|w| compiled(&worlds[w].text).unwrap());
            let mut apart = false;
            for _ in 0..8 {
                let case = worlds[0].case(&mut other, &engine);
                let decided = [0, 1].map(|w| evaluator::decide(&worlds[w], &case));
                apart |= decided[0] != decided[1];
            }
            let differ = meaning(&bundles[0]) != meaning(&bundles[1]);
            seen.borrow_mut()[0] += u32::from(apart);
            seen.borrow_mut()[1] += u32::from(differ);
            if apart || differ {
                let lines = changes(Some(&bundles[0]), &bundles[1]);
                prop_assert!(
                    !lines.is_empty(),
                    "{}\n----\n{}",
                    worlds[0].text,
                    worlds[1].text
                );
            }
            prop_assert!(
                !apart || differ,
                "the reference knows more than the bundle says"
            );
            Ok(())
        },
    );
    let [apart, differ] = *seen.borrow();
    println!("{apart} pairs decide differently, {differ} differ");
    assert!(differ < 200 || apart > 20, "{apart} of {differ}");
}

#[test]
fn what_admins_could_not_see_is_seen() {
    let large = |above: &str| {
        format!(
            "[[rule]]\nid = \"large\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 2\nwhen = {{ asset = \"ETH\", above = \"{above}\" }}\n"
        )
    };
    let of = |rules: &str| compiled(&format!("{}{rules}", people())).unwrap();
    let line = |sign: char, above: &str| {
        format!(
            "{sign} rule large: waits until 2 people of group treasury approve; about transactions, messages and typed data, where more than {above} ETH leaves, a fee that is paid in it counted"
        )
    };
    assert_eq!(
        changes(Some(&of(&large("1"))), &of(&large("1000000"))),
        [line('-', "1"), line('+', "1000000")]
    );

    let book = |when: &str| {
        of(&format!(
            "[[rule]]\nid = \"known\"\ntype = \"address-book\"\n{when}"
        ))
    };
    let lines = changes(Some(&book("")), &book("when = { keys = [\"hott\"] }"));
    assert!(lines[1].ends_with("where the key is hott"), "{lines:?}");

    let stake = "[[rule]]\nid = \"stake\"\ntype = \"allow-danger\"\ndangers = [\"undecodable\"]\n";
    let lines = changes(
        Some(&of("")),
        &of(&format!("{stake}when = {{ keys = [\"hot\"] }}")),
    );
    assert_eq!(
        lines,
        [
            "- danger undecodable: refused: something in it is not understood",
            "+ danger undecodable: refused unless allowed: something in it is not understood. ALLOWED by rule stake, about requests of every kind, where the key is hot",
        ]
    );
    let lines = changes(Some(&of("")), &of(stake));
    assert!(
        lines[1].ends_with("ALLOWED by rule stake, about requests of every kind"),
        "{lines:?}"
    );
}

/// The sentences are made from the text, and custodians go by the rules.
#[test]
fn a_bundle_that_is_not_what_its_text_says_is_doubted_and_shows_its_cedar() {
    let rules = "[[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"24h\"\n[[rule]]\nid = \"known\"\ntype = \"address-book\"\n";
    let good = compiled(&format!("{}{rules}", people())).unwrap();
    assert!(words(&good).doubts.is_empty());
    let place = |id: &str| good.rules.iter().position(|r| r.id.as_str() == id).unwrap();
    let with = |change: &dyn Fn(&mut Bundle)| {
        let mut bad = good.clone();
        change(&mut bad);
        let lines = changes(Some(&good), &bad);
        assert!(
            lines[0].starts_with("! THIS POLICY IS NOT WHAT ITS TEXT SAYS"),
            "{lines:#?}"
        );
        lines.join("\n")
    };
    let known = place("known");
    let said =
        with(&|b| b.rules[known].cedar = b.rules[known].cedar.replace("allInBook", "inBook"));
    assert!(
        said.contains("NOT WHAT THE TEXT COMES TO") && said.contains("context.inBook"),
        "{said}"
    );
    let said = with(&|b| drop(b.rules.remove(known)));
    assert!(said.contains("rule known differs or is missing"), "{said}");
    let said = with(&|b| b.counters[0].window_ms = 1);
    assert!(
        said.contains("+ counter daily: counts ETH in 1ms of every key"),
        "{said}"
    );
    let daily: Counter = good.counters[0].clone();
    let said = with(&|b| {
        b.counters[0] = Counter {
            measure: Measure::Count,
            ..daily.clone()
        }
    });
    assert!(said.contains("counts requests"), "{said}");
    let said = with(&|b| b.assets[0].precision = 0);
    assert!(
        said.contains("context.amount") || said.contains("context.counters"),
        "{said}"
    );
    let said = with(&|b| b.source = "no policy".to_owned());
    assert!(said.contains("its text is no policy"), "{said}");
    let refused = place("no-delegatecall");
    let said = with(&|b| drop(b.rules.remove(refused)));
    assert!(said.contains("danger delegatecall: NOT REFUSED"), "{said}");
}

/// Labels and raw Cedar are anybody's texts: no control character reaches the terminal, and what
/// only looks alike is told apart.
#[test]
fn words_are_safe_for_a_terminal() {
    let entry = |label: &str| {
        format!(
            "[[address]]\nnetwork = \"ethereum\"\naddress = \"elsewhere\"\nlabel = \"{label}\"\n"
        )
    };
    let of = |text: &str| compiled(&format!("{}{text}", people())).unwrap();
    let lines = changes(Some(&of(&entry("Alice"))), &of(&entry("\u{410}lice")));
    assert!(lines[1].contains("exactly \"\\u{410}lice\""), "{lines:?}");
    let cedar = "[[cedar]]\nid = \"own\"\npolicy = '''\nforbid(principal, action, resource) // \u{202e}\u{200b}\n;'''\n";
    let mut all = words(&of(&format!("{}{cedar}", entry("a\\u001b[2Kb")))).statements;
    all.retain(|s| {
        s.text
            .chars()
            .any(|c| c.is_control() && c != '\n' || !c.is_ascii())
    });
    assert!(all.is_empty(), "{all:?}");
}

/// What is lifted stays lifted, so naming an order no more changes nothing.
#[test]
fn lifted_orders_are_said_once() {
    let roster = roster(2, 3);
    let plain = compile(&people(), header(&roster, None)).unwrap();
    let order = roster.hash();
    let with = Header {
        lifts: vec![order],
        ..header(&roster, None)
    };
    let lifting = compile(&people(), with).unwrap();
    let line = format!("+ freeze order {order}: is lifted by this version");
    assert_eq!(changes(Some(&plain), &lifting), [line]);
    assert!(changes(Some(&lifting), &plain).is_empty());
}
