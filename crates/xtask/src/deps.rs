//! Who may know whom. The rules are ARCHITECTURE.md's; this is where they hold.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::metadata::{Metadata, Package};

/// Pure crates: no runtime, no network, no files, no clock.
const PURE: &[&str] = &[
    "quorate-types",
    "quorate-mpc-protocol",
    "quorate-chain",
    "quorate-policy",
];
/// What a pure crate's build must not contain, however deep.
const IMPURE_CRATES: &[&str] = &["tokio", "async-nats", "reqwest", "hyper", "redb", "mio"];
/// What a pure crate's source must not name.
const IMPURE_PATHS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "SystemTime",
    "Instant::",
    "OsRng",
];
/// Crates that name threshold libraries: one to use them, one to attack them.
const NAMES_THRESHOLD: &[&str] = &["quorate-mpc-protocol", "quorate-testkit"];
/// Threshold libraries.
const THRESHOLD: &[&str] = &[
    "cggmp24",
    "cggmp24-keygen",
    "cggmp21",
    "paillier-zk",
    "key-share",
    "round-based",
    "dkls23",
    "frost-core",
    "frost-ed25519",
    "frost-secp256k1-tr",
];
/// Clients of key hardware and key services: only storage names them.
const KEY_HARDWARE: &[&str] = &["cryptoki", "tss-esapi", "aws-config", "aws-sdk-kms"];
/// Crates whose every use is development.
const DEVELOPMENT: &[&str] = &["quorate-testkit", "quorate-bench", "xtask"];
/// Exact versions: the protocols' checks and the reading of their errors depend on them.
const PINNED: &[&str] = &[
    "cggmp24",
    "cggmp24-keygen",
    "paillier-zk",
    "key-share",
    "round-based",
    "dkls23",
];
/// The feature that makes ceremonies fast and insecure.
const DANGER_FEATURE: &str = "danger-test-level";

/// Every breach of the rules, one sentence each.
pub fn check(metadata: &Metadata) -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for package in metadata.members() {
        direct(package, &mut complaints);
        transitive(metadata, package, &mut complaints);
        if PURE.contains(&package.name.as_str()) {
            sources(package, &mut complaints)?;
        }
    }
    versions(metadata, &mut complaints);
    Ok(complaints)
}

fn direct(package: &Package, complaints: &mut Vec<String>) {
    let name = package.name.as_str();
    for dependency in package.dependencies.iter().filter(|d| d.is_normal()) {
        let on = dependency.name.as_str();
        if THRESHOLD.contains(&on) && !NAMES_THRESHOLD.contains(&name) {
            complaints.push(format!(
                "{name} names the threshold library {on}; only quorate-mpc-protocol may, and testkit to attack it"
            ));
        }
        if KEY_HARDWARE.contains(&on) && name != "quorate-storage" {
            complaints.push(format!("{name} names {on}; only quorate-storage may"));
        }
        if PINNED.contains(&on) && !dependency.req.starts_with('=') {
            complaints.push(format!(
                "{name} takes {on} {}; it must be pinned with =",
                dependency.req
            ));
        }
        if dependency.features.iter().any(|f| f == DANGER_FEATURE) && !DEVELOPMENT.contains(&name) {
            complaints.push(format!(
                "{name} turns on {DANGER_FEATURE} of {on}; only testkit may"
            ));
        }
    }
}

fn transitive(metadata: &Metadata, package: &Package, complaints: &mut Vec<String>) {
    let name = package.name.as_str();
    let closure = metadata.closure(package);
    let mut forbid = |crates: &[&str], why: &str| {
        for found in crates
            .iter()
            .filter(|c| **c != name && closure.contains(**c))
        {
            complaints.push(format!("{name} depends on {found}: {why}"));
        }
    };
    if PURE.contains(&name) {
        forbid(
            IMPURE_CRATES,
            "pure crates have no runtime, network or files",
        );
    }
    if !DEVELOPMENT.contains(&name) {
        forbid(DEVELOPMENT, "it is for development only");
    }
    match name {
        "quorate-orchestrator" => {
            forbid(
                &["quorate-mpc-protocol", "quorate-storage"],
                "the orchestrator holds no secrets",
            );
            forbid(THRESHOLD, "the orchestrator holds no secrets");
        }
        "quorate-chain" => forbid(
            THRESHOLD,
            "transactions are understood without the protocols",
        ),
        "quorate-types" => forbid(
            &["quorate-mpc-protocol", "quorate-chain"],
            "types is at the bottom",
        ),
        "quorate-mpc-protocol" => forbid(
            &["quorate-chain", "quorate-messaging"],
            "protocols know no transactions and no network",
        ),
        "quorate-messaging" => forbid(
            &[
                "quorate-mpc-protocol",
                "quorate-chain",
                "quorate-storage",
                "quorate-api",
            ],
            "messaging carries bytes",
        ),
        "quorate-storage" => forbid(
            &[
                "quorate-mpc-protocol",
                "quorate-chain",
                "quorate-messaging",
                "quorate-api",
            ],
            "storage keeps bytes",
        ),
        "quorate-api" => forbid(
            &[
                "quorate-mpc-protocol",
                "quorate-storage",
                "quorate-messaging",
            ],
            "the contract is independent of both sides",
        ),
        "quorate-party-agent" => {
            forbid(&["quorate-orchestrator"], "an agent trusts no orchestrator")
        }
        _ => {}
    }
}

fn sources(package: &Package, complaints: &mut Vec<String>) -> anyhow::Result<()> {
    let root = Path::new(&package.manifest_path).with_file_name("src");
    for file in rust_files(&root)? {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            for path in IMPURE_PATHS.iter().filter(|p| code.contains(**p)) {
                complaints.push(format!(
                    "{}:{number} names {path}; {} is pure",
                    file.display(),
                    package.name
                ));
            }
        }
    }
    Ok(())
}

fn rust_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut queue = vec![root.to_owned()];
    while let Some(directory) = queue.pop() {
        for entry in
            std::fs::read_dir(&directory).with_context(|| directory.display().to_string())?
        {
            let path = entry?.path();
            if path.is_dir() {
                queue.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Versions with known holes must not come in by any door: `cggmp21` at all (CVE-2025-66016, CVE-2025-66017), `cggmp24` before
/// 0.7.0-alpha.3 (T02). Nor may a part of `dkls23` that nobody here has read: it pins its own parts loosely.
fn versions(metadata: &Metadata, complaints: &mut Vec<String>) {
    for package in &metadata.packages {
        let affected = match package.name.as_str() {
            "cggmp21" | "multi-party-ecdsa" => true,
            "cggmp24" => package.version != "0.7.0-alpha.3",
            "dkls23" | "dkls23-core" | "dkls23-secp256k1" | "dkls23-secp256r1" => {
                package.version != "0.6.2"
            }
            _ => false,
        };
        if affected {
            complaints.push(format!(
                "{} {} is affected by known holes, or has not been reviewed",
                package.name, package.version
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata;

    /// The workspace as cargo sees it, with one edge added.
    fn with_edge(from: &str, to: &str) -> Metadata {
        let mut metadata = metadata::load().unwrap();
        let id_of = |name: &str| {
            metadata
                .packages
                .iter()
                .find(|p| p.name == name)
                .unwrap()
                .id
                .clone()
        };
        let (from, to) = (id_of(from), id_of(to));
        let node = metadata
            .resolve
            .nodes
            .iter_mut()
            .find(|n| n.id == from)
            .unwrap();
        node.deps.push(metadata::NodeDep {
            pkg: to,
            dep_kinds: vec![metadata::DepKind { kind: None }],
        });
        metadata
    }

    #[test]
    fn the_workspace_keeps_the_rules() {
        assert_eq!(
            check(&metadata::load().unwrap()).unwrap(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn forbidden_edges_are_found() {
        for (from, to) in [
            ("quorate-orchestrator", "quorate-mpc-protocol"),
            ("quorate-orchestrator", "quorate-storage"),
            ("quorate-chain", "tokio"),
            ("quorate-party-agent", "quorate-testkit"),
            ("quorate", "quorate-bench"),
            ("quorate-mpc-protocol", "quorate-messaging"),
        ] {
            assert!(
                !check(&with_edge(from, to)).unwrap().is_empty(),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn t02_an_affected_version_is_found() {
        let mut metadata = metadata::load().unwrap();
        metadata
            .packages
            .iter_mut()
            .find(|p| p.name == "cggmp24")
            .unwrap()
            .version = "0.7.0-alpha.1".to_owned();
        assert_eq!(check(&metadata).unwrap().len(), 1);
    }
}
