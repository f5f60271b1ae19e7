//! A real cluster for the tests: provisioned by `quorate init`, a `nats-server` with mutual TLS, every agent and the orchestrator
//! a process of its own.

pub mod browser;
pub mod chains;
pub mod cluster;
pub mod hostile;
pub mod payloads;
pub mod process;
pub mod template;

pub use cluster::{Cluster, Setup};
pub use process::{Process, Ran, quorate};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// The workspace's root.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A part that `make tools` installs.
fn part(paths: &[&str]) -> PathBuf {
    let found = paths
        .iter()
        .map(|path| workspace().join(path))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{} is missing: run `make tools`", paths[0]))
}

pub fn nats_server() -> PathBuf {
    part(&[".venv/bin/nats-server"])
}

pub fn python() -> PathBuf {
    part(&[".venv/bin/python"])
}

pub fn anvil() -> PathBuf {
    part(&[
        ".tools/npm/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil",
        ".tools/npm/node_modules/@foundry-rs/anvil-linux-arm64/bin/anvil",
        ".tools/npm/node_modules/@foundry-rs/anvil-darwin-arm64/bin/anvil",
        ".tools/npm/node_modules/@foundry-rs/anvil-darwin-amd64/bin/anvil",
    ])
}

/// The directory of `playwright-core`.
pub fn playwright() -> PathBuf {
    let main = part(&[".tools/npm/node_modules/playwright-core/index.mjs"]);
    main.parent().unwrap().to_owned()
}

pub fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("chromium"))
        .find(|file| file.is_file());
    found.expect("chromium is missing: run `make tools`")
}

/// A free loopback port outside the range from which the system takes ports for outgoing connections, so that a server can be
/// stopped and started again on it.
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = (std::process::id() % 100) as u16 * 100;
    for _ in 0..COUNT {
        let offset = process.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST + offset;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// Looks again and again until there is something; fails after `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: not within {} s",
            limit.as_secs()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
