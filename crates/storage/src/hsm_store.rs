//! The store of sealed secrets in a PKCS#11 token: one private data object each.
//!
//! An object is `CKO_DATA` with `CKA_TOKEN` and `CKA_PRIVATE`; `CKA_APPLICATION` is `quorate/<party>`, the label is the item's
//! name, and the value is `generation (8, little endian) || sealed`, sealed as a file of [`EncryptedFileStore`] is. Whoever reads
//! the token out has therefore gained nothing without the store key.
//!
//! A token replaces nothing in one step, so the new object is made first, one generation later, and the old one destroyed after.
//! Whoever finds two takes the newest that opens and destroys the rest.
//!
//! [`EncryptedFileStore`]: crate::EncryptedFileStore

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use crate::secret_store::BlockingStore;
use crate::token::{find, log_in};
use crate::{ItemKind, ItemName, Passphrase, Pkcs11Error, Sealer, StoreError};

/// Secrets as objects in a token. The store whose [`Sealer`] it was given must stay open: its lock keeps a second agent away.
pub struct HsmStore {
    session: Mutex<Session>,
    token: String,
    sealer: Sealer,
}

impl std::fmt::Debug for HsmStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HsmStore({:?})", self.token)
    }
}

/// One stored object.
struct Object {
    handle: ObjectHandle,
    generation: u64,
    sealed: Vec<u8>,
}

impl HsmStore {
    /// Bytes a secret may have. Tokens are small; shares are smaller.
    pub const MAX_ITEM: usize = 32 * 1024;

    /// Logs in to the token of a label.
    ///
    /// # Errors
    /// See [`Pkcs11Error`].
    pub fn open(
        module: &Path,
        token: &str,
        pin: &Passphrase,
        sealer: Sealer,
    ) -> Result<Self, Pkcs11Error> {
        Ok(Self {
            session: Mutex::new(log_in(module, token, pin)?),
            token: token.to_owned(),
            sealer,
        })
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Oldest first, so that an interruption leaves the newest.
    fn destroy(&self, session: &Session, mut objects: Vec<Object>) -> Result<(), StoreError> {
        objects.sort_unstable_by_key(|o| o.generation);
        for object in objects {
            session
                .destroy_object(object.handle)
                .map_err(self.failed("destroy an item"))?;
        }
        Ok(())
    }

    fn objects(&self, session: &Session, name: ItemName) -> Result<Vec<Object>, StoreError> {
        let mut objects = Vec::new();
        for handle in find(session, &self.token, &self.template(name))? {
            let attributes = session
                .get_attributes(handle, &[AttributeType::Value])
                .map_err(self.failed("read an item"))?;
            let value = attributes
                .into_iter()
                .find_map(|attribute| match attribute {
                    Attribute::Value(value) => Some(value),
                    _ => None,
                });
            objects.push(Object::new(handle, value.unwrap_or_default()));
        }
        Ok(objects)
    }

    fn template(&self, name: ItemName) -> Vec<Attribute> {
        let mut template = self.ours();
        template.push(Attribute::Label(name.to_string().into_bytes()));
        template
    }

    fn ours(&self) -> Vec<Attribute> {
        vec![
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Application(format!("quorate/{}", self.sealer.party()).into_bytes()),
        ]
    }

    fn failed(&self, action: &'static str) -> impl Fn(Error) -> StoreError + '_ {
        move |cause| {
            let token = self.token.clone();
            Pkcs11Error::Token {
                token,
                action,
                cause,
            }
            .into()
        }
    }
}

impl Object {
    /// A value too short for a generation is the oldest, and does not open.
    fn new(handle: ObjectHandle, mut value: Vec<u8>) -> Self {
        let generation = value
            .first_chunk::<8>()
            .map_or(0, |g| u64::from_le_bytes(*g));
        let sealed = value.split_off(value.len().min(8));
        Self {
            handle,
            generation,
            sealed,
        }
    }
}

fn item_of(attribute: &Attribute) -> Option<ItemName> {
    match attribute {
        Attribute::Label(label) => std::str::from_utf8(label).ok()?.parse().ok(),
        _ => None,
    }
}

impl BlockingStore for HsmStore {
    fn put_item(&self, name: ItemName, secret: &[u8]) -> Result<(), StoreError> {
        if secret.len() > Self::MAX_ITEM {
            return Err(StoreError::TooLarge {
                name,
                bytes: secret.len(),
                max: Self::MAX_ITEM,
            });
        }
        let sealed = self.sealer.seal(name, secret)?;
        let session = self.session();
        let old = self.objects(&session, name)?;
        let newest = old.iter().map(|o| o.generation).max();
        let generation = newest.map_or(0, |g| g.saturating_add(1));
        let mut template = self.template(name);
        template.push(Attribute::Value(
            [&generation.to_le_bytes(), sealed.as_slice()].concat(),
        ));
        session
            .create_object(&template)
            .map_err(self.failed("keep an item"))?;
        self.destroy(&session, old)
    }

    fn get_item(&self, name: ItemName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let session = self.session();
        let mut objects = self.objects(&session, name)?;
        if objects.is_empty() {
            return Err(StoreError::Missing(name));
        }
        objects.sort_unstable_by_key(|o| o.generation);
        while let Some(newest) = objects.pop() {
            if let Some(secret) = self.sealer.open(name, &newest.sealed) {
                self.destroy(&session, objects)?;
                return Ok(secret);
            }
        }
        Err(StoreError::Damaged {
            place: format!("{name} in token {:?}", self.token),
        })
    }

    fn delete_item(&self, name: ItemName) -> Result<(), StoreError> {
        let session = self.session();
        let objects = self.objects(&session, name)?;
        self.destroy(&session, objects)
    }

    fn list_items(&self, kind: ItemKind) -> Result<Vec<ItemName>, StoreError> {
        let session = self.session();
        let mut names = Vec::new();
        for handle in find(&session, &self.token, &self.ours())? {
            let attributes = session
                .get_attributes(handle, &[AttributeType::Label])
                .map_err(self.failed("read a label"))?;
            names.extend(attributes.iter().filter_map(item_of));
        }
        names.retain(|name| name.kind == kind);
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}
