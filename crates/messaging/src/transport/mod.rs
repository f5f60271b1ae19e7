//! Bytes on subjects, at most once, in no guaranteed order: what NATS core gives, and what the in-process hub imitates,
//! permissions included. Nothing above trusts it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt as _};

pub mod in_process;
pub mod nats;

/// Why something was not sent or received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// This user may not publish or subscribe there.
    #[error("{user} may not use subject {subject}")]
    Forbidden {
        /// The user.
        user: String,
        /// What it tried to use.
        subject: String,
    },
    /// Not a subject that can be published or subscribed to.
    #[error("not a usable subject: {0:?}")]
    BadSubject(String),
    /// Longer than the transport carries.
    #[error("a message of {len} bytes is longer than the {max} the transport carries")]
    TooLong {
        /// Length offered.
        len: usize,
        /// Length allowed.
        max: usize,
    },
    /// Nobody answers requests on this subject.
    #[error("nobody listens on {0}")]
    NoResponder(String),
    /// No answer in time.
    #[error("no answer on {subject} within {waited:?}")]
    TimedOut {
        /// The subject of the request.
        subject: String,
        /// How long was waited.
        waited: Duration,
    },
    /// A PEM file cannot be used.
    #[error("cannot use the TLS file {path}: {reason}")]
    TlsFile {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The server refused this client's certificate or user.
    #[error("the server at {server} refuses this client: {reason}")]
    Refused {
        /// The server.
        server: String,
        /// What it said.
        reason: String,
    },
    /// The server cannot be reached now; it is being tried again.
    #[error("the transport is unavailable: {0}")]
    Unavailable(String),
}

impl TransportError {
    /// Whether trying the same again later can help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NoResponder(_) | Self::TimedOut { .. } | Self::Unavailable(_)
        )
    }
}

/// A message as it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where it was published.
    pub subject: String,
    /// The bytes.
    pub payload: Bytes,
    /// Where an answer is expected, if it is a request.
    pub reply: Option<String>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("subject", &self.subject)
            .field("payload", &format_args!("[{} bytes]", self.payload.len()))
            .field("reply", &self.reply)
            .finish()
    }
}

/// The messages of one subscription; dropping it ends the subscription.
pub struct Subscription(BoxStream<'static, Delivery>);

impl Subscription {
    /// Wraps a stream.
    pub fn new(stream: impl Stream<Item = Delivery> + Send + 'static) -> Self {
        Self(stream.boxed())
    }

    /// The next message; `None` when the transport was closed for good.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.0.next().await
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

/// Publish, subscribe, request, as one user.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Hands a message to the transport. `Ok` does not say that it arrived, nor that the server permitted it.
    ///
    /// # Errors
    /// See [`TransportError`].
    async fn publish(&self, subject: String, payload: Bytes) -> Result<(), TransportError>;

    /// Subscribes to a subject, with `*` and a final `>` as wildcards. When it returns, later messages are delivered.
    ///
    /// # Errors
    /// See [`TransportError`].
    async fn subscribe(&self, subject: String) -> Result<Subscription, TransportError>;

    /// Publishes and waits for one answer.
    ///
    /// # Errors
    /// See [`TransportError`].
    async fn request(
        &self,
        subject: String,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError>;
}
