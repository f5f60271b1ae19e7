//! A running cluster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quorate_types::PartyId;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::process::Running;
use super::template::{copy, template};
use super::{Process, Ran, free_port, nats_server, quorate, wait_for};

/// The longest any command of a test may take.
const LIMIT: Duration = Duration::from_secs(400);

/// What kind of cluster a test wants.
pub struct Setup {
    t: u16,
    n: u16,
    committee: bool,
    presign: Option<(u16, u16)>,
    timeouts: (u32, u32, u32),
    log: &'static str,
}

impl Setup {
    /// Presignatures in a full pool.
    pub const POOL: u16 = 4;

    /// Time-outs that are long for a machine that runs several clusters at once.
    pub const fn new(t: u16, n: u16) -> Self {
        Self {
            t,
            n,
            committee: false,
            presign: None,
            timeouts: (60, 200, 90),
            log: "info,quorate_messaging=debug,quorate_party_agent=debug",
        }
    }

    /// The committee is set up already.
    pub const fn with_committee(mut self) -> Self {
        self.committee = true;
        self
    }

    /// Agents make presignatures, which computes for a while in the background: four when none is
    /// left.
    pub const fn with_presignatures(mut self) -> Self {
        self.presign = Some((1, Self::POOL));
        self
    }

    /// Seconds a peer may be silent in key generation, committee setup and signing.
    pub const fn timeouts(mut self, keygen: u32, aux: u32, sign: u32) -> Self {
        self.timeouts = (keygen, aux, sign);
        self
    }

    /// Everything any library has to say.
    pub const fn traced(mut self) -> Self {
        self.log = "trace";
        self
    }
}

pub struct Cluster {
    dir: TempDir,
    n: u16,
    log: &'static str,
    port: u16,
    nats: Option<Process>,
    agents: BTreeMap<u16, Process>,
    orchestrator: Option<Process>,
    environment: Vec<(&'static str, PathBuf)>,
}

pub fn party(number: u16) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}

impl Cluster {
    /// A copy of the template, all of it running and answering.
    pub fn start(setup: Setup) -> Self {
        Self::start_prepared(setup, |_| Vec::new())
    }

    /// The same, after `prepare` did something to its directory; what it returns is the agents'
    /// environment.
    pub fn start_prepared(
        setup: Setup,
        prepare: impl FnOnce(&Path) -> Vec<(&'static str, PathBuf)>,
    ) -> Self {
        let source = template(setup.t, setup.n, setup.committee);
        Self::start_copy(&source, setup, prepare)
    }

    /// A copy of a provisioned directory, all of it running and answering.
    pub fn start_copy(
        source: &Path,
        setup: Setup,
        prepare: impl FnOnce(&Path) -> Vec<(&'static str, PathBuf)>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(source, &dir.path().join("cluster"));
        let mut cluster = Self {
            dir,
            n: setup.n,
            log: setup.log,
            port: 0,
            nats: None,
            agents: BTreeMap::new(),
            orchestrator: None,
            environment: Vec::new(),
        };
        std::fs::create_dir(cluster.file("logs")).unwrap();
        cluster.configure(&setup);
        cluster.environment = prepare(&cluster.root());
        cluster.start_nats();
        for number in 1..=setup.n {
            cluster.spawn_agent(number);
        }
        cluster.start_orchestrator();
        cluster.wait_until_online(&(1..=setup.n).collect::<Vec<_>>());
        cluster
    }

    /// The provisioned directory.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("cluster")
    }

    /// A path for the test's own files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.file(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn custodian(&self, number: u16) -> PathBuf {
        self.root().join(format!("custodians/party-{number}"))
    }

    pub fn nats_url(&self) -> String {
        format!("tls://127.0.0.1:{}", self.port)
    }

    /// Where the API listens.
    pub fn endpoint(&self) -> String {
        std::fs::read_to_string(self.root().join("operator/endpoint")).unwrap()
    }

    fn configure(&self, setup: &Setup) {
        let ((keygen, aux, sign), presign) = (setup.timeouts, setup.presign);
        for number in 1..=self.n {
            let file = self.custodian(number).join("agent.toml");
            let text = std::fs::read_to_string(&file).unwrap();
            let (head, _) = text.split_once("[timeouts]").unwrap();
            // A template may have been another test's cluster.
            let head = head.split("[presign]").next().unwrap();
            // As the agent itself would write it.
            let (low, high) = presign.unwrap_or((4, 8));
            let enabled = presign.is_some();
            let presign =
                format!("[presign]\nenabled = {enabled}\nlow = {low}\nhigh = {high}\noff = []\n\n");
            let text = format!(
                "{head}{presign}[timeouts]\nkeygen = {keygen}\naux = {aux}\nsign = {sign}\npresign = 180\nspend = {sign}\n"
            );
            std::fs::write(&file, text).unwrap();
        }
    }

    /// The server, with the configuration that `quorate init` wrote; only the port is this test's
    /// own.
    pub fn start_nats(&mut self) {
        let home = self.root().join("nats");
        if self.port == 0 {
            self.port = free_port();
            let file = home.join("nats.conf");
            let text = std::fs::read_to_string(&file).unwrap();
            let listen = format!("127.0.0.1:{}", self.port);
            let (first, rest) = text.split_once('\n').unwrap();
            assert!(first.starts_with("listen: "), "{text}");
            std::fs::write(&file, format!("listen: \"{listen}\"\n{rest}")).unwrap();
        }
        let mut command = Command::new(nats_server());
        command.current_dir(&home).args(["-c", "nats.conf"]);
        let mut server = Process::spawn("nats-server", &mut command, &self.file("logs/nats.log"));
        wait_for("nats-server listens", Duration::from_secs(30), || {
            assert!(server.has_ended().is_none(), "{}", server.log());
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        self.nats = Some(server);
    }

    /// SIGKILL: everything it held in memory is gone.
    pub fn stop_nats(&mut self) {
        self.nats.take().unwrap().kill();
    }

    fn spawn_agent(&mut self, number: u16) {
        self.spawn_agent_with(number, &[]);
    }

    /// Starts an agent with more arguments and does not wait for it.
    pub fn spawn_agent_with(&mut self, number: u16, more: &[&str]) {
        let mut command = quorate();
        command
            .args(["agent", "run", "--config"])
            .arg(self.custodian(number).join("agent.toml"))
            .args(["--nats-url", &self.nats_url()])
            .args(more)
            .env("QUORATE_LOG", self.log);
        command.envs(self.environment.iter().cloned());
        let name = format!("party-{number}");
        let log = self.file(&format!("logs/{name}.log"));
        self.agents
            .insert(number, Process::spawn(&name, &mut command, &log));
    }

    fn start_orchestrator(&mut self) {
        let endpoint = self.root().join("operator/endpoint");
        let _ = std::fs::remove_file(&endpoint);
        let mut command = quorate();
        command
            .args(["orchestrator", "run", "--config"])
            .arg(self.root().join("orchestrator/orchestrator.toml"))
            .args([
                "--nats-url",
                &self.nats_url(),
                "--listen",
                "127.0.0.1:0",
                "--endpoint-file",
            ])
            .arg(&endpoint)
            .env("QUORATE_LOG", self.log.split(',').next().unwrap());
        let log = self.file("logs/orchestrator.log");
        let mut process = Process::spawn("orchestrator", &mut command, &log);
        wait_for("the orchestrator listens", Duration::from_secs(60), || {
            assert!(process.has_ended().is_none(), "{}", process.log());
            endpoint.exists().then_some(())
        });
        self.orchestrator = Some(process);
    }

    /// Waits until these custodians answer the orchestrator.
    pub fn wait_until_online(&mut self, numbers: &[u16]) {
        wait_for("the custodians answer", Duration::from_secs(60), || {
            for (number, agent) in &mut self.agents {
                assert!(
                    agent.has_ended().is_none(),
                    "party-{number} ended:\n{}",
                    agent.log()
                );
            }
            let status = self.json(&["status"]);
            let online = |number: &u16| {
                let name = format!("party-{number}");
                let parties = status["parties"].as_array().unwrap();
                let up = |p: &Value| {
                    let state = &p["status"]["standing"]["state"];
                    p["party"] == name.as_str() && state.is_string() && state != "sealed"
                };
                parties.iter().any(up)
            };
            numbers.iter().all(online).then_some(())
        });
    }

    pub fn agent(&self, number: u16) -> &Process {
        &self.agents[&number]
    }

    /// Runs `quorate agent <command>` for a custodian.
    #[track_caller]
    pub fn agent_cli(&self, number: u16, command: &[&str]) -> Ran {
        let mut quorate = quorate();
        quorate.arg("agent").args(command).arg("--config");
        quorate.arg(self.custodian(number).join("agent.toml"));
        quorate.arg("--json");
        Ran::of(&mut quorate, LIMIT)
    }

    /// Waits until an agent's standing is this.
    pub fn wait_until(&mut self, number: u16, state: &str) -> Value {
        let what = format!("party-{number} is {state}");
        wait_for(&what, Duration::from_secs(60), || {
            let agent = self.agents.get_mut(&number).unwrap();
            assert!(agent.has_ended().is_none(), "{}", agent.log());
            let ran = self.agent_cli(number, &["status"]);
            let status: Value = serde_json::from_str(&ran.stdout).ok()?;
            (status["standing"]["state"] == state).then_some(status)
        })
    }

    /// SIGTERM, and waits.
    pub fn stop_agent(&mut self, number: u16) {
        self.agents.remove(&number).unwrap().stop();
    }

    /// SIGKILL.
    pub fn kill(&mut self, number: u16) {
        self.agents.remove(&number).unwrap().kill();
    }

    /// SIGSTOP: it stays connected and says nothing.
    pub fn freeze(&self, number: u16) {
        self.agents[&number].signal(Signal::STOP);
    }

    pub fn thaw(&self, number: u16) {
        self.agents[&number].signal(Signal::CONT);
    }

    pub fn restart(&mut self, number: u16) {
        if let Some(mut agent) = self.agents.remove(&number) {
            agent.stop();
        }
        self.spawn_agent(number);
        self.wait_until_online(&[number]);
    }

    /// Ends everything in order; the stores are closed afterwards.
    pub fn stop(&mut self) {
        for process in self.orchestrator.iter_mut().chain(self.agents.values_mut()) {
            let status = process.stop();
            assert!(status.success(), "{status}\n{}", process.log());
        }
        self.orchestrator = None;
        self.agents.clear();
        self.stop_nats();
    }

    fn command(&self, args: &[&str]) -> Command {
        self.command_as("operator", args)
    }

    /// A command of whoever has that directory.
    fn command_as(&self, who: &str, args: &[&str]) -> Command {
        let mut command = quorate();
        command
            .args(args)
            .args(args.first().filter(|a| **a == "sign").map(|_| "--yes"))
            .arg("--client")
            .arg(self.root().join(who).join("client.toml"));
        command
    }

    /// Runs a command of an admin or approver, for example `people/ann`.
    #[track_caller]
    pub fn cli_as(&self, who: &str, args: &[&str]) -> Ran {
        Ran::of(&mut self.command_as(who, args), LIMIT)
    }

    /// Starts a command of an admin or approver.
    pub fn start_as(&self, who: &str, args: &[&str]) -> Running {
        Running::start(&mut self.command_as(who, args))
    }

    /// Runs a command of the operator.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args), LIMIT)
    }

    /// Starts a command of the operator.
    pub fn start_cli(&self, args: &[&str]) -> Running {
        Running::start(self.command(args).arg("--json"))
    }

    /// What a command that must succeed prints with `--json`.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        self.cli(&[args, &["--json"]].concat()).json()
    }

    /// What a command that must fail prints with `--json`.
    #[track_caller]
    pub fn problem(&self, args: &[&str]) -> Value {
        self.cli(&[args, &["--json"]].concat()).problem()
    }

    /// Runs a signing command until intents issued now are no longer refused because of a restore.
    #[track_caller]
    pub fn after_a_restore(&self, args: &[&str]) {
        wait_for(
            "intents are acted on again",
            Duration::from_secs(120),
            || {
                let ran = self.cli(&[args, &["--json"]].concat());
                let refused = ran.code != Some(0) && ran.stderr.contains("before-restore");
                if refused {
                    std::thread::sleep(Duration::from_secs(1));
                    return None;
                }
                ran.ok();
                Some(())
            },
        );
    }

    /// Creates a key and returns its listing.
    #[track_caller]
    pub fn create_key(&self, name: &str, curve: &str, more: &[&str]) -> Value {
        self.json(&[&["key", "create", "--curve", curve, "--name", name], more].concat())
    }

    /// Everything every process has written.
    pub fn logs(&self) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.file("logs")).unwrap().flatten() {
            all += &String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap());
        }
        all
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in self
                .nats
                .iter()
                .chain(self.agents.values())
                .chain(&self.orchestrator)
            {
                process.show_log();
            }
        }
    }
}

/// The directory of certificates of a user.
pub fn tls(root: &Path, user: &str) -> PathBuf {
    match user.strip_prefix("party-") {
        Some(_) => root.join("custodians").join(user).join("tls"),
        None => root.join(user).join("tls"),
    }
}
