//! Profile of a run: which parts took how long.

use std::time::Duration;

use super::build::Binary;
use super::options::cores;
use super::phase::Phase;
use super::table::{Align, Table};
use super::timings::Unit;
use super::verdict::Outcome;

const LONGEST_UNITS: usize = 15;
const SLOWEST_TESTS: usize = 20;
const NONE: &str = "-";

/// Measurements of a run.
pub struct Profile<'a> {
    /// Units that were compiled now.
    pub units: Vec<Unit>,
    /// Binaries that ran.
    pub binaries: &'a [Binary],
    /// Outcomes in the same order.
    pub outcomes: &'a [Outcome],
    /// Parts of the run in the order in which they came.
    pub phases: Vec<Phase>,
}

impl Profile<'_> {
    /// Formats all of it for a terminal.
    pub fn plain(&self) -> String {
        let mut text = self.compile();
        text.extend(self.runs().iter().map(Table::plain));
        text
    }

    /// Formats what is not of one build only as a markdown document.
    pub fn markdown(&self, command: &str) -> String {
        let tables: Vec<String> = self.runs().iter().map(Table::markdown).collect();
        format!("Printed by `{command}`.\n\n{}", tables.join("\n"))
    }

    fn runs(&self) -> [Table; 3] {
        [self.by_binary(), self.slowest(), self.totals()]
    }

    fn compile(&self) -> String {
        if self.units.is_empty() {
            return "\nNothing had to be compiled.\n".to_owned();
        }
        let sum: f64 = self.units.iter().map(|u| u.duration).sum();
        let title = format!(
            "Longest of {} compiled units ({} s in all; they overlap: not the wall time)",
            self.units.len(),
            seconds(sum)
        );
        let mut table = Table::new(title, &[("s", Align::Right), ("unit", Align::Left)]);
        let mut units: Vec<&Unit> = self.units.iter().collect();
        units.sort_by(|a, b| b.duration.total_cmp(&a.duration));
        for unit in units.into_iter().take(LONGEST_UNITS) {
            let name = format!("{} {}{}", unit.name, unit.version, unit.target);
            table.row([seconds(unit.duration), name]);
        }
        table.plain()
    }

    fn by_binary(&self) -> Table {
        let columns = [
            ("test binary", Align::Left),
            ("compile s", Align::Right),
            ("tests", Align::Right),
            ("run s", Align::Right),
        ];
        let mut table = Table::new("Test binaries", &columns);
        let mut runs: Vec<_> = self.binaries.iter().zip(self.outcomes).collect();
        runs.sort_by_key(|(_, outcome)| std::cmp::Reverse(outcome.wall));
        for (binary, outcome) in runs {
            table.row([
                binary.name.clone(),
                self.compile_time(binary).map_or(NONE.to_owned(), seconds),
                outcome.counts.ran().to_string(),
                seconds(outcome.wall.as_secs_f64()),
            ]);
        }
        table
    }

    fn compile_time(&self, binary: &Binary) -> Option<f64> {
        let mut units = self.units.iter();
        let unit = units.find(|u| u.name == binary.package && u.target == binary.unit)?;
        Some(unit.duration)
    }

    fn slowest(&self) -> Table {
        let columns = [
            ("s", Align::Right),
            ("test binary", Align::Left),
            ("test", Align::Left),
        ];
        let mut table = Table::new("Slowest tests", &columns);
        let runs = self.binaries.iter().zip(self.outcomes);
        let mut tests: Vec<_> = runs
            .flat_map(|(binary, outcome)| outcome.timed.iter().map(move |test| (binary, test)))
            .collect();
        tests.sort_by(|(_, a), (_, b)| b.seconds.total_cmp(&a.seconds));
        for (binary, test) in tests.into_iter().take(SLOWEST_TESTS) {
            let time = seconds(test.seconds);
            table.row([time, binary.name.clone(), test.name.clone()]);
        }
        table
    }

    fn totals(&self) -> Table {
        let columns = [
            ("phase", Align::Left),
            ("wall s", Align::Right),
            ("CPU s", Align::Right),
            ("busy", Align::Right),
        ];
        let title = format!("Totals; busy is CPU / (wall × {} cores)", cores());
        let mut table = Table::new(title, &columns);
        for phase in &self.phases {
            let cpu = phase.cpu.map(|cpu| cpu.as_secs_f64());
            table.row([
                phase.name.to_owned(),
                seconds(phase.wall.as_secs_f64()),
                cpu.map_or(NONE.to_owned(), seconds),
                cpu.map_or(NONE.to_owned(), |cpu| busy(cpu, phase.wall)),
            ]);
        }
        table
    }
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1}")
}

fn busy(cpu: f64, wall: Duration) -> String {
    let cores = cores() as f64;
    let available = wall.as_secs_f64() * cores;
    format!("{:.0} %", 100.0 * cpu / available.max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::record::Timed;

    fn binary(name: &str, unit: &str) -> Binary {
        Binary {
            name: format!("pack {name}"),
            package: "pack".into(),
            version: "0.1.0".into(),
            manifest: "Cargo.toml".into(),
            unit: unit.into(),
            executable: name.into(),
            harness: true,
        }
    }

    fn outcome(seconds: u64) -> Outcome {
        let name = format!("takes_{seconds}");
        let timed = Timed { name, seconds: 0.5 };
        Outcome {
            wall: Duration::from_secs(seconds),
            timed: vec![timed],
            ..Outcome::default()
        }
    }

    fn unit(target: &str, duration: f64) -> Unit {
        Unit {
            name: "pack".into(),
            version: "0.1.0".into(),
            target: target.into(),
            duration,
        }
    }

    fn rows(text: &str) -> Vec<String> {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(words).collect()
    }

    #[test]
    fn binaries_come_by_run_time_with_the_compile_time_of_their_own_unit() {
        let profile = Profile {
            units: vec![unit("", 9.0), unit(" lib (test)", 2.0)],
            binaries: &[
                binary("lib", " lib (test)"),
                binary("x", " x \"test\" (test)"),
            ],
            outcomes: &[outcome(1), outcome(3)],
            phases: Vec::new(),
        };
        let rows = rows(&profile.by_binary().plain());
        assert_eq!(
            rows.get(3..),
            Some(&["pack x - 0 3.0".into(), "pack lib 2.0 0 1.0".into()][..])
        );
    }

    #[test]
    fn compile_times_say_that_they_overlap_or_that_there_are_none() {
        let mut profile = Profile {
            units: vec![unit("", 1.0), unit(" lib (test)", 2.0)],
            binaries: &[],
            outcomes: &[],
            phases: Vec::new(),
        };
        let text = profile.compile();
        assert!(text.contains("3.0 s in all; they overlap"), "{text}");
        assert!(
            text.find("pack 0.1.0 lib (test)") < text.find("pack 0.1.0\n"),
            "{text}"
        );
        profile.units.clear();
        assert!(profile.compile().contains("Nothing had to be compiled"));
    }

    #[test]
    fn the_document_begins_with_the_command_that_made_it() {
        let phase = Phase {
            name: "tests",
            wall: Duration::from_secs(10),
            cpu: None,
        };
        let profile = Profile {
            units: Vec::new(),
            binaries: &[],
            outcomes: &[],
            phases: vec![phase],
        };
        let text = profile.markdown("cargo xtask test");
        assert!(text.starts_with("Printed by `cargo xtask test`.\n\n## Test binaries\n"));
        assert!(text.ends_with("| tests | 10.0 | - | - |\n"), "{text}");
    }

    #[test]
    fn busy_is_the_share_of_all_cores() {
        let all = 4.0 * f64::from(u32::try_from(cores()).unwrap());
        assert_eq!(busy(all, Duration::from_secs(4)), "100 %");
        assert_eq!(busy(all / 2.0, Duration::from_secs(4)), "50 %");
    }
}
