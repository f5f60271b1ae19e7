//! Binaries side by side, with a line for each that ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::build::Binary;
use super::record::Record;
use super::run::{self, Shared};
use super::schedule::{Job, Schedule};
use super::verdict::Outcome;

/// Time without news after which a line says what still runs.
const QUIET: Duration = Duration::from_secs(30);

type Ended = (Job, Outcome);

/// Runs every binary to its end, whatever the others do. Outcomes are in the order of the binaries.
pub fn run_all(binaries: &[Binary], schedule: Schedule, filters: &[String]) -> Vec<Outcome> {
    let (sender, receiver) = channel();
    let mut pool = Pool {
        binaries,
        filters,
        schedule,
        running: BTreeMap::new(),
        ended: BTreeMap::new(),
        start: Instant::now(),
    };
    std::thread::scope(|scope| {
        pool.start_what_fits(scope, &sender);
        while !pool.running.is_empty() {
            pool.wait(&receiver);
            pool.start_what_fits(scope, &sender);
        }
    });
    pool.ended.into_values().collect()
}

struct Pool<'a> {
    binaries: &'a [Binary],
    filters: &'a [String],
    schedule: Schedule,
    running: BTreeMap<usize, Shared>,
    ended: BTreeMap<usize, Outcome>,
    start: Instant,
}

impl<'a> Pool<'a> {
    fn start_what_fits<'s>(&mut self, scope: &'s Scope<'s, 'a>, sender: &Sender<Ended>) {
        while let Some(job) = self.schedule.start() {
            let Some(binary) = self.binaries.get(job.index) else {
                continue;
            };
            let record = Shared::default();
            self.running.insert(job.index, Arc::clone(&record));
            let (filters, sender) = (self.filters, sender.clone());
            scope.spawn(move || {
                let outcome = run::run(binary, job.threads, filters, &record);
                // The receiver outlives every sender.
                let _ = sender.send((job, outcome));
            });
        }
    }

    fn wait(&mut self, receiver: &Receiver<Ended>) {
        match receiver.recv_timeout(QUIET) {
            Ok((job, outcome)) => {
                self.running.remove(&job.index);
                self.schedule.ended(&job);
                if let Some(binary) = self.binaries.get(job.index) {
                    print!("{}", line(&binary.name, &outcome));
                }
                self.ended.insert(job.index, outcome);
            }
            Err(RecvTimeoutError::Timeout) => println!("{}", self.progress()),
            // Impossible while there is a sender to clone.
            Err(RecvTimeoutError::Disconnected) => self.running.clear(),
        }
    }

    fn progress(&self) -> String {
        let named = self.running.iter().filter_map(|(index, record)| {
            let name = &self.binaries.get(*index)?.name;
            Some(format!("{name}{}", so_far(&run::open(record))))
        });
        let named: Vec<String> = named.collect();
        let seconds = self.start.elapsed().as_secs();
        format!("  after {seconds} s still running: {}", named.join(", "))
    }
}

/// Nothing for a harness of its own, which announces no tests.
fn so_far(record: &Record) -> String {
    let done = record.so_far.ran() + record.so_far.skipped;
    match record.announced {
        0 => String::new(),
        announced => format!(" ({done} of {announced})"),
    }
}

fn line(name: &str, outcome: &Outcome) -> String {
    let counts = outcome.counts;
    let seconds = outcome.wall.as_secs_f64();
    let mut line = format!("  {name:<36} {:>5} passed {seconds:>7.1} s", counts.passed);
    if counts.skipped > 0 {
        line.push_str(&format!("  {} skipped", counts.skipped));
    }
    if counts.failed > 0 {
        line.push_str(&format!("  FAILED: {}", counts.failed));
    }
    line.push('\n');
    for complaint in outcome.complaint.lines() {
        line.push_str(&format!("    {complaint}\n"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::counts::Counts;

    fn outcome(failed: usize, complaint: &str) -> Outcome {
        Outcome {
            counts: Counts {
                passed: 42,
                failed,
                skipped: failed,
            },
            wall: Duration::from_millis(3140),
            complaint: complaint.to_owned(),
            ..Outcome::default()
        }
    }

    fn program(executable: &str) -> Binary {
        Binary {
            name: executable.into(),
            package: "pack".into(),
            version: "0.1.0".into(),
            manifest: concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into(),
            unit: String::new(),
            executable: executable.into(),
            harness: false,
        }
    }

    #[test]
    fn every_binary_runs_in_its_package_and_a_missing_one_is_a_failure() {
        let binaries = [program("sh"), program("/no/such/program"), program("sh")];
        let script = "test -f Cargo.toml && test $CARGO_PKG_NAME = pack \
            && echo 'test result: ok. 1 passed; 0 failed; 2 ignored'";
        let filters = ["-c".to_owned(), script.to_owned()];
        let outcomes = run_all(&binaries, Schedule::new(1, &[None; 3]), &filters);
        let counts: Vec<String> = outcomes.iter().map(|o| o.counts.to_string()).collect();
        let ok = "1 passed, 0 failed, 2 skipped";
        assert_eq!(counts, [ok, "0 passed, 1 failed, 0 skipped", ok]);
        let missing = outcomes.get(1).unwrap();
        assert!(missing.complaint.contains("/no/such/program"));
    }

    #[test]
    fn a_binary_that_passes_is_one_line() {
        let line = line("quorate-messaging exchange", &outcome(0, ""));
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "quorate-messaging exchange 42 passed 3.1 s"
        );
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_binary_that_fails_says_so_and_why() {
        let line = line("a b", &outcome(2, "---- x ----\nwhy\n"));
        assert!(line.contains("2 skipped  FAILED: 2\n    ---- x ----\n    why\n"));
    }

    #[test]
    fn progress_counts_what_has_ended() {
        let mut record = Record::default();
        assert_eq!(so_far(&record), "");
        record.event_line(r#"{ "type": "suite", "event": "started", "test_count": 40 }"#);
        record.event_line(r#"{ "type": "test", "event": "ok", "name": "a" }"#);
        record.event_line(r#"{ "type": "test", "event": "ignored", "name": "b" }"#);
        assert_eq!(so_far(&record), " (2 of 40)");
    }
}
