//! Asking agents.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use quorate_messaging::{Subject, Transport, TransportError};
use quorate_types::PartyId;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest};

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Bytes that are no answer.
    #[error("{party} answered something unreadable: {reason}")]
    Unreadable {
        /// Who.
        party: PartyId,
        /// Why.
        reason: String,
    },
}

/// The agents, over a transport.
#[derive(Clone)]
pub struct Nodes {
    transport: Arc<dyn Transport>,
}

impl Nodes {
    /// Agents reachable over this transport.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
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
        let payload = Bytes::from(request.canonical_bytes());
        let subject = Subject::Node(party.clone()).to_string();
        let bytes = self.transport.request(subject, payload, timeout).await?;
        NodeReply::from_canonical_bytes(&bytes, NodeRequest::MAX_LEN).map_err(|e| {
            NodeError::Unreadable {
                party: party.clone(),
                reason: e.to_string(),
            }
        })
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
