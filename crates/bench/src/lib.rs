//! The benchmark of a whole cluster: agents, orchestrator and `nats-server` as processes of their own, load over the API as any
//! user's program makes it. For development only: it puts primes made beforehand into the stores of the clusters it provisions, so
//! those clusters protect nothing.
//!
//! A new signing scheme is an entry of [`cases::SCHEMES`], a new committee one of [`cases::COMMITTEES`], a new kind of measurement a
//! function in [`sections`].

mod args;
pub mod cases;
mod ceremony;
mod cluster;
mod load;
mod machine;
mod measure;
mod operator;
mod parts;
mod payloads;
mod procfs;
mod progress;
mod report;
mod sections;
mod signing;
mod soak;
mod stats;
mod tools;
mod usage;
mod wire;

pub use args::{Args, Depth, Section};
pub use report::Report;

use std::time::{Instant, SystemTime};

use progress::Progress;
use tools::Tools;

/// What every section needs.
pub(crate) struct Bench<'a> {
    pub args: &'a Args,
    pub tools: Tools,
    pub progress: Progress,
}

/// Measures everything the arguments name and writes the report. Whatever was started has ended when this returns or is dropped.
///
/// # Errors
/// A part that is missing or does not start, the file system's. A request that fails is counted, and is not an error.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(minutes) = args.soak {
        return soak::run(&prepared(args)?, minutes).await;
    }
    let report = match &args.from {
        Some(file) => report::read(file)?,
        None => measure(args).await?,
    };
    report::write(&report, &args.out)?;
    eprintln!("written: {}", args.out.join("benchmarks.md").display());
    Ok(())
}

fn prepared(args: &Args) -> anyhow::Result<Bench<'_>> {
    Ok(Bench {
        args,
        tools: Tools::find(args)?,
        progress: Progress::new(),
    })
}

/// The same without writing anything.
///
/// # Errors
/// As [`run`].
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let started = Instant::now();
    let bench = prepared(args)?;
    let mut report = Report {
        began: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        command: args.command(),
        depth: args.depth(),
        machine: machine::describe(&bench.tools)?,
        ..Report::default()
    };
    sections::run(&bench, &mut report).await?;
    bench.progress.finish();
    report.took_seconds = started.elapsed().as_secs_f64();
    Ok(report)
}
