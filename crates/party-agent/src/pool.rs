//! Threads for ceremonies. A ceremony lives on one thread of its own from start to end: its machine is not `Send`, some of its
//! steps compute for seconds, and the operating system is better than we are at sharing cores between threads of
//! different priority.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use quorate_mpc_protocol::{Abort, Ceremony, Effect, Incoming};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::online::{OnlineWork, Pass, Patience};

/// How urgent a ceremony's computing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Someone waits for it.
    Online,
    /// Someone may wait for it some day: it gets a small share of busy cores.
    Background,
    /// Only what the cores have over: whatever wakes gets the core at once, and it steps aside for what its agent has online ([`OnlineWork`]). While all
    /// cores are busy it makes next to no progress.
    Idle,
}

impl Priority {
    /// Lowers the calling thread's priority where this asks for it. Best effort: an unprioritised thread is merely less polite.
    pub fn apply(self) {
        let applied = match self {
            Self::Online => Ok(()),
            Self::Background => be_nice(),
            Self::Idle => be_idle().or_else(|_| be_nice()),
        };
        if let Err(error) = applied {
            tracing::debug!(%error, ?self, "cannot lower a thread's priority");
        }
    }
}

fn be_nice() -> Result<(), Box<dyn std::error::Error>> {
    let thread = rustix::thread::gettid();
    Ok(rustix::process::setpriority_process(Some(thread), 15)?)
}

/// Linux lets a thread that wakes interrupt one of this class at once; one that is merely nice keeps its slice of milliseconds.
#[cfg(target_os = "linux")]
fn be_idle() -> Result<(), Box<dyn std::error::Error>> {
    use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let thread = thread_priority::thread_native_id();
    thread_priority::set_thread_priority_and_policy(thread, ThreadPriority::Min, idle)
        .map_err(|error| format!("{error:?}").into())
}

#[cfg(not(target_os = "linux"))]
fn be_idle() -> Result<(), Box<dyn std::error::Error>> {
    be_nice()
}

/// A ceremony running on its thread. Dropping it ends the thread at its next message.
pub struct Running {
    /// Messages in.
    pub inbox: Sender<Incoming>,
    /// Effects out; closed when the ceremony has ended.
    pub effects: UnboundedReceiver<Effect>,
}

/// Starts a ceremony on a thread of its own.
///
/// # Errors
/// When the operating system gives no thread.
pub fn start<F>(
    name: String,
    priority: Priority,
    online: Arc<OnlineWork>,
    build: F,
) -> std::io::Result<Running>
where
    F: FnOnce() -> Result<Box<dyn Ceremony>, Abort> + Send + 'static,
{
    let (inbox, messages) = channel();
    let (effects_in, effects) = unbounded_channel();
    std::thread::Builder::new().name(name).spawn(move || {
        priority.apply();
        match build() {
            Ok(ceremony) => {
                let turn = Turn {
                    online,
                    priority,
                    patience: Patience::default(),
                    effects: effects_in,
                    pass: RefCell::default(),
                };
                Steps::new(ceremony, turn).run(&messages);
            }
            // The receiver may be gone; then nobody wants to know.
            Err(abort) => drop(effects_in.send(Effect::Abort(abort))),
        }
    })?;
    Ok(Running { inbox, effects })
}

/// A ceremony's leave to compute.
struct Turn {
    online: Arc<OnlineWork>,
    priority: Priority,
    patience: Patience,
    effects: UnboundedSender<Effect>,
    pass: RefCell<Option<Pass>>,
}

impl Turn {
    /// Gives back what it has and takes it anew. `false`: it is not to go on.
    fn take(&self) -> bool {
        self.end();
        let is_wanted = || !self.effects.is_closed();
        let pass = self.online.enter(self.priority, &self.patience, is_wanted);
        let taken = pass.is_some();
        self.pass.replace(pass);
        taken
    }

    fn end(&self) {
        drop(self.pass.take());
    }
}

struct Steps {
    ceremony: Box<dyn Ceremony>,
    turn: Rc<Turn>,
}

impl Steps {
    fn new(mut ceremony: Box<dyn Ceremony>, turn: Turn) -> Self {
        let turn = Rc::new(turn);
        if turn.priority == Priority::Idle {
            let turn = Rc::clone(&turn);
            ceremony.between_computations(Box::new(move || turn.take()));
        }
        Self { ceremony, turn }
    }

    fn run(mut self, messages: &Receiver<Incoming>) {
        let mut goes_on = self.step(|ceremony| ceremony.begin());
        while goes_on {
            goes_on = match messages.recv() {
                Ok(message) => self.step(|ceremony| ceremony.deliver(message)),
                Err(_) => false,
            };
        }
    }

    /// One step; returns whether another follows.
    fn step(&mut self, step: impl FnOnce(&mut dyn Ceremony) -> Vec<Effect>) -> bool {
        let effects = match self.turn.take() {
            true => step(&mut *self.ceremony),
            false => vec![Effect::Abort(Abort::gave_way())],
        };
        self.turn.end();
        effects.into_iter().all(|effect| {
            let ended = matches!(effect, Effect::Done(_) | Effect::Abort(_));
            // The receiver may be gone; then nobody wants to know.
            self.turn.effects.send(effect).is_ok() && !ended
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    const A_MOMENT: Duration = Duration::from_millis(1);

    /// Computes once, with a place to pause at, and is done with that.
    struct Fake<F> {
        compute: F,
        pause: Box<dyn FnMut() -> bool>,
    }

    impl<F: FnMut()> Ceremony for Fake<F> {
        fn begin(&mut self) -> Vec<Effect> {
            (self.compute)();
            let effect = match (self.pause)() {
                true => Effect::Need {
                    round: 1,
                    from: Vec::new(),
                },
                false => Effect::Abort(Abort::gave_way()),
            };
            vec![effect]
        }

        fn deliver(&mut self, _: Incoming) -> Vec<Effect> {
            self.begin()
        }

        fn between_computations(&mut self, pause: Box<dyn FnMut() -> bool>) {
            self.pause = pause;
        }
    }

    struct Seen {
        effects: Vec<Effect>,
        computed: u32,
        /// How long more it would have waited for room.
        patience: Duration,
    }

    /// Runs a ceremony that waits for room so long; `compute` is called when it computes.
    fn run(
        online: &Arc<OnlineWork>,
        priority: Priority,
        patience: Duration,
        compute: impl Fn() + 'static,
    ) -> Seen {
        let (sender, mut receiver) = unbounded_channel();
        let mut seen = run_for(sender, online, priority, patience, compute);
        seen.effects = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        seen
    }

    fn run_for(
        effects: UnboundedSender<Effect>,
        online: &Arc<OnlineWork>,
        priority: Priority,
        patience: Duration,
        compute: impl Fn() + 'static,
    ) -> Seen {
        let computed = Rc::new(Cell::new(0));
        let counted = Rc::clone(&computed);
        let ceremony = Fake {
            compute: move || {
                counted.set(counted.get() + 1);
                compute();
            },
            pause: Box::new(|| true),
        };
        let turn = Turn {
            online: Arc::clone(online),
            priority,
            patience: Patience::of(patience),
            effects,
            pass: RefCell::default(),
        };
        // Nobody has messages for it: it ends after its first step.
        let (inbox, messages) = channel();
        drop(inbox);
        let steps = Steps::new(Box::new(ceremony), turn);
        let turn = Rc::clone(&steps.turn);
        steps.run(&messages);
        Seen {
            effects: Vec::new(),
            computed: computed.get(),
            patience: turn.patience.left(),
        }
    }

    fn gave_way(seen: &Seen) -> bool {
        matches!(seen.effects.as_slice(), [Effect::Abort(abort)] if *abort == Abort::gave_way())
    }

    #[test]
    fn beside_something_online_the_idle_class_computes_nothing_and_others_do() {
        let online = Arc::new(OnlineWork::on(2));
        let pass = online.begin();
        let seen = run(&online, Priority::Idle, A_MOMENT, || ());
        assert!(gave_way(&seen) && seen.computed == 0);
        for priority in [Priority::Online, Priority::Background] {
            let seen = run(&online, priority, Duration::ZERO, || ());
            assert!(matches!(seen.effects.as_slice(), [Effect::Need { .. }]));
        }
        drop(pass);
        assert_eq!(online.counts(), (0, 0));
    }

    #[test]
    fn with_a_core_to_spare_it_goes_on_after_a_pause() {
        let online = Arc::new(OnlineWork::on(3));
        let _pass = online.begin();
        let seen = run(&online, Priority::Idle, Duration::ZERO, || ());
        assert!(matches!(seen.effects.as_slice(), [Effect::Need { .. }]));
    }

    #[test]
    fn it_gives_way_between_computations_too() {
        let online = Arc::new(OnlineWork::on(2));
        let (computing, passes) = (Arc::clone(&online), Rc::new(RefCell::new(Vec::new())));
        let held = Rc::clone(&passes);
        let seen = run(&online, Priority::Idle, A_MOMENT, move || {
            held.borrow_mut().push(computing.begin());
        });
        assert!(gave_way(&seen) && seen.computed == 1);
        assert_eq!(online.counts(), (1, 0));
    }

    #[test]
    fn what_computes_is_counted_until_the_step_ends() {
        let count = |priority| {
            let online = Arc::new(OnlineWork::on(2));
            let (computing, seen) = (Arc::clone(&online), Rc::new(Cell::new((0, 0))));
            let counts = Rc::clone(&seen);
            run(&online, priority, Duration::ZERO, move || {
                counts.set(computing.counts())
            });
            assert_eq!(online.counts(), (0, 0));
            seen.get()
        };
        assert_eq!(count(Priority::Online), (1, 0));
        assert_eq!(count(Priority::Idle), (0, 1));
        assert_eq!(count(Priority::Background), (0, 0));
    }

    #[test]
    fn one_that_nobody_wants_any_more_ends_instead_of_waiting() {
        let online = Arc::new(OnlineWork::on(2));
        let _pass = online.begin();
        let (sender, receiver) = unbounded_channel();
        drop(receiver);
        let seen = run_for(sender, &online, Priority::Idle, A_MOMENT, || ());
        assert_eq!((seen.computed, seen.patience), (0, A_MOMENT));
        assert_eq!(online.counts(), (1, 0));
    }
}
