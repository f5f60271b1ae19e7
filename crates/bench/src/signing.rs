//! One signature, as a user's program has it made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use quorate_api::ResultView;
use quorate_chain::assemble;
use quorate_types::{Action, DerivationPath, KeyRecord};

use crate::cases::Scheme;
use crate::operator::{LIFETIME, Operator};

/// Has different payloads signed by one key.
pub struct Signer {
    operator: Arc<Operator>,
    scheme: &'static Scheme,
    record: KeyRecord,
    next: AtomicU64,
}

impl Signer {
    /// Signs with this key.
    pub fn new(operator: Arc<Operator>, scheme: &'static Scheme, record: KeyRecord) -> Arc<Self> {
        Arc::new(Self {
            operator,
            scheme,
            record,
            next: AtomicU64::new(0),
        })
    }

    /// Builds a payload, signs the intent, hands it in, waits, verifies the signature and assembles the transaction.
    ///
    /// # Errors
    /// The API's; a signature that is not good.
    pub async fn sign(&self) -> anyhow::Result<()> {
        self.sign_within(LIFETIME).await
    }

    /// The same, and what the request is at if it has not ended within `limit`.
    ///
    /// # Errors
    /// The API's; a signature that is not good; no end.
    pub async fn sign_within(&self, limit: Duration) -> anyhow::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let unsigned = (self.scheme.payload)(&self.record, number)?;
        let action = Action::Sign {
            key: self.record.id,
            path: DerivationPath::root(),
            network: unsigned.network,
            payload: unsigned.payload.clone(),
            purpose: "benchmark".to_owned(),
        };
        let view = self.operator.run_within(action, limit).await?;
        let Some(ResultView::Signatures(signatures)) = view.result else {
            bail!("there is no signature: {:?}", view.state);
        };
        let key = &self.record;
        assemble(
            &unsigned.payload,
            unsigned.network,
            key.scheme,
            &key.public_key,
            &signatures,
        )
        .context("the signature that came back is not good")?;
        Ok(())
    }
}
