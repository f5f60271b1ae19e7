//! Versions on the wire: which version of the protocol a program speaks, and what it can do.
//!
//! Every message between an orchestrator and agents, and every message of presence, begins with its
//! sender's [`Dialect`], in a form that no later version changes. Programs of adjacent versions
//! work together, so a cluster is upgraded one machine at a time; others are refused with
//! [`crate::RefusalCode::VersionUnsupported`] before anything else of the message is decoded.
//! Capabilities say what a program of a version has turned on or built in, so that it is not asked
//! for what it cannot do.

use std::collections::BTreeSet;
use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::{Canonical, CanonicalError};

/// Version of the protocol between programs. A message that an earlier version misunderstands takes
/// the next number.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
#[serde(transparent)]
pub struct WireVersion(pub u16);

impl WireVersion {
    /// The version that this program speaks. Builds before version 1 did not say theirs; they are
    /// answered that what they sent cannot be read.
    pub const CURRENT: Self = Self(1);

    /// Whether programs of the two versions understand each other: the same version, or adjacent
    /// ones. There is no version 0.
    #[must_use]
    pub const fn works_with(self, other: Self) -> bool {
        self.0 > 0 && other.0 > 0 && self.0.abs_diff(other.0) <= 1
    }
}

impl fmt::Display for WireVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that a program can do, and another of the same version may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Makes presignatures ahead.
    Presignatures,
    /// Hands out FROST nonce commitments ahead.
    NoncesAhead,
    /// Signs what is in force with it.
    Affirmations,
    /// Lists keys no more that were discarded before they came into force.
    Discards,
}

impl Capability {
    /// Every capability that this program knows.
    pub const ALL: [Self; 4] = [
        Self::Presignatures,
        Self::NoncesAhead,
        Self::Affirmations,
        Self::Discards,
    ];

    /// Stable name, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Presignatures => "presignatures",
            Self::NoncesAhead => "nonces-ahead",
            Self::Affirmations => "affirmations",
            Self::Discards => "discards",
        }
    }
}

/// Names of capabilities, those of newer programs included. At most [`Capabilities::MAX_COUNT`] of
/// at most [`Capabilities::MAX_NAME`] bytes, sorted, none twice; others do not decode.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, Serialize)]
#[serde(transparent)]
pub struct Capabilities(BTreeSet<String>);

impl Capabilities {
    /// The most that one program names.
    pub const MAX_COUNT: usize = 64;
    /// The longest name, in bytes.
    pub const MAX_NAME: usize = 32;

    /// Whether a capability is among them.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains(capability.as_str())
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Adds a name that comes after those that are there, if the bounds allow it.
    fn push(&mut self, name: String) -> Result<(), &'static str> {
        let fits = self.0.len() < Self::MAX_COUNT && name.len() <= Self::MAX_NAME;
        match fits && self.0.last().is_none_or(|last| *last < name) {
            true => {
                self.0.insert(name);
                Ok(())
            }
            false => Err("too many capabilities, too long a name, or not in order"),
        }
    }
}

impl BorshDeserialize for Capabilities {
    /// Each length is held against its bound before the name is read.
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let invalid = |why| borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, why);
        let mut all = Self::default();
        for _ in 0..u32::deserialize_reader(reader)? {
            let len = u32::deserialize_reader(reader)? as usize;
            let mut name = vec![0; len.min(Self::MAX_NAME + 1)];
            reader.read_exact(&mut name)?;
            let name = String::from_utf8(name).map_err(|_| invalid("a name that is no text"))?;
            all.push(name).map_err(invalid)?;
        }
        Ok(all)
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Self::default();
        for name in <Vec<String> as Deserialize>::deserialize(deserializer)? {
            all.push(name).map_err(serde::de::Error::custom)?;
        }
        Ok(all)
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(all: I) -> Self {
        let names = all.into_iter().map(|c| c.as_str().to_owned());
        Self(names.collect())
    }
}

/// Dialect of a program: version and capabilities.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// The version of the protocol.
    pub version: WireVersion,
    /// Capabilities of the program.
    pub capabilities: Capabilities,
}

impl Dialect {
    /// Dialect of this program, with every capability.
    #[must_use]
    pub fn current() -> Self {
        Self {
            version: WireVersion::CURRENT,
            capabilities: Capability::ALL.into_iter().collect(),
        }
    }

    /// The dialect in which to speak to a program of another version: the older of the two, which
    /// the newer one speaks too.
    #[must_use]
    pub fn towards(&self, theirs: WireVersion) -> Self {
        Self {
            version: self.version.min(theirs),
            ..self.clone()
        }
    }

    /// The bytes of a message in this dialect: a byte that no message before version 1 began with,
    /// the version (two bytes, little-endian), the capabilities and the message, both as Borsh.
    #[must_use]
    pub fn frame<T: Canonical>(&self, message: &T) -> Vec<u8> {
        let mut bytes = vec![MAGIC];
        bytes.extend_from_slice(&self.version.0.to_le_bytes());
        // Writing to a Vec has no error case of its own, see `Canonical::canonical_bytes`.
        if BorshSerialize::serialize(&self.capabilities, &mut bytes).is_err() {
            return Vec::new();
        }
        bytes.extend_from_slice(&message.canonical_bytes());
        bytes
    }

    /// Reads a message that somebody sent, with the dialect it was sent in.
    ///
    /// # Errors
    /// See [`FrameError`]. The version is looked at before anything after it is decoded.
    pub fn read<T: Canonical>(
        &self,
        bytes: &[u8],
        max_len: usize,
    ) -> Result<(Self, T), FrameError> {
        let [MAGIC, low, high, rest @ ..] = bytes else {
            return Err(FrameError::Unversioned);
        };
        let version = WireVersion(u16::from_le_bytes([*low, *high]));
        if !self.version.works_with(version) {
            return Err(FrameError::Version {
                theirs: version,
                ours: self.version,
            });
        }
        let mut rest = rest;
        let capabilities = <Capabilities as BorshDeserialize>::deserialize(&mut rest);
        let capabilities = capabilities.map_err(|e| FrameError::Head(e.to_string()))?;
        let message = T::from_canonical_bytes(rest, max_len).map_err(FrameError::Message)?;
        let sender = Self {
            version,
            capabilities,
        };
        Ok((sender, message))
    }
}

/// The first byte of every message with a version. Messages before version 1 began with the number
/// of an enum's variant.
const MAGIC: u8 = 0xf1;

/// Why a message is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No message with a version: of a program before version 1, or none of this protocol.
    #[error(
        "the message names no version of the protocol; its sender is older than version 1, or no part of Quorate"
    )]
    Unversioned,
    /// A head that does not decode after its version.
    #[error("the message's head cannot be read: {0}")]
    Head(String),
    /// A version that this program does not work with.
    #[error(
        "its sender speaks version {theirs} of the protocol and this program version {ours}; upgrade the older one"
    )]
    Version {
        /// The sender's.
        theirs: WireVersion,
        /// The reader's.
        ours: WireVersion,
    },
    /// A message that does not decode.
    #[error(transparent)]
    Message(CanonicalError),
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Canonical for u32 {
        const DOMAIN: &'static str = "quorate/test/v1";
    }

    fn speaking(version: u16) -> Dialect {
        Dialect {
            version: WireVersion(version),
            ..Dialect::current()
        }
    }

    #[test]
    fn adjacent_versions_read_each_other_and_a_third_is_refused() {
        for (ours, theirs) in [(1, 1), (1, 2), (2, 1), (2, 3)] {
            let bytes = speaking(theirs).frame(&7u32);
            let (sender, message) = speaking(ours).read::<u32>(&bytes, 64).unwrap();
            assert_eq!((sender, message), (speaking(theirs), 7));
        }
        for (ours, theirs) in [(1, 3), (3, 1), (1, 0), (2, 0), (1, u16::MAX)] {
            // Whatever comes after the version may have another form.
            let bytes = [&[MAGIC][..], &u16::to_le_bytes(theirs), b"\xff\xff\xff"].concat();
            let refused = speaking(ours).read::<u32>(&bytes, 64).unwrap_err();
            assert!(matches!(refused, FrameError::Version { .. }), "{refused}");
        }
    }

    #[test]
    fn messages_without_a_version_say_so() {
        for bytes in [&b""[..], b"\0", b"\x15abc", &[MAGIC], &[MAGIC, 1]] {
            let refused = speaking(1).read::<u32>(bytes, 64).unwrap_err();
            assert_eq!(refused, FrameError::Unversioned);
        }
    }

    #[test]
    fn capabilities_of_newer_programs_are_kept_and_bounded() {
        let mut newer = speaking(2);
        newer.capabilities.0.insert("teleports".to_owned());
        let (sender, _) = speaking(1).read::<u32>(&newer.frame(&1u32), 64).unwrap();
        assert_eq!(sender, newer);
        assert!(sender.capabilities.has(Capability::NoncesAhead));
        let json = serde_json::to_string(&newer).unwrap();
        assert_eq!(serde_json::from_str::<Dialect>(&json).unwrap(), newer);

        newer.capabilities.0.insert("x".repeat(33));
        let refused = speaking(1).read::<u32>(&newer.frame(&1u32), 64);
        assert!(matches!(refused, Err(FrameError::Head(_))), "{refused:?}");
        // A head that announces more than there may be is refused at the first name too many.
        let head = [&[MAGIC, 1, 0][..], &u32::MAX.to_le_bytes()].concat();
        let names = (0..100u8).flat_map(|n| [&1u32.to_le_bytes()[..], &[n]].concat());
        let bomb: Vec<u8> = head.iter().copied().chain(names).collect();
        let refused = speaking(1).read::<u32>(&bomb, 64);
        assert!(matches!(refused, Err(FrameError::Head(_))), "{refused:?}");
        // One value has one encoding.
        let pair = |a: &str, b: &str| {
            let mut bytes = vec![MAGIC, 1, 0];
            BorshSerialize::serialize(&vec![a, b], &mut bytes).unwrap();
            [bytes, 7u32.to_le_bytes().to_vec()].concat()
        };
        assert!(speaking(1).read::<u32>(&pair("a", "b"), 64).is_ok());
        for (a, b) in [("b", "a"), ("a", "a")] {
            assert!(speaking(1).read::<u32>(&pair(a, b), 64).is_err());
        }
    }
}
