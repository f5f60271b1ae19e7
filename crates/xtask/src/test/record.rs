//! Events and output of a test binary, as far as it has come.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::counts::Counts;
use super::tail::Tail;

/// Beginning of every event of the standard harness.
const EVENT: &str = "{ \"type\": \"";

/// Line of the standard harness in JSON. Which fields are there depends on the event.
#[derive(Deserialize)]
struct Event {
    r#type: String,
    event: String,
    name: Option<String>,
    exec_time: Option<f64>,
    stdout: Option<String>,
    message: Option<String>,
    test_count: Option<usize>,
    passed: Option<usize>,
    failed: Option<usize>,
    ignored: Option<usize>,
}

/// Test that ended, and how long it took.
#[derive(Debug, PartialEq)]
pub struct Timed {
    /// Name within its binary.
    pub name: String,
    /// Duration by the clock.
    pub seconds: f64,
}

/// Test that failed.
#[derive(Debug, PartialEq)]
pub struct Failure {
    /// Name within its binary.
    pub name: String,
    /// Output of the test, and why it failed.
    pub output: String,
}

/// Events and output of a binary.
#[derive(Debug, Default)]
pub struct Record {
    /// Tests that the binary announced.
    pub announced: usize,
    /// Tests that ended so far.
    pub so_far: Counts,
    /// Tests that have started and not ended.
    pub running: BTreeSet<String>,
    /// Durations of those that ended.
    pub timed: Vec<Timed>,
    /// Failures in the order in which they happened.
    pub failures: Vec<Failure>,
    /// Result that the binary itself reported at its end.
    pub result: Option<Counts>,
    /// Standard output that is no event.
    pub output: Tail,
    /// Standard error.
    pub errors: Tail,
}

impl Record {
    /// Takes a line from a binary with the standard harness. Processes that a test started may have
    /// written to the same line before.
    pub fn event_line(&mut self, line: &str) {
        let begin = line.find(EVENT).unwrap_or(line.len());
        let (before, json) = line.split_at(begin);
        match serde_json::from_str(json) {
            Ok(event) => {
                self.output.push(before.as_bytes());
                self.event(event);
            }
            Err(_) => self.output.push(line.as_bytes()),
        }
    }

    /// Takes a line from a binary with a harness of its own.
    pub fn plain_line(&mut self, line: &str) {
        self.output.push(line.as_bytes());
        self.result = Counts::read(line).or(self.result);
    }

    fn event(&mut self, event: Event) {
        match (event.r#type.as_str(), event.event.as_str()) {
            ("suite", "started") => self.announced = event.test_count.unwrap_or_default(),
            ("suite", "ok" | "failed") => self.result = event.counts(),
            ("test", "started") => self.running.extend(event.name),
            ("test", "ok" | "failed" | "ignored") => self.ended(event),
            _ => {}
        }
    }

    fn ended(&mut self, event: Event) {
        let output = event.output();
        let name = event.name.unwrap_or_default();
        self.running.remove(&name);
        if let Some(seconds) = event.exec_time {
            let name = name.clone();
            self.timed.push(Timed { name, seconds });
        }
        match event.event.as_str() {
            "ok" => self.so_far.passed += 1,
            "ignored" => self.so_far.skipped += 1,
            _ => {
                self.so_far.failed += 1;
                self.failures.push(Failure { name, output });
            }
        }
    }
}

impl Event {
    fn counts(&self) -> Option<Counts> {
        Some(Counts {
            passed: self.passed?,
            failed: self.failed?,
            skipped: self.ignored?,
        })
    }

    fn output(&self) -> String {
        let parts = [self.stdout.as_deref(), self.message.as_deref()];
        let lines: Vec<&str> = parts.into_iter().flatten().map(str::trim_end).collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(lines: &[&str]) -> Record {
        let mut record = Record::default();
        for line in lines {
            record.event_line(line);
        }
        record
    }

    const STARTED: &str = r#"{ "type": "test", "event": "started", "name": "a::b" }"#;

    #[test]
    fn a_test_that_passes_is_counted_and_timed() {
        let ok = r#"{ "type": "test", "name": "a::b", "event": "ok", "exec_time": 0.25 }"#;
        let record = record(&[STARTED, ok]);
        assert_eq!(record.so_far.to_string(), "1 passed, 0 failed, 0 skipped");
        let name = "a::b".to_owned();
        assert_eq!(
            record.timed,
            [Timed {
                name,
                seconds: 0.25
            }]
        );
        assert!(record.running.is_empty());
    }

    #[test]
    fn a_test_that_fails_keeps_its_output() {
        let failed = r#"{ "type": "test", "name": "a::b", "event": "failed", "exec_time": 0.1,
            "stdout": "said \"this\"\n", "message": "did not panic" }"#;
        let record = record(&[STARTED, failed]);
        let failure = record.failures.first().unwrap();
        assert_eq!(failure.output, "said \"this\"\ndid not panic");
        assert_eq!(record.so_far.failed, 1);
    }

    #[test]
    fn an_ignored_test_is_skipped_and_has_no_time() {
        let line = r#"{ "type": "test", "name": "a", "event": "ignored", "message": "slow" }"#;
        let record = record(&[line]);
        assert_eq!(record.so_far.skipped, 1);
        assert!(record.timed.is_empty() && record.failures.is_empty());
    }

    #[test]
    fn a_truncated_event_is_output() {
        let line = r#"{ "type": "test", "name": "a::b", "event": "o"#;
        let record = record(&[STARTED, line]);
        assert_eq!(record.output.text(), line);
        assert!(record.running.contains("a::b") && record.timed.is_empty());
    }

    #[test]
    fn output_before_an_event_on_the_same_line_hides_neither() {
        let record = record(&[&format!("half a line{STARTED}"), "a whole line\n"]);
        assert_eq!(record.output.text(), "half a linea whole line\n");
        assert!(record.running.contains("a::b"));
    }

    #[test]
    fn the_suite_says_how_many_tests_there_are_and_how_they_ended() {
        let started = r#"{ "type": "suite", "event": "started", "test_count": 3 }"#;
        let ended = r#"{ "type": "suite", "event": "failed", "passed": 1, "failed": 2,
            "ignored": 0, "measured": 0, "filtered_out": 0, "exec_time": 0.1 }"#;
        let record = record(&[started, ended]);
        let result = record.result.unwrap();
        assert_eq!(result.to_string(), "1 passed, 2 failed, 0 skipped");
        assert_eq!(record.announced, 3);
    }

    #[test]
    fn a_harness_of_its_own_is_read_by_its_last_result() {
        let mut record = Record::default();
        record.plain_line("running 2 tests\n");
        record.plain_line("test result: ok. 2 passed; 0 failed; 0 ignored\n");
        record.plain_line("\n");
        assert_eq!(record.result.unwrap().passed, 2);
        assert!(
            record
                .output
                .text()
                .starts_with("running 2 tests\ntest result")
        );
    }
}
