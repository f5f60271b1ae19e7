//! What the user sees.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use quorate_api::{ClientError, Problem};
use serde::Serialize;

/// Prints a value as JSON.
pub fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
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
        let other = || Problem::new(0, "client", "The command failed", format!("{error:#}"));
        if let Ok(text) = serde_json::to_string_pretty(&problem.unwrap_or_else(other)) {
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
        "key-name-taken" => "choose another --name; `quorate key list` shows those in use",
        "intent-expired" | "intent-invalid" => "check this machine's clock, then try again",
        "other-roster" => {
            "the custodians have another roster than this client; get the current one from your administrator"
        }
        _ => return None,
    })
}
