//! Mixed load for long while custodians are killed and restarted at random; afterwards their ledgers are read.

mod audit;
mod report;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use quorate_api::ClientError;
use quorate_types::Threshold;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Bench;
use crate::cases::{self, Scheme, Weight};
use crate::cluster::Cluster;
use crate::procfs;
use crate::signing::Signer;
use audit::Audit;

/// Requests in flight.
const WIDTH: u64 = 6;
/// How often memory, threads and files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// No request may take longer than this to end.
const ENDS_WITHIN: Duration = Duration::from_secs(180);
/// Milliseconds between two deaths, at least and at most.
const BETWEEN: (u64, u64) = (3_000, 20_000);
/// Milliseconds a custodian stays away, at least and at most.
const AWAY: (u64, u64) = (0, 6_000);
/// How long a restarted custodian may take until it takes part.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// What came of it; `soak.json` is this.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Soak {
    /// What the choices followed from.
    pub seed: u64,
    /// Minutes of load.
    pub minutes: f64,
    /// By scheme.
    pub requests: BTreeMap<String, Requests>,
    /// Custodians killed, and started again.
    pub deaths: usize,
    /// By process: usage over time.
    pub usage: BTreeMap<String, Vec<Usage>>,
    /// What the ledgers say.
    pub audit: Audit,
}

/// How one scheme's requests ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Requests {
    /// With a good signature.
    pub signed: usize,
    /// With an error that says why, by its code.
    pub refused: BTreeMap<String, usize>,
    /// Seconds that the slowest took.
    #[serde(default)]
    pub slowest: f64,
    /// In any other way: there must be none.
    pub unclear: Vec<String>,
}

/// What a process uses at one moment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Usage {
    /// Seconds since the load began.
    pub at: f64,
    /// Its process id: another one after a restart.
    pub pid: u32,
    /// KiB.
    pub resident_kib: u64,
    /// Threads.
    pub threads: u64,
    /// Open files and sockets.
    pub files: usize,
}

type Ends = Arc<Mutex<BTreeMap<String, Requests>>>;

/// Runs it and writes `soak.md` and `soak.json`.
///
/// # Errors
/// A part that does not come up again, a request without a clear end, anything used twice.
pub async fn run(bench: &Bench<'_>, minutes: f64) -> anyhow::Result<()> {
    let duration = Duration::try_from_secs_f64(minutes * 60.0).context("how many minutes?")?;
    let mut cluster = Cluster::start_as_shipped(&bench.tools, Threshold::new(2, 3)?).await?;
    eprintln!("soak: committee setup");
    cluster.set_up().await?;
    let mut soak = Soak {
        seed: bench.args.seed,
        minutes,
        ..Soak::default()
    };
    let ends = Ends::default();
    let until = Instant::now() + duration;
    let workers = load(&cluster, soak.seed, until, &ends).await?;
    disturb(bench, &mut cluster, &mut soak, until).await?;
    workers.join_all().await;
    soak.requests = std::mem::take(&mut ends.lock().unwrap_or_else(PoisonError::into_inner));
    let stopped = cluster.stop();
    soak.audit = audit::of(&[1, 2, 3].map(|number| stopped.custodian(number)))?;
    report::write(&soak, &bench.args.out)?;
    eprintln!(
        "written: {}",
        Path::new(&bench.args.out).join("soak.md").display()
    );
    soak.check()
}

/// Starts the load: each worker picks a scheme at random, again and again.
async fn load(
    cluster: &Cluster,
    seed: u64,
    until: Instant,
    ends: &Ends,
) -> anyhow::Result<JoinSet<()>> {
    let mut signers: Vec<(&'static Scheme, Arc<Signer>)> = Vec::new();
    // Pools are kept for every ECDSA key here.
    let different = cases::SCHEMES.iter().filter(|s| s.name != cases::WARM);
    for scheme in different {
        let key = cluster.operator.create_key(scheme, scheme.name).await?;
        let signer = Signer::new(Arc::clone(&cluster.operator), scheme, key);
        signers.push((*scheme, signer));
    }
    // The light ones more often: a presignature takes a second, a signature milliseconds.
    let often: Vec<_> = signers
        .into_iter()
        .flat_map(|one| {
            let times = if one.0.weight == Weight::Light { 4 } else { 1 };
            std::iter::repeat_n(one, times)
        })
        .collect();
    let often = Arc::new(often);
    let mut workers = JoinSet::new();
    for worker in 0..WIDTH {
        let mut rng = ChaCha20Rng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(worker));
        let (often, ends) = (Arc::clone(&often), Arc::clone(ends));
        workers.spawn(async move {
            while Instant::now() < until {
                let choice = usize::try_from(rng.next_u32()).unwrap_or(0) % often.len();
                let Some((scheme, signer)) = often.get(choice) else {
                    return;
                };
                let began = Instant::now();
                let end = signer.sign_within(ENDS_WITHIN).await;
                note(&ends, scheme.name, began.elapsed(), end);
            }
        });
    }
    Ok(workers)
}

/// Takes down how a request ended, and how long that took.
fn note(ends: &Ends, scheme: &str, took: Duration, end: anyhow::Result<()>) {
    let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
    let requests = ends.entry(scheme.to_owned()).or_default();
    requests.slowest = requests.slowest.max(took.as_secs_f64());
    let Err(error) = end else {
        requests.signed += 1;
        return;
    };
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Problem(problem)) if !problem.detail.is_empty() => {
            *requests
                .refused
                .entry(problem.code.to_string())
                .or_default() += 1;
        }
        _ => requests.unclear.push(format!("{error:#}")),
    }
}

/// Kills custodians, one at a time, and starts them again.
async fn disturb(
    bench: &Bench<'_>,
    cluster: &mut Cluster,
    soak: &mut Soak,
    until: Instant,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut rng = ChaCha20Rng::seed_from_u64(soak.seed);
    let mut between =
        |(least, most): (u64, u64)| Duration::from_millis(least + rng.next_u64() % (most - least));
    let mut victim = 0;
    while Instant::now() < until {
        watch(cluster, soak, began, between(BETWEEN)).await?;
        // Which one follows from the same numbers.
        victim = (victim + u16::try_from(between((1, 3)).as_millis()).unwrap_or(1)) % 3;
        let number = victim + 1;
        cluster.kill_agent(number)?;
        watch(cluster, soak, began, between(AWAY)).await?;
        cluster.start_agent(&bench.tools, number)?;
        soak.deaths += 1;
        let deadline = Instant::now() + BACK_WITHIN;
        while !cluster.all_serve().await {
            ensure!(
                Instant::now() < deadline,
                "party-{number} does not come back"
            );
            sleep(Duration::from_millis(100)).await;
        }
        let left = until.saturating_duration_since(Instant::now()).as_secs();
        eprintln!("soak: party-{number} killed and back, {left} s left");
    }
    Ok(())
}

/// Waits, and looks at every process meanwhile.
async fn watch(
    cluster: &Cluster,
    soak: &mut Soak,
    began: Instant,
    time: Duration,
) -> anyhow::Result<()> {
    let until = Instant::now() + time;
    loop {
        for part in cluster.parts() {
            let pid = part.pid();
            let usage = Usage {
                at: began.elapsed().as_secs_f64(),
                pid,
                resident_kib: procfs::resident_kib(pid)?,
                threads: procfs::threads(pid)?,
                files: procfs::open_files(pid)?,
            };
            let of_part = soak.usage.entry(part.name().to_owned()).or_default();
            of_part.push(usage);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(LOOK)).await;
    }
}

impl Soak {
    fn check(&self) -> anyhow::Result<()> {
        for (scheme, requests) in &self.requests {
            ensure!(
                requests.unclear.is_empty(),
                "{scheme}: requests ended in no clear way: {:?}",
                requests.unclear
            );
            ensure!(requests.signed > 0, "{scheme}: nothing was signed");
        }
        ensure!(
            self.audit.used_twice.is_empty() && self.audit.begun_twice.is_empty(),
            "done twice: {:?}",
            self.audit
        );
        ensure!(self.audit.used > 0, "nothing preprocessed was used");
        Ok(())
    }
}
