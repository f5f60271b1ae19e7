//! A broker inside the process, with the subjects, wildcards, size limit and permissions of the NATS server that
//! [`crate::nats_server_config`] configures. Parties in one process cannot speak under each other's names either.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Delivery, Subscription, Transport, TransportError};
use crate::messenger::lock;
use crate::permissions::{MAX_MESSAGE, Permissions};
use crate::subjects::{covers, inbox_prefix, is_concrete};

/// Messages that wait for a slow reader; further ones are lost, as with NATS.
const SUBSCRIPTION_CAPACITY: usize = 65_536;

/// Requests a user may have open for answering.
const MAX_OPEN_REPLIES: usize = 4096;

/// The broker. Clones are the same broker.
#[derive(Clone, Default)]
pub struct InProcessHub(Arc<Hub>);

#[derive(Default)]
struct Hub {
    subscribers: Mutex<HashMap<u64, Subscriber>>,
    next: AtomicU64,
    lost: AtomicU64,
}

struct Subscriber {
    pattern: String,
    user: Weak<User>,
    queue: mpsc::Sender<Delivery>,
}

struct User {
    name: String,
    permissions: Permissions,
    /// Reply subjects this user was given, how often it may still use them, and until when.
    replies: Mutex<HashMap<String, (u32, Instant)>>,
    violations: AtomicU64,
}

impl InProcessHub {
    /// A broker without users.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects a user with its permissions.
    #[must_use]
    pub fn connect(&self, name: &str, permissions: Permissions) -> Arc<InProcessTransport> {
        Arc::new(InProcessTransport {
            hub: Arc::clone(&self.0),
            user: Arc::new(User {
                name: name.to_owned(),
                permissions,
                replies: Mutex::default(),
                violations: AtomicU64::new(0),
            }),
        })
    }

    /// Messages lost because a subscriber read too slowly.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for InProcessHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcessHub")
    }
}

/// One user's connection to an [`InProcessHub`].
pub struct InProcessTransport {
    hub: Arc<Hub>,
    user: Arc<User>,
}

impl fmt::Debug for InProcessTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InProcessTransport({})", self.user.name)
    }
}

impl InProcessTransport {
    /// How often this user tried what it may not.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.user.violations.load(Ordering::Relaxed)
    }

    fn publish_with(
        &self,
        subject: String,
        payload: Bytes,
        reply: Option<String>,
    ) -> Result<usize, TransportError> {
        if !is_concrete(&subject) {
            return Err(TransportError::BadSubject(subject));
        }
        if payload.len() > MAX_MESSAGE {
            return Err(TransportError::TooLong {
                len: payload.len(),
                max: MAX_MESSAGE,
            });
        }
        if !self.user.permissions.may_publish(&subject) && !self.user.may_reply(&subject) {
            return Err(self.user.violation(subject));
        }
        Ok(self.hub.deliver(&Delivery {
            subject,
            payload,
            reply,
        }))
    }

    fn subscribe_now(&self, pattern: String) -> Result<Subscription, TransportError> {
        if !self.user.permissions.may_subscribe(&pattern) {
            return Err(self.user.violation(pattern));
        }
        let (queue, receiver) = mpsc::channel(SUBSCRIPTION_CAPACITY);
        let id = self.hub.next.fetch_add(1, Ordering::Relaxed);
        let subscriber = Subscriber {
            pattern,
            user: Arc::downgrade(&self.user),
            queue,
        };
        lock(&self.hub.subscribers).insert(id, subscriber);
        let guard = Unsubscribe {
            hub: Arc::downgrade(&self.hub),
            id,
            _user: Arc::clone(&self.user),
        };
        let stream = stream::unfold((receiver, guard), |(mut receiver, guard)| async {
            let delivery = receiver.recv().await?;
            Some((delivery, (receiver, guard)))
        });
        Ok(Subscription::new(stream))
    }
}

impl User {
    fn violation(&self, subject: String) -> TransportError {
        self.violations.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(user = %self.name, %subject, "permission violation");
        TransportError::Forbidden {
            user: self.name.clone(),
            subject,
        }
    }

    fn allow_reply(&self, subject: &str) {
        let Some(responses) = self.permissions.responses else {
            return;
        };
        let mut replies = lock(&self.replies);
        let now = Instant::now();
        if replies.len() >= MAX_OPEN_REPLIES {
            replies.retain(|_, (_, until)| *until > now);
        }
        if replies.len() < MAX_OPEN_REPLIES {
            replies.insert(subject.to_owned(), (responses.max, now + responses.expires));
        }
    }

    fn may_reply(&self, subject: &str) -> bool {
        let mut replies = lock(&self.replies);
        let allowed = match replies.get_mut(subject) {
            Some((left, until)) if *until > Instant::now() && *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        };
        if replies.get(subject).is_some_and(|(left, _)| *left == 0) {
            replies.remove(subject);
        }
        allowed
    }
}

impl Hub {
    fn deliver(&self, delivery: &Delivery) -> usize {
        let subscribers = lock(&self.subscribers);
        let matching = subscribers
            .values()
            .filter(|s| covers(&s.pattern, &delivery.subject));
        let mut reached = 0;
        for subscriber in matching {
            let Some(user) = subscriber.user.upgrade() else {
                continue;
            };
            if let Some(reply) = &delivery.reply {
                user.allow_reply(reply);
            }
            match subscriber.queue.try_send(delivery.clone()) {
                Ok(()) => reached += 1,
                Err(_) => {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        reached
    }
}

struct Unsubscribe {
    hub: Weak<Hub>,
    id: u64,
    _user: Arc<User>,
}

impl Drop for Unsubscribe {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            lock(&hub.subscribers).remove(&self.id);
        }
    }
}

#[async_trait]
impl Transport for InProcessTransport {
    async fn publish(&self, subject: String, payload: Bytes) -> Result<(), TransportError> {
        self.publish_with(subject, payload, None).map(drop)
    }

    async fn subscribe(&self, subject: String) -> Result<Subscription, TransportError> {
        self.subscribe_now(subject)
    }

    async fn request(
        &self,
        subject: String,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        let unique = self.hub.next.fetch_add(1, Ordering::Relaxed);
        let inbox = format!("{}.{unique}", inbox_prefix(&self.user.name));
        let mut answers = self.subscribe_now(inbox.clone())?;
        if self.publish_with(subject.clone(), payload, Some(inbox))? == 0 {
            return Err(TransportError::NoResponder(subject));
        }
        match tokio::time::timeout(timeout, answers.next()).await {
            Ok(Some(answer)) => Ok(answer.payload),
            _ => Err(TransportError::TimedOut {
                subject,
                waited: timeout,
            }),
        }
    }
}
