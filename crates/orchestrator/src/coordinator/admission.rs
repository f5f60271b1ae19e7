//! Who is next. So many requests are worked on at once; beyond that keys take turns, so that one key's flood does not hold up the others; and who
//! would have to wait for too many is told at once to come back later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_api::Problem;
use quorate_types::{Action, Intent, KeyId};
use tokio::sync::oneshot;

/// Requests worked on at once.
const MAX_RUNNING: usize = 128;
/// Requests of one line that wait.
const MAX_IN_LINE: usize = 512;
/// Requests that wait in all.
const MAX_WAITING: usize = 4096;
/// How many a second it takes for the advice to come back to be about right.
const PER_SECOND: u64 = 100;

/// A key's requests stand in one line, those about no key in another.
type Line = Option<KeyId>;

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Admission(Arc<Mutex<Queues>>);

#[derive(Default)]
struct Queues {
    running: usize,
    waiting: usize,
    lines: HashMap<Line, VecDeque<oneshot::Sender<Turn>>>,
    /// Lines with somebody in them, in the order of their turns.
    order: VecDeque<Line>,
}

/// A place in a line.
pub(super) struct Place(oneshot::Receiver<Turn>);

/// The right to be worked on, until it is dropped.
pub(super) struct Turn(Option<Admission>);

impl Admission {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place in an intent's line.
    ///
    /// # Errors
    /// Busy: the line, or all of them together, are too long.
    pub(super) fn enter(&self, intent: &Intent) -> Result<Place, Problem> {
        let line = line_of(intent);
        {
            let queues = self.lock();
            let in_line = queues.lines.get(&line).map_or(0, VecDeque::len);
            if in_line >= MAX_IN_LINE || queues.waiting >= MAX_WAITING {
                return Err(busy(queues.waiting));
            }
        }
        Ok(self.enter_again(intent))
    }

    /// The same for a request that was let in before, and so is not turned away.
    pub(super) fn enter_again(&self, intent: &Intent) -> Place {
        let (sender, receiver) = oneshot::channel();
        self.lock().stand(line_of(intent), sender);
        self.advance();
        Place(receiver)
    }

    /// Gives turns while there are any to give.
    fn advance(&self) {
        loop {
            let Some(next) = self.lock().next() else {
                return;
            };
            // Whoever left its place gives its turn back at once.
            if let Err(mut turn) = next.send(Turn(Some(self.clone()))) {
                turn.0 = None;
                self.lock().running -= 1;
            }
        }
    }
}

impl Place {
    /// Waits for its turn.
    pub(super) async fn turn(self) -> Turn {
        // A queue that is gone holds nobody up.
        self.0.await.unwrap_or(Turn(None))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(admission) = self.0.take() {
            admission.lock().running -= 1;
            admission.advance();
        }
    }
}

impl Queues {
    fn stand(&mut self, line: Line, sender: oneshot::Sender<Turn>) {
        let queue = self.lines.entry(line).or_default();
        if queue.is_empty() {
            self.order.push_back(line);
        }
        queue.push_back(sender);
        self.waiting += 1;
    }

    /// The first of the line whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        if self.running >= MAX_RUNNING {
            return None;
        }
        let line = self.order.pop_front()?;
        let queue = self.lines.get_mut(&line)?;
        let first = queue.pop_front()?;
        if queue.is_empty() {
            self.lines.remove(&line);
        } else {
            self.order.push_back(line);
        }
        self.waiting -= 1;
        self.running += 1;
        Some(first)
    }
}

const fn line_of(intent: &Intent) -> Line {
    match &intent.action {
        Action::Sign { key, .. } | Action::SetProtocol { key, .. } => Some(*key),
        Action::SetUpCommittee | Action::CreateKey { .. } => None,
    }
}

fn busy(waiting: usize) -> Problem {
    let seconds = 1 + u64::try_from(waiting).unwrap_or(u64::MAX) / PER_SECOND;
    let detail = format!("{waiting} requests are waiting; send it again in {seconds} s");
    let mut problem = Problem::new(503, "busy", "Busy", detail);
    problem.retry_after = Some(seconds);
    problem
}

#[cfg(test)]
mod tests {
    use quorate_types::{DerivationPath, Hash32, OperatorId, Payload};

    use super::*;

    fn intent(key: u8) -> Intent {
        Intent {
            roster: Hash32::from_bytes([0; 32]),
            operator: OperatorId::new("ops").unwrap(),
            action: Action::Sign {
                key: KeyId::from_bytes([key; 32]),
                path: DerivationPath::root(),
                network: None,
                payload: Payload::Raw(Vec::new()),
                purpose: String::new(),
            },
            issued_at: 0,
            expires_at: 0,
            nonce: [0; 16],
        }
    }

    async fn fill(admission: &Admission) -> Vec<Turn> {
        let mut turns = Vec::new();
        for _ in 0..MAX_RUNNING {
            turns.push(admission.enter(&intent(0)).unwrap().turn().await);
        }
        turns
    }

    #[tokio::test]
    async fn keys_take_turns() {
        let admission = Admission::default();
        let mut turns = fill(&admission).await;
        let flood: Vec<_> = (0..3)
            .map(|_| admission.enter(&intent(1)).unwrap())
            .collect();
        let other = admission.enter(&intent(2)).unwrap();
        // The flood came first, and is served first, but once.
        let mut flood = flood.into_iter();
        drop(turns.pop());
        let first = flood.next().unwrap().turn().await;
        drop(turns.pop());
        let second = other.turn().await;
        drop((first, second));
        for place in flood {
            drop(place.turn().await);
        }
        drop(turns);
        assert_eq!(admission.lock().running, 0);
        assert!(admission.lock().lines.is_empty());
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_closed_and_says_when_to_come_back() {
        let admission = Admission::default();
        let turns = fill(&admission).await;
        let places: Vec<_> = (0..MAX_IN_LINE)
            .map(|_| admission.enter(&intent(1)).unwrap())
            .collect();
        let problem = admission.enter(&intent(1)).err().unwrap();
        assert_eq!(
            (problem.code.as_str(), problem.retry_after),
            ("busy", Some(6))
        );
        // Other keys have their own line; who was let in once is let in again.
        let other = admission.enter(&intent(2)).unwrap();
        let again = admission.enter_again(&intent(1));
        drop(places);
        drop(turns);
        drop((other.turn().await, again.turn().await));
        assert_eq!(admission.lock().running, 0);
        assert_eq!(admission.lock().waiting, 0);
    }
}
