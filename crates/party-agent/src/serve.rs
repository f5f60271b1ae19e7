//! Listens on `mpc.node.<party>` and answers.

use std::sync::Arc;

use bytes::Bytes;
use quorate_messaging::{Subject, Transport, TransportError};
use quorate_types::PartyId;
use quorate_types::canonical::{Canonical as _, CanonicalError};
use quorate_types::node::{NodeReply, NodeRequest};
use tokio::sync::Semaphore;

use crate::judge::RefusalReason;

/// Requests answered at once; more wait.
const MAX_CONCURRENT: usize = 256;

/// Subscribes, then answers until the subscription ends.
///
/// # Errors
/// When subscribing fails.
pub async fn serve<A, R>(
    party: PartyId,
    transport: Arc<dyn Transport>,
    answer: A,
) -> Result<(), TransportError>
where
    A: Fn(NodeRequest) -> R + Clone + Send + 'static,
    R: Future<Output = NodeReply> + Send + 'static,
{
    let subject = Subject::Node(party.clone()).to_string();
    let mut requests = transport.subscribe(subject).await?;
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT));
    while let Some(delivery) = requests.next().await {
        let Some(reply_to) = delivery.reply else {
            continue;
        };
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            break;
        };
        let (party, transport, answer) = (party.clone(), Arc::clone(&transport), answer.clone());
        tokio::spawn(async move {
            let reply = match NodeRequest::from_canonical_bytes(&delivery.payload, MAX_LEN) {
                Ok(request) => answer(request).await,
                Err(error) => unreadable(&error),
            };
            let bytes = Bytes::from(reply.canonical_bytes());
            if let Err(error) = transport.publish(reply_to, bytes).await {
                tracing::warn!(%party, %error, "cannot send a reply");
            }
            drop(permit);
        });
    }
    Ok(())
}

const MAX_LEN: usize = NodeRequest::MAX_LEN;

fn unreadable(error: &CanonicalError) -> NodeReply {
    let reason = RefusalReason::Unreadable(error.to_string());
    NodeReply::Refused(reason.to_refusal())
}
