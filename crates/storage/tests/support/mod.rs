//! The real parts these tests run against, each started by the test that uses it and ended with it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support: a failed assumption should stop the test where it happens, and not every test uses every part"
)]

#[cfg(feature = "kms")]
pub mod aws;
pub mod moto;
pub mod running;
pub mod softhsm;
pub mod swtpm;

use running::Running;

use quorate_storage::{ItemKind, ItemName, Passphrase};
use quorate_types::{Hash32, PartyId};
use zeroize::Zeroizing;

pub fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned()))
}

pub fn party() -> PartyId {
    PartyId::new("party-1").unwrap()
}

pub fn item() -> ItemName {
    share(1, 0)
}

pub fn share(id: u8, epoch: u32) -> ItemName {
    ItemName {
        kind: ItemKind::Share,
        id: Hash32::from_bytes([id; 32]),
        epoch,
    }
}
