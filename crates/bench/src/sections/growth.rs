//! What a signature costs against `t`, with as many custodians as signers.

use quorate_types::Threshold;

use crate::cases::{self, FROST_ED25519};
use crate::cluster::Cluster;
use crate::load::Shape;
use crate::measure::{self, Row, Subject};
use crate::{Bench, Report};

pub(super) async fn run(bench: &Bench<'_>, report: &mut Report) -> anyhow::Result<()> {
    let thresholds = cases::growth(bench.args.depth());
    bench.progress.expect(thresholds.len());
    for t in thresholds {
        report
            .growth
            .push(point(bench, Threshold::new(*t, *t)?).await?);
    }
    Ok(())
}

async fn point(bench: &Bench<'_>, threshold: Threshold) -> anyhow::Result<Row> {
    let cluster = Cluster::start(&bench.tools, threshold, bench.args.depth()).await?;
    let key = cluster
        .operator
        .create_key(&FROST_ED25519, "growth")
        .await?;
    let subject = Subject {
        cluster: &cluster,
        scheme: &FROST_ED25519,
        key: &key,
        keys: 1,
        ceremony_ms: None,
    };
    let plan = cases::growth_plan(bench.args.depth());
    measure::row(bench, &subject, Shape::Steady(1), plan).await
}
