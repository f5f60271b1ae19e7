//! Non-hardened derivation paths.

use std::fmt;
use std::str::FromStr;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

/// A path of non-hardened child indices from the root key, at most [`DerivationPath::MAX_DEPTH`] deep.
///
/// Hardened derivation needs the private key, which does not exist in one place.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, BorshSerialize)]
pub struct DerivationPath(Vec<u32>);

/// Why a text is not a derivation path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DerivationPathError {
    /// Does not start with `m`.
    #[error("derivation path must start with 'm', for example m/0/7")]
    Root,
    /// A component ends with `'` or `h`, or is 2^31 or more.
    #[error(
        "derivation path component {0:?} is hardened; a threshold key derives non-hardened children only (0 to 2147483647)"
    )]
    Hardened(String),
    /// A component is not a number.
    #[error("derivation path component {0:?} is not a number")]
    Component(String),
    /// Deeper than [`DerivationPath::MAX_DEPTH`].
    #[error("derivation path has {0} components, more than the {max} allowed", max = DerivationPath::MAX_DEPTH)]
    TooDeep(usize),
}

impl DerivationPath {
    /// How many components a path may have.
    pub const MAX_DEPTH: usize = 10;

    /// The root key itself, `m`.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Builds a path from its components.
    ///
    /// # Errors
    /// Hardened components and too many of them.
    pub fn from_components(components: Vec<u32>) -> Result<Self, DerivationPathError> {
        if components.len() > Self::MAX_DEPTH {
            return Err(DerivationPathError::TooDeep(components.len()));
        }
        match components.iter().find(|c| **c >= 1 << 31) {
            Some(c) => Err(DerivationPathError::Hardened(c.to_string())),
            None => Ok(Self(components)),
        }
    }

    /// The child indices, each below 2^31.
    #[must_use]
    pub fn components(&self) -> &[u32] {
        &self.0
    }

    /// Whether this is the root key.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl BorshDeserialize for DerivationPath {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let components = Vec::<u32>::deserialize_reader(reader)?;
        Self::from_components(components)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
    }
}

impl FromStr for DerivationPath {
    type Err = DerivationPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        if parts.next() != Some("m") {
            return Err(DerivationPathError::Root);
        }
        let components = parts
            .map(|part| {
                if part.ends_with('\'') || part.ends_with(['h', 'H']) {
                    return Err(DerivationPathError::Hardened(part.to_owned()));
                }
                part.parse::<u32>()
                    .map_err(|_| DerivationPathError::Component(part.to_owned()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::from_components(components)
    }
}

impl fmt::Display for DerivationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.0.iter().try_for_each(|c| write!(f, "/{c}"))
    }
}

impl fmt::Debug for DerivationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DerivationPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DerivationPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for text in ["m", "m/0/7", "m/2147483647"] {
            assert_eq!(text.parse::<DerivationPath>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_hardened_and_malformed() {
        for text in [
            "m/0'",
            "m/44h/0",
            "m/2147483648",
            "0/1",
            "m//1",
            "m/x",
            "m/0/1/2/3/4/5/6/7/8/9/10",
        ] {
            assert!(text.parse::<DerivationPath>().is_err(), "{text}");
        }
    }
}
