//! Passkeys: a page in this machine's browser, served for one registration or one approval and no longer.
//!
//! Browsers give a page of `http://localhost` the passkeys of the relying party `localhost` (WebAuthn level 3 section 5.1.3, secure
//! contexts). The page is served on loopback, under a path that only this run knows, to requests that name it by its own host and
//! origin. It loads nothing from elsewhere.

mod ask;
mod listen;
mod page;
mod server;

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use quorate_policy::webauthn;
use quorate_types::{Assertion, Passkey, RelyingParty};
use rand_core::{OsRng, RngCore as _};
use serde::Deserialize;

use ask::Ask;
pub use server::Page;

/// How long a person has.
pub const LIMIT: Duration = Duration::from_secs(300);

/// The longest name of a passkey, in bytes; authenticators may cut longer ones off (WebAuthn level 3 section 6.4.1).
const MAX_NAME: usize = 64;

/// What a person reads before approving.
#[derive(Debug, Clone)]
pub struct Display {
    /// The cluster's name.
    pub cluster: String,
    /// What is approved, a line each.
    pub lines: Vec<String>,
}

/// Asks for an assertion over `challenge` by one of `credentials`, at this machine's browser: prints where to go on standard error
/// and waits five minutes for a person.
///
/// The answer's signature is not verified here, since that takes the credential's key: `quorate_policy::webauthn::verify_among`.
///
/// # Errors
/// If the relying party has no `http://localhost:<port>` among its origins, the port is taken, nobody answers in time, or Ctrl-C is
/// pressed.
pub async fn assertion(
    party: &RelyingParty,
    credentials: &[Vec<u8>],
    challenge: &[u8; 32],
    display: &Display,
) -> anyhow::Result<Assertion> {
    let page = approval(party, credentials, challenge, display).await?;
    eprintln!("approve with a passkey at {}", page.url());
    eprintln!("the page must show approval {}", hex::encode(challenge));
    page.answer(LIMIT).await
}

/// The page of [`assertion`], for callers that tell the person by themselves.
///
/// # Errors
/// As [`assertion`], before anybody is asked.
pub async fn approval(
    party: &RelyingParty,
    credentials: &[Vec<u8>],
    challenge: &[u8; 32],
    display: &Display,
) -> anyhow::Result<Page<Assertion>> {
    ensure!(
        !credentials.is_empty(),
        "this approver has no passkey in the policy; register one with `quorate passkey register`"
    );
    let ask = Ask::Approve {
        rp_id: party.id.clone(),
        challenge: *challenge,
        cluster: display.cluster.clone(),
        lines: display.lines.clone(),
        credentials: credentials.iter().map(hex::encode).collect(),
    };
    let known = credentials.to_vec();
    let read = move |body: &[u8]| {
        let assertion: Assertion = serde_json::from_slice(body)?;
        if known.contains(&assertion.credential_id) {
            return Ok(assertion);
        }
        bail!("this passkey is not one of the approver's; use one that the policy lists")
    };
    Page::open(party, &ask, Box::new(read)).await
}

/// A registration as the page sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    #[serde(with = "hex::serde")]
    attestation_object: Vec<u8>,
    client_data_json: String,
}

/// The page on which a new passkey is registered; `name` is what its holder will see it under.
///
/// # Errors
/// If the name is empty, longer than 64 bytes or has control characters; else as [`assertion`], before anybody is asked.
pub async fn registration(party: &RelyingParty, name: &str) -> anyhow::Result<Page<Passkey>> {
    let fits = (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    ensure!(
        fits,
        "the passkey's name must be 1 to {MAX_NAME} bytes without control characters"
    );
    let (mut challenge, mut user_id) = ([0; 32], [0; 16]);
    OsRng.fill_bytes(&mut challenge);
    OsRng.fill_bytes(&mut user_id);
    let ask = Ask::Register {
        rp_id: party.id.clone(),
        challenge,
        user_id,
        name: name.to_owned(),
    };
    let at = party.clone();
    let read = move |body: &[u8]| {
        let sent: Registration = serde_json::from_slice(body).context("not a registration")?;
        let (object, json) = (&sent.attestation_object, &sent.client_data_json);
        Ok(webauthn::register(object, json, &challenge, &at)?)
    };
    Page::open(party, &ask, Box::new(read)).await
}
