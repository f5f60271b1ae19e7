//! Runs this agent knows of: prepared, running, ended. Bounded in number and age.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quorate_types::node::{NodeReply, RunResult};
use quorate_types::{
    Hash32, IntentHash, PartyId, Preprocessed, PresignaturePool, SignedApproval, VerifiedIntent,
};
use tokio::sync::watch;

use crate::agent::local_failure;
use crate::judge::{Plan, RefusalReason};

/// How long a prepared run waits to be begun.
const PREPARED_FOR: Duration = Duration::from_secs(60);
/// How long an ended run is remembered in memory; its result stays in the ledger.
const ENDED_FOR: Duration = Duration::from_secs(600);
/// How many runs are prepared or running at once.
const MAX_RUNS: usize = 4096;
/// How many ended ones are remembered in memory; the oldest go first.
const MAX_ENDED: usize = 4096;
/// How often stale runs are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// An intent's try.
pub type RunId = (IntentHash, u32);

/// A request with what people said of it.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The request.
    pub intent: VerifiedIntent,
    /// What came with it.
    pub approvals: Vec<SignedApproval>,
}

/// A judged intent waiting for everyone's nonces.
pub struct Prepared {
    /// The request, and what came with it: both are judged again when it begins.
    pub evidence: Evidence,
    /// What will be run.
    pub plan: Plan,
    /// The policy it was allowed by.
    pub policy: Hash32,
    /// In protocol order.
    pub participants: Vec<PartyId>,
    /// Who only acknowledges what is spent.
    pub witnesses: Vec<PartyId>,
    /// This party's place among participants and witnesses.
    pub seat: usize,
    /// This party's own.
    pub nonce: [u8; 32],
    /// Key, child and signers of what is signed with at once, if anything is.
    pub pool: Option<PresignaturePool>,
    /// What is signed with at once.
    pub preprocessed: Preprocessed,
}

impl Prepared {
    /// Where its presignatures are taken from, if it uses any.
    #[must_use]
    pub const fn presignature_pool(&self) -> Option<&PresignaturePool> {
        match self.preprocessed {
            Preprocessed::Presignatures(_) => self.pool.as_ref(),
            Preprocessed::Nothing | Preprocessed::Nonces(_) => None,
        }
    }

    /// The intent's end, Unix milliseconds: it must not have passed when the run begins, either.
    const fn expires_at(&self) -> u64 {
        self.evidence.intent.intent().expires_at
    }
}

/// Where a run is; `None` while it runs.
pub type State = Option<Ended>;

/// How a run ended.
#[derive(Debug, Clone)]
pub enum Ended {
    /// With a result.
    Finished(RunResult),
    /// Without.
    Failed(quorate_types::node::Failure),
    /// When it was judged again, it was refused.
    Refused(quorate_types::node::Refusal),
}

impl Ended {
    /// As a reply.
    #[must_use]
    pub fn to_reply(&self) -> NodeReply {
        match self {
            Self::Finished(result) => NodeReply::Finished(result.clone()),
            Self::Failed(failure) => NodeReply::Failed(failure.clone()),
            Self::Refused(refusal) => NodeReply::Refused(refusal.clone()),
        }
    }
}

enum Run {
    Prepared(Box<Prepared>),
    Begun(watch::Receiver<State>),
}

/// What was prepared too long ago or has expired, and what ended long ago. The expiry is compared with the wall clock as well,
/// because the other clock stands still while a machine sleeps.
fn is_stale(since: Instant, run: &Run, now: u64) -> bool {
    match run {
        Run::Prepared(prepared) => since.elapsed() >= PREPARED_FOR || now >= prepared.expires_at(),
        Run::Begun(_) => run.is_ended() && since.elapsed() >= ENDED_FOR,
    }
}

impl Run {
    fn is_ended(&self) -> bool {
        matches!(self, Self::Begun(state) if state.borrow().is_some())
    }
}

#[derive(Default)]
struct Known {
    runs: HashMap<RunId, (Instant, Run)>,
    swept: Option<Instant>,
    /// Prepared or running when it was last swept, and begun to be prepared since.
    live: usize,
}

impl Known {
    /// Forgets what is stale, where that was not done a moment ago.
    fn sweep(&mut self, now: u64) {
        let recently = self.swept.is_some_and(|at| at.elapsed() < SWEEP);
        if recently && self.live < MAX_RUNS && self.runs.len() < 2 * (MAX_RUNS + MAX_ENDED) {
            return;
        }
        self.swept = Some(Instant::now());
        self.runs
            .retain(|_, (since, run)| !is_stale(*since, run, now));
        let ended = self.runs.iter().filter(|(_, (_, run))| run.is_ended());
        let mut ended: Vec<(Instant, RunId)> =
            ended.map(|(id, (since, _))| (*since, *id)).collect();
        self.live = self.runs.len() - ended.len();
        let surplus = ended.len().saturating_sub(MAX_ENDED);
        ended.sort_unstable();
        for (_, id) in ended.into_iter().take(surplus) {
            self.runs.remove(&id);
        }
    }

    /// A run as it is now: one that is stale is not there.
    fn get(&self, id: RunId, now: u64) -> Option<&Run> {
        let (since, run) = self.runs.get(&id)?;
        (!is_stale(*since, run, now)).then_some(run)
    }
}

/// The runs.
#[derive(Default)]
pub struct Runs {
    known: Mutex<Known>,
}

impl Runs {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a prepared run. Preparing the same try again replaces the earlier one: its nonce dies with it.
    ///
    /// # Errors
    /// Begun before, or too many.
    pub fn prepare(&self, id: RunId, prepared: Prepared, now: u64) -> Result<(), RefusalReason> {
        let mut known = self.lock();
        known.sweep(now);
        if matches!(known.get(id, now), Some(Run::Begun(_))) {
            return Err(RefusalReason::Repeated);
        }
        if known.live >= MAX_RUNS {
            return Err(RefusalReason::Busy(MAX_RUNS));
        }
        known.live += 1;
        let run = Run::Prepared(Box::new(prepared));
        known.runs.insert(id, (Instant::now(), run));
        Ok(())
    }

    /// Takes a prepared run to begin it; from now on it is begun, and cannot be taken again.
    ///
    /// # Errors
    /// Not prepared, prepared too long ago, expired, begun before, or nonces that are not for it (it then stays prepared).
    pub fn begin(
        &self,
        id: RunId,
        nonces: &[[u8; 32]],
        now: u64,
    ) -> Result<(Prepared, watch::Sender<State>), RefusalReason> {
        let mut known = self.lock();
        match known.get(id, now) {
            None => return Err(RefusalReason::NotPrepared(id.0)),
            Some(Run::Begun(_)) => return Err(RefusalReason::Repeated),
            Some(Run::Prepared(prepared)) => {
                let everyone = prepared.participants.len() + prepared.witnesses.len();
                let right_count = nonces.len() == everyone;
                if !right_count || nonces.get(prepared.seat) != Some(&prepared.nonce) {
                    return Err(RefusalReason::Nonces);
                }
            }
        }
        let (sender, receiver) = watch::channel(None);
        let begun = Run::Begun(receiver);
        match known.runs.insert(id, (Instant::now(), begun)) {
            Some((_, Run::Prepared(prepared))) => Ok((*prepared, sender)),
            _ => Err(RefusalReason::NotPrepared(id.0)),
        }
    }

    /// How many are running.
    #[must_use]
    pub fn running(&self) -> usize {
        let running = |run: &Run| matches!(run, Run::Begun(state) if state.borrow().is_none());
        let known = self.lock();
        known.runs.values().filter(|(_, run)| running(run)).count()
    }

    /// Waits up to `wait` for a begun run to end. `None`: no such run here.
    pub async fn wait(&self, id: RunId, wait: Duration) -> Option<State> {
        let mut receiver = match self.lock().runs.get(&id) {
            Some((_, Run::Begun(receiver))) => receiver.clone(),
            _ => return None,
        };
        let ended = tokio::time::timeout(wait, receiver.wait_for(Option::is_some)).await;
        Some(match ended {
            Ok(Ok(state)) => state.clone(),
            // The run's task is gone without a word: only a panic does that.
            Ok(Err(_)) => Some(Ended::Failed(local_failure(
                &"the run ended without a result; see the agent's log",
            ))),
            Err(_) => None,
        })
    }
}
