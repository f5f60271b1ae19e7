//! A cluster provisioned by `quorate init`, with every part a process of its own, on free ports of the loopback interface.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use quorate_api::{PartyStatus, ResultView};
use quorate_party_agent::boot::store_dir;
use quorate_party_agent::passphrase;
use quorate_party_agent::primes::PrimeStock;
use quorate_storage::EncryptedFileStore;
use quorate_testkit::primes;
use quorate_types::{Action, PartyId, Threshold};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::Depth;
use crate::cases::{SCHEMES, stock};
use crate::operator::Operator;
use crate::parts::{Kind, Part, Parts};
use crate::tools::Tools;

/// How long a part may take to come up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds a peer may be silent: 64 ceremonies at once that each compute for seconds take long for each round.
const SILENCE: u32 = 600;
/// How many custodians have test primes of their own.
const OWN_PRIMES: u16 = 9;

/// A cluster. Dropping it ends its processes, then removes its directory.
pub struct Cluster {
    parts: Parts,
    nats: String,
    /// `t` of `n`.
    pub threshold: Threshold,
    /// nats-server's monitoring.
    pub monitoring: SocketAddr,
    /// The operator, connected.
    pub operator: Arc<Operator>,
    dir: TempDir,
}

/// How long a start took.
pub type Started = Duration;

impl Cluster {
    /// Provisions and starts one.
    ///
    /// # Errors
    /// Whatever keeps a part from coming up.
    pub async fn start(tools: &Tools, threshold: Threshold, depth: Depth) -> anyhow::Result<Self> {
        let dir = provision(tools, threshold)?;
        for number in 1..=threshold.n() {
            let file = custodian(&root(dir.path()), number).join("agent.toml");
            be_patient(&file, stock(depth, threshold))?;
        }
        Ok(Self::boot(tools, dir, threshold).await?.0)
    }

    /// The same with the time-outs and pools of a new cluster.
    ///
    /// # Errors
    /// Whatever keeps a part from coming up.
    pub async fn start_as_shipped(tools: &Tools, threshold: Threshold) -> anyhow::Result<Self> {
        let dir = provision(tools, threshold)?;
        Ok(Self::boot(tools, dir, threshold).await?.0)
    }

    /// Ends every process; the directory stays, its stores closed.
    #[must_use]
    pub fn stop(self) -> Stopped {
        let Self {
            parts,
            threshold,
            dir,
            ..
        } = self;
        drop(parts);
        Stopped { threshold, dir }
    }

    async fn boot(
        tools: &Tools,
        dir: TempDir,
        threshold: Threshold,
    ) -> anyhow::Result<(Self, Started)> {
        let root = root(dir.path());
        let mut parts = Booting::new(dir.path())?;
        let ports = parts.nats(tools, &root).await?;
        let began = Instant::now();
        for number in 1..=threshold.n() {
            parts.agent(tools, &root, number, &ports.nats)?;
        }
        parts.orchestrator(tools, &root, &ports.nats).await?;
        let operator = Operator::load(&root.join("operator"))?;
        parts.all_serve(&operator).await?;
        let cluster = Self {
            parts: parts.parts,
            nats: ports.nats,
            threshold,
            monitoring: ports.monitoring,
            operator: Arc::new(operator),
            dir,
        };
        Ok((cluster, began.elapsed()))
    }

    /// Its processes.
    pub fn parts(&self) -> &[Part] {
        &self.parts.0
    }

    /// Ends an agent as a power cut would.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill_agent(&mut self, number: u16) -> anyhow::Result<()> {
        let name = agent_name(number);
        let place = self.parts.0.iter().position(|p| p.name() == name);
        let place = place.with_context(|| format!("{name} does not run"))?;
        self.parts.0.remove(place).kill()
    }

    /// Starts it again.
    ///
    /// # Errors
    /// The operating system's.
    pub fn start_agent(&mut self, tools: &Tools, number: u16) -> anyhow::Result<()> {
        let mut command = agent_command(tools, &root(self.dir.path()), number, &self.nats);
        let logs = self.dir.path().join("logs");
        let part = Part::start(Kind::Agent, &agent_name(number), &mut command, &logs)?;
        self.parts.0.push(part);
        Ok(())
    }

    /// Whether every custodian takes part.
    pub async fn all_serve(&self) -> bool {
        let status = self.operator.api.status().await;
        status.is_ok_and(|status| status.parties.iter().all(serves))
    }

    /// Runs the committee setup; says how long it took.
    ///
    /// # Errors
    /// The API's; too few primes.
    pub async fn set_up(&self) -> anyhow::Result<Duration> {
        ensure!(
            self.threshold.n() <= OWN_PRIMES,
            "there are test primes for {OWN_PRIMES} custodians"
        );
        let began = Instant::now();
        let view = self.operator.run(Action::SetUpCommittee).await?;
        match view.result {
            Some(ResultView::Committee(_)) => Ok(began.elapsed()),
            other => bail!("the committee is not set up: {other:?}"),
        }
    }
}

/// A cluster of which nothing runs.
pub struct Stopped {
    threshold: Threshold,
    dir: TempDir,
}

impl Stopped {
    /// A custodian's directory.
    pub fn custodian(&self, number: u16) -> PathBuf {
        custodian(&root(self.dir.path()), number)
    }

    /// Starts all again; also says how long that took.
    ///
    /// # Errors
    /// Whatever keeps a part from coming up.
    pub async fn start(self, tools: &Tools) -> anyhow::Result<(Cluster, Started)> {
        Cluster::boot(tools, self.dir, self.threshold).await
    }
}

fn root(dir: &Path) -> PathBuf {
    dir.join("cluster")
}

fn custodian(root: &Path, number: u16) -> PathBuf {
    root.join(format!("custodians/party-{number}"))
}

fn provision(tools: &Tools, threshold: Threshold) -> anyhow::Result<TempDir> {
    let dir = tempfile::Builder::new()
        .prefix("quorate-bench-")
        .tempdir_in(&tools.work)?;
    let root = root(dir.path());
    let output = tools
        .quorate()
        .args(["init", "--threshold", &threshold.t().to_string()])
        .args(["--parties", &threshold.n().to_string()])
        .args(["--network", "regtest"])
        .arg(&root)
        .output()
        .context("cannot run quorate init")?;
    ensure!(
        output.status.success(),
        "quorate init: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    for number in 1..=threshold.n() {
        let custodian = custodian(&root, number);
        stock_primes(&custodian, number)?;
    }
    Ok(dir)
}

/// Puts primes made beforehand into the store of a custodian that does not run yet: an agent without any would search for them in
/// the background while it is measured. Beyond the ninth custodian they are repeated, so such a committee cannot be set up.
fn stock_primes(custodian: &Path, number: u16) -> anyhow::Result<()> {
    let party = PartyId::new(&format!("party-{number}"))?;
    let secret = passphrase::obtain(
        Some(&custodian.join("passphrase")),
        "QUORATE_PASSPHRASE",
        "",
    )?;
    let store = EncryptedFileStore::open(&store_dir(&custodian.join("data")), &party, &secret)?;
    let stock = PrimeStock::open(Arc::new(store))?;
    for prime in primes::full_list((number - 1) % OWN_PRIMES) {
        stock.add(&prime)?;
    }
    Ok(())
}

fn be_patient(agent_toml: &Path, stock: u16) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(agent_toml)?;
    let (head, _) = text
        .split_once("[timeouts]")
        .context("agent.toml has no [timeouts]")?;
    let timeouts: String = ["keygen", "aux", "sign", "presign", "spend"]
        .iter()
        .map(|name| format!("{name} = {SILENCE}\n"))
        .collect();
    // As many presignatures as the rows use, not filled up meanwhile; none for the scheme that is to do without.
    let off: Vec<_> = SCHEMES
        .iter()
        .filter(|s| s.needs_setup && !s.presigned)
        .map(|s| s.name)
        .collect();
    let presign = format!("[presign]\nlow = 1\nhigh = {stock}\noff = {off:?}\n");
    Ok(std::fs::write(
        agent_toml,
        format!("{head}[timeouts]\n{timeouts}{presign}"),
    )?)
}

fn agent_name(number: u16) -> String {
    format!("party-{number}")
}

fn agent_command(tools: &Tools, root: &Path, number: u16, nats: &str) -> Command {
    let mut command = tools.quorate();
    command
        .args(["agent", "run", "--nats-url", nats, "--config"])
        .arg(custodian(root, number).join("agent.toml"));
    command
}

fn serves(party: &PartyStatus) -> bool {
    let status = party.status.as_ref();
    status.is_some_and(|s| s.standing.is_serving())
}

/// Where nats-server listens.
struct Ports {
    nats: String,
    monitoring: SocketAddr,
}

/// A cluster coming up. Dropping it ends what has been started.
struct Booting {
    parts: Parts,
    logs: PathBuf,
}

impl Booting {
    fn new(dir: &Path) -> anyhow::Result<Self> {
        let logs = dir.join("logs");
        std::fs::create_dir_all(&logs)?;
        Ok(Self {
            parts: Parts::default(),
            logs,
        })
    }

    fn spawn(&mut self, kind: Kind, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.parts
            .0
            .push(Part::start(kind, name, command, &self.logs)?);
        Ok(())
    }

    /// With the configuration that `quorate init` wrote; only ports and monitoring are this program's.
    async fn nats(&mut self, tools: &Tools, root: &Path) -> anyhow::Result<Ports> {
        let home = root.join("nats");
        let ports = self.logs.join("ports");
        std::fs::create_dir_all(&ports)?;
        let text = std::fs::read_to_string(home.join("nats.conf"))?;
        let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
        let directory = serde_json::to_string(&std::path::absolute(&ports)?)?;
        let text = format!(
            "listen: \"127.0.0.1:-1\"\nhttp: \"127.0.0.1:-1\"\nports_file_dir: {directory}\n{rest}"
        );
        std::fs::write(home.join("bench.conf"), text)?;
        let mut command = Command::new(&tools.nats_server);
        command.current_dir(&home).args(["-c", "bench.conf"]);
        self.spawn(Kind::Nats, "nats-server", &mut command)?;
        let pid = self.parts.0.last().map_or(0, Part::pid);
        self.wait_for("nats-server", || read_ports(&ports, pid))
            .await
    }

    fn agent(&mut self, tools: &Tools, root: &Path, number: u16, nats: &str) -> anyhow::Result<()> {
        let mut command = agent_command(tools, root, number, nats);
        self.spawn(Kind::Agent, &agent_name(number), &mut command)
    }

    async fn orchestrator(&mut self, tools: &Tools, root: &Path, nats: &str) -> anyhow::Result<()> {
        let endpoint = root.join("operator/endpoint");
        if endpoint.exists() {
            std::fs::remove_file(&endpoint)?;
        }
        let mut command = tools.quorate();
        command
            .args(["orchestrator", "run", "--nats-url", nats])
            .args(["--listen", "127.0.0.1:0", "--endpoint-file"])
            .arg(&endpoint)
            .arg("--config")
            .arg(root.join("orchestrator/orchestrator.toml"));
        self.spawn(Kind::Orchestrator, "orchestrator", &mut command)?;
        self.wait_for("the orchestrator", || endpoint.exists().then_some(()))
            .await
    }

    async fn all_serve(&mut self, operator: &Operator) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = operator.api.status().await?;
            if status.parties.iter().all(serves) {
                return Ok(());
            }
            self.must_run()?;
            ensure!(Instant::now() < deadline, "not every custodian came up");
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn wait_for<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            self.must_run()?;
            ensure!(Instant::now() < deadline, "{what} did not start");
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        let logs = &self.logs;
        self.parts.0.iter_mut().try_for_each(|p| p.must_run(logs))
    }
}

/// The file that this process of nats-server writes once it listens.
fn read_ports(dir: &Path, pid: u32) -> Option<Ports> {
    let name = format!("nats-server_{pid}.ports");
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join(name)).ok()?).ok()?;
    let address = |kind: &str| -> Option<SocketAddr> {
        let url = json.get(kind)?.as_array()?.first()?.as_str()?;
        url.rsplit('/').next()?.parse().ok()
    };
    Some(Ports {
        nats: format!("tls://{}", address("nats")?),
        monitoring: address("monitoring")?,
    })
}
