//! A code as it travels: text.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Class, CodeSet};

/// A code of the kind `C`, or the text of one that only a newer program knows. Text on every wire,
/// at most [`UnknownCode::MAX_LEN`] bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code<C> {
    /// A code of this program's own tables.
    Known(C),
    /// The text of a code that this program does not know.
    Unknown(UnknownCode),
}

/// The text of a code that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnknownCode(String);

impl UnknownCode {
    /// The longest code, in bytes.
    pub const MAX_LEN: usize = 64;
}

/// Text that cannot be a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has 1 to {max} characters: a-z, 0-9, -, . and _", max = UnknownCode::MAX_LEN)]
pub struct CodeError;

impl<C: CodeSet> Code<C> {
    fn read(text: UnknownCode) -> Self {
        C::find(&text.0).map_or(Self::Unknown(text), Self::Known)
    }

    /// The text on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Unknown(UnknownCode(text)) => text,
        }
    }

    /// The code, if this program knows it.
    #[must_use]
    pub const fn known(&self) -> Option<C> {
        match self {
            Self::Known(code) => Some(*code),
            Self::Unknown(_) => None,
        }
    }

    /// Class of the code; [`Class::Unknown`] for one that this program does not know.
    #[must_use]
    pub fn class(&self) -> Class {
        self.known().map_or(Class::Unknown, CodeSet::class)
    }

    /// Whether the same request may be answered otherwise in a moment; an unknown code is taken to
    /// stay (I9).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.known().is_some_and(CodeSet::is_transient)
    }

    /// Converts to a kind that includes this one. Text that is unknown here stays unknown: what a
    /// custodian says must not pass for a code that is not a custodian's to say.
    #[must_use]
    pub fn widen<W: CodeSet + From<C>>(&self) -> Code<W> {
        match self {
            Self::Known(code) => Code::Known(W::from(*code)),
            Self::Unknown(text) => Code::Unknown(text.clone()),
        }
    }
}

/// A code of a kind, or of any that it includes.
impl<C: CodeSet, K: CodeSet + Into<C>> From<K> for Code<C> {
    fn from(code: K) -> Self {
        Self::Known(code.into())
    }
}

/// A code equals one of its kind, or of any that the kind includes.
impl<C: CodeSet, K: CodeSet + Into<C>> PartialEq<K> for Code<C> {
    fn eq(&self, other: &K) -> bool {
        self.known() == Some((*other).into())
    }
}

/// The text, so that what a log shows of a reply can be looked up.
impl<C: CodeSet> fmt::Debug for Code<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<C: CodeSet> fmt::Display for Code<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for UnknownCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        // Codes of payloads were once written `evm.wrong_chain_id`; ledgers have them.
        let is_code = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        match fits && text.bytes().all(is_code) {
            true => Ok(Self(text.to_owned())),
            false => Err(CodeError),
        }
    }
}

impl<C: CodeSet> FromStr for Code<C> {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        Ok(Self::read(text.parse()?))
    }
}

impl<C: CodeSet> Serialize for Code<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, C: CodeSet> Deserialize<'de> for Code<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<C: CodeSet> BorshSerialize for Code<C> {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        BorshSerialize::serialize(self.as_str(), writer)
    }
}

impl<C: CodeSet> BorshDeserialize for Code<C> {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let text = String::deserialize_reader(reader)?;
        let invalid = |error| borsh::io::Error::new(borsh::io::ErrorKind::InvalidData, error);
        text.parse().map_err(invalid)
    }
}
