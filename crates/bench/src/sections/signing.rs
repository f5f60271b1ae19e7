//! Every scheme, committee and concurrency.

use std::sync::Arc;

use quorate_mpc_protocol::{Production, ReadyAux};
use quorate_types::{KeyRecord, Threshold};
use serde::{Deserialize, Serialize};

use crate::cases::{self, CONCURRENCIES, Plan, Scheme, Weight};
use crate::ceremony::{self, Alone, read_aux};
use crate::cluster::Cluster;
use crate::load::Shape;
use crate::measure::{self, Subject};
use crate::sections::refill;
use crate::stats::ms;
use crate::{Bench, Report};

/// How long a committee setup took, primes given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetUp {
    /// `t`.
    pub t: u16,
    /// `n`.
    pub n: u16,
    /// Seconds.
    pub seconds: f64,
}

/// A scheme with its rows, as far as there is time for any.
type Rows = (&'static Scheme, Vec<(usize, Plan)>);

pub(super) async fn run(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let work: Vec<(Threshold, Vec<Rows>)> = bench
        .args
        .committees()
        .into_iter()
        .map(|threshold| (threshold, planned(bench, threshold)))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    let rows = |rows: &Rows| rows.1.len();
    bench.progress.expect(
        work.iter()
            .map(|(_, all)| all.iter().map(rows).sum::<usize>())
            .sum(),
    );
    for (threshold, rows) in work {
        committee(bench, report, threshold, &rows).await?;
    }
    Ok(())
}

fn planned(bench: &Bench<'_>, threshold: Threshold) -> Vec<Rows> {
    let depth = bench.args.depth();
    let rows = |scheme: &'static Scheme| {
        let plan = |width: &usize| {
            let plan = scheme.weight.plan(depth, threshold, *width)?;
            Some((*width, bench.args.samples.map_or(plan, Plan::exactly)))
        };
        (scheme, CONCURRENCIES.iter().filter_map(plan).collect())
    };
    let all = bench.args.schemes().into_iter().map(rows);
    all.filter(|(_, rows): &Rows| !rows.is_empty()).collect()
}

async fn committee(
    bench: &Bench<'_>,
    report: &mut Report,
    threshold: Threshold,
    schemes: &[Rows],
) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(&bench.tools, threshold, bench.args.depth()).await?;
    let mut aux = Arc::new(Vec::new());
    for (number, (scheme, rows)) in (1..).zip(schemes) {
        if scheme.needs_setup && aux.is_empty() {
            (cluster, aux) = set_up(bench, report, cluster).await?;
        }
        let key = cluster.operator.create_key(scheme, scheme.name).await?;
        let mut subject = Subject {
            cluster: &cluster,
            scheme,
            key: &key,
            keys: number,
            ceremony_ms: alone(threshold, scheme, &key, &aux).await?,
        };
        if scheme.presigned {
            if let Some(plan) = cases::beside(bench.args.depth(), threshold) {
                report.beside = refill::beside(bench, &subject, plan).await?;
            }
            let wanted = rows.iter().map(|(_, plan)| plan.most).sum();
            report
                .refills
                .push(refill::fill(bench, &subject, wanted).await?);
            // That was the price of a presignature, which is paid.
            subject.ceremony_ms = None;
        }
        for (width, plan) in rows {
            let row = measure::row(bench, &subject, Shape::Steady(*width), *plan).await?;
            report.signing.push(row);
        }
    }
    Ok(())
}

/// Sets the committee up, and stops the cluster for a moment to read what came of it.
async fn set_up(
    bench: &Bench<'_>,
    report: &mut Report,
    cluster: Cluster,
) -> anyhow::Result<(Cluster, Arc<Vec<ReadyAux<Production>>>)> {
    bench.progress.expect(1);
    let threshold = cluster.threshold;
    let bar = bench
        .progress
        .step(&format!("committee setup {threshold}"), 1);
    let seconds = cluster.set_up().await?.as_secs_f64();
    bench.progress.done(&bar, &format!("{seconds:.1} s"));
    report.setups.push(SetUp {
        t: threshold.t(),
        n: threshold.n(),
        seconds,
    });
    let stopped = cluster.stop();
    let aux = Arc::new(read_aux(&stopped, threshold.t())?);
    Ok((stopped.start(&bench.tools).await?.0, aux))
}

/// What the ceremonies alone cost; nothing where that would take long.
async fn alone(
    threshold: Threshold,
    scheme: &Scheme,
    key: &KeyRecord,
    aux: &Arc<Vec<ReadyAux<Production>>>,
) -> anyhow::Result<Option<f64>> {
    let samples = match scheme.weight {
        Weight::Light => 50,
        Weight::Heavy | Weight::Stocked if threshold.t() <= 3 => 2,
        Weight::Heavy | Weight::Stocked => return Ok(None),
    };
    let subject = ceremony::Subject {
        threshold,
        curve: key.public_key.curve(),
        scheme: key.scheme,
        protocol: scheme.protocol.unwrap_or(key.scheme.default_protocol()),
        presign: scheme.presigned,
    };
    let alone = Alone::prepare(subject, Arc::clone(aux))?;
    let cost = tokio::task::spawn_blocking(move || alone.cost(samples)).await??;
    Ok(Some(ms(cost)))
}
