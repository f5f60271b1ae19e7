//! Judgement of a binary by its words and by the way it ended.

use std::time::Duration;

use super::counts::Counts;
use super::record::{Record, Timed};

/// End of a test binary.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Tests by their end; a binary that dies is one failure more.
    pub counts: Counts,
    /// Duration of the whole process.
    pub wall: Duration,
    /// Durations of its tests, if its harness tells them.
    pub timed: Vec<Timed>,
    /// Text for people about everything that failed; empty if nothing did.
    pub complaint: String,
}

/// Exit of a process: the words for it, if it is one that means failure.
pub type BadExit = Option<String>;

/// Judges what a binary said and how it exited.
pub fn judge(record: Record, exit: BadExit, wall: Duration) -> Outcome {
    let (counts, reason) = count(&record, exit);
    let complaint = if counts.failed > 0 {
        complain(&record, reason)
    } else {
        String::new()
    };
    Outcome {
        counts,
        wall,
        timed: record.timed,
        complaint,
    }
}

/// Outcome of a binary that could not be run.
pub fn not_run(reason: &anyhow::Error) -> Outcome {
    Outcome {
        counts: one_more_failed(Counts::default()),
        complaint: format!("cannot be run: {reason:#}\n"),
        ..Outcome::default()
    }
}

fn count(record: &Record, exit: BadExit) -> (Counts, Option<String>) {
    match (record.result, exit) {
        (Some(counts), Some(exit)) if counts.failed == 0 => (
            one_more_failed(counts),
            Some(format!("ended with {exit} although no test failed")),
        ),
        (Some(counts), _) => (counts, None),
        (None, exit) => (
            one_more_failed(record.so_far),
            Some(died(record, &exit.unwrap_or("success".to_owned()))),
        ),
    }
}

fn one_more_failed(counts: Counts) -> Counts {
    Counts {
        failed: counts.failed + 1,
        ..counts
    }
}

fn died(record: &Record, exit: &str) -> String {
    let running: Vec<&str> = record.running.iter().map(String::as_str).collect();
    if running.is_empty() {
        format!("ended with {exit} before it reported a result; no test was running")
    } else {
        let running = running.join(", ");
        format!("ended with {exit} before it reported a result, during: {running}")
    }
}

fn complain(record: &Record, reason: Option<String>) -> String {
    let mut text = String::new();
    for failure in &record.failures {
        section(&mut text, &failure.name, &failure.output);
    }
    section(&mut text, "standard output", &record.output.text());
    section(&mut text, "standard error", &record.errors.text());
    text.extend(reason.map(|r| r + "\n"));
    text
}

/// A test that failed without a word is named all the same; a stream without a word is not.
fn section(text: &mut String, title: &str, body: &str) {
    let is_stream = title.starts_with("standard ");
    if !(is_stream && body.trim().is_empty()) {
        text.push_str(&format!("---- {title} ----\n{}\n", body.trim_end()));
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

    fn judged(lines: &[&str], exit: Option<&str>) -> Outcome {
        judge(record(lines), exit.map(str::to_owned), Duration::ZERO)
    }

    const A_STARTED: &str = r#"{ "type": "test", "event": "started", "name": "a" }"#;
    const A_OK: &str = r#"{ "type": "test", "event": "ok", "name": "a", "exec_time": 1.0 }"#;
    const B_STARTED: &str = r#"{ "type": "test", "event": "started", "name": "b" }"#;
    const ALL_OK: &str =
        r#"{ "type": "suite", "event": "ok", "passed": 1, "failed": 0, "ignored": 2 }"#;

    #[test]
    fn a_binary_that_passes_has_nothing_to_complain_of() {
        let outcome = judged(&["noise", A_STARTED, A_OK, ALL_OK], None);
        let counts = outcome.counts.to_string();
        assert_eq!(counts, "1 passed, 0 failed, 2 skipped");
        assert_eq!(outcome.complaint, "");
    }

    #[test]
    fn a_binary_that_dies_names_the_test_it_died_in() {
        let outcome = judged(&[A_STARTED, A_OK, B_STARTED], Some("signal: 6 (SIGABRT)"));
        let counts = outcome.counts.to_string();
        assert_eq!(counts, "1 passed, 1 failed, 0 skipped");
        let complaint = outcome.complaint;
        assert!(complaint.contains("signal: 6 (SIGABRT)"), "{complaint}");
        assert!(complaint.trim_end().ends_with("during: b"), "{complaint}");
    }

    #[test]
    fn a_binary_that_exits_early_without_an_error_has_failed() {
        let outcome = judged(&[A_STARTED, A_OK], None);
        assert_eq!(outcome.counts.failed, 1);
        assert!(outcome.complaint.contains("no test was running"));
    }

    #[test]
    fn a_bad_exit_after_passing_tests_is_a_failure() {
        let outcome = judged(&[A_STARTED, A_OK, ALL_OK], Some("exit status: 3"));
        assert_eq!(outcome.counts.failed, 1);
        assert!(outcome.complaint.contains("exit status: 3"));
    }

    #[test]
    fn failures_are_shown_with_the_output_of_the_test_and_the_binary() {
        let failed = r#"{ "type": "test", "event": "failed", "name": "b", "stdout": "why" }"#;
        let end =
            r#"{ "type": "suite", "event": "failed", "passed": 0, "failed": 1, "ignored": 0 }"#;
        let outcome = judged(&["noise", failed, end], Some("exit status: 101"));
        let complaint = "---- b ----\nwhy\n---- standard output ----\nnoise\n";
        assert_eq!(outcome.complaint, complaint);
        assert_eq!(outcome.counts.failed, 1);
    }
}
