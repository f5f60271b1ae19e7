//! Signed control messages of a session: what has been received, so that peers re-send the rest, and aborts. They carry no
//! secret and are not sealed.

use bytes::Bytes;
use prost::Message as _;
use quorate_types::canonical::tagged_hash;
use quorate_types::{CeremonyKind, PartyId, SessionId, SignedStatement, ValidRoster};

use crate::replay::Sequences;
use crate::wire::{self, ControlBody, ControlMessage, ControlStep, VERSION};
use crate::{IdentityUnavailable, PartyKeys, Refusal};

/// No control message is longer, in bytes.
pub const MAX_CONTROL: usize = 64 * 1024;

/// An abort's reason is cut to so many bytes.
pub const MAX_REASON: usize = 1024;

/// An abort carries so many statements at most, the first ones.
pub const MAX_EVIDENCE: usize = 64;

const DOMAIN: &str = "quorate/control/v1";

/// Which messages of one stream have arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrived {
    next: u32,
    extra: Vec<u32>,
}

impl Arrived {
    /// Whether this sequence number has arrived.
    #[must_use]
    pub fn contains(&self, sequence: u32) -> bool {
        sequence < self.next || self.extra.contains(&sequence)
    }
}

impl From<&Sequences> for Arrived {
    fn from(stream: &Sequences) -> Self {
        Self {
            next: stream.next(),
            extra: stream.extra().collect(),
        }
    }
}

/// What has arrived from one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaveRow {
    /// From whom.
    pub sender: PartyId,
    /// Of its broadcasts.
    pub broadcast: Arrived,
    /// Of its direct messages to the speaker.
    pub direct: Arrived,
}

/// What a control message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// The speaker waits, and has received this; one row per other participant.
    Have(Vec<HaveRow>),
    /// The speaker gave up.
    Abort {
        /// Why, for people.
        reason: String,
        /// Signed statements that show it; the receiver checks them.
        evidence: Vec<SignedStatement>,
    },
}

/// A control message in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlStatement {
    /// The session.
    pub session: SessionId,
    /// The ceremony.
    pub kind: CeremonyKind,
    /// Who speaks.
    pub sender: PartyId,
    /// Sender's clock, Unix milliseconds.
    pub timestamp: u64,
    /// What is said.
    pub control: Control,
}

impl ControlStatement {
    /// Signs and encodes. A reason or evidence beyond its limit is cut.
    ///
    /// # Errors
    /// [`IdentityUnavailable`].
    pub fn sign(
        &self,
        keys: &PartyKeys,
        roster: &ValidRoster,
    ) -> Result<Bytes, IdentityUnavailable> {
        let body = Bytes::from(to_wire(&self.control).encode_to_vec());
        let mut message = ControlMessage {
            version: VERSION,
            session_id: Bytes::copy_from_slice(self.session.as_bytes()),
            kind: self.kind.as_str().to_owned(),
            sender: self.sender.to_string(),
            timestamp: self.timestamp,
            body,
            signature: Bytes::new(),
        };
        let signature = keys.sign(&signing_bytes(&message, roster))?;
        message.signature = Bytes::copy_from_slice(&signature);
        Ok(message.encode_to_vec().into())
    }

    /// Decodes and verifies; the body is decoded only after the signature was verified.
    ///
    /// # Errors
    /// The reason to count.
    pub fn decode(bytes: Bytes, roster: &ValidRoster) -> Result<Self, Refusal> {
        if bytes.len() > MAX_CONTROL {
            return Err(Refusal::Oversize);
        }
        let message = ControlMessage::decode(bytes).map_err(|_| Refusal::Undecodable)?;
        if message.version != VERSION {
            return Err(Refusal::Undecodable);
        }
        let sender = PartyId::new(&message.sender).map_err(|_| Refusal::Undecodable)?;
        if roster.party(&sender).is_none() {
            return Err(Refusal::UnknownSender);
        }
        let signature: [u8; 64] = message
            .signature
            .as_ref()
            .try_into()
            .map_err(|_| Refusal::Undecodable)?;
        if !roster.party_signed(&sender, &signing_bytes(&message, roster), &signature) {
            return Err(Refusal::ForgedSignature);
        }
        parse(&message, sender).ok_or(Refusal::Undecodable)
    }
}

fn signing_bytes(message: &ControlMessage, roster: &ValidRoster) -> Vec<u8> {
    let hash = tagged_hash(
        DOMAIN,
        &[
            roster.hash().as_bytes(),
            &message.session_id,
            message.kind.as_bytes(),
            message.sender.as_bytes(),
            &message.timestamp.to_le_bytes(),
            &message.body,
        ],
    );
    [DOMAIN.as_bytes(), &[0], hash.as_bytes()].concat()
}

fn parse(message: &ControlMessage, sender: PartyId) -> Option<ControlStatement> {
    let body = ControlBody::decode(message.body.clone()).ok()?;
    Some(ControlStatement {
        session: SessionId::from_bytes(message.session_id.as_ref().try_into().ok()?),
        kind: message.kind.parse().ok()?,
        sender,
        timestamp: message.timestamp,
        control: from_wire(body)?,
    })
}

fn to_wire(control: &Control) -> ControlBody {
    let step = match control {
        Control::Have(rows) => ControlStep::Have(wire::Have {
            rows: rows.iter().map(row_to_wire).collect(),
        }),
        Control::Abort { reason, evidence } => ControlStep::Abort(wire::Abort {
            reason: cut(reason, MAX_REASON).to_owned(),
            evidence: evidence
                .iter()
                .take(MAX_EVIDENCE)
                .filter_map(|s| borsh::to_vec(s).ok().map(Bytes::from))
                .collect(),
        }),
    };
    ControlBody { step: Some(step) }
}

fn row_to_wire(row: &HaveRow) -> wire::HaveRow {
    wire::HaveRow {
        sender: row.sender.to_string(),
        broadcast_next: row.broadcast.next,
        broadcast_extra: row.broadcast.extra.clone(),
        direct_next: row.direct.next,
        direct_extra: row.direct.extra.clone(),
    }
}

fn from_wire(body: ControlBody) -> Option<Control> {
    match body.step? {
        ControlStep::Have(have) => {
            let rows = have.rows.into_iter().map(row_from_wire);
            Some(Control::Have(rows.collect::<Option<_>>()?))
        }
        ControlStep::Abort(abort) => {
            let evidence = abort.evidence.iter().take(MAX_EVIDENCE);
            let evidence = evidence.map(|bytes| borsh::from_slice(bytes).ok());
            Some(Control::Abort {
                reason: cut(&abort.reason, MAX_REASON).to_owned(),
                evidence: evidence.collect::<Option<_>>()?,
            })
        }
    }
}

fn row_from_wire(row: wire::HaveRow) -> Option<HaveRow> {
    let arrived = |next, extra: Vec<u32>| {
        (extra.len() <= Sequences::AHEAD as usize).then_some(Arrived { next, extra })
    };
    Some(HaveRow {
        sender: PartyId::new(&row.sender).ok()?,
        broadcast: arrived(row.broadcast_next, row.broadcast_extra)?,
        direct: arrived(row.direct_next, row.direct_extra)?,
    })
}

/// The longest prefix of at most `max` bytes that ends between characters.
fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("é", 1), "");
    }

    #[test]
    fn arrived_is_a_prefix_and_some_more() {
        let mut stream = Sequences::default();
        for n in [0, 1, 4] {
            stream.record(n);
        }
        let arrived = Arrived::from(&stream);
        let got: Vec<u32> = (0..6).filter(|n| arrived.contains(*n)).collect();
        assert_eq!(got, [0, 1, 4]);
    }
}
