//! Passkeys in a real browser: registered by the command, used on the page that the library serves, verified as agents verify them.

use std::time::Duration;

use quorate::passkey::{self, Display, Page};
use quorate_policy::webauthn::{self, WebAuthnError};
use quorate_types::{Assertion, Passkey, PasskeyKey, RelyingParty};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::process::Running;
use crate::support::{Ran, free_port, quorate, wait_for};

const LIMIT: Duration = Duration::from_secs(60);
const CHALLENGE: [u8; 32] = [0xa5; 32];

/// `quorate passkey register`, waiting for a browser.
struct Registering {
    running: Running,
    url: String,
}

impl Registering {
    fn start(port: u16, more: &[&str]) -> Self {
        let mut command = quorate();
        command.args(["passkey", "register", "--name", "Alice <1>", "--port"]);
        command.arg(port.to_string()).args(more);
        let mut running = Running::start(&mut command);
        let url = wait_for("its URL", LIMIT, || {
            let said = running.process().log();
            let (_, url) = said.split_once("register the passkey at ")?;
            Some(url.strip_suffix('\n')?.to_owned())
        });
        Self { running, url }
    }

    fn end(self) -> Ran {
        self.running.end(LIMIT)
    }
}

fn party(port: u16) -> RelyingParty {
    RelyingParty {
        id: "localhost".to_owned(),
        origins: vec![
            "https://custody.example".to_owned(),
            format!("http://localhost:{port}"),
        ],
    }
}

/// Registers one with the browser's authenticator.
pub fn register(browser: &mut Browser, port: u16) -> Passkey {
    let registering = Registering::start(port, &["--json"]);
    let shown = browser.open(&registering.url);
    assert_eq!(shown["title"], "Register a passkey");
    assert_eq!(
        shown["lines"],
        json!(["name  Alice <1>", "site  localhost"])
    );
    let (kind, text) = browser.press();
    assert_eq!(kind, "good", "{text}");
    serde_json::from_value(registering.end().json()).unwrap()
}

/// A page that asks for an assertion, in a runtime of its own.
struct Approving {
    url: String,
    answer: std::thread::JoinHandle<anyhow::Result<Assertion>>,
}

impl Approving {
    fn start(party: &RelyingParty, credentials: &[Vec<u8>], display: &Display) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let page: Page<Assertion> = runtime
            .block_on(passkey::approval(party, credentials, &CHALLENGE, display))
            .unwrap();
        Self {
            url: page.url().to_owned(),
            answer: std::thread::spawn(move || runtime.block_on(page.answer(LIMIT))),
        }
    }

    fn end(self) -> Assertion {
        self.answer.join().unwrap().unwrap()
    }
}

fn display() -> Display {
    Display {
        cluster: "main".to_owned(),
        lines: vec![
            "pay 1.5 BTC to bc1q...".to_owned(),
            "<img src=x onerror=alert(1)>".to_owned(),
        ],
    }
}

/// The assertion that the page gets from the browser for [`CHALLENGE`].
fn approve(browser: &mut Browser, party: &RelyingParty, credentials: &[Vec<u8>]) -> Assertion {
    let approving = Approving::start(party, credentials, &display());
    let shown = browser.open(&approving.url);
    assert_eq!(shown["cluster"], "Cluster main");
    assert_eq!(shown["lines"], json!(display().lines));
    assert_eq!(shown["elements"], 0, "lines are text");
    assert_eq!(shown["challenge"], hex::encode(CHALLENGE));
    assert_eq!(shown["button"], "Approve with passkey");
    let (kind, text) = browser.press();
    assert_eq!(kind, "good", "{text}");
    approving.end()
}

/// Every variant of an assertion with one byte of one field changed.
fn changed(good: &Assertion) -> Vec<Assertion> {
    let mut all = Vec::new();
    let fields: [fn(&mut Assertion) -> &mut Vec<u8>; 3] = [
        |a| &mut a.credential_id,
        |a| &mut a.authenticator_data,
        |a| &mut a.signature,
    ];
    for field in fields {
        for at in 0..field(&mut good.clone()).len() {
            let mut changed = good.clone();
            field(&mut changed)[at] ^= 1;
            all.push(changed);
        }
    }
    for at in 0..good.client_data_json.len() {
        let mut bytes = good.client_data_json.clone().into_bytes();
        bytes[at] ^= 1;
        let mut changed = good.clone();
        changed.client_data_json = String::from_utf8(bytes).unwrap();
        all.push(changed);
    }
    all
}

/// Holds for what a real browser made: it verifies, and nothing near it does.
fn check(assertion: &Assertion, passkey: &Passkey, party: &RelyingParty) {
    let passkeys = [passkey.clone()];
    let verify = |assertion: &Assertion, challenge: &[u8; 32]| {
        webauthn::verify_among(assertion, challenge, &passkeys, party).map(|_| ())
    };
    assert_eq!(verify(assertion, &CHALLENGE), Ok(()));
    webauthn::verify(assertion, &CHALLENGE, &passkey.key, party).unwrap();
    assert_eq!(verify(assertion, &[0; 32]), Err(WebAuthnError::Challenge));
    let elsewhere = RelyingParty {
        origins: vec!["https://custody.example".to_owned()],
        ..party.clone()
    };
    let refused = webauthn::verify(assertion, &CHALLENGE, &passkey.key, &elsewhere).unwrap_err();
    assert_eq!(refused.code(), "webauthn.origin");
    for changed in changed(assertion) {
        assert!(verify(&changed, &CHALLENGE).is_err(), "{changed:?}");
    }
}

#[test]
fn a_registered_passkey_approves_exactly_one_challenge() {
    let mut browser = Browser::start();
    for (algorithms, name) in [(&[-7, -8][..], "es256"), (&[-8], "eddsa")] {
        browser.offer_only(algorithms);
        let (first, second) = (free_port(), free_port());
        let passkey = register(&mut browser, first);
        let found = match passkey.key {
            PasskeyKey::Es256 { .. } => "es256",
            PasskeyKey::EdDsa { .. } => "eddsa",
        };
        assert_eq!(found, name);
        let credential_id = hex::encode(&passkey.credential_id);
        let held = browser.credentials();
        let held = held.as_array().unwrap().iter();
        assert_eq!(
            held.filter(|c| c["credential_id"] == *credential_id)
                .count(),
            1
        );

        // A passkey belongs to the relying party, not to a port.
        for port in [first, second] {
            let party = party(port);
            let credentials = [vec![1; 16], passkey.credential_id.clone()];
            let assertion = approve(&mut browser, &party, &credentials);
            check(&assertion, &passkey, &party);
        }
    }
}

#[test]
fn a_user_who_is_not_verified_can_try_again() {
    let mut browser = Browser::start();
    let port = free_port();
    let passkey = register(&mut browser, port);
    let party = party(port);
    let credentials = std::slice::from_ref(&passkey.credential_id);
    let approving = Approving::start(&party, credentials, &display());
    browser.open(&approving.url);
    browser.set_user_verified(false);
    let (kind, text) = browser.press();
    assert_eq!(kind, "bad");
    assert!(text.starts_with("The browser gave no passkey"), "{text}");
    browser.set_user_verified(true);
    assert_eq!(browser.press().0, "good");
    check(&approving.end(), &passkey, &party);
}

#[derive(Deserialize)]
struct Approver {
    passkeys: Vec<Passkey>,
}

#[test]
fn the_line_for_the_policy_is_written_once() {
    let mut browser = Browser::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alice.toml");
    let out = ["--out", file.to_str().unwrap()];
    let registering = Registering::start(free_port(), &out);
    browser.open(&registering.url);
    assert_eq!(browser.press().0, "good");
    assert_eq!(registering.end().ok().stdout, "");
    let line = std::fs::read_to_string(&file).unwrap();
    let approver: Approver = toml::from_str(&line).unwrap();
    let held = browser.credentials();
    let id = hex::encode(&approver.passkeys[0].credential_id);
    assert_eq!(held[0]["credential_id"], id);

    let mut again = quorate();
    again
        .args(["passkey", "register", "--name", "Alice"])
        .args(out);
    let said = Ran::of(&mut again, LIMIT).failed().stderr;
    assert!(
        said.contains("exists already and is not overwritten"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), line);
}

#[test]
fn ctrl_c_and_a_taken_port_end_a_registration() {
    let port = free_port();
    let mut first = Registering::start(port, &[]);
    let mut second = quorate();
    second.args(["passkey", "register", "--name", "Bob", "--port"]);
    second.arg(port.to_string());
    let said = Ran::of(&mut second, LIMIT).failed().stderr;
    assert!(said.contains(&format!("port {port} is taken; ")), "{said}");
    first.running.process().signal(Signal::INT);
    let said = first.end().failed();
    assert_eq!(said.stdout, "");
    assert!(said.stderr.contains("interrupted; no passkey was used"));
}
