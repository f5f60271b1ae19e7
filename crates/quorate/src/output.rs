//! What the user sees.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use quorate_storage::write_private;
use quorate_types::{CodeSet as _, ProblemCode, Protocol};
use serde::Serialize;

use crate::exit::{self, Exit, misuse};

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
        misuse!("nobody can be asked here; pass --yes to {act} without asking");
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
        misuse!("{} exists already and is not overwritten", path.display());
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

/// Prints what the argument parser says: a text that was asked for, or an error, with `--json` as a
/// problem document.
pub fn usage(error: &clap::Error) -> Exit {
    let as_json = std::env::args().any(|argument| argument == "--json");
    if !error.use_stderr() || !as_json {
        // Nothing more can be said if the terminal is gone.
        let _ = error.print();
        return match error.use_stderr() {
            true => Exit::Misuse,
            false => Exit::Done,
        };
    }
    let said = exit::Said {
        code: ProblemCode::Misuse,
        detail: error.to_string(),
    };
    self::error(&said.into(), true)
}

/// Prints an error on standard error, with `--json` as a problem document, and says how the command
/// ends.
pub fn error(error: &anyhow::Error, as_json: bool) -> Exit {
    let mut problem = exit::problem_of(error);
    let end = Exit::of(problem.code.class());
    if as_json {
        // With what this program has to add.
        problem.detail = format!("{error:#}");
        if let Ok(text) = serde_json::to_string_pretty(&problem) {
            eprintln!("{text}");
        }
        return end;
    }
    eprintln!("error: {error:#}");
    if let Some(hint) = problem.code.known().and_then(hint) {
        eprintln!("hint:  {hint}");
    }
    end
}

/// Next thing to try, where the message itself does not say it.
fn hint(code: ProblemCode) -> Option<&'static str> {
    match code {
        // The message is all there is to know.
        ProblemCode::Misuse
        | ProblemCode::Declined
        | ProblemCode::Client
        | ProblemCode::Unreachable => None,
        other => Some(other.about().remedy),
    }
}
