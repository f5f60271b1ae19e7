//! The keys and the committee setup this agent has, and their way from pending to active.
//!
//! A record becomes active only with every party's attestation of it, so no key is used of which some party has no share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_mpc_protocol::{Aux, AuxError, Production, ReadyAux, Share, ShareError};
use quorate_storage::{
    EncryptedFileStore, ItemKind, ItemName, Ledger, LedgerError, SecretStore, StoreError,
};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{CommitteeListing, CommitteeRecord, KeyListing, NodeRequest, Record};
use quorate_types::{
    Attestation, Hash32, KeyId, KeyName, KeyRecord, SessionId, SignedDiscard, ValidRoster,
};

/// Why a key or setup cannot be stored or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyBookError {
    /// The sealed store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A stored share is not valid.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// Stored auxiliary information is not valid.
    #[error(transparent)]
    Aux(#[from] AuxError),
    /// A stored record does not decode.
    #[error("the record {0} in the ledger is damaged")]
    Damaged(String),
    /// There is no such key.
    #[error("no key {0}; `quorate key list` shows the keys there are")]
    UnknownKey(KeyId),
    /// There is no key of that name.
    #[error("no key named {0}; `quorate key list` shows the keys there are")]
    UnknownName(KeyName),
    /// Not every party has attested the key.
    #[error("key {0} is not active: not every party has confirmed its share")]
    NotActive(KeyName),
    /// The record is not the one this agent made.
    #[error("the record to activate is not the one this agent has")]
    OtherRecord,
    /// Attestations are missing or wrong.
    #[error("not every party has validly attested the record; missing: {0}")]
    Attestations(String),
    /// No committee setup.
    #[error("the committee is not set up for ECDSA; run `quorate committee setup`")]
    NoCommittee,
    /// A share of this key is there; nothing may take its place.
    #[error("a share of key {0} exists already and is not replaced")]
    AlreadyMade(KeyId),
    /// A key in force is not discarded.
    #[error("key {0} is in force, and is not discarded")]
    InForce(KeyName),
    /// The name is used by another key.
    #[error("a key named {0} exists already")]
    NameTaken(KeyName),
}

impl KeyBookError {
    /// Whether the disk has no room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Store(error) => error.is_disk_full(),
            Self::Ledger(error) => error.is_disk_full(),
            _ => false,
        }
    }
}

/// A record with its attestations, as the ledger keeps it.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
pub(crate) struct Stored {
    pub(crate) record: Record,
    pub(crate) attestations: Vec<Attestation>,
    pub(crate) active: bool,
}

/// A key, its attestations, and whether it is active.
type Entry = (Arc<KeyRecord>, Vec<Attestation>, bool);

fn listing((record, attestations, active): &Entry) -> KeyListing {
    KeyListing {
        record: (**record).clone(),
        attestations: attestations.clone(),
        active: *active,
        protocol: None,
    }
}

#[derive(Default)]
struct Book {
    keys: BTreeMap<KeyId, Entry>,
    /// Of those that are not active, those that are listed no more. INVARIANT: none of them is
    /// active.
    discarded: BTreeSet<KeyId>,
    /// Of the active ones.
    names: HashMap<KeyName, KeyId>,
    highest_epoch: u32,
    committee: Option<CommitteeListing>,
    shares: BTreeMap<KeyId, Arc<Share>>,
    aux: Option<(SessionId, Arc<ReadyAux<Production>>)>,
    reserved: BTreeSet<KeyName>,
}

impl Book {
    fn is_taken(&self, name: &KeyName) -> bool {
        self.reserved.contains(name) || self.names.contains_key(name)
    }

    /// The only way a key gets in, or into force.
    fn put(&mut self, (record, attestations, active): Entry) {
        if active {
            self.names.insert(record.name.clone(), record.id);
            self.discarded.remove(&record.id);
        }
        self.highest_epoch = self.highest_epoch.max(record.epoch);
        self.keys.insert(record.id, (record, attestations, active));
    }

    /// Whether another key in force has this key's name.
    fn is_named_otherwise(&self, key: &KeyRecord) -> bool {
        self.names.get(&key.name).is_some_and(|id| *id != key.id)
    }
}

/// See the module.
pub struct KeyBook {
    /// Of shares.
    shares: Arc<dyn SecretStore>,
    /// Of auxiliary information, which is too large for a token.
    store: Arc<EncryptedFileStore>,
    ledger: Arc<Ledger>,
    roster: Arc<ValidRoster>,
    book: Mutex<Book>,
    /// Held while a record comes into force, so that two keys of one name cannot do so at once.
    activating: tokio::sync::Mutex<()>,
}

/// Holds a key name while its DKG runs.
pub struct Reservation {
    keybook: Arc<KeyBook>,
    name: KeyName,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.keybook.lock().reserved.remove(&self.name);
    }
}

impl KeyBook {
    /// Reads what the ledger has.
    ///
    /// # Errors
    /// The ledger's, or a damaged record.
    pub fn open(
        shares: Arc<dyn SecretStore>,
        store: Arc<EncryptedFileStore>,
        ledger: Arc<Ledger>,
        roster: Arc<ValidRoster>,
    ) -> Result<Arc<Self>, KeyBookError> {
        let mut book = Book {
            discarded: discarded(&ledger)?,
            ..Book::default()
        };
        for (name, bytes) in ledger
            .records("key/")?
            .into_iter()
            .chain(ledger.records("committee")?)
        {
            let stored: Stored =
                borsh::from_slice(&bytes).map_err(|_| KeyBookError::Damaged(name))?;
            match stored.record {
                Record::Key(record) => {
                    book.put((Arc::new(record), stored.attestations, stored.active));
                }
                Record::Committee(record) if stored.active => {
                    book.committee = Some(CommitteeListing {
                        record,
                        attestations: stored.attestations,
                    });
                }
                Record::Committee(_) | Record::Protocol(_) => {}
            }
        }
        Ok(Arc::new(Self {
            shares,
            store,
            ledger,
            roster,
            book: Mutex::new(book),
            activating: tokio::sync::Mutex::new(()),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // The book is changed in single steps, so a panic elsewhere leaves it whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().keys.len()
    }

    /// The highest epoch of any key.
    #[must_use]
    pub fn highest_epoch(&self) -> u32 {
        self.lock().highest_epoch
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The committee setup in force.
    #[must_use]
    pub fn committee(&self) -> Option<CommitteeListing> {
        self.lock().committee.clone()
    }

    /// One page of keys in id order.
    #[must_use]
    pub fn page(&self, after: Option<KeyId>) -> Vec<KeyListing> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        let book = self.lock();
        let keys = book.keys.range((start, Unbounded));
        keys.filter(|(id, _)| !book.discarded.contains(id))
            .take(NodeRequest::MAX_KEYS)
            .map(|(_, entry)| listing(entry))
            .collect()
    }

    /// One key, if it is here, discarded or not: whoever asks for it by its id may have to tell
    /// this
    /// agent that it is in force.
    #[must_use]
    pub fn listing(&self, id: KeyId) -> Vec<KeyListing> {
        let book = self.lock();
        book.keys.get(&id).map(listing).into_iter().collect()
    }

    /// Lists a key no more that is not active, after a restart too. Its share stays: other
    /// custodians may have all attestations, and then
    /// the key still comes into force. Repeating it is harmless. Blocks: not for an async thread.
    ///
    /// # Errors
    /// [`KeyBookError::UnknownKey`], [`KeyBookError::InForce`], the ledger's.
    pub fn discard(&self, id: KeyId, wish: &SignedDiscard) -> Result<(), KeyBookError> {
        let _alone = self.activating.blocking_lock();
        {
            let book = self.lock();
            let (record, _, active) = book.keys.get(&id).ok_or(KeyBookError::UnknownKey(id))?;
            if *active {
                return Err(KeyBookError::InForce(record.name.clone()));
            }
            if book.discarded.contains(&id) {
                return Ok(());
            }
        }
        let name = format!("{DISCARDED}{id}");
        self.ledger.put_record(&name, &wish.canonical_bytes())?;
        self.lock().discarded.insert(id);
        Ok(())
    }

    /// Whether there is a share of this key, active or not.
    #[must_use]
    pub fn knows(&self, id: KeyId) -> bool {
        self.lock().keys.contains_key(&id)
    }

    /// Whether a name can be given to a new key. Names of keys that never became active are free.
    ///
    /// # Errors
    /// [`KeyBookError::NameTaken`].
    pub fn check_free(&self, name: &KeyName) -> Result<(), KeyBookError> {
        if self.lock().is_taken(name) {
            return Err(KeyBookError::NameTaken(name.clone()));
        }
        Ok(())
    }

    /// Claims a name while its key is being made.
    ///
    /// # Errors
    /// [`KeyBookError::NameTaken`].
    pub fn reserve(self: &Arc<Self>, name: &KeyName) -> Result<Reservation, KeyBookError> {
        let mut book = self.lock();
        if book.is_taken(name) {
            return Err(KeyBookError::NameTaken(name.clone()));
        }
        book.reserved.insert(name.clone());
        Ok(Reservation {
            keybook: Arc::clone(self),
            name: name.clone(),
        })
    }

    /// An active key's record.
    ///
    /// # Errors
    /// Unknown, or not active.
    pub fn key(&self, id: KeyId) -> Result<Arc<KeyRecord>, KeyBookError> {
        let book = self.lock();
        let (record, _, active) = book.keys.get(&id).ok_or(KeyBookError::UnknownKey(id))?;
        if *active {
            Ok(Arc::clone(record))
        } else {
            Err(KeyBookError::NotActive(record.name.clone()))
        }
    }

    /// The active key of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(&self, name: &KeyName) -> Result<Arc<KeyRecord>, KeyBookError> {
        let book = self.lock();
        let entry = book.names.get(name).and_then(|id| book.keys.get(id));
        entry
            .map(|(record, _, _)| Arc::clone(record))
            .ok_or_else(|| KeyBookError::UnknownName(name.clone()))
    }

    /// This party's share of a key; opened once, then kept in memory.
    ///
    /// # Errors
    /// Missing or damaged in the store.
    pub async fn share(&self, record: &KeyRecord) -> Result<Arc<Share>, KeyBookError> {
        if let Some(share) = self.lock().shares.get(&record.id) {
            return Ok(Arc::clone(share));
        }
        let name = share_name(record.id, record.epoch);
        let bytes = self.shares.get_share(name).await?;
        let share = Share::from_secret_bytes(record.public_key.curve(), &bytes)?;
        if share.public_key().as_ref() != Some(&record.public_key) {
            return Err(KeyBookError::OtherRecord);
        }
        let share = Arc::new(share);
        self.lock().shares.insert(record.id, Arc::clone(&share));
        Ok(share)
    }

    /// The committee's auxiliary information.
    ///
    /// # Errors
    /// None in force, missing or damaged in the store.
    pub fn aux(&self) -> Result<Arc<ReadyAux<Production>>, KeyBookError> {
        let session = {
            let book = self.lock();
            let session = book
                .committee
                .as_ref()
                .ok_or(KeyBookError::NoCommittee)?
                .record
                .session;
            if let Some((loaded, aux)) = &book.aux
                && *loaded == session
            {
                return Ok(Arc::clone(aux));
            }
            session
        };
        let aux = Arc::new(self.load_aux(session)?);
        self.lock().aux = Some((session, Arc::clone(&aux)));
        Ok(aux)
    }

    fn load_aux(&self, session: SessionId) -> Result<ReadyAux<Production>, KeyBookError> {
        let stored = self.store.get(aux_name(session))?;
        Ok(Aux::from_secret_bytes(&stored).ready()?)
    }

    /// Gives the auxiliary information in force its tables; returns how many bytes they take. Computes for a while.
    ///
    /// # Errors
    /// Missing or damaged in the store.
    pub fn build_tables(&self) -> Result<usize, KeyBookError> {
        let Some(committee) = self.committee() else {
            return Ok(0);
        };
        let session = committee.record.session;
        let aux = self.load_aux(session)?.with_tables()?;
        let len = aux.tables_len();
        self.lock().aux = Some((session, Arc::new(aux)));
        Ok(len)
    }

    /// Stores a new key durably as pending: share first, then the record that points to it.
    ///
    /// # Errors
    /// The store's or the ledger's.
    pub async fn add_pending_key(
        &self,
        record: &KeyRecord,
        share: &Share,
        own: &Attestation,
    ) -> Result<(), KeyBookError> {
        let _alone = self.activating.lock().await;
        // INVARIANT: a share is never overwritten.
        if self.knows(record.id) {
            return Err(KeyBookError::AlreadyMade(record.id));
        }
        let name = share_name(record.id, record.epoch);
        self.shares
            .put_share(name, share.to_secret_bytes()?)
            .await?;
        let stored = Stored {
            record: Record::Key(record.clone()),
            attestations: vec![own.clone()],
            active: false,
        };
        let bytes = encode(&key_name(record.id), &stored)?;
        let ledger = Arc::clone(&self.ledger);
        let name = key_name(record.id);
        let written = tokio::task::spawn_blocking(move || ledger.put_record(&name, &bytes)).await;
        written.map_err(|_| StoreError::Interrupted)??;
        let entry = (Arc::new(record.clone()), stored.attestations, false);
        self.lock().put(entry);
        Ok(())
    }

    /// Stores new auxiliary information durably as pending.
    ///
    /// # Errors
    /// The store's or the ledger's.
    pub fn add_pending_aux(
        &self,
        record: &CommitteeRecord,
        aux: &Aux,
        own: &Attestation,
    ) -> Result<(), KeyBookError> {
        self.store
            .put(aux_name(record.session), aux.as_secret_bytes())?;
        let stored = Stored {
            record: Record::Committee(record.clone()),
            attestations: vec![own.clone()],
            active: false,
        };
        self.persist(&format!("pending-committee/{}", record.session), &stored)
    }

    /// Brings a record into force. Repeating it is harmless. Blocks: not for an async thread.
    ///
    /// # Errors
    /// A record this agent did not make, or attestations that are not every party's.
    pub fn activate(
        &self,
        record: Record,
        attestations: Vec<Attestation>,
    ) -> Result<(), KeyBookError> {
        let attestations = self.valid_attestations(&record, attestations)?;
        let _alone = self.activating.blocking_lock();
        match &record {
            Record::Key(key) => {
                let known = self
                    .lock()
                    .keys
                    .get(&key.id)
                    .map(|(r, _, a)| (Arc::clone(r), *a));
                let (known, active) = known.ok_or(KeyBookError::UnknownKey(key.id))?;
                if *known != *key {
                    return Err(KeyBookError::OtherRecord);
                }
                if active {
                    return Ok(());
                }
                if self.lock().is_named_otherwise(key) {
                    return Err(KeyBookError::NameTaken(key.name.clone()));
                }
                let name = key_name(key.id);
                let stored = Stored {
                    record,
                    attestations,
                    active: true,
                };
                self.persist(&name, &stored)?;
                self.lock().put((known, stored.attestations, true));
            }
            Record::Committee(committee) => {
                let committee = committee.clone();
                match self.committee() {
                    Some(active) if active.record == committee => return Ok(()),
                    Some(_) => return Err(KeyBookError::OtherRecord),
                    None => self.check_pending_committee(&committee)?,
                }
                let stored = Stored {
                    record,
                    attestations,
                    active: true,
                };
                self.persist("committee", &stored)?;
                let listing = CommitteeListing {
                    record: committee,
                    attestations: stored.attestations,
                };
                self.lock().committee = Some(listing);
            }
            // Those are [`crate::protocols`]'.
            Record::Protocol(_) => return Err(KeyBookError::OtherRecord),
        }
        Ok(())
    }

    fn check_pending_committee(&self, committee: &CommitteeRecord) -> Result<(), KeyBookError> {
        let name = format!("pending-committee/{}", committee.session);
        let found = self
            .ledger
            .records(&name)?
            .into_iter()
            .next()
            .ok_or(KeyBookError::OtherRecord)?;
        let stored: Stored =
            borsh::from_slice(&found.1).map_err(|_| KeyBookError::Damaged(name))?;
        if stored.record == Record::Committee(committee.clone()) {
            Ok(())
        } else {
            Err(KeyBookError::OtherRecord)
        }
    }

    /// One valid attestation of every party, in roster order; whatever else was sent along is not kept.
    pub(crate) fn valid_attestations(
        &self,
        record: &Record,
        attestations: Vec<Attestation>,
    ) -> Result<Vec<Attestation>, KeyBookError> {
        let message = record.signing_bytes();
        let mut kept = Vec::new();
        let mut missing = Vec::new();
        for party in self.roster.party_ids() {
            let valid = attestations.iter().find(|a| {
                a.party == party && self.roster.party_signed(&a.party, &message, &a.signature)
            });
            match valid {
                Some(attestation) => kept.push(attestation.clone()),
                None => missing.push(party.to_string()),
            }
        }
        if missing.is_empty() {
            Ok(kept)
        } else {
            Err(KeyBookError::Attestations(missing.join(", ")))
        }
    }

    fn persist(&self, name: &str, stored: &Stored) -> Result<(), KeyBookError> {
        Ok(self.ledger.put_record(name, &encode(name, stored)?)?)
    }
}

/// Where the ledger keeps operators' wishes to discard keys. Backups do not carry them: a restored
/// custodian lists those keys again.
const DISCARDED: &str = "discarded-key/";

/// The keys that operators discarded. One that came into force after that is among them;
/// [`Book::put`] takes it out.
fn discarded(ledger: &Ledger) -> Result<BTreeSet<KeyId>, KeyBookError> {
    let mut ids = BTreeSet::new();
    for (name, bytes) in ledger.records(DISCARDED)? {
        let wish = SignedDiscard::from_canonical_bytes(&bytes, SignedDiscard::MAX_LEN);
        let wish = wish.map_err(|_| KeyBookError::Damaged(name))?;
        ids.insert(wish.discard.key);
    }
    Ok(ids)
}

fn encode(name: &str, stored: &Stored) -> Result<Vec<u8>, KeyBookError> {
    borsh::to_vec(stored).map_err(|_| KeyBookError::Damaged(name.to_owned()))
}

pub(crate) fn key_name(id: KeyId) -> String {
    format!("key/{id}")
}

pub(crate) fn share_name(id: KeyId, epoch: u32) -> ItemName {
    ItemName {
        kind: ItemKind::Share,
        id: Hash32::from_bytes(*id.as_bytes()),
        epoch,
    }
}

pub(crate) fn aux_name(session: SessionId) -> ItemName {
    ItemName {
        kind: ItemKind::Aux,
        id: Hash32::from_bytes(*session.as_bytes()),
        epoch: 0,
    }
}
