//! Developer tasks: what `make` and people call as `cargo xtask TASK`.

mod cargo;
mod deps;
mod licences;
mod metadata;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK
  deps      check who knows whom
  licences  check under which licences the dependencies are
  test      compile every test once, run them side by side, print what took how long";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("deps") => check_deps().map(verdict),
        Some("licences") => check_licences().map(verdict),
        Some("test") => test::run(arguments.collect()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn check_deps() -> anyhow::Result<Vec<String>> {
    deps::check(&metadata::load()?)
}

fn check_licences() -> anyhow::Result<Vec<String>> {
    let shipped = metadata::load_shipped()?;
    Ok(licences::check(&shipped, &metadata::load()?))
}

fn verdict(complaints: Vec<String>) -> ExitCode {
    for complaint in &complaints {
        eprintln!("error: {complaint}");
    }
    if complaints.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
