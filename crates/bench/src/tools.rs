//! The programs that are measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::Args;

/// Where the programs are, and where clusters go.
pub struct Tools {
    /// The program under test.
    pub quorate: PathBuf,
    /// The messaging server.
    pub nats_server: PathBuf,
    /// Clusters are made below this directory.
    pub work: PathBuf,
}

impl Tools {
    /// Finds them.
    ///
    /// # Errors
    /// One that is missing, with how to get it.
    pub fn find(args: &Args) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot find this program's own file")?;
        let beside = own.parent().context("this program has no directory")?;
        let quorate = args
            .quorate
            .clone()
            .unwrap_or_else(|| beside.join("quorate"));
        if !quorate.is_file() {
            bail!(
                "{} is missing; build it: cargo build --release --locked -p quorate",
                quorate.display()
            );
        }
        Ok(Self {
            quorate,
            nats_server: nats_server(args.nats_server.as_deref())?,
            work: args.work.clone().unwrap_or_else(|| beside.to_owned()),
        })
    }

    /// The program under test, in an environment without settings of its own.
    pub fn quorate(&self) -> Command {
        let mut command = Command::new(&self.quorate);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("QUORATE_") {
                command.env_remove(name);
            }
        }
        command
    }
}

/// What `make tools` installs, or the first on the PATH.
fn nats_server(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let installed = PathBuf::from(".venv/bin/nats-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("nats-server"));
    let mut candidates = match given {
        Some(file) => vec![file.to_owned()],
        None => std::iter::once(installed).chain(on_path).collect(),
    };
    candidates.retain(|file| file.is_file());
    let found = candidates.into_iter().next();
    let found = found.context("nats-server is missing; run `make tools`")?;
    Ok(std::path::absolute(found)?)
}

/// The first line that a command prints, if it runs.
pub fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}
