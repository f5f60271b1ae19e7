//! One request, judged.

use std::sync::{PoisonError, RwLockReadGuard};

use quorate_chain::Analysis;
use quorate_policy::{
    Act, Allowed, Decision, Evidence, Missing, Reason, Request, Shown, Spend, Tally, Understood,
    sighashes,
};
use quorate_storage::{Batch, Begun};
use quorate_types::{
    Bundle, Intent, IntentHash, KeyRecord, PersonId, PublicKey, RefusalCode, SignedApproval,
    VerifiedIntent,
};

use super::{PolicyDesk, PolicyError};
use crate::judge::{RefusalReason, storage_code};

/// Why the policy does not let this agent take part.
#[derive(Debug, thiserror::Error)]
pub enum PolicyRefusal {
    /// There is none.
    #[error(
        "this custodian has no policy yet, and signs nothing without one; publish one (quorate policy publish)"
    )]
    None,
    /// Approvals or time are missing.
    #[error("waits for {}", missing_text(.0))]
    Pending(Vec<Missing>),
    /// A rule forbids it.
    #[error("{}", reasons_text(.0))]
    Denied(Vec<Reason>),
    /// The version changed between preparing and beginning.
    #[error("another policy version came into force meanwhile; send it again")]
    Changed,
    /// Somebody rejected it or withdrew between the last judgement and the start.
    #[error("somebody rejected it or withdrew an approval meanwhile; send it again")]
    Spoken,
    /// Too few agents take part or acknowledge.
    #[error(
        "a spending limit counts this request: {needed} custodians must take part or acknowledge it, not {found}"
    )]
    Acknowledgements {
        /// How many.
        needed: u16,
        /// How many were named.
        found: usize,
    },
    /// What cannot be judged is not done (I9).
    #[error(transparent)]
    Desk(#[from] PolicyError),
}

fn missing_text(missing: &[Missing]) -> String {
    let texts: Vec<String> = missing
        .iter()
        .map(|m| format!("{} [{}]", m.text, m.rule))
        .collect();
    texts.join("; ")
}

fn reasons_text(reasons: &[Reason]) -> String {
    let texts: Vec<String> = reasons
        .iter()
        .map(|r| format!("{} [{}]", r.text, r.rule))
        .collect();
    format!("the policy forbids it: {}", texts.join("; "))
}

impl PolicyRefusal {
    /// A stable name.
    #[must_use]
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::None | Self::Desk(PolicyError::NoPolicy) => RefusalCode::PolicyNone,
            Self::Pending(_) => RefusalCode::PolicyPending,
            Self::Denied(_) => RefusalCode::PolicyDenied,
            Self::Changed | Self::Spoken => RefusalCode::PolicyChanged,
            Self::Acknowledgements { .. } => RefusalCode::LimitAcknowledgements,
            Self::Desk(PolicyError::Bundle(_)) => RefusalCode::BundleRefused,
            Self::Desk(PolicyError::Engine(_)) => RefusalCode::BundleRules,
            Self::Desk(PolicyError::Approval(_)) => RefusalCode::ApprovalRefused,
            Self::Desk(PolicyError::Ledger(error)) => storage_code(error.is_disk_full()),
            Self::Desk(PolicyError::Damaged(_)) => RefusalCode::LocalFault,
            Self::Desk(PolicyError::Full { .. }) => RefusalCode::Quota,
        }
    }

    /// The rules that speak against it.
    #[must_use]
    pub fn rules(&self) -> Vec<String> {
        match self {
            Self::Pending(missing) => missing.iter().map(|m| m.rule.clone()).collect(),
            Self::Denied(reasons) => reasons.iter().map(|r| r.rule.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// What would lift them.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        match self {
            Self::Pending(missing) => missing.iter().map(|m| m.what.clone()).collect(),
            _ => Vec::new(),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The request.
    pub intent: &'a VerifiedIntent,
    /// For a signing: the key, its child that signs, and what the payload was understood as.
    pub signing: Option<(&'a KeyRecord, &'a PublicKey, &'a Analysis)>,
    /// For another change of a key: the key.
    pub changed: Option<&'a KeyRecord>,
    /// What came with it.
    pub approvals: &'a [SignedApproval],
    /// This agent's clock, Unix milliseconds.
    pub now: u64,
}

/// That it is allowed.
#[derive(Debug, Clone)]
pub struct Ruling {
    /// The request.
    pub intent: IntentHash,
    /// What people had told this custodian about it directly.
    said: Vec<SignedApproval>,
    /// The proof.
    pub allowed: Allowed,
    /// Who approved.
    pub approvers: Vec<PersonId>,
    /// What it spends, where that is counted.
    pub spend: Option<Spend>,
    /// How many agents must take part or acknowledge, where that is more than those that sign.
    pub acknowledgements: Option<u16>,
}

impl PolicyDesk {
    /// Judges a request by the version in force, now.
    ///
    /// # Errors
    /// Why this agent does not take part.
    pub fn rule(&self, question: &Question<'_>) -> Result<Ruling, PolicyRefusal> {
        let policy = self.in_force().ok_or(PolicyRefusal::None)?;
        let bundle = policy.engine.bundle().bundle();
        let hash = question.intent.hash();
        let said = self.said(hash);
        let mut approvals = question.approvals.to_vec();
        approvals.extend(said.iter().cloned());
        let intent = question.intent.intent();
        let shown = match question.signing {
            Some((record, _, analysis)) => Shown::signing(intent, record, analysis, &bundle.chains),
            None => Shown::other(intent, question.changed),
        };
        let frozen: Vec<String> = self.frozen().into_values().collect();
        let evidence = Evidence {
            approvals: &approvals,
            display: shown.hash(),
            frozen: &frozen,
            book: &policy.book,
        };
        let hashes = question
            .signing
            .map(|(_, child, analysis)| sighashes(child, &analysis.items))
            .unwrap_or_default();
        let key = self.operator_key(intent)?;
        let request = Request {
            intent: hash,
            operator: &intent.operator,
            operator_key: &key,
            act: act(question, &hashes)?,
            asked_at: intent.issued_at,
            // An operator's own word would let a time lock begin in the past.
            proposed_at: self.seen(hash).unwrap_or(question.now),
            now: question.now,
        };
        let standing = {
            let spending = self.spending();
            // Sums and rules are of one version: they are exchanged together.
            let current = self.in_force().ok_or(PolicyRefusal::None)?;
            if !std::sync::Arc::ptr_eq(&current, &policy) {
                return Err(PolicyRefusal::Changed);
            }
            policy.engine.standing(&request, spending.history())
        };
        // The rules take long, and nobody waits for them.
        let (decision, tally) = policy.engine.decide_at(&request, &evidence, &standing);
        for ignored in &tally.ignored {
            tracing::debug!(intent = %hash, %ignored, "an approval does not count");
        }
        match decision {
            Decision::Allow(allowed) => Ok(ruling(allowed, said, tally, &request, bundle)),
            Decision::Pending(missing) => {
                self.see(hash, intent, question.now)?;
                Err(PolicyRefusal::Pending(missing))
            }
            Decision::Deny(reasons) => Err(PolicyRefusal::Denied(reasons)),
        }
    }

    /// Whether a ruling still holds; while the guard lives, nothing that forbids the request comes
    /// into force here.
    ///
    /// # Errors
    /// Another policy version, a freeze, a rejection or a withdrawal came since.
    pub(super) fn hold(&self, ruling: &Ruling) -> Result<RwLockReadGuard<'_, ()>, PolicyRefusal> {
        let held = self
            .authority
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if self.hash() != Some(ruling.allowed.policy()) {
            return Err(PolicyRefusal::Changed);
        }
        if let Some(reason) = self.frozen().into_values().next() {
            return Err(PolicyRefusal::Denied(vec![Reason::frozen(&reason)]));
        }
        if self.said(ruling.intent) != ruling.said {
            return Err(PolicyRefusal::Spoken);
        }
        Ok(held)
    }

    /// Makes the start of what was ruled on durable: the only way to begin a request.
    ///
    /// # Errors
    /// As [`Self::hold`]; the ledger's.
    pub(crate) fn begin(&self, ruling: &Ruling, batch: Batch) -> Result<Begun, RefusalReason> {
        let _held = self.hold(ruling)?;
        Ok(self.ledger.begin(batch)?)
    }

    fn operator_key(&self, intent: &Intent) -> Result<[u8; 32], PolicyRefusal> {
        let operator = self.roster.operator(&intent.operator);
        operator
            .map(|o| o.key)
            .ok_or(PolicyRefusal::Desk(PolicyError::Damaged("operator")))
    }
}

fn ruling(
    allowed: Allowed,
    said: Vec<SignedApproval>,
    tally: Tally,
    request: &Request<'_>,
    bundle: &Bundle,
) -> Ruling {
    let counted = allowed.counted();
    Ruling {
        intent: request.intent,
        said,
        allowed,
        approvers: tally.approvers.into_iter().collect(),
        spend: request.spend(&bundle.chains).filter(|_| counted),
        acknowledgements: bundle.limit_ack.filter(|_| counted),
    }
}

fn act<'a>(
    question: &Question<'a>,
    sighashes: &'a [quorate_types::Hash32],
) -> Result<Act<'a>, PolicyRefusal> {
    let understood = question.signing.map(|(record, _, analysis)| Understood {
        record,
        effects: &analysis.effects,
        sighashes,
    });
    let action = &question.intent.intent().action;
    let act = Act::of(action, question.changed, understood);
    act.ok_or(PolicyRefusal::Desk(PolicyError::Damaged("request")))
}
