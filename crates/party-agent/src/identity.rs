//! The party's identity keys: in its store, or the signing one in a token.

use std::sync::Arc;

use quorate_messaging::{IdentitySigner, IdentityUnavailable, PartyKeys};
use quorate_storage::{EncryptedFileStore, Pkcs11Identity, StoreError};
use quorate_types::ValidRoster;
use zeroize::Zeroizing;

use crate::agent::check_identity;
use crate::boot::{BootError, identity_item};
use crate::hardware::HsmConfig;
use crate::{AgentConfig, Unlock};

/// A key in a token, as the messenger uses it.
#[derive(Debug)]
struct InToken(Pkcs11Identity);

impl IdentitySigner for InToken {
    fn public(&self) -> [u8; 32] {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], IdentityUnavailable> {
        self.0
            .sign(message)
            .map_err(|error| IdentityUnavailable(error.to_string()))
    }
}

/// Opens the keys where the configuration says they are.
///
/// # Errors
/// See [`BootError`].
pub fn open(
    config: &AgentConfig,
    unlock: &Unlock,
    store: &EncryptedFileStore,
) -> Result<PartyKeys, BootError> {
    let bytes = store.get(identity_item())?;
    let Some((hsm, label)) = in_token(config) else {
        return in_store(&bytes);
    };
    let channel = channel_of(&bytes).ok_or(BootError::Identity)?;
    let signer = Pkcs11Identity::open(&hsm.module, &hsm.token, &unlock.pin_of(hsm)?, label);
    let signer = signer.map_err(StoreError::from)?;
    Ok(PartyKeys::with_signer(Arc::new(InToken(signer)), &channel))
}

/// Whether what a store or a backup holds of the identity is the roster's. A signing key in a token is not asked.
///
/// # Errors
/// See [`BootError`].
pub fn check_stored(
    config: &AgentConfig,
    bytes: &[u8],
    roster: &ValidRoster,
) -> Result<(), BootError> {
    let keys = match in_token(config) {
        None => in_store(bytes)?,
        Some(_) => {
            let entry = roster.party(&config.party);
            let signer = Arc::new(NotAsked(entry.map_or([0; 32], |entry| entry.identity)));
            PartyKeys::with_signer(signer, &channel_of(bytes).ok_or(BootError::Identity)?)
        }
    };
    Ok(check_identity(roster, &config.party, &keys)?)
}

/// A key of which only the public half is at hand.
#[derive(Debug)]
struct NotAsked([u8; 32]);

impl IdentitySigner for NotAsked {
    fn public(&self) -> [u8; 32] {
        self.0
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], IdentityUnavailable> {
        Err(IdentityUnavailable("it is in a token".to_owned()))
    }
}

fn in_store(bytes: &[u8]) -> Result<PartyKeys, BootError> {
    let both = <[u8; 64]>::try_from(bytes).map_err(|_| BootError::Identity)?;
    Ok(PartyKeys::from_secret_bytes(&Zeroizing::new(both)))
}

/// Leaves in the store only what the keys still need from it. To be called when the roster is known to have these keys: a seed that
/// the token's key replaced is then of no use to anyone but a thief.
///
/// # Errors
/// The store's.
pub fn drop_replaced_seed(keys: &PartyKeys, store: &EncryptedFileStore) -> Result<(), StoreError> {
    let (kept, needed) = (store.get(identity_item())?, keys.to_secret_bytes());
    if kept.len() == needed.len() {
        return Ok(());
    }
    store.put(identity_item(), &needed)?;
    tracing::info!("the identity is in the token: its predecessor was removed from the store");
    Ok(())
}

/// Where the configuration puts the identity, if not in the store.
pub(crate) fn in_token(config: &AgentConfig) -> Option<(&HsmConfig, &str)> {
    let hsm = config.hsm.as_ref()?;
    Some((hsm, hsm.identity.as_deref()?))
}

/// The last 32 bytes: before them there may still be an Ed25519 seed.
fn channel_of(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    match bytes.len() {
        32 | 64 => bytes.last_chunk().copied().map(Zeroizing::new),
        _ => None,
    }
}
