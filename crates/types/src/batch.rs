//! Several payloads in one request.

use std::io::{self, Read};

use borsh::de::EnumExt as _;
use borsh::{BorshDeserialize, BorshSerialize};

use crate::Payload;

/// 2 to 64 payloads of one kind, no two of them equal, that one request has signed: all or none. Decoding checks what
/// [`Batch::new`] does.
#[derive(Clone, PartialEq, Eq, BorshSerialize)]
pub struct Batch(Vec<Payload>);

/// Why payloads are not one batch. Members are numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Too few or too many.
    #[error("a batch has 2 to {max} members, not {count}", max = Batch::MAX)]
    Count {
        /// How many.
        count: usize,
    },
    /// A batch as a member.
    #[error("member {member} of the batch is a batch itself; put its members into one list")]
    Nested {
        /// Which.
        member: usize,
    },
    /// Members of different kinds, which policies judge as different actions.
    #[error(
        "member {member} of the batch is a {kind} payload, the first is a {first}; make one request for each kind"
    )]
    Mixed {
        /// Which.
        member: usize,
        /// Its kind.
        kind: &'static str,
        /// The first's.
        first: &'static str,
    },
    /// The same payload twice.
    #[error("member {member} of the batch is the same as member {of}; leave one of them out")]
    Repeated {
        /// The second.
        member: usize,
        /// The first.
        of: usize,
    },
    /// Longer than any payload may be.
    #[error(
        "the batch has {len} bytes, more than the {max} allowed; split it into several requests",
        max = Payload::MAX_LEN
    )]
    TooLong {
        /// Bytes of all members.
        len: usize,
    },
}

impl Batch {
    /// The most members, and the most items that they may have together.
    pub const MAX: usize = crate::node::NodeRequest::MAX_COMMIT as usize;

    /// Checks that payloads can be one batch.
    ///
    /// # Errors
    /// See [`BatchError`].
    pub fn new(members: Vec<Payload>) -> Result<Self, BatchError> {
        check_count(members.len())?;
        let first = members.first().map_or("", Payload::kind);
        for (member, payload) in (1..).zip(&members) {
            if matches!(payload, Payload::Batch(_)) {
                return Err(BatchError::Nested { member });
            }
            let kind = payload.kind();
            if kind != first {
                return Err(BatchError::Mixed {
                    member,
                    kind,
                    first,
                });
            }
            let mut earlier = (1..member).zip(&members);
            if let Some((of, _)) = earlier.find(|(_, other)| *other == payload) {
                return Err(BatchError::Repeated { member, of });
            }
        }
        let len = members.iter().map(Payload::size).sum();
        if len > Payload::MAX_LEN {
            return Err(BatchError::TooLong { len });
        }
        Ok(Self(members))
    }

    /// In the order in which they are signed.
    #[must_use]
    pub fn members(&self) -> &[Payload] {
        &self.0
    }
}

fn check_count(count: usize) -> Result<(), BatchError> {
    if (2..=Batch::MAX).contains(&count) {
        return Ok(());
    }
    Err(BatchError::Count { count })
}

fn malformed(error: BatchError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl BorshDeserialize for Batch {
    fn deserialize_reader<R: Read>(reader: &mut R) -> io::Result<Self> {
        let count = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
        check_count(count).map_err(malformed)?;
        let mut members = Vec::with_capacity(count);
        for member in 1..=count {
            let tag = u8::deserialize_reader(reader)?;
            // Before it is decoded: the depth must not be the sender's choice.
            if tag == Payload::BATCH_TAG {
                return Err(malformed(BatchError::Nested { member }));
            }
            members.push(Payload::deserialize_variant(reader, tag)?);
        }
        Self::new(members).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(bytes: &[u8]) -> Payload {
        Payload::Raw(bytes.to_vec())
    }

    fn numbered(count: u8) -> Vec<Payload> {
        (0..count).map(|n| raw(&[n])).collect()
    }

    /// The encoding that a batch of these would have.
    fn encoded(members: &[Payload]) -> Vec<u8> {
        let mut bytes = vec![Payload::BATCH_TAG];
        members.serialize(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn batches_are_encoded_as_lists() {
        for count in [2, 3, 64] {
            let members = numbered(count);
            let batch = Payload::Batch(Batch::new(members.clone()).unwrap());
            let bytes = borsh::to_vec(&batch).unwrap();
            assert_eq!(bytes, encoded(&members));
            assert_eq!(borsh::from_slice::<Payload>(&bytes).unwrap(), batch);
            assert_eq!(batch.members(), members);
            assert_eq!(batch.size(), usize::from(count));
        }
    }

    #[test]
    fn what_is_no_batch_is_neither_made_nor_decoded() {
        let nested = Payload::Batch(Batch::new(numbered(2)).unwrap());
        let half = vec![0; Payload::MAX_LEN / 2];
        let too_long = [raw(&half), raw(&[half.as_slice(), &[1]].concat())];
        let mixed = [raw(b"a"), Payload::Message(b"b".to_vec())];
        let cases: [(&[Payload], BatchError); 8] = [
            (&[], BatchError::Count { count: 0 }),
            (&numbered(1), BatchError::Count { count: 1 }),
            (&numbered(65), BatchError::Count { count: 65 }),
            (
                &[raw(b"a"), nested.clone()],
                BatchError::Nested { member: 2 },
            ),
            (&[nested, raw(b"a")], BatchError::Nested { member: 1 }),
            (
                &mixed,
                BatchError::Mixed {
                    member: 2,
                    kind: "message",
                    first: "raw",
                },
            ),
            (
                &[raw(b"a"), raw(b"b"), raw(b"a")],
                BatchError::Repeated { member: 3, of: 1 },
            ),
            (
                &too_long,
                BatchError::TooLong {
                    len: Payload::MAX_LEN + 1,
                },
            ),
        ];
        for (members, error) in cases {
            assert_eq!(Batch::new(members.to_vec()).err(), Some(error));
            assert!(borsh::from_slice::<Payload>(&encoded(members)).is_err());
        }
    }

    #[test]
    fn nesting_is_refused_before_it_is_followed() {
        // As deep as bytes allow: each level is a batch of two whose first member is the next.
        let level = [Payload::BATCH_TAG, 2, 0, 0, 0];
        let deep = level.repeat(Payload::MAX_LEN / level.len());
        let error = borsh::from_slice::<Payload>(&deep).unwrap_err();
        assert!(error.to_string().contains("a batch itself"), "{error}");
        // A count that is a lie takes no memory.
        let lie = [Payload::BATCH_TAG, 255, 255, 255, 255];
        assert!(borsh::from_slice::<Payload>(&lie).is_err());
    }
}
