//! Presignatures and nonces: sealed before they come into the ledger, opened after they have left it.

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_types::Hash32;

/// What may be used once and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum OneTimeKind {
    /// A CGGMP24 presignature.
    Presignature,
    /// FROST nonces.
    Nonce,
}

/// Names one presignature or nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct OneTimeId {
    /// What it is.
    pub kind: OneTimeKind,
    /// What it was made for: hash of key, epoch, path and ordered signers.
    pub pool: Hash32,
    /// Unique for ever: once consumed, nothing of this id is accepted again.
    pub id: Hash32,
}

/// A presignature or nonce under its store's key, bound to party and name. Made by [`Sealer::seal_one_time`], so that none comes into the
/// ledger in the clear.
///
/// [`Sealer::seal_one_time`]: crate::Sealer::seal_one_time
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedOneTime {
    pub(crate) id: OneTimeId,
    pub(crate) sealed: Vec<u8>,
}

impl SealedOneTime {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> OneTimeId {
        self.id
    }
}
