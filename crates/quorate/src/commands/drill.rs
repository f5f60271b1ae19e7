//! `quorate drill`.

use anyhow::Context as _;
use quorate_party_agent::backup::Source;
use quorate_party_agent::drill::{self, Report, Transcript};
use quorate_types::Threshold;

use crate::args::DrillArgs;
use crate::exit::misuse;
use crate::output;

/// Rehearses, or checks a transcript.
pub async fn run(args: &DrillArgs, json: bool) -> anyhow::Result<()> {
    match (&args.check, &args.roster, &args.config) {
        (Some(file), Some(roster), _) => {
            let bytes =
                std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            let roster = quorate_service::load_roster(roster)?;
            let report = Transcript::check(&bytes, &roster)?;
            if json {
                return output::json(&report);
            }
            print(&report);
            println!("good: {} signed this transcript", report.party);
            Ok(())
        }
        (_, _, Some(config)) => {
            let threshold = Threshold::new(args.threshold, args.custodians)?;
            if let Some(out) = args.out.as_deref().filter(|out| out.exists()) {
                misuse!("{} exists already and is not overwritten", out.display());
            }
            let transcript = drill::run(&Source::open(config)?, threshold).await?;
            if let Some(out) = &args.out {
                output::new_file(out, &serde_json::to_vec_pretty(&transcript)?)?;
            }
            if json {
                return output::json(&transcript);
            }
            print(&transcript.report);
            println!(
                "good: every share came back. Signed by {}'s identity key: {}",
                transcript.report.party,
                hex::encode(transcript.signature)
            );
            Ok(())
        }
        _ => misuse!("name the agent with --config, or a transcript with --check and --roster"),
    }
}

fn print(report: &Report) {
    println!(
        "rehearsal of {} at {}, Quorate {}",
        report.party,
        output::time(report.began_at),
        report.program
    );
    for step in &report.steps {
        println!("  {:>6} ms  {}: {}", step.took_ms, step.what, step.result);
    }
}
