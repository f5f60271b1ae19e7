//! Listens on `mpc.node.<party>` and answers: one subscription for the life of a process, whether its agent is sealed or not.

use std::sync::Arc;

use bytes::Bytes;
use quorate_messaging::{Subject, Transport, TransportError};
use quorate_types::node::{NodeReply, NodeRequest, Refusal};
use quorate_types::{Dialect, FrameError, PartyId, RefusalCode};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::Agent;

/// Requests answered at once; more wait.
const MAX_CONCURRENT: usize = 256;

/// Answers requests to a party, by its agent once there is one. Dropping it ends that.
pub struct FrontDoor {
    agent: watch::Sender<Option<Arc<Agent>>>,
    task: JoinHandle<Result<(), TransportError>>,
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FrontDoor {
    /// Starts listening. Until an agent is let in, `instead` answers.
    pub fn open(
        party: PartyId,
        transport: Arc<dyn Transport>,
        dialect: Dialect,
        instead: impl Fn(NodeRequest) -> NodeReply + Send + Sync + 'static,
    ) -> Self {
        let (agent, current) = watch::channel(None::<Arc<Agent>>);
        let instead = Arc::new(instead);
        let answer = move |request| {
            let (agent, instead) = (current.borrow().clone(), Arc::clone(&instead));
            async move {
                match agent {
                    Some(agent) => agent.answer(request).await,
                    None => instead(request),
                }
            }
        };
        Self {
            agent,
            task: tokio::spawn(serve(party, transport, dialect, answer)),
        }
    }

    /// Starts listening with an agent that is there already.
    #[must_use]
    pub fn of(agent: Arc<Agent>, transport: Arc<dyn Transport>) -> Self {
        let party = agent.party().clone();
        let dialect = agent.dialects.own().clone();
        // Let in before anything can be heard, so that the other answer is never given.
        let door = Self::open(party, transport, dialect, |_| NodeReply::Running);
        door.let_in(agent);
        door
    }

    /// From now on this agent answers.
    pub fn let_in(&self, agent: Arc<Agent>) {
        self.agent.send_replace(Some(agent));
    }

    /// Waits until it stops listening, which it does only when the transport is gone.
    ///
    /// # Errors
    /// When it could not subscribe.
    pub async fn ended(&mut self) -> Result<(), TransportError> {
        (&mut self.task).await.unwrap_or(Ok(()))
    }
}

/// Subscribes, then answers until the subscription ends.
///
/// # Errors
/// When subscribing fails.
async fn serve<A, R>(
    party: PartyId,
    transport: Arc<dyn Transport>,
    dialect: Dialect,
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
        let dialect = dialect.clone();
        tokio::spawn(async move {
            let (dialect, reply) = match dialect.read(&delivery.payload, NodeRequest::MAX_LEN) {
                Ok((theirs, request)) => (dialect.towards(theirs.version), answer(request).await),
                Err(error) => (dialect, unreadable(&error)),
            };
            let bytes = Bytes::from(dialect.frame(&reply));
            if let Err(error) = transport.publish(reply_to, bytes).await {
                tracing::warn!(%party, %error, "cannot send a reply");
            }
            drop(permit);
        });
    }
    Ok(())
}

fn unreadable(error: &FrameError) -> NodeReply {
    let code = match error {
        FrameError::Version { .. } => RefusalCode::VersionUnsupported,
        FrameError::Unversioned | FrameError::Head(_) | FrameError::Message(_) => {
            RefusalCode::Unreadable
        }
    };
    NodeReply::Refused(Refusal::new(
        code,
        format!("the request cannot be read: {error}"),
    ))
}
