//! Load: so many requests in flight, each one's latency.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::task::JoinSet;

use crate::cases::Plan;
use crate::signing::Signer;
use crate::stats::ms;

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// So many in flight all the time: the next begins when one ends.
    Steady(usize),
    /// So many at once; the next ones begin when all have ended.
    Batches(usize),
}

impl Shape {
    /// How many are in flight at most.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::Steady(width) | Self::Batches(width) => width,
        }
    }
}

/// How requests went.
#[derive(Debug, Default)]
pub struct Went {
    /// Milliseconds of each that was answered with a good signature.
    pub latencies: Vec<f64>,
    /// Why the others were not.
    pub failures: Vec<String>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Went {
    fn add(&mut self, (latency, result): Timed) {
        match result {
            Ok(()) => self.latencies.push(ms(latency)),
            Err(error) => self.failures.push(format!("{error:#}")),
        }
    }
}

type Timed = (Duration, anyhow::Result<()>);

async fn timed(signer: &Signer) -> Timed {
    let began = Instant::now();
    let result = signer.sign().await;
    (began.elapsed(), result)
}

/// Has signatures made as planned.
pub async fn run(signer: &Arc<Signer>, shape: Shape, plan: Plan, bar: &ProgressBar) -> Went {
    let began = Instant::now();
    let mut went = match shape {
        Shape::Steady(width) => steady(signer, width, plan, bar).await,
        Shape::Batches(width) => batches(signer, width, plan, bar).await,
    };
    went.elapsed = began.elapsed();
    went
}

/// Has a few signatures made, in the same way, and forgets them.
pub async fn warm_up(signer: &Arc<Signer>, shape: Shape, plan: Plan) {
    let hidden = ProgressBar::hidden();
    run(signer, shape, Plan::exactly(plan.warm_up), &hidden).await;
}

/// Who may begin another one.
struct Turns {
    plan: Plan,
    began: Instant,
    taken: AtomicUsize,
}

impl Turns {
    fn take(&self) -> bool {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let in_time = self.began.elapsed() < self.plan.limit;
        taken < self.plan.most && (in_time || taken < self.plan.least)
    }
}

async fn steady(signer: &Arc<Signer>, width: usize, plan: Plan, bar: &ProgressBar) -> Went {
    let turns = Arc::new(Turns {
        plan,
        began: Instant::now(),
        taken: AtomicUsize::new(0),
    });
    let mut workers = JoinSet::new();
    for _ in 0..width {
        let (signer, turns, bar) = (Arc::clone(signer), Arc::clone(&turns), bar.clone());
        workers.spawn(async move {
            let mut own = Vec::new();
            while turns.take() {
                own.push(timed(&signer).await);
                bar.inc(1);
            }
            own
        });
    }
    let mut went = Went::default();
    for timed in workers.join_all().await.into_iter().flatten() {
        went.add(timed);
    }
    went
}

async fn batches(signer: &Arc<Signer>, width: usize, plan: Plan, bar: &ProgressBar) -> Went {
    let mut went = Went::default();
    for _ in 0..plan.most / width.max(1) {
        let mut batch = JoinSet::new();
        for _ in 0..width {
            let signer = Arc::clone(signer);
            batch.spawn(async move { timed(&signer).await });
        }
        for timed in batch.join_all().await {
            went.add(timed);
            bar.inc(1);
        }
    }
    went
}
