//! Durations of earlier runs, by which the next one is ordered. Nothing else depends on them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::verdict::Outcome;

/// Expectation of a binary's next run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Duration of the last run.
    pub seconds: f64,
    /// Tests that ran.
    pub tests: usize,
}

/// Estimates by the name of the binary.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Estimates(BTreeMap<String, Estimate>);

impl Estimates {
    /// Reads the file; one that is missing or damaged means that nothing is known.
    pub fn load(file: &Path) -> Self {
        let bytes = std::fs::read(file).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Writes the file.
    pub fn save(&self, file: &Path) -> anyhow::Result<()> {
        Ok(std::fs::write(file, serde_json::to_vec_pretty(self)?)?)
    }

    /// Looks up a binary.
    pub fn of(&self, name: &str) -> Option<Estimate> {
        self.0.get(name).copied()
    }

    /// Keeps what a run took, unless it failed and may have been cut short.
    pub fn learn(&mut self, name: &str, outcome: &Outcome) {
        if outcome.counts.failed == 0 {
            let estimate = Estimate {
                seconds: outcome.wall.as_secs_f64(),
                tests: outcome.counts.ran(),
            };
            self.0.insert(name.to_owned(), estimate);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::test::counts::Counts;

    fn outcome(failed: usize) -> Outcome {
        let counts = Counts {
            passed: 4,
            failed,
            skipped: 1,
        };
        Outcome {
            counts,
            wall: Duration::from_millis(1500),
            ..Outcome::default()
        }
    }

    #[test]
    fn only_runs_without_failures_are_learnt_from() {
        let mut estimates = Estimates::default();
        estimates.learn("good", &outcome(0));
        estimates.learn("bad", &outcome(1));
        let expected = Estimate {
            seconds: 1.5,
            tests: 4,
        };
        assert_eq!(estimates.of("good"), Some(expected));
        assert_eq!(estimates.of("bad"), None);
    }

    #[test]
    fn what_is_saved_is_loaded_and_damage_means_nothing_is_known() {
        let name = format!("quorate-estimates-{}.json", std::process::id());
        let file = std::env::temp_dir().join(name);
        assert_eq!(Estimates::load(&file), Estimates::default());
        let mut estimates = Estimates::default();
        estimates.learn("good", &outcome(0));
        estimates.save(&file).unwrap();
        assert_eq!(Estimates::load(&file), estimates);
        std::fs::write(&file, b"{").unwrap();
        assert_eq!(Estimates::load(&file), Estimates::default());
        std::fs::remove_file(&file).unwrap();
    }
}
