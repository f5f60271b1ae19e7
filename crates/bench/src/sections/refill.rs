//! Filling pools of presignatures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use quorate_api::ClusterStatus;
use quorate_types::KeyId;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::Bench;
use crate::cases::{self, FROST_ED25519, Plan};
use crate::load::Shape;
use crate::measure::{self, Row, Subject};
use crate::parts::Kind;
use crate::signing::Signer;
use crate::stats::{ms, number};
use crate::usage::Snapshot;

/// How often pools are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// More than an agent makes at once on a few cores.
const FROM_EMPTY: usize = 8;
/// How long a pool may take.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A pool filled from empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refill {
    /// `t`.
    pub t: u16,
    /// `n`.
    pub n: u16,
    /// Presignatures made.
    pub count: usize,
    /// From the first request for them.
    pub seconds: f64,
    /// CPU milliseconds of all agents for each.
    pub cpu_ms: f64,
    /// CPU milliseconds of all signers' ceremonies alone for each.
    pub ceremony_ms: Option<f64>,
}

/// Signing, by itself and while a pool of another key is being filled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Beside {
    /// By itself.
    pub quiet: Row,
    /// While it is filled.
    pub filling: Row,
    /// Presignatures made meanwhile; the pool was not full at the end. Not in reports of earlier builds.
    pub made: Option<usize>,
}

impl Refill {
    /// Presignatures for each second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        number(self.count) / self.seconds.max(1e-9)
    }

    /// How much of what all cores could make with the ceremonies alone, in percent.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let cores = number(std::thread::available_parallelism().map_or(1, usize::from));
        let possible = 1000.0 * cores / self.ceremony_ms.filter(|ms| *ms > 0.0)?;
        Some(100.0 * self.per_second() / possible)
    }
}

/// Measures signing with an Ed25519 key, then has a pool of the subject's key filled and measures the same again.
///
/// # Errors
/// A part that is gone.
pub async fn beside(
    bench: &Bench<'_>,
    subject: &Subject<'_>,
    plan: Plan,
) -> anyhow::Result<Vec<Beside>> {
    let cluster = subject.cluster;
    let key = cluster
        .operator
        .create_key(&FROST_ED25519, "beside")
        .await?;
    let light = Subject {
        scheme: &FROST_ED25519,
        key: &key,
        ceremony_ms: None,
        ..*subject
    };
    let widths = [Shape::Steady(1), Shape::Steady(8)];
    bench.progress.expect(2 * widths.len());
    let mut quiet = Vec::new();
    for shape in widths {
        quiet.push(measure::row(bench, &light, shape, plan).await?);
    }
    touch(subject).await?;
    // Those that are begun for an empty pool have a higher priority.
    reach(subject, FROM_EMPTY, |_| {}).await?;
    let mut found = Vec::new();
    for (shape, quiet) in widths.into_iter().zip(quiet) {
        let before = level_of(subject).await?;
        let filling = measure::row(bench, &light, shape, plan).await?;
        let after = level_of(subject).await?;
        ensure!(
            after < usize::from(cases::stock(bench.args.depth(), subject.cluster.threshold)),
            "the pool was full before the row had ended"
        );
        found.push(Beside {
            quiet,
            filling,
            made: Some(after.saturating_sub(before)),
        });
    }
    Ok(found)
}

/// One signature, which tells the signers to make presignatures.
async fn touch(subject: &Subject<'_>) -> anyhow::Result<()> {
    let operator = Arc::clone(&subject.cluster.operator);
    Signer::new(operator, subject.scheme, subject.key.clone())
        .sign()
        .await
}

async fn level_of(subject: &Subject<'_>) -> anyhow::Result<usize> {
    let status = subject.cluster.operator.api.status().await?;
    Ok(level(
        &status,
        subject.key.id,
        subject.cluster.threshold.t(),
    ))
}

/// Waits until the signers have so many; `seen` is told how many they have meanwhile.
async fn reach(subject: &Subject<'_>, wanted: usize, seen: impl Fn(usize)) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let level = level_of(subject).await?;
        seen(level);
        if level >= wanted {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "pools do not fill");
        sleep(LOOK).await;
    }
}

/// Waits until the signers have so many, after one signature that tells them to make some.
///
/// # Errors
/// A part that is gone, or pools that do not fill.
pub async fn fill(
    bench: &Bench<'_>,
    subject: &Subject<'_>,
    wanted: usize,
) -> anyhow::Result<Refill> {
    let cluster = subject.cluster;
    let what = format!("{} presignatures {}", wanted, cluster.threshold);
    let bar = bench.progress.step(&what, wanted);
    if level_of(subject).await? == 0 {
        touch(subject).await?;
    }
    let there = level_of(subject).await?;
    let before = Snapshot::take(cluster)?;
    let began = Instant::now();
    reach(subject, wanted, |level| {
        bar.set_position(u64::try_from(level).unwrap_or(0));
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    let used = before.until_now(cluster)?;
    let agents = used.cpu.get(&Kind::Agent).copied().unwrap_or_default();
    bench.progress.done(&bar, &format!("{seconds:.1} s"));
    Ok(Refill {
        t: cluster.threshold.t(),
        n: cluster.threshold.n(),
        count: wanted.saturating_sub(there),
        seconds,
        cpu_ms: ms(agents) / number(wanted.saturating_sub(there)).max(1.0),
        ceremony_ms: subject.ceremony_ms,
    })
}

/// What the signers of the key's fullest pool have.
fn level(status: &ClusterStatus, key: KeyId, signers: u16) -> usize {
    let of_party = status.parties.iter().filter_map(|party| {
        let pools = party.status.as_ref()?.pools.iter();
        let levels = pools
            .filter(|pool| pool.pool.key == key)
            .map(|pool| pool.level);
        levels.max()
    });
    let mut levels: Vec<u32> = of_party.collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    let last = usize::from(signers).saturating_sub(1);
    levels
        .get(last)
        .map_or(0, |level| usize::try_from(*level).unwrap_or(0))
}
