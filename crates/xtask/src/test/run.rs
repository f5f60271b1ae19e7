//! One test binary as a process.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::build::Binary;
use super::record::Record;
use super::verdict::{self, Outcome};
use crate::cargo::forget_ourselves;

/// Time to read on after a binary has ended: a process that it left behind may hold its output.
const GRACE: Duration = Duration::from_secs(5);

/// Record that is written while others look at it.
pub type Shared = Arc<Mutex<Record>>;

/// Opens a record; one that a thread died with is as good as any.
pub fn open(record: &Shared) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a binary to its end, writing into the record as it goes.
pub fn run(binary: &Binary, threads: usize, filters: &[String], record: &Shared) -> Outcome {
    let start = Instant::now();
    let command = command(binary, threads, filters);
    match watch(command, binary.harness, record, GRACE) {
        Ok(status) => {
            let exit = (!status.success()).then(|| status.to_string());
            let record = std::mem::take(&mut *open(record));
            verdict::judge(record, exit, start.elapsed())
        }
        Err(error) => verdict::not_run(&error),
    }
}

/// The environment is the one that `cargo test` gives.
fn command(binary: &Binary, threads: usize, filters: &[String]) -> Command {
    let mut command = Command::new(&binary.executable);
    forget_ourselves(&mut command);
    if let Some(directory) = binary.manifest.parent() {
        command.current_dir(directory);
        command.env("CARGO_MANIFEST_DIR", directory);
    }
    command
        .env("CARGO_MANIFEST_PATH", &binary.manifest)
        .env("CARGO_PKG_NAME", &binary.package)
        .env("CARGO_PKG_VERSION", &binary.version);
    if binary.harness {
        // Events in JSON and times are unstable options of the harness.
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["-Z", "unstable-options", "--format", "json"])
            .args(["--report-time", "--test-threads", &threads.to_string()]);
    }
    command.args(filters);
    command
}

fn watch(
    mut command: Command,
    harness: bool,
    record: &Shared,
    grace: Duration,
) -> anyhow::Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| command.get_program().display().to_string())?;
    let read_to_end = read(&mut child, harness, record);
    let status = child.wait()?;
    // Nothing is ever sent: this waits until both readers have gone, or long enough.
    let _ = read_to_end.recv_timeout(grace);
    Ok(status)
}

/// Reads both streams in threads; the receiver is disconnected once both are at their end.
fn read(child: &mut Child, harness: bool, record: &Shared) -> Receiver<()> {
    let (sender, receiver) = channel();
    if let Some(stdout) = child.stdout.take() {
        let (record, sender) = (Arc::clone(record), sender.clone());
        std::thread::spawn(move || read_output(stdout, harness, &record, sender));
    }
    if let Some(stderr) = child.stderr.take() {
        let record = Arc::clone(record);
        std::thread::spawn(move || read_errors(stderr, &record, sender));
    }
    receiver
}

fn read_output(stdout: impl Read, harness: bool, record: &Shared, _end: Sender<()>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    while stdout.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line);
        if harness {
            open(record).event_line(&text);
        } else {
            open(record).plain_line(&text);
        }
        line.clear();
    }
}

fn read_errors(mut stderr: impl Read, record: &Shared, _end: Sender<()>) {
    let mut buffer = vec![0; 8192];
    while let Ok(read @ 1..) = stderr.read(&mut buffer) {
        open(record)
            .errors
            .push(buffer.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(script: &str, grace: Duration) -> (ExitStatus, Record) {
        let record = Shared::default();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let status = watch(command, true, &record, grace).unwrap();
        let record = std::mem::take(&mut *open(&record));
        (status, record)
    }

    #[test]
    fn both_streams_are_read_to_their_end() {
        let (status, record) = watched("echo out; echo err >&2; printf more; exit 3", GRACE);
        assert_eq!(status.code(), Some(3));
        assert_eq!(record.output.text(), "out\nmore");
        assert_eq!(record.errors.text(), "err\n");
    }

    #[test]
    fn a_process_left_behind_does_not_hold_up_the_run() {
        let start = Instant::now();
        let (status, record) = watched("echo out; sleep 20 & exit 0", Duration::from_millis(300));
        assert!(status.success() && start.elapsed() < Duration::from_secs(15));
        assert_eq!(record.output.text(), "out\n");
    }
}
