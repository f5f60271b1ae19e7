//! The parts of the report, in the order in which they are measured.

mod endurance;
mod growth;
mod keys;
mod published;
mod refill;
mod signing;
mod stored;

pub use endurance::Point;
pub use keys::{Keys, StartUp};
pub use refill::{Beside, Refill};
pub use signing::SetUp;

use crate::{Bench, Report, Section};

/// Measures every section that is wanted.
///
/// # Errors
/// A part that does not start or is gone.
pub async fn run(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let wants = |section| bench.args.wants(section);
    if wants(Section::Signing) {
        signing::run(bench, report).await?;
    }
    if wants(Section::Published) {
        report.published = Some(published::run(bench).await?);
    }
    if wants(Section::Keys) {
        report.keys = Some(keys::run(bench).await?);
    }
    if wants(Section::Growth) {
        growth::run(bench, report).await?;
    }
    if wants(Section::Endurance) {
        report.endurance = endurance::run(bench).await?;
    }
    Ok(())
}
