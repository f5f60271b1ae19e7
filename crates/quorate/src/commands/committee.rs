//! `quorate committee setup`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use quorate_api::{ClusterStatus, ResultView};
use quorate_types::Action;
use quorate_types::ProblemCode;
use quorate_types::node::CommitteeRecord;

use crate::args::ClientArgs;
use crate::exit::{said, untrue};
use crate::operator::Operator;
use crate::output;

/// Runs the setup and prints its record.
pub async fn setup(client: &ClientArgs, json: bool) -> anyhow::Result<()> {
    let operator = Operator::load(&client.client)?;
    if let Some(record) = already(&operator.viewer.api.status().await?) {
        if json {
            return output::json(&record);
        }
        println!(
            "the committee is set up already (session {})",
            record.session.short()
        );
        return Ok(());
    }
    let record = run(&operator, json).await?;
    if json {
        return output::json(&record);
    }
    println!(
        "the committee is set up for ECDSA (session {})",
        record.session.short()
    );
    Ok(())
}

/// The setup every custodian has, if they all have the same.
fn already(status: &ClusterStatus) -> Option<CommitteeRecord> {
    let mut records = status
        .parties
        .iter()
        .map(|p| Some(p.status.as_ref()?.committee.as_ref()?.record.clone()));
    let first = records.next()??;
    records.all(|r| r.as_ref() == Some(&first)).then_some(first)
}

/// Waits for everyone's safe primes, then runs the ceremony. Both with progress.
pub async fn run(operator: &Operator, quiet: bool) -> anyhow::Result<CommitteeRecord> {
    wait_for_primes(operator, quiet).await?;
    let spinner = output::spinner("custodians prove their Paillier keys to each other", quiet);
    let intent = operator.sign(Action::SetUpCommittee)?;
    let view = operator.viewer.api.run(&intent).await;
    spinner.finish_and_clear();
    match super::request::finished(operator, view?, quiet)
        .await?
        .result
    {
        Some(ResultView::Committee(record)) => Ok(record),
        _ => untrue!("the orchestrator reports something other than a committee setup"),
    }
}

async fn wait_for_primes(operator: &Operator, quiet: bool) -> anyhow::Result<()> {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(0)
    };
    bar.set_style(ProgressStyle::with_template(
        "safe primes {bar:30} {pos}/{len} {elapsed}",
    )?);
    loop {
        let status = operator.viewer.api.status().await?;
        let (mut have, mut need) = (0, 0);
        for party in &status.parties {
            let Some(node) = &party.status else {
                said!(
                    ProblemCode::PartyOffline,
                    "{} is offline; committee setup needs every custodian",
                    party.party
                );
            };
            have += u64::from(node.primes.min(node.primes_needed));
            need += u64::from(node.primes_needed);
        }
        bar.set_length(need);
        bar.set_position(have);
        if have >= need {
            bar.finish_and_clear();
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
