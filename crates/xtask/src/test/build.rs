//! One cargo build of everything, and the test binaries that it names.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::manifest;
use super::options::Options;
use crate::cargo::cargo;
use crate::metadata::{Metadata, Package};

/// Test binary, compiled.
#[derive(Debug)]
pub struct Binary {
    /// Package and target, as people call it.
    pub name: String,
    /// Package that the binary tests.
    pub package: String,
    /// Version of the package.
    pub version: String,
    /// Manifest of the package; the binary runs in its directory.
    pub manifest: PathBuf,
    /// Description of the target in cargo's timings.
    pub unit: String,
    /// File to run.
    pub executable: PathBuf,
    /// Presence of the standard harness, which can report in JSON.
    pub harness: bool,
}

/// End of a build.
pub enum Built {
    /// Binaries that were asked for, in the order of their names.
    Done(Vec<Binary>),
    /// Exit code of the cargo that failed.
    Failed(u8),
}

/// Message of cargo; fields that only some kinds of messages have are optional.
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Compiles libraries, programs and tests. Progress and errors go to standard error.
pub fn build(options: &Options, metadata: &Metadata) -> anyhow::Result<Built> {
    let mut cargo = cargo();
    cargo.arg("build").args(options.selection()).args([
        "--bins",
        "--tests",
        "--timings",
        "--message-format=json-render-diagnostics",
    ]);
    // With named packages cargo takes it for an error if none of them is a library.
    if options.packages.is_empty() {
        cargo.arg("--lib");
    }
    let (status, messages) = messages(cargo)?;
    if !status.success() {
        let code = status.code().and_then(|c| u8::try_from(c).ok());
        return Ok(Built::Failed(code.unwrap_or(1)));
    }
    let mut binaries = Vec::new();
    for message in &messages {
        binaries.extend(binary(message, metadata)?);
    }
    for part in &options.only {
        let found = binaries.iter().any(|b| b.name.contains(part.as_str()));
        ensure!(found, "no test binary has {part:?} in its name");
    }
    binaries.retain(|b| options.selects(&b.name));
    binaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Built::Done(binaries))
}

fn messages(mut cargo: Command) -> anyhow::Result<(ExitStatus, Vec<Message>)> {
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo build")?;
    let mut messages = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            messages.extend(message(&line?)?);
        }
    }
    Ok((child.wait()?, messages))
}

/// Message of a line. What cargo wraps of a compiler's own output is no JSON; a message that cannot
/// be read would leave a test out.
fn message(line: &str) -> anyhow::Result<Option<Message>> {
    if !line.starts_with('{') {
        return Ok(None);
    }
    let message = serde_json::from_str(line);
    message
        .map(Some)
        .with_context(|| format!("cargo says what this program does not read: {line}"))
}

/// Test binary of a message, if it tells of one.
fn binary(message: &Message, metadata: &Metadata) -> anyhow::Result<Option<Binary>> {
    let is_test = message.profile.as_ref().is_some_and(|p| p.test);
    let (Some(id), Some(target), Some(executable), "compiler-artifact", true) = (
        &message.package_id,
        &message.target,
        &message.executable,
        message.reason.as_str(),
        is_test,
    ) else {
        return Ok(None);
    };
    let mut packages = metadata.packages.iter();
    let package = packages
        .find(|p| p.id == *id)
        .with_context(|| format!("cargo built {id}, which its metadata does not have"))?;
    describe(package, target, executable).map(Some)
}

fn describe(package: &Package, target: &Target, executable: &Path) -> anyhow::Result<Binary> {
    let manifest = PathBuf::from(&package.manifest_path);
    let text =
        std::fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
    let (short, unit) = target.names();
    Ok(Binary {
        name: format!("{} {short}", package.name),
        package: package.name.clone(),
        version: package.version.clone(),
        unit,
        executable: executable.to_owned(),
        harness: manifest::has_harness(&text, target.section(), &target.name),
        manifest,
    })
}

impl Target {
    /// Section of the manifest that describes it.
    fn section(&self) -> &str {
        match self.kind.first().map(String::as_str) {
            Some(kind @ ("bin" | "test" | "example" | "bench")) => kind,
            _ => "lib",
        }
    }

    /// Names for people and in cargo's timings.
    fn names(&self) -> (String, String) {
        let name = &self.name;
        match self.section() {
            "lib" => ("lib".to_owned(), " lib (test)".to_owned()),
            "test" => (name.clone(), format!(" {name} \"test\" (test)")),
            kind => (
                format!("{kind} {name}"),
                format!(" {name} \"{kind}\" (test)"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(kind: &str, rest: &str) -> Message {
        let text = format!(
            r#"{{"reason":"compiler-artifact","package_id":"ID","target":{{"kind":["{kind}"],
            "name":"exchange"}},{rest}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn ourselves() -> Metadata {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let package = json!({
            "id": "path+file:///x#xtask@0.1.0", "name": "xtask", "version": "0.1.0",
            "manifest_path": manifest, "dependencies": [], "targets": [],
        });
        let metadata = json!({
            "packages": [package], "workspace_members": [], "resolve": { "nodes": [] },
            "target_directory": "target",
        });
        serde_json::from_value(metadata).unwrap()
    }

    #[test]
    fn test_binaries_are_found_among_the_messages_of_cargo() {
        let metadata = ourselves();
        let mut message = message("test", r#""profile":{"test":true},"executable":"/t/x-1""#);
        message.package_id = Some("path+file:///x#xtask@0.1.0".to_owned());
        let binary = binary(&message, &metadata).unwrap().unwrap();
        assert_eq!(binary.name, "xtask exchange");
        assert_eq!(binary.unit, " exchange \"test\" (test)");
        assert!(binary.harness && binary.manifest.ends_with("xtask/Cargo.toml"));
    }

    #[test]
    fn programs_and_libraries_are_no_test_binaries() {
        let metadata = ourselves();
        for rest in [
            r#""profile":{"test":false},"executable":"/t/x""#,
            r#""profile":{"test":true},"executable":null"#,
        ] {
            let found = binary(&message("bin", rest), &metadata).unwrap();
            assert!(found.is_none(), "{rest}");
        }
    }

    #[test]
    fn targets_are_named_as_people_and_cargo_name_them() {
        let names = |kind| {
            message(kind, r#""executable":null"#)
                .target
                .unwrap()
                .names()
        };
        assert_eq!(names("lib"), ("lib".into(), " lib (test)".into()));
        assert_eq!(names("proc-macro"), ("lib".into(), " lib (test)".into()));
        let bin = ("bin exchange".into(), " exchange \"bin\" (test)".into());
        assert_eq!(names("bin"), bin);
    }
}
