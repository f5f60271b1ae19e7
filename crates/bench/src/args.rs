//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use quorate_types::Threshold;
use serde::{Deserialize, Serialize};

use crate::cases::{self, Scheme};

/// Measure a whole cluster on this machine and write docs/benchmarks.md
#[derive(Debug, Clone, Parser)]
#[command(
    version,
    after_help = "Examples:
  make bench
  quorate-bench --quick --out target/quick
  quorate-bench --soak 30 --out docs
  quorate-bench --from docs/benchmarks.json
  quorate-bench --committees 2-of-3 --schemes frost-ed25519 --sections signing --samples 2000 --out target/one"
)]
pub struct Args {
    /// A few samples of each case, in under a minute
    #[arg(long)]
    pub quick: bool,
    /// Also what takes long: ECDSA by larger committees, a hundred thousand keys and as many signatures; in about an hour
    #[arg(long, conflicts_with = "quick")]
    pub thorough: bool,
    /// As little as shows that it works; what the tests run
    #[arg(long, hide = true)]
    pub smoke: bool,
    /// So many samples in every row of the signing section, however long they take: for profiling
    #[arg(long, value_name = "N")]
    pub samples: Option<usize>,
    /// Instead of measuring, so many minutes of mixed load while custodians are killed and restarted at random; writes soak.md
    #[arg(long, value_name = "MINUTES")]
    pub soak: Option<f64>,
    /// What the random choices of --soak follow from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Instead of measuring, write document and plots anew from a benchmarks.json
    #[arg(long, value_name = "FILE", conflicts_with = "soak")]
    pub from: Option<PathBuf>,
    /// Where benchmarks.md, benchmarks.json and the plots go
    #[arg(long, value_name = "DIR", default_value = "docs")]
    pub out: PathBuf,
    /// Only these committees, for example 2-of-3,3-of-5
    #[arg(long, value_name = "T-OF-N", value_delimiter = ',', value_parser = threshold)]
    pub committees: Vec<Threshold>,
    /// Only these schemes, for example frost-ed25519
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = scheme)]
    pub schemes: Vec<&'static Scheme>,
    /// Only these sections
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub sections: Vec<Section>,
    /// The program under test; the one beside this program if not given
    #[arg(long, value_name = "FILE")]
    pub quorate: Option<PathBuf>,
    /// nats-server; the one that `make tools` installs, or the first on the PATH, if not given
    #[arg(long, value_name = "FILE", env = "QUORATE_NATS_SERVER")]
    pub nats_server: Option<PathBuf>,
    /// Where the clusters' directories go: their disk's fsync is measured too; beside this program if not given
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Everything, and what takes long too.
    Thorough,
    /// Every scheme and section.
    #[default]
    Full,
    /// Every kind of case, a few samples.
    Quick,
    /// As little as shows that it works.
    Smoke,
}

/// A part of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Schemes, committees and concurrencies.
    Signing,
    /// A thousand signatures in batches of eight.
    Published,
    /// Key creation, and what many keys cost.
    Keys,
    /// Cost against t.
    Growth,
    /// Memory over many signatures.
    Endurance,
}

impl Args {
    /// How much is measured.
    #[must_use]
    pub const fn depth(&self) -> Depth {
        match (self.smoke, self.quick, self.thorough) {
            (true, _, _) => Depth::Smoke,
            (false, true, _) => Depth::Quick,
            (false, false, true) => Depth::Thorough,
            (false, false, false) => Depth::Full,
        }
    }

    /// The command that measures the same; files and directories are left out.
    #[must_use]
    pub fn command(&self) -> String {
        let mut words = Vec::new();
        let mut say = |name: &str, value: String| words.push(format!(" --{name}{value}"));
        match self.depth() {
            Depth::Full => {}
            Depth::Thorough => say("thorough", String::new()),
            Depth::Quick => say("quick", String::new()),
            Depth::Smoke => say("smoke", String::new()),
        }
        let list = |all: Vec<String>| format!(" {}", all.join(","));
        if !self.committees.is_empty() {
            let name = |c: &Threshold| format!("{}-of-{}", c.t(), c.n());
            say(
                "committees",
                list(self.committees.iter().map(name).collect()),
            );
        }
        if !self.schemes.is_empty() {
            let name = |s: &&Scheme| s.name.to_owned();
            say("schemes", list(self.schemes.iter().map(name).collect()));
        }
        if !self.sections.is_empty() {
            let name = |s: &Section| format!("{s:?}").to_lowercase();
            say("sections", list(self.sections.iter().map(name).collect()));
        }
        if let Some(samples) = self.samples {
            say("samples", format!(" {samples}"));
        }
        match words.is_empty() {
            true => "make bench".to_owned(),
            false => format!("quorate-bench{}", words.concat()),
        }
    }

    /// Whether a section is wanted.
    #[must_use]
    pub fn wants(&self, section: Section) -> bool {
        self.sections.is_empty() || self.sections.contains(&section)
    }

    /// The committees to measure.
    #[must_use]
    pub fn committees(&self) -> Vec<Threshold> {
        if self.committees.is_empty() {
            return cases::committees();
        }
        self.committees.clone()
    }

    /// The schemes to measure.
    #[must_use]
    pub fn schemes(&self) -> Vec<&'static Scheme> {
        if self.schemes.is_empty() {
            return cases::SCHEMES.to_vec();
        }
        self.schemes.clone()
    }
}

fn threshold(text: &str) -> Result<Threshold, String> {
    let numbers = text.split_once("-of-");
    let parsed = numbers.and_then(|(t, n)| Some((t.parse().ok()?, n.parse().ok()?)));
    let (t, n) = parsed.ok_or("not of the form 2-of-3")?;
    Threshold::new(t, n).map_err(|e| e.to_string())
}

fn scheme(name: &str) -> Result<&'static Scheme, String> {
    let names = || cases::SCHEMES.iter().map(|s| s.name).collect::<Vec<_>>();
    let found = cases::SCHEMES.iter().copied().find(|s| s.name == name);
    found.ok_or_else(|| format!("unknown scheme; one of: {}", names().join(", ")))
}
