//! Threads for ceremonies. A ceremony lives on one thread of its own from start to end: its machine is not `Send`, some of its
//! steps compute for seconds, and the operating system is better than we are at sharing cores between threads of
//! different priority.

use std::sync::mpsc::{Receiver, Sender, channel};

use quorate_mpc_protocol::{Abort, Ceremony, Effect, Incoming};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How urgent a ceremony's computing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Someone waits for it.
    Online,
    /// Yields to everything else.
    Background,
}

impl Priority {
    /// Lowers the calling thread's priority where this asks for it. Best effort: an unprioritised thread is merely less polite.
    pub fn apply(self) {
        if self == Self::Background {
            let thread = rustix::thread::gettid();
            if let Err(error) = rustix::process::setpriority_process(Some(thread), 15) {
                tracing::debug!(%error, "cannot lower a background thread's priority");
            }
        }
    }
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
pub fn start<F>(name: String, priority: Priority, build: F) -> std::io::Result<Running>
where
    F: FnOnce() -> Result<Box<dyn Ceremony>, Abort> + Send + 'static,
{
    let (inbox, messages) = channel();
    let (effects_in, effects) = unbounded_channel();
    std::thread::Builder::new().name(name).spawn(move || {
        priority.apply();
        match build() {
            Ok(ceremony) => run(ceremony, &messages, &effects_in),
            // The receiver may be gone; then nobody wants to know.
            Err(abort) => drop(effects_in.send(Effect::Abort(abort))),
        }
    })?;
    Ok(Running { inbox, effects })
}

fn run(
    mut ceremony: Box<dyn Ceremony>,
    messages: &Receiver<Incoming>,
    effects: &UnboundedSender<Effect>,
) {
    let mut step = ceremony.begin();
    loop {
        for effect in step {
            let ended = matches!(effect, Effect::Done(_) | Effect::Abort(_));
            if effects.send(effect).is_err() || ended {
                return;
            }
        }
        match messages.recv() {
            Ok(message) => step = ceremony.deliver(message),
            Err(_) => return,
        }
    }
}
