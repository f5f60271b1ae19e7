//! T18, T19: a signed bundle with anything changed in it does not come into force, and does not come in with anything added.

use proptest::collection::vec;
use proptest::prelude::*;
use quorate_policy::{Engine, compile};
use quorate_types::canonical::Canonical as _;
use quorate_types::{SignedApproval, SignedBundle, ValidBundle, ValidRoster};
use serde_json::Value;

use crate::seeds::check;
use crate::support::*;

/// Something of everything a bundle can have.
const TOP: &str = "limit_ack = 3\naddress_delay = \"24h\"\n";
const RULES: &str = r#"
[passkeys]
id = "example.com"
origins = ["https://app.example.com"]
[people.pam]
groups = ["ops"]
passkeys = [
  { credential_id = "c0ffee", key = { alg = "eddsa", key = "@@" } },
  { credential_id = "c0ffee00", key = { alg = "es256", key = "02@@" } },
]
[[address]]
network = "ethereum"
address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
label = "Alice"
[[rule]]
id = "daily"
type = "limit"
asset = "ETH"
max = "5"
window = "24h"
[[rule]]
id = "often"
type = "velocity"
max = 3
window = "1h"
[[rule]]
id = "apart"
type = "separation"
groups = ["treasury", "ops"]
[[rule]]
id = "two"
type = "threshold"
group = "treasury"
approvals = 2
[admins]
quorum = 1
[admins.members]
new = "@@"
"#;

fn full(roster: &ValidRoster) -> SignedBundle {
    let rules = RULES.replace("@@", &public("new"));
    let mut header = header(roster, None);
    header.lifts.push(roster.hash());
    let bundle = compile(&format!("{TOP}{}{rules}", people()), header).unwrap();
    signed_by(bundle, &["root-1", "root-3"])
}

#[test]
fn t19_a_byte_changed_in_the_encoding_is_refused() {
    let roster = roster(2, 3);
    let bytes = full(&roster).canonical_bytes();
    let taken = |bytes: &[u8]| {
        let decoded = SignedBundle::from_canonical_bytes(bytes, SignedBundle::MAX_LEN);
        decoded.is_ok_and(|signed| signed.follow(&roster, None).is_ok())
    };
    assert!(taken(&bytes));
    for place in 0..bytes.len() {
        for change in [1u8, 0x20, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[place] ^= change;
            assert!(!taken(&changed), "byte {place} ^ {change}");
        }
    }
    for length in 0..bytes.len() {
        assert!(!taken(&bytes[..length]), "{length} bytes");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(!taken(&longer));
}

#[test]
fn t19_a_byte_changed_in_the_json_is_refused_or_means_the_same() {
    let roster = roster(2, 3);
    let signed = full(&roster);
    let json = serde_json::to_vec(&signed).unwrap();
    let mut same = 0;
    for place in 0..json.len() {
        for change in [1u8, 0x20, 0x80] {
            let mut changed = json.clone();
            changed[place] ^= change;
            let Ok(read) = serde_json::from_slice::<SignedBundle>(&changed) else {
                continue;
            };
            if read == signed {
                // Hexadecimal digits in capitals.
                same += 1;
                assert!(change == 0x20 && json[place].is_ascii_hexdigit(), "{place}");
            } else {
                let refused = read.follow(&roster, None);
                assert!(refused.is_err(), "byte {place} ^ {change}");
            }
        }
    }
    assert!(same > 0, "some are only capitals");
}

/// Every object of a value, with a field more.
fn with_a_field_more(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Object(fields) => {
            let mut more = fields.clone();
            more.insert("extra".to_owned(), Value::Bool(true));
            all.push(Value::Object(more));
            for (name, field) in fields {
                for changed in with_a_field_more(field) {
                    let mut more = fields.clone();
                    more.insert(name.clone(), changed);
                    all.push(Value::Object(more));
                }
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                for changed in with_a_field_more(item) {
                    let mut more = items.clone();
                    more[place] = changed;
                    all.push(Value::Array(more));
                }
            }
        }
        _ => {}
    }
    all
}

#[test]
fn t18_unknown_json_fields_are_refused() {
    let roster = roster(2, 3);
    let signed = full(&roster);
    let value = serde_json::to_value(&signed).unwrap();
    assert_eq!(
        serde_json::from_value::<SignedBundle>(value.clone()).unwrap(),
        signed
    );
    let more = with_a_field_more(&value);
    assert!(more.len() > 20, "{}", more.len());
    for changed in more {
        let read = serde_json::from_value::<SignedBundle>(changed.clone());
        assert!(read.is_err(), "{changed:#}");
    }

    let mut desk = Desk::new("");
    desk.approve("ann", &transfer(ALICE, "1"));
    let value = serde_json::to_value(&desk.approvals[0]).unwrap();
    for changed in with_a_field_more(&value) {
        let read = serde_json::from_value::<SignedApproval>(changed.clone());
        assert!(read.is_err(), "{changed:#}");
    }
}

#[test]
fn t16_a_byte_changed_in_an_approval_does_not_count() {
    let ask = transfer(ALICE, "1");
    let rule = "[[rule]]\nid = \"one\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 1";
    let mut desk = Desk::new(rule);
    desk.approve("ann", &ask);
    let bytes = desk.approvals[0].canonical_bytes();
    desk.allowed(&ask);
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let read = SignedApproval::from_canonical_bytes(&changed, SignedApproval::MAX_LEN);
        desk.approvals = read.into_iter().collect();
        assert_eq!(desk.pending(&ask), ["approve:treasury:1"], "byte {place}");
    }
}

/// One version of a policy: rules, and whether other admins take over.
fn version() -> impl Strategy<Value = (Vec<u8>, Option<u8>, bool)> {
    (
        vec(0u8..4, 0..4),
        prop::option::weighted(0.3, 0u8..3),
        any::<bool>(),
    )
}

fn rule(number: usize, kind: u8) -> String {
    let body = match kind {
        0 => "type = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"24h\"",
        1 => "type = \"threshold\"\ngroup = \"treasury\"\napprovals = 2",
        2 => "type = \"address-book\"",
        _ => "type = \"time-lock\"\ndelay = \"24h\"",
    };
    format!("[[rule]]\nid = \"rule-{number}\"\n{body}\n")
}

#[test]
fn t19_bundles_follow_each_other_and_nothing_else() {
    check(
        "t19_bundles_follow_each_other_and_nothing_else",
        60,
        &vec(version(), 1..5),
        |versions| {
            let roster = roster(2, 3);
            let mut chain: Vec<ValidBundle> = Vec::new();
            let mut signers = vec!["root-1".to_owned(), "root-2".to_owned()];
            for (rules, admins, encode) in versions {
                let last = chain.last();
                let mut text = people();
                if let Some(admin) = admins {
                    let name = format!("admin-{admin}");
                    text.push_str(&format!(
                        "[admins]\nquorum = 1\n[admins.members]\n{name} = \"{}\"\n",
                        public(&name)
                    ));
                }
                for (number, kind) in rules.into_iter().enumerate() {
                    text.push_str(&rule(number, kind));
                }
                let names: Vec<&str> = signers.iter().map(String::as_str).collect();
                let made = compile(&text, header(&roster, last)).unwrap();
                let mut signed = signed_by(made, &names);
                if encode {
                    let bytes = signed.canonical_bytes();
                    signed =
                        SignedBundle::from_canonical_bytes(&bytes, SignedBundle::MAX_LEN).unwrap();
                } else {
                    let json = serde_json::to_string(&signed).unwrap();
                    signed = serde_json::from_str(&json).unwrap();
                }
                // After nothing else that came into force.
                let befores = std::iter::once(None).chain(chain.iter().map(Some));
                for before in befores {
                    let right = before.map(ValidBundle::hash) == last.map(ValidBundle::hash);
                    let taken = signed.clone().follow(&roster, before).is_ok();
                    prop_assert_eq!(taken, right);
                }
                let valid = signed.follow(&roster, last).unwrap();
                prop_assert!(Engine::new(valid.clone()).is_ok());
                if let Some(admin) = admins {
                    signers = vec![format!("admin-{admin}")];
                }
                chain.push(valid);
            }
            Ok(())
        },
    );
}
