//! Who may publish and subscribe to what: one allow list per user, the same for the NATS server's configuration and for
//! the in-process hub. Whatever is not listed is refused.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use quorate_types::PartyId;

use crate::subjects::{covers, inbox_prefix, session_patterns, sync_pattern};

/// Answering requests: a user may publish to a reply subject it was given, so often and for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Responses {
    /// Answers per request.
    pub max: u32,
    /// How long after the request.
    pub expires: Duration,
}

/// The allow lists of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects, with wildcards, it may publish to.
    pub publish: Vec<String>,
    /// Subjects, with wildcards, it may subscribe to.
    pub subscribe: Vec<String>,
    /// Whether it may answer requests.
    pub responses: Option<Responses>,
}

impl Permissions {
    /// A party agent: speaks only under its own name, hears what is for it, for everyone, or a command to it.
    #[must_use]
    pub fn party(me: &PartyId) -> Self {
        let mut subscribe = vec![format!("mpc.node.{me}")];
        subscribe.extend(session_patterns(me));
        subscribe.push("mpc.presence.*".to_owned());
        subscribe.push(format!("{}.>", inbox_prefix(me.as_str())));
        Self {
            publish: vec![
                format!("mpc.*.*.party.*.{me}"),
                format!("mpc.*.*.broadcast.{me}"),
                format!("mpc.*.*.control.{me}"),
                format!("mpc.link.*.{me}"),
                format!("mpc.presence.{me}"),
                sync_pattern(me.as_str()),
            ],
            subscribe,
            responses: Some(Responses {
                max: 16,
                expires: Duration::from_secs(600),
            }),
        }
    }

    /// An orchestrator: commands agents and sees who is there; neither hears nor speaks in a session.
    #[must_use]
    pub fn orchestrator(user: &str) -> Self {
        Self {
            publish: vec!["mpc.node.*".to_owned(), sync_pattern(user)],
            subscribe: vec![
                "mpc.presence.*".to_owned(),
                format!("{}.>", inbox_prefix(user)),
            ],
            responses: None,
        }
    }

    /// Whether publishing to this subject is allowed, apart from [`Self::responses`].
    #[must_use]
    pub fn may_publish(&self, subject: &str) -> bool {
        self.publish.iter().any(|allowed| covers(allowed, subject))
    }

    /// Whether subscribing to this pattern is allowed.
    #[must_use]
    pub fn may_subscribe(&self, pattern: &str) -> bool {
        self.subscribe
            .iter()
            .any(|allowed| covers(allowed, pattern))
    }
}

/// What a NATS server for a cluster needs to know.
#[derive(Debug, Clone)]
pub struct NatsServerSpec {
    /// `host:port`; port `-1` lets the server choose.
    pub listen: String,
    /// PEM certificate chain of the server.
    pub cert_file: PathBuf,
    /// PEM private key of the server.
    pub key_file: PathBuf,
    /// PEM certificate of the authority that signs every client's certificate.
    pub ca_file: PathBuf,
    /// The roster's parties.
    pub parties: Vec<PartyId>,
    /// Names of orchestrators, `a-z`, `0-9`, `-`.
    pub orchestrators: Vec<String>,
    /// The longest message, in bytes; must exceed [`crate::MAX_ENVELOPE`].
    pub max_payload: usize,
}

/// The longest message a server of ours lets through, in bytes: commands with their evidence are larger than envelopes.
pub const MAX_MESSAGE: usize = 2 * 1024 * 1024;

/// The name in a client's certificate (its URI subject alternative name): `spiffe://quorate/<name>`. The server's
/// `verify_and_map` takes it as the user.
#[must_use]
pub fn certificate_uri(name: &str) -> String {
    format!("spiffe://quorate/{name}")
}

/// A whole configuration file for `nats-server` 2.10 and later: TLS 1.3 both ways, one user per certificate, allow lists,
/// no JetStream, no monitoring port.
#[must_use]
pub fn nats_server_config(spec: &NatsServerSpec) -> String {
    let mut users = String::new();
    for party in &spec.parties {
        user(&mut users, party.as_str(), &Permissions::party(party));
    }
    for name in &spec.orchestrators {
        user(&mut users, name, &Permissions::orchestrator(name));
    }
    let path = |p: &PathBuf| quoted(&p.to_string_lossy());
    format!(
        "listen: {listen}\n\
         max_payload: {max_payload}\n\
         tls {{\n  cert_file: {cert}\n  key_file: {key}\n  ca_file: {ca}\n  verify_and_map: true\n  \
         min_version: \"1.3\"\n  timeout: 5\n}}\n\
         authorization {{\n  timeout: 5\n  users: [\n{users}  ]\n}}\n",
        listen = quoted(&spec.listen),
        max_payload = spec.max_payload,
        cert = path(&spec.cert_file),
        key = path(&spec.key_file),
        ca = path(&spec.ca_file),
    )
}

fn user(out: &mut String, name: &str, permissions: &Permissions) {
    let list = |subjects: &[String]| {
        let quoted: Vec<String> = subjects.iter().map(|s| quoted(s)).collect();
        quoted.join(", ")
    };
    let responses = permissions.responses.map_or_else(String::new, |r| {
        format!(
            "\n      allow_responses: {{ max: {}, expires: \"{}s\" }}",
            r.max,
            r.expires.as_secs()
        )
    });
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "    {{ user: {name}, permissions: {{\n      publish: {{ allow: [{publish}] }}\n      \
         subscribe: {{ allow: [{subscribe}] }}{responses}\n    }} }}\n",
        name = quoted(&certificate_uri(name)),
        publish = list(&permissions.publish),
        subscribe = list(&permissions.subscribe),
    );
}

/// A string of the configuration language, which takes JSON's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_speaks_only_under_its_own_name_and_hears_no_one_elses_mail() {
        let p = Permissions::party(&PartyId::new("party-1").unwrap());
        assert!(p.may_publish("mpc.sign.00.broadcast.party-1"));
        assert!(p.may_publish("mpc.sign.00.party.party-2.party-1"));
        assert!(!p.may_publish("mpc.sign.00.broadcast.party-2"));
        assert!(!p.may_publish("mpc.node.party-2"));
        assert!(!p.may_publish("_INBOX_party-2.sync.x"));
        assert!(!p.may_publish("_INBOX_orchestrator.x"));
        assert!(p.may_subscribe("mpc.*.*.party.party-1.*"));
        assert!(p.may_subscribe("_INBOX_party-1.abc.*"));
        for forbidden in [
            ">",
            "mpc.>",
            "mpc.*.*.party.*.*",
            "mpc.*.*.party.party-2.*",
            "mpc.link.*.*",
            "_INBOX_party-2.>",
            "_INBOX.>",
        ] {
            assert!(!p.may_subscribe(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn an_orchestrator_hears_no_session() {
        let p = Permissions::orchestrator("orchestrator");
        assert!(p.may_publish("mpc.node.party-1"));
        assert!(!p.may_publish("mpc.sign.00.broadcast.orchestrator"));
        assert!(!p.may_subscribe("mpc.*.*.broadcast.*"));
        assert!(!p.may_subscribe("mpc.*.*.control.*"));
    }
}
