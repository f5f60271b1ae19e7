//! Filling pools of presignatures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use quorate_api::ClusterStatus;
use quorate_types::KeyId;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::Bench;
use crate::measure::Subject;
use crate::parts::Kind;
use crate::signing::Signer;
use crate::stats::{ms, number};
use crate::usage::Snapshot;

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
}

impl Refill {
    /// Presignatures for each second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        number(self.count) / self.seconds.max(1e-9)
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
    let status = || cluster.operator.api.status();
    if level(&status().await?, subject.key.id, cluster.threshold.t()) == 0 {
        let operator = Arc::clone(&cluster.operator);
        Signer::new(operator, subject.scheme, subject.key.clone())
            .sign()
            .await?;
    }
    let before = Snapshot::take(cluster)?;
    let began = Instant::now();
    loop {
        let level = level(&status().await?, subject.key.id, cluster.threshold.t());
        bar.set_position(u64::try_from(level).unwrap_or(0));
        if level >= wanted {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "pools do not fill");
        sleep(Duration::from_millis(100)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let used = before.until_now(cluster)?;
    let agents = used.cpu.get(&Kind::Agent).copied().unwrap_or_default();
    bench.progress.done(&bar, &format!("{seconds:.1} s"));
    Ok(Refill {
        t: cluster.threshold.t(),
        n: cluster.threshold.n(),
        count: wanted,
        seconds,
        cpu_ms: ms(agents) / number(wanted),
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
