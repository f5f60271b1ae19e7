//! The report: data, document, plots.

mod markdown;
mod plots;
mod svg;

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::Depth;
use crate::machine::Machine;
use crate::measure::Row;
use crate::sections::{Beside, Keys, Point, Refill, SetUp};

/// Everything that was measured; `benchmarks.json` is this.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// When, RFC 3339.
    pub began: String,
    /// How long it took.
    pub took_seconds: f64,
    /// By which command.
    pub command: String,
    /// How much was measured.
    pub depth: Depth,
    /// On what.
    pub machine: Machine,
    /// Pools of presignatures, filled.
    pub refills: Vec<Refill>,
    /// Signing beside a pool that is being filled, and without.
    pub beside: Vec<Beside>,
    /// Committee setups.
    pub setups: Vec<SetUp>,
    /// Schemes, committees and concurrencies.
    pub signing: Vec<Row>,
    /// A thousand signatures in batches of eight.
    pub published: Option<Row>,
    /// Keys.
    pub keys: Option<Keys>,
    /// Cost against t.
    pub growth: Vec<Row>,
    /// Memory over many signatures.
    pub endurance: Vec<Point>,
}

impl Report {
    /// Every row, whichever section it is of.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let of_keys = self.keys.iter().flat_map(|keys| &keys.signing);
        self.signing
            .iter()
            .chain(&self.published)
            .chain(of_keys)
            .chain(&self.growth)
            .chain(self.beside.iter().flat_map(|b| [&b.quiet, &b.filling]))
    }
}

/// Writes `benchmarks.md`, `benchmarks.json` and the plots below `benchmarks/`.
///
/// # Errors
/// The file system's.
pub fn write(report: &Report, out: &Path) -> anyhow::Result<()> {
    // The document says what the data do, to the last digit.
    let data = rounded(serde_json::to_value(report)?);
    let json = serde_json::to_string(&data)?;
    let report: Report = serde_json::from_value(data)?;
    let plots = plots::all(&report);
    let directory = out.join("benchmarks");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    for plot in &plots {
        write_file(&directory.join(plot.file), &plot.svg)?;
    }
    write_file(&out.join("benchmarks.json"), &(json + "\n"))?;
    write_file(
        &out.join("benchmarks.md"),
        &markdown::document(&report, &plots),
    )
}

/// What [`write`] wrote as `benchmarks.json`.
///
/// # Errors
/// The file system's, or another file.
pub fn read(file: &Path) -> anyhow::Result<Report> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no benchmarks.json", file.display()))
}

pub(crate) fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Three decimals are more than any of it is exact to.
fn rounded(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(n) if n.is_f64() => {
            let rounded = n.as_f64().map(|x| (x * 1000.0).round() / 1000.0);
            rounded.map_or(Value::Null, Value::from)
        }
        Value::Array(all) => all.into_iter().map(rounded).collect(),
        Value::Object(all) => all.into_iter().map(|(k, v)| (k, rounded(v))).collect(),
        other => other,
    }
}
