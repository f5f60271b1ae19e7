//! Making presignatures. The orchestrator says when, for which pool and with whom; whether and how many each agent decides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_mpc_protocol::{Outcome, Presignature, Production, presign};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{Failure, NodeReply, NodeRequest};
use quorate_types::{
    CeremonyKind, Hash32, IntentHash, KeyRecord, PresignaturePool, Protocol, SessionDescriptor,
};
use rand_core::{OsRng, RngCore as _};

use super::PresignDesk;
use crate::Agent;
use crate::agent::{blocking, local_failure};
use crate::judge::{self, RefusalReason, Seats};
use crate::pool::Priority;

/// How long a promise to make some is kept.
pub(super) const PROMISED_FOR: Duration = Duration::from_secs(60);

/// What was promised with a nonce.
pub(super) struct Promised {
    record: Arc<KeyRecord>,
    pub(super) pool: PresignaturePool,
    signers: Vec<u16>,
    pub(super) count: u32,
}

/// Room for one presignature in a pool, given back if none comes.
struct Room<'a> {
    desk: &'a PresignDesk,
    pool: &'a PresignaturePool,
    filled: Option<Hash32>,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let pools = &mut self.desk.lock().pools;
        match self.filled {
            Some(id) => pools.made(self.pool, id),
            None => pools.not_made(self.pool, 1),
        }
    }
}

impl PresignDesk {
    fn promise(
        &self,
        nonce: [u8; 32],
        promised: Promised,
        useful: &[Hash32],
    ) -> Result<u32, RefusalReason> {
        let (count, useless) = {
            let mut inner = self.lock();
            inner.lapse();
            let free = self.at_once.saturating_sub(inner.pools.making());
            let asked = promised.count.min(free).min(NodeRequest::MAX_PRESIGN);
            let (count, useless) = inner.pools.reserve(&promised.pool, asked, useful);
            if count > 0 {
                let promised = Promised { count, ..promised };
                inner.promised.insert(nonce, (Instant::now(), promised));
            }
            (count, useless)
        };
        self.discard(useless);
        if count == 0 {
            return Err(RefusalReason::NoPresignatureWanted);
        }
        Ok(count)
    }

    /// The promise that one of these nonces is for.
    fn redeem(&self, nonces: &[[u8; 32]]) -> Option<([u8; 32], Promised)> {
        let mut inner = self.lock();
        let own = nonces.iter().find(|n| inner.promised.contains_key(*n))?;
        let (_, promised) = inner.promised.remove(own)?;
        Some((*own, promised))
    }

    fn store(
        &self,
        pool: &PresignaturePool,
        id: Hash32,
        presignature: &Presignature,
    ) -> Result<(), Failure> {
        let secret = presignature
            .to_secret_bytes()
            .map_err(|e| local_failure(&e))?;
        Self::names(pool, &[id]).into_iter().try_for_each(|name| {
            let sealed = self.seal(name, &secret).map_err(|e| local_failure(&e))?;
            let stored = self.ledger.put_one_time(vec![sealed]);
            stored.map(drop).map_err(|e| local_failure(&e))
        })
    }

    fn not_made(&self, pool: &PresignaturePool, count: u32) {
        self.lock().pools.not_made(pool, count);
    }
}

impl Agent {
    /// Answers with a nonce if presignatures are wanted for the pool.
    pub(crate) async fn prepare_presign(
        self: &Arc<Self>,
        pool: PresignaturePool,
        count: u32,
        useful: Vec<Hash32>,
    ) -> Result<NodeReply, RefusalReason> {
        self.check_standing().await?;
        let this = Arc::clone(self);
        blocking(move || {
            let promised = this.check_pool(pool, count)?;
            let mut nonce = [0u8; 32];
            OsRng.fill_bytes(&mut nonce);
            let items = this.presignatures.promise(nonce, promised, &useful)?;
            Ok(NodeReply::Prepared { nonce, items })
        })
        .await
    }

    fn check_pool(&self, pool: PresignaturePool, count: u32) -> Result<Promised, RefusalReason> {
        let record = self.keybook.key(pool.key)?;
        let protocol = self.protocols.in_force(&record).protocol;
        if protocol != Protocol::Cggmp24 {
            return Err(RefusalReason::Unreadable(format!(
                "{protocol} has no presignatures"
            )));
        }
        if pool.epoch != record.epoch {
            return Err(RefusalReason::Epoch {
                asked: pool.epoch,
                current: record.epoch,
            });
        }
        let seats = Seats {
            participants: &pool.signers,
            witnesses: &[],
        };
        self.dialects.check(&pool.signers)?;
        let signers = judge::quorum(&self.party, &record, &seats)?;
        self.keybook.aux()?;
        Ok(Promised {
            record,
            pool,
            signers,
            count,
        })
    }

    /// Makes what was promised, in the background.
    pub(crate) async fn begin_presign(
        self: &Arc<Self>,
        nonces: Vec<[u8; 32]>,
        count: u32,
    ) -> Result<NodeReply, RefusalReason> {
        self.check_standing().await?;
        let (own, promised) = self
            .presignatures
            .redeem(&nonces)
            .ok_or(RefusalReason::Nonces)?;
        let me = promised.pool.signers.iter().position(|p| *p == self.party);
        let in_place = me.is_some_and(|me| nonces.get(me) == Some(&own));
        if !in_place || nonces.len() != promised.pool.signers.len() || count > promised.count {
            self.presignatures.not_made(&promised.pool, promised.count);
            return Err(RefusalReason::Nonces);
        }
        self.presignatures
            .not_made(&promised.pool, promised.count - count);
        let promised = Arc::new(promised);
        for item in 0..count {
            let (this, promised) = (Arc::clone(self), Arc::clone(&promised));
            let descriptor = self.presign_descriptor(&promised.pool, &nonces, item);
            tokio::spawn(async move { this.make_one(&promised, &descriptor).await });
        }
        Ok(NodeReply::Running)
    }

    /// No policy is decided by: the descriptor names the roster in its place, and the pool in the intent's.
    fn presign_descriptor(
        &self,
        pool: &PresignaturePool,
        nonces: &[[u8; 32]],
        item: u32,
    ) -> SessionDescriptor {
        SessionDescriptor {
            kind: CeremonyKind::Presign,
            intent: IntentHash::from_bytes(*pool.canonical_hash().as_bytes()),
            policy: self.roster.hash(),
            key: Some(pool.key),
            epoch: pool.epoch,
            participants: pool.signers.clone(),
            attempt: 0,
            item,
            nonces: nonces.to_vec(),
            protocol: None,
        }
    }

    async fn make_one(self: Arc<Self>, promised: &Promised, descriptor: &SessionDescriptor) {
        if let Err(failure) = self.try_to_make_one(promised, descriptor).await {
            tracing::warn!(party = %self.party, key = %promised.record.name, code = %failure.code, reason = %failure.reason, "no presignature");
        }
    }

    async fn try_to_make_one(
        self: &Arc<Self>,
        promised: &Promised,
        descriptor: &SessionDescriptor,
    ) -> Result<(), Failure> {
        let id = Hash32::from_bytes(*descriptor.session_id().as_bytes());
        let mut room = Room {
            desk: &self.presignatures,
            pool: &promised.pool,
            filled: None,
        };
        let Outcome::Presignature(presignature) =
            self.presign_session(promised, descriptor).await?
        else {
            return Err(local_failure(&"presigning yielded something else"));
        };
        let (this, pool) = (Arc::clone(self), promised.pool.clone());
        let stored =
            tokio::task::spawn_blocking(move || this.presignatures.store(&pool, id, &presignature));
        stored.await.map_err(|e| local_failure(&e))??;
        room.filled = Some(id);
        Ok(())
    }

    async fn presign_session(
        self: &Arc<Self>,
        promised: &Promised,
        descriptor: &SessionDescriptor,
    ) -> Result<Outcome, Failure> {
        let share = self.keybook.share(&promised.record).await;
        let share = share.map_err(|e| local_failure(&e))?;
        let aux = self.keybook.aux().map_err(|e| local_failure(&e))?;
        let (signers, path) = (promised.signers.clone(), promised.pool.path.clone());
        // Without any, signing computes as much itself, online: then some are made even where all cores are busy.
        let priority = match self.presignatures.lock().pools.is_empty(&promised.pool) {
            true => Priority::Background,
            false => Priority::Idle,
        };
        self.drive(descriptor, priority, move |seat, rng| {
            presign::<Production>(seat, &share, &aux, &signers, &path, rng)
        })
        .await
    }
}
