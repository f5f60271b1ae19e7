//! What the user sees.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use quorate_api::{ClientError, Delivery, Problem};
use quorate_storage::write_private;
use quorate_types::Protocol;
use serde::Serialize;

/// Prints a value as JSON.
pub fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Says what people must know who have a key signed for by this protocol.
pub fn warn_of(protocol: Protocol) {
    if let Some(warning) = protocol.warning() {
        eprintln!("warning: {warning}");
    }
}

/// Asks on the terminal; where there is none, says that --yes is needed to `act`.
pub fn confirmed(question: &str, act: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here; pass --yes to {act} without asking");
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Writes a new file that only its owner may read; one that is there is not replaced.
pub fn new_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} exists already and is not overwritten", path.display());
    }
    Ok(write_private(path, content)?)
}

/// Unix milliseconds for people, RFC 3339.
pub fn time(unix_ms: u64) -> String {
    let since = Duration::from_millis(unix_ms);
    match std::time::UNIX_EPOCH.checked_add(since) {
        // Years over 9999 have no such form.
        Some(time) if unix_ms < 253_402_300_800_000 => {
            humantime::format_rfc3339_seconds(time).to_string()
        }
        _ => unix_ms.to_string(),
    }
}

/// Something moving while custodians work; nothing where nobody watches.
pub fn spinner(what: &'static str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// Prints an error on standard error; with `--json` as a problem document.
pub fn error(error: &anyhow::Error, as_json: bool) {
    let problem = error
        .chain()
        .find_map(|cause| match cause.downcast_ref::<ClientError>() {
            Some(ClientError::Problem(problem)) => Some((**problem).clone()),
            _ => None,
        });
    if as_json {
        let mut problem =
            problem.unwrap_or_else(|| Problem::new(0, "client", "The command failed", ""));
        // With what this program has to add.
        problem.detail = format!("{error:#}");
        if let Ok(text) = serde_json::to_string_pretty(&problem) {
            eprintln!("{text}");
        }
        return;
    }
    eprintln!("error: {error:#}");
    if let Some(hint) = problem.and_then(|p| hint(&p.code)) {
        eprintln!("hint:  {hint}");
    }
}

/// What to try next.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "committee-not-set-up" => "run `quorate committee setup` once; it takes about a minute",
        "primes-not-ready" => {
            "`quorate status` shows how many safe primes each custodian has; `quorate committee setup` waits for them"
        }
        "party-offline" => "`quorate status` shows who answers",
        "key-unknown" => "`quorate key list` shows the keys there are",
        "policy-pending" => {
            "`quorate request list` shows what waits for whom; approvers: quorate approve <request>"
        }
        "policy-denied" => {
            "`quorate policy explain` shows the rules; `quorate policy simulate` tries a transaction"
        }
        "policy-none" => "an admin publishes one: quorate policy init, sign, publish",
        "before-restore" => "sign it again a minute after the custodian came back",
        "counterparty-banned" => {
            "`quorate status` shows who has banned whom; other custodians sign without them"
        }
        "protocol-differs" => "`quorate key list` brings custodians to agree; then try again",
        "setup-lost" => "quorate key set-protocol <key> dkls23 --renew",
        "key-name-taken" => "choose another --name; `quorate key list` shows those in use",
        "intent-expired" | "intent-invalid" => "check this machine's clock, then try again",
        "other-roster" => {
            "the custodians have another roster than this client; get the current one from your administrator"
        }
        _ => return None,
    })
}

/// How an order went at each custodian.
pub fn deliveries(deliveries: &[Delivery], done: &str) {
    for Delivery { party, problem } in deliveries {
        match problem {
            None => println!("{party}: {done}"),
            Some(problem) => println!("{party}: NOT {done}: {problem}"),
        }
    }
}
