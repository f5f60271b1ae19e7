//! The benchmark's harness works. What it measures here says nothing.

use std::path::Path;

use clap::Parser as _;
use quorate_bench::{Args, Depth, Report};

use crate::support::nats_server;

/// As little as there is of the sections that start clusters, restart them and make keys; published and growth are more of the same.
fn arguments(out: &Path) -> Args {
    Args::parse_from([
        "quorate-bench".as_ref(),
        "--smoke".as_ref(),
        "--committees=2-of-3".as_ref(),
        "--sections=signing,keys".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
        "--work".as_ref(),
        out.as_os_str(),
        "--quorate".as_ref(),
        env!("CARGO_BIN_EXE_quorate").as_ref(),
        "--nats-server".as_ref(),
        nats_server().as_os_str(),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_benchmark_runs_and_writes_its_report() {
    let dir = tempfile::tempdir().unwrap();
    let args = arguments(dir.path());
    // Fails if another test's client has installed it already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    quorate_bench::run(&args).await.unwrap();

    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let report: Report = serde_json::from_str(&read("benchmarks.json")).unwrap();
    assert_eq!(report.depth, Depth::Smoke);
    let rows: Vec<_> = report.rows().collect();
    let cases = |scheme: &str| rows.iter().filter(|row| row.scheme == scheme).count();
    assert_eq!(
        (cases("frost-ed25519"), cases("frost-bip340")),
        (4, 2),
        "two widths of each, and one row before and after the keys"
    );
    for row in rows {
        assert_eq!(row.failures, 0, "{:?}", row.first_failure);
        assert_eq!(row.samples, row.latencies.len());
        assert!(row.samples > 0 && row.messages > 0.0 && row.memory.resident_mib > 0.0);
    }
    assert_eq!(report.keys.unwrap().created, 2);

    let document = read("benchmarks.md");
    for plot in ["throughput", "latency-1", "latency-8", "keys", "stored"] {
        let file = format!("benchmarks/{plot}.svg");
        assert!(document.contains(&file), "{file} is not shown");
        assert!(read(&file).ends_with("</svg>\n"));
    }
    written_again(dir.path()).await;
    let left = std::fs::read_dir(dir.path()).unwrap().flatten();
    let left = left.filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("quorate-bench-")
    });
    assert_eq!(left.count(), 0, "the clusters' directories are removed");
}

/// The report again from its data alone.
async fn written_again(measured: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let mut args = arguments(dir.path());
    args.from = Some(measured.join("benchmarks.json"));
    quorate_bench::run(&args).await.unwrap();
    for file in ["benchmarks.json", "benchmarks.md", "benchmarks/keys.svg"] {
        let [before, after] = [measured, dir.path()].map(|d| std::fs::read_to_string(d.join(file)));
        assert!(before.unwrap() == after.unwrap(), "{file}");
    }
}
