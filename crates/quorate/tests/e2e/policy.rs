//! Policies from the outside: published, waited for, approved, refused, frozen. Real agents, real NATS, a real browser.

use std::time::Duration;

use quorate_types::node::Refusal;
use quorate_types::{KeyRecord, RelyingParty, ValidRoster};
use serde_json::{Value, json};

use crate::presignatures::{levels, wait_until_full};
use crate::support::browser::Browser;
use crate::support::cluster::party;
use crate::support::{Cluster, Setup, free_port, payloads, wait_for};

const SOL: u64 = 1_000_000_000;
const LIMIT: Duration = Duration::from_secs(60);

/// Approvals above one SOL, nothing to strangers, at most ten SOL a day.
const RULES: &str = r#"
[[rule]]
id = "large"
type = "threshold"
group = "approvers"
approvals = 2
when = { asset = "SOL", above = "1" }
[[rule]]
id = "daily"
type = "limit"
asset = "SOL"
max = "10"
window = "24h"
"#;

pub struct Desk {
    pub cluster: Cluster,
    pub record: KeyRecord,
}

impl Desk {
    pub fn new(rules: &str) -> Self {
        Self::with_key(rules, Setup::new(2, 3), "sol", "ed25519")
    }

    pub fn with_key(rules: &str, setup: Setup, key: &str, curve: &str) -> Self {
        let cluster = Cluster::start(setup);
        let listing = cluster.create_key(key, curve, &[]);
        let desk = Self {
            record: serde_json::from_value(listing["record"].clone()).unwrap(),
            cluster,
        };
        desk.publish(rules, &[]);
        desk
    }

    /// The cluster's own text with other rules.
    pub fn policy(&self, rules: &str) -> String {
        let text = std::fs::read_to_string(self.cluster.root().join("policy/policy.toml")).unwrap();
        let people = text.find("[people.").unwrap();
        let assets = "[[asset]]\nid = \"SOL\"\nnetwork = \"solana\"\ndecimals = 9\n";
        let settings = rules.find('[').unwrap_or(rules.len());
        let (settings, rules) = rules.split_at(settings);
        format!("{settings}\n{assets}\n{}\n{rules}", &text[people..])
    }

    pub fn publish(&self, rules: &str, more: &[&str]) {
        let file = self.cluster.write("policy.toml", self.policy(rules));
        self.publish_file(&file, more);
    }

    pub fn publish_file(&self, file: &str, more: &[&str]) {
        let bundle = self.cluster.file("bundle.json");
        let bundle = bundle.to_str().unwrap();
        let sign = |admin: &str, file: &str, more: &[&str]| {
            let args = [&["policy", "sign", file, "--out", bundle, "--yes"], more].concat();
            self.cluster.cli_as(&format!("admins/{admin}"), &args).ok();
        };
        sign("admin-1", file, more);
        let refused = self.cluster.problem(&["policy", "publish", bundle]);
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("1 of the 2 signatures"),
            "{refused}"
        );
        sign("admin-3", bundle, &[]);
        let published = self.cluster.json(&["policy", "publish", bundle]);
        for delivery in published.as_array().unwrap() {
            assert_eq!(delivery["outcome"], "affirmed", "{published}");
        }
    }

    pub fn transfer(&self, lamports: u64, name: &str) -> String {
        let message = payloads::solana_transfer(
            self.record.public_key.as_bytes(),
            &[name.len() as u8; 32],
            lamports,
        );
        self.cluster.write(name, message)
    }

    pub fn sign_args<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [
            &["sign", "--key", "sol", "--chain", "solana", "--in", file],
            more,
        ]
        .concat()
    }

    /// Proposes it; it must wait. Its hash.
    pub fn propose(&self, file: &str) -> String {
        let problem = self.cluster.problem(&Self::sign_args(file, &["--no-wait"]));
        assert_eq!(problem["code"], "policy-pending", "{problem}");
        let listed = self.cluster.json(&["request", "list"]);
        assert_eq!(listed[0]["state"], "pending");
        listed[0]["intent"].as_str().unwrap().to_owned()
    }

    pub fn say(&self, verb: &str, who: &str, request: &str) -> Value {
        let person = format!("people/{who}");
        self.cluster
            .cli_as(&person, &[verb, request, "--yes", "--json"])
            .json()
    }

    pub fn end_of(&self, request: &str) -> Value {
        self.cluster.json(&["request", "show", request, "--wait"])
    }
}

fn roster(cluster: &Cluster) -> ValidRoster {
    let text = std::fs::read_to_string(cluster.root().join("orchestrator/roster.json")).unwrap();
    ValidRoster::from_json(&text).unwrap()
}

/// The refusals of a problem, each signed by its custodian.
fn refusals(cluster: &Cluster, problem: &Value) -> Vec<Refusal> {
    let refusals: Vec<Refusal> = serde_json::from_value(problem["refusals"].clone()).unwrap();
    let roster = roster(cluster);
    for refusal in &refusals {
        assert!(refusal.signer(&roster).is_some(), "{refusal:?}");
    }
    refusals
}

#[test]
fn a_large_transfer_waits_for_two_approvals_and_is_signed() {
    let desk = Desk::new(RULES);
    // One whole SOL would be above it with its fee.
    let small = desk.transfer(SOL - 10_000, "small.bin");
    assert_eq!(
        desk.cluster.json(&Desk::sign_args(&small, &[]))["attempts"],
        1
    );

    let large = desk.transfer(2 * SOL, "large.bin");
    let request = desk.propose(&large);
    let shown = desk.cluster.json(&["request", "show", &request[..10]]);
    let missing = &shown["request"]["waiting"][0]["missing"];
    assert_eq!(*missing, json!(["approve:approvers:2"]), "{shown}");
    assert!(
        shown["shown"][1].as_str().unwrap().contains("send 2 SOL"),
        "{shown}"
    );

    // One human twice is one human.
    desk.say("approve", "ann", &request);
    // The beginning of a hash is for people who look at what it finds.
    let blind = ["approve", &request[..12], "--yes"];
    let refused = desk.cluster.cli_as("people/ann", &blind).failed();
    assert!(refused.stderr.contains("whole hash"), "{}", refused.stderr);
    let shown = desk.cluster.json(&["request", "show", &request]);
    assert_eq!(shown["request"]["state"], "pending");
    desk.say("withdraw", "ann", &request);
    desk.say("approve", "ben", &request);
    desk.say("approve", "cas", &request);
    let end = desk.end_of(&request);
    assert_eq!(end["request"]["state"], "done", "{end}");
    assert!(end["signed"].is_string(), "{end}");
}

#[test]
fn a_rejection_ends_a_request_and_the_limit_counts_what_was_signed() {
    let desk = Desk::new(RULES);
    let request = desk.propose(&desk.transfer(2 * SOL, "large.bin"));
    desk.say("approve", "ann", &request);
    desk.say("reject", "cas", &request);
    // Nobody outweighs it, whether the request has ended by then or not.
    let late = ["approve", &request, "--yes", "--json"];
    let ran = desk.cluster.cli_as("people/ben", &late);
    assert!(
        ran.code == Some(0) || ran.stderr.contains("request-ended"),
        "{ran:#?}"
    );
    let ended = desk
        .cluster
        .problem(&["request", "show", &request, "--wait"]);
    assert_eq!(ended["code"], "policy-denied", "{ended}");
    for refusal in refusals(&desk.cluster, &ended) {
        assert_eq!(refusal.rules, ["rejected"]);
    }

    // Whichever two custodians sign: nine pass, the eleventh SOL does not.
    for number in 0..10u64 {
        let file = desk.transfer(
            SOL - 10_000,
            &format!("{}.bin", "x".repeat(number as usize + 10)),
        );
        desk.cluster.json(&Desk::sign_args(&file, &[]));
    }
    let over = desk.transfer(SOL, &format!("{}.bin", "x".repeat(30)));
    let problem = desk.cluster.problem(&Desk::sign_args(&over, &[]));
    assert_eq!(problem["code"], "policy-denied", "{problem}");
    assert!(
        refusals(&desk.cluster, &problem)
            .iter()
            .all(|r| r.rules == ["daily"]),
        "{problem}"
    );
}

/// Custodians show each other what was signed, and then sign with what they have ready.
#[test]
fn presignatures_are_used_where_a_limit_counts() {
    const RULES: &str = r#"
[[asset]]
id = "ETH.local"
network = "ethereum:31337"
decimals = 18
[[rule]]
id = "two"
type = "velocity"
max = 2
window = "1h"
"#;
    let setup = Setup::new(2, 3).with_committee().with_presignatures();
    let desk = Desk::with_key(RULES, setup, "hot", "secp256k1");
    let file = |nonce: u64| {
        let name = format!("tx-{nonce}.json");
        desk.cluster.write(&name, payloads::eip1559(nonce, 1))
    };
    let files = [file(0), file(1), file(2)];
    let args = |nonce: usize| {
        [
            "sign",
            "--key",
            "hot",
            "--chain",
            "ethereum:31337",
            "--in",
            &files[nonce],
        ]
    };
    desk.cluster.json(&args(0));
    wait_until_full(&desk.cluster);
    desk.cluster.json(&args(1));
    let mut left = levels(&desk.cluster);
    left.sort_unstable();
    assert_eq!(left, [0, 3, 3]);
    let problem = desk.cluster.problem(&args(2));
    assert_eq!(problem["code"], "policy-denied", "{problem}");
    assert_eq!(levels(&desk.cluster).iter().sum::<u64>(), 6);
}

#[test]
fn strangers_are_refused_by_each_custodian_with_its_signed_reason() {
    let rules = "[[rule]]\nid = \"known\"\ntype = \"address-book\"\n";
    let desk = Desk::new(rules);
    let file = desk.transfer(5, "stranger.bin");
    let problem = desk.cluster.problem(&Desk::sign_args(&file, &[]));
    assert_eq!(problem["code"], "policy-denied", "{problem}");
    let refusals = refusals(&desk.cluster, &problem);
    assert!(refusals.len() >= 2, "{problem}");
    for refusal in &refusals {
        assert_eq!(refusal.rules, ["known"]);
    }
    let simulated = desk.cluster.json(&[
        "policy", "simulate", "--tx", &file, "--key", "sol", "--chain", "solana",
    ]);
    assert_eq!(
        simulated["decision"]["denied"][0]["rule"], "known",
        "{simulated}"
    );

    // A draft that knows the address says so, and what it changes.
    let to = SOMEONE;
    let book = format!(
        "[[address]]\nnetwork = \"solana\"\naddress = \"{to}\"\nlabel = \"someone\"\n{rules}"
    );
    let draft = desk.cluster.write("draft.toml", desk.policy(&book));
    let simulated = desk.cluster.json(&[
        "policy", "simulate", &draft, "--tx", &file, "--key", "sol", "--chain", "solana",
    ]);
    assert_eq!(simulated["decision"]["allowed"], true, "{simulated}");
    let past = desk.cluster.json(&["policy", "simulate", &draft, "--past"]);
    let last = past.as_array().unwrap().last().unwrap();
    assert_eq!(last["state"], "failed");
    assert_eq!(last["decision"]["allowed"], true, "{past}");
    let diff = desk.cluster.json(&["policy", "diff", &draft]);
    let line = format!("+ address solana {to}: is in the address book as \"someone\"");
    assert_eq!(diff, json!([line]));

    // In force, without a restart.
    desk.publish_file(&draft, &[]);
    desk.cluster.json(&Desk::sign_args(&file, &[]));
    let history = desk.cluster.json(&["policy", "history"]);
    assert_eq!(history.as_array().unwrap().len(), 3);
}

/// [`payloads::SOLANA_SOMEONE`] in base58.
const SOMEONE: &str = "75hbt6uvDqjPZ9WgFtMhBnTeyHw7cinoHiz4FD2vEz2d";

#[test]
fn a_guardian_stops_everything_until_the_admins_lift_it() {
    let mut desk = Desk::new("");
    let file = desk.transfer(5, "five.bin");
    let frozen = desk
        .cluster
        .cli_as(
            "people/ben",
            &["freeze", "--reason", "drill", "--yes", "--json"],
        )
        .json();
    let order = frozen["order"].as_str().unwrap().to_owned();
    for number in [1, 2, 3] {
        desk.cluster.restart(number);
    }
    let problem = desk.cluster.problem(&Desk::sign_args(&file, &[]));
    assert_eq!(problem["code"], "policy-denied", "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("drill"),
        "{problem}"
    );
    let refused = desk
        .cluster
        .problem(&["key", "create", "--curve", "ed25519", "--name", "more"]);
    assert_eq!(refused["code"], "policy-denied", "{refused}");
    desk.publish("", &["--unfreeze", &order]);
    desk.cluster.json(&Desk::sign_args(&file, &[]));
}

#[test]
fn a_custodian_that_was_away_gets_the_policy_before_it_signs_again() {
    let mut desk = Desk::new("");
    desk.cluster.stop_agent(1);
    let file = desk.cluster.write("policy.toml", desk.policy(RULES));
    let bundle = desk.cluster.file("bundle.json");
    let bundle = bundle.to_str().unwrap();
    for (admin, from) in [("admin-2", file.as_str()), ("admin-3", bundle)] {
        let args = ["policy", "sign", from, "--out", bundle, "--yes"];
        desk.cluster.cli_as(&format!("admins/{admin}"), &args).ok();
    }
    let published = desk.cluster.json(&["policy", "publish", bundle]);
    let outcomes = ["unknown", "affirmed", "affirmed"];
    for (row, outcome) in published.as_array().unwrap().iter().zip(outcomes) {
        assert_eq!(row["outcome"], outcome, "{published}");
    }
    desk.cluster.restart(1);
    desk.cluster.stop_agent(2);
    let small = desk.transfer(5, "small.bin");
    let signed = desk.cluster.json(&Desk::sign_args(&small, &[]));
    assert_eq!(
        signed["custodians"],
        json!([party(1), party(3)]),
        "{signed}"
    );
    let status = desk.cluster.json(&["status"]);
    assert_eq!(
        status["parties"][0]["status"]["policy_version"], 3,
        "{status}"
    );
}

#[test]
fn a_passkey_in_a_real_browser_approves() {
    let desk = Desk::new(RULES);
    let mut browser = Browser::start();
    let port = free_port();
    let passkey = super::passkey::register(&mut browser, port);
    let party = RelyingParty {
        id: "localhost".to_owned(),
        origins: vec![format!("http://localhost:{port}")],
    };
    let text = desk.policy(RULES);
    let line = json!({ "credential_id": hex::encode(&passkey.credential_id), "key": passkey.key });
    let line = toml::to_string(&json!({ "k": [line] })).unwrap();
    let entry: toml::Value = toml::from_str(&line).unwrap();
    let text = text.replace(
        "[people.ann]\n",
        &format!("[people.ann]\npasskeys = {}\n", entry["k"]),
    );
    let text = format!(
        "{text}\n[passkeys]\nid = \"{}\"\norigins = [\"{}\"]\n",
        party.id, party.origins[0]
    );
    let file = desk.cluster.write("with-passkey.toml", text);
    desk.publish_file(&file, &[]);

    let request = desk.propose(&desk.transfer(2 * SOL, "large.bin"));
    desk.say("approve", "ben", &request);
    let mut approving = desk
        .cluster
        .start_as("people/ann", &["approve", &request, "--passkey"]);
    let url = wait_for("the page's URL", LIMIT, || {
        let said = approving.process().log();
        let at = said.find("http://localhost:")?;
        let url = said[at..].lines().next()?;
        said[at..].contains('\n').then(|| url.trim().to_owned())
    });
    let shown = browser.open(&url);
    let lines = shown["lines"].to_string();
    assert!(lines.contains("send 2 SOL"), "{shown}");
    assert_eq!(browser.press().0, "good");
    approving.end(LIMIT).ok();
    let end = desk.end_of(&request);
    assert_eq!(end["request"]["state"], "done", "{end}");
    assert!(end["signed"].is_string());
}
