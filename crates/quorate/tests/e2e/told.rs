//! What people are told is so: of policies, freezes, requests that have ended, keys, and of
//! custodians that cannot be reached.

use std::time::Duration;

use quorate_party_agent::backup::Source;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::Record;
use quorate_types::{Attestation, KeyId, KeyName, KeyRecord};
use serde_json::{Value, json};

use crate::policy::Desk;
use crate::support::cluster::party;
use crate::support::wait_for;

const SOL: u64 = 1_000_000_000;
const LIMIT: Duration = Duration::from_secs(120);

/// Two approvals above so many SOL, ten SOL a day.
fn rules(above: &str) -> String {
    format!(
        r#"
[[rule]]
id = "large"
type = "threshold"
group = "approvers"
approvals = 2
when = {{ asset = "SOL", above = "{above}" }}
[[rule]]
id = "daily"
type = "limit"
asset = "SOL"
max = "10"
window = "24h"
"#
    )
}

const SIMULATE: [&str; 6] = ["policy", "simulate", "--key", "sol", "--chain", "solana"];

impl Desk {
    fn simulated(&self, file: &str, more: &[&str]) -> Value {
        let args = [&SIMULATE[..], &["--tx", file], more].concat();
        self.cluster.json(&args)
    }

    fn signs(&self, file: &str) -> String {
        self.cluster.json(&Self::sign_args(file, &[]));
        let listed = self.cluster.json(&["request", "list"]);
        listed[0]["intent"].as_str().unwrap().to_owned()
    }

    /// What `verb` is answered.
    fn too_late(&self, verb: &str, request: &str) -> Value {
        let args = [verb, request, "--yes", "--json"];
        self.cluster.cli_as("people/ann", &args).problem()
    }
}

#[test]
fn admins_are_shown_what_they_sign_and_simulations_say_what_they_leave_out() {
    let desk = Desk::new(&rules("8"));
    let cluster = &desk.cluster;

    // The text in force, exactly, is where the next version begins.
    let text = cluster.cli(&["policy", "show", "--toml"]).ok().stdout;
    assert_eq!(text, desk.policy(&rules("8")));
    let first = cluster.cli(&["policy", "show", "--toml", "--version", "1"]);
    assert!(first.ok().stdout.contains("[people.ann]"));
    let unknown = cluster.problem(&["policy", "show", "--toml", "--version", "7"]);
    assert_eq!(unknown["code"], "policy-unknown");

    let raised = cluster.write("raised.toml", text.replace("\"8\"", "\"1000000\""));
    let line = |sign: char, above: &str| {
        format!(
            "{sign} rule large: waits until 2 people of group approvers approve; about transactions, messages and typed data, where more than {above} SOL leaves, a fee that is paid in it counted"
        )
    };
    let expected = [line('-', "8"), line('+', "1000000")];
    assert_eq!(cluster.json(&["policy", "diff", &raised]), json!(expected));
    let bundle = cluster.file("raised.json");
    let sign = [
        "policy",
        "sign",
        &raised,
        "--yes",
        "--out",
        bundle.to_str().unwrap(),
    ];
    let shown = cluster.cli_as("admins/admin-1", &sign).ok().stderr;
    assert!(expected.iter().all(|line| shown.contains(line)), "{shown}");
    let explained = cluster.cli(&["policy", "explain"]).ok().stdout;
    let line = line('+', "8");
    assert!(explained.lines().any(|l| l == &line[2..]), "{explained}");
    let history = cluster.cli(&["policy", "history"]).ok().stdout;
    assert!(history.contains(&line), "{history}");

    // A bundle whose rules are not what its text says.
    let mut tampered: Value = serde_json::from_slice(&std::fs::read(&bundle).unwrap()).unwrap();
    let cedar = tampered["bundle"]["rules"][0]["cedar"].as_str().unwrap();
    tampered["bundle"]["rules"][0]["cedar"] = json!(cedar.replace("1000000", "9000000"));
    let tampered = cluster.write("tampered.json", tampered.to_string());
    let diff = cluster.json(&["policy", "diff", &tampered]);
    assert!(
        diff[0]
            .as_str()
            .unwrap()
            .starts_with("! THIS POLICY IS NOT"),
        "{diff}"
    );
    let out = bundle.to_str().unwrap();
    let sign = ["policy", "sign", &tampered, "--yes", "--out", out, "--json"];
    let refused = cluster.cli_as("admins/admin-1", &sign).problem();
    assert!(
        refused["detail"].as_str().unwrap().contains("Do not sign"),
        "{refused}"
    );

    // Keys that nobody has, and keys that are yet to be made.
    let typo = "[[rule]]\nid = \"book\"\ntype = \"address-book\"\nwhen = { keys = [\"hott\"] }\n";
    let file = cluster.write("typo.toml", desk.policy(typo));
    let refused = cluster.problem(&["policy", "check", &file]);
    assert_eq!(refused["code"], "misuse", "{refused}");
    assert!(
        refused["detail"].as_str().unwrap().contains("hott"),
        "{refused}"
    );
    let file = cluster.write(
        "later.toml",
        desk.policy(&format!("[key_groups]\nsoon = [\"hott\"]\n{typo}")),
    );
    let checked = cluster.cli(&["policy", "check", &file]).ok().stdout;
    assert!(
        checked.contains("no key is named hott yet (key group soon)"),
        "{checked}"
    );

    let six = desk.transfer(6 * SOL, "six.bin");
    let refused =
        cluster.problem(&[&SIMULATE[..], &["--tx", &six, "--approved-by", "bob"]].concat());
    assert_eq!(refused["code"], "misuse", "{refused}");
    let before = desk.simulated(&six, &[]);
    assert_eq!(before["decision"]["allowed"], true, "{before}");

    // Over the limit with what was signed before.
    let signed = desk.signs(&six);
    let seven = desk.transfer(7 * SOL, "seven.bin");
    let over = desk.simulated(&seven, &[]);
    assert_eq!(over["decision"]["denied"][0]["rule"], "daily", "{over}");
    let left_out = over["not_taken_into_account"][0].as_str().unwrap();
    assert!(
        left_out.starts_with("limits count the 1 signed request"),
        "{over}"
    );

    // Words on what has ended.
    for verb in ["reject", "withdraw", "approve"] {
        let problem = desk.too_late(verb, &signed);
        assert_eq!(problem["code"], "already-signed", "{verb}: {problem}");
    }
    let nine = desk.transfer(9 * SOL, "nine.bin");
    let refused = cluster.problem(&Desk::sign_args(&nine, &[]));
    assert_eq!(refused["code"], "policy-denied", "{refused}");
    let listed = cluster.json(&["request", "list"]);
    let ended = listed[0]["intent"].as_str().unwrap();
    for verb in ["reject", "withdraw", "approve"] {
        let problem = desk.too_late(verb, ended);
        assert_eq!(problem["code"], "request-ended", "{verb}: {problem}");
    }
}

/// Who obeys a freeze order, as each custodian signs it.
fn orders(desk: &Desk) -> Vec<Value> {
    let status = desk.cluster.json(&["status"]);
    status["orders"].as_array().unwrap().clone()
}

fn outcomes(freeze: &Value) -> Vec<&str> {
    let rows = freeze["custodians"].as_array().unwrap();
    rows.iter()
        .map(|row| row["outcome"].as_str().unwrap())
        .collect()
}

#[test]
fn a_freeze_says_who_signed_that_it_stopped_and_nothing_unreachable_is_empty() {
    let mut desk = Desk::new("");
    let five = desk.transfer(5, "five.bin");
    let signed = desk.signs(&five);

    // Nobody obeys who is no guardian.
    let ran = desk
        .cluster
        .cli(&["freeze", "--reason", "mine", "--yes", "--json"]);
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(outcomes(&said), ["refused"; 3]);
    assert_eq!(ran.problem()["code"], "approval-refused");
    assert!(orders(&desk).is_empty());

    // With the bus down nothing is known: not that there are no keys, not that anybody stopped.
    desk.cluster.stop_nats();
    let commands: [&[&str]; 8] = [
        &["key", "list"],
        &["key", "show", "sol"],
        &["address", "--key", "sol", "--chain", "solana"],
        &["sign", "--key", "sol", "--chain", "solana", "--in", &five],
        &["request", "list"],
        &["request", "show", &signed],
        &["policy", "history"],
        &["policy", "show", "--toml"],
    ];
    let running: Vec<_> = commands
        .iter()
        .map(|args| desk.cluster.start_cli(args))
        .collect();
    let freeze = ["freeze", "--reason", "lost", "--yes", "--json"];
    let freezing = desk.cluster.start_as("people/ben", &freeze);
    for (args, running) in commands.iter().zip(running) {
        let problem = running.end(LIMIT).problem();
        assert_eq!(problem["code"], "unreachable", "{args:?}: {problem}");
    }
    let frozen = freezing.end(LIMIT);
    let said: Value = serde_json::from_str(&frozen.stdout).unwrap();
    assert_eq!(outcomes(&said), ["unknown"; 3]);
    assert_eq!(frozen.problem()["code"], "unreachable");
    let typo = "[[rule]]\nid = \"book\"\ntype = \"address-book\"\nwhen = { keys = [\"hott\"] }\n";
    let file = desk.cluster.write("typo.toml", desk.policy(typo));
    let checked = desk.cluster.cli(&["policy", "check", &file]).ok().stdout;
    assert!(
        checked.contains("whether the keys hott exist was not checked"),
        "{checked}"
    );

    // Some may have heard it since; the order given again is heard by all.
    desk.cluster.start_nats();
    desk.cluster.wait_until_online(&[1, 2, 3]);
    let frozen = wait_for("all custodians are stopped", LIMIT, || {
        let ran = desk.cluster.cli_as(
            "people/ben",
            &["freeze", "--reason", "drill", "--yes", "--json"],
        );
        let said: Value = serde_json::from_str(&ran.stdout).ok()?;
        let all = outcomes(&said) == ["affirmed"; 3];
        all.then(|| (said["order"].clone(), ran.code))
    });
    assert_eq!(frozen.1, Some(0));
    let orders_now = orders(&desk);
    let order = orders_now.iter().find(|o| o["order"] == frozen.0).unwrap();
    assert_eq!(
        (&order["by"], &order["reason"]),
        (&json!("ben"), &json!("drill"))
    );
    assert_eq!(order["with"], json!([party(1), party(2), party(3)]));
    assert!(order["since"].as_u64().unwrap() > 1_600_000_000_000);
    let status = desk.cluster.cli(&["status"]).ok().stdout;
    assert!(
        status.contains("by ben since 2") && status.contains("\"drill\""),
        "{status}"
    );
    let simulated = desk.simulated(&five, &[]);
    assert_eq!(
        simulated["decision"]["denied"][0]["rule"], "frozen",
        "{simulated}"
    );
    assert_eq!(simulated["unless_frozen"]["allowed"], true, "{simulated}");

    // One custodian away: the others are too few to sign, and that is enough; two away are not.
    desk.cluster.stop_agent(3);
    let freeze = |who: &str| {
        let args = ["freeze", "--reason", "again", "--yes", "--json"];
        desk.cluster.cli_as(who, &args)
    };
    let ran = freeze("people/cas");
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(outcomes(&said), ["affirmed", "affirmed", "unknown"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    desk.cluster.stop_agent(2);
    let args = ["freeze", "--reason", "alone", "--yes", "--json"];
    let ran = desk.cluster.cli_as("people/cas", &args);
    assert_eq!(ran.problem()["code"], "order-incomplete");
    desk.cluster.restart(2);
    desk.cluster.restart(3);

    // All of them are lifted together.
    assert!(orders(&desk).len() >= 3);
    desk.publish("", &["--unfreeze-all"]);
    assert!(orders(&desk).is_empty());
    let six = desk.transfer(6, "sixx.bin");
    desk.signs(&six);
}

/// Leaves at a custodian what a creation leaves that fails after its share is stored.
fn leave_half_a_key(desk: &mut Desk, number: u16, name: &str, id: u8) {
    desk.cluster.stop_agent(number);
    let config = desk.cluster.custodian(number).join("agent.toml");
    let source = Source::open(&config).unwrap();
    let record = KeyRecord {
        id: KeyId::from_bytes([id; 32]),
        name: KeyName::new(name).unwrap(),
        ..desk.record.clone()
    };
    let attestation = Attestation {
        party: party(number),
        signature: source.opened.keys.sign(&record.signing_bytes()).unwrap(),
    };
    let stored = (Record::Key(record.clone()), vec![attestation], false);
    let stored = borsh::to_vec(&stored).unwrap();
    let name = format!("key/{}", record.id);
    source.opened.ledger.put_record(&name, &stored).unwrap();
    drop(source);
    desk.cluster.restart(number);
}

#[test]
fn a_half_made_key_shadows_nothing_and_can_be_discarded() {
    let mut desk = Desk::new("");
    // Its id comes before that of the good one.
    leave_half_a_key(&mut desk, 1, "sol", 0);
    leave_half_a_key(&mut desk, 2, "ghost", 1);
    let cluster = &desk.cluster;
    let shown = cluster.json(&["key", "show", "sol"]);
    assert_eq!(
        shown["key"]["record"]["id"],
        json!(desk.record.id),
        "{shown}"
    );
    assert_eq!(
        shown["unfinished"].as_array().map(Vec::len),
        Some(1),
        "{shown}"
    );
    cluster.json(&["address", "--key", "sol", "--chain", "solana"]);
    desk.signs(&desk.transfer(5, "five.bin"));
    let listed = cluster.cli(&["key", "list"]).ok().stdout;
    let unfinished = listed
        .lines()
        .filter(|line| line.contains("UNFINISHED"))
        .count();
    assert_eq!((listed.lines().count(), unfinished), (3, 2), "{listed}");
    let shown = cluster.cli(&["key", "show", "ghost"]).ok().stdout;
    assert!(shown.contains("UNFINISHED: attested by 1 of 3"), "{shown}");
    let address = ["address", "--key", "ghost", "--chain", "solana"];
    assert_eq!(cluster.problem(&address)["code"], "key-not-active");

    cluster.json(&["key", "discard", "sol", "--yes"]);
    let again = cluster.problem(&["key", "discard", "sol", "--yes"]);
    assert_eq!(again["code"], "key-in-force", "{again}");
    cluster.json(&["key", "discard", "010101", "--yes"]);
    let left = cluster.json(&["key", "list"]);
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert_eq!(
        cluster.problem(&["key", "show", "ghost"])["code"],
        "key-unknown"
    );
    desk.cluster.restart(1);
    let left = desk.cluster.json(&["key", "list"]);
    assert_eq!(
        left.as_array().map(Vec::len),
        Some(1),
        "after a restart: {left}"
    );

    // Two of three know what there is; what a single one does not know may be there.
    desk.cluster.stop_agent(3);
    let missing = desk.cluster.problem(&["key", "show", "ghost"]);
    assert_eq!(missing["code"], "key-unknown", "{missing}");
    desk.cluster.stop_agent(2);
    let missing = desk.cluster.problem(&["key", "show", "ghost"]);
    assert_eq!(missing["code"], "party-offline", "{missing}");
}
