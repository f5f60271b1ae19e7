//! Developer tasks: `cargo xtask deps` checks who knows whom, `cargo xtask licences` what may be used.

mod deps;
mod licences;
mod metadata;

use std::process::ExitCode;

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let result = match task.as_deref() {
        Some("deps") => metadata::load().and_then(|m| deps::check(&m)),
        Some("licences") => metadata::load_shipped()
            .and_then(|shipped| Ok(licences::check(&shipped, &metadata::load()?))),
        _ => {
            eprintln!("usage: cargo xtask deps | licences");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(complaints) => {
            for complaint in complaints {
                eprintln!("error: {complaint}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
