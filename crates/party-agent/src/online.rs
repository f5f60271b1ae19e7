//! What someone waits for goes before what is made ahead.
//!
//! That the idle scheduling class is interrupted at once is not enough: on two cores, two threads in it that do nothing but loop take a quarter of
//! the signatures (docs/benchmarks-profile.md). So those that make presignatures step aside while this agent has something
//! online to compute and no core to spare.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::pool::Priority;

/// How long after something online the next is expected. Also how often a thread that stepped aside looks again: nobody wakes it, for that would
/// cost whoever ends something online.
const LINGER: Duration = Duration::from_millis(20);

/// What this agent computes now.
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

/// Leave to compute. Dropping it ends the computing.
pub struct Pass<'a> {
    work: &'a OnlineWork,
    priority: Priority,
}

impl Drop for Pass<'_> {
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
    fn on(cores: usize) -> Self {
        Self {
            cores,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Two counts and a time, each changed in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leave to compute something online, at once.
    pub fn begin(&self) -> Pass<'_> {
        self.enter(Priority::Online)
    }

    /// Leave to compute with a priority. Blocks for [`Priority::Idle`] while there is no core to spare: not for an async thread.
    pub(crate) fn enter(&self, priority: Priority) -> Pass<'_> {
        match priority {
            Priority::Online => self.lock().online += 1,
            Priority::Background => {}
            Priority::Idle => self.wait_for_room(),
        }
        Pass {
            work: self,
            priority,
        }
    }

    fn wait_for_room(&self) {
        while !self.take_room() {
            std::thread::sleep(LINGER);
        }
    }

    fn take_room(&self) -> bool {
        let mut state = self.lock();
        let has_room = state.idle < state.room(self.cores, Instant::now());
        state.idle += usize::from(has_room);
        has_room
    }

    /// For a thread with leave at [`Priority::Idle`]: gives it back while there is no core to spare.
    pub(crate) fn step_aside(&self) {
        {
            let mut state = self.lock();
            state.idle = state.idle.saturating_sub(1);
        }
        self.wait_for_room();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{TryRecvError, channel};

    use super::*;

    /// Nothing is expected any more.
    fn forget(work: &OnlineWork) {
        work.lock().ended = None;
    }

    #[test]
    fn by_themselves_idle_threads_have_all_cores_and_beside_something_online_those_it_spares() {
        let room = |cores: usize, online: usize| {
            let work = OnlineWork::on(cores);
            let passes: Vec<Pass<'_>> = (0..online).map(|_| work.begin()).collect();
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
        let work = OnlineWork::on(2);
        drop(work.begin());
        let ended = work.lock().ended.unwrap();
        let room = |after: Duration| work.lock().room(2, ended + after);
        assert_eq!(room(Duration::ZERO), 0);
        assert_eq!(room(LINGER - Duration::from_nanos(1)), 0);
        assert_eq!(room(LINGER), usize::MAX);
    }

    #[test]
    fn each_pass_counts_while_it_lasts() {
        let work = OnlineWork::on(4);
        let (first, second) = (work.begin(), work.begin());
        assert!(work.take_room());
        assert!(
            !work.take_room(),
            "two are online, one is idle, one is left"
        );
        drop((first, second));
        forget(&work);
        assert!(work.take_room());
        assert_eq!(work.lock().idle, 2);
        drop(work.enter(Priority::Background));
        drop(work.enter(Priority::Idle));
        let state = work.lock();
        assert_eq!((state.online, state.idle), (0, 2));
    }

    #[test]
    fn a_thread_that_steps_aside_goes_on_when_nothing_is_online() {
        let work = Arc::new(OnlineWork::on(2));
        let (said, heard) = channel();
        let idle = Arc::clone(&work);
        let pass = work.enter(Priority::Idle);
        let online = work.begin();
        let thread = std::thread::spawn(move || {
            idle.step_aside();
            said.send(()).unwrap();
        });
        while work.lock().idle > 0 {
            std::thread::yield_now();
        }
        assert_eq!(heard.try_recv(), Err(TryRecvError::Empty));
        drop(online);
        heard.recv().unwrap();
        thread.join().unwrap();
        assert_eq!(work.lock().idle, 1);
        drop(pass);
    }
}
