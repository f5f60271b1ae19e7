//! From a request to a run: judged, prepared, judged again, recorded, begun.

use std::sync::Arc;
use std::time::Duration;

use quorate_service::now_ms;
use quorate_storage::{Batch, Begun, SealedOneTime, Start};
use quorate_types::node::NodeReply;
use quorate_types::{
    CeremonyKind, Hash32, IntentHash, PartyId, Preprocessed, SessionDescriptor, SignedApproval,
    SignedIntent,
};
use rand_core::{OsRng, RngCore as _};

use crate::Agent;
use crate::agent::{blocking, ended, finished};
use crate::judge::{Judge, Plan, RefusalReason, Seats};
use crate::log;
use crate::policy::{PolicyRefusal, Question, Ruling, to_ledger};
use crate::presignatures::{PresignDesk, Taken};
use crate::refusals::About;
use crate::runs::{Ended, Evidence, Prepared};

/// How long a request that a limit counts waits for another to be done with.
const SPENDING_WAIT: Duration = Duration::from_secs(15);

/// Who is to take part, as asked.
pub(crate) struct Places {
    pub participants: Vec<PartyId>,
    pub witnesses: Vec<PartyId>,
}

impl Places {
    fn seats(&self) -> Seats<'_> {
        Seats {
            participants: &self.participants,
            witnesses: &self.witnesses,
        }
    }
}

/// A judged request.
struct Judged {
    evidence: Evidence,
    plan: Plan,
    ruling: Ruling,
}

impl Agent {
    /// Judges a request; `Err` in the result is what it yielded when it was run here before.
    async fn judged(
        self: &Arc<Self>,
        signed: SignedIntent,
        approvals: Vec<SignedApproval>,
        attempt: u32,
        places: Option<Arc<Places>>,
    ) -> Result<Result<Judged, Vec<u8>>, RefusalReason> {
        let not_before = self.check_standing().await?;
        if approvals.len() > SignedApproval::MAX_COUNT {
            let max = SignedApproval::MAX_COUNT;
            return Err(RefusalReason::Unreadable(format!(
                "more than {max} approvals"
            )));
        }
        let this = Arc::clone(self);
        // Judging opens sealed auxiliary information and computes hashes: not for an async thread.
        blocking(move || {
            let judge = Judge {
                me: &this.party,
                roster: &this.roster,
                keybook: &this.keybook,
                primes: &this.primes,
                protocols: &this.protocols,
                now: now_ms(),
                not_before,
            };
            let seats = places.as_ref().map(|places| places.seats());
            let (intent, plan) = judge.judge(signed, attempt, seats.as_ref())?;
            if let Some(result) = this.ledger.result(intent.hash())? {
                return Ok(Err(result));
            }
            if let Some(seats) = &seats {
                this.dialects.check(seats.everyone())?;
            }
            let evidence = Evidence { intent, approvals };
            let ruling = this.ruling(&evidence, &plan)?;
            if let Some(seats) = seats {
                this.check_acknowledgements(&ruling, &plan, &seats)?;
            }
            Ok(Ok(Judged {
                evidence,
                plan,
                ruling,
            }))
        })
        .await
    }

    /// What the policy says of it now.
    pub(crate) fn ruling(&self, evidence: &Evidence, plan: &Plan) -> Result<Ruling, PolicyRefusal> {
        let signing = match plan {
            Plan::Sign {
                record,
                child,
                analysis,
                ..
            } => Some((&**record, child, &**analysis)),
            Plan::SetUpCommittee | Plan::CreateKey { .. } | Plan::SetProtocol(_) => None,
        };
        let changed = match plan {
            Plan::SetProtocol(change) => Some(&*change.key),
            _ => None,
        };
        self.policy.rule(&Question {
            intent: &evidence.intent,
            signing,
            changed,
            approvals: &evidence.approvals,
            now: now_ms(),
        })
    }

    /// How many agents must take part in it or acknowledge it.
    fn acknowledgements(&self, ruling: &Ruling, plan: &Plan) -> u16 {
        let Plan::Sign { record, .. } = plan else {
            return self.roster.threshold().n();
        };
        let (t, n) = (record.threshold.t(), record.threshold.n());
        if ruling.spend.is_some() && self.must_hear_everyone() {
            return n;
        }
        ruling.acknowledgements.map_or(t, |q| q.clamp(t, n))
    }

    fn check_acknowledgements(
        &self,
        ruling: &Ruling,
        plan: &Plan,
        seats: &Seats<'_>,
    ) -> Result<(), RefusalReason> {
        let (needed, found) = (
            ruling.acknowledgements.unwrap_or(0),
            seats.everyone().count(),
        );
        if matches!(plan, Plan::Sign { .. }) && found < usize::from(needed) {
            return Err(PolicyRefusal::Acknowledgements { needed, found }.into());
        }
        Ok(())
    }

    pub(crate) async fn propose(
        self: &Arc<Self>,
        signed: SignedIntent,
        approvals: Vec<SignedApproval>,
    ) -> Result<NodeReply, RefusalReason> {
        match self.judged(signed, approvals, 0, None).await? {
            Ok(judged) => Ok(NodeReply::Judged {
                acknowledgements: self.acknowledgements(&judged.ruling, &judged.plan),
            }),
            Err(result) => finished(&result),
        }
    }

    pub(crate) async fn prepare(
        self: &Arc<Self>,
        signed: SignedIntent,
        approvals: Vec<SignedApproval>,
        attempt: u32,
        places: Places,
        preprocessed: Preprocessed,
        protocol: Option<Hash32>,
    ) -> Result<NodeReply, RefusalReason> {
        let places = Arc::new(places);
        let judged = self
            .judged(signed, approvals, attempt, Some(Arc::clone(&places)))
            .await?;
        let judged = match judged {
            Ok(good) => good,
            Err(result) => return finished(&result),
        };
        self.check_protocol(&judged.plan, &places, protocol).await?;
        if let Plan::Sign { record, .. } = &judged.plan
            && !matches!(preprocessed, Preprocessed::Presignatures(_))
        {
            // A share that does not open is said now, not in the middle of a ceremony.
            self.keybook.share(record).await?;
        }
        let items = u32::try_from(judged.plan.items()).unwrap_or(u32::MAX);
        let intent = judged.evidence.intent.hash();
        let prepared = self.prepared(judged, &places, preprocessed)?;
        let nonce = prepared.nonce;
        self.runs.prepare((intent, attempt), prepared, now_ms())?;
        Ok(NodeReply::Prepared { nonce, items })
    }

    /// Whether a signing is for the protocol in force here, and this agent can sign by it with the others.
    async fn check_protocol(
        self: &Arc<Self>,
        plan: &Plan,
        places: &Arc<Places>,
        protocol: Option<Hash32>,
    ) -> Result<(), RefusalReason> {
        let Plan::Sign {
            record,
            in_force,
            witness,
            ..
        } = plan
        else {
            return Ok(());
        };
        if in_force.record != protocol {
            return Err(self.protocols.differs(record).into());
        }
        if in_force.setup.is_none() || *witness {
            return Ok(());
        }
        let (this, key, places) = (Arc::clone(self), Arc::clone(record), Arc::clone(places));
        blocking(move || Ok(this.protocols.check_usable(&key, &places.participants)?)).await
    }

    fn prepared(
        &self,
        judged: Judged,
        places: &Places,
        preprocessed: Preprocessed,
    ) -> Result<Prepared, RefusalReason> {
        let witness = matches!(judged.plan, Plan::Sign { witness: true, .. });
        let preprocessed = if witness {
            Preprocessed::Nothing
        } else {
            preprocessed
        };
        let pool = self.pool_for(&judged.plan, &places.participants, &preprocessed)?;
        let seat = places.seats().everyone().position(|p| *p == self.party);
        let seat = seat.ok_or_else(|| {
            RefusalReason::Participants(format!("{} is not among the participants", self.party))
        })?;
        let mut nonce = [0u8; 32];
        OsRng.fill_bytes(&mut nonce);
        Ok(Prepared {
            evidence: judged.evidence,
            plan: judged.plan,
            policy: judged.ruling.allowed.policy(),
            participants: places.participants.clone(),
            witnesses: places.witnesses.clone(),
            seat,
            nonce,
            pool,
            preprocessed,
        })
    }

    /// Judges a request and signs it with what was made ahead, in one step.
    pub(crate) async fn issue(
        self: &Arc<Self>,
        signed: SignedIntent,
        approvals: Vec<SignedApproval>,
        attempt: u32,
        participants: Vec<PartyId>,
        preprocessed: Preprocessed,
    ) -> Result<NodeReply, RefusalReason> {
        let places = Arc::new(Places {
            participants,
            witnesses: Vec::new(),
        });
        let judged = self
            .judged(signed, approvals, attempt, Some(Arc::clone(&places)))
            .await?;
        let mut judged = match judged {
            Ok(good) => good,
            Err(result) => return finished(&result),
        };
        let spend = judged.ruling.spend.take();
        if spend.is_some() {
            return Err(RefusalReason::MustBePrepared);
        }
        let ruling = judged.ruling.clone();
        let id = (judged.evidence.intent.hash(), attempt);
        // An answer may get lost; the same request has the same answer.
        let answered = self.answered(id, &places.participants, &preprocessed);
        if let Some(result) = answered {
            return Ok(NodeReply::Finished(result));
        }
        let run = Run {
            intent: id.0,
            attempt,
            prepared: Arc::new(self.prepared(judged, &places, preprocessed)?),
            nonces: Vec::new(),
        };
        if run.prepared.pool.is_none() {
            return Err(RefusalReason::PresignatureCount {
                items: run.prepared.plan.items(),
                given: 0,
            });
        }
        let ended = match self.record_start(&run, &ruling).await {
            Ok(Recorded::Fresh { taken, .. }) => self.carry_out(run, taken).await?,
            Ok(Recorded::Finished(ended)) => ended,
            // It may have come twice at once.
            Err(RefusalReason::Repeated) => {
                let Prepared {
                    participants,
                    preprocessed,
                    ..
                } = &*run.prepared;
                let answered = self.answered(id, participants, preprocessed);
                Ended::Finished(answered.ok_or(RefusalReason::Repeated)?)
            }
            Err(reason) => return Err(reason),
        };
        self.worked.notify_one();
        Ok(ended.to_reply())
    }

    pub(crate) async fn begin(
        self: &Arc<Self>,
        intent: IntentHash,
        attempt: u32,
        nonces: &[[u8; 32]],
        wait_ms: u32,
    ) -> Result<NodeReply, RefusalReason> {
        self.check_standing().await?;
        let (prepared, state) = self.runs.begin((intent, attempt), nonces, now_ms())?;
        let this = Arc::clone(self);
        let nonces = nonces.to_vec();
        let about = About::request(prepared.evidence.intent.intent());
        tokio::spawn(async move {
            let ended = match this.take_part(intent, attempt, prepared, nonces).await {
                Ok(ended) => ended,
                Err(reason) => Ended::Refused(this.refuse(Some(about), &reason).await),
            };
            state.send_replace(Some(ended));
        });
        self.wait(intent, attempt, wait_ms).await
    }

    async fn take_part(
        self: &Arc<Self>,
        intent: IntentHash,
        attempt: u32,
        prepared: Prepared,
        nonces: Vec<[u8; 32]>,
    ) -> Result<Ended, RefusalReason> {
        let run = Run {
            intent,
            attempt,
            prepared: Arc::new(prepared),
            nonces,
        };
        let ruling = self.judge_again(&run).await?;
        let taken = if run.is_shown(&ruling) {
            // From recording to judging with what peers know, one at a time: places of records follow each other without gaps.
            let one_at_a_time = tokio::time::timeout(SPENDING_WAIT, self.spending.lock()).await;
            let _one_at_a_time = one_at_a_time.map_err(|_| RefusalReason::Busy(1))?;
            // Others may have spent meanwhile.
            let ruling = self.judge_again(&run).await?;
            let (own, taken) = match self.record_start(&run, &ruling).await? {
                Recorded::Fresh { own, taken } => (own, taken),
                Recorded::Finished(ended) => return Ok(ended),
            };
            self.worked.notify_one();
            self.agree_on_spending(&run, own).await?;
            taken
        } else {
            let taken = match self.record_start(&run, &ruling).await? {
                Recorded::Fresh { taken, .. } => taken,
                Recorded::Finished(ended) => return Ok(ended),
            };
            self.worked.notify_one();
            taken
        };
        // A ceremony counts by its steps.
        let _pass = (!matches!(taken, Taken::Nothing)).then(|| self.online.begin());
        self.carry_out(run, taken).await
    }

    /// Signs with what was taken, or runs the ceremony.
    async fn carry_out(self: &Arc<Self>, run: Run, taken: Taken) -> Result<Ended, RefusalReason> {
        if !matches!(taken, Taken::Nothing) {
            let share = match (&taken, &run.prepared.plan) {
                (Taken::Nonces(_), Plan::Sign { record, .. }) => {
                    Some(self.keybook.share(record).await?)
                }
                _ => None,
            };
            let this = Arc::clone(self);
            let issued = move || {
                let id = (run.intent, run.attempt);
                Ok(this.issue_partials(id, &run.prepared, taken, share.as_deref()))
            };
            return Ok(match blocking(issued).await? {
                Ok(result) => Ended::Finished(result),
                Err(failure) => Ended::Failed(failure),
            });
        }
        let descriptors = self.descriptors(&run);
        match Arc::try_unwrap(run.prepared) {
            Ok(prepared) => Ok(self.run(run.intent, prepared.plan, descriptors).await),
            Err(_) => Err(RefusalReason::NotPrepared(run.intent)),
        }
    }

    /// What was allowed when it was prepared must be allowed now, under the same version.
    pub(crate) async fn judge_again(self: &Arc<Self>, run: &Run) -> Result<Ruling, RefusalReason> {
        let this = Arc::clone(self);
        let prepared = Arc::clone(&run.prepared);
        blocking(move || {
            let _pass = this.online.begin();
            this.check_still(&prepared)?;
            let ruling = this.ruling(&prepared.evidence, &prepared.plan)?;
            if ruling.allowed.policy() != prepared.policy {
                return Err(PolicyRefusal::Changed.into());
            }
            Ok(ruling)
        })
        .await
    }

    /// The protocol that it was prepared for, and nobody banned since.
    fn check_still(&self, prepared: &Prepared) -> Result<(), RefusalReason> {
        if let Plan::Sign {
            record,
            in_force,
            witness: false,
            ..
        } = &prepared.plan
        {
            self.protocols
                .check_still(record, in_force, &prepared.participants)?;
        }
        Ok(())
    }

    /// INVARIANT (I5): the start is durable before the first message leaves.
    /// INVARIANT (I6): and so is what the log says about it, and what it spends (I11).
    async fn record_start(
        self: &Arc<Self>,
        run: &Run,
        ruling: &Ruling,
    ) -> Result<Recorded, RefusalReason> {
        let mut sessions: Vec<_> = self
            .descriptors(run)
            .iter()
            .map(SessionDescriptor::session_id)
            .collect();
        if run.is_shown(ruling) {
            sessions.push(self.spend_descriptor(run).session_id());
        }
        let start = Start {
            intent: run.intent,
            attempt: run.attempt,
            sessions,
        };
        let own = ruling
            .spend
            .clone()
            .map(|spend| self.own_record(spend))
            .transpose()?;
        let leaf = log::begun(
            &start,
            &run.prepared.participants,
            &run.prepared.witnesses,
            &run.prepared.preprocessed.used_by(run.prepared.seat),
            ruling,
        );
        let pool = run.prepared.presignature_pool().cloned();
        let ids = run.prepared.preprocessed.used_by(run.prepared.seat);
        let batch = Batch {
            take: pool
                .as_ref()
                .map_or_else(Vec::new, |pool| PresignDesk::names(pool, &ids)),
            leaves: vec![leaf],
            spends: own.iter().map(to_ledger).collect(),
            ..Batch::new(start, now_ms())
        };
        let (this, ruling) = (Arc::clone(self), ruling.clone());
        let begun = blocking(move || this.policy.begin(&ruling, batch)).await?;
        let taken = match begun {
            Begun::Fresh { taken } => {
                if let Some(pool) = &pool {
                    self.presignatures.used(pool, &ids);
                }
                self.taken(&run.prepared, taken)?
            }
            Begun::Finished(result) => return Ok(Recorded::Finished(ended(&result)?)),
            Begun::ClockBack(ms) => return Err(RefusalReason::ClockBack(ms)),
            Begun::Repeated => return Err(RefusalReason::Repeated),
            Begun::Unavailable(name) => {
                if let Some(pool) = &pool {
                    self.presignatures.lost(pool, name.id);
                }
                return Err(RefusalReason::PresignatureUnavailable(name.id));
            }
        };
        if let Some(own) = &own {
            self.policy.spending().add(own.clone());
        }
        Ok(Recorded::Fresh {
            own: own.map(Box::new),
            taken,
        })
    }

    /// What the run signs with: presignatures came out of the ledger, nonces are taken now that the start is durable.
    fn taken(
        &self,
        prepared: &Prepared,
        sealed: Vec<SealedOneTime>,
    ) -> Result<Taken, RefusalReason> {
        match (&prepared.preprocessed, &prepared.plan) {
            (Preprocessed::Presignatures(_), _) => Ok(Taken::Presignatures(sealed)),
            (Preprocessed::Nonces(_), Plan::Sign { record, .. }) => {
                self.take_nonces(record, prepared)
            }
            _ => Ok(Taken::Nothing),
        }
    }

    fn descriptors(&self, run: &Run) -> Vec<SessionDescriptor> {
        let (kind, key, epoch) = match &run.prepared.plan {
            Plan::SetUpCommittee => (CeremonyKind::Aux, None, 0),
            Plan::CreateKey { id, .. } => (CeremonyKind::Keygen, Some(*id), 0),
            Plan::Sign { record, .. } => (CeremonyKind::Sign, Some(record.id), record.epoch),
            Plan::SetProtocol(change) => (CeremonyKind::Aux, Some(change.key.id), change.key.epoch),
        };
        let protocol = match &run.prepared.plan {
            Plan::Sign { in_force, .. } => in_force.record,
            _ => None,
        };
        (0..u32::try_from(run.prepared.plan.items()).unwrap_or(0))
            .map(|item| SessionDescriptor {
                kind,
                intent: run.intent,
                policy: run.prepared.policy,
                key,
                epoch,
                participants: run.prepared.participants.clone(),
                attempt: run.attempt,
                item,
                nonces: run.nonces.clone(),
                protocol,
            })
            .collect()
    }

    /// The session in which everybody who takes part or acknowledges shows what it knows; every nonce is in its id, so that nothing
    /// said in another one fits.
    pub(crate) fn spend_descriptor(&self, run: &Run) -> SessionDescriptor {
        let prepared = &run.prepared;
        SessionDescriptor {
            kind: CeremonyKind::Spend,
            intent: run.intent,
            policy: prepared.policy,
            key: None,
            epoch: 0,
            participants: prepared
                .participants
                .iter()
                .chain(&prepared.witnesses)
                .cloned()
                .collect(),
            attempt: run.attempt,
            item: 0,
            nonces: run.nonces.clone(),
            protocol: None,
        }
    }
}

/// A run that is about to begin.
pub(crate) struct Run {
    pub intent: IntentHash,
    pub attempt: u32,
    pub prepared: Arc<Prepared>,
    pub nonces: Vec<[u8; 32]>,
}

impl Run {
    /// Whether those who take part show each other what they have spent.
    fn is_shown(&self, ruling: &Ruling) -> bool {
        ruling.spend.is_some() || !self.prepared.witnesses.is_empty()
    }
}

enum Recorded {
    /// Go ahead.
    Fresh {
        /// The agent's own record of what it spends.
        own: Option<Box<quorate_policy::SignedSpendRecord>>,
        /// What it signs with at once.
        taken: Taken,
    },
    /// It was done before.
    Finished(Ended),
}
