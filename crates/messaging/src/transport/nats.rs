//! NATS with TLS both ways. The server takes the user from the client's certificate; there is no password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::{PublishErrorKind, RequestErrorKind};
use async_nats::rustls::Error as TlsError;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use rand_core::{OsRng, RngCore as _};

use super::{Delivery, Subscription, Transport, TransportError};
use crate::subjects::{inbox_prefix, sync_pattern};

/// How to reach the server, and as whom.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Servers of one NATS cluster, `tls://host:port`.
    pub servers: Vec<String>,
    /// PEM certificate of the authority that signed the servers' certificates. The system's own are not trusted.
    pub ca_file: PathBuf,
    /// PEM certificate chain of this client, with the user's URI.
    pub cert_file: PathBuf,
    /// PEM private key of this client.
    pub key_file: PathBuf,
    /// The user's name, as in its certificate; also names its private inbox.
    pub user: String,
    /// Keep trying when the server is not there at the start; a refusal is always an error.
    pub wait_for_server: bool,
    /// For the first connection and for handing over each message.
    pub timeout: Duration,
}

impl NatsOptions {
    /// Options with a timeout of 5 seconds that fail at once when the server is not there.
    #[must_use]
    pub fn new(server: &str, user: &str, ca: &Path, cert: &Path, key: &Path) -> Self {
        Self {
            servers: vec![server.to_owned()],
            ca_file: ca.to_owned(),
            cert_file: cert.to_owned(),
            key_file: key.to_owned(),
            user: user.to_owned(),
            wait_for_server: false,
            timeout: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    violations: AtomicU64,
    disconnects: AtomicU64,
    connects: AtomicU64,
    slow: AtomicU64,
}

/// A connection that reconnects for ever. While it is down, a bounded number of messages wait in it; the certificate
/// files are read again at every connection.
pub struct NatsTransport {
    client: Client,
    user: String,
    timeout: Duration,
    seen: Arc<Seen>,
    /// Tells this connection's [`Self::sync`] from another one's of the same user.
    nonce: String,
    syncs: AtomicU64,
}

/// How long one message of [`NatsTransport::sync`] may take before another is sent.
const SYNC_RETRY: Duration = Duration::from_millis(500);

impl fmt::Debug for NatsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsTransport({})", self.user)
    }
}

impl NatsTransport {
    /// Connects.
    ///
    /// # Errors
    /// [`TransportError::TlsFile`], [`TransportError::Refused`] if the server does not take the certificate or its user,
    /// [`TransportError::Unavailable`] if it is not there and the options do not say to wait.
    pub async fn connect(options: NatsOptions) -> Result<Arc<Self>, TransportError> {
        for path in [&options.ca_file, &options.cert_file, &options.key_file] {
            std::fs::File::open(path).map_err(|e| TransportError::TlsFile {
                path: path.display().to_string(),
                reason: e.to_string(),
            })?;
        }
        // Fails if the program has chosen a provider already; either will do.
        let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
        let seen = Arc::new(Seen::default());
        let client = loop {
            match connect_options(&options, &seen)
                .connect(&options.servers)
                .await
            {
                Ok(client) => break client,
                Err(e) if is_refusal(&e) || !options.wait_for_server => {
                    return Err(connect_error(&options, &e));
                }
                Err(e) => {
                    tracing::warn!(error = %e, "NATS is not there yet, trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        };
        Ok(Arc::new(Self {
            client,
            user: options.user,
            timeout: options.timeout,
            seen,
            nonce: hex::encode(OsRng.next_u64().to_le_bytes()),
            syncs: AtomicU64::new(0),
        }))
    }

    /// How often the server refused this user a subject.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.seen.violations.load(Ordering::Relaxed)
    }

    /// How often the connection was lost.
    #[must_use]
    pub fn disconnects(&self) -> u64 {
        self.seen.disconnects.load(Ordering::Relaxed)
    }

    /// How often the connection came up, the first time included.
    #[must_use]
    pub fn connects(&self) -> u64 {
        self.seen.connects.load(Ordering::Relaxed)
    }

    /// How often a subscription was too slow and lost messages.
    #[must_use]
    pub fn slow_consumers(&self) -> u64 {
        self.seen.slow.load(Ordering::Relaxed)
    }

    /// Waits until the server has taken all subscriptions and messages of this connection so far. The client library's own
    /// flush only waits for the socket, so this sends the user a message to itself ([`sync_pattern`]), which the server
    /// handles after everything before it.
    ///
    /// # Errors
    /// [`TransportError::Unavailable`] if the message does not come back in time.
    pub async fn sync(&self) -> Result<(), TransportError> {
        let unavailable = || TransportError::Unavailable("the server does not answer".to_owned());
        let unique = self.syncs.fetch_add(1, Ordering::Relaxed);
        let subject = sync_pattern(&self.user).replace('*', &format!("{}-{unique}", self.nonce));
        let echo = async {
            let mut echo = self.client.subscribe(subject.clone()).await.ok()?;
            loop {
                let sent = self.client.publish(subject.clone(), Bytes::new());
                sent.await.ok()?;
                // Lost if the connection breaks meanwhile, so it is repeated.
                if let Ok(back) = tokio::time::timeout(SYNC_RETRY, echo.next()).await {
                    return back.map(drop);
                }
            }
        };
        match tokio::time::timeout(self.timeout, echo).await {
            Ok(Some(())) => Ok(()),
            _ => Err(unavailable()),
        }
    }

    fn too_long(&self, len: usize) -> TransportError {
        let max = self.client.server_info().max_payload;
        TransportError::TooLong { len, max }
    }
}

fn connect_options(options: &NatsOptions, seen: &Arc<Seen>) -> ConnectOptions {
    let seen = Arc::clone(seen);
    let user = options.user.clone();
    ConnectOptions::new()
        .name(&options.user)
        .require_tls(true)
        .add_root_certificates(options.ca_file.clone())
        .add_client_certificate(options.cert_file.clone(), options.key_file.clone())
        .custom_inbox_prefix(inbox_prefix(&options.user))
        .connection_timeout(options.timeout)
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| {
            let step = u64::try_from(attempt).unwrap_or(u64::MAX).min(20);
            Duration::from_millis(step.saturating_mul(100))
        })
        .event_callback(move |event| {
            note(&seen, &user, &event);
            std::future::ready(())
        })
}

/// Counts and logs what the client reports. The protocol has no code for a permission violation, only the text
/// `Permissions Violation for Publish to "..."` (NATS client protocol, `-ERR`).
fn note(seen: &Seen, user: &str, event: &Event) {
    match event {
        Event::ServerError(ServerError::Other(text))
            if text
                .to_ascii_lowercase()
                .starts_with("permissions violation") =>
        {
            seen.violations.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(user, text, "the NATS server refuses a subject");
        }
        Event::Connected => {
            seen.connects.fetch_add(1, Ordering::Relaxed);
            tracing::info!(user, "NATS connected");
        }
        Event::Disconnected => {
            seen.disconnects.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(user, "NATS disconnected");
        }
        Event::SlowConsumer(_) => {
            seen.slow.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(user, "a NATS subscription is too slow and loses messages");
        }
        other => tracing::info!(user, event = %other, "NATS"),
    }
}

fn is_refusal(error: &async_nats::ConnectError) -> bool {
    matches!(
        error.kind(),
        ConnectErrorKind::Authentication
            | ConnectErrorKind::AuthorizationViolation
            | ConnectErrorKind::Tls
    ) || is_tls(error)
}

/// Whether TLS failed: the client library reports an alert of the server as an input/output error.
fn is_tls(error: &async_nats::ConnectError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = cause {
        let io = e.downcast_ref::<std::io::Error>();
        let inner = io.and_then(std::io::Error::get_ref);
        if inner.is_some_and(|i| i.is::<TlsError>()) || e.is::<TlsError>() {
            return true;
        }
        cause = e.source();
    }
    false
}

fn connect_error(options: &NatsOptions, error: &async_nats::ConnectError) -> TransportError {
    if is_refusal(error) {
        TransportError::Refused {
            server: options.servers.join(","),
            reason: error.to_string(),
        }
    } else {
        TransportError::Unavailable(error.to_string())
    }
}

#[async_trait]
impl Transport for NatsTransport {
    async fn publish(&self, subject: String, payload: Bytes) -> Result<(), TransportError> {
        let len = payload.len();
        let sent = self.client.publish(subject.clone(), payload);
        match tokio::time::timeout(self.timeout, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(match e.kind() {
                PublishErrorKind::MaxPayloadExceeded => self.too_long(len),
                PublishErrorKind::InvalidSubject => TransportError::BadSubject(subject),
                PublishErrorKind::Send => TransportError::Unavailable(e.to_string()),
            }),
            Err(_) => Err(TransportError::Unavailable(
                "the connection is down and its buffer is full".to_owned(),
            )),
        }
    }

    async fn subscribe(&self, subject: String) -> Result<Subscription, TransportError> {
        let subscriber = self
            .client
            .subscribe(subject)
            .await
            .map_err(|e| TransportError::Unavailable(e.to_string()))?;
        self.sync().await?;
        Ok(Subscription::new(subscriber.map(|message| Delivery {
            subject: message.subject.to_string(),
            payload: message.payload,
            reply: message.reply.map(|r| r.to_string()),
        })))
    }

    async fn request(
        &self,
        subject: String,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        let len = payload.len();
        let request = async_nats::Request::new()
            .payload(payload)
            .timeout(Some(timeout));
        match self.client.send_request(subject.clone(), request).await {
            Ok(answer) => Ok(answer.payload),
            Err(e) => Err(match e.kind() {
                RequestErrorKind::TimedOut => TransportError::TimedOut {
                    subject,
                    waited: timeout,
                },
                RequestErrorKind::NoResponders => TransportError::NoResponder(subject),
                RequestErrorKind::InvalidSubject => TransportError::BadSubject(subject),
                RequestErrorKind::MaxPayloadExceeded => self.too_long(len),
                RequestErrorKind::Other => TransportError::Unavailable(e.to_string()),
            }),
        }
    }
}
