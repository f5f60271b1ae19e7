//! Listens on `mpc.node.<party>` and answers.

use std::sync::Arc;

use bytes::Bytes;
use quorate_messaging::{Subject, Subscription, Transport, TransportError};
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest};
use tokio::sync::Semaphore;

use crate::Agent;
use crate::judge::RefusalReason;

/// Requests answered at once; more wait.
const MAX_CONCURRENT: usize = 256;

/// Subscribes, then answers until the subscription ends.
///
/// # Errors
/// When subscribing fails.
pub async fn serve(agent: Arc<Agent>, transport: Arc<dyn Transport>) -> Result<(), TransportError> {
    let subject = Subject::Node(agent.party().clone()).to_string();
    let requests = transport.subscribe(subject).await?;
    answer_all(agent, transport, requests).await;
    Ok(())
}

async fn answer_all(agent: Arc<Agent>, transport: Arc<dyn Transport>, mut requests: Subscription) {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT));
    while let Some(delivery) = requests.next().await {
        let Some(reply_to) = delivery.reply else {
            continue;
        };
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let (agent, transport) = (Arc::clone(&agent), Arc::clone(&transport));
        tokio::spawn(async move {
            let reply = answer(&agent, &delivery.payload).await;
            let bytes = Bytes::from(reply.canonical_bytes());
            if let Err(error) = transport.publish(reply_to, bytes).await {
                tracing::warn!(party = %agent.party(), %error, "cannot send a reply");
            }
            drop(permit);
        });
    }
}

async fn answer(agent: &Arc<Agent>, payload: &[u8]) -> NodeReply {
    match NodeRequest::from_canonical_bytes(payload, NodeRequest::MAX_LEN) {
        Ok(request) => agent.answer(request).await,
        Err(error) => {
            let reason = RefusalReason::Unreadable(error.to_string());
            NodeReply::Refused(reason.to_refusal())
        }
    }
}
