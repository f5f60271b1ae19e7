//! Creating keys one after the other, and what many keys cost afterwards: start, memory, finding one.

use std::time::Instant;

use quorate_types::{KeyRecord, Threshold};
use serde::{Deserialize, Serialize};

use crate::Bench;
use crate::cases::{self, FROST_ED25519, Plan};
use crate::cluster::Cluster;
use crate::load::Shape;
use crate::measure::{self, Row, Subject};
use crate::stats::{Percentiles, ms};
use crate::usage::Memory;

/// How many creations are compared with each other.
const ENDS: usize = 50;
/// Signatures with one key and with all of them.
const SIGNATURES: usize = 20;

/// What keys cost, 2-of-3.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Keys {
    /// How many were created.
    pub created: usize,
    /// Creation, milliseconds, all of them.
    pub latency: Percentiles,
    /// The first.
    pub first_ms: f64,
    /// The last.
    pub last_ms: f64,
    /// The median of the first few.
    pub early_ms: f64,
    /// The median of as many at the end.
    pub late_ms: f64,
    /// How many these few are.
    pub ends: usize,
    /// Starts of the cluster.
    pub starts: Vec<StartUp>,
    /// Signing, one at a time, with one key in the cluster and with all.
    pub signing: Vec<Row>,
    /// Every creation in milliseconds, in order.
    pub latencies: Vec<f64>,
}

/// A start of the cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartUp {
    /// Keys in it.
    pub keys: usize,
    /// Seconds until every agent served.
    pub seconds: f64,
    /// Memory of the agents right after it.
    pub memory: Memory,
}

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Keys> {
    bench.progress.expect(3);
    let mut keys = Keys::default();
    let cluster = Cluster::start(&bench.tools, Threshold::new(2, 3)?, bench.args.depth()).await?;
    let first = create(&cluster, &mut keys).await?;
    keys.signing
        .push(signing(bench, &cluster, &first, 1).await?);
    let cluster = restarted(bench, cluster, &mut keys).await?;

    let wanted = cases::keys(bench.args.depth());
    let bar = bench.progress.step("creating keys 2-of-3", wanted);
    for _ in 1..wanted {
        create(&cluster, &mut keys).await?;
        bar.inc(1);
    }
    keys.summarise();
    let result = format!("p50 {:.1} ms", keys.latency.p50);
    bench.progress.done(&bar, &result);

    let cluster = restarted(bench, cluster, &mut keys).await?;
    let row = signing(bench, &cluster, &first, keys.created).await?;
    keys.signing.push(row);
    if let Some(wanted) = cases::stored_keys(bench.args.depth()) {
        stored(bench, cluster, &mut keys, &first, wanted).await?;
    }
    Ok(keys)
}

/// The same with so many keys on disk.
async fn stored(
    bench: &Bench<'_>,
    cluster: Cluster,
    keys: &mut Keys,
    first: &KeyRecord,
    wanted: usize,
) -> anyhow::Result<()> {
    bench.progress.expect(1);
    let n = cluster.threshold.n();
    let stopped = cluster.stop();
    let bar = bench.progress.step("storing keys 2-of-3", usize::from(n));
    let missing = wanted.saturating_sub(keys.created);
    for number in 1..=n {
        let custodian = stopped.custodian(number);
        tokio::task::spawn_blocking(move || super::stored::add(&custodian, missing)).await??;
        bar.inc(1);
    }
    bench.progress.done(&bar, &format!("{wanted} keys"));
    let (cluster, took) = stopped.start(&bench.tools).await?;
    keys.starts.push(StartUp {
        keys: wanted,
        seconds: took.as_secs_f64(),
        memory: Memory::of_agents(&cluster)?,
    });
    let row = signing(bench, &cluster, first, wanted).await?;
    keys.signing.push(row);
    Ok(())
}

async fn create(cluster: &Cluster, keys: &mut Keys) -> anyhow::Result<KeyRecord> {
    let name = format!("key-{}", keys.created);
    let began = Instant::now();
    let record = cluster.operator.create_key(&FROST_ED25519, &name).await?;
    keys.latencies.push(ms(began.elapsed()));
    keys.created += 1;
    Ok(record)
}

async fn signing(
    bench: &Bench<'_>,
    cluster: &Cluster,
    key: &KeyRecord,
    keys: usize,
) -> anyhow::Result<Row> {
    let subject = Subject {
        cluster,
        scheme: &FROST_ED25519,
        key,
        keys,
        ceremony_ms: None,
    };
    let plan = Plan::exactly(SIGNATURES.min(cases::keys(bench.args.depth())));
    measure::row(bench, &subject, Shape::Steady(1), plan).await
}

async fn restarted(
    bench: &Bench<'_>,
    cluster: Cluster,
    keys: &mut Keys,
) -> anyhow::Result<Cluster> {
    let (cluster, took) = cluster.stop().start(&bench.tools).await?;
    keys.starts.push(StartUp {
        keys: keys.created,
        seconds: took.as_secs_f64(),
        memory: Memory::of_agents(&cluster)?,
    });
    Ok(cluster)
}

impl Keys {
    fn summarise(&mut self) {
        let all = &self.latencies;
        self.ends = ENDS.min(all.len() / 2).max(1);
        let median = |some: Option<&[f64]>| Percentiles::of(some.unwrap_or_default()).p50;
        self.latency = Percentiles::of(all);
        self.first_ms = all.first().copied().unwrap_or_default();
        self.last_ms = all.last().copied().unwrap_or_default();
        self.early_ms = median(all.get(..self.ends));
        self.late_ms = median(all.get(all.len() - self.ends..));
    }
}
