//! Doc tests, which only cargo can run.

use anyhow::Context as _;

use super::counts::Counts;
use super::options::Options;
use crate::cargo::cargo;
use crate::metadata::Metadata;

/// End of the doc tests.
pub struct Doc {
    /// Tests by their end, of all packages.
    pub counts: Counts,
}

/// Runs the doc tests of the selected packages, unless they are not wanted or there are none.
pub fn run(options: &Options, metadata: &Metadata) -> anyhow::Result<Option<Doc>> {
    if !options.doc || !options.only.is_empty() || !has_any(options, metadata) {
        return Ok(None);
    }
    println!("  doc tests compile and run");
    let output = cargo()
        .args(["test", "--doc", "--no-fail-fast"])
        .args(options.selection())
        .arg("--")
        .args(&options.filters)
        .output()
        .context("cannot run cargo test --doc")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let counts = count(&stdout, output.status.success());
    println!("  doc tests: {counts}");
    if counts.failed > 0 {
        println!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(Some(Doc { counts }))
}

/// Cargo takes it for an error if no selected package can have doc tests.
fn has_any(options: &Options, metadata: &Metadata) -> bool {
    let is_selected = |name| options.packages.is_empty() || options.packages.contains(name);
    let mut targets = metadata
        .members()
        .filter(|package| is_selected(&package.name))
        .flat_map(|package| &package.targets);
    targets.any(|target| target.doctest)
}

/// A failure without a failing test, such as one to compile, counts as one.
fn count(stdout: &str, success: bool) -> Counts {
    let mut counts: Counts = stdout.lines().filter_map(Counts::read).sum();
    if !success && counts.failed == 0 {
        counts.failed = 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OUTPUT: &str = "\
   Doc-tests quorate_types
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests quorate_chain
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn results_of_all_packages_are_summed() {
        let counts = count(OUTPUT, true).to_string();
        assert_eq!(counts, "5 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn a_cargo_that_fails_without_a_failing_test_is_a_failure() {
        assert_eq!(count(OUTPUT, false).failed, 1);
        assert_eq!(count("", false).failed, 1);
    }

    #[test]
    fn a_package_without_a_library_has_no_doc_tests() {
        let package = |name, doctest| {
            json!({
                "id": name, "name": name, "version": "0.1.0", "manifest_path": "Cargo.toml",
                "dependencies": [], "targets": [{ "doctest": doctest }],
            })
        };
        let metadata = json!({
            "packages": [package("types", true), package("xtask", false)],
            "workspace_members": ["types", "xtask"], "resolve": { "nodes": [] },
            "target_directory": "target",
        });
        let metadata: Metadata = serde_json::from_value(metadata).unwrap();
        let mut options = Options::default();
        assert!(has_any(&options, &metadata));
        options.packages.push("xtask".to_owned());
        assert!(!has_any(&options, &metadata));
    }
}
