//! A transport that loses, duplicates and delays, by a seed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quorate_messaging::{Subscription, Transport, TransportError};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

pub struct Lossy {
    inner: Arc<dyn Transport>,
    rng: Mutex<ChaCha8Rng>,
    /// Of 100 messages.
    pub lost: u32,
    /// Of 100 messages.
    pub doubled: u32,
    /// At most, in milliseconds.
    pub delay: u32,
}

impl Lossy {
    pub fn new(inner: Arc<dyn Transport>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            inner,
            rng: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            lost: 30,
            doubled: 30,
            delay: 40,
        })
    }

    fn delays(&self) -> Vec<Duration> {
        let mut rng = self.rng.lock().unwrap();
        let copies = match rng.next_u32() % 100 {
            n if n < self.lost => 0,
            n if n < self.lost + self.doubled => 2,
            _ => 1,
        };
        (0..copies)
            .map(|_| Duration::from_millis(u64::from(rng.next_u32() % self.delay)))
            .collect()
    }
}

#[async_trait]
impl Transport for Lossy {
    async fn publish(&self, subject: String, payload: Bytes) -> Result<(), TransportError> {
        for delay in self.delays() {
            let (inner, subject) = (Arc::clone(&self.inner), subject.clone());
            let payload = payload.clone();
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                inner.publish(subject, payload).await
            });
        }
        Ok(())
    }

    async fn subscribe(&self, subject: String) -> Result<Subscription, TransportError> {
        self.inner.subscribe(subject).await
    }

    async fn request(
        &self,
        subject: String,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, TransportError> {
        self.inner.request(subject, payload, timeout).await
    }
}
