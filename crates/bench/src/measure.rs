//! One row: load, and what it used.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_types::KeyRecord;
use serde::{Deserialize, Serialize};

use crate::Bench;
use crate::cases::{Plan, Scheme};
use crate::cluster::Cluster;
use crate::load::{self, Shape, Went};
use crate::parts::Kind;
use crate::signing::Signer;
use crate::stats::{Percentiles, ms, number};
use crate::usage::{Cores, Memory, Snapshot, Usage};

/// A measured row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Row {
    /// The scheme's name.
    pub scheme: String,
    /// `t`.
    pub t: u16,
    /// `n`.
    pub n: u16,
    /// Requests in flight.
    pub in_flight: usize,
    /// Whether they came in batches that were waited for.
    pub batches: bool,
    /// Keys in the cluster.
    pub keys: usize,
    /// Good signatures.
    pub samples: usize,
    /// Requests without one.
    pub failures: usize,
    /// Why the first of them failed.
    pub first_failure: Option<String>,
    /// From the first request to the last answer, seconds.
    pub seconds: f64,
    /// Good signatures for each of these seconds.
    pub per_second: f64,
    /// Milliseconds.
    pub latency: Percentiles,
    /// CPU milliseconds for each good signature.
    pub cpu_ms: BTreeMap<Kind, f64>,
    /// CPU milliseconds of all signers' ceremonies alone, for each signature.
    pub ceremony_ms: Option<f64>,
    /// Cores that were busy.
    pub cores: Cores,
    /// Memory of the agents afterwards.
    pub memory: Memory,
    /// Messages into nats-server for each good signature.
    pub messages: f64,
    /// KiB into nats-server for each good signature.
    pub kib_in: f64,
    /// KiB out of it.
    pub kib_out: f64,
    /// KiB that the agents wrote to disk for each good signature.
    pub kib_disk: f64,
    /// What it is up against.
    pub limit: String,
    /// Every latency in milliseconds, in the order of their ends at each worker.
    pub latencies: Vec<f64>,
}

impl Row {
    /// `2-of-3`.
    #[must_use]
    pub fn committee(&self) -> String {
        format!("{}-of-{}", self.t, self.n)
    }

    /// What all signers' agents use for each millisecond that the ceremonies alone use.
    #[must_use]
    pub fn overhead(&self) -> Option<f64> {
        let agents = self.cpu_ms.get(&Kind::Agent)?;
        Some(agents / self.ceremony_ms.filter(|alone| *alone > 0.0)?)
    }

    /// CPU milliseconds of everything for each good signature.
    #[must_use]
    pub fn total_cpu_ms(&self) -> f64 {
        self.cpu_ms.values().sum()
    }
}

/// What a row is about.
pub struct Subject<'a> {
    /// Where.
    pub cluster: &'a Cluster,
    /// How.
    pub scheme: &'static Scheme,
    /// With which key.
    pub key: &'a KeyRecord,
    /// Keys in the cluster.
    pub keys: usize,
    /// See [`Row::ceremony_ms`].
    pub ceremony_ms: Option<f64>,
}

/// Measures one.
///
/// # Errors
/// A part that is gone. Requests that fail are counted.
pub async fn row(
    bench: &Bench<'_>,
    subject: &Subject<'_>,
    shape: Shape,
    plan: Plan,
) -> anyhow::Result<Row> {
    let Subject {
        cluster, scheme, ..
    } = *subject;
    let what = format!(
        "{} {}, {} in flight",
        scheme.name,
        cluster.threshold,
        shape.width()
    );
    let bar = bench.progress.step(&what, plan.most);
    let operator = Arc::clone(&cluster.operator);
    let signer = Signer::new(operator, scheme, subject.key.clone());
    load::warm_up(&signer, shape, plan).await;
    let before = Snapshot::take(cluster)?;
    let went = load::run(&signer, shape, plan, &bar).await;
    let usage = before.until_now(cluster)?;
    let row = summary(subject, shape, went, &usage)?;
    let result = format!(
        "{:.1}/s, p50 {:.1} ms, {} samples, {} failures",
        row.per_second, row.latency.p50, row.samples, row.failures
    );
    bench.progress.done(&bar, &result);
    Ok(row)
}

fn summary(subject: &Subject<'_>, shape: Shape, went: Went, usage: &Usage) -> anyhow::Result<Row> {
    let samples = went.latencies.len();
    let each = |total: f64| total / number(samples).max(1.0);
    let kib = |bytes: u64| each(u32::try_from(bytes / 1024).map_or(f64::MAX, f64::from));
    let cpu = usage.cpu.iter();
    let cores = usage.cores();
    Ok(Row {
        scheme: subject.scheme.name.to_owned(),
        t: subject.cluster.threshold.t(),
        n: subject.cluster.threshold.n(),
        in_flight: shape.width(),
        batches: matches!(shape, Shape::Batches(_)),
        keys: subject.keys,
        samples,
        failures: went.failures.len(),
        first_failure: went.failures.first().cloned(),
        seconds: went.elapsed.as_secs_f64(),
        per_second: number(samples) / went.elapsed.as_secs_f64().max(1e-9),
        latency: Percentiles::of(&went.latencies),
        cpu_ms: cpu.map(|(kind, time)| (*kind, each(ms(*time)))).collect(),
        ceremony_ms: subject.ceremony_ms,
        cores,
        memory: Memory::of_agents(subject.cluster)?,
        messages: each(u32::try_from(usage.wire.in_msgs).map_or(f64::MAX, f64::from)),
        kib_in: kib(usage.wire.in_bytes),
        kib_out: kib(usage.wire.out_bytes),
        kib_disk: kib(usage.disk),
        limit: limit(cores, usage),
        latencies: went.latencies,
    })
}

/// What keeps the row from being faster: no core to run on, or waiting for each other.
fn limit(cores: Cores, usage: &Usage) -> String {
    let available = number(std::thread::available_parallelism().map_or(1, usize::from));
    let most = usage.cpu.iter().max_by_key(|(_, time)| **time);
    let (kind, share) = most.map_or(("", 0.0), |(kind, time)| {
        let share = time.as_secs_f64() / usage.total().as_secs_f64().max(1e-9);
        (kind.name(), 100.0 * share)
    });
    if cores.ours > 0.85 * available {
        format!("CPU, {kind} {share:.0} %")
    } else if cores.ours + cores.others > 0.85 * available {
        "CPU, taken by other work on the machine".to_owned()
    } else {
        "waiting for each other and the disk".to_owned()
    }
}
