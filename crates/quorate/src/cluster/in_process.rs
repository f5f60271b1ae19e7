//! Everything in this process, over the in-process hub: for development and the demo. One process then holds all shares, which is
//! what Quorate exists to avoid, so whoever starts this says so on screen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use quorate_messaging::{InProcessHub, Permissions, Transport};
use quorate_orchestrator::OrchestratorConfig;
use quorate_orchestrator::command as orchestrator;
use quorate_party_agent::boot::{self, ServingAgent};
use quorate_party_agent::serve::FrontDoor;
use quorate_party_agent::{AgentConfig, Unlock};
use quorate_types::PartyId;
use tokio::task::JoinHandle;

use super::ClusterDir;
use crate::provision::ORCHESTRATOR;

/// A running cluster. Dropping it stops everything.
pub struct InProcessCluster {
    agents: BTreeMap<PartyId, (ServingAgent, FrontDoor)>,
    orchestrator: JoinHandle<anyhow::Result<()>>,
    hub: InProcessHub,
    dir: ClusterDir,
}

impl InProcessCluster {
    /// Starts every custodian and an orchestrator on a free port of the loopback interface.
    pub async fn start(dir: &ClusterDir) -> anyhow::Result<Self> {
        let hub = InProcessHub::new();
        let roster = dir.roster()?;
        let mut agents = BTreeMap::new();
        for party in roster.party_ids() {
            agents.insert(party.clone(), start_agent(dir, &hub, &party).await?);
        }
        let config: OrchestratorConfig = quorate_service::load(&dir.orchestrator_config())?;
        let prepared = orchestrator::prepare(&config)?;
        let transport = hub.connect(ORCHESTRATOR, Permissions::orchestrator(ORCHESTRATOR));
        let endpoint = dir.endpoint_file();
        // Left over from a run that was killed.
        let _ = std::fs::remove_file(&endpoint);
        let orchestrator = tokio::spawn(async move {
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            orchestrator::serve(prepared, listen, Some(&endpoint), transport).await
        });
        let cluster = Self {
            agents,
            orchestrator,
            hub,
            dir: dir.clone(),
        };
        cluster.wait_for_endpoint().await?;
        Ok(cluster)
    }

    async fn wait_for_endpoint(&self) -> anyhow::Result<()> {
        let file = self.dir.endpoint_file();
        for _ in 0..500 {
            if file.exists() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("the orchestrator did not start listening")
    }

    /// Stops one custodian, as if its machine were gone.
    pub fn stop(&mut self, party: &PartyId) {
        self.agents.remove(party);
    }

    /// Whatever the orchestrator may say, somebody who took it over may say.
    pub fn as_orchestrator(&self) -> Arc<dyn Transport> {
        self.hub
            .connect(ORCHESTRATOR, Permissions::orchestrator(ORCHESTRATOR))
    }

    /// The custodians that run.
    pub fn parties(&self) -> impl Iterator<Item = &PartyId> {
        self.agents.keys()
    }
}

impl Drop for InProcessCluster {
    fn drop(&mut self) {
        self.orchestrator.abort();
        // Nothing listens there any more.
        let _ = std::fs::remove_file(self.dir.endpoint_file());
    }
}

async fn start_agent(
    dir: &ClusterDir,
    hub: &InProcessHub,
    party: &PartyId,
) -> anyhow::Result<(ServingAgent, FrontDoor)> {
    let config: AgentConfig = quorate_service::load(&dir.agent_config(party))?;
    let unlock = Unlock::from_config(&config)?;
    let opened = {
        let config = config.clone();
        tokio::task::spawn_blocking(move || boot::open(&config, &unlock)).await?
    };
    let opened = opened.with_context(|| format!("cannot open custodian {party}"))?;
    let transport: Arc<dyn Transport> = hub.connect(party.as_str(), Permissions::party(party));
    let serving = boot::start(&config, opened, Arc::clone(&transport)).await?;
    let door = FrontDoor::of(Arc::clone(serving.agent()), transport);
    Ok((serving, door))
}
