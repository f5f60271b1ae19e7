//! A store key wrapped by a passphrase, through Argon2id.

use zeroize::Zeroizing;

use crate::protector::{Entry, StoreKey, Wrap};
use crate::{Passphrase, SealedBox, StoreError};

impl Wrap for Passphrase {
    fn kind(&self) -> &'static str {
        "passphrase"
    }

    fn wrap(&self, key: &StoreKey, context: &str) -> Result<Entry, StoreError> {
        SealedBox::seal(self, context, &**key).map(Entry::Passphrase)
    }

    fn unwrap(
        &self,
        entry: &Entry,
        context: &str,
    ) -> Option<Result<Zeroizing<Vec<u8>>, StoreError>> {
        match entry {
            Entry::Passphrase(sealed) => Some(sealed.open(self, context)),
            _ => None,
        }
    }
}
