//! Policies for tests.

use ed25519_dalek::{Signer as _, SigningKey};
use quorate_policy::{Header, compile};
use quorate_types::canonical::Canonical as _;
use quorate_types::{AdminSignature, Hash32, SignedBundle, ValidBundle, ValidRoster};

/// Assets of the chains that tests use, and rules that allow operators everything: for tests that are about something else.
pub const PERMISSIVE: &str = r#"
[bitcoin]
network = "bitcoin-regtest"
[[asset]]
id = "ETH"
network = "ethereum"
decimals = 18
[[asset]]
id = "ETH.local"
network = "ethereum:31337"
decimals = 18
[[asset]]
id = "BTC.regtest"
network = "bitcoin-regtest"
decimals = 8
[[asset]]
id = "SOL"
network = "solana"
decimals = 9
[[rule]]
id = "raw"
type = "raw"
[[rule]]
id = "anything"
type = "allow-danger"
dangers = ["undecodable", "delegatecall", "set-code", "contract-creation", "unlimited-approval", "approval-for-all", "authority-change", "any-chain", "excessive-fee"]
[[rule]]
id = "any-asset"
type = "allow-unknown-assets"
"#;

/// A text as the next version after `previous`, signed by one admin.
///
/// # Panics
/// A text that is not a policy.
#[must_use]
pub fn bundle(
    roster: &ValidRoster,
    previous: Option<&ValidBundle>,
    text: &str,
    admins: &[(&str, &SigningKey)],
) -> SignedBundle {
    let header = Header {
        cluster: roster.cluster_id(),
        version: previous.map_or(0, |p| p.bundle().version) + 1,
        previous: previous.map_or_else(|| Hash32::from_bytes([0; 32]), ValidBundle::hash),
        issued_at: 1,
        admins: previous.map_or_else(
            || roster.roster().admins.clone(),
            |p| p.bundle().admins.clone(),
        ),
        lifts: Vec::new(),
    };
    let bundle = compile(text, header).unwrap();
    let message = bundle.signing_bytes();
    let signatures = admins.iter().map(|(name, key)| AdminSignature {
        admin: quorate_types::PersonId::new(name).unwrap(),
        signature: key.sign(&message).to_bytes(),
    });
    SignedBundle {
        signatures: signatures.collect(),
        bundle,
    }
}
