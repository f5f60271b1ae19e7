//! One intent with what people said about it, as it is carried along.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_api::{IntentState, IntentView, Problem, Said};
use quorate_types::node::Refusal;
use quorate_types::{ProblemCode, RefusalCode, SignedApproval, VerifiedIntent};
use tokio::sync::{Notify, watch};

/// An intent being worked on, or worked on before.
pub(super) struct Case {
    pub intent: VerifiedIntent,
    /// Counts intents in the order in which they came.
    pub number: u64,
    pub view: watch::Sender<IntentView>,
    approvals: Mutex<Vec<SignedApproval>>,
    news: Notify,
    attempts: AtomicU32,
}

impl Case {
    pub fn new(intent: VerifiedIntent, number: u64) -> Self {
        let view = IntentView {
            intent: intent.hash(),
            state: IntentState::Running,
            attempts: 0,
            participants: Vec::new(),
            result: None,
            problem: None,
            notes: Vec::new(),
            waiting: Vec::new(),
            said: Vec::new(),
        };
        Self {
            intent,
            number,
            view: watch::Sender::new(view),
            approvals: Mutex::new(Vec::new()),
            news: Notify::new(),
            attempts: AtomicU32::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SignedApproval>> {
        self.approvals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What was handed in so far.
    pub fn approvals(&self) -> Vec<SignedApproval> {
        self.lock().clone()
    }

    /// The number of the next try that is begun.
    pub fn attempt(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// That try was begun: its number is used up.
    pub fn begun(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// The problem of a word about a request that has ended.
    pub fn ended(&self) -> Option<Problem> {
        let view = self.view.borrow();
        let hash = view.intent;
        match view.state {
            IntentState::Running | IntentState::Pending => None,
            IntentState::Done => {
                let detail = format!("request {hash} has been signed, or done, already");
                let code = RefusalCode::AlreadySigned;
                Some(Problem::new(409, code, "Too late", detail))
            }
            IntentState::Failed => {
                let how = view.problem.as_ref().map(|problem| problem.detail.as_str());
                let how = how.unwrap_or("without a result");
                let detail = format!("request {hash} has ended already: {how}");
                let code = ProblemCode::RequestEnded;
                Some(Problem::new(409, code, "Too late", detail))
            }
        }
    }

    /// Takes somebody's word; the same one again changes nothing.
    pub fn add(&self, said: SignedApproval) -> Result<(), Problem> {
        {
            let mut approvals = self.lock();
            if approvals.contains(&said) {
                return Ok(());
            }
            // One word of each kind of each person, the latest: nobody crowds out others.
            let (person, verdict) = (&said.approval.person, said.approval.verdict);
            approvals.retain(|a| a.approval.person != *person || a.approval.verdict != verdict);
            if approvals.len() >= SignedApproval::MAX_COUNT {
                let detail = format!("{} approvals are the limit", SignedApproval::MAX_COUNT);
                return Err(Problem::new(
                    422,
                    ProblemCode::TooManyApprovals,
                    "Too many approvals",
                    detail,
                ));
            }
            self.view.send_modify(|view| {
                view.said.push(Said {
                    person: said.approval.person.clone(),
                    verdict: said.approval.verdict,
                    at: said.approval.issued_at,
                });
            });
            approvals.push(said);
        }
        self.news.notify_one();
        Ok(())
    }

    /// Waits for somebody's word, but no longer than this; whether there was one.
    pub async fn news(&self, patience: Duration) -> bool {
        let heard = tokio::time::timeout(patience, self.news.notified()).await;
        heard.is_ok()
    }

    pub fn pending(&self, waiting: Vec<Refusal>) {
        self.view.send_if_modified(|view| {
            let changed = view.state != IntentState::Pending || !same(&view.waiting, &waiting);
            view.state = IntentState::Pending;
            view.waiting = waiting;
            changed
        });
    }

    pub fn running(&self) {
        self.view.send_modify(|view| {
            view.state = IntentState::Running;
            view.waiting.clear();
        });
    }
}

/// Two lists of refusals that say the same, however often they were signed.
fn same(a: &[Refusal], b: &[Refusal]) -> bool {
    let said = |r: &Refusal| {
        let party = r.signed.as_ref().map(|s| s.party.clone());
        (party, r.code.clone(), r.missing.clone(), r.rules.clone())
    };
    a.iter().map(said).eq(b.iter().map(said))
}
