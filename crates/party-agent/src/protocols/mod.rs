//! Which protocol signs for which key: its scheme's default, or what the whole committee has attested since. And what DKLs23 needs beside
//! a share: a setup for each key, and whom it is not run with any more.
//!
//! A change goes the way of a key: stored as pending, attested by all, then activated. Until then the old protocol signs.

mod bans;
mod changing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_mpc_protocol::{DklsSetup, DklsSetupError};
use quorate_storage::{EncryptedFileStore, ItemKind, ItemName, Ledger, LedgerError, StoreError};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{KeyListing, Record};
use quorate_types::{
    Attestation, Hash32, KeyId, KeyName, KeyRecord, PartyId, Protocol, ProtocolListing,
    ProtocolRecord, RefusalCode, Scheme,
};
use tokio::sync::watch;

use crate::judge::storage_code;
use crate::keybook::Stored;
use crate::log;
use bans::Bans;
pub(crate) use bans::{BanWatch, is_ban};
pub use changing::Change;

/// Setups kept in memory; when there are more, all are opened anew.
const MAX_OPEN: usize = 256;

/// Why a protocol does not sign for a key, or does not begin to.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The sealed store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A stored setup is not valid.
    #[error(transparent)]
    Setup(#[from] DklsSetupError),
    /// A stored record does not decode.
    #[error("the record {0} in the ledger is damaged")]
    Damaged(String),
    /// The scheme is another protocol's.
    #[error("{protocol} does not sign {scheme}")]
    Unfit {
        /// What was asked for.
        protocol: Protocol,
        /// The key's scheme.
        scheme: Scheme,
    },
    /// Nothing would change.
    #[error(
        "{protocol} signs for key {key} already{}",
        if *.protocol == Protocol::Dkls23 { "; pass --renew to make a new setup" } else { "" }
    )]
    InForce {
        /// The key.
        key: KeyName,
        /// What signs.
        protocol: Protocol,
    },
    /// Only DKLs23 has anything to renew.
    #[error("{0} has no setup that could be renewed")]
    NothingToRenew(Protocol),
    /// The request is made for another protocol, or another setup of it.
    #[error(
        "this custodian signs for key {key} by {protocol}{}, and the request comes with something else; `quorate key list` brings custodians to agree",
        change_text(.sequence)
    )]
    Differs {
        /// The key.
        key: KeyName,
        /// What signs here.
        protocol: Protocol,
        /// Which change made it so; 0 for none.
        sequence: u32,
    },
    /// A change from before the one in force, or another of its number.
    #[error(
        "change {sequence} of the protocol of this key does not come into force: change {current} has"
    )]
    Outdated {
        /// The record's.
        sequence: u32,
        /// What is in force.
        current: u32,
    },
    /// A record that is not about this key, or contradicts itself.
    #[error("the protocol record does not fit key {0}")]
    OtherKey(KeyName),
    /// A signer failed a consistency check before.
    #[error(
        "{party} failed a consistency check of DKLs23 with key {key} and is banned here: sign with others, or by cggmp24 again (quorate key set-protocol {key} cggmp24); or look into it, then make a new setup (quorate key set-protocol {key} dkls23 --renew) and on this custodian's machine: quorate agent lift-ban --key {key} --party {party}"
    )]
    Banned {
        /// The key.
        key: KeyName,
        /// Who.
        party: PartyId,
    },
    /// No such ban.
    #[error("{party} is not banned from key {key} here")]
    NotBanned {
        /// The key.
        key: KeyName,
        /// Who.
        party: PartyId,
    },
    /// Whoever was banned since the setup was made may be forgotten.
    #[error(
        "this custodian was restored, or lost its DKLs23 setup of key {0}, and may have forgotten whom it banned; make a new one: quorate key set-protocol {0} dkls23 --renew"
    )]
    SetupLost(KeyName),
}

fn change_text(sequence: &u32) -> String {
    match sequence {
        0 => String::new(),
        number => format!(" (change {number})"),
    }
}

impl ProtocolError {
    /// A stable name.
    #[must_use]
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::Store(error) => storage_code(error.is_disk_full()),
            Self::Ledger(error) => storage_code(error.is_disk_full()),
            Self::Setup(_) | Self::Damaged(_) => RefusalCode::LocalFault,
            Self::Unfit { .. } | Self::NothingToRenew(_) => RefusalCode::ProtocolUnfit,
            Self::InForce { .. } => RefusalCode::ProtocolInForce,
            Self::Differs { .. } => RefusalCode::ProtocolDiffers,
            Self::Outdated { .. } => RefusalCode::ProtocolOutdated,
            Self::OtherKey(_) => RefusalCode::NotAttested,
            Self::Banned { .. } => RefusalCode::CounterpartyBanned,
            Self::NotBanned { .. } => RefusalCode::NotBanned,
            Self::SetupLost(_) => RefusalCode::SetupLost,
        }
    }
}

/// What signs for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The protocol.
    pub protocol: Protocol,
    /// Hash of the record that says so; none where it is the scheme's default.
    pub record: Option<Hash32>,
    /// DKLs23's setup.
    pub setup: Option<Hash32>,
}

/// What the ledger says of a setup. Not in backups: a restored custodian has forgotten bans.
#[derive(BorshSerialize, BorshDeserialize)]
struct SetupNote {
    /// How often this party had been restored when it was made.
    restores: u64,
}

#[derive(Default)]
struct Inner {
    in_force: BTreeMap<KeyId, Arc<ProtocolListing>>,
    /// With how often the party had been restored when each was opened.
    open: BTreeMap<Hash32, (u64, Arc<DklsSetup>)>,
    bans: Bans,
}

/// See the module.
pub(crate) struct ProtocolDesk {
    store: Arc<EncryptedFileStore>,
    ledger: Arc<Ledger>,
    inner: Mutex<Inner>,
    /// Held while anything durable changes.
    changing: Mutex<()>,
    /// Told of every ban.
    banned: watch::Sender<()>,
}

impl ProtocolDesk {
    /// Reads what the ledger has, and destroys setups that no record names: a crash left them behind.
    ///
    /// # Errors
    /// The ledger's and the store's, or a damaged record.
    pub(crate) fn open(
        store: Arc<EncryptedFileStore>,
        ledger: Arc<Ledger>,
    ) -> Result<Self, ProtocolError> {
        let mut inner = Inner {
            bans: Bans::load(&ledger)?,
            ..Inner::default()
        };
        for (name, stored) in stored_records(&ledger, "protocol/")? {
            let (Record::Protocol(record), true) = (stored.record, stored.active) else {
                return Err(ProtocolError::Damaged(name));
            };
            let listing = ProtocolListing {
                record,
                attestations: stored.attestations,
            };
            inner.in_force.insert(listing.record.key, Arc::new(listing));
        }
        let desk = Self {
            store,
            ledger,
            inner: Mutex::new(inner),
            changing: Mutex::new(()),
            banned: watch::Sender::new(()),
        };
        desk.sweep()?;
        Ok(desk)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Changed in single steps, so a panic elsewhere leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was agreed on for a key as it is now.
    fn chosen(&self, key: &KeyRecord) -> Option<Arc<ProtocolListing>> {
        let listing = self.lock().in_force.get(&key.id).cloned();
        listing.filter(|listing| listing.record.epoch == key.epoch)
    }

    fn sequence(&self, key: KeyId) -> u32 {
        let inner = self.lock();
        let listing = inner.in_force.get(&key);
        listing.map_or(0, |listing| listing.record.sequence)
    }

    /// What signs for a key.
    pub(crate) fn in_force(&self, key: &KeyRecord) -> InForce {
        match self.chosen(key) {
            None => InForce {
                protocol: key.scheme.default_protocol(),
                record: None,
                setup: None,
            },
            Some(listing) => InForce {
                protocol: listing.record.protocol,
                record: Some(listing.record.canonical_hash()),
                setup: listing.record.setup,
            },
        }
    }

    /// Says of listed keys what signs for them.
    pub(crate) fn show(&self, mut keys: Vec<KeyListing>) -> Vec<KeyListing> {
        for key in &mut keys {
            key.protocol = self.chosen(&key.record).map(|listing| (*listing).clone());
        }
        keys
    }

    /// Whether this agent can sign for a key by what is in force, with these signers.
    ///
    /// # Errors
    /// No setup that may be used, or a signer that is banned.
    pub(crate) fn check_usable(
        &self,
        key: &KeyRecord,
        signers: &[PartyId],
    ) -> Result<(), ProtocolError> {
        let Some(setup) = self.in_force(key).setup else {
            return Ok(());
        };
        self.check_signers(key, setup, signers)?;
        self.setup(key, setup).map(drop)
    }

    /// Whether what was in force when a request was judged still is, and nobody was banned since.
    ///
    /// # Errors
    /// Something else is, or a signer was banned.
    pub(crate) fn check_still(
        &self,
        key: &KeyRecord,
        judged: &InForce,
        signers: &[PartyId],
    ) -> Result<(), ProtocolError> {
        if self.in_force(key) != *judged {
            return Err(self.differs(key));
        }
        judged
            .setup
            .map_or(Ok(()), |setup| self.check_signers(key, setup, signers))
    }

    /// That a request comes with something else than signs for the key here.
    pub(crate) fn differs(&self, key: &KeyRecord) -> ProtocolError {
        ProtocolError::Differs {
            key: key.name.clone(),
            protocol: self.in_force(key).protocol,
            sequence: self.sequence(key.id),
        }
    }

    /// A setup; opened once, then kept in memory. Blocks: not for an async thread.
    ///
    /// # Errors
    /// Missing or damaged, or made before this party was restored.
    pub(crate) fn setup(
        &self,
        key: &KeyRecord,
        id: Hash32,
    ) -> Result<Arc<DklsSetup>, ProtocolError> {
        let restores = self.ledger.restores()?;
        if let Some((opened_at, setup)) = self.lock().open.get(&id)
            && *opened_at == restores
        {
            return Ok(Arc::clone(setup));
        }
        let setup = Arc::new(self.load(key, id)?);
        let mut inner = self.lock();
        if inner.open.len() >= MAX_OPEN {
            inner.open.clear();
        }
        inner.open.insert(id, (restores, Arc::clone(&setup)));
        Ok(setup)
    }

    fn load(&self, key: &KeyRecord, id: Hash32) -> Result<DklsSetup, ProtocolError> {
        let lost = || ProtocolError::SetupLost(key.name.clone());
        let name = note_name(id);
        let note = self.ledger.record(&name)?.ok_or_else(lost)?;
        let note: SetupNote = borsh::from_slice(&note).map_err(|_| ProtocolError::Damaged(name))?;
        // INVARIANT (T12): a setup is not used by whoever may have forgotten a ban from it.
        if note.restores != self.ledger.restores()? {
            return Err(lost());
        }
        let bytes = match self.store.get(setup_name(id)) {
            Err(StoreError::Missing(_)) => return Err(lost()),
            other => other?,
        };
        let setup = DklsSetup::from_secret_bytes(&bytes)?;
        if setup.id() != id || setup.public_key().as_ref() != Some(&key.public_key) {
            return Err(ProtocolError::OtherKey(key.name.clone()));
        }
        Ok(setup)
    }

    /// Stores what this party is about to attest: the setup first, then the record that points to it.
    ///
    /// # Errors
    /// The store's or the ledger's; another change has come into force meanwhile.
    fn add_pending(
        &self,
        record: &ProtocolRecord,
        setup: Option<&DklsSetup>,
        own: &Attestation,
    ) -> Result<(), ProtocolError> {
        let _alone = self.alone();
        let current = self.sequence(record.key);
        if record.sequence != current.saturating_add(1) {
            return Err(ProtocolError::Outdated {
                sequence: record.sequence,
                current,
            });
        }
        if let Some(setup) = setup {
            let id = setup.id();
            self.store.put(setup_name(id), &setup.to_secret_bytes()?)?;
            let note = SetupNote {
                restores: self.ledger.restores()?,
            };
            self.put(&note_name(id), &note)?;
        }
        let stored = Stored {
            record: Record::Protocol(record.clone()),
            attestations: vec![own.clone()],
            active: false,
        };
        self.put(&pending_name(record), &stored)
    }

    /// Brings a record into force; returns whether anything changed. The attestations must have been checked: they are every party's, this
    /// one's included, so it once agreed to it even if it has been restored since. Blocks: not for an async thread.
    ///
    /// # Errors
    /// A record of another key; one that is not later than the one in force.
    pub(crate) fn activate(
        &self,
        key: &KeyRecord,
        listing: ProtocolListing,
    ) -> Result<bool, ProtocolError> {
        let _alone = self.alone();
        check_fits(key, &listing.record)?;
        let before = self.lock().in_force.get(&key.id).cloned();
        if let Some(before) = &before {
            if before.record == listing.record {
                return Ok(false);
            }
            if before.record.sequence >= listing.record.sequence {
                return Err(ProtocolError::Outdated {
                    sequence: listing.record.sequence,
                    current: before.record.sequence,
                });
            }
        }
        let stored = Stored {
            record: Record::Protocol(listing.record.clone()),
            attestations: listing.attestations.clone(),
            active: true,
        };
        let name = protocol_name(key.id);
        let leaf = log::protocol(&listing.record);
        self.ledger
            .put_record_logged(&name, &encode(&name, &stored)?, leaf)?;
        self.lock().in_force.insert(key.id, Arc::new(listing));
        if let Err(error) = self.sweep() {
            // It is in force; the next start sweeps again.
            tracing::warn!(%error, "cannot destroy an old DKLs23 setup");
        }
        Ok(true)
    }

    /// Forgets pending records that can no longer come into force, and destroys setups that no record names.
    fn sweep(&self) -> Result<(), ProtocolError> {
        let mut named: BTreeSet<Hash32> = {
            let inner = self.lock();
            let setups = inner.in_force.values().filter_map(|l| l.record.setup);
            setups.collect()
        };
        let mut gone = Vec::new();
        for (name, stored) in stored_records(&self.ledger, "pending-protocol/")? {
            match stored.record {
                Record::Protocol(record) if record.sequence > self.sequence(record.key) => {
                    named.extend(record.setup);
                }
                _ => gone.push(name),
            }
        }
        for item in self.store.list(ItemKind::Dkls)? {
            if !named.contains(&item.id) {
                self.store.delete(item)?;
                gone.push(note_name(item.id));
                self.lock().open.remove(&item.id);
            }
        }
        if !gone.is_empty() {
            self.ledger.delete_records(gone)?;
        }
        Ok(())
    }

    fn put<T: BorshSerialize>(&self, name: &str, value: &T) -> Result<(), ProtocolError> {
        Ok(self.ledger.put_record(name, &encode(name, value)?)?)
    }
}

fn encode<T: BorshSerialize>(name: &str, value: &T) -> Result<Vec<u8>, ProtocolError> {
    borsh::to_vec(value).map_err(|_| ProtocolError::Damaged(name.to_owned()))
}

fn stored_records(ledger: &Ledger, prefix: &str) -> Result<Vec<(String, Stored)>, ProtocolError> {
    let decode = |(name, bytes): (String, Vec<u8>)| match borsh::from_slice(&bytes) {
        Ok(stored) => Ok((name, stored)),
        Err(_) => Err(ProtocolError::Damaged(name)),
    };
    ledger.records(prefix)?.into_iter().map(decode).collect()
}

fn check_fits(key: &KeyRecord, record: &ProtocolRecord) -> Result<(), ProtocolError> {
    let about = (record.key, record.epoch, &record.committee);
    let fits = about == (key.id, key.epoch, &key.committee)
        && record.protocol.signs(key.scheme)
        && record.setup.is_some() == (record.protocol == Protocol::Dkls23);
    match fits {
        true => Ok(()),
        false => Err(ProtocolError::OtherKey(key.name.clone())),
    }
}

pub(crate) fn protocol_name(key: KeyId) -> String {
    format!("protocol/{key}")
}

fn pending_name(record: &ProtocolRecord) -> String {
    format!(
        "pending-protocol/{}/{}",
        record.key,
        record.canonical_hash()
    )
}

fn note_name(setup: Hash32) -> String {
    format!("dkls-setup/{setup}")
}

const fn setup_name(id: Hash32) -> ItemName {
    ItemName {
        kind: ItemKind::Dkls,
        id,
        epoch: 0,
    }
}
