//! Changing the protocol of a key: the whole committee agrees on it, and for DKLs23 makes a setup.

use std::sync::Arc;

use quorate_mpc_protocol::{DklsSetup, Outcome, dkls_setup};
use quorate_types::node::{Failure, Record, RunResult};
use quorate_types::{
    Attestation, KeyName, KeyRecord, PartyId, Protocol, ProtocolListing, ProtocolRecord,
    SessionDescriptor,
};

use super::{ProtocolDesk, ProtocolError};
use crate::Agent;
use crate::agent::{blocking, local_failure, only};
use crate::judge::RefusalReason;
use crate::pool::Priority;

/// A change that was judged good.
#[derive(Debug, Clone)]
pub struct Change {
    /// The key.
    pub key: Arc<KeyRecord>,
    /// What is to sign for it.
    pub protocol: Protocol,
    /// Which change of the key's protocol it is.
    pub sequence: u32,
}

impl ProtocolDesk {
    /// What a change would be.
    ///
    /// # Errors
    /// Another scheme's protocol, or nothing to do.
    pub(crate) fn change(
        &self,
        key: Arc<KeyRecord>,
        protocol: Protocol,
        renew: bool,
    ) -> Result<Change, ProtocolError> {
        if !protocol.signs(key.scheme) {
            let scheme = key.scheme;
            return Err(ProtocolError::Unfit { protocol, scheme });
        }
        if renew && protocol != Protocol::Dkls23 {
            return Err(ProtocolError::NothingToRenew(protocol));
        }
        if !renew && self.in_force(&key).protocol == protocol {
            let key = key.name.clone();
            return Err(ProtocolError::InForce { key, protocol });
        }
        Ok(Change {
            sequence: self.sequence(key.id).saturating_add(1),
            key,
            protocol,
        })
    }
}

impl Agent {
    /// Makes what the protocol needs, stores it as pending and attests it. Until it is activated the old protocol signs.
    pub(crate) async fn run_change(
        self: &Arc<Self>,
        change: Change,
        descriptors: &[SessionDescriptor],
    ) -> Result<RunResult, Failure> {
        let descriptor = only(descriptors)?;
        let setup = match change.protocol {
            Protocol::Dkls23 => Some(self.run_dkls_setup(&change.key, descriptor).await?),
            Protocol::Cggmp24 | Protocol::Frost => None,
        };
        let record = ProtocolRecord {
            key: change.key.id,
            epoch: change.key.epoch,
            sequence: change.sequence,
            protocol: change.protocol,
            setup: setup.as_ref().map(DklsSetup::id),
            session: descriptor.session_id(),
            committee: change.key.committee.clone(),
        };
        let (attested, attestation) = self.attest(Record::Protocol(record.clone()))?;
        let (this, own) = (Arc::clone(self), attestation.clone());
        blocking(move || Ok(this.protocols.add_pending(&record, setup.as_ref(), &own)?))
            .await
            .map_err(|e| local_failure(&e))?;
        Ok(RunResult::Attested {
            record: attested,
            attestation,
        })
    }

    async fn run_dkls_setup(
        &self,
        key: &KeyRecord,
        descriptor: &SessionDescriptor,
    ) -> Result<DklsSetup, Failure> {
        let share = self.keybook.share(key).await;
        let share = share.map_err(|e| local_failure(&e))?;
        let outcome = self
            .drive(descriptor, Priority::Online, move |seat, _| {
                dkls_setup(seat, &share)
            })
            .await?;
        match outcome {
            Outcome::DklsSetup(setup) => Ok(setup),
            _ => Err(local_failure(&"the setup yielded something else")),
        }
    }

    /// Brings a change into force. What was made for the protocol before is destroyed. Blocks: not for an async thread.
    pub(crate) fn activate_protocol(
        &self,
        record: ProtocolRecord,
        attestations: Vec<Attestation>,
    ) -> Result<(), RefusalReason> {
        let about = Record::Protocol(record.clone());
        let attestations = self.keybook.valid_attestations(&about, attestations)?;
        let key = self.keybook.key(record.key)?;
        let listing = ProtocolListing {
            record,
            attestations,
        };
        let (protocol, sequence) = (listing.record.protocol, listing.record.sequence);
        if self.protocols.activate(&key, listing)? {
            self.presignatures.forget_key(key.id);
            tracing::info!(party = %self.party, key = %key.name, %protocol, sequence, "protocol in force");
        }
        Ok(())
    }

    /// Lets a banned party sign by DKLs23 again, for this machine's administrator.
    ///
    /// # Errors
    /// No such key or ban; the ledger's.
    pub async fn lift_ban(
        self: &Arc<Self>,
        key: &KeyName,
        party: PartyId,
    ) -> Result<(), RefusalReason> {
        let key = self.keybook.named(key)?;
        let this = Arc::clone(self);
        blocking(move || Ok(this.protocols.lift(&key, &party)?)).await?;
        self.worked.notify_one();
        Ok(())
    }

    /// With whom this agent signs no more by DKLs23, by the names of keys.
    pub(crate) fn named_bans(&self) -> Vec<(KeyName, PartyId, u64)> {
        let named = |ban: quorate_types::Ban| {
            let key = self.keybook.key(ban.key).ok()?;
            Some((key.name.clone(), ban.party, ban.at))
        };
        self.protocols
            .bans()
            .into_iter()
            .filter_map(named)
            .collect()
    }
}
