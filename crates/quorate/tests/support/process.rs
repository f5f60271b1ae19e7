//! Processes with their output in files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use quorate_types::{Class, Code, ProblemCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Variables that would change what the program does.
const VARIABLES: [&str; 6] = [
    "QUORATE_BACKUP_PASSPHRASE",
    "QUORATE_CLIENT",
    "QUORATE_LOG",
    "QUORATE_NATS_SERVER",
    "QUORATE_OPERATOR_PASSPHRASE",
    "QUORATE_PASSPHRASE",
];

/// The program under test, in an environment without settings of its own.
pub fn quorate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    for name in VARIABLES {
        command.env_remove(name);
    }
    command
}

/// A process that ends with its owner.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Ask it to end before killing it.
    pub has_children: bool,
}

impl Process {
    /// Starts a command; what it writes is appended to `log`.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            has_children: false,
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap_or_else(|e| panic!("{}: {e}", self.name));
    }

    /// SIGKILL, which also ends a stopped process.
    pub fn kill(&mut self) {
        // Only this process, and it has not been waited for yet or the call does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let log = self.log.clone();
        let child = &mut self.child;
        let deadline = Instant::now() + limit;
        super::wait_for(&what, limit + Duration::from_secs(1), || {
            let ended = child.try_wait().unwrap();
            if ended.is_none() && Instant::now() > deadline {
                panic!("{what}: not within {} s\n{}", limit.as_secs(), tail(&log));
            }
            ended
        })
    }

    /// SIGTERM, and the exit it leads to.
    pub fn stop(&mut self) -> ExitStatus {
        if let Some(status) = self.has_ended() {
            return status;
        }
        self.signal(Signal::TERM);
        self.wait(Duration::from_secs(20))
    }

    pub fn show_log(&self) {
        eprintln!("--- {}\n{}", self.name, tail(&self.log));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_children && matches!(self.child.try_wait(), Ok(None)) {
            // It ends its own children if it is asked to; killed, it would leave them behind.
            let _ = kill_process(self.pid(), Signal::INT);
            let deadline = Instant::now() + Duration::from_secs(30);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.kill();
    }
}

fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// The exit code of a class of problems, as `docs/errors.md` promises it.
const fn exit_code(class: Class) -> i32 {
    match class {
        Class::LocalFault | Class::Bug => 1,
        Class::Caller => 2,
        Class::Denied => 3,
        Class::Waiting => 4,
        Class::PeerAbsent => 5,
        Class::PeerMisbehaved | Class::Unknown => 6,
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command, limit: Duration) -> Self {
        Running::start(command).end(limit)
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Asserts that the command ended with an error, whatever its exit code.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(self.code.is_some_and(|code| code != 0), "{self:#?}");
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let ran = self.ok();
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:#?}"))
    }

    /// The problem document on standard error.
    #[track_caller]
    pub fn problem(self) -> Value {
        let ran = self.failed();
        let problem: Value =
            serde_json::from_str(&ran.stderr).unwrap_or_else(|e| panic!("{e}: {ran:#?}"));
        let code: Code<ProblemCode> = serde_json::from_value(problem["code"].clone()).unwrap();
        assert_eq!(ran.code, Some(exit_code(code.class())), "{ran:#?}");
        problem
    }
}

/// A command that runs while the test does something else.
pub struct Running {
    process: Process,
    dir: tempfile::TempDir,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(dir.path().join(name)).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let process = Process {
            name: format!("{command:?}"),
            child,
            log: dir.path().join("stderr"),
            has_children: false,
        };
        Self { process, dir }
    }

    #[track_caller]
    pub fn end(mut self, limit: Duration) -> Ran {
        let status = self.process.wait(limit);
        let read = |name: &str| {
            let bytes = std::fs::read(self.dir.path().join(name)).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ran {
            code: status.code(),
            stdout: read("stdout"),
            stderr: read("stderr"),
        }
    }

    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stdout")).unwrap()
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
