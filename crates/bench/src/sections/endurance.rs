//! Memory over many signatures: what leaks only grows.

use std::sync::Arc;

use quorate_types::Threshold;
use serde::{Deserialize, Serialize};

use crate::Bench;
use crate::cases::{self, FROST_ED25519, Plan};
use crate::cluster::Cluster;
use crate::load::{self, Shape};
use crate::parts::Kind;
use crate::signing::Signer;
use crate::stats::number;
use crate::usage::Memory;

/// Requests in flight.
const WIDTH: usize = 64;

/// Memory after so many signatures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Point {
    /// So far.
    pub signatures: usize,
    /// Requests without one, so far.
    pub failures: usize,
    /// For each second, since the previous point.
    pub per_second: f64,
    /// Of the largest agent.
    pub agents: Memory,
    /// Of the orchestrator.
    pub orchestrator: Memory,
}

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Point>> {
    let Some((all, step)) = cases::endurance(bench.args.depth()) else {
        return Ok(Vec::new());
    };
    bench.progress.expect(1);
    let bar = bench.progress.step("endurance 2-of-3", all);
    let threshold = Threshold::new(2, 3)?;
    let cluster = Cluster::start(&bench.tools, threshold, bench.args.depth()).await?;
    let key = cluster
        .operator
        .create_key(&FROST_ED25519, "endurance")
        .await?;
    let signer = Signer::new(Arc::clone(&cluster.operator), &FROST_ED25519, key);
    let mut points: Vec<Point> = Vec::new();
    let (mut signatures, mut failures) = (0, 0);
    while signatures + failures < all {
        let plan = Plan::exactly(step);
        let went = load::run(&signer, Shape::Steady(WIDTH), plan, &bar).await;
        signatures += went.latencies.len();
        failures += went.failures.len();
        points.push(Point {
            signatures,
            failures,
            per_second: number(went.latencies.len()) / went.elapsed.as_secs_f64().max(1e-9),
            agents: Memory::of_agents(&cluster)?,
            orchestrator: Memory::of(&cluster, Kind::Orchestrator)?,
        });
    }
    bench
        .progress
        .done(&bar, &format!("{signatures} signatures"));
    Ok(points)
}
