//! What is computed before a message is known, what it is bound to, and what is left to send when it is used.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::{Canonical, tagged_hash};
use crate::{
    DerivationPath, Hash32, IntentHash, KeyId, KeyRecord, PartialSignature, PartyId, ValidRoster,
};

/// One signer's commitments to the two nonces of one FROST signature share (RFC 9591, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub struct NonceCommitments {
    /// To the hiding nonce: a point, RFC 8032 (32 bytes) or compressed SEC 1 (33 bytes).
    pub hiding: Vec<u8>,
    /// To the binding nonce, likewise.
    pub binding: Vec<u8>,
}

impl BorshDeserialize for NonceCommitments {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        Ok(Self {
            hiding: point(reader)?,
            binding: point(reader)?,
        })
    }
}

/// The bytes of a point, no more than one takes.
fn point<R: std::io::Read>(reader: &mut R) -> std::io::Result<Vec<u8>> {
    let len = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
    if len > NonceCommitments::MAX_POINT {
        let reason = format!("a point of {len} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
    }
    let mut bytes = vec![0; len];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl NonceCommitments {
    /// The longest encoding of a point, in bytes.
    pub const MAX_POINT: usize = 33;

    /// Names the nonces.
    #[must_use]
    pub fn id(&self) -> Hash32 {
        tagged_hash("quorate/nonces/v1", &[&self.hiding, &self.binding])
    }
}

/// What was made before the message was known, so that signing is one round: for each item one, each of use once.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Preprocessed {
    /// Nothing: the interactive protocol.
    #[default]
    Nothing,
    /// CGGMP24 presignatures, by their names.
    Presignatures(Vec<Hash32>),
    /// FROST nonce commitments: for each item every signer's, in protocol order.
    Nonces(Vec<Vec<NonceCommitments>>),
}

impl Preprocessed {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// For how many items.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Presignatures(ids) => ids.len(),
            Self::Nonces(items) => items.len(),
        }
    }

    /// Whether it is for no item.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the signer in a seat uses up, one for each item.
    #[must_use]
    pub fn used_by(&self, seat: usize) -> Vec<Hash32> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Presignatures(ids) => ids.clone(),
            Self::Nonces(items) => {
                let own = items.iter().filter_map(|signers| signers.get(seat));
                own.map(NonceCommitments::id).collect()
            }
        }
    }

    /// What all signers must mean alike, one for each item: the presignature's name, or the hash of everybody's commitments.
    #[must_use]
    pub fn names(&self) -> Vec<Hash32> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Presignatures(ids) => ids.clone(),
            Self::Nonces(items) => items.iter().map(|signers| list_name(signers)).collect(),
        }
    }
}

fn list_name(signers: &[NonceCommitments]) -> Hash32 {
    let points = signers
        .iter()
        .flat_map(|c| [c.hiding.as_slice(), c.binding.as_slice()]);
    tagged_hash("quorate/nonce-list/v1", &points.collect::<Vec<_>>())
}

/// What a presignature is made for and of use for alone: fixing any of it later is unsafe (CVE-2025-66017). Its hash names the pool.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct PresignaturePool {
    /// The key.
    pub key: KeyId,
    /// Its share generation.
    pub epoch: u32,
    /// The child.
    pub path: DerivationPath,
    /// Who signs, in protocol order.
    pub signers: Vec<PartyId>,
}

impl PresignaturePool {
    /// For a key as it is now.
    #[must_use]
    pub fn of(record: &KeyRecord, path: &DerivationPath, signers: &[PartyId]) -> Self {
        Self {
            key: record.id,
            epoch: record.epoch,
            path: path.clone(),
            signers: signers.to_vec(),
        }
    }
}

impl Canonical for PresignaturePool {
    const DOMAIN: &'static str = "quorate/presignature-pool/v1";
}

/// How many presignatures of a pool an agent has, and wants.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PoolLevel {
    /// Which.
    pub pool: PresignaturePool,
    /// Those that are there, in id order, at most [`PoolLevel::MAX_IDS`].
    pub ids: Vec<Hash32>,
    /// How many more the agent wants now: none between the marks, unless it is filling up, nor while it makes as many as it can.
    pub wanted: u32,
    /// How many are being made.
    pub making: u32,
}

impl PoolLevel {
    /// Ids in one answer.
    pub const MAX_IDS: usize = 1024;
}

/// An agent's part in signatures made from what was preprocessed: one partial signature for each item. None of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedPartials {
    /// Whose.
    pub party: PartyId,
    /// Of which request.
    pub intent: IntentHash,
    /// Of which try.
    pub attempt: u32,
    /// Hash of key, epoch, child and signers: the pool that presignatures are of.
    pub pool: Hash32,
    /// What was used, one for each item; see [`Preprocessed::names`].
    pub presignatures: Vec<Hash32>,
    /// In the order of the items.
    pub partials: Vec<PartialSignature>,
    /// Ed25519 by the agent's identity key: whoever sent a wrong one cannot deny it.
    pub signature: [u8; 64],
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Statement {
    party: PartyId,
    intent: IntentHash,
    attempt: u32,
    pool: Hash32,
    presignatures: Vec<Hash32>,
    partials: Vec<PartialSignature>,
}

impl Canonical for Statement {
    const DOMAIN: &'static str = "quorate/partial-signatures/v1";
}

impl SignedPartials {
    /// The bytes that the signature covers.
    #[must_use]
    pub fn signing_bytes(&self) -> Vec<u8> {
        Statement {
            party: self.party.clone(),
            intent: self.intent,
            attempt: self.attempt,
            pool: self.pool,
            presignatures: self.presignatures.clone(),
            partials: self.partials.clone(),
        }
        .signing_bytes()
    }

    /// Whether the party it names signed it.
    #[must_use]
    pub fn is_signed(&self, roster: &ValidRoster) -> bool {
        roster.party_signed(&self.party, &self.signing_bytes(), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_point_is_longer_than_a_point() {
        let of = |len: usize| NonceCommitments {
            hiding: vec![2; len],
            binding: vec![3; 33],
        };
        let read = |commitments: &NonceCommitments| {
            borsh::from_slice::<NonceCommitments>(&borsh::to_vec(commitments).unwrap())
        };
        assert_eq!(read(&of(32)).unwrap(), of(32));
        assert_eq!(read(&of(33)).unwrap(), of(33));
        read(&of(34)).unwrap_err();
        // Nothing is reserved for a length that is not there.
        borsh::from_slice::<NonceCommitments>(&[0xff; 8]).unwrap_err();
    }

    #[test]
    fn lists_that_differ_in_anything_have_different_names() {
        let of = |hiding: u8, binding: u8| NonceCommitments {
            hiding: vec![hiding; 32],
            binding: vec![binding; 32],
        };
        let name =
            |signers: &[NonceCommitments]| Preprocessed::Nonces(vec![signers.to_vec()]).names();
        let list = [of(1, 2), of(3, 4)];
        let swapped = [of(3, 4), of(1, 2)];
        assert_ne!(name(&list), name(&swapped));
        assert_ne!(name(&list), name(&list[..1]));
        assert_ne!(name(&list), name(&[of(1, 2), of(3, 5)]));
        assert_eq!(
            Preprocessed::Nonces(vec![list.to_vec()]).used_by(1),
            [of(3, 4).id()]
        );
    }
}
