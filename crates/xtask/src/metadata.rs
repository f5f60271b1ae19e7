//! What cargo says about the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::cargo::cargo;

/// `cargo metadata`, the parts that matter.
#[derive(Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    pub workspace_members: BTreeSet<String>,
    pub resolve: Resolve,
    pub target_directory: PathBuf,
}

#[derive(Deserialize)]
pub struct Package {
    pub id: String,
    pub name: String,
    pub version: String,
    pub license: Option<String>,
    pub manifest_path: String,
    pub dependencies: Vec<Dependency>,
    pub targets: Vec<Target>,
}

#[derive(Deserialize)]
pub struct Target {
    pub doctest: bool,
}

#[derive(Deserialize)]
pub struct Dependency {
    pub name: String,
    pub kind: Option<String>,
    pub req: String,
    pub features: Vec<String>,
}

#[derive(Deserialize)]
pub struct Resolve {
    pub nodes: Vec<Node>,
}

#[derive(Deserialize)]
pub struct Node {
    pub id: String,
    pub deps: Vec<NodeDep>,
}

#[derive(Deserialize)]
pub struct NodeDep {
    pub pkg: String,
    pub dep_kinds: Vec<DepKind>,
}

#[derive(Deserialize)]
pub struct DepKind {
    pub kind: Option<String>,
}

impl Dependency {
    /// Neither for tests nor for build scripts.
    pub fn is_normal(&self) -> bool {
        self.kind.is_none()
    }
}

/// Runs `cargo metadata` on the locked workspace with every feature there is.
pub fn load() -> anyhow::Result<Metadata> {
    with_features(&["--all-features"])
}

/// The same with the features that are shipped: those on by default, and those that `make test` turns on.
pub fn load_shipped() -> anyhow::Result<Metadata> {
    with_features(&["--features", "quorate/tpm,quorate/kms"])
}

fn with_features(features: &[&str]) -> anyhow::Result<Metadata> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(features)
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("cargo metadata printed something unexpected")
}

impl Metadata {
    /// Our own crates.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|p| self.workspace_members.contains(&p.id))
    }

    /// Names of everything a package needs to be built without its tests, itself included.
    pub fn closure(&self, package: &Package) -> BTreeSet<&str> {
        let nodes: BTreeMap<&str, &Node> = self
            .resolve
            .nodes
            .iter()
            .map(|n| (n.id.as_str(), n))
            .collect();
        let names: BTreeMap<&str, &str> = self
            .packages
            .iter()
            .map(|p| (p.id.as_str(), p.name.as_str()))
            .collect();
        let mut seen = BTreeSet::new();
        let mut queue = vec![package.id.as_str()];
        while let Some(id) = queue.pop() {
            if !seen.insert(id) {
                continue;
            }
            let deps = nodes.get(id).map_or(&[][..], |n| &n.deps);
            let normal = deps
                .iter()
                .filter(|d| d.dep_kinds.iter().any(|k| k.kind.is_none()));
            queue.extend(normal.map(|d| d.pkg.as_str()));
        }
        seen.into_iter()
            .filter_map(|id| names.get(id).copied())
            .collect()
    }
}
