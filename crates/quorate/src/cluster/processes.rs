//! Separate processes over a real `nats-server` with mutual TLS, all on the loopback interface, on free ports.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use quorate_storage::create_private_dir;
use quorate_types::node::NodeStatus;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::ClusterDir;
use crate::operator::Viewer;
use crate::provision::nats_config;

/// How long a part may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster. Stop it with [`Processes::stop`]; dropping it kills the processes.
pub struct Processes {
    children: Vec<(String, Child)>,
    endpoint: PathBuf,
}

/// The `nats-server` to use: `QUORATE_NATS_SERVER`, or the first on the PATH.
pub fn find_nats_server() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("QUORATE_NATS_SERVER") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join("nats-server"))
        .find(|file| file.is_file())
}

impl Processes {
    /// Starts NATS, every custodian and the orchestrator, and waits until all custodians serve.
    pub async fn start(dir: &ClusterDir, nats_server: &Path) -> anyhow::Result<Self> {
        let endpoint = dir.endpoint_file();
        // Left over from a run that was killed.
        let _ = std::fs::remove_file(&endpoint);
        let mut cluster = Self {
            children: Vec::new(),
            endpoint,
        };
        let url = cluster.start_nats(dir, nats_server).await?;
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        for party in dir.roster()?.party_ids() {
            let mut command = Command::new(&program);
            command
                .args(["agent", "run", "--config"])
                .arg(dir.agent_config(&party))
                .args(["--nats-url", &url]);
            cluster.spawn(dir, party.as_str(), command)?;
        }
        let mut command = Command::new(&program);
        command
            .args(["orchestrator", "run", "--config"])
            .arg(dir.orchestrator_config())
            .args([
                "--nats-url",
                &url,
                "--listen",
                "127.0.0.1:0",
                "--endpoint-file",
            ])
            .arg(&cluster.endpoint);
        cluster.spawn(dir, "orchestrator", command)?;
        cluster.wait_until_all_serve(dir).await?;
        Ok(cluster)
    }

    async fn start_nats(&mut self, dir: &ClusterDir, nats_server: &Path) -> anyhow::Result<String> {
        let run = dir.path().join("run");
        create_private_dir(&run)?;
        let ports = run.join("ports");
        if ports.exists() {
            std::fs::remove_dir_all(&ports)?;
        }
        create_private_dir(&ports)?;
        let tls = std::path::absolute(dir.path().join("nats/tls"))?;
        let mut config = nats_config(&*dir.roster()?, "127.0.0.1:-1", &tls);
        let ports_dir = serde_json::to_string(&std::path::absolute(&ports)?)?;
        config.push_str(&format!("ports_file_dir: {ports_dir}\n"));
        let file = run.join("nats.conf");
        std::fs::write(&file, config)?;
        let mut command = Command::new(nats_server);
        command.arg("-c").arg(&file);
        self.spawn(dir, "nats-server", command)?;
        let port = self.wait_for(|| nats_port(&ports), "nats-server").await?;
        Ok(format!("tls://127.0.0.1:{port}"))
    }

    fn spawn(&mut self, dir: &ClusterDir, name: &str, mut command: Command) -> anyhow::Result<()> {
        let run = dir.path().join("run");
        create_private_dir(&run)?;
        let log = std::fs::File::create(run.join(format!("{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        if let Some(pid) = child.id() {
            std::fs::write(run.join(format!("{name}.pid")), pid.to_string())?;
        }
        self.children.push((name.to_owned(), child));
        Ok(())
    }

    async fn wait_for<T>(
        &mut self,
        mut look: impl FnMut() -> Option<T>,
        what: &str,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            self.fail_if_one_ended()?;
            if Instant::now() > deadline {
                bail!(
                    "{what} did not start within {} s; see the run directory's logs",
                    PATIENCE.as_secs()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn wait_until_all_serve(&mut self, dir: &ClusterDir) -> anyhow::Result<()> {
        let endpoint = self.endpoint.clone();
        self.wait_for(|| endpoint.exists().then_some(()), "the orchestrator")
            .await?;
        let viewer = Viewer::load(&dir.client_config())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = viewer.api.status().await?;
            let waiting: Vec<_> = status
                .parties
                .iter()
                .filter_map(|p| Some(format!("{} ({})", p.party, why_not(p.status.as_ref())?)))
                .collect();
            if waiting.is_empty() {
                return Ok(());
            }
            self.fail_if_one_ended()?;
            if Instant::now() > deadline {
                bail!(
                    "{} did not come up; see the run directory's logs",
                    waiting.join(", ")
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Names of custodians that have ended by themselves, each once. The others go on without them.
    ///
    /// # Errors
    /// NATS or the orchestrator ended: then nothing goes on.
    pub fn newly_ended(&mut self) -> anyhow::Result<Vec<String>> {
        let mut ended = Vec::new();
        for (name, child) in &mut self.children {
            if child.try_wait()?.is_some() {
                ended.push(name.clone());
            }
        }
        self.children.retain(|(name, _)| !ended.contains(name));
        match ended.iter().find(|name| !name.starts_with("party-")) {
            Some(name) => bail!("{name} ended; see the run directory's logs"),
            None => Ok(ended),
        }
    }

    /// An error that names a process that has ended by itself.
    fn fail_if_one_ended(&mut self) -> anyhow::Result<()> {
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended ({status}); see the run directory's logs");
            }
        }
        Ok(())
    }

    /// Asks every process to end, the last started first, and kills those that do not within five seconds.
    pub async fn stop(mut self) {
        for (name, child) in self.children.iter_mut().rev() {
            let pid = child
                .id()
                .and_then(|pid| i32::try_from(pid).ok())
                .and_then(rustix_pid);
            if let Some(pid) = pid {
                // A process that is gone already needs no signal.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            if tokio::time::timeout(Duration::from_secs(5), child.wait())
                .await
                .is_err()
            {
                tracing::warn!(name, "did not end, killing it");
                let _ = child.kill().await;
            }
        }
        let _ = std::fs::remove_file(&self.endpoint);
    }
}

/// Why a custodian does not serve yet.
fn why_not(status: Option<&NodeStatus>) -> Option<String> {
    match status {
        None => Some("no answer".to_owned()),
        Some(status) if status.standing.is_serving() => None,
        Some(status) => Some(status.standing.to_string()),
    }
}

fn rustix_pid(pid: i32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(pid)
}

/// From the file the server writes once it listens: `{"nats": ["tls://127.0.0.1:40123", ..]}`.
fn nats_port(dir: &Path) -> Option<u16> {
    let file = std::fs::read_dir(dir).ok()?.flatten().next()?;
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
    let url = json.get("nats")?.as_array()?.first()?.as_str()?;
    url.rsplit(':').next()?.parse().ok()
}
