//! Whom DKLs23 is not run with any more (T12). A consistency check that fails tells the cheat something about a setup that every
//! signing of the key uses again, so it may not try twice: not after a restart, and not in a session that runs beside this one.

use std::collections::BTreeMap;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use futures::future::BoxFuture;
use quorate_service::now_ms;
use quorate_storage::Ledger;
use quorate_types::{Ban, Hash32, KeyId, KeyRecord, PartyId, SessionId};

use super::{ProtocolDesk, ProtocolError, encode, setup_name};
use crate::driver::{SessionFailure, Watch};
use crate::log;

/// A ban as the ledger keeps it.
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
struct Kept {
    ban: Ban,
    /// The custodian has looked into it: a later setup may be used with the party.
    lifted: bool,
}

/// The bans of an agent.
#[derive(Default)]
pub(super) struct Bans(BTreeMap<(KeyId, PartyId), Kept>);

impl Bans {
    pub(super) fn load(ledger: &Ledger) -> Result<Self, ProtocolError> {
        let mut bans = BTreeMap::new();
        for (name, bytes) in ledger.records("ban/")? {
            let kept: Kept = borsh::from_slice(&bytes).map_err(|_| ProtocolError::Damaged(name))?;
            bans.insert((kept.ban.key, kept.ban.party.clone()), kept);
        }
        Ok(Self(bans))
    }

    fn find(&self, key: KeyId, party: &PartyId) -> Option<&Kept> {
        self.0.get(&(key, party.clone()))
    }
}

/// Whether bytes are a ban as the ledger keeps it.
pub(crate) fn is_ban(bytes: &[u8]) -> bool {
    borsh::from_slice::<Kept>(bytes).is_ok()
}

fn ban_name(ban: &Ban) -> String {
    format!("ban/{}/{}", ban.key, ban.party)
}

impl ProtocolDesk {
    /// Whether none of the signers is banned. A ban that was lifted still holds for the setup it was made with.
    pub(super) fn check_signers(
        &self,
        key: &KeyRecord,
        setup: Hash32,
        signers: &[PartyId],
    ) -> Result<(), ProtocolError> {
        let inner = self.lock();
        let holds = |kept: &Kept| !kept.lifted || kept.ban.setup == setup;
        let banned = |party: &&PartyId| inner.bans.find(key.id, party).is_some_and(holds);
        match signers.iter().find(banned) {
            None => Ok(()),
            Some(party) => Err(ProtocolError::Banned {
                key: key.name.clone(),
                party: party.clone(),
            }),
        }
    }

    /// Those that were not lifted.
    pub(crate) fn bans(&self) -> Vec<Ban> {
        let inner = self.lock();
        let kept = inner.bans.0.values().filter(|kept| !kept.lifted);
        kept.map(|kept| kept.ban.clone()).collect()
    }

    /// From now on the ban holds in every session of this process: those that run beside the one that failed must not tell by how they end
    /// whether their checks failed, too. Returns whether it did not hold before.
    fn hold(&self, kept: &Kept) -> bool {
        let place = (kept.ban.key, kept.ban.party.clone());
        let before = self.lock().bans.0.insert(place, kept.clone());
        self.banned.send_replace(());
        before.is_none_or(|before| before.lifted)
    }

    /// INVARIANT (T12): durable before anyone hears that the check failed. Where the ledger takes nothing, the setup is destroyed
    /// instead: no later process can use it then. Blocks: not for an async thread.
    fn ban(&self, kept: &Kept) -> Result<(), ProtocolError> {
        let _alone = self.alone();
        let written = self.keep(kept, log::banned(&kept.ban));
        let destroyed = match &written {
            Ok(()) => Ok(()),
            Err(_) => self.store.delete(setup_name(kept.ban.setup)),
        };
        // Lifting an earlier ban may have come between.
        self.hold(kept);
        destroyed?;
        written
    }

    fn keep(&self, kept: &Kept, leaf: Vec<u8>) -> Result<(), ProtocolError> {
        let name = ban_name(&kept.ban);
        let bytes = encode(&name, kept)?;
        Ok(self.ledger.put_record_logged(&name, &bytes, leaf)?)
    }

    /// Lets the party sign again, with a setup that is made later than the one it was banned for. Only this custodian's own
    /// administrator can know that this is right. Blocks: not for an async thread.
    ///
    /// # Errors
    /// No such ban; the ledger's.
    pub(crate) fn lift(&self, key: &KeyRecord, party: &PartyId) -> Result<(), ProtocolError> {
        let _alone = self.alone();
        let known = self.lock().bans.find(key.id, party).cloned();
        let Some(mut kept) = known.filter(|known| !known.lifted) else {
            return Err(ProtocolError::NotBanned {
                key: key.name.clone(),
                party: party.clone(),
            });
        };
        kept.lifted = true;
        self.keep(&kept, log::ban_lifted(&kept.ban))?;
        self.lock().bans.0.insert((key.id, party.clone()), kept);
        Ok(())
    }
}

/// Watches over one session of DKLs23 signing.
pub(crate) struct BanWatch {
    pub desk: Arc<ProtocolDesk>,
    pub key: Arc<KeyRecord>,
    pub setup: Hash32,
    pub session: SessionId,
    pub signers: Vec<PartyId>,
}

impl Watch for BanWatch {
    fn is_stopped(&self) -> Option<SessionFailure> {
        let checked = self
            .desk
            .check_signers(&self.key, self.setup, &self.signers);
        checked.err().map(|error| SessionFailure::Stopped {
            code: error.code(),
            reason: error.to_string(),
        })
    }

    /// Another session has just banned one of the signers.
    fn stopped(&self) -> BoxFuture<'_, SessionFailure> {
        Box::pin(async {
            let mut bans = self.desk.banned.subscribe();
            loop {
                if let Some(failure) = self.is_stopped() {
                    return failure;
                }
                if bans.changed().await.is_err() {
                    // The agent is ending.
                    std::future::pending::<()>().await;
                }
            }
        })
    }

    fn cheated(&self, by: &PartyId) -> BoxFuture<'_, bool> {
        let ban = Ban {
            key: self.key.id,
            party: by.clone(),
            setup: self.setup,
            session: self.session,
            at: now_ms(),
        };
        let desk = Arc::clone(&self.desk);
        let kept = Kept { ban, lifted: false };
        let first = desk.hold(&kept);
        Box::pin(async move {
            tracing::error!(party = %kept.ban.party, key = %kept.ban.key, "banned: it failed a consistency check of DKLs23");
            let banned = tokio::task::spawn_blocking(move || desk.ban(&kept)).await;
            match banned {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "the ban is not in the ledger; the setup is not used any more")
                }
                Err(error) => tracing::error!(%error, "the ban was interrupted"),
            }
            first
        })
    }
}
