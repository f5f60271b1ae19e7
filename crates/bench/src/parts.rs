//! The processes of a cluster. Whatever this starts, it ends, by its own process id.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// How long a process may take to end when it is asked to.
const ENDING: Duration = Duration::from_secs(10);

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A custodian's agent.
    Agent,
    /// The orchestrator.
    Orchestrator,
    /// nats-server.
    Nats,
    /// This program.
    Client,
}

impl Kind {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agents",
            Self::Orchestrator => "orchestrator",
            Self::Nats => "nats-server",
            Self::Client => "client",
        }
    }
}

/// A process that ends with this value.
pub struct Part {
    /// What it is.
    pub kind: Kind,
    name: String,
    child: Child,
}

impl Part {
    /// Starts it; what it writes goes into a log below `logs`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn start(
        kind: Kind,
        name: &str,
        command: &mut Command,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(logs.join(format!("{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            kind,
            name: name.to_owned(),
            child,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends it without asking, and waits until it has ended.
    ///
    /// # Errors
    /// The operating system's.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended by itself.
    ///
    /// # Errors
    /// How it ended.
    pub fn must_run(&mut self, logs: &Path) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = std::fs::read_to_string(logs.join(format!("{}.log", self.name)));
        bail!(
            "{} ended ({status}):\n{}",
            self.name,
            log.unwrap_or_default()
        )
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It has not been waited for, so the id is its own.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        let deadline = Instant::now() + ENDING;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Does nothing to one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.end();
    }
}

/// The processes of one cluster, in the order of their starts. The last started ends first.
#[derive(Default)]
pub struct Parts(pub Vec<Part>);

impl Drop for Parts {
    fn drop(&mut self) {
        while let Some(part) = self.0.pop() {
            drop(part);
        }
    }
}
