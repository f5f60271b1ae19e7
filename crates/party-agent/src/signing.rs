//! Signing sessions: one for each item, by whatever protocol is in force for the key.

use std::sync::Arc;

use quorate_chain::{SigningItem, SigningMessage};
use quorate_mpc_protocol::{
    Abort, Ceremony, CeremonyRng, DklsSetup, FrostMessage, Outcome, Production, ReadyAux, Seat,
    Share, TaprootTweak, sign_dkls, sign_ecdsa, sign_frost,
};
use quorate_types::node::{Failure, RunResult};
use quorate_types::{
    DerivationPath, Hash32, KeyRecord, PresignaturePool, Protocol, PublicKey, SessionDescriptor,
    Signature,
};
use rand_core::{OsRng, RngCore as _, SeedableRng as _};

use crate::Agent;
use crate::agent::{blocking, cannot_sign, local_failure};
use crate::driver::{Drive, Participants, SessionFailure, Watch};
use crate::pool::Priority;
use crate::protocols::{BanWatch, InForce};

/// What a signing's sessions have in common.
pub(crate) struct Signing {
    pub key: Arc<KeyRecord>,
    pub path: DerivationPath,
    pub child: PublicKey,
    /// Committee indices.
    pub signers: Vec<u16>,
    pub in_force: InForce,
}

/// Interactive CGGMP24 signatures of one request that are made at once: more would only wait for each other, until a round's time-out.
const HEAVY_AT_ONCE: usize = 8;

/// The same of the other protocols: each has a thread and a session.
const LIGHT_AT_ONCE: usize = 64;

/// What a protocol needs besides a share.
#[derive(Clone)]
enum Means {
    Cggmp24(Arc<ReadyAux<Production>>),
    Dkls23(Arc<DklsSetup>),
    Frost,
}

impl Agent {
    pub(crate) async fn run_signing(
        self: &Arc<Self>,
        signing: &Signing,
        items: Vec<SigningItem>,
        descriptors: &[SessionDescriptor],
    ) -> Result<RunResult, Failure> {
        let share = self.keybook.share(&signing.key).await;
        let share = share.map_err(|e| local_failure(&e))?;
        let means = self.means(signing, descriptors).await?;
        let at_once = match means {
            Means::Cggmp24(_) => HEAVY_AT_ONCE,
            Means::Dkls23(_) | Means::Frost => LIGHT_AT_ONCE,
        };
        let sessions = items
            .into_iter()
            .zip(descriptors)
            .map(|(item, descriptor)| {
                let job = SignJob {
                    share: Arc::clone(&share),
                    means: means.clone(),
                    signers: signing.signers.clone(),
                    path: signing.path.clone(),
                    item,
                };
                self.sign_one(signing, job, descriptor)
            });
        let signatures = in_turns(sessions.collect(), at_once).await;
        if signatures.is_err() {
            // A ban may have been recorded: peers are to hear of it.
            self.worked.notify_one();
        }
        Ok(RunResult::Signatures(signatures?))
    }

    async fn means(
        self: &Arc<Self>,
        signing: &Signing,
        descriptors: &[SessionDescriptor],
    ) -> Result<Means, Failure> {
        match (signing.in_force.protocol, signing.in_force.setup) {
            (Protocol::Frost, _) => Ok(Means::Frost),
            (Protocol::Cggmp24, _) => {
                self.note_signing(&signing.key, &signing.path, descriptors);
                let aux = self.keybook.aux().map_err(|e| local_failure(&e))?;
                Ok(Means::Cggmp24(aux))
            }
            (Protocol::Dkls23, Some(setup)) => {
                let (this, key) = (Arc::clone(self), Arc::clone(&signing.key));
                let setup = blocking(move || Ok(this.protocols.setup(&key, setup)?)).await;
                Ok(Means::Dkls23(setup.map_err(|e| local_failure(&e))?))
            }
            (Protocol::Dkls23, None) => Err(local_failure(&"no DKLs23 setup is in force")),
        }
    }

    /// Next time a presignature would do.
    fn note_signing(
        &self,
        record: &KeyRecord,
        path: &DerivationPath,
        descriptors: &[SessionDescriptor],
    ) {
        if let Some(descriptor) = descriptors.first() {
            let pool = PresignaturePool::of(record, path, &descriptor.participants);
            if self.presignatures.note_use(&record.name, pool) {
                self.build_tables();
            }
        }
    }

    async fn sign_one(
        &self,
        signing: &Signing,
        job: SignJob,
        descriptor: &SessionDescriptor,
    ) -> Result<Signature, Failure> {
        let message = job.item.message().clone();
        let watch = self.watch(signing, descriptor);
        let outcome = self
            .drive_watched(descriptor, Priority::Online, watch, move |seat, rng| {
                job.start(seat, rng)
            })
            .await?;
        let Outcome::Signature(signature) = outcome else {
            return Err(local_failure(&"signing yielded something else"));
        };
        // A second opinion from a library that had no part in signing.
        quorate_chain::verify(&message, &signing.child, &signature)
            .map_err(|e| local_failure(&e))?;
        Ok(signature)
    }

    fn watch(&self, signing: &Signing, descriptor: &SessionDescriptor) -> Option<Box<dyn Watch>> {
        let watch = |setup: Hash32| -> Box<dyn Watch> {
            Box::new(BanWatch {
                desk: Arc::clone(&self.protocols),
                key: Arc::clone(&signing.key),
                setup,
                session: descriptor.session_id(),
                signers: descriptor.participants.clone(),
            })
        };
        signing.in_force.setup.map(watch)
    }

    pub(crate) async fn drive<F>(
        &self,
        descriptor: &SessionDescriptor,
        priority: Priority,
        build: F,
    ) -> Result<Outcome, Failure>
    where
        F: FnOnce(Seat, CeremonyRng) -> Result<Box<dyn Ceremony>, Abort> + Send + 'static,
    {
        self.drive_watched(descriptor, priority, None, build).await
    }

    async fn drive_watched<F>(
        &self,
        descriptor: &SessionDescriptor,
        priority: Priority,
        watch: Option<Box<dyn Watch>>,
        build: F,
    ) -> Result<Outcome, Failure>
    where
        F: FnOnce(Seat, CeremonyRng) -> Result<Box<dyn Ceremony>, Abort> + Send + 'static,
    {
        let me = descriptor
            .index_of(&self.party)
            .ok_or_else(|| local_failure(&"not a participant"))?;
        let parties = u16::try_from(descriptor.participants.len()).unwrap_or(u16::MAX);
        let seat =
            Seat::new(descriptor.session_id(), me, parties).map_err(|e| local_failure(&e))?;
        // Else the others would seem to be missing.
        self.keys.check_signer().map_err(|e| cannot_sign(&e))?;
        let session = self
            .messenger
            .open_session(descriptor.into())
            .map_err(|e| local_failure(&e))?;
        let drive = Drive {
            roster: Arc::clone(&self.roster),
            participants: Participants {
                parties: descriptor.participants.clone(),
                me,
            },
            round_timeout: self.timeouts.round(descriptor.kind),
            priority,
            online: Arc::clone(&self.online),
            watch,
        };
        let name = format!("{}-{}", descriptor.kind, descriptor.session_id().short());
        drive
            .run(session, name, move || build(seat, fresh_rng()))
            .await
            .map_err(|failure: SessionFailure| failure.to_failure())
    }
}

/// Everything one signing ceremony is started with.
struct SignJob {
    share: Arc<Share>,
    means: Means,
    signers: Vec<u16>,
    path: DerivationPath,
    /// Made by `chain`'s analysis on this agent: the only way a message gets into a signing protocol (I2).
    item: SigningItem,
}

impl SignJob {
    fn start(self, seat: Seat, rng: CeremonyRng) -> Result<Box<dyn Ceremony>, Abort> {
        let Self {
            share,
            means,
            signers,
            path,
            item,
        } = self;
        match (means, item.message()) {
            (Means::Cggmp24(aux), SigningMessage::Ecdsa(message)) => {
                sign_ecdsa::<Production>(seat, &share, &aux, &signers, &path, message, rng)
            }
            (Means::Dkls23(setup), SigningMessage::Ecdsa(message)) => {
                sign_dkls(seat, &share, &setup, &signers, &path, message)
            }
            (Means::Frost, message) => {
                let message = frost_message(message)
                    .ok_or_else(|| local_abort("FROST does not sign ECDSA"))?;
                sign_frost(seat, &share, &signers, &path, &message, rng)
            }
            _ => Err(local_abort("the protocol signs ECDSA alone")),
        }
    }
}

/// The message as FROST takes it, where FROST signs it.
pub(crate) fn frost_message(message: &SigningMessage) -> Option<FrostMessage> {
    match message {
        SigningMessage::Ecdsa(_) => None,
        SigningMessage::Bip340 { message, tweak } => Some(FrostMessage::Bip340 {
            message: *message,
            tweak: match tweak {
                quorate_chain::TaprootTweak::None => TaprootTweak::None,
                quorate_chain::TaprootTweak::Bip86 => TaprootTweak::Bip86,
            },
        }),
        SigningMessage::Ed25519(bytes) => Some(FrostMessage::Ed25519(bytes.clone())),
    }
}

fn local_abort(detail: &str) -> Abort {
    Abort {
        reason: quorate_mpc_protocol::AbortReason::Local {
            detail: detail.to_owned(),
        },
        culprits: Vec::new(),
        evidence: Vec::new(),
    }
}

/// Seeded from the operating system, once for each ceremony.
pub(crate) fn fresh_rng() -> CeremonyRng {
    let mut seed = zeroize::Zeroizing::new([0u8; 32]);
    OsRng.fill_bytes(&mut *seed);
    CeremonyRng::from_seed(*seed)
}

/// Runs so many at once to their end, then the next; after a failure no more are begun. The first, in order, is the run's.
async fn in_turns<T, F>(mut sessions: Vec<F>, at_once: usize) -> Result<Vec<T>, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut done = Vec::with_capacity(sessions.len());
    while !sessions.is_empty() {
        let rest = sessions.split_off(at_once.clamp(1, sessions.len()));
        for one in futures::future::join_all(sessions).await {
            done.push(one?);
        }
        sessions = rest;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn so_many_run_at_once_and_none_begins_after_a_failure() {
        let (running, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one = async |number: usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            assert!(running.fetch_add(1, Ordering::Relaxed) < 3);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::Relaxed);
            match number {
                4 => Err(local_failure(&"the fifth")),
                number => Ok(number),
            }
        };
        let sessions = |count: usize| (0..count).map(&one).collect();
        assert_eq!(in_turns(sessions(4), 3).await, Ok(vec![0, 1, 2, 3]));
        assert_eq!(in_turns(sessions(0), 3).await, Ok(Vec::new()));
        begun.store(0, Ordering::Relaxed);
        assert!(in_turns(sessions(10), 3).await.is_err());
        assert_eq!(begun.load(Ordering::Relaxed), 6);
    }
}
