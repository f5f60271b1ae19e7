//! NATS subjects. The sender is always the last token, so that a server can pin it by permissions
//! (`mpc.*.*.broadcast.party-1` may be published by `party-1` only).

use std::fmt;
use std::str::FromStr;

use quorate_types::{CeremonyKind, PartyId, SessionId};

/// Every subject the system uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `mpc.node.<party>`: commands to one agent, request/reply.
    Node(PartyId),
    /// `mpc.<kind>.<session>.party.<recipient>.<sender>`: an envelope for one party.
    Direct {
        /// The ceremony.
        kind: CeremonyKind,
        /// The session, 64 hexadecimal digits in the subject.
        session: SessionId,
        /// Who shall read it.
        recipient: PartyId,
        /// Who publishes it.
        sender: PartyId,
    },
    /// `mpc.<kind>.<session>.broadcast.<sender>`: an envelope for all participants.
    Broadcast {
        /// The ceremony.
        kind: CeremonyKind,
        /// The session.
        session: SessionId,
        /// Who publishes it.
        sender: PartyId,
    },
    /// `mpc.<kind>.<session>.control.<sender>`: what was received so far, or an abort.
    Control {
        /// The ceremony.
        kind: CeremonyKind,
        /// The session.
        session: SessionId,
        /// Who publishes it.
        sender: PartyId,
    },
    /// `mpc.presence.<party>`: heartbeats.
    Presence(PartyId),
    /// `mpc.link.<recipient>.<sender>`: Noise handshakes of one pair.
    Link {
        /// Who shall read it.
        recipient: PartyId,
        /// Who publishes it.
        sender: PartyId,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(party) => write!(f, "mpc.node.{party}"),
            Self::Direct {
                kind,
                session,
                recipient,
                sender,
            } => write!(f, "mpc.{kind}.{session}.party.{recipient}.{sender}"),
            Self::Broadcast {
                kind,
                session,
                sender,
            } => write!(f, "mpc.{kind}.{session}.broadcast.{sender}"),
            Self::Control {
                kind,
                session,
                sender,
            } => write!(f, "mpc.{kind}.{session}.control.{sender}"),
            Self::Presence(party) => write!(f, "mpc.presence.{party}"),
            Self::Link { recipient, sender } => write!(f, "mpc.link.{recipient}.{sender}"),
        }
    }
}

/// A text that is none of the system's subjects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a subject of this system: {0:?}")]
pub struct SubjectError(String);

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        parse(text).ok_or_else(|| SubjectError(text.chars().take(200).collect()))
    }
}

fn parse(text: &str) -> Option<Subject> {
    let tokens: Vec<&str> = text.split('.').take(8).collect();
    let party = |name: &str| PartyId::new(name).ok();
    Some(match *tokens.as_slice() {
        ["mpc", "node", name] => Subject::Node(party(name)?),
        ["mpc", "presence", name] => Subject::Presence(party(name)?),
        ["mpc", "link", recipient, sender] => Subject::Link {
            recipient: party(recipient)?,
            sender: party(sender)?,
        },
        ["mpc", kind, session, "party", recipient, sender] => Subject::Direct {
            kind: kind.parse().ok()?,
            session: session.parse().ok()?,
            recipient: party(recipient)?,
            sender: party(sender)?,
        },
        ["mpc", kind, session, "broadcast", sender] => Subject::Broadcast {
            kind: kind.parse().ok()?,
            session: session.parse().ok()?,
            sender: party(sender)?,
        },
        ["mpc", kind, session, "control", sender] => Subject::Control {
            kind: kind.parse().ok()?,
            session: session.parse().ok()?,
            sender: party(sender)?,
        },
        _ => return None,
    })
}

/// The four patterns an agent subscribes to for its sessions: direct, broadcast, control, link.
#[must_use]
pub fn session_patterns(me: &PartyId) -> [String; 4] {
    [
        format!("mpc.*.*.party.{me}.*"),
        "mpc.*.*.broadcast.*".to_owned(),
        "mpc.*.*.control.*".to_owned(),
        format!("mpc.link.{me}.*"),
    ]
}

/// The private inbox prefix of a user, `_INBOX_<user>`: replies go to `<prefix>.<unique>`.
#[must_use]
pub fn inbox_prefix(user: &str) -> String {
    format!("_INBOX_{user}")
}

/// `_INBOX_<user>.sync.*`: what a user sends to itself, to know that the server has taken everything before it.
#[must_use]
pub fn sync_pattern(user: &str) -> String {
    format!("{}.sync.*", inbox_prefix(user))
}

/// Whether everything `wanted` stands for is covered by `pattern`, by the rules of NATS: `*` is one token, a final `>`
/// is one or more. `wanted` may itself hold wildcards.
#[must_use]
pub fn covers(pattern: &str, wanted: &str) -> bool {
    let mut wanted = wanted.split('.');
    for expected in pattern.split('.') {
        match (expected, wanted.next()) {
            (_, None) => return false,
            (">", Some(_)) => return true,
            ("*", Some(token)) if token != ">" => {}
            (literal, Some(token)) if literal == token => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

/// Whether a text can be published to: tokens separated by single dots, no wildcard, no white space.
#[must_use]
pub fn is_concrete(subject: &str) -> bool {
    subject.split('.').all(|token| {
        !token.is_empty()
            && token
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'*' && b != b'>')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_parse_to_what_they_were_printed_from() {
        let p = |n: &str| PartyId::new(n).unwrap();
        let (kind, session) = (CeremonyKind::Sign, SessionId::from_bytes([7; 32]));
        for subject in [
            Subject::Node(p("party-1")),
            Subject::Presence(p("party-1")),
            Subject::Link {
                recipient: p("party-2"),
                sender: p("party-1"),
            },
            Subject::Direct {
                kind,
                session,
                recipient: p("party-2"),
                sender: p("party-1"),
            },
            Subject::Broadcast {
                kind,
                session,
                sender: p("party-1"),
            },
            Subject::Control {
                kind,
                session,
                sender: p("party-1"),
            },
        ] {
            assert_eq!(subject.to_string().parse::<Subject>().unwrap(), subject);
        }
        assert!("mpc.sign.00.broadcast.party-1".parse::<Subject>().is_err());
        assert!("mpc.node.party-1.x".parse::<Subject>().is_err());
        assert!("mpc.node.*".parse::<Subject>().is_err());
    }

    #[test]
    fn wildcards_follow_nats() {
        assert!(covers("a.*.c", "a.b.c"));
        assert!(covers("a.*.c", "a.*.c"));
        assert!(!covers("a.*.c", "a.b.c.d"));
        assert!(!covers("a.*", "a.>"));
        assert!(covers("a.>", "a.b.c"));
        assert!(covers("a.>", "a.>"));
        assert!(!covers("a.>", "a"));
        assert!(!covers("a.b", "a.*"));
        assert!(!covers("a.b", ">"));
        assert!(is_concrete("a.b-1.c"));
        for bad in ["", "a..b", "a.*", "a.>", "a b", "a.b\r\n"] {
            assert!(!is_concrete(bad), "{bad:?}");
        }
    }
}
