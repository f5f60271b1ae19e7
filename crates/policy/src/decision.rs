//! What an agent decides, and why.

use quorate_types::Hash32;
use serde::Serialize;

/// A rule that speaks against a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reason {
    /// The rule's id, or one of the built-in ones: `no-permit`, `evaluation-error`, `frozen`,
    /// `rejected`, `bitcoin-network`.
    pub rule: String,
    /// For people.
    pub text: String,
}

impl Reason {
    /// A guardian stopped everything; `reason` is what they said, and who.
    #[must_use]
    pub fn frozen(reason: &str) -> Self {
        Self {
            rule: "frozen".to_owned(),
            text: format!("a guardian has frozen everything: {reason}"),
        }
    }
}

/// What would lift a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// The rule's id.
    pub rule: String,
    /// `approve:<group>:<n>`, `role:<role>+<role>`, `wait:<duration>`, or what the rule's author wrote.
    pub what: String,
    /// For people.
    pub text: String,
}

/// Proof that a bundle allows a request; only the engine makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    policy: Hash32,
    counted: bool,
}

impl Allowed {
    pub(crate) const fn new(policy: Hash32, counted: bool) -> Self {
        Self { policy, counted }
    }

    /// The bundle's hash.
    #[must_use]
    pub const fn policy(&self) -> Hash32 {
        self.policy
    }

    /// Whether a rolling counter counts it, so that agents must first show each other what they know.
    #[must_use]
    pub const fn counted(&self) -> bool {
        self.counted
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Every rule is satisfied.
    Allow(Allowed),
    /// Approvals or time would satisfy every rule that speaks against it.
    Pending(Vec<Missing>),
    /// A rule forbids it, or none permits it, or it cannot be evaluated (I9).
    Deny(Vec<Reason>),
}
