//! On what it ran.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::tools::{Tools, first_line};

/// The machine and the programs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The CPU's name.
    pub cpu: String,
    /// Memory, GiB.
    pub memory_gib: f64,
    /// The kernel.
    pub kernel: String,
    /// The distribution.
    pub system: String,
    /// The file system of the clusters' directories.
    pub file_system: String,
    /// Writes of 4 KiB, each with an fsync, that its disk did in a second.
    pub fsyncs_per_second: f64,
    /// Load average over a minute when the run began.
    pub load: String,
    /// The compiler.
    pub rustc: String,
    /// Whether the program under test, going by this one, was built with optimisation.
    pub profile: String,
    /// nats-server.
    pub nats_server: String,
    /// The source.
    pub commit: String,
}

/// Looks.
///
/// # Errors
/// A disk that cannot be written.
pub fn describe(tools: &Tools) -> anyhow::Result<Machine> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let git = ["describe", "--always", "--dirty", "--abbrev=12"];
    Ok(Machine {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        cpu: value_in("/proc/cpuinfo", "model name", ':'),
        memory_gib: memory_gib(),
        kernel: text_of("/proc/sys/kernel/osrelease"),
        system: value_in("/etc/os-release", "PRETTY_NAME", '=').replace('"', ""),
        file_system: file_system(&tools.work),
        fsyncs_per_second: fsyncs(&tools.work)?,
        load: text_of("/proc/loadavg")
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned(),
        rustc: said(Command::new(rustc).arg("--version")),
        profile: if cfg!(debug_assertions) {
            "dev"
        } else {
            "release"
        }
        .to_owned(),
        nats_server: said(Command::new(&tools.nats_server).arg("--version")),
        commit: said(Command::new("git").args(git)),
    })
}

fn said(command: &mut Command) -> String {
    first_line(command).unwrap_or_else(|| "unknown".to_owned())
}

fn text_of(file: &str) -> String {
    std::fs::read_to_string(file)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The first value of a name in a file of `name <separator> value` lines.
fn value_in(file: &str, name: &str, separator: char) -> String {
    let text = text_of(file);
    let line = text.lines().find(|l| l.starts_with(name));
    let value = line.and_then(|l| l.split_once(separator));
    value.map_or_else(|| "unknown".to_owned(), |(_, v)| v.trim().to_owned())
}

fn memory_gib() -> f64 {
    let text = value_in("/proc/meminfo", "MemTotal", ':');
    let kib = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    kib.unwrap_or_default() / f64::from(1 << 20)
}

/// The type of the mount with the longest path that contains the directory.
fn file_system(dir: &Path) -> String {
    let Ok(dir) = dir.canonicalize() else {
        return "unknown".to_owned();
    };
    let mounts = text_of("/proc/self/mounts");
    let mut found: Vec<(usize, String)> = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (place, kind) = (fields.next()?, fields.next()?);
            dir.starts_with(place)
                .then(|| (place.len(), kind.to_owned()))
        })
        .collect();
    found.sort();
    found
        .pop()
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}

fn fsyncs(dir: &Path) -> anyhow::Result<f64> {
    let file = tempfile::NamedTempFile::new_in(dir)?;
    let mut writer: &File = file.as_file();
    let began = Instant::now();
    let mut count = 0u32;
    while began.elapsed() < Duration::from_millis(500) {
        writer.write_all(&[0; 4096])?;
        writer.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
