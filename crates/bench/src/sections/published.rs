//! A thousand signatures in batches of eight in flight, the form in which others publish theirs.

use quorate_types::Threshold;

use crate::Bench;
use crate::cases::{self, FROST_ED25519, Plan};
use crate::cluster::Cluster;
use crate::load::Shape;
use crate::measure::{self, Row, Subject};

const BATCH: usize = 8;

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Row> {
    bench.progress.expect(1);
    let cluster = Cluster::start(&bench.tools, Threshold::new(2, 3)?, bench.args.depth()).await?;
    let key = cluster
        .operator
        .create_key(&FROST_ED25519, "published")
        .await?;
    let subject = Subject {
        cluster: &cluster,
        scheme: &FROST_ED25519,
        key: &key,
        keys: 1,
        ceremony_ms: None,
    };
    let plan = Plan::exactly(cases::published(bench.args.depth()));
    measure::row(bench, &subject, Shape::Batches(BATCH), plan).await
}
