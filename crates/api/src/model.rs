//! The JSON of the API.

use quorate_types::node::{CommitteeRecord, KeyListing, NodeStatus, Refusal};
use quorate_types::{
    Code, Hash32, IntentHash, PartyId, PersonId, ProblemCode, ProtocolListing, Signature,
    SignedAffirmation, Threshold, Verdict,
};
use serde::{Deserialize, Serialize};

/// Paths.
pub mod routes {
    /// [`super::ClusterStatus`].
    pub const STATUS: &str = "/v1/status";
    /// Keys.
    pub const KEYS: &str = "/v1/keys";
    /// Where wishes to discard unfinished keys are posted.
    pub const DISCARD: &str = "/v1/keys/discard";
    /// What custodians sign to be in force with them.
    pub const AFFIRMATIONS: &str = "/v1/affirmations/{challenge}";
    /// Where intents are posted.
    pub const INTENTS: &str = "/v1/intents";
    /// One intent.
    pub const INTENT: &str = "/v1/intents/{hash}";
    /// The signed intent itself, for approvers.
    pub const REQUEST: &str = "/v1/intents/{hash}/request";
    /// What people say of an intent.
    pub const APPROVALS: &str = "/v1/intents/{hash}/approvals";
    /// The policy: published here.
    pub const POLICY: &str = "/v1/policy";
    /// A version of it; 0 is the one in force.
    pub const POLICY_VERSION: &str = "/v1/policy/{version}";
    /// Stops everything.
    pub const FREEZE: &str = "/v1/freeze";
}

/// How the cluster is, as the orchestrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: String,
    /// Default threshold.
    pub threshold: Threshold,
    /// Hash of the orchestrator's roster.
    pub roster: Hash32,
    /// Every party of the roster, in order.
    pub parties: Vec<PartyStatus>,
}

/// One party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyStatus {
    /// Its name.
    pub party: PartyId,
    /// What it answered, if it did.
    pub status: Option<NodeStatus>,
    /// Why there is no answer.
    pub error: Option<String>,
}

/// Where an intent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntentState {
    /// Being worked on.
    Running,
    /// Waits for approvals or for time; see what is missing.
    Pending,
    /// Done; see the result.
    Done,
    /// Ended without a result; see the problem.
    Failed,
}

/// An intent as the orchestrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentView {
    /// Its hash.
    pub intent: IntentHash,
    /// Where it is.
    pub state: IntentState,
    /// Tries so far.
    pub attempts: u32,
    /// Who took part in the last try.
    pub participants: Vec<PartyId>,
    /// What it yielded.
    pub result: Option<ResultView>,
    /// Why it yielded nothing.
    pub problem: Option<Problem>,
    /// What went wrong in tries before the last, for people.
    pub notes: Vec<String>,
    /// While pending: what each custodian that does not agree yet says is missing.
    #[serde(default)]
    pub waiting: Vec<Refusal>,
    /// Whose approvals, rejections and withdrawals were handed in.
    #[serde(default)]
    pub said: Vec<Said>,
}

/// Somebody's word on an intent, as the orchestrator has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub person: PersonId,
    /// What.
    pub verdict: Verdict,
    /// Unix milliseconds.
    pub at: u64,
}

/// How publishing, freezing or asking went, for each custodian. The orchestrator's word, but for
/// what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Who.
    pub party: PartyId,
    /// Why not; nothing where it is done. One that did not answer may still do it later.
    pub problem: Option<String>,
    /// Signed: the custodian refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Signed: what is in force with the custodian after it did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affirmation: Option<SignedAffirmation>,
}

impl Delivery {
    /// Nothing went wrong, and nothing is signed.
    #[must_use]
    pub const fn done(party: PartyId) -> Self {
        Self {
            party,
            problem: None,
            refusal: None,
            affirmation: None,
        }
    }
}

/// What an intent yielded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultView {
    /// A key that every party attested.
    Key(Box<KeyListing>),
    /// A committee setup that every party attested.
    Committee(CommitteeRecord),
    /// One signature per message or input.
    Signatures(Vec<Signature>),
    /// A key's protocol that every party attested. `dkls23` signs with a library that nobody has audited.
    Protocol(Box<ProtocolListing>),
}

/// A problem document (RFC 9457) with a stable code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// `about:blank`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short, for people.
    pub title: String,
    /// HTTP status; 0, and left out, where the problem is no answer of the API.
    #[serde(default, skip_serializing_if = "is_none")]
    pub status: u16,
    /// Stable, for programs.
    pub code: Code<ProblemCode>,
    /// What happened, whose fault, what to do.
    pub detail: String,
    /// Parties that some custodian holds at fault: what it says, not a proof.
    #[serde(default)]
    pub culprits: Vec<PartyId>,
    /// Parties that did not answer.
    #[serde(default)]
    pub missing: Vec<PartyId>,
    /// Signed refusals of custodians.
    #[serde(default)]
    pub refusals: Vec<Refusal>,
    /// When it is worth trying again, in seconds; also in the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

const fn is_none(status: &u16) -> bool {
    *status == 0
}

impl Problem {
    /// A problem without parties.
    #[must_use]
    pub fn new(
        status: u16,
        code: impl Into<Code<ProblemCode>>,
        title: &str,
        detail: impl ToString,
    ) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: title.to_owned(),
            status,
            code: code.into(),
            detail: detail.to_string(),
            culprits: Vec::new(),
            missing: Vec::new(),
            refusals: Vec::new(),
            retry_after: None,
        }
    }
}
