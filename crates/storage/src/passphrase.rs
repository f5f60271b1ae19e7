//! Keys from passphrases: Argon2id (RFC 9106).

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::{FileError, write_private};

/// A passphrase in memory; wiped on drop, never printed.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase([redacted])")
    }
}

impl Passphrase {
    /// Takes a passphrase; a trailing line end, as files have, is not part of it.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Self {
        let trimmed = text.trim_end_matches(['\r', '\n']);
        if trimmed.len() == text.len() {
            return Self(text);
        }
        Self(Zeroizing::new(trimmed.to_owned()))
    }

    /// A new one: 160 bits from the operating system, as 40 hexadecimal digits.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0u8; 20]);
        OsRng.fill_bytes(&mut *bytes);
        Self(Zeroizing::new(hex::encode(*bytes)))
    }

    /// Writes it to a new file 0600, for its owner to carry off.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write_to(&self, file: &Path) -> Result<(), FileError> {
        write_private(file, self.0.as_bytes())
    }

    /// Whether it has no characters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy of the characters, for whoever must hand them to another process.
    #[must_use]
    pub fn to_zeroizing(&self) -> Zeroizing<String> {
        self.0.clone()
    }

    /// The characters, for whoever must hand them on.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The 32-byte key for a salt.
    pub(crate) fn derive(
        &self,
        salt: &[u8; 16],
        params: KdfParams,
    ) -> Result<Zeroizing<[u8; 32]>, argon2::Error> {
        let params = Params::new(params.memory_kib, params.passes, params.lanes, Some(32))?;
        let mut key = Zeroizing::new([0u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
            self.0.as_bytes(),
            salt,
            &mut *key,
        )?;
        Ok(key)
    }
}

/// Argon2id's costs, stored beside what they protect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KdfParams {
    /// Memory in KiB; at least 64 MiB is accepted.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl KdfParams {
    /// RFC 9106's second recommended option: 64 MiB, 3 passes, 4 lanes.
    pub const RECOMMENDED: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 4,
    };

    /// The most memory accepted: 1 GiB.
    const MAX_MEMORY_KIB: u32 = 1024 * 1024;
    /// The most work accepted, memory times passes: 64 times what is recommended would be 12 GiB,
    /// this is 4.
    const MAX_WORK_KIB: u64 = 4 * 1024 * 1024;

    /// Costs that someone with write access to the file could not have lowered, nor raised to
    /// exhaust memory or time.
    #[must_use]
    pub const fn is_acceptable(self) -> bool {
        self.memory_kib >= 64 * 1024
            && self.memory_kib <= Self::MAX_MEMORY_KIB
            && self.passes >= 1
            && (self.memory_kib as u64).saturating_mul(self.passes as u64) <= Self::MAX_WORK_KIB
            && self.lanes >= 1
            && self.lanes <= 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t34_costs_are_bounded_both_ways() {
        let with = |memory_kib, passes, lanes| KdfParams {
            memory_kib,
            passes,
            lanes,
        };
        let gib = 1024 * 1024;
        for good in [KdfParams::RECOMMENDED, with(gib, 4, 16)] {
            assert!(good.is_acceptable(), "{good:?}");
        }
        for bad in [
            with(64 * 1024 - 1, 3, 4),
            with(gib + 1, 1, 1),
            with(4 * gib, 64, 64),
            with(gib, 5, 1),
            with(64 * 1024, 65, 1),
            with(64 * 1024, 0, 1),
            with(64 * 1024, 3, 0),
            with(64 * 1024, 3, 17),
        ] {
            assert!(!bad.is_acceptable(), "{bad:?}");
        }
    }
}
