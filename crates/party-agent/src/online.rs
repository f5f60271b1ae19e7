//! What someone waits for goes before what is made ahead.
//!
//! That the idle scheduling class is interrupted at once is not enough: on two cores, two threads in it that do nothing but loop cost a fifth of
//! the signatures (docs/benchmarks-profile.md). So those that make presignatures step aside while this agent has something
//! online to compute and no core to spare.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pool::Priority;

/// How long after something online the next is expected. Also how often a thread that stepped aside looks again: nobody wakes it, for that would
/// cost whoever ends something online.
const LINGER: Duration = Duration::from_millis(20);
/// How long a ceremony steps aside in all before it is given up: its peers wait for it, and pools that are empty wait for its place.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this agent has in hand: requests that someone waits for, and threads that compute in the idle class.
pub struct OnlineWork {
    cores: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    online: usize,
    /// When something online last ended.
    ended: Option<Instant>,
    idle: usize,
}

impl State {
    /// How many threads may make presignatures: where something online computes, it and whatever wakes for it find a core each.
    fn room(&self, cores: usize, now: Instant) -> usize {
        let recent = |at: Instant| now.saturating_duration_since(at) < LINGER;
        let expected = usize::from(self.ended.is_some_and(recent));
        match self.online.max(expected) {
            0 => usize::MAX,
            online => cores.saturating_sub(online + 1),
        }
    }
}

impl Default for OnlineWork {
    fn default() -> Self {
        Self::on(std::thread::available_parallelism().map_or(1, usize::from))
    }
}

/// How long more a ceremony waits for room: the clock counts, for a thread of the idle class may wake late.
#[derive(Debug)]
pub(crate) struct Patience(Cell<Duration>);

impl Default for Patience {
    fn default() -> Self {
        Self::of(PATIENCE)
    }
}

impl Patience {
    pub(crate) const fn of(left: Duration) -> Self {
        Self(Cell::new(left))
    }

    pub(crate) const fn left(&self) -> Duration {
        self.0.get()
    }

    /// Waits for a moment, unless it has waited for long enough.
    fn wait(&self) -> bool {
        if self.left().is_zero() {
            return false;
        }
        let began = Instant::now();
        std::thread::sleep(LINGER);
        self.0.set(self.left().saturating_sub(began.elapsed()));
        true
    }
}

/// Leave to compute. Dropping it ends the computing.
pub struct Pass {
    work: Arc<OnlineWork>,
    priority: Priority,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.work.lock();
        match self.priority {
            Priority::Online => {
                state.online = state.online.saturating_sub(1);
                state.ended = Some(Instant::now());
            }
            Priority::Background => {}
            Priority::Idle => state.idle = state.idle.saturating_sub(1),
        }
    }
}

impl OnlineWork {
    pub(crate) fn on(cores: usize) -> Self {
        Self {
            cores,
            state: Mutex::default(),
        }
    }

    /// How many things are online, and how many threads compute in the idle class.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.online, state.idle)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Two counts and a time, each changed in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave to compute something online, at once.
    pub fn begin(self: &Arc<Self>) -> Pass {
        self.lock().online += 1;
        self.pass(Priority::Online)
    }

    fn pass(self: &Arc<Self>, priority: Priority) -> Pass {
        let work = Arc::clone(self);
        Pass { work, priority }
    }

    /// Leave to compute with a priority. For [`Priority::Idle`] it blocks while there is no core to spare (not for an async thread), and there is
    /// none when it is not wanted any more or has waited for too long.
    pub(crate) fn enter(
        self: &Arc<Self>,
        priority: Priority,
        patience: &Patience,
        is_wanted: impl Fn() -> bool,
    ) -> Option<Pass> {
        match priority {
            Priority::Online => return Some(self.begin()),
            Priority::Background => {}
            Priority::Idle => {
                while !self.take_room() {
                    if !is_wanted() || !patience.wait() {
                        return None;
                    }
                }
            }
        }
        Some(self.pass(priority))
    }

    fn take_room(&self) -> bool {
        let mut state = self.lock();
        let has_room = state.idle < state.room(self.cores, Instant::now());
        state.idle += usize::from(has_room);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(cores: usize) -> Arc<OnlineWork> {
        Arc::new(OnlineWork::on(cores))
    }

    /// Nothing is expected any more.
    fn forget(work: &OnlineWork) {
        work.lock().ended = None;
    }

    #[test]
    fn by_themselves_idle_threads_have_all_cores_and_beside_something_online_those_it_spares() {
        let room = |cores: usize, online: usize| {
            let work = on(cores);
            let passes: Vec<Pass> = (0..online).map(|_| work.begin()).collect();
            let room = work.lock().room(cores, Instant::now());
            drop(passes);
            room
        };
        assert_eq!(room(1, 0), usize::MAX);
        assert_eq!(room(2, 1), 0);
        assert_eq!([1, 2, 3, 9].map(|online| room(4, online)), [2, 1, 0, 0]);
    }

    #[test]
    fn the_next_is_expected_for_a_moment() {
        let work = on(2);
        drop(work.begin());
        let ended = work.lock().ended.unwrap();
        let room = |after: Duration| work.lock().room(2, ended + after);
        assert_eq!(room(Duration::ZERO), 0);
        assert_eq!(room(LINGER - Duration::from_nanos(1)), 0);
        assert_eq!(room(LINGER), usize::MAX);
    }

    #[test]
    fn each_pass_counts_while_it_lasts() {
        let work = on(4);
        let patience = Patience::of(Duration::ZERO);
        let enter = |priority| work.enter(priority, &patience, || true);
        let (first, second) = (work.begin(), enter(Priority::Online));
        let idle = enter(Priority::Idle);
        assert!(idle.is_some());
        assert!(
            enter(Priority::Idle).is_none(),
            "two are online, one is idle, one is left"
        );
        drop((first, second));
        forget(&work);
        let more = enter(Priority::Idle);
        drop(enter(Priority::Background));
        assert_eq!(work.counts(), (0, 2));
        drop((idle, more));
        assert_eq!(work.counts(), (0, 0));
    }

    #[test]
    fn what_waits_goes_on_when_nothing_is_online() {
        let work = on(2);
        let online = Cell::new(Some(work.begin()));
        let patience = Patience::of(Duration::from_secs(60));
        let pass = work.enter(Priority::Idle, &patience, || {
            drop(online.take());
            forget(&work);
            true
        });
        assert!(pass.is_some());
        assert_eq!(work.counts(), (0, 1));
        assert!(patience.left() < Duration::from_secs(60));
    }

    #[test]
    fn what_is_not_wanted_any_more_or_has_waited_for_too_long_has_no_leave() {
        let work = on(2);
        let _online = work.begin();
        let patience = Patience::of(LINGER);
        assert!(work.enter(Priority::Idle, &patience, || false).is_none());
        assert_eq!(patience.left(), LINGER);
        assert!(work.enter(Priority::Idle, &patience, || true).is_none());
        assert_eq!(patience.left(), Duration::ZERO);
        assert_eq!(work.counts(), (1, 0));
    }
}
