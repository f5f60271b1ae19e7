//! Who is next. So many requests are worked on at once; beyond that keys take turns, so that one key's flood does not hold up the others; and who
//! would have to wait for too many is told at once to come back later.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_api::Problem;
use quorate_types::{Action, Intent, KeyId, RefusalCode};
use tokio::sync::oneshot;

/// Requests of one line that wait.
const MAX_IN_LINE: usize = 512;
/// Requests that wait in all.
const MAX_WAITING: usize = 4096;

/// What there are turns for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// How much is worked on at once.
    pub at_once: usize,
    /// How many a second it takes for the advice to come back to be about right.
    pub per_second: u64,
}

/// Requests of any kind.
pub(super) const REQUESTS: Kind = Kind {
    at_once: 128,
    per_second: 100,
};

/// CGGMP24 signatures without presignatures: each computes for a second and more at every signer, and more of them would only wait for each
/// other in the middle of their rounds.
pub(super) const HEAVY: Kind = Kind {
    at_once: 8,
    per_second: 1,
};

/// A key's requests stand in one line, those about no key in another.
type Line = Option<KeyId>;

/// See the module.
#[derive(Clone)]
pub(super) struct Admission(Kind, Arc<Mutex<Queues>>);

#[derive(Default)]
struct Queues {
    /// How much is being worked on.
    running: usize,
    waiting: usize,
    lines: HashMap<Line, VecDeque<Waiter>>,
    /// Lines with somebody in them, in the order of their turns.
    order: VecDeque<Line>,
}

/// Somebody in a line.
struct Waiter {
    weight: usize,
    sender: oneshot::Sender<Turn>,
}

/// A place in a line.
pub(super) struct Place(oneshot::Receiver<Turn>);

/// The right to be worked on, until it is dropped.
pub(super) struct Turn {
    of: Option<Admission>,
    weight: usize,
}

impl Admission {
    /// Nobody is there yet.
    pub(super) fn to(kind: Kind) -> Self {
        Self(kind, Arc::default())
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more may stand in an intent's line.
    ///
    /// # Errors
    /// Busy: the line, or all of them together, are too long.
    pub(super) fn has_room(&self, intent: &Intent) -> Result<(), Problem> {
        let queues = self.lock();
        let in_line = queues.lines.get(&line_of(intent)).map_or(0, VecDeque::len);
        if in_line >= MAX_IN_LINE || queues.waiting >= MAX_WAITING {
            return Err(busy(queues.waiting, self.0.per_second));
        }
        Ok(())
    }

    /// Takes a place in an intent's line, for something that counts as so many. Nobody who was let in once is turned away here.
    pub(super) fn enter(&self, intent: &Intent, weight: usize) -> Place {
        let (sender, receiver) = oneshot::channel();
        // Never more than there are in all, or it would wait for good.
        let weight = weight.min(self.0.at_once);
        self.lock()
            .stand(line_of(intent), Waiter { weight, sender });
        self.advance();
        Place(receiver)
    }

    /// Gives turns while there are any to give.
    fn advance(&self) {
        loop {
            let Some(Waiter { weight, sender }) = self.lock().next(self.0.at_once) else {
                return;
            };
            let of = Some(self.clone());
            // Whoever left its place gives its turn back at once.
            if let Err(mut turn) = sender.send(Turn { of, weight }) {
                turn.of = None;
                self.lock().running -= weight;
            }
        }
    }
}

impl Place {
    /// Waits for its turn.
    pub(super) async fn turn(self) -> Turn {
        // A queue that is gone holds nobody up.
        self.0.await.unwrap_or(Turn {
            of: None,
            weight: 0,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(admission) = self.of.take() {
            admission.lock().running -= self.weight;
            admission.advance();
        }
    }
}

impl Queues {
    fn stand(&mut self, line: Line, waiter: Waiter) {
        let queue = self.lines.entry(line).or_default();
        if queue.is_empty() {
            self.order.push_back(line);
        }
        queue.push_back(waiter);
        self.waiting += 1;
    }

    /// The first of the line whose turn it is, if there is room for it. Nobody overtakes one that needs much.
    fn next(&mut self, at_once: usize) -> Option<Waiter> {
        let line = *self.order.front()?;
        let queue = self.lines.get_mut(&line)?;
        if self.running + queue.front()?.weight > at_once {
            return None;
        }
        let first = queue.pop_front()?;
        self.order.pop_front();
        if queue.is_empty() {
            self.lines.remove(&line);
        } else {
            self.order.push_back(line);
        }
        self.waiting -= 1;
        self.running += first.weight;
        Some(first)
    }
}

const fn line_of(intent: &Intent) -> Line {
    match &intent.action {
        Action::Sign { key, .. } | Action::SetProtocol { key, .. } => Some(*key),
        Action::SetUpCommittee | Action::CreateKey { .. } => None,
    }
}

fn busy(waiting: usize, per_second: u64) -> Problem {
    let seconds = 1 + u64::try_from(waiting).unwrap_or(u64::MAX) / per_second;
    let detail = format!("{waiting} requests are waiting; send it again in {seconds} s");
    let mut problem = Problem::new(503, RefusalCode::Busy, "Busy", detail);
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

    fn enter(admission: &Admission, key: u8) -> Result<Place, Problem> {
        admission.has_room(&intent(key))?;
        Ok(admission.enter(&intent(key), 1))
    }

    async fn fill(admission: &Admission) -> Vec<Turn> {
        let mut turns = Vec::new();
        for _ in 0..admission.0.at_once {
            turns.push(enter(admission, 0).unwrap().turn().await);
        }
        turns
    }

    #[tokio::test]
    async fn keys_take_turns() {
        let admission = Admission::to(REQUESTS);
        let mut turns = fill(&admission).await;
        let flood: Vec<_> = (0..3).map(|_| enter(&admission, 1).unwrap()).collect();
        let other = enter(&admission, 2).unwrap();
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
        for (kind, seconds) in [(REQUESTS, 6), (HEAVY, 513)] {
            let admission = Admission::to(kind);
            let turns = fill(&admission).await;
            let places: Vec<_> = (0..MAX_IN_LINE)
                .map(|_| enter(&admission, 1).unwrap())
                .collect();
            let problem = enter(&admission, 1).err().unwrap();
            assert_eq!(
                (problem.code.as_str(), problem.retry_after),
                ("busy", Some(seconds))
            );
            // Other keys have their own line; who was let in once is let in again.
            let other = enter(&admission, 2).unwrap();
            let again = admission.enter(&intent(1), 1);
            drop(places);
            drop(turns);
            drop((other.turn().await, again.turn().await));
            assert_eq!(admission.lock().running, 0);
            assert_eq!(admission.lock().waiting, 0);
        }
    }

    /// What needs all there is waits until all is free, and light ones that came later wait for it.
    #[tokio::test]
    async fn nobody_overtakes_a_batch() {
        let admission = Admission::to(HEAVY);
        let mut turns = fill(&admission).await;
        let mut batch = admission.enter(&intent(1), 64);
        let mut light = enter(&admission, 2).unwrap();
        for turn in turns.drain(..) {
            assert!(batch.0.try_recv().is_err(), "{}", admission.lock().running);
            assert!(light.0.try_recv().is_err());
            drop(turn);
        }
        let all = batch.turn().await;
        assert_eq!(admission.lock().running, HEAVY.at_once);
        assert!(light.0.try_recv().is_err());
        drop(all);
        drop(light.turn().await);
        assert_eq!(admission.lock().running, 0);
    }
}
