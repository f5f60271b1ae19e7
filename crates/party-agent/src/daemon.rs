//! An agent's process: it starts sealed, serves once its store is open, and can be sealed again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use quorate_messaging::Transport;
use quorate_service::now_ms;
use quorate_storage::create_private_dir;
use quorate_types::node::{NodeReply, NodeRequest, NodeStatus, Standing};
use quorate_types::{Dialect, KeyName, PartyId, ValidRoster};
use tokio::sync::{mpsc, oneshot};

use crate::backup::{AgentBackupError, Schedule, Source};
use crate::boot::{self, ServingAgent};
use crate::control::{AgentStatus, Asked, ControlReply, ControlRequest, LocalBan};
use crate::judge::RefusalReason;
use crate::passphrase::Asking;
use crate::primes::NEEDED;
use crate::serve::FrontDoor;
use crate::{AgentConfig, Unlock, control};

const AT_START: &str = "it could not be unsealed at start";
/// How long accepting a restore or a policy may take.
const SETTLING: Duration = Duration::from_secs(5);

enum State {
    Sealed,
    Unsealed(Box<Serving>),
}

/// An open store and what is done with it.
struct Serving {
    agent: ServingAgent,
    backups: Option<Schedule>,
}

/// See the module.
pub struct Daemon {
    config_file: PathBuf,
    config: AgentConfig,
    transport: Arc<dyn Transport>,
    door: FrontDoor,
    state: State,
    warnings: Vec<String>,
    /// Held locked: one process for each data directory, sealed or not.
    _lock: File,
}

impl Daemon {
    /// A sealed agent.
    ///
    /// # Errors
    /// An unreadable roster, or another process on the data directory.
    pub fn start(
        config_file: PathBuf,
        config: AgentConfig,
        transport: Arc<dyn Transport>,
        warnings: Vec<String>,
    ) -> anyhow::Result<Self> {
        let roster = quorate_service::load_roster(&config.roster)?;
        create_private_dir(&config.data)?;
        let lock = lock(&config.data)?;
        let party = config.party.clone();
        let answer = sealed_answer(&config, &roster);
        let door = FrontDoor::open(party, Arc::clone(&transport), config.dialect(), answer);
        Ok(Self {
            config_file,
            config,
            transport,
            door,
            state: State::Sealed,
            warnings,
            _lock: lock,
        })
    }

    /// [`Self::unseal`] with what was at hand when the process started. One that does not open stays sealed and says why: a process that ended
    /// would be started again, and try a wrong PIN until the token locks.
    pub async fn unseal_at_start(&mut self, unlock: Unlock) {
        if let Err(error) = self.unseal(unlock).await {
            let party = &self.config.party;
            tracing::error!(%party, "staying sealed: {error:#}");
            self.warnings.push(format!("{AT_START}: {error:#}"));
        }
    }

    /// Opens the store and serves.
    ///
    /// # Errors
    /// What keeps it sealed.
    pub async fn unseal(&mut self, unlock: Unlock) -> anyhow::Result<()> {
        if let State::Unsealed(_) = self.state {
            return Ok(());
        }
        let config = self.config.clone();
        let opened = tokio::task::spawn_blocking(move || boot::open(&config, &unlock)).await??;
        let source = Source {
            config_file: self.config_file.clone(),
            config: self.config.clone(),
            opened: opened.clone(),
        };
        let agent = boot::start(&self.config, opened, Arc::clone(&self.transport)).await?;
        self.door.let_in(Arc::clone(agent.agent()));
        let backups = Schedule::start(source, agent.agent().standing_changes());
        self.state = State::Unsealed(Box::new(Serving { agent, backups }));
        self.warnings
            .retain(|warning| !warning.starts_with(AT_START));
        tracing::info!(party = %self.config.party, "unsealed");
        Ok(())
    }

    /// Answers control requests until it is asked to seal itself: then the caller must end this process or replace it, for only that
    /// empties its memory.
    ///
    /// # Errors
    /// Why serving ended.
    pub async fn run(&mut self, mut asked: mpsc::Receiver<Asked>) -> anyhow::Result<Sealing> {
        loop {
            tokio::select! {
                ended = self.ended() => {
                    ended.context("the agent stopped serving")?;
                    bail!("the agent stopped serving");
                }
                request = asked.recv() => match request {
                    Some((ControlRequest::Seal, reply)) if self.is_unsealed() => {
                        let status = self.sealed_status();
                        return Ok(Sealing { reply, status });
                    }
                    Some((ControlRequest::Backup, reply)) => self.back_up(reply),
                    // Whoever asked may be gone.
                    Some((request, reply)) => drop(reply.send(self.answer(request).await)),
                    None => bail!("the control socket is gone"),
                },
            }
        }
    }

    const fn is_unsealed(&self) -> bool {
        matches!(self.state, State::Unsealed(_))
    }

    async fn ended(&mut self) -> anyhow::Result<()> {
        match &mut self.state {
            State::Sealed => Ok(self.door.ended().await?),
            State::Unsealed(serving) => tokio::select! {
                ended = self.door.ended() => Ok(ended?),
                ended = serving.agent.ended() => Ok(ended?),
            },
        }
    }

    async fn answer(&mut self, request: ControlRequest) -> ControlReply {
        let done = match request {
            // Sealing an unsealed agent is not for here, and neither are backups.
            ControlRequest::Status | ControlRequest::Seal | ControlRequest::Backup => Ok(()),
            ControlRequest::Unseal { secret } => {
                let secret = secret.map(quorate_storage::Passphrase::new);
                match Unlock::asking(&self.config, Asking::Given(secret.as_ref())) {
                    Ok(unlock) => self.unseal(unlock).await,
                    Err(error) => Err(error.into()),
                }
            }
            ControlRequest::AcceptClock => self.accept_clock().await,
            ControlRequest::AcceptRestore => self.accept_restore().await,
            ControlRequest::AcceptPolicy { version } => self.accept_policy(version).await,
            ControlRequest::LiftBan { key, party } => self.lift_ban(&key, party).await,
        };
        match done.and_then(|()| self.status()) {
            Ok(status) => ControlReply::Status(status),
            Err(error) => ControlReply::Error(format!("{error:#}")),
        }
    }

    /// Answers when it is made, and goes on with other requests until then.
    fn back_up(&self, reply: oneshot::Sender<ControlReply>) {
        let made = match &self.state {
            State::Sealed => Err("the agent is sealed; unseal it first".to_owned()),
            State::Unsealed(serving) => match &serving.backups {
                Some(backups) => Ok(backups.make_now()),
                None => Err(AgentBackupError::NotConfigured.to_string()),
            },
        };
        tokio::spawn(async move {
            let made = match made {
                Ok(made) => made.await.map_err(|error| error.to_string()),
                Err(error) => Err(error),
            };
            // Whoever asked may be gone.
            drop(reply.send(made.map_or_else(ControlReply::Error, ControlReply::Backup)));
        });
    }

    async fn accept_restore(&self) -> anyhow::Result<()> {
        self.accept(ServingAgent::accept_restore).await
    }

    async fn accept_policy(&self, version: u64) -> anyhow::Result<()> {
        if let State::Unsealed(serving) = &self.state {
            let own = serving.agent.agent().policy().version();
            if version < own {
                bail!(
                    "this agent has policy version {own} already, signed by the admins; an older one is not gone back to"
                );
            }
        }
        self.accept(|agent| agent.accept_policy(version)).await
    }

    /// Tells an agent that does not serve something, and waits until it does.
    async fn accept(&self, tell: impl FnOnce(&ServingAgent)) -> anyhow::Result<()> {
        let State::Unsealed(serving) = &self.state else {
            bail!("the agent is sealed; unseal it first");
        };
        let mut standing = serving.agent.agent().standing_changes();
        if standing.borrow().is_serving() {
            return Ok(());
        }
        let before = standing.borrow_and_update().clone();
        tell(&serving.agent);
        // It may have to wait for something else now, and says so.
        let settled = standing.wait_for(|now| now.is_serving() || *now != before);
        match tokio::time::timeout(SETTLING, settled).await {
            Ok(Ok(now)) if now.is_serving() => Ok(()),
            _ => bail!(
                "it still does not serve: {}",
                serving.agent.agent().standing()
            ),
        }
    }

    async fn accept_clock(&self) -> anyhow::Result<()> {
        let State::Unsealed(serving) = &self.state else {
            bail!("the agent is sealed; unseal it first");
        };
        let ledger = Arc::clone(serving.agent.agent().ledger());
        tokio::task::spawn_blocking(move || ledger.accept_clock(now_ms())).await??;
        serving.agent.accept_clock();
        Ok(())
    }

    async fn lift_ban(&self, key: &KeyName, party: PartyId) -> anyhow::Result<()> {
        let State::Unsealed(serving) = &self.state else {
            bail!("the agent is sealed; unseal it first");
        };
        Ok(serving.agent.agent().lift_ban(key, party).await?)
    }

    /// How a sealed agent is.
    fn sealed_status(&self) -> AgentStatus {
        AgentStatus {
            party: self.config.party.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            standing: sealed_standing(&self.config),
            keys: None,
            log_size: None,
            restores: None,
            last_backup: None,
            bans: Vec::new(),
            warnings: self.warnings.clone(),
        }
    }

    fn status(&self) -> anyhow::Result<AgentStatus> {
        let mut status = self.sealed_status();
        if let State::Unsealed(serving) = &self.state {
            let heartbeat = serving.agent.agent().heartbeat()?;
            status.standing = serving.agent.agent().standing();
            status.keys = Some(heartbeat.keys);
            status.log_size = Some(heartbeat.log_size);
            status.restores = Some(heartbeat.restores);
            status.last_backup = serving.backups.as_ref().and_then(Schedule::last);
            let bans = serving.agent.agent().named_bans().into_iter();
            status.bans = bans
                .map(|(key, party, at)| LocalBan { key, party, at })
                .collect();
            let problem = serving.backups.as_ref().and_then(Schedule::problem);
            status
                .warnings
                .extend(problem.map(|problem| format!("no backup is made: {problem}")));
        }
        Ok(status)
    }
}

/// Somebody asked the agent to seal itself, and is told when it is about to.
pub struct Sealing {
    reply: oneshot::Sender<ControlReply>,
    status: AgentStatus,
}

impl Sealing {
    /// Says that the agent is sealed: this process must end now.
    pub fn confirm(self) {
        // Whoever asked may be gone.
        let _ = self.reply.send(ControlReply::Status(self.status));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Left behind it would do no harm.
        let _ = std::fs::remove_file(control::socket(&self.config.data));
    }
}

fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("agent.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!(
            "{} is in use by another agent; stop it first",
            data.display()
        );
    }
    Ok(file)
}

fn sealed_standing(config: &AgentConfig) -> Standing {
    Standing::Sealed {
        needs: Unlock::needs(config).to_owned(),
    }
}

/// Answers every request with what the agent needs.
fn sealed_answer(
    config: &AgentConfig,
    roster: &ValidRoster,
) -> impl Fn(NodeRequest) -> NodeReply + Send + Sync + 'static {
    let standing = sealed_standing(config);
    let status = sealed_status(
        config.party.clone(),
        roster,
        standing.clone(),
        config.dialect(),
    );
    let refused = NodeReply::Refused(RefusalReason::NotServing(standing).to_refusal());
    move |request| match request {
        NodeRequest::Status => NodeReply::Status(status.clone()),
        _ => refused.clone(),
    }
}

fn sealed_status(
    party: PartyId,
    roster: &ValidRoster,
    standing: Standing,
    dialect: Dialect,
) -> NodeStatus {
    NodeStatus {
        party,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        dialect,
        roster: roster.hash(),
        primes: 0,
        primes_needed: NEEDED,
        committee: None,
        keys: 0,
        running: 0,
        standing,
        policy_version: 0,
        policy: None,
        frozen: Vec::new(),
        pools: Vec::new(),
        strangers: Vec::new(),
        bans: Vec::new(),
    }
}
