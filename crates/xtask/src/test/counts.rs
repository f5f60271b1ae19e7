//! Numbers of tests that passed, failed and were skipped.

use std::fmt;
use std::iter::Sum;

/// Tests by their end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that are marked as ignored.
    pub skipped: usize,
}

impl Counts {
    /// Reads a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    pub fn read(line: &str) -> Option<Self> {
        let rest = line.trim().strip_prefix("test result: ")?;
        let (_, numbers) = rest.split_once(". ")?;
        let number = |what: &str| {
            let part = numbers.split(';').find_map(|p| p.trim().strip_suffix(what));
            part?.trim().parse().ok()
        };
        Some(Self {
            passed: number(" passed")?,
            failed: number(" failed")?,
            skipped: number(" ignored")?,
        })
    }

    /// Tells whether some test ran and none failed.
    pub fn is_success(self) -> bool {
        self.passed > 0 && self.failed == 0
    }

    /// Counts tests that passed or failed, but not those that were skipped.
    pub fn ran(self) -> usize {
        self.passed + self.failed
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, counts| Self {
            passed: sum.passed + counts.passed,
            failed: sum.failed + counts.failed,
            skipped: sum.skipped + counts.skipped,
        })
    }
}

/// The form that scripts read.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    fn counts(passed: usize, failed: usize, skipped: usize) -> Counts {
        Counts {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn a_result_line_is_read() {
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(Counts::read(line), Some(counts(3, 0, 1)));
        let line = "test result: FAILED. 30 passed; 2 failed; 0 ignored; finished in 0.10s\n";
        assert_eq!(Counts::read(line), Some(counts(30, 2, 0)));
    }

    #[test]
    fn other_lines_are_no_result() {
        for line in [
            "",
            "running 3 tests",
            "test result: ok.",
            "test result: ok. 3 passed; 0",
        ] {
            assert_eq!(Counts::read(line), None, "{line}");
        }
    }

    #[test]
    fn the_last_line_has_the_form_that_scripts_read() {
        let sum: Counts = [counts(3, 0, 1), counts(4, 2, 0)].into_iter().sum();
        assert_eq!(sum.to_string(), "7 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn success_needs_a_test_that_ran_and_none_that_failed() {
        assert!(counts(1, 0, 5).is_success());
        assert!(!counts(0, 0, 5).is_success());
        assert!(!counts(9, 1, 0).is_success());
    }
}
