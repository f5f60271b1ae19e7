//! Runs this agent knows of: prepared, running, ended. Bounded in number and age.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quorate_types::node::{NodeReply, RunResult};
use quorate_types::{
    Hash32, IntentHash, OperatorId, PartyId, Preprocessed, PresignaturePool, SignedApproval,
    VerifiedIntent,
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
/// How many sessions those of one operator may have, prepared or running: one for each item. A
/// single request may have more.
const MAX_SESSIONS_EACH: usize = 1024;
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
    /// Sessions of each operator's, counted alike.
    live_of: HashMap<OperatorId, usize>,
    /// Whose each run is, and how many sessions it has.
    owners: HashMap<IntentHash, (OperatorId, usize)>,
}

impl Known {
    /// Forgets what is stale, where that was not done a moment ago.
    fn sweep(&mut self, now: u64) {
        let recently = self.swept.is_some_and(|at| at.elapsed() < SWEEP);
        let crowded = self.live_of.values().any(|live| *live >= MAX_SESSIONS_EACH);
        let full = self.live >= MAX_RUNS || crowded;
        if recently && !full && self.runs.len() < 2 * (MAX_RUNS + MAX_ENDED) {
            return;
        }
        self.swept = Some(Instant::now());
        self.runs
            .retain(|_, (since, run)| !is_stale(*since, run, now));
        let ended = self.runs.iter().filter(|(_, (_, run))| run.is_ended());
        let mut ended: Vec<(Instant, RunId)> =
            ended.map(|(id, (since, _))| (*since, *id)).collect();
        self.live = self.runs.len() - ended.len();
        self.count_owners();
        let surplus = ended.len().saturating_sub(MAX_ENDED);
        ended.sort_unstable();
        for (_, id) in ended.into_iter().take(surplus) {
            self.runs.remove(&id);
        }
    }

    fn count_owners(&mut self) {
        let known: HashSet<IntentHash> = self.runs.keys().map(|(intent, _)| *intent).collect();
        self.owners.retain(|intent, _| known.contains(intent));
        self.live_of.clear();
        for ((intent, _), (_, run)) in &self.runs {
            if let Some((owner, sessions)) = self.owners.get(intent).filter(|_| !run.is_ended()) {
                *self.live_of.entry(owner.clone()).or_default() += sessions;
            }
        }
    }

    fn live_of(&self, operator: &OperatorId) -> usize {
        self.live_of.get(operator).copied().unwrap_or(0)
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
        let operator = prepared.evidence.intent.intent().operator.clone();
        let (sessions, live) = (prepared.plan.items(), known.live_of(&operator));
        if live > 0 && live.saturating_add(sessions) > MAX_SESSIONS_EACH {
            return Err(RefusalReason::Quota(MAX_SESSIONS_EACH));
        }
        known.live += 1;
        *known.live_of.entry(operator.clone()).or_default() += sessions;
        known.owners.insert(id.0, (operator, sessions));
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

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use quorate_types::canonical::Canonical as _;
    use quorate_types::{
        Action, Admins, Intent, OperatorEntry, PartyEntry, PersonId, Roster, SignedIntent,
        Threshold, ValidRoster,
    };

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn key(of: &str) -> SigningKey {
        let mut seed = [0; 32];
        seed[..of.len()].copy_from_slice(of.as_bytes());
        SigningKey::from_bytes(&seed)
    }

    fn roster() -> ValidRoster {
        let public = |of: &str| key(of).verifying_key().to_bytes();
        let entry = |name: &str| PartyEntry {
            id: PartyId::new(name).unwrap(),
            identity: public(name),
            channel: public(&format!("{name}-channel")),
        };
        let operator = |name: &str| OperatorEntry {
            id: OperatorId::new(name).unwrap(),
            key: public(name),
        };
        let roster = Roster {
            cluster: "test".to_owned(),
            threshold: Threshold::new(2, 2).unwrap(),
            parties: vec![entry("party-1"), entry("party-2")],
            operators: vec![operator("ann"), operator("eve")],
            admins: Admins::single(PersonId::new("admin").unwrap(), public("admin")),
        };
        roster.try_into().unwrap()
    }

    fn prepared(roster: &ValidRoster, operator: &str, number: u64) -> Prepared {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        let intent = Intent {
            roster: roster.hash(),
            operator: OperatorId::new(operator).unwrap(),
            nonce,
            issued_at: NOW,
            expires_at: NOW + 60_000,
            action: Action::SetUpCommittee,
        };
        let signature = key(operator).sign(&intent.signing_bytes()).to_bytes();
        let signed = SignedIntent { intent, signature };
        Prepared {
            evidence: Evidence {
                intent: signed.verify(roster, NOW).unwrap(),
                approvals: Vec::new(),
            },
            plan: Plan::SetUpCommittee,
            policy: Hash32::from_bytes([0; 32]),
            participants: roster.party_ids(),
            witnesses: Vec::new(),
            seat: 0,
            nonce: [1; 32],
            pool: None,
            preprocessed: Preprocessed::Nothing,
        }
    }

    fn prepare(runs: &Runs, prepared: Prepared, now: u64) -> Result<(), RefusalReason> {
        let id = (prepared.evidence.intent.hash(), 0);
        runs.prepare(id, prepared, now)
    }

    #[test]
    fn t34_one_operator_does_not_take_all_runs_and_expired_ones_make_room() {
        let (roster, runs) = (roster(), Runs::default());
        for number in 0..MAX_SESSIONS_EACH as u64 {
            prepare(&runs, prepared(&roster, "eve", number), NOW).unwrap();
        }
        let more = || prepared(&roster, "eve", 1 << 20);
        let full = prepare(&runs, more(), NOW).unwrap_err();
        assert!(matches!(full, RefusalReason::Quota(_)), "{full}");
        prepare(&runs, prepared(&roster, "ann", 0), NOW).unwrap();
        // Begun ones are still its own.
        let first = prepared(&roster, "eve", 0).evidence.intent.hash();
        let begun = runs.begin((first, 0), &[[1; 32], [2; 32]], NOW).unwrap();
        assert!(prepare(&runs, more(), NOW).is_err());
        drop(begun);
        prepare(&runs, more(), NOW + 60_000).unwrap();
    }
}
