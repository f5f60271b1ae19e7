//! `quorate recover`.

use std::path::Path;

use anyhow::Context as _;
use quorate_party_agent::backup::check_vacant;
use quorate_service::now_ms;
use quorate_storage::escrow::{EscrowPackage, RecoveryRequest, RecoveryState, contribute};
use quorate_storage::read_private;
use serde_json::json;
use zeroize::Zeroizing;

use super::backup::{identities, open_verified, read};
use super::restore;
use crate::args::{ContributeArgs, RecoverCommand, RecoverFinishArgs, RecoverStartArgs};
use crate::exit::{declined, misuse};
use crate::output;

/// The largest file of a recovery.
const MAX_FILE: u64 = 1 << 20;

/// Carries a command out.
pub async fn run(command: RecoverCommand, json: bool) -> anyhow::Result<()> {
    match command {
        RecoverCommand::Start(args) => start(&args, json),
        RecoverCommand::Contribute(args) => hand_on(&args, json),
        RecoverCommand::Finish(args) => finish(args, json).await,
    }
}

/// Files that came from others; not secret.
fn public_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

fn package(path: &Path, roster: Option<&Path>) -> anyhow::Result<EscrowPackage> {
    let package = EscrowPackage::from_json(&public_file(path)?)
        .with_context(|| path.display().to_string())?;
    if let Some(roster) = roster {
        package.check_owner(&*quorate_service::load_roster(roster)?)?;
    }
    Ok(package)
}

fn start(args: &RecoverStartArgs, json: bool) -> anyhow::Result<()> {
    let package = package(&args.package, args.roster.as_deref())?;
    if args.reason.chars().any(char::is_control) {
        misuse!("--reason must be plain text on one line");
    }
    let state = RecoveryState::start(&package, &args.reason, now_ms());
    output::new_file(&args.state, &state.to_json()?)?;
    output::new_file(&args.out, &state.request().to_json()?)?;
    let fingerprint = state.request().fingerprint();
    if json {
        return output::json(&json!({
            "party": package.party(), "session": state.request().session, "fingerprint": fingerprint,
        }));
    }
    let names: Vec<_> = package
        .owners()
        .iter()
        .map(|o| o.custodian.as_str())
        .collect();
    println!(
        "{} of {} must contribute. Send each {} and {}, and read this to them by a way they trust:

  {fingerprint}

Keep {} secret: with it and their contributions, the backups open.",
        package.threshold().t(),
        names.join(", "),
        args.out.display(),
        args.package.display(),
        args.state.display()
    );
    Ok(())
}

fn hand_on(args: &ContributeArgs, json: bool) -> anyhow::Result<()> {
    let package = package(&args.package, args.roster.as_deref())?;
    let request = RecoveryRequest::from_json(&public_file(&args.request)?)
        .with_context(|| args.request.display().to_string())?;
    if args.out.exists() {
        misuse!(
            "{} exists already and is not overwritten",
            args.out.display()
        );
    }
    let contribution = contribute(&package, &request, identities(&args.identity)?)?;
    eprintln!(
        "Your part of the key to the backups of {} (split {}) is asked for
  since:        {}
  saying:       {}
  fingerprint:  {}

Nothing in the request proves who sent it. Contribute only if somebody you know told you this fingerprint by another way.",
        package.party(),
        output::time(package.made_at()),
        output::time(request.made_at),
        if request.reason.is_empty() { "(no reason)" } else { &request.reason },
        request.fingerprint()
    );
    if !args.yes && !output::confirmed("Contribute?", "contribute")? {
        declined!("not contributed");
    }
    output::new_file(&args.out, &contribution.to_json()?)?;
    if json {
        return output::json(&json!({
            "custodian": contribution.custodian, "party": package.party(), "session": request.session,
        }));
    }
    println!(
        "{}: the part of {}, sealed to whoever made the request. Send it to them.",
        args.out.display(),
        contribution.custodian
    );
    Ok(())
}

async fn finish(args: RecoverFinishArgs, json: bool) -> anyhow::Result<()> {
    check_vacant(&args.into.into)?;
    let package = package(&args.package, args.roster.as_deref())?;
    let state = Zeroizing::new(read_private(&args.state, MAX_FILE)?);
    let state = RecoveryState::from_json(&state)?;
    let mut contributions = Vec::new();
    for path in &args.contribution {
        contributions.push((path.display().to_string(), public_file(path)?));
    }
    let files = contributions
        .iter()
        .map(|(name, json)| (name.as_str(), json.as_slice()));
    let recovered = state.finish(&package, files)?;
    let refused: Vec<_> = recovered.rejected.iter().map(ToString::to_string).collect();
    for reason in &refused {
        eprintln!("warning: {reason}");
    }
    let found = read(&args.backup).await?;
    let verified = open_verified(
        &args.backup,
        &found,
        &recovered.opener,
        args.roster.as_deref(),
    )?;
    if verified.summary().party != *package.party() {
        misuse!(
            "the backup is {}'s, the escrow package {}'s; nothing was written",
            verified.summary().party,
            package.party()
        );
    }
    package.check_owner(verified.roster())?;
    let restored = restore::write(&verified, &args.into, found.known_counter)?;
    if !json {
        let names: Vec<_> = recovered.used.iter().map(ToString::to_string).collect();
        println!("the key came back with {}", names.join(", "));
    }
    restore::report(&verified, &restored, &refused, json)
}
