//! Parts of clients' secrets, kept for them in blob stores until they expire.
//!
//! A part comes sealed by the client; what is inside, the party cannot tell. The party seals it once more under a key of its own, bound to owner,
//! secret, index and expiry, so that a store can lose a part but not swap, alter or prolong one.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use hkdf::Hkdf;
use quorate_types::{Hash32, OperatorId, PartyId};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::blobs::{BlobError, BlobStores};
use crate::{StoreError, seal};

/// The largest part, in bytes.
pub const MAX_PART: usize = 64 * 1024;
/// Header and seal add less than this.
const OVERHEAD: usize = 1024;

/// Why a part is not stored or returned.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The stores'.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Sealing.
    #[error(transparent)]
    Seal(#[from] StoreError),
    /// Empty or over [`MAX_PART`].
    #[error("a part is 1 to {MAX_PART} bytes")]
    Size,
    /// It would be gone at once.
    #[error("the part expires at {expires_at}, which is past at {now} (Unix milliseconds)")]
    Past {
        /// When it expires.
        expires_at: u64,
        /// Now.
        now: u64,
    },
    /// Another part is there.
    #[error(
        "part {index} of secret {secret} exists with another content or expiry, and nothing is overwritten"
    )]
    Conflict {
        /// The secret.
        secret: Hash32,
        /// The part.
        index: u16,
    },
    /// There is none, or no longer.
    #[error("there is no part {index} of secret {secret}, or it has expired")]
    Missing {
        /// The secret.
        secret: Hash32,
        /// The part.
        index: u16,
    },
    /// The store returned something else than what was put.
    #[error("{0} is damaged or was put there by somebody else")]
    Damaged(String),
}

/// Names one part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct PartName {
    /// Whose secret.
    pub owner: OperatorId,
    /// The secret's id.
    pub secret: Hash32,
    /// Which part.
    pub index: u16,
}

/// A part in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    /// Its name.
    pub name: PartName,
    /// Unix milliseconds from which on it is not returned.
    pub expires_at: u64,
}

/// What the party's seal binds besides the content.
#[derive(BorshSerialize, BorshDeserialize)]
struct Header {
    /// 1
    version: u8,
    party: PartyId,
    name: PartName,
    expires_at: u64,
}

/// Header in the clear, content sealed.
#[derive(BorshSerialize, BorshDeserialize)]
struct Stored {
    header: Header,
    sealed: Vec<u8>,
}

/// A party's vault.
pub struct Vault {
    party: PartyId,
    stores: BlobStores,
    key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({}, {:?})", self.party, self.stores.urls())
    }
}

impl Vault {
    /// A party's vault in these stores. The sealing key is derived from the X25519 scalar of the party's channel key, which is in its store and its
    /// backups wherever its signing key is: so a restored party reads its parts too.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(
        party: &PartyId,
        stores: BlobStores,
        channel: &Zeroizing<[u8; 32]>,
    ) -> Result<Self, VaultError> {
        let mut key = Zeroizing::new([0u8; 32]);
        Hkdf::<Sha256>::new(Some(b"quorate/vault/v1"), &**channel)
            .expand(party.as_str().as_bytes(), &mut *key)
            .map_err(|_| StoreError::Seal)?;
        Ok(Self {
            party: party.clone(),
            stores,
            key,
        })
    }

    fn owner_prefix(&self, owner: &OperatorId) -> String {
        format!("vault/{}/{owner}", self.party)
    }

    fn path(&self, name: &PartName) -> String {
        let prefix = self.owner_prefix(&name.owner);
        format!("{prefix}/{}/{}", name.secret, name.index)
    }

    /// Stores a part. Storing the same again is fine, and reaches stores that missed it.
    ///
    /// # Errors
    /// [`VaultError::Size`], [`VaultError::Past`], [`VaultError::Conflict`], the stores'.
    pub async fn put(
        &self,
        name: &PartName,
        expires_at: u64,
        part: &[u8],
        now: u64,
    ) -> Result<(), VaultError> {
        if part.is_empty() || part.len() > MAX_PART {
            return Err(VaultError::Size);
        }
        if expires_at <= now {
            return Err(VaultError::Past { expires_at, now });
        }
        let header = Header {
            version: 1,
            party: self.party.clone(),
            name: name.clone(),
            expires_at,
        };
        let sealed = seal::seal(&self.key, &associated_data(&header)?, part)?;
        let bytes = borsh::to_vec(&Stored { header, sealed }).map_err(|_| StoreError::Seal)?;
        let report = self.stores.put(&self.path(name), &bytes).await?;
        if report.existing.is_empty() {
            return Ok(());
        }
        // Some store had it before. What is read is the first store's; all were written by this party, in this way.
        let (found, content) = self.read(&self.path(name)).await?;
        if found.expires_at == expires_at && *content == part {
            return Ok(());
        }
        Err(VaultError::Conflict {
            secret: name.secret,
            index: name.index,
        })
    }

    /// Returns a part that has not expired.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::Damaged`], the stores'.
    pub async fn get(&self, name: &PartName, now: u64) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let missing = || VaultError::Missing {
            secret: name.secret,
            index: name.index,
        };
        match self.read(&self.path(name)).await {
            Ok((info, content)) if now < info.expires_at => Ok(content),
            Ok(_) | Err(VaultError::Blob(BlobError::Missing(_))) => Err(missing()),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, path: &str) -> Result<(PartInfo, Zeroizing<Vec<u8>>), VaultError> {
        let is_good = |bytes: &[u8]| self.open(path, bytes).is_some();
        let max = MAX_PART + OVERHEAD;
        let bytes = self.stores.get_good(path, max, is_good).await?;
        let opened = self.open(path, &bytes);
        opened.ok_or_else(|| VaultError::Damaged(path.to_owned()))
    }

    fn open(&self, path: &str, bytes: &[u8]) -> Option<(PartInfo, Zeroizing<Vec<u8>>)> {
        let Stored { header, sealed } = borsh::from_slice(bytes).ok()?;
        let ours = header.version == 1 && header.party == self.party;
        if !ours || self.path(&header.name) != path {
            return None;
        }
        let content = seal::open(&self.key, &associated_data(&header).ok()?, &sealed)?;
        let info = PartInfo {
            name: header.name,
            expires_at: header.expires_at,
        };
        Some((info, content))
    }

    /// An owner's parts that have not expired, by name. Damaged ones are listed apart.
    ///
    /// # Errors
    /// The stores'.
    pub async fn list(
        &self,
        owner: &OperatorId,
        now: u64,
    ) -> Result<(Vec<PartInfo>, Vec<String>), VaultError> {
        let (found, damaged) = self.below(&self.owner_prefix(owner)).await?;
        let live = found.into_values().filter(|info| now < info.expires_at);
        Ok((live.collect(), damaged))
    }

    async fn below(
        &self,
        prefix: &str,
    ) -> Result<(BTreeMap<PartName, PartInfo>, Vec<String>), VaultError> {
        let mut found = BTreeMap::new();
        let mut damaged = Vec::new();
        for path in self.stores.list(prefix).await? {
            match self.read(&path).await {
                Ok((info, _)) => {
                    found.insert(info.name.clone(), info);
                }
                // Deleted since it was listed.
                Err(VaultError::Blob(BlobError::Missing(_))) => {}
                Err(VaultError::Damaged(path)) => damaged.push(path),
                Err(error) => return Err(error),
            }
        }
        Ok((found, damaged))
    }

    /// Deletes every part that has expired; returns which. Damaged ones stay for somebody to look at.
    ///
    /// # Errors
    /// The stores'.
    pub async fn purge(&self, now: u64) -> Result<Vec<PartName>, VaultError> {
        let (found, _) = self.below(&format!("vault/{}", self.party)).await?;
        let mut purged = Vec::new();
        for info in found.into_values().filter(|info| info.expires_at <= now) {
            if self.stores.delete(&self.path(&info.name)).await?.is_empty() {
                purged.push(info.name);
            }
        }
        Ok(purged)
    }
}

fn associated_data(header: &Header) -> Result<Vec<u8>, StoreError> {
    let mut data = b"quorate/vault-part/v1".to_vec();
    header.serialize(&mut data).map_err(|_| StoreError::Seal)?;
    Ok(data)
}

#[cfg(test)]
mod tests;
