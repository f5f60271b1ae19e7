//! Client data: what the browser says it asked the authenticator for. WebAuthn level 3 section 5.8.1.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quorate_types::RelyingParty;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{WebAuthnError, bounded};

/// Checks it and returns the SHA-256 of its bytes, which is what the authenticator signed.
pub(super) fn check(
    json: &str,
    expected: &'static str,
    challenge: &[u8; 32],
    party: &RelyingParty,
) -> Result<[u8; 32], WebAuthnError> {
    bounded("client_data_json", json.len())?;
    let members: Members = serde_json::from_str(json).map_err(|e| WebAuthnError::ClientData {
        reason: e.to_string(),
    })?;
    let found = members.text("type")?;
    if found != expected {
        let found = found.to_owned();
        return Err(WebAuthnError::Type { found, expected });
    }
    if members.text("challenge")? != URL_SAFE_NO_PAD.encode(challenge) {
        return Err(WebAuthnError::Challenge);
    }
    let origin = members.text("origin")?;
    if !party.origins.iter().any(|allowed| allowed == origin) {
        return Err(WebAuthnError::Origin {
            found: origin.to_owned(),
            allowed: party.origins.clone(),
        });
    }
    members.check_top_level()?;
    Ok(Sha256::digest(json.as_bytes()).into())
}

/// An object in which no member is named twice: parsers differ in which of the two they take. Unknown members are allowed, section
/// 5.8.1.
struct Members(BTreeMap<String, Value>);

impl Members {
    fn text(&self, name: &str) -> Result<&str, WebAuthnError> {
        let value = self.0.get(name).and_then(Value::as_str);
        value.ok_or_else(|| WebAuthnError::ClientData {
            reason: format!("no text {name:?}"),
        })
    }

    fn check_top_level(&self) -> Result<(), WebAuthnError> {
        let same_origin = matches!(self.0.get("crossOrigin"), None | Some(Value::Bool(false)));
        if same_origin && !self.0.contains_key("topOrigin") {
            return Ok(());
        }
        Err(WebAuthnError::CrossOrigin)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object without duplicate members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("duplicate member {name:?}")));
            }
            members.insert(name, value);
        }
        Ok(Members(members))
    }
}
