//! Threads for ceremonies. A ceremony lives on one thread of its own from start to end: its machine is not `Send`, some of its
//! steps compute for seconds, and the operating system is better than we are at sharing cores between threads of
//! different priority.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use quorate_mpc_protocol::{Abort, Ceremony, Effect, Incoming};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::online::OnlineWork;

/// How urgent a ceremony's computing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Someone waits for it.
    Online,
    /// Someone may wait for it some day: it gets a small share of busy cores.
    Background,
    /// Only what the cores have over: whatever wakes gets the core at once, and it steps aside for what is online ([`OnlineWork`]). While all cores
    /// are busy it makes no progress.
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
            Ok(ceremony) => Steps {
                ceremony,
                priority,
                online,
                effects: effects_in,
            }
            .run(&messages),
            // The receiver may be gone; then nobody wants to know.
            Err(abort) => drop(effects_in.send(Effect::Abort(abort))),
        }
    })?;
    Ok(Running { inbox, effects })
}

struct Steps {
    ceremony: Box<dyn Ceremony>,
    priority: Priority,
    online: Arc<OnlineWork>,
    effects: UnboundedSender<Effect>,
}

impl Steps {
    fn run(mut self, messages: &Receiver<Incoming>) {
        if self.priority == Priority::Idle {
            let online = Arc::clone(&self.online);
            self.ceremony
                .between_computations(Box::new(move || online.step_aside()));
        }
        let mut next = self.step(|ceremony| ceremony.begin());
        while next {
            next = match messages.recv() {
                Ok(message) => self.step(|ceremony| ceremony.deliver(message)),
                Err(_) => false,
            };
        }
    }

    /// One step; returns whether another follows.
    fn step(&mut self, step: impl FnOnce(&mut dyn Ceremony) -> Vec<Effect>) -> bool {
        let pass = self.online.enter(self.priority);
        // It may have been a while, and nobody want it any more.
        if self.effects.is_closed() {
            return false;
        }
        let effects = step(&mut *self.ceremony);
        drop(pass);
        effects.into_iter().all(|effect| {
            let ended = matches!(effect, Effect::Done(_) | Effect::Abort(_));
            self.effects.send(effect).is_ok() && !ended
        })
    }
}
