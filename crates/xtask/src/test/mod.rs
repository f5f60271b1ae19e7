//! `cargo xtask test`: every test compiled once, the binaries run side by side, and a profile.

mod build;
mod counts;
mod doc;
mod estimates;
mod manifest;
mod options;
mod phase;
mod pool;
mod record;
mod report;
mod run;
mod schedule;
mod table;
mod tail;
mod timings;
mod verdict;

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;

use crate::metadata::{self, Metadata};
use build::{Binary, Built};
use counts::Counts;
use doc::Doc;
use estimates::Estimates;
use options::Options;
use phase::Phase;
use report::Profile;
use schedule::Schedule;
use timings::Unit;
use verdict::Outcome;

/// Compiles and runs the tests that the arguments select; success only if some ran and none failed.
pub fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let command = format!("cargo xtask test {}", arguments.join(" "));
    let options = options::parse(arguments)?;
    let metadata = metadata::load()?;

    let started = SystemTime::now();
    let (compile, built) = Phase::measure("compile", || build::build(&options, &metadata));
    let binaries = match built? {
        Built::Done(binaries) => binaries,
        Built::Failed(code) => return Ok(ExitCode::from(code)),
    };
    let (tests, outcomes) =
        Phase::measure("tests", || run_binaries(&options, &metadata, &binaries));
    let (doc, documented) = Phase::measure("doc tests", || doc::run(&options, &metadata));
    let documented = documented?;

    let profile = Profile {
        units: compiled(&metadata, started),
        binaries: &binaries,
        outcomes: &outcomes,
        phases: phases(compile, tests, doc, documented.as_ref()),
    };
    finish(&options, command.trim_end(), &profile, documented.as_ref())
}

fn run_binaries(options: &Options, metadata: &Metadata, binaries: &[Binary]) -> Vec<Outcome> {
    let file = metadata.target_directory.join("quorate-test-times.json");
    let mut estimates = Estimates::load(&file);
    let known: Vec<_> = binaries.iter().map(|b| estimates.of(&b.name)).collect();
    let schedule = Schedule::new(options.slots, &known);
    println!("{} test binaries, {} slots", binaries.len(), options.slots);
    let outcomes = pool::run_all(binaries, schedule, &options.filters);
    if options.filters.is_empty() {
        for (binary, outcome) in binaries.iter().zip(&outcomes) {
            estimates.learn(&binary.name, outcome);
        }
        if let Err(error) = estimates.save(&file) {
            eprintln!("warning: durations are not kept for the next run: {error:#}");
        }
    }
    outcomes
}

/// Units compiled since then; none if cargo wrote no report, for the profile is no reason to fail.
fn compiled(metadata: &Metadata, since: SystemTime) -> Vec<Unit> {
    let reports = metadata.target_directory.join("cargo-timings");
    timings::newest(&reports, since).unwrap_or_else(|error| {
        eprintln!("warning: no compile times: {error:#}");
        Vec::new()
    })
}

fn phases(compile: Phase, tests: Phase, doc: Phase, documented: Option<&Doc>) -> Vec<Phase> {
    let mut phases = vec![compile, tests];
    phases.extend(documented.map(|_| doc));
    phases
}

fn finish(
    options: &Options,
    command: &str,
    profile: &Profile,
    documented: Option<&Doc>,
) -> anyhow::Result<ExitCode> {
    print!("{}", profile.plain());
    if let Some(file) = &options.save {
        std::fs::write(file, profile.markdown(command))
            .with_context(|| file.display().to_string())?;
    }
    let binaries = profile.outcomes.iter().map(|o| o.counts);
    let all: Counts = binaries.chain(documented.map(|d| d.counts)).sum();
    println!("\n{all}");
    Ok(if all.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
