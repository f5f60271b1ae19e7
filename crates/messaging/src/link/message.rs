//! The signed message that carries a step of the handshake.

use bytes::Bytes;
use prost::Message as _;
use quorate_types::canonical::tagged_hash;
use quorate_types::{PartyId, ValidRoster};

use crate::wire::{LinkMessage, VERSION};
use crate::{IdentityUnavailable, PartyKeys, Refusal};

/// No link message is longer, in bytes.
const MAX_LEN: usize = 1024;

const DOMAIN: &str = "quorate/link/v1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    /// Initiator's first Noise message.
    Initiate = 1,
    /// Responder's Noise message.
    Respond = 2,
    /// The initiator has the channel named in the body.
    Confirm = 3,
    /// The channel named in the body is not known here.
    Unknown = 4,
    /// The responder asks the initiator to begin.
    Request = 5,
}

impl Step {
    const fn from_wire(step: u32) -> Option<Self> {
        Some(match step {
            1 => Self::Initiate,
            2 => Self::Respond,
            3 => Self::Confirm,
            4 => Self::Unknown,
            5 => Self::Request,
            _ => return None,
        })
    }
}

/// What a link message says; in the receiver's hands its signature has been verified.
#[derive(Debug, Clone)]
pub(super) struct LinkStatement {
    pub sender: PartyId,
    pub recipient: PartyId,
    pub id: [u8; 16],
    pub timestamp: u64,
    pub step: Step,
    pub handshake: [u8; 16],
    pub body: Bytes,
}

impl LinkStatement {
    fn signing_bytes(&self, roster: &ValidRoster) -> Vec<u8> {
        let hash = tagged_hash(
            DOMAIN,
            &[
                roster.hash().as_bytes(),
                self.sender.as_str().as_bytes(),
                self.recipient.as_str().as_bytes(),
                &self.id,
                &self.timestamp.to_le_bytes(),
                &[self.step as u8],
                &self.handshake,
                &self.body,
            ],
        );
        [DOMAIN.as_bytes(), &[0], hash.as_bytes()].concat()
    }

    pub(super) fn sign(
        self,
        keys: &PartyKeys,
        roster: &ValidRoster,
    ) -> Result<Bytes, IdentityUnavailable> {
        let signature = keys.sign(&self.signing_bytes(roster))?;
        let message = LinkMessage {
            version: VERSION,
            sender: self.sender.to_string(),
            recipient: self.recipient.to_string(),
            id: Bytes::copy_from_slice(&self.id),
            timestamp: self.timestamp,
            step: self.step as u32,
            handshake: Bytes::copy_from_slice(&self.handshake),
            body: self.body,
            signature: Bytes::copy_from_slice(&signature),
        };
        Ok(message.encode_to_vec().into())
    }

    pub(super) fn decode(bytes: Bytes, roster: &ValidRoster) -> Result<Self, Refusal> {
        if bytes.len() > MAX_LEN {
            return Err(Refusal::Oversize);
        }
        let message = LinkMessage::decode(bytes).map_err(|_| Refusal::Undecodable)?;
        let (statement, signature) = Self::parse(message).ok_or(Refusal::Undecodable)?;
        if roster.party(&statement.sender).is_none() {
            return Err(Refusal::UnknownSender);
        }
        let signed = statement.signing_bytes(roster);
        if !roster.party_signed(&statement.sender, &signed, &signature) {
            return Err(Refusal::ForgedSignature);
        }
        Ok(statement)
    }

    fn parse(message: LinkMessage) -> Option<(Self, [u8; 64])> {
        if message.version != VERSION {
            return None;
        }
        let statement = Self {
            sender: PartyId::new(&message.sender).ok()?,
            recipient: PartyId::new(&message.recipient).ok()?,
            id: message.id.as_ref().try_into().ok()?,
            timestamp: message.timestamp,
            step: Step::from_wire(message.step)?,
            handshake: message.handshake.as_ref().try_into().ok()?,
            body: message.body,
        };
        Some((statement, message.signature.as_ref().try_into().ok()?))
    }
}
