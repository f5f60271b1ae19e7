//! Command line of `cargo xtask test`.

use std::num::NonZero;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};

const USAGE: &str = "\
usage: cargo xtask test [OPTION]... [-- ARGUMENT...]
  --features LIST   features, passed to cargo
  --package NAME    this package instead of the workspace; may repeat
  --only SUBSTRING  only test binaries with this in their name, no doc tests; may repeat
  --slots N         test threads at once; twice as many as there are cores if not given
  --no-doc          no doc tests
  --save FILE       write the profile as markdown too
  -- ARGUMENT...    passed to every test binary, filters for example";

/// Choices of one run.
#[derive(Debug)]
pub struct Options {
    /// Features as cargo takes them.
    pub features: Option<String>,
    /// Packages instead of the whole workspace, if there are any.
    pub packages: Vec<String>,
    /// Parts of names of the binaries to run; everything runs if there are none.
    pub only: Vec<String>,
    /// Test threads at once, over all binaries.
    pub slots: usize,
    /// Wish for doc tests, which is the rule.
    pub doc: bool,
    /// Markdown file for the profile.
    pub save: Option<PathBuf>,
    /// Arguments for every test binary.
    pub filters: Vec<String>,
}

/// Reads the arguments after `test`.
pub fn parse(arguments: Vec<String>) -> anyhow::Result<Options> {
    let mut options = Options::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let missing = || format!("{argument} needs a value\n{USAGE}");
            arguments.next().with_context(missing)
        };
        match argument.as_str() {
            "--features" => options.features = Some(value()?),
            "--package" => options.packages.push(value()?),
            "--only" => options.only.push(value()?),
            "--slots" => options.slots = slots(&value()?)?,
            "--no-doc" => options.doc = false,
            "--save" => options.save = Some(value()?.into()),
            "--" => options.filters = arguments.by_ref().collect(),
            _ => bail!("unknown option {argument}\n{USAGE}"),
        }
    }
    Ok(options)
}

fn slots(text: &str) -> anyhow::Result<usize> {
    let slots = text.parse().context("--slots takes a number")?;
    ensure!(slots > 0, "--slots takes a number above zero");
    Ok(slots)
}

/// Processor cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

impl Default for Options {
    fn default() -> Self {
        Self {
            features: None,
            packages: Vec::new(),
            only: Vec::new(),
            slots: 2 * cores(),
            doc: true,
            save: None,
            filters: Vec::new(),
        }
    }
}

impl Options {
    /// Tells whether a binary of this name is to run.
    pub fn selects(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part.as_str()))
    }

    /// Arguments that tell cargo which packages and features are meant.
    pub fn selection(&self) -> Vec<&str> {
        let mut arguments = vec!["--locked"];
        if self.packages.is_empty() {
            arguments.push("--workspace");
        }
        let packages = self.packages.iter();
        arguments.extend(packages.flat_map(|name| ["--package", name]));
        let features = self.features.iter();
        arguments.extend(features.flat_map(|list| ["--features", list]));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> anyhow::Result<Options> {
        parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_are_read_and_the_rest_goes_to_the_binaries() {
        let options = parsed("--features a/b --only x --only y --slots 5 --no-doc -- one --slots");
        let options = options.unwrap();
        assert_eq!(
            options.selection(),
            ["--locked", "--workspace", "--features", "a/b"]
        );
        assert_eq!((options.slots, options.doc), (5, false));
        assert_eq!(options.filters, ["one", "--slots"]);
        assert!(options.selects("an x") && options.selects("a y") && !options.selects("z"));
    }

    #[test]
    fn a_named_package_replaces_the_workspace() {
        let options = parsed("--package a --package b").unwrap();
        assert_eq!(
            options.selection(),
            ["--locked", "--package", "a", "--package", "b"]
        );
        assert!(options.doc && options.selects("anything"));
    }

    #[test]
    fn an_unknown_option_is_answered_with_the_usage() {
        for line in ["--nodoc", "exchange", "--only", "--slots 0", "--slots many"] {
            assert!(parsed(line).is_err(), "{line}");
        }
        assert!(
            parsed("--nodoc")
                .unwrap_err()
                .to_string()
                .contains("usage:")
        );
    }
}
