//! Refusals: signed, and those of requests that an operator really made also written into the log, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use quorate_service::now_ms;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest, Refusal, RefusalSignature};
use quorate_types::{
    Affirmation, Hash32, Intent, IntentHash, OperatorId, RefusalCode, SignedAffirmation,
    SignedApproval, SignedBundle, SignedDiscard, SignedFreeze,
};

use crate::Agent;
use crate::agent::{blocking, local_refusal};
use crate::judge::RefusalReason;
use crate::log;
use crate::policy::PolicyRefusal;

/// Requests of one operator of which refusals are remembered, until they expire.
const MAX_REMEMBERED: usize = 10_000;
/// Refusals of one request that are logged: those of different codes or rules.
const MAX_OF_ONE: usize = 8;

/// The request that a refusal is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub intent: IntentHash,
    /// Whose it is and until when it may be judged, where the request itself was at hand.
    author: Option<Author>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Author {
    operator: OperatorId,
    /// Unix milliseconds.
    ends: u64,
}

impl About {
    /// A request that is at hand.
    pub fn request(intent: &Intent) -> Self {
        Self {
            intent: intent.hash(),
            author: Some(Author {
                operator: intent.operator.clone(),
                ends: intent.expires_at.saturating_add(Intent::MAX_SKEW_MS),
            }),
        }
    }

    /// What a message to the agent is about.
    pub fn of(request: &NodeRequest) -> Option<Self> {
        match request {
            NodeRequest::Propose { intent, .. }
            | NodeRequest::Prepare { intent, .. }
            | NodeRequest::Issue { intent, .. } => Some(Self::request(&intent.intent)),
            other => intent_of(other).map(|intent| Self {
                intent,
                author: None,
            }),
        }
    }

    fn ends(&self, now: u64) -> u64 {
        let author = self.author.as_ref();
        author.map_or(now.saturating_add(Intent::MAX_LIFETIME_MS), |a| a.ends)
    }
}

/// What was logged of one request.
struct Logged {
    operator: Option<OperatorId>,
    /// From then on it is not judged any more, Unix milliseconds.
    ends: u64,
    reasons: BTreeSet<(RefusalCode, Vec<String>)>,
}

/// What was logged. The same request again, however its refusal is worded, does not fill the log.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<IntentHash, Logged>>);

impl Refusals {
    /// Whether this refusal is to be logged: it is new, and its operator has room for it.
    fn is_new(&self, about: &About, reason: (RefusalCode, Vec<String>), now: u64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(logged) = known.get_mut(&about.intent) {
            return logged.reasons.len() < MAX_OF_ONE && logged.reasons.insert(reason);
        }
        let operator = about.author.as_ref().map(|author| author.operator.clone());
        let is_full = |known: &BTreeMap<IntentHash, Logged>| {
            let same = known.values().filter(|l| l.operator == operator);
            known.len() >= MAX_REMEMBERED && same.count() >= MAX_REMEMBERED
        };
        if is_full(&known) {
            known.retain(|_, logged| logged.ends >= now);
            if is_full(&known) {
                tracing::warn!(
                    ?operator,
                    "too many refusals of one operator's requests to log each"
                );
                return false;
            }
        }
        let logged = Logged {
            operator,
            ends: about.ends(now),
            reasons: BTreeSet::from([reason]),
        };
        known.insert(about.intent, logged);
        true
    }
}

/// The intent that a request is about.
fn intent_of(request: &NodeRequest) -> Option<IntentHash> {
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
        | NodeRequest::Affirm { .. }
        | NodeRequest::Discard(_)
        | NodeRequest::Activate { .. } => None,
    }
}

impl Agent {
    /// The refusal that goes out, signed.
    pub(crate) async fn refuse(
        self: &Arc<Self>,
        about: Option<About>,
        reason: &RefusalReason,
    ) -> Refusal {
        tracing::warn!(party = %self.party, code = %reason.code(), %reason, "refused");
        if let (Some(about), true) = (&about, is_judgement(reason)) {
            self.log_refusal(about, reason).await;
        }
        let mut refusal = reason.to_refusal();
        let mut signed = RefusalSignature {
            party: self.party.clone(),
            intent: about.map(|about| about.intent),
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

    async fn log_refusal(self: &Arc<Self>, about: &About, reason: &RefusalReason) {
        let rules = match reason {
            RefusalReason::Policy(refusal) => refusal.rules(),
            _ => Vec::new(),
        };
        if !self
            .refusals
            .is_new(about, (reason.code(), rules), now_ms())
        {
            return;
        }
        let leaf = log::refused(about.intent, self.policy.version(), reason);
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
        let (policy, ledger) = (Arc::clone(&self.policy), Arc::clone(&self.ledger));
        blocking(move || {
            let intent = said.approval.intent;
            policy.say(said, now_ms()).map_err(PolicyRefusal::from)?;
            // Who takes back what is signed is told so, and is not left to believe that it helped.
            match ledger.result(intent)? {
                Some(_) => Err(RefusalReason::AlreadySigned(intent)),
                None => Ok(NodeReply::Noted),
            }
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

    /// Signs what is in force here. Also while quarantined: whoever ordered something is to know
    /// who heard it.
    pub(crate) fn affirm(&self, challenge: Hash32) -> Result<NodeReply, RefusalReason> {
        let affirmation = Affirmation {
            cluster: self.roster.cluster_id(),
            party: self.party.clone(),
            challenge,
            at: now_ms(),
            policy_version: self.policy.version(),
            policy: self.policy.hash(),
            orders: self.policy.orders(),
        };
        let signature = self.keys.sign(&affirmation.signing_bytes());
        let signature = signature.map_err(|error| local_refusal(&error))?;
        let signed = SignedAffirmation {
            affirmation,
            signature,
        };
        Ok(NodeReply::Affirmed(Box::new(signed)))
    }

    /// Lists a key no more that did not come into force, if an operator wants that.
    pub(crate) async fn discard(
        self: &Arc<Self>,
        discard: SignedDiscard,
    ) -> Result<NodeReply, RefusalReason> {
        let Some(key) = discard.verify(&self.roster) else {
            return Err(RefusalReason::Discard);
        };
        let keybook = Arc::clone(&self.keybook);
        blocking(move || {
            keybook.discard(key, &discard)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn about(operator: &str, number: usize, ends: u64) -> About {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        About {
            intent: IntentHash::from_bytes(hash),
            author: Some(Author {
                operator: OperatorId::new(operator).unwrap(),
                ends,
            }),
        }
    }

    fn denied(rule: usize) -> (RefusalCode, Vec<String>) {
        (RefusalCode::PolicyDenied, vec![rule.to_string()])
    }

    #[test]
    fn t34_replays_of_a_request_do_not_fill_the_log_however_many_others_there_are() {
        let refusals = Refusals::default();
        let first = about("eve", 0, 1_000);
        assert!(refusals.is_new(&first, denied(0), 1));
        for number in 1..MAX_REMEMBERED + 500 {
            let fits = number < MAX_REMEMBERED;
            let new = refusals.is_new(&about("eve", number, 1_000), denied(0), 1);
            assert_eq!(new, fits, "{number}");
        }
        assert!(!refusals.is_new(&first, denied(0), 1), "it is remembered");
        // Another operator has room of its own; and what has expired makes room.
        assert!(refusals.is_new(&about("ann", MAX_REMEMBERED * 2, 1_000), denied(0), 1));
        assert!(refusals.is_new(&about("eve", MAX_REMEMBERED * 3, 9_000), denied(0), 1_001));
    }

    #[test]
    fn t34_one_request_is_logged_with_few_reasons_only() {
        let refusals = Refusals::default();
        let one = about("eve", 0, 1_000);
        let new = (0..100).filter(|rule| refusals.is_new(&one, denied(*rule), 1));
        assert_eq!(new.count(), MAX_OF_ONE);
    }
}
