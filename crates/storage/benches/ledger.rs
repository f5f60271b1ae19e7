//! Ledger commits per second with 1, 8 and 64 concurrent writers, against how often the disk itself can fsync.
//!
//! `cargo bench -p quorate-storage --bench ledger`. The fsync rate is of 4 KiB overwritten in place in the same directory, which is
//! what a commit cannot be faster than; group commit should bring many commits out of each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot work should stop where it happens"
)]

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quorate_storage::{Batch, Begun, Ledger, Start};
use quorate_types::{IntentHash, SessionId};

/// How long each figure is measured.
const SPAN: Duration = Duration::from_secs(3);

fn main() {
    // `cargo test` runs benches too, with this flag missing: then there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    // Not in /tmp, which may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let syncs = fsyncs_per_second(dir.path());
    println!("disk: {syncs:.0} fsyncs/s");
    for writers in [1, 8, 64] {
        let path = dir.path().join(format!("ledger-{writers}.redb"));
        let ledger = Ledger::open(&path).unwrap();
        let commits = commits_per_second(&ledger, writers);
        println!(
            "{writers:>2} writers: {commits:>6.0} commits/s, {:.2} for each fsync the disk could do",
            commits / syncs
        );
    }
}

fn rate(count: u64, since: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / since.elapsed().as_secs_f64()
}

fn fsyncs_per_second(dir: &Path) -> f64 {
    let file = File::create(dir.join("fsync")).unwrap();
    file.set_len(1 << 20).unwrap();
    file.sync_all().unwrap();
    let since = Instant::now();
    let mut count = 0;
    while since.elapsed() < SPAN {
        file.write_all_at(&[1; 4096], (count % 256) * 4096).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    rate(count, since)
}

fn commits_per_second(ledger: &Ledger, writers: u64) -> f64 {
    let next = AtomicU64::new(1);
    let since = Instant::now();
    thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                while since.elapsed() < SPAN {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let begun = ledger.begin(batch(number)).unwrap();
                    assert!(matches!(begun, Begun::Fresh { .. }));
                }
            });
        }
    });
    rate(next.into_inner() - 1, since)
}

/// As large as a signing's: one session, and a log leaf of 200 bytes.
fn batch(number: u64) -> Batch {
    let mut id = [0; 32];
    id.first_chunk_mut::<8>()
        .unwrap()
        .copy_from_slice(&number.to_be_bytes());
    let start = Start {
        intent: IntentHash::from_bytes(id),
        attempt: 0,
        sessions: vec![SessionId::from_bytes(id)],
    };
    Batch {
        leaves: vec![vec![0; 200]],
        ..Batch::new(start, 1)
    }
}
