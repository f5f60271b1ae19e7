//! Refusals: signed, and those of requests that an operator really made also written into the log, each once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_service::now_ms;
use quorate_types::IntentHash;
use quorate_types::node::{NodeReply, NodeRequest, Refusal, RefusalSignature};
use quorate_types::{SignedApproval, SignedBundle, SignedFreeze};

use crate::Agent;
use crate::agent::blocking;
use crate::judge::RefusalReason;
use crate::log;
use crate::policy::PolicyRefusal;

/// Refusals remembered so that a repeated request does not fill the log.
const MAX_REMEMBERED: usize = 10_000;

/// What was logged.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeSet<(IntentHash, String)>>);

impl Refusals {
    /// Whether this one is new.
    fn is_new(&self, intent: IntentHash, what: String) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert((intent, what))
    }
}

/// The intent that a request is about.
pub(crate) fn intent_of(request: &NodeRequest) -> Option<IntentHash> {
    match request {
        NodeRequest::Propose { intent, .. }
        | NodeRequest::Prepare { intent, .. }
        | NodeRequest::Issue { intent, .. } => Some(intent.intent.hash()),
        NodeRequest::Begin { intent, .. }
        | NodeRequest::Await { intent, .. }
        | NodeRequest::Settle { intent, .. }
        | NodeRequest::Blame { intent, .. } => Some(*intent),
        NodeRequest::Say(said) => Some(said.approval.intent),
        NodeRequest::Status
        | NodeRequest::Keys { .. }
        | NodeRequest::Key { .. }
        | NodeRequest::Publish(_)
        | NodeRequest::Policy { .. }
        | NodeRequest::Freeze(_)
        | NodeRequest::Commit { .. }
        | NodeRequest::Pools
        | NodeRequest::PreparePresign { .. }
        | NodeRequest::BeginPresign { .. }
        | NodeRequest::Activate { .. } => None,
    }
}

impl Agent {
    /// The refusal that goes out, signed.
    pub(crate) async fn refuse(
        self: &Arc<Self>,
        about: Option<IntentHash>,
        reason: &RefusalReason,
    ) -> Refusal {
        tracing::warn!(party = %self.party, code = %reason.code(), %reason, "refused");
        if let (Some(intent), true) = (about, is_judgement(reason)) {
            self.log_refusal(intent, reason).await;
        }
        let mut refusal = reason.to_refusal();
        let mut signed = RefusalSignature {
            party: self.party.clone(),
            intent: about,
            at: now_ms(),
            policy_version: self.policy.version(),
            signature: [0; 64],
        };
        if let Ok(signature) = self.keys.sign(&refusal.signing_bytes(&signed)) {
            signed.signature = signature;
            refusal.signed = Some(signed);
        }
        refusal
    }

    async fn log_refusal(self: &Arc<Self>, intent: IntentHash, reason: &RefusalReason) {
        if !self.refusals.is_new(intent, reason.to_string()) {
            return;
        }
        let leaf = log::refused(intent, self.policy.version(), reason);
        let ledger = Arc::clone(&self.ledger);
        let logged = blocking(move || Ok(ledger.append(vec![leaf])?)).await;
        if let Err(error) = logged {
            tracing::error!(%error, "a refusal was not logged");
        }
        self.worked.notify_one();
    }

    pub(crate) async fn say(
        self: &Arc<Self>,
        said: SignedApproval,
    ) -> Result<NodeReply, RefusalReason> {
        let policy = Arc::clone(&self.policy);
        blocking(move || {
            policy.say(said, now_ms()).map_err(PolicyRefusal::from)?;
            Ok(NodeReply::Noted)
        })
        .await
    }

    pub(crate) async fn freeze(
        self: &Arc<Self>,
        order: SignedFreeze,
    ) -> Result<NodeReply, RefusalReason> {
        let policy = Arc::clone(&self.policy);
        blocking(move || {
            policy.freeze(order).map_err(PolicyRefusal::from)?;
            Ok(NodeReply::Noted)
        })
        .await
    }

    /// Also while quarantined: catching up with the policy is how an agent gets out of that.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        bundle: SignedBundle,
    ) -> Result<NodeReply, RefusalReason> {
        let policy = Arc::clone(&self.policy);
        let reply = blocking(move || {
            policy
                .publish(bundle, now_ms())
                .map_err(PolicyRefusal::from)?;
            Ok(NodeReply::Bundle(None))
        })
        .await;
        self.worked.notify_one();
        reply
    }

    pub(crate) async fn bundle(self: &Arc<Self>, version: u64) -> Result<NodeReply, RefusalReason> {
        let policy = Arc::clone(&self.policy);
        blocking(move || {
            let found = policy.bundle(version).map_err(PolicyRefusal::from)?;
            Ok(NodeReply::Bundle(found.map(Box::new)))
        })
        .await
    }
}

/// Whether a refusal says something about a request that an operator of the roster really signed.
fn is_judgement(reason: &RefusalReason) -> bool {
    match reason {
        // A word that is not by whom it says names any request it likes: written down, such words could fill the disk.
        RefusalReason::Policy(PolicyRefusal::Desk(_)) => false,
        RefusalReason::Policy(_) | RefusalReason::Chain(_) | RefusalReason::Spending(_) => true,
        _ => false,
    }
}
