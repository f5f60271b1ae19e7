//! A bundle, ready to decide: parsed, strictly validated, with its people as entities.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{
    Authorizer, Decision as CedarDecision, Effect, Entities, Policy, PolicyId, PolicySet,
    Request as CedarRequest, Schema, ValidationMode, Validator,
};
use quorate_types::{Bundle, Network, Rule, SignedApproval, ValidBundle};

use crate::context::{Asked, Book, Known, entities, full_text as full};
use crate::decision::{Allowed, Decision, Missing, Reason};
use crate::history::{History, Standings};
use crate::people::{Expected, Tally, initiator};
use crate::request::{Act, Leg, Request, legs};
use crate::schema::schema;
use crate::source::unwritten_refusals;
use crate::spend::Spend;

/// Why a bundle's rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A rule that is not one Cedar policy.
    #[error("rule {rule} is not one Cedar policy: {reason}")]
    Syntax {
        /// Which.
        rule: String,
        /// What the parser said.
        reason: String,
    },
    /// Rules that do not fit the facts.
    #[error("the rules do not fit what they are asked about: {0}")]
    Validation(String),
    /// The generated schema.
    #[error("the schema of the bundle cannot be made: {0}")]
    Schema(String),
}

/// What a request is judged with besides the bundle.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Approvals, rejections and withdrawals, as they came and as this agent remembers them.
    pub approvals: &'a [SignedApproval],
    /// Hash of the lines that this agent would show.
    pub display: quorate_types::Hash32,
    /// Freeze orders in force; their reasons, for people.
    pub frozen: &'a [String],
    /// The address book; entries that are too new do not count.
    pub book: &'a Book,
}

struct Notes {
    pending: Option<String>,
    reason: String,
}

/// A bundle's rules, ready to be asked.
pub struct Engine {
    bundle: ValidBundle,
    policies: PolicySet,
    /// Those of them that permit: a request that only lacks approvals must be permitted, too.
    permits: PolicySet,
    notes: HashMap<String, Notes>,
    entities: Entities,
    authorizer: Authorizer,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine(version {})", self.bundle.bundle().version)
    }
}

/// Parses and strictly validates a bundle's rules.
///
/// # Errors
/// See [`EngineError`].
pub fn check_rules(bundle: &Bundle) -> Result<PolicySet, EngineError> {
    let mut policies = PolicySet::new();
    for rule in &bundle.rules {
        add(&mut policies, rule)?;
    }
    let text = schema(bundle);
    let (parsed, _) =
        Schema::from_cedarschema_str(&text).map_err(|e| EngineError::Schema(full(&e)))?;
    let result = Validator::new(parsed).validate(&policies, ValidationMode::Strict);
    let mut complaints: Vec<String> = result.validation_errors().map(|e| full(e)).collect();
    // A warning is a rule that can never speak, or text that looks like other text.
    complaints.extend(result.validation_warnings().map(|e| full(e)));
    if complaints.is_empty() {
        Ok(policies)
    } else {
        Err(EngineError::Validation(complaints.join("; ")))
    }
}

fn add(policies: &mut PolicySet, rule: &Rule) -> Result<(), EngineError> {
    let syntax = |reason: String| EngineError::Syntax {
        rule: rule.id.to_string(),
        reason,
    };
    let id = PolicyId::new(rule.id.as_str());
    let policy = Policy::parse(Some(id), &rule.cedar).map_err(|e| syntax(full(&e)))?;
    policies.add(policy).map_err(|e| syntax(full(&e)))
}

impl Engine {
    /// Makes a bundle ready.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn new(bundle: ValidBundle) -> Result<Self, EngineError> {
        let mut policies = check_rules(bundle.bundle())?;
        // A danger that the program which made the bundle did not know is refused all the same.
        for rule in unwritten_refusals(bundle.bundle()) {
            add(&mut policies, &rule)?;
        }
        let note = |policy: &Policy| {
            let said = |key: &str| policy.annotation(key).map(str::to_owned);
            let notes = Notes {
                pending: said("pending"),
                reason: said("reason").unwrap_or_default(),
            };
            (policy.id().to_string(), notes)
        };
        let permits = policies
            .policies()
            .filter(|policy| policy.effect() == Effect::Permit);
        Ok(Self {
            permits: PolicySet::from_policies(permits.cloned())
                .map_err(|e| EngineError::Schema(full(&e)))?,
            notes: policies.policies().map(note).collect(),
            entities: entities(bundle.bundle()).map_err(EngineError::Schema)?,
            policies,
            authorizer: Authorizer::new(),
            bundle,
        })
    }

    /// The bundle.
    #[must_use]
    pub const fn bundle(&self) -> &ValidBundle {
        &self.bundle
    }

    /// Where the counters stand with a request: all of the history that judging it needs.
    #[must_use]
    pub fn standing(&self, request: &Request<'_>, history: &History) -> Standing {
        let spend = request.spend(&self.bundle.bundle().chains);
        Standing {
            lines: spend.as_ref().map_or(0, |spend| spend.lines.len()),
            standings: spend.map(|spend| history.standings(&spend)),
        }
    }

    /// Judges a request. Whatever goes wrong on the way is a denial (I9).
    #[must_use]
    pub fn decide(
        &self,
        request: &Request<'_>,
        evidence: &Evidence<'_>,
        history: &History,
    ) -> (Decision, Tally) {
        self.decide_at(request, evidence, &self.standing(request, history))
    }

    /// [`Self::decide`] with what [`Self::standing`] found: it takes long, and the history may go
    /// on
    /// meanwhile.
    #[must_use]
    pub fn decide_at(
        &self,
        request: &Request<'_>,
        evidence: &Evidence<'_>,
        standing: &Standing,
    ) -> (Decision, Tally) {
        let initiator = initiator(&self.bundle, request);
        let sighashes = match request.act {
            Act::Sign { sighashes, .. } => sighashes,
            Act::SetUpCommittee | Act::CreateKey(_) | Act::SetProtocol(_) => &[],
        };
        let expected = Expected {
            intent: request.intent,
            sighashes,
            display: evidence.display,
            now: request.now,
            initiator: &initiator,
        };
        let tally = Tally::of(&self.bundle, &expected, evidence.approvals);
        if let Some(denial) = self.denied_outright(request, evidence, &tally, standing) {
            return (denial, tally);
        }
        let known = Known {
            bundle: &self.bundle,
            entities: &self.entities,
            initiator: &initiator,
            tally: &tally,
            book: evidence.book,
            standings: standing.standings.as_ref(),
        };
        let mut verdict = Verdict::default();
        for act in request.act.parts() {
            let part = Request { act, ..*request };
            if let Err(error) = self.judge_part(&part, &known, &mut verdict) {
                verdict.deny("evaluation-error", error);
            }
        }
        let allowed = Allowed::new(self.bundle.hash(), standing.counted());
        (verdict.into_decision(allowed), tally)
    }

    /// What no rule has to say, because none could lift it.
    fn denied_outright(
        &self,
        request: &Request<'_>,
        evidence: &Evidence<'_>,
        tally: &Tally,
        standing: &Standing,
    ) -> Option<Decision> {
        if let Some(reason) = evidence.frozen.first() {
            return Some(Decision::Deny(vec![Reason::frozen(reason)]));
        }
        if let Some(who) = tally.rejecters.first() {
            return Some(deny("rejected", format!("{who} rejected it")));
        }
        let ours = self.bundle.bundle().chains.bitcoin;
        if let Some(Network::Bitcoin(asked)) = request.act.network()
            && asked != ours
        {
            let text = format!(
                "the policy's Bitcoin network is {ours}, and the signature would be valid there; it was asked for on {asked}"
            );
            return Some(deny("bitcoin-network", text));
        }
        if standing.counted() && standing.lines > Spend::MAX_LINES {
            let max = Spend::MAX_LINES;
            let text = format!("a limit counts it, and it moves more than {max} amounts");
            return Some(deny("evaluation-error", text));
        }
        None
    }

    fn judge_part(
        &self,
        part: &Request<'_>,
        known: &Known<'_>,
        verdict: &mut Verdict,
    ) -> Result<(), String> {
        let asked = Asked::new(part, known)?;
        for leg in legs(&part.act, self.bundle.bundle()) {
            self.learn(&self.evaluate(&asked, &leg)?, verdict);
        }
        Ok(())
    }

    fn evaluate(&self, asked: &Asked<'_>, leg: &Leg) -> Result<Answer, String> {
        let question = CedarRequest::new(
            asked.principal.clone(),
            asked.action.clone(),
            asked.resource.clone(),
            asked.context_of(leg)?,
            None,
        )
        .map_err(|e| full(&e))?;
        let ask = |policies| {
            self.authorizer
                .is_authorized(&question, policies, &asked.entities)
        };
        let response = ask(&self.policies);
        let permitted = response.decision() == CedarDecision::Allow
            || ask(&self.permits).decision() == CedarDecision::Allow;
        Ok(Answer {
            response,
            permitted,
        })
    }

    fn learn(&self, answer: &Answer, verdict: &mut Verdict) {
        let Answer {
            response,
            permitted,
        } = answer;
        let mut failed = false;
        for error in response.diagnostics().errors() {
            // Cedar skips a policy that errs; here that is a denial.
            failed = true;
            verdict.deny("evaluation-error", full(error));
        }
        if failed || response.decision() == CedarDecision::Allow {
            return;
        }
        let mut denied = false;
        for rule in response.diagnostics().reason() {
            let rule = rule.to_string();
            match self.notes.get(&rule) {
                Some(Notes {
                    pending: Some(what),
                    reason,
                }) => {
                    verdict.missing.insert(Missing {
                        rule,
                        what: what.clone(),
                        text: reason.clone(),
                    });
                }
                other => {
                    denied = true;
                    let reason = other.map(|notes| notes.reason.clone());
                    verdict.deny(&rule, reason.unwrap_or_default());
                }
            }
        }
        if !permitted && !denied {
            verdict.deny("no-permit", "no rule permits this".to_owned());
        }
    }
}

/// What Cedar says of one leg.
struct Answer {
    response: cedar_policy::Response,
    /// Whether some rule permits it, whatever forbids it.
    permitted: bool,
}

/// See [`Engine::standing`].
#[derive(Debug)]
pub struct Standing {
    /// How many lines a record of the spend would have.
    lines: usize,
    standings: Option<Standings>,
}

impl Standing {
    /// Whether a rolling counter counts the request.
    fn counted(&self) -> bool {
        self.standings.as_ref().is_some_and(Standings::counted)
    }
}

#[derive(Default)]
struct Verdict {
    missing: BTreeSet<Missing>,
    reasons: BTreeSet<Reason>,
}

impl Verdict {
    fn deny(&mut self, rule: &str, text: String) {
        self.reasons.insert(Reason {
            rule: rule.to_owned(),
            text,
        });
    }

    fn into_decision(self, allowed: Allowed) -> Decision {
        if !self.reasons.is_empty() {
            return Decision::Deny(self.reasons.into_iter().collect());
        }
        if !self.missing.is_empty() {
            return Decision::Pending(self.missing.into_iter().collect());
        }
        Decision::Allow(allowed)
    }
}

fn deny(rule: &str, text: String) -> Decision {
    Decision::Deny(vec![Reason {
        rule: rule.to_owned(),
        text,
    }])
}
