//! What an orchestrator and a party agent say to each other over `mpc.node.<party>`.
//!
//! The orchestrator is not trusted: requests carry the operator's signed intent, replies carry
//! signatures or attestations that a client checks itself.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::canonical::Canonical;
use crate::roster::ValidRoster;
use crate::{
    Attestation, Ban, Capability, Code, Dialect, FailureCode, Hash32, IntentHash, KeyId, KeyRecord,
    NonceCommitments, PartyId, PoolLevel, Preprocessed, PresignaturePool, Protocol,
    ProtocolListing, ProtocolRecord, RefusalCode, SessionId, Signature, SignedAffirmation,
    SignedApproval, SignedBundle, SignedDiscard, SignedFreeze, SignedIntent, SignedPartials,
};

/// A request to one agent.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum NodeRequest {
    /// How are you?
    Status,
    /// Keys after this one in id order, at most [`NodeRequest::MAX_KEYS`] of them.
    Keys {
        /// Where the previous page ended.
        after: Option<KeyId>,
    },
    /// One key, in a list of at most one.
    Key {
        /// Which.
        id: KeyId,
    },
    /// Judge an intent without preparing anything. Time locks begin to count when a custodian first
    /// sees a request.
    Propose {
        /// The intent.
        intent: SignedIntent,
        /// What people have said about it.
        approvals: Vec<SignedApproval>,
    },
    /// Remember what a person says of a request: a rejection or withdrawal holds although others do
    /// not pass it on.
    Say(SignedApproval),
    /// Bring the next version of the policy into force.
    Publish(Box<SignedBundle>),
    /// A version of the policy; 0 asks for the one in force.
    Policy {
        /// Which.
        version: u64,
    },
    /// Stop everything.
    Freeze(SignedFreeze),
    /// Judge an intent; if it is good, answer with a fresh nonce.
    Prepare {
        /// The intent.
        intent: SignedIntent,
        /// What people have said about it.
        approvals: Vec<SignedApproval>,
        /// Who only acknowledges what is spent, after those who take part; see
        /// [`NodeReply::Judged`].
        witnesses: Vec<PartyId>,
        /// From 0, below [`NodeRequest::MAX_ATTEMPTS`].
        attempt: u32,
        /// Who is to take part, in protocol order.
        participants: Vec<PartyId>,
        /// What to sign with at once; nothing for the interactive protocol.
        preprocessed: Preprocessed,
        /// For signing, the hash of the [`ProtocolRecord`] that is believed to be in force; an
        /// agent that has another one refuses.
        protocol: Option<Hash32>,
    },
    /// Judge an intent; if it is good, sign with this at once and answer with the partial
    /// signatures.
    Issue {
        /// The intent.
        intent: SignedIntent,
        /// What people have said about it.
        approvals: Vec<SignedApproval>,
        /// From 0, below [`NodeRequest::MAX_ATTEMPTS`].
        attempt: u32,
        /// Who signs, in protocol order.
        participants: Vec<PartyId>,
        /// One for each item.
        preprocessed: Preprocessed,
    },
    /// These are the signatures that came of an intent's partial signatures.
    Settle {
        /// The intent's hash.
        intent: IntentHash,
        /// One for each item.
        signatures: Vec<Signature>,
    },
    /// These partial signatures do not make a good signature: whose is wrong?
    Blame {
        /// The intent's hash.
        intent: IntentHash,
        /// Of which try.
        attempt: u32,
        /// Every signer's.
        partials: Vec<SignedPartials>,
    },
    /// Make FROST nonces for signatures to come, and answer with the commitments.
    Commit {
        /// For which key.
        key: KeyId,
        /// How many, at most [`NodeRequest::MAX_COMMIT`].
        count: u32,
    },
    /// How full are the pools of presignatures?
    Pools,
    /// Get ready to make presignatures: answer with a fresh nonce.
    PreparePresign {
        /// For which pool.
        pool: PresignaturePool,
        /// How many at once.
        count: u32,
        /// Those of the pool that every signer has; others are of no use and may go.
        useful: Vec<Hash32>,
    },
    /// Make them.
    BeginPresign {
        /// Every signer's nonce, in order.
        nonces: Vec<[u8; 32]>,
        /// How many: no more than any signer promised.
        count: u32,
    },
    /// Run what was prepared.
    Begin {
        /// The intent's hash.
        intent: IntentHash,
        /// As prepared.
        attempt: u32,
        /// Every participant's nonce, in order.
        nonces: Vec<[u8; 32]>,
        /// How long to wait for the end before answering [`NodeReply::Running`], in milliseconds.
        wait_ms: u32,
    },
    /// How is that run going?
    Await {
        /// The intent's hash.
        intent: IntentHash,
        /// As prepared.
        attempt: u32,
        /// How long to wait for the end, in milliseconds.
        wait_ms: u32,
    },
    /// Every party has attested this record: use it from now on.
    Activate {
        /// The record.
        record: Record,
        /// All parties' attestations.
        attestations: Vec<Attestation>,
    },
    /// Sign what is in force with you.
    Affirm {
        /// Number chosen by whoever wants to know.
        challenge: Hash32,
    },
    /// List a key no more that did not come into force.
    Discard(SignedDiscard),
}

impl NodeRequest {
    /// Keys in one page.
    pub const MAX_KEYS: usize = 128;
    /// How often an intent may be tried.
    pub const MAX_ATTEMPTS: u32 = 16;
    /// The longest an agent waits before it answers, in milliseconds.
    pub const MAX_WAIT_MS: u32 = 10_000;
    /// Presignatures made by one request.
    pub const MAX_PRESIGN: u32 = 64;
    /// Nonces made by one request.
    pub const MAX_COMMIT: u32 = 64;
    /// The longest request or reply, in bytes.
    pub const MAX_LEN: usize = crate::Intent::MAX_LEN + 256 * 1024;

    /// Capability that an agent needs to answer, where not every agent of this version has it.
    #[must_use]
    pub const fn needs(&self) -> Option<Capability> {
        match self {
            // Asking for pools is harmless, and its answer says what has been turned on since.
            Self::PreparePresign { .. } | Self::BeginPresign { .. } => {
                Some(Capability::Presignatures)
            }
            Self::Commit { .. } => Some(Capability::NoncesAhead),
            Self::Affirm { .. } => Some(Capability::Affirmations),
            Self::Discard(_) => Some(Capability::Discards),
            _ => None,
        }
    }
}

impl Canonical for NodeRequest {
    const DOMAIN: &'static str = "quorate/node-request/v1";
}

/// What is public about a committee's auxiliary information, as each party attests it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitteeRecord {
    /// The session that made it.
    pub session: SessionId,
    /// The committee in order.
    pub committee: Vec<PartyId>,
    /// Hash of all parties' moduli and Pedersen parameters.
    pub digest: Hash32,
}

impl Canonical for CommitteeRecord {
    const DOMAIN: &'static str = "quorate/committee-record/v1";
}

/// Something that comes into force when every party has attested it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// A key.
    Key(KeyRecord),
    /// A committee's auxiliary information.
    Committee(CommitteeRecord),
    /// What signs for a key.
    Protocol(ProtocolRecord),
}

impl Record {
    /// The bytes an attestation signs.
    #[must_use]
    pub fn signing_bytes(&self) -> Vec<u8> {
        match self {
            Self::Key(record) => record.signing_bytes(),
            Self::Committee(record) => record.signing_bytes(),
            Self::Protocol(record) => record.signing_bytes(),
        }
    }
}

/// A committee's setup in force, with every party's attestation.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitteeListing {
    /// The setup.
    pub record: CommitteeRecord,
    /// All parties' attestations.
    pub attestations: Vec<Attestation>,
}

/// A key and who has attested it so far.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyListing {
    /// The key.
    pub record: KeyRecord,
    /// Attestations this agent has: all parties' once active, its own before.
    pub attestations: Vec<Attestation>,
    /// Whether it may sign.
    pub active: bool,
    /// What signs for it, where another protocol than its scheme's default was ever chosen.
    /// `dkls23` is a library that nobody has audited.
    pub protocol: Option<ProtocolListing>,
}

impl KeyListing {
    /// What signs for the key, as far as this listing can be believed.
    #[must_use]
    pub fn signs_by(&self) -> Protocol {
        let chosen = self.protocol.as_ref().map(|p| p.record.protocol);
        chosen.unwrap_or(self.record.scheme.default_protocol())
    }

    /// The hash of the protocol record in force, if there is one.
    #[must_use]
    pub fn protocol_hash(&self) -> Option<Hash32> {
        let listing = self.protocol.as_ref();
        listing.map(|listing| listing.record.canonical_hash())
    }
}

/// How an agent is.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeStatus {
    /// Who.
    pub party: PartyId,
    /// Program version.
    pub version: String,
    /// The version of the protocol that it speaks, and what it can do.
    pub dialect: Dialect,
    /// Hash of its roster.
    pub roster: Hash32,
    /// Safe primes in stock.
    pub primes: u32,
    /// How many it needs before committee setup.
    pub primes_needed: u32,
    /// The committee's auxiliary information, once in force.
    pub committee: Option<CommitteeListing>,
    /// Keys it holds shares of.
    pub keys: u32,
    /// Ceremonies running now.
    pub running: u32,
    /// Whether it takes part in anything.
    pub standing: Standing,
    /// The version of its policy; 0 without one.
    pub policy_version: u64,
    /// The policy's hash.
    pub policy: Option<Hash32>,
    /// Freeze orders in force.
    pub frozen: Vec<Hash32>,
    /// Its pools of presignatures, the most recently used first.
    pub pools: Vec<PoolStatus>,
    /// Peers that it does not take part with, because their versions of the protocol are not
    /// adjacent to its own.
    pub strangers: Vec<PartyId>,
    /// With whom it signs no more by DKLs23, at most [`Ban::MAX_LISTED`].
    pub bans: Vec<Ban>,
}

/// How full a pool of presignatures is.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolStatus {
    /// What they are for.
    pub pool: PresignaturePool,
    /// How many there are.
    pub level: u32,
    /// Filled up when fewer than this.
    pub low: u32,
    /// Filled up to this.
    pub high: u32,
}

/// Whether an agent takes part in anything, and if not why.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase", deny_unknown_fields)]
pub enum Standing {
    /// It does.
    Serving {
        /// Intents issued before this time (Unix milliseconds) are refused: this agent may have
        /// forgotten what it did about them. 0 where it was never restored.
        not_before: u64,
    },
    /// It has just started and asks its peers what they last heard from it.
    Confirming {
        /// Answers so far.
        answers: u32,
        /// Answers it waits for.
        needed: u32,
    },
    /// It knows less than it once did.
    Quarantined {
        /// Why, and what to do.
        reason: String,
    },
    /// Its store is not open.
    Sealed {
        /// What opens it.
        needs: String,
    },
}

impl Standing {
    /// Whether it takes part.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        matches!(self, Self::Serving { .. })
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Serving { .. } => f.write_str("serving"),
            Self::Confirming { answers, needed } => write!(
                f,
                "confirming with its peers what it last did ({answers} of {needed} have answered)"
            ),
            Self::Quarantined { reason } => write!(f, "quarantined: {reason}"),
            Self::Sealed { needs } => write!(f, "sealed: it needs {needs}"),
        }
    }
}

/// Why an agent does not do it. Without secrets.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[error("{reason} [{code}]")]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Stable code.
    pub code: Code<RefusalCode>,
    /// For people.
    pub reason: String,
    /// The policy's rules that speak against it.
    pub rules: Vec<String>,
    /// What would lift them, as the rules say it: `approve:<group>:<n>`, `role:<role>`,
    /// `wait:<time>`.
    pub missing: Vec<String>,
    /// Who refuses what, signed; agents that cannot sign, for they are sealed, answer without.
    pub signed: Option<RefusalSignature>,
}

/// Binds a refusal to its agent and request.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalSignature {
    /// Who refuses.
    pub party: PartyId,
    /// What, where the request names an intent.
    pub intent: Option<IntentHash>,
    /// Unix milliseconds.
    pub at: u64,
    /// Version of the policy it was judged by; 0 without one.
    pub policy_version: u64,
    /// Ed25519 by the agent's identity key.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
}

/// What a refusal's signature covers.
#[derive(BorshSerialize, BorshDeserialize)]
struct RefusalStatement {
    code: Code<RefusalCode>,
    reason: String,
    rules: Vec<String>,
    missing: Vec<String>,
    party: PartyId,
    intent: Option<IntentHash>,
    at: u64,
    policy_version: u64,
}

impl Canonical for RefusalStatement {
    const DOMAIN: &'static str = "quorate/refusal/v1";
}

impl Refusal {
    /// A refusal without rules, not signed yet.
    #[must_use]
    pub fn new(code: impl Into<RefusalCode>, reason: String) -> Self {
        Self {
            code: Code::Known(code.into()),
            reason,
            rules: Vec::new(),
            missing: Vec::new(),
            signed: None,
        }
    }

    /// The bytes that the signature over this refusal covers.
    #[must_use]
    pub fn signing_bytes(&self, signed: &RefusalSignature) -> Vec<u8> {
        RefusalStatement {
            code: self.code.clone(),
            reason: self.reason.clone(),
            rules: self.rules.clone(),
            missing: self.missing.clone(),
            party: signed.party.clone(),
            intent: signed.intent,
            at: signed.at,
            policy_version: signed.policy_version,
        }
        .signing_bytes()
    }

    /// Who signed it, if the signature is good.
    #[must_use]
    pub fn signer(&self, roster: &ValidRoster) -> Option<&PartyId> {
        let signed = self.signed.as_ref()?;
        let good = roster.party_signed(
            &signed.party,
            &self.signing_bytes(signed),
            &signed.signature,
        );
        good.then_some(&signed.party)
    }
}

/// Why a ceremony ended without a result.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[error("{reason} [{code}]")]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Stable code.
    pub code: Code<FailureCode>,
    /// For people; names parties.
    pub reason: String,
    /// Parties this agent holds at fault.
    pub culprits: Vec<PartyId>,
    /// Parties it waited for in vain.
    pub missing: Vec<PartyId>,
}

impl Failure {
    /// A failure that names no party.
    #[must_use]
    pub fn new(code: impl Into<FailureCode>, reason: impl ToString) -> Self {
        Self {
            code: Code::Known(code.into()),
            reason: reason.to_string(),
            culprits: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// A failure for which one party is at fault.
    #[must_use]
    pub fn by(culprit: PartyId, code: impl Into<FailureCode>, reason: impl ToString) -> Self {
        Self {
            culprits: vec![culprit],
            ..Self::new(code, reason)
        }
    }
}

/// What a run yielded.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum RunResult {
    /// One signature per item.
    Signatures(Vec<Signature>),
    /// A witness's: the spend is acknowledged.
    Acknowledged,
    /// A record and this party's attestation of it.
    Attested {
        /// The record.
        record: Record,
        /// This party's signature over it.
        attestation: Attestation,
    },
    /// A signer's part of signatures made from what was preprocessed.
    Partials(Box<SignedPartials>),
}

/// An agent's answer.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum NodeReply {
    /// To `Status`.
    Status(NodeStatus),
    /// To `Keys` and `Key`, in id order.
    Keys(Vec<KeyListing>),
    /// To `Propose`: the policy allows it.
    Judged {
        /// How many agents must take part or acknowledge it; the key's threshold where no limit
        /// counts it.
        acknowledgements: u16,
    },
    /// To `Commit`.
    Commitments(Vec<NonceCommitments>),
    /// To `Pools`.
    Pools(Vec<PoolLevel>),
    /// To `Say`, `Freeze`, `Settle` and `Discard`: it is remembered.
    Noted,
    /// To `Policy` and `Publish`.
    Bundle(Option<Box<SignedBundle>>),
    /// To `Prepare` and `PreparePresign`.
    Prepared {
        /// This party's fresh nonce.
        nonce: [u8; 32],
        /// How many messages or inputs there are to sign; 1 for other ceremonies.
        items: u32,
    },
    /// To `Begin` and `Await`: not finished yet. To `BeginPresign`: it is being done.
    Running,
    /// To `Begin`, `Await` and `Issue`: finished.
    Finished(RunResult),
    /// To `Begin`, `Await` and `Issue`: ended without a result. To `Blame`: the culprits.
    Failed(Failure),
    /// To `Activate`.
    Active,
    /// To anything.
    Refused(Refusal),
    /// To `Affirm`.
    Affirmed(Box<SignedAffirmation>),
}

impl Canonical for NodeReply {
    const DOMAIN: &'static str = "quorate/node-reply/v1";
}
