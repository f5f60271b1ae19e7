//! Versions of the protocol that this agent and its peers speak.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quorate_types::{Dialect, PartyId, WireVersion};

use crate::judge::RefusalReason;

/// The agent's own dialect, and the version that each peer's last message of presence named.
///
/// Those versions are not signed: a message of a version that this agent does not read cannot be
/// verified. So they only keep this agent from beginning what could not end, a refusal that passes,
/// and nobody is blamed for them. A peer that lies, or a NATS server that does, keeps the peer
/// apart from others, who sign without it.
pub(crate) struct Dialects {
    own: Dialect,
    peers: Mutex<BTreeMap<PartyId, WireVersion>>,
}

impl Dialects {
    pub(crate) fn new(own: Dialect) -> Self {
        Self {
            own,
            peers: Mutex::default(),
        }
    }

    pub(crate) const fn own(&self) -> &Dialect {
        &self.own
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartyId, WireVersion>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a peer of the roster speaks.
    pub(crate) fn heard(&self, peer: PartyId, version: WireVersion) {
        let before = self.lock().insert(peer.clone(), version);
        // Once for each process, however often the peer changes its mind.
        if before.is_none() && !self.own.version.works_with(version) {
            tracing::warn!(%peer, theirs = %version, ours = %self.own.version, "a peer speaks a version that does not work with this program's");
        }
    }

    /// Peers whose version does not work with this agent's.
    pub(crate) fn strangers(&self) -> Vec<PartyId> {
        let peers = self.lock();
        let strange = peers
            .iter()
            .filter(|(_, v)| !self.own.version.works_with(**v));
        strange.map(|(peer, _)| peer.clone()).collect()
    }

    /// Whether this agent can take part with all of these. A peer of which nothing was heard yet is
    /// not held against anybody.
    ///
    /// # Errors
    /// [`RefusalReason::Version`], which names the first that it cannot work with.
    pub(crate) fn check<'a>(
        &self,
        parties: impl IntoIterator<Item = &'a PartyId>,
    ) -> Result<(), RefusalReason> {
        let peers = self.lock();
        for party in parties {
            let theirs = peers.get(party).copied();
            if let Some(theirs) = theirs.filter(|theirs| !self.own.version.works_with(*theirs)) {
                return Err(RefusalReason::Version {
                    party: party.clone(),
                    theirs,
                    ours: self.own.version,
                });
            }
        }
        Ok(())
    }
}
