//! Asking agents.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use quorate_messaging::{Subject, Transport, TransportError};
use quorate_types::node::{NodeReply, NodeRequest, Refusal};
use quorate_types::{
    Dialect, FailureCode, FrameError, PartyId, ProblemCode, RefusalCode, WireVersion,
};

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The agent does not do that, by its version or its configuration.
    #[error("{0} cannot do that: it is not turned on or built in there")]
    Incapable(PartyId),
    /// The agent's version of the protocol does not work with the orchestrator's.
    #[error(
        "{party} speaks version {theirs} of the protocol and the orchestrator version {ours}; upgrade the older one"
    )]
    Version {
        /// The agent's party.
        party: PartyId,
        /// The agent's version.
        theirs: WireVersion,
        /// The orchestrator's.
        ours: WireVersion,
    },
    /// A refusal where an answer is needed.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Bytes that are no answer.
    #[error("{party} answered something unreadable: {reason}")]
    Unreadable {
        /// Who.
        party: PartyId,
        /// Why.
        reason: String,
    },
}

impl NodeError {
    /// Code of the problem for a client that needed the answer.
    #[must_use]
    pub const fn code(&self) -> ProblemCode {
        match self {
            Self::Version { .. } => {
                ProblemCode::Failed(FailureCode::Refused(RefusalCode::VersionUnsupported))
            }
            Self::Transport(_)
            | Self::Incapable(_)
            | Self::Refused(_)
            | Self::Unreadable { .. } => ProblemCode::PartyOffline,
        }
    }
}

/// The agents, over a transport.
#[derive(Clone)]
pub struct Nodes {
    transport: Arc<dyn Transport>,
    dialect: Dialect,
    /// The dialect of each agent's last answer.
    known: Arc<Mutex<BTreeMap<PartyId, Dialect>>>,
}

impl Nodes {
    /// Agents reachable over this transport.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self::speaking(transport, Dialect::current())
    }

    /// Agents reachable over this transport, spoken to in this dialect.
    #[must_use]
    pub fn speaking(transport: Arc<dyn Transport>, dialect: Dialect) -> Self {
        Self {
            transport,
            dialect,
            known: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<PartyId, Dialect>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the agent can answer the request, as far as is known; who was never heard is asked.
    fn can(&self, party: &PartyId, request: &NodeRequest) -> bool {
        let Some(needed) = request.needs() else {
            return true;
        };
        let known = self.known();
        let theirs = known.get(party);
        theirs.is_none_or(|theirs| theirs.capabilities.has(needed))
    }

    /// Remembers what an agent speaks. An agent answers as it was spoken to, so only its status says
    /// which version it has after an upgrade.
    fn learn(&self, party: &PartyId, spoken: Dialect, reply: &NodeReply) {
        let mut known = self.known();
        match reply {
            NodeReply::Status(status) if status.party == *party => {
                known.insert(party.clone(), status.dialect.clone());
            }
            _ => {
                let version = known.get(party).map_or(spoken.version, |k| k.version);
                let theirs = Dialect { version, ..spoken };
                known.insert(party.clone(), theirs);
            }
        }
    }

    /// The dialect in which to speak to an agent; this orchestrator's own to one that was never
    /// heard.
    fn dialect_for(&self, party: &PartyId) -> Dialect {
        match self.known().get(party) {
            Some(theirs) => self.dialect.towards(theirs.version),
            None => self.dialect.clone(),
        }
    }

    /// One request, one answer.
    ///
    /// # Errors
    /// None in time, or an unreadable one.
    pub async fn ask(
        &self,
        party: &PartyId,
        request: &NodeRequest,
        timeout: Duration,
    ) -> Result<NodeReply, NodeError> {
        if !self.can(party, request) {
            return Err(NodeError::Incapable(party.clone()));
        }
        let payload = Bytes::from(self.dialect_for(party).frame(request));
        let subject = Subject::Node(party.clone()).to_string();
        let bytes = self.transport.request(subject, payload, timeout).await?;
        match self.dialect.read(&bytes, NodeRequest::MAX_LEN) {
            Ok((theirs, reply)) => {
                self.learn(party, theirs, &reply);
                Ok(reply)
            }
            Err(FrameError::Version { theirs, ours }) => Err(NodeError::Version {
                party: party.clone(),
                theirs,
                ours,
            }),
            Err(error) => Err(NodeError::Unreadable {
                party: party.clone(),
                reason: error.to_string(),
            }),
        }
    }

    /// The same request to several, at once; answers in the same order.
    pub async fn ask_all(
        &self,
        parties: &[PartyId],
        request: &NodeRequest,
        timeout: Duration,
    ) -> Vec<Result<NodeReply, NodeError>> {
        join_all(parties.iter().map(|p| self.ask(p, request, timeout))).await
    }
}

#[cfg(test)]
mod tests {
    use quorate_messaging::{InProcessHub, Permissions};
    use quorate_types::Capability;

    use super::*;

    /// An agent that answers everything with `reply`, in a dialect of its own, however the question
    /// was framed.
    fn agent(hub: &InProcessHub, name: &str, dialect: Dialect, reply: NodeReply) -> PartyId {
        let party = PartyId::new(name).unwrap();
        let transport = hub.connect(name, Permissions::party(&party));
        let subject = Subject::Node(party.clone()).to_string();
        tokio::spawn(async move {
            let mut requests = transport.subscribe(subject).await.unwrap();
            while let Some(delivery) = requests.next().await {
                let bytes = Bytes::from(dialect.frame(&reply));
                transport
                    .publish(delivery.reply.unwrap(), bytes)
                    .await
                    .unwrap();
            }
        });
        party
    }

    fn speaking(version: u16, can: &[Capability]) -> Dialect {
        Dialect {
            version: WireVersion(version),
            capabilities: can.iter().copied().collect(),
        }
    }

    async fn ask(
        nodes: &Nodes,
        party: &PartyId,
        request: &NodeRequest,
    ) -> Result<NodeReply, NodeError> {
        let limit = Duration::from_secs(20);
        loop {
            match nodes.ask(party, request, limit).await {
                // It has not subscribed yet.
                Err(NodeError::Transport(TransportError::NoResponder(_))) => {
                    tokio::task::yield_now().await;
                }
                other => return other,
            }
        }
    }

    #[tokio::test]
    async fn agents_of_adjacent_versions_are_heard_and_a_third_is_refused_with_a_clear_code() {
        let hub = InProcessHub::new();
        let transport = hub.connect("orchestrator", Permissions::orchestrator("orchestrator"));
        let nodes = Nodes::speaking(transport, speaking(2, &[]));
        for version in [1, 2, 3] {
            let name = format!("party-{version}");
            let party = agent(&hub, &name, speaking(version, &[]), NodeReply::Noted);
            let reply = ask(&nodes, &party, &NodeRequest::Status).await.unwrap();
            assert_eq!(reply, NodeReply::Noted);
        }
        let party = agent(&hub, "party-4", speaking(4, &[]), NodeReply::Noted);
        let error = ask(&nodes, &party, &NodeRequest::Status).await.unwrap_err();
        assert!(
            error.to_string().contains("party-4 speaks version 4"),
            "{error}"
        );
        assert_eq!(error.code(), RefusalCode::VersionUnsupported.into());
    }

    #[tokio::test]
    async fn an_agent_is_not_asked_for_what_it_said_it_cannot_do() {
        let hub = InProcessHub::new();
        let transport = hub.connect("orchestrator", Permissions::orchestrator("orchestrator"));
        let nodes = Nodes::new(transport);
        let commit = NodeRequest::Commit {
            key: quorate_types::KeyId::from_bytes([0; 32]),
            count: 1,
        };
        let can = speaking(1, &[Capability::NoncesAhead]);
        let able = agent(&hub, "party-1", can, NodeReply::Noted);
        let unable = agent(&hub, "party-2", speaking(1, &[]), NodeReply::Noted);
        for party in [&able, &unable] {
            ask(&nodes, party, &NodeRequest::Status).await.unwrap();
        }
        ask(&nodes, &able, &commit).await.unwrap();
        let refused = ask(&nodes, &unable, &commit).await.unwrap_err();
        assert!(matches!(refused, NodeError::Incapable(_)), "{refused}");
        ask(&nodes, &unable, &NodeRequest::Status).await.unwrap();
    }
}
