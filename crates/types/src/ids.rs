//! Identifiers. Each is its own type, so that one never stands where another belongs.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not 1 to 40 characters of `a-z`, `0-9`, `-`, beginning with a letter or digit.
    #[error(
        "{kind} {text:?} must be 1 to 40 characters of a-z, 0-9 and '-', beginning with a letter or digit"
    )]
    Name {
        /// What the text was meant to name.
        kind: &'static str,
        /// The text, cut to 64 characters.
        text: String,
    },
    /// Not 64 hexadecimal digits.
    #[error("{kind} must be 64 hexadecimal digits")]
    Hex {
        /// What the text was meant to name.
        kind: &'static str,
    },
}

fn checked_name(kind: &'static str, text: &str) -> Result<String, IdError> {
    let well_formed = (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-');
    if well_formed {
        Ok(text.to_owned())
    } else {
        Err(IdError::Name {
            kind,
            text: text.chars().take(64).collect(),
        })
    }
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps a name: 1 to 40 characters of `a-z`, `0-9`, `-`; safe as a NATS token and a file name.
            ///
            /// # Errors
            /// [`IdError::Name`] for anything else.
            pub fn new(text: &str) -> Result<Self, IdError> {
                checked_name($kind, text).map(Self)
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl BorshDeserialize for $name {
            fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
                let text = String::deserialize_reader(reader)?;
                Self::new(&text).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_id!(
    /// A custodian's party agent, for example `party-1`.
    PartyId,
    "party id"
);
name_id!(
    /// A person or program that may propose intents.
    OperatorId,
    "operator id"
);
name_id!(
    /// The name people give a key; unique within a cluster.
    KeyName,
    "key name"
);

name_id!(
    /// A human or program in a policy: approver, guardian, admin, or the person an operator is.
    PersonId,
    "person id"
);
name_id!(
    /// A group of people whose approvals are counted together, for example `treasury`.
    GroupName,
    "group name"
);
name_id!(
    /// What a person may answer for, for example `compliance`.
    RoleName,
    "role name"
);
name_id!(
    /// A rule or a counter of a policy.
    RuleId,
    "rule id"
);

impl OperatorId {
    /// The person of the same name.
    #[must_use]
    pub fn person(&self) -> PersonId {
        PersonId(self.0.clone())
    }
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first eight hexadecimal digits, for people.
            #[must_use]
            pub fn short(&self) -> String {
                hex::encode(self.0.first_chunk::<4>().copied().unwrap_or_default())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0u8; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError::Hex { kind: $kind })?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hash_id!(
    /// A SHA-256 output without further meaning.
    Hash32,
    "hash"
);
hash_id!(
    /// A key, for its whole life: the hash of the intent that created it. Survives refresh and reshare.
    KeyId,
    "key id"
);
hash_id!(
    /// One run of one ceremony: see [`crate::SessionDescriptor::session_id`].
    SessionId,
    "session id"
);
hash_id!(
    /// The canonical hash of an [`crate::Intent`].
    IntentHash,
    "intent hash"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_subject_tokens_and_file_names() {
        for bad in [
            "",
            "a.b",
            "a*",
            ">",
            "A",
            "../x",
            "a b",
            "-a",
            &"x".repeat(41),
        ] {
            assert!(PartyId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(PartyId::new("party-1").unwrap().as_str(), "party-1");
    }

    #[test]
    fn a_bad_name_does_not_come_in_through_a_decoder() {
        let bytes = borsh::to_vec("a.b").unwrap();
        assert!(borsh::from_slice::<PartyId>(&bytes).is_err());
    }
}
