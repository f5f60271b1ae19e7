//! The agent itself: answers requests, runs what it judged good.

use std::sync::Arc;
use std::time::Duration;

use quorate_messaging::{IdentityUnavailable, Messenger, PartyKeys};
use quorate_mpc_protocol::{Outcome, Production, aux_info, keygen};
use quorate_service::now_ms;
use quorate_storage::{EncryptedFileStore, Ledger, LedgerError, SecretStore};
use quorate_types::node::{
    CommitteeRecord, Failure, KeyListing, NodeReply, NodeRequest, NodeStatus, Record, RunResult,
    Standing,
};
use quorate_types::presence::Heartbeat;
use quorate_types::{
    Attestation, Ban, Dialect, FailureCode, IntentHash, KeyRecord, PartyId, RefusalCode,
    SessionDescriptor, SignedBundle, ValidRoster,
};
use rand_core::{OsRng, RngCore as _};

use tokio::sync::{Notify, watch};

use crate::dialects::Dialects;
use crate::judge::{Plan, RefusalReason};
use crate::keybook::{KeyBook, KeyBookError};
use crate::log;
use crate::online::OnlineWork;
use crate::policy::{PolicyDesk, PolicyError};
use crate::pool::Priority;
use crate::presignatures::PresignDesk;
use crate::primes::{NEEDED, PrimeStock};
use crate::protocols::{ProtocolDesk, ProtocolError};
use crate::refusals::{About, Refusals};
use crate::runs::{Ended, Runs};
use crate::signing::Signing;
use crate::taking_part::Places;
use crate::{PresignConfig, Timeouts};

/// How long after its own part of a committee setup an agent expects the setup to come into force.
const ACTIVATION_WAIT: Duration = Duration::from_secs(60);

/// How long a request waits for an agent that has just started.
const SETTLING: Duration = Duration::from_secs(4);

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The party is not in its roster, or its keys are not the roster's.
    #[error("{0}")]
    Identity(String),
    /// Stored keys.
    #[error(transparent)]
    KeyBook(#[from] KeyBookError),
    /// The sealed store.
    #[error(transparent)]
    Store(#[from] quorate_storage::StoreError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its policy.
    #[error("the policy: {0}")]
    Policy(#[from] PolicyError),
    /// What signs for its keys.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// What an agent is made of.
pub struct Parts {
    /// Its name.
    pub party: PartyId,
    /// Its roster.
    pub roster: Arc<ValidRoster>,
    /// Its sealed store, open.
    pub store: Arc<EncryptedFileStore>,
    /// Where its key shares are: that store, or a token.
    pub shares: Arc<dyn SecretStore>,
    /// Its ledger.
    pub ledger: Arc<Ledger>,
    /// Its identity keys.
    pub keys: Arc<PartyKeys>,
    /// Its messenger, which has the same keys.
    pub messenger: Arc<Messenger>,
    /// Time-outs.
    pub timeouts: Timeouts,
    /// Whether it may take part; see [`crate::presence`].
    pub standing: watch::Receiver<Standing>,
    /// The first policy bundle, for a ledger that has none.
    pub policy: Option<SignedBundle>,
    /// Presignatures.
    pub presign: PresignConfig,
    /// The version of the protocol that it speaks, and what it can do.
    pub dialect: Dialect,
}

/// A custodian's agent.
pub struct Agent {
    pub(crate) party: PartyId,
    pub(crate) life: [u8; 16],
    pub(crate) standing: watch::Receiver<Standing>,
    pub(crate) worked: Notify,
    pub(crate) roster: Arc<ValidRoster>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) keys: Arc<PartyKeys>,
    pub(crate) messenger: Arc<Messenger>,
    pub(crate) timeouts: Timeouts,
    pub(crate) keybook: Arc<KeyBook>,
    pub(crate) primes: Arc<PrimeStock>,
    pub(crate) protocols: Arc<ProtocolDesk>,
    pub(crate) policy: Arc<PolicyDesk>,
    /// Held from recording a spend until it is judged with what peers know: see docs/decisions/0009.
    pub(crate) spending: tokio::sync::Mutex<()>,
    pub(crate) presignatures: PresignDesk,
    pub(crate) online: Arc<OnlineWork>,
    pub(crate) refusals: Refusals,
    pub(crate) runs: Runs,
    pub(crate) dialects: Dialects,
}

/// Whether the keys are those the roster has for the party.
///
/// # Errors
/// [`AgentError::Identity`] if not.
pub fn check_identity(
    roster: &ValidRoster,
    party: &PartyId,
    keys: &PartyKeys,
) -> Result<(), AgentError> {
    let entry = roster
        .party(party)
        .ok_or_else(|| AgentError::Identity(format!("{party} is not in the roster")))?;
    if entry.identity == keys.identity() && entry.channel == keys.channel() {
        return Ok(());
    }
    Err(AgentError::Identity(format!(
        "the identity keys in use are not those the roster has for {party}"
    )))
}

impl Agent {
    /// Builds an agent. It does nothing by itself before [`Self::start_background_work`].
    ///
    /// # Errors
    /// Keys that are not the roster's, damaged records.
    pub fn new(parts: Parts) -> Result<Arc<Self>, AgentError> {
        let Parts {
            party,
            roster,
            store,
            shares,
            ledger,
            keys,
            messenger,
            timeouts,
            standing,
            policy: genesis,
            presign,
            dialect,
        } = parts;
        check_identity(&roster, &party, &keys)?;
        let keybook = KeyBook::open(
            shares,
            Arc::clone(&store),
            Arc::clone(&ledger),
            Arc::clone(&roster),
        )?;
        let protocols = ProtocolDesk::open(Arc::clone(&store), Arc::clone(&ledger))?;
        let primes = PrimeStock::open(store)?;
        let policy = PolicyDesk::open(
            party.clone(),
            Arc::clone(&roster),
            Arc::clone(&ledger),
            genesis,
            now_ms(),
        )?;
        let presignatures = PresignDesk::open(party.clone(), Arc::clone(&ledger), presign)?;
        let mut life = [0; 16];
        OsRng.fill_bytes(&mut life);
        Ok(Arc::new(Self {
            party,
            life,
            standing,
            worked: Notify::new(),
            roster,
            ledger,
            keys,
            messenger,
            timeouts,
            keybook,
            primes,
            protocols: Arc::new(protocols),
            policy: Arc::new(policy),
            spending: tokio::sync::Mutex::new(()),
            presignatures,
            online: Arc::default(),
            refusals: Refusals::default(),
            runs: Runs::default(),
            dialects: Dialects::new(dialect),
        }))
    }

    /// This agent's name.
    #[must_use]
    pub const fn party(&self) -> &PartyId {
        &self.party
    }

    /// Its roster.
    #[must_use]
    pub const fn roster(&self) -> &Arc<ValidRoster> {
        &self.roster
    }

    /// Its copy of the policy.
    pub(crate) const fn policy(&self) -> &Arc<PolicyDesk> {
        &self.policy
    }

    pub(crate) const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Names this process among all that have the party's identity.
    pub(crate) const fn life(&self) -> [u8; 16] {
        self.life
    }

    /// Signs with the party's identity key. The caller puts a domain tag into the message.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<[u8; 64], IdentityUnavailable> {
        self.keys.sign(message)
    }

    /// Waits until this agent has recorded something new.
    pub(crate) async fn worked(&self) {
        self.worked.notified().await;
    }

    /// How this agent is, from what is durable.
    pub(crate) fn heartbeat(&self) -> Result<Heartbeat, LedgerError> {
        Ok(Heartbeat {
            party: self.party.clone(),
            roster: self.roster.hash(),
            at: now_ms(),
            life: self.life,
            restores: self.ledger.restores()?,
            log_size: self.ledger.log_size()?,
            epoch: self.keybook.highest_epoch(),
            policy_version: self.policy.version(),
            keys: count(self.keybook.len()),
            presignatures: count(self.presignatures.len()),
        })
    }

    /// Whether it may take part.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Whether it may take part, as it changes.
    #[must_use]
    pub fn standing_changes(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Refuses while this agent may know less than it once did. One that has just started waits a moment for its peers' word.
    pub(crate) async fn check_standing(&self) -> Result<u64, RefusalReason> {
        let mut standing = self.standing.clone();
        let settled = standing.wait_for(|s| !matches!(s, Standing::Confirming { .. }));
        // Whether it settled or not is seen below.
        let _ = tokio::time::timeout(SETTLING, settled).await;
        match &*self.standing.borrow() {
            Standing::Serving { not_before } => Ok(*not_before),
            other => Err(RefusalReason::NotServing(other.clone())),
        }
    }

    /// Fills the stock of primes if the committee is not set up.
    pub fn start_background_work(&self) {
        if self.keybook.committee().is_none() {
            self.primes.want(NEEDED);
        }
    }

    /// What makes presignatures cheaper is built beside everything else, once; until it is there they are made without.
    pub(crate) fn build_tables(&self) {
        let (keybook, party) = (Arc::clone(&self.keybook), self.party.clone());
        let build = move || {
            Priority::Background.apply();
            match keybook.build_tables() {
                Ok(0) => {}
                Ok(bytes) => tracing::info!(%party, bytes, "tables for ECDSA are built"),
                Err(error) => {
                    tracing::warn!(%party, %error, "no tables for ECDSA; it works without, slower")
                }
            }
        };
        let spawned = std::thread::Builder::new()
            .name("tables".to_owned())
            .spawn(build);
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread for building tables");
        }
    }

    /// Stops background work.
    pub fn stop(&self) {
        self.primes.stop();
    }

    /// Answers one request.
    pub async fn answer(self: &Arc<Self>, request: NodeRequest) -> NodeReply {
        let about = About::of(&request);
        let _pass = is_online(&request).then(|| self.online.begin());
        match Box::pin(self.dispatch(request)).await {
            Ok(reply) => reply,
            Err(reason) => NodeReply::Refused(self.refuse(about, &reason).await),
        }
    }

    async fn dispatch(self: &Arc<Self>, request: NodeRequest) -> Result<NodeReply, RefusalReason> {
        match request {
            NodeRequest::Status => Ok(NodeReply::Status(self.status())),
            NodeRequest::Keys { after } => Ok(self.listed(self.keybook.page(after))),
            NodeRequest::Key { id } => Ok(self.listed(self.keybook.listing(id))),
            NodeRequest::Propose { intent, approvals } => self.propose(intent, approvals).await,
            NodeRequest::Say(said) => self.say(said).await,
            NodeRequest::Publish(bundle) => self.publish(*bundle).await,
            NodeRequest::Policy { version } => self.bundle(version).await,
            NodeRequest::Freeze(order) => self.freeze(order).await,
            NodeRequest::Prepare {
                intent,
                approvals,
                witnesses,
                attempt,
                participants,
                preprocessed,
                protocol,
            } => {
                let seats = Places {
                    participants,
                    witnesses,
                };
                self.prepare(intent, approvals, attempt, seats, preprocessed, protocol)
                    .await
            }
            NodeRequest::Issue {
                intent,
                approvals,
                attempt,
                participants,
                preprocessed,
            } => {
                self.issue(intent, approvals, attempt, participants, preprocessed)
                    .await
            }
            NodeRequest::Settle { intent, signatures } => self.settle(intent, signatures).await,
            NodeRequest::Blame {
                intent,
                attempt,
                partials,
            } => self.blame((intent, attempt), partials).await,
            NodeRequest::Commit { key, count } => self.commit(key, count).await,
            NodeRequest::Pools => Ok(NodeReply::Pools(self.presignatures.levels())),
            NodeRequest::PreparePresign {
                pool,
                count,
                useful,
            } => self.prepare_presign(pool, count, useful).await,
            NodeRequest::BeginPresign { nonces, count } => self.begin_presign(nonces, count).await,
            NodeRequest::Begin {
                intent,
                attempt,
                nonces,
                wait_ms,
            } => self.begin(intent, attempt, &nonces, wait_ms).await,
            NodeRequest::Await {
                intent,
                attempt,
                wait_ms,
            } => self.wait(intent, attempt, wait_ms).await,
            NodeRequest::Activate {
                record,
                attestations,
            } => self.activate(record, attestations).await,
            NodeRequest::Affirm { challenge } => self.affirm(challenge),
            NodeRequest::Discard(discard) => self.discard(discard).await,
        }
    }

    fn status(&self) -> NodeStatus {
        NodeStatus {
            party: self.party.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dialect: self.dialects.own().clone(),
            roster: self.roster.hash(),
            primes: self.primes.len(),
            primes_needed: NEEDED,
            committee: self.keybook.committee(),
            keys: count(self.keybook.len()),
            running: count(self.runs.running()),
            standing: self.standing.borrow().clone(),
            policy_version: self.policy.version(),
            policy: self.policy.hash(),
            frozen: self.policy.frozen().into_keys().collect(),
            pools: self.presignatures.status(),
            strangers: self.dialects.strangers(),
            bans: self
                .protocols
                .bans()
                .into_iter()
                .take(Ban::MAX_LISTED)
                .collect(),
        }
    }

    fn listed(&self, keys: Vec<KeyListing>) -> NodeReply {
        NodeReply::Keys(self.protocols.show(keys))
    }

    pub(crate) async fn wait(
        &self,
        intent: IntentHash,
        attempt: u32,
        wait_ms: u32,
    ) -> Result<NodeReply, RefusalReason> {
        let wait = Duration::from_millis(u64::from(wait_ms.min(NodeRequest::MAX_WAIT_MS)));
        match self.runs.wait((intent, attempt), wait).await {
            Some(Some(ended)) => Ok(ended.to_reply()),
            Some(None) => Ok(NodeReply::Running),
            None => match self.ledger.result(intent)? {
                Some(result) => finished(&result),
                None => Err(RefusalReason::NotPrepared(intent)),
            },
        }
    }

    async fn activate(
        self: &Arc<Self>,
        record: Record,
        attestations: Vec<Attestation>,
    ) -> Result<NodeReply, RefusalReason> {
        self.check_standing().await?;
        let this = Arc::clone(self);
        let active = blocking(move || {
            match record {
                Record::Protocol(record) => this.activate_protocol(record, attestations)?,
                other => this.keybook.activate(other, attestations)?,
            }
            Ok(NodeReply::Active)
        })
        .await;
        self.worked.notify_one();
        active
    }

    pub(crate) async fn run(
        self: &Arc<Self>,
        intent: IntentHash,
        plan: Plan,
        descriptors: Vec<SessionDescriptor>,
    ) -> Ended {
        let result = match plan {
            Plan::SetUpCommittee => self.run_setup(&descriptors).await,
            plan @ Plan::CreateKey { .. } => self.run_keygen(plan, &descriptors).await,
            Plan::SetProtocol(change) => self.run_change(change, &descriptors).await,
            // A witness has done its part when it has acknowledged.
            Plan::Sign { witness: true, .. } => return Ended::Finished(RunResult::Acknowledged),
            Plan::Sign {
                record,
                path,
                child,
                analysis,
                signers,
                in_force,
                ..
            } => {
                let signing = Signing {
                    key: record,
                    path,
                    child,
                    signers,
                    in_force,
                };
                self.run_signing(&signing, analysis.items, &descriptors)
                    .await
            }
        };
        match result {
            Ok(result) => self.record(intent, result).await,
            Err(failure) => {
                // A ban may have been recorded: peers are to hear of it.
                self.worked.notify_one();
                tracing::warn!(party = %self.party, %intent, code = %failure.code, reason = %failure.reason, "run failed");
                Ended::Failed(failure)
            }
        }
    }

    async fn record(self: &Arc<Self>, intent: IntentHash, result: RunResult) -> Ended {
        let this = Arc::clone(self);
        let finished = result.clone();
        let stored = tokio::task::spawn_blocking(move || this.finish(intent, &finished)).await;
        match stored {
            Ok(Ok(())) => Ended::Finished(result),
            Ok(Err(error)) => Ended::Failed(local_failure(&error)),
            Err(error) => Ended::Failed(local_failure(&error)),
        }
    }

    /// Records a result, with its leaf in the log. Blocks: not for an async thread.
    pub(crate) fn finish(&self, intent: IntentHash, result: &RunResult) -> Result<(), LedgerError> {
        let encoded = borsh::to_vec(result).map_err(|e| LedgerError::Failed {
            action: "written",
            reason: e.to_string(),
        })?;
        let leaves = vec![log::finished(intent, &encoded)];
        self.ledger.finish(intent, &encoded, leaves)
    }

    async fn run_setup(
        self: &Arc<Self>,
        descriptors: &[SessionDescriptor],
    ) -> Result<RunResult, Failure> {
        let descriptor = only(descriptors)?;
        let primes = Arc::clone(&self.primes);
        let primes = tokio::task::spawn_blocking(move || primes.take())
            .await
            .map_err(|e| local_failure(&e))?
            .map_err(|e| local_failure(&e))?
            .ok_or_else(|| local_failure(&"the stock of primes ran out"))?;
        let outcome = self
            .drive(descriptor, Priority::Background, move |seat, rng| {
                aux_info::<Production>(seat, primes, rng)
            })
            .await;
        if outcome.is_err() {
            // The primes are spent whatever came of them.
            self.primes.want(NEEDED);
        }
        let Outcome::Aux(aux) = outcome? else {
            return Err(local_failure(&"setup yielded something else"));
        };
        let record = CommitteeRecord {
            session: descriptor.session_id(),
            committee: descriptor.participants.clone(),
            digest: aux
                .public_digest::<Production>()
                .map_err(|e| local_failure(&e))?,
        };
        let attested = self.attest(Record::Committee(record.clone()))?;
        let keybook = Arc::clone(&self.keybook);
        let own = attested.1.clone();
        store(move || keybook.add_pending_aux(&record, &aux, &own)).await?;
        self.search_again_unless_activated();
        Ok(RunResult::Attested {
            record: attested.0,
            attestation: attested.1,
        })
    }

    /// A setup that ends here but fails elsewhere never comes into force, and its primes are spent.
    fn search_again_unless_activated(self: &Arc<Self>) {
        let this = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(ACTIVATION_WAIT).await;
            if let Some(agent) = this.upgrade()
                && agent.keybook.committee().is_none()
            {
                agent.primes.want(NEEDED);
            }
        });
    }

    async fn run_keygen(
        self: &Arc<Self>,
        plan: Plan,
        descriptors: &[SessionDescriptor],
    ) -> Result<RunResult, Failure> {
        let Plan::CreateKey {
            id,
            name,
            curve,
            scheme,
            raw_signing,
            created_at,
        } = plan
        else {
            return Err(local_failure(&"not a key creation"));
        };
        let descriptor = only(descriptors)?;
        let taken = |error| Failure::new(RefusalCode::KeyNameTaken, error);
        let reservation = self.keybook.reserve(&name).map_err(taken)?;
        // Another attempt of this intent may have ended between the ledger's check and the reservation.
        if self.keybook.knows(id) {
            return Err(local_failure(&KeyBookError::AlreadyMade(id)));
        }
        let threshold = self.roster.threshold();
        let outcome = self
            .drive(descriptor, Priority::Online, move |seat, rng| {
                keygen(seat, threshold, curve, rng)
            })
            .await;
        let Outcome::Share(share) = outcome? else {
            return Err(local_failure(&"key generation yielded something else"));
        };
        let incomplete = || local_failure(&"the new share lacks its public parts");
        let record = KeyRecord {
            id,
            name,
            scheme,
            public_key: share.public_key().ok_or_else(incomplete)?,
            chain_code: share.chain_code().ok_or_else(incomplete)?,
            epoch: 0,
            threshold,
            committee: descriptor.participants.clone(),
            public_shares: share.public_shares().ok_or_else(incomplete)?,
            raw_signing,
            created_at,
        };
        let attested = self.attest(Record::Key(record.clone()))?;
        self.keybook
            .add_pending_key(&record, &share, &attested.1)
            .await
            .map_err(|e| local_failure(&e))?;
        drop(reservation);
        Ok(RunResult::Attested {
            record: attested.0,
            attestation: attested.1,
        })
    }

    pub(crate) fn attest(&self, record: Record) -> Result<(Record, Attestation), Failure> {
        let signature = self.keys.sign(&record.signing_bytes());
        let attestation = Attestation {
            party: self.party.clone(),
            signature: signature.map_err(|e| cannot_sign(&e))?,
        };
        Ok((record, attestation))
    }
}

/// Whether someone waits for what answering this computes. What a begun run computes is counted where it does: mostly it waits.
const fn is_online(request: &NodeRequest) -> bool {
    match request {
        NodeRequest::Propose { .. }
        | NodeRequest::Prepare { .. }
        | NodeRequest::Issue { .. }
        | NodeRequest::Blame { .. }
        | NodeRequest::Commit { .. } => true,
        NodeRequest::Status
        | NodeRequest::Keys { .. }
        | NodeRequest::Key { .. }
        | NodeRequest::Say(_)
        | NodeRequest::Publish(_)
        | NodeRequest::Policy { .. }
        | NodeRequest::Freeze(_)
        | NodeRequest::Pools
        | NodeRequest::PreparePresign { .. }
        | NodeRequest::BeginPresign { .. }
        | NodeRequest::Begin { .. }
        | NodeRequest::Await { .. }
        | NodeRequest::Settle { .. }
        | NodeRequest::Affirm { .. }
        | NodeRequest::Discard(_)
        | NodeRequest::Activate { .. } => false,
    }
}

pub(crate) fn local_failure(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(RefusalCode::LocalFault, error)
}

pub(crate) fn local_refusal(error: &dyn std::fmt::Display) -> RefusalReason {
    RefusalReason::Local(error.to_string())
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(crate) fn cannot_sign(error: &IdentityUnavailable) -> Failure {
    Failure::new(FailureCode::IdentityUnavailable, error)
}

pub(crate) fn only(descriptors: &[SessionDescriptor]) -> Result<&SessionDescriptor, Failure> {
    descriptors
        .first()
        .ok_or_else(|| local_failure(&"no session"))
}

pub(crate) fn finished(result: &[u8]) -> Result<NodeReply, RefusalReason> {
    ended(result).map(|ended| ended.to_reply())
}

/// A run's end, from its stored result.
pub(crate) fn ended(result: &[u8]) -> Result<Ended, RefusalReason> {
    borsh::from_slice(result)
        .map(Ended::Finished)
        .map_err(|_| RefusalReason::Local("the stored result is damaged".to_owned()))
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RefusalReason> + Send + 'static,
) -> Result<T, RefusalReason> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(local_refusal(&error)),
    }
}

async fn store(
    work: impl FnOnce() -> Result<(), KeyBookError> + Send + 'static,
) -> Result<(), Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|e| local_failure(&e)),
        Err(error) => Err(local_failure(&error)),
    }
}
