//! `quorate agent unseal | seal | status | accept-clock | accept-restore | accept-policy |
//! lift-ban`: a word with the agent that runs on this machine.

use quorate_party_agent::command::LocalArgs;
use quorate_party_agent::control::{AgentStatus, ControlRequest};

use crate::output;

/// Closes its store.
pub async fn seal(args: &LocalArgs, json: bool) -> anyhow::Result<()> {
    show(&args.ask(&ControlRequest::Seal).await?, json)
}

/// How it is.
pub async fn status(args: &LocalArgs, json: bool) -> anyhow::Result<()> {
    show(&args.ask(&ControlRequest::Status).await?, json)
}

/// Makes it believe the machine's clock.
pub async fn accept_clock(args: &LocalArgs, json: bool) -> anyhow::Result<()> {
    show(&args.ask(&ControlRequest::AcceptClock).await?, json)
}

/// Makes it resume without the peers that are lost.
pub async fn accept_restore(args: &LocalArgs, json: bool) -> anyhow::Result<()> {
    show(&args.ask(&ControlRequest::AcceptRestore).await?, json)
}

/// Prints how it is.
pub fn show(status: &AgentStatus, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(status);
    }
    println!("{:<10} {}", status.party, status.standing);
    if let (Some(keys), Some(log), Some(restores)) = (status.keys, status.log_size, status.restores)
    {
        println!(
            "{:<10} {keys} keys, {log} log entries, restored {restores} times",
            ""
        );
    }
    if let Some(backup) = &status.last_backup {
        let made = output::time(backup.made_at);
        let failed = backup.failed.len();
        let (stores, which) = match failed {
            0 => (backup.stored.len(), String::new()),
            _ => (backup.stored.len(), format!(", {failed} did not take it")),
        };
        println!("{:<10} last backup {made}, in {stores} stores{which}", "");
    }
    for ban in &status.bans {
        println!(
            "{:<10} has banned {} from key {} at {}: it failed a consistency check of DKLs23",
            "",
            ban.party,
            ban.key,
            output::time(ban.at)
        );
    }
    for warning in &status.warnings {
        println!("{:<10} warning: {warning}", "");
    }
    Ok(())
}
