//! One message on the wire. The payload is sealed once with ChaCha20-Poly1305 under a fresh content key; the key travels
//! wrapped for each recipient over the pairwise Noise channels, for a direct message just once. So a message to a peer
//! whose channel was lost is re-wrapped, not re-encrypted, and its commitment stays the same.
//!
//! ChaCha20-Poly1305 does not commit to its key: one ciphertext can open to two plaintexts under two keys. Therefore
//! the signed statement carries `commitment = tagged_hash("quorate/payload/v1", [content key, payload])`, and a receiver
//! that does not arrive at the same commitment refuses. Equal commitments mean equal plaintexts.
//!
//! The signature covers `body = SHA-256(encoded body)`, wraps included, and is verified before the body is decoded.

use std::fmt;

use borsh::BorshSerialize;
use bytes::Bytes;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use prost::Message as _;
use quorate_types::canonical::tagged_hash;
use quorate_types::{
    CeremonyKind, Hash32, PartyId, Recipient, SessionId, SignedStatement, Statement,
    StatementError, ValidRoster,
};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest as _, Sha256};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::link::ChannelId;
use crate::wire::{MpcEnvelope, SealedBody, VERSION, WrappedKey};
use crate::{IdentityUnavailable, MAX_ENVELOPE, MAX_PAYLOAD, PartyKeys, Refusal};

/// The key of one payload, 32 bytes, used once. Zeroized on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentKey(Zeroizing<[u8; 32]>);

impl ContentKey {
    /// A fresh key.
    pub fn generate(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut key = Zeroizing::new([0u8; 32]);
        rng.fill_bytes(key.as_mut_slice());
        Self(key)
    }

    /// From an unwrapped key; `None` unless it is 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0u8; 32]);
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// The 32 secret bytes, to be wrapped.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the sender signs about the payload.
    #[must_use]
    pub fn commit(&self, payload: &[u8]) -> Hash32 {
        tagged_hash("quorate/payload/v1", &[self.as_bytes(), payload])
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(self.as_bytes().into())
    }
}

impl ZeroizeOnDrop for ContentKey {}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey([redacted])")
    }
}

/// Where a message stands: everything the signature says except the commitments to its content.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize)]
pub struct Header {
    /// The session.
    pub session: SessionId,
    /// The ceremony.
    pub kind: CeremonyKind,
    /// Protocol round.
    pub round: u16,
    /// Who speaks.
    pub sender: PartyId,
    /// To whom.
    pub recipient: Recipient,
    /// From 0; broadcasts, and direct messages to each recipient, are counted apart.
    pub sequence: u32,
    /// Sender's clock, Unix milliseconds.
    pub timestamp: u64,
}

impl Header {
    /// The associated data of the payload's encryption: a ciphertext opens in no other place.
    fn associated_data(&self) -> Hash32 {
        // Borsh into a Vec cannot fail on these bounded fields; two empty encodings would still be
        // told apart by the signed statement.
        let bytes = borsh::to_vec(self).unwrap_or_default();
        tagged_hash("quorate/payload-header/v1", &[&bytes])
    }

    fn of(statement: &Statement) -> Self {
        Self {
            session: statement.session,
            kind: statement.kind,
            round: statement.round,
            sender: statement.sender.clone(),
            recipient: statement.recipient.clone(),
            sequence: statement.sequence,
            timestamp: statement.timestamp,
        }
    }
}

/// Why a payload was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Longer than [`MAX_PAYLOAD`].
    #[error("a payload of {len} bytes is longer than the {MAX_PAYLOAD} an envelope carries")]
    TooLong {
        /// Length offered.
        len: usize,
    },
    /// The cipher refused; does not happen below the length limit.
    #[error("the cipher refused the payload")]
    Cipher,
}

/// A sealed payload with its content key, as the sender keeps it until the session is over.
#[derive(Debug, Clone)]
pub struct SealedPayload {
    header: Header,
    key: ContentKey,
    commitment: Hash32,
    ciphertext: Bytes,
}

/// A content key on its way to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrap {
    /// Who can unwrap it.
    pub recipient: PartyId,
    /// The Noise channel.
    pub channel: ChannelId,
    /// The nonce within the channel.
    pub nonce: u64,
    /// 48 bytes: Noise transport message.
    pub sealed: Bytes,
}

/// A content key opens this ciphertext only with this nonce; it is used for one payload only.
const NONCE: [u8; 12] = [0; 12];

impl SealedPayload {
    /// Seals a payload under a fresh content key.
    ///
    /// # Errors
    /// [`SealError::TooLong`] for more than [`MAX_PAYLOAD`] bytes.
    pub fn seal(
        header: Header,
        payload: &[u8],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, SealError> {
        Self::seal_under(header, payload, ContentKey::generate(rng))
    }

    fn seal_under(header: Header, payload: &[u8], key: ContentKey) -> Result<Self, SealError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(SealError::TooLong { len: payload.len() });
        }
        let aad = header.associated_data();
        let plaintext = Payload {
            msg: payload,
            aad: aad.as_bytes(),
        };
        let ciphertext = key
            .cipher()
            .encrypt(Nonce::from_slice(&NONCE), plaintext)
            .map_err(|_| SealError::Cipher)?
            .into();
        Ok(Self {
            commitment: key.commit(payload),
            header,
            key,
            ciphertext,
        })
    }

    /// Where the message stands.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The key to be wrapped for the recipients.
    #[must_use]
    pub const fn key(&self) -> &ContentKey {
        &self.key
    }

    /// The signed envelope with these wraps, encoded. Signing again with other wraps keeps the commitment.
    ///
    /// # Errors
    /// [`IdentityUnavailable`].
    pub fn envelope(&self, keys: &PartyKeys, wraps: &[Wrap]) -> Result<Bytes, IdentityUnavailable> {
        let body = SealedBody {
            payload: self.ciphertext.clone(),
            wraps: wraps.iter().map(to_wire).collect(),
        };
        let body = Bytes::from(body.encode_to_vec());
        let header = self.header.clone();
        let signed = keys.sign_statement(Statement {
            session: header.session,
            kind: header.kind,
            round: header.round,
            sender: header.sender,
            recipient: header.recipient,
            sequence: header.sequence,
            timestamp: header.timestamp,
            commitment: self.commitment,
            body: sha256(&body),
        })?;
        Ok(encode(&signed, body))
    }
}

fn to_wire(wrap: &Wrap) -> WrappedKey {
    WrappedKey {
        recipient: wrap.recipient.to_string(),
        channel: Bytes::copy_from_slice(wrap.channel.as_bytes()),
        nonce: wrap.nonce,
        sealed: wrap.sealed.clone(),
    }
}

fn sha256(bytes: &[u8]) -> Hash32 {
    Hash32::from_bytes(Sha256::digest(bytes).into())
}

/// Encodes a signed statement and its body as they are, right or wrong.
#[must_use]
pub fn encode(signed: &SignedStatement, body: Bytes) -> Bytes {
    let statement = &signed.statement;
    let envelope = MpcEnvelope {
        version: VERSION,
        session_id: Bytes::copy_from_slice(statement.session.as_bytes()),
        kind: statement.kind.as_str().to_owned(),
        round: u32::from(statement.round),
        sender: statement.sender.to_string(),
        recipient: match &statement.recipient {
            Recipient::Everyone => String::new(),
            Recipient::Party(party) => party.to_string(),
        },
        sequence: statement.sequence,
        timestamp: statement.timestamp,
        commitment: Bytes::copy_from_slice(statement.commitment.as_bytes()),
        ciphertext: body,
        signature: Bytes::copy_from_slice(&signed.signature),
    };
    envelope.encode_to_vec().into()
}

/// An envelope whose fields parse; nothing in it is believed yet.
#[derive(Debug, Clone)]
pub struct UnverifiedEnvelope {
    /// What the sender, or someone else, signed.
    pub signed: SignedStatement,
    /// The encoded body, hashed in the statement.
    pub body: Bytes,
}

impl UnverifiedEnvelope {
    /// Parses an envelope. The statement's `body` hash is computed from the body, never taken from the wire.
    ///
    /// # Errors
    /// [`Refusal::Oversize`] before anything is decoded, [`Refusal::Undecodable`] for malformed fields or another version.
    pub fn decode(bytes: Bytes) -> Result<Self, Refusal> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(Refusal::Oversize);
        }
        let envelope = MpcEnvelope::decode(bytes).map_err(|_| Refusal::Undecodable)?;
        Self::parse(envelope).ok_or(Refusal::Undecodable)
    }

    fn parse(envelope: MpcEnvelope) -> Option<Self> {
        if envelope.version != VERSION {
            return None;
        }
        let recipient = if envelope.recipient.is_empty() {
            Recipient::Everyone
        } else {
            Recipient::Party(PartyId::new(&envelope.recipient).ok()?)
        };
        let statement = Statement {
            session: SessionId::from_bytes(envelope.session_id.as_ref().try_into().ok()?),
            kind: envelope.kind.parse().ok()?,
            round: envelope.round.try_into().ok()?,
            sender: PartyId::new(&envelope.sender).ok()?,
            recipient,
            sequence: envelope.sequence,
            timestamp: envelope.timestamp,
            commitment: Hash32::from_bytes(envelope.commitment.as_ref().try_into().ok()?),
            body: sha256(&envelope.ciphertext),
        };
        Some(Self {
            signed: SignedStatement {
                statement,
                signature: envelope.signature.as_ref().try_into().ok()?,
            },
            body: envelope.ciphertext,
        })
    }

    /// What is claimed.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.signed.statement
    }

    /// Checks the signature against the roster's key of the named sender.
    ///
    /// # Errors
    /// [`Refusal::UnknownSender`], [`Refusal::ForgedSignature`].
    pub fn verify(self, roster: &ValidRoster) -> Result<VerifiedEnvelope, Refusal> {
        self.signed.verify(roster).map_err(|e| match e {
            StatementError::UnknownSender(_) => Refusal::UnknownSender,
            StatementError::BadSignature(_) => Refusal::ForgedSignature,
        })?;
        Ok(VerifiedEnvelope(self))
    }
}

/// An envelope that its sender signed; only [`UnverifiedEnvelope::verify`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedEnvelope(UnverifiedEnvelope);

impl VerifiedEnvelope {
    /// The statement with its signature.
    #[must_use]
    pub const fn signed(&self) -> &SignedStatement {
        &self.0.signed
    }

    /// The statement.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.0.signed.statement
    }

    /// Length of the sealed body, in bytes.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.0.body.len()
    }

    /// Decodes the body. A sender that signed an undecodable body misbehaved.
    ///
    /// # Errors
    /// [`Refusal::CannotOpen`].
    pub fn body(&self) -> Result<Body, Refusal> {
        let body = SealedBody::decode(self.0.body.clone()).map_err(|_| Refusal::CannotOpen)?;
        let wraps: Option<Vec<Wrap>> = body.wraps.iter().map(from_wire).collect();
        Ok(Body {
            ciphertext: body.payload,
            wraps: wraps.ok_or(Refusal::CannotOpen)?,
        })
    }

    /// Opens the payload and checks the commitment.
    ///
    /// # Errors
    /// [`Refusal::CannotOpen`]: the sender signed something that does not open, or opens to something else than it
    /// committed to.
    pub fn open(&self, body: &Body, key: &ContentKey) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let aad = Header::of(self.statement()).associated_data();
        let sealed = Payload {
            msg: &body.ciphertext,
            aad: aad.as_bytes(),
        };
        let payload = key
            .cipher()
            .decrypt(Nonce::from_slice(&NONCE), sealed)
            .map(Zeroizing::new)
            .map_err(|_| Refusal::CannotOpen)?;
        if key.commit(&payload) == self.statement().commitment {
            Ok(payload)
        } else {
            Err(Refusal::CannotOpen)
        }
    }
}

fn from_wire(wrap: &WrappedKey) -> Option<Wrap> {
    Some(Wrap {
        recipient: PartyId::new(&wrap.recipient).ok()?,
        channel: ChannelId::from_slice(&wrap.channel)?,
        nonce: wrap.nonce,
        sealed: wrap.sealed.clone(),
    })
}

/// The decoded body of a signed envelope.
#[derive(Debug, Clone)]
pub struct Body {
    ciphertext: Bytes,
    wraps: Vec<Wrap>,
}

impl Body {
    /// The content key's wrap for this party, if the sender made one.
    #[must_use]
    pub fn wrap_for(&self, me: &PartyId) -> Option<&Wrap> {
        self.wraps.iter().find(|w| w.recipient == *me)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_types::{OperatorEntry, OperatorId, PartyEntry, Roster, Threshold};
    use rand_core::OsRng;

    fn header() -> Header {
        Header {
            session: SessionId::from_bytes([1; 32]),
            kind: CeremonyKind::Sign,
            round: 2,
            sender: PartyId::new("party-1").unwrap(),
            recipient: Recipient::Everyone,
            sequence: 0,
            timestamp: 1,
        }
    }

    fn roster(keys: &[&PartyKeys]) -> ValidRoster {
        let parties: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(i, k)| PartyEntry {
                id: PartyId::new(&format!("party-{}", i + 1)).unwrap(),
                identity: k.identity(),
                channel: k.channel(),
            })
            .collect();
        let n = u16::try_from(parties.len()).unwrap();
        Roster {
            cluster: "test".into(),
            threshold: Threshold::new(2, n).unwrap(),
            parties,
            operators: vec![OperatorEntry {
                id: OperatorId::new("alice").unwrap(),
                key: PartyKeys::generate(&mut OsRng).identity(),
            }],
            admins: quorate_types::Admins::single(
                quorate_types::PersonId::new("admin").unwrap(),
                PartyKeys::generate(&mut OsRng).identity(),
            ),
        }
        .try_into()
        .unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_only() {
        let (one, two) = (
            PartyKeys::generate(&mut OsRng),
            PartyKeys::generate(&mut OsRng),
        );
        let roster = roster(&[&one, &two]);
        let sealed = SealedPayload::seal(header(), b"payload", &mut OsRng).unwrap();
        let bytes = sealed.envelope(&one, &[]).unwrap();
        let verified = UnverifiedEnvelope::decode(bytes)
            .unwrap()
            .verify(&roster)
            .unwrap();
        let body = verified.body().unwrap();
        let opened = verified.open(&body, sealed.key()).unwrap();
        assert_eq!(opened.as_slice(), b"payload");
        let other = ContentKey::generate(&mut OsRng);
        assert_eq!(verified.open(&body, &other), Err(Refusal::CannotOpen));
    }

    #[test]
    fn t06_a_commitment_to_something_else_is_refused() {
        let (one, two) = (
            PartyKeys::generate(&mut OsRng),
            PartyKeys::generate(&mut OsRng),
        );
        let roster = roster(&[&one, &two]);
        let mut sealed = SealedPayload::seal(header(), b"payload", &mut OsRng).unwrap();
        sealed.commitment = sealed.key.commit(b"another");
        let verified = UnverifiedEnvelope::decode(sealed.envelope(&one, &[]).unwrap())
            .unwrap()
            .verify(&roster)
            .unwrap();
        let body = verified.body().unwrap();
        assert_eq!(verified.open(&body, sealed.key()), Err(Refusal::CannotOpen));
    }

    #[test]
    fn t13_an_oversized_envelope_is_refused_before_it_is_decoded() {
        let junk = Bytes::from(vec![0xffu8; MAX_ENVELOPE + 1]);
        assert_eq!(
            UnverifiedEnvelope::decode(junk).unwrap_err(),
            Refusal::Oversize
        );
        let junk = Bytes::from(vec![0xffu8; 64]);
        assert_eq!(
            UnverifiedEnvelope::decode(junk).unwrap_err(),
            Refusal::Undecodable
        );
        assert!(matches!(
            SealedPayload::seal(header(), &vec![0; MAX_PAYLOAD + 1], &mut OsRng),
            Err(SealError::TooLong { .. })
        ));
    }

    #[test]
    fn the_longest_payload_for_the_largest_committee_fits() {
        let keys = PartyKeys::generate(&mut OsRng);
        let sealed = SealedPayload::seal(header(), &vec![0; MAX_PAYLOAD], &mut OsRng).unwrap();
        let wraps = vec![
            Wrap {
                recipient: PartyId::new(&"x".repeat(40)).unwrap(),
                channel: ChannelId::from_slice(&[0; 16]).unwrap(),
                nonce: u64::MAX,
                sealed: Bytes::from_static(&[0; 48]),
            };
            14
        ];
        assert!(sealed.envelope(&keys, &wraps).unwrap().len() <= MAX_ENVELOPE);
    }

    #[test]
    fn t05_changing_any_field_breaks_the_signature_or_the_commitment() {
        let (one, two) = (
            PartyKeys::generate(&mut OsRng),
            PartyKeys::generate(&mut OsRng),
        );
        let roster = roster(&[&one, &two]);
        let sealed = SealedPayload::seal(header(), b"payload", &mut OsRng).unwrap();
        let good = UnverifiedEnvelope::decode(sealed.envelope(&one, &[]).unwrap()).unwrap();
        let changes: [fn(&mut Statement); 8] = [
            |s| s.session = SessionId::from_bytes([2; 32]),
            |s| s.kind = CeremonyKind::Keygen,
            |s| s.round += 1,
            |s| s.sender = PartyId::new("party-2").unwrap(),
            |s| s.recipient = Recipient::Party(PartyId::new("party-2").unwrap()),
            |s| s.sequence += 1,
            |s| s.timestamp += 1,
            |s| s.commitment = Hash32::from_bytes([0; 32]),
        ];
        for change in changes {
            let mut bad = good.clone();
            change(&mut bad.signed.statement);
            let bytes = encode(&bad.signed, bad.body.clone());
            let refused = UnverifiedEnvelope::decode(bytes).unwrap().verify(&roster);
            assert_eq!(refused.unwrap_err(), Refusal::ForgedSignature);
        }
        let mut bad = good;
        bad.body = [bad.body.as_ref(), &[0]].concat().into();
        let bytes = encode(&bad.signed, bad.body);
        let refused = UnverifiedEnvelope::decode(bytes).unwrap().verify(&roster);
        assert_eq!(refused.unwrap_err(), Refusal::ForgedSignature);
    }

    #[test]
    fn t23_content_keys_are_zeroized() {
        const fn zeroized<T: ZeroizeOnDrop>(_: &T) {}
        let key = ContentKey::generate(&mut OsRng);
        zeroized(&key);
        zeroized(&key.0);
    }

    #[test]
    fn t23_debug_shows_no_content_key() {
        let sealed = SealedPayload::seal(header(), b"payload", &mut OsRng).unwrap();
        let shown = format!("{sealed:?}");
        assert!(shown.contains("[redacted]"));
        assert!(!shown.contains(&format!("{:?}", sealed.key.as_bytes())));
    }
}
