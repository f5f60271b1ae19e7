//! Cargo, started as if from a shell although a cargo started this program.

use std::process::Command;

/// Variables that `cargo run` sets for this program. Build scripts watch some of them, so they must
/// not reach another cargo: it would compile again what is unchanged.
const OURS: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_"];

/// Cargo with the arguments that follow, and with the environment of whoever called the first one.
pub fn cargo() -> Command {
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(program);
    forget_ourselves(&mut command);
    command
}

/// Takes the description of this package out of a command's environment.
pub fn forget_ourselves(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if OURS.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
}
