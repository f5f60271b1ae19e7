//! Compile times, from the report that `cargo build --timings` writes for browsers.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;
use serde::Deserialize;

/// Words before the data in the report.
const MARK: &str = "const UNIT_DATA = ";

/// Crate or part of one that cargo compiled, or build script that it ran.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Unit {
    /// Package.
    pub name: String,
    /// Version of the package.
    pub version: String,
    /// Description of the target; empty for a library.
    pub target: String,
    /// Seconds by the clock, while others were compiled too. Zero if there was nothing to do.
    pub duration: f64,
}

/// Units that were compiled in the build since then.
pub fn newest(reports: &Path, since: SystemTime) -> anyhow::Result<Vec<Unit>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(reports).with_context(|| reports.display().to_string())? {
        let entry = entry?;
        let modified = entry.metadata()?.modified()?;
        if modified >= since && is_report(&entry.file_name().to_string_lossy()) {
            found.push((modified, entry.path()));
        }
    }
    let (_, file) = found.into_iter().max().context("cargo wrote no report")?;
    units(&std::fs::read_to_string(file)?)
}

fn is_report(name: &str) -> bool {
    name.starts_with("cargo-timing") && name.ends_with(".html")
}

/// Finds the units in a report, those without a duration left out.
fn units(html: &str) -> anyhow::Result<Vec<Unit>> {
    let (_, data) = html.split_once(MARK).context("the report has no units")?;
    // What follows the list is no JSON, so no more than one value is read.
    let mut values = serde_json::Deserializer::from_str(data).into_iter();
    let units: Vec<Unit> = values.next().context("the report ends early")??;
    Ok(units.into_iter().filter(|u| u.duration > 0.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTML: &str = r#"<script>
DURATION = 35;
const UNIT_DATA = [
  { "i": 7, "name": "syn", "version": "3.0.9", "mode": "todo", "target": " build-script",
    "features": ["a];"], "start": 0.4, "duration": 0.92, "unblocked_units": [6], "sections": null },
  { "i": 8, "name": "itoa", "version": "1.0.18", "mode": "todo", "target": "",
    "start": 0.0, "duration": 0.0 },
  { "i": 9, "name": "xtask", "version": "0.1.0", "mode": "todo", "target": " xtask \"bin\" (test)",
    "start": 1.0, "duration": 2.5 }
];
const CONCURRENCY_DATA = [ { "t": 0.4, "active": 2 } ];
</script>"#;

    #[test]
    fn units_that_were_compiled_are_found_in_the_report() {
        let units = units(HTML).unwrap();
        let found: Vec<_> = units
            .iter()
            .map(|u| (u.name.as_str(), u.target.as_str(), u.duration))
            .collect();
        let expected = [
            ("syn", " build-script", 0.92),
            ("xtask", " xtask \"bin\" (test)", 2.5),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_report_of_another_form_is_an_error() {
        for html in [
            "",
            "const UNIT_DATA = ",
            "const UNIT_DATA = [{]",
            "UNIT_DATA = []",
        ] {
            assert!(units(html).is_err(), "{html}");
        }
    }

    #[test]
    fn a_build_with_nothing_to_do_has_no_units() {
        assert_eq!(units("const UNIT_DATA = [];\n").unwrap(), []);
    }
}
