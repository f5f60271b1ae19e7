//! Signing: pick t healthy custodians, try, and try others when some fail.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_api::{Problem, ResultView};
use quorate_chain::{SigningItem, analyse_for};
use quorate_types::node::{KeyListing, NodeReply, NodeRequest, NodeStatus, RunResult, Standing};
use quorate_types::{Action, PartyId, PublicKey, Signature, ValidRoster, VerifiedIntent};

use super::attempt::{Attempts, PartyEnd, problem_of};
use super::{policies, waiting};
use crate::keys;

const PING_TIMEOUT: Duration = Duration::from_millis(1500);
/// Different quorums tried before giving up.
const MAX_TRIES: u32 = 8;

/// What the signatures must verify against; advice only, the agents and the client check themselves.
struct Expected {
    child: PublicKey,
    items: Vec<SigningItem>,
}

pub(super) async fn run(
    attempts: &Attempts<'_>,
    roster: &ValidRoster,
) -> Result<ResultView, Problem> {
    let key = find_key(attempts, roster).await?;
    let expected = Expected::of(&attempts.case.intent, &key)?;
    let mut doubts = Doubts::default();
    let mut needed = key.record.threshold.t();
    let mut last: Option<Problem> = None;
    for attempt in 0..MAX_TRIES {
        let (quorum, witnesses) = match pick(attempts, &key, needed, &doubts).await {
            Ok(picked) => picked,
            Err(problem) => return Err(last.unwrap_or(problem)),
        };
        let decides =
            |end: &PartyEnd| expected.good(end).is_some() || matches!(end, PartyEnd::Failed(_));
        let ends = attempts.run(&quorum, &witnesses, decides).await;
        if let Some(signatures) = ends.iter().find_map(|(_, end)| expected.good(end)) {
            return Ok(ResultView::Signatures(signatures));
        }
        let problem = problem_of(&ends);
        if wants_witnesses(&ends) {
            let opinion = waiting::ask(attempts.nodes, roster, attempts.case).await;
            needed = needed.max(opinion.acknowledgements);
        }
        doubts.learn(&ends);
        let note = format!("attempt {attempt}: {}", problem.detail);
        attempts.case.view.send_modify(|view| view.notes.push(note));
        last = Some(problem);
    }
    Err(last.unwrap_or_else(|| {
        Problem::new(
            502,
            "ceremony-failed",
            "No quorum signed",
            "every try failed",
        )
    }))
}

/// Whether somebody wants more custodians to acknowledge what is spent.
fn wants_witnesses(ends: &[(PartyId, PartyEnd)]) -> bool {
    ends.iter().any(|(_, end)| {
        matches!(end, PartyEnd::Refused(r) if matches!(r.code.as_str(), "limit-acknowledgements" | "spending-forgotten"))
    })
}

/// A refusal that may be another one in a moment.
fn passes(code: &str) -> bool {
    code.starts_with("spending-")
        || matches!(
            code,
            "limit-acknowledgements" | "busy" | "policy-changed" | "confirming"
        )
}

/// What failed tries say about custodians. An accusation is only what its maker says, so nobody is shut out for one: the next quorum is
/// made of those with the least against them.
#[derive(Default)]
struct Doubts {
    against: BTreeMap<PartyId, u32>,
    /// Silent, or unwilling: no use asking again.
    out: BTreeSet<PartyId>,
}

impl Doubts {
    fn learn(&mut self, ends: &[(PartyId, PartyEnd)]) {
        for (party, end) in ends {
            *self.against.entry(party.clone()).or_default() += 1;
            match end {
                PartyEnd::Refused(refusal) if passes(&refusal.code) => {}
                PartyEnd::Silent(_) | PartyEnd::Refused(_) => {
                    self.out.insert(party.clone());
                }
                PartyEnd::Failed(failure) => {
                    for accused in failure.culprits.iter().chain(&failure.missing) {
                        *self.against.entry(accused.clone()).or_default() += 1;
                    }
                }
                PartyEnd::Finished(_) => {}
            }
        }
    }

    fn against(&self, party: &PartyId) -> u32 {
        self.against.get(party).copied().unwrap_or_default()
    }
}

async fn find_key(attempts: &Attempts<'_>, roster: &ValidRoster) -> Result<KeyListing, Problem> {
    let Action::Sign { key, .. } = &attempts.case.intent.intent().action else {
        return Err(Problem::new(
            400,
            "unreadable",
            "Not a signing intent",
            "this is no signing intent",
        ));
    };
    let found = keys::all(attempts.nodes, roster)
        .await
        .into_iter()
        .find(|k| k.record.id == *key && k.active);
    found.ok_or_else(|| {
        let detail = format!("no custodian that answers knows key {key}");
        Problem::new(404, "key-unknown", "Unknown key", detail)
    })
}

impl Expected {
    fn of(intent: &VerifiedIntent, key: &KeyListing) -> Result<Self, Problem> {
        let Action::Sign {
            path,
            network,
            payload,
            ..
        } = &intent.intent().action
        else {
            return Err(Problem::new(
                400,
                "unreadable",
                "Not a signing intent",
                "this is no signing intent",
            ));
        };
        let analysed = analyse_for(payload, *network, &key.record, path);
        let (child, analysis) =
            analysed.map_err(|e| Problem::new(422, e.code(), "The payload is not signed", e))?;
        Ok(Self {
            child,
            items: analysis.items,
        })
    }

    /// The signatures, if they are all there and all good.
    fn good(&self, end: &PartyEnd) -> Option<Vec<Signature>> {
        let PartyEnd::Finished(RunResult::Signatures(signatures)) = end else {
            return None;
        };
        let good = signatures.len() == self.items.len()
            && self.items.iter().zip(signatures).all(|(item, signature)| {
                quorate_chain::verify(item.message(), &self.child, signature).is_ok()
            });
        good.then(|| signatures.clone())
    }
}

/// Of those that can take part: an agent that is still confirming settles within a moment; a sealed or quarantined one waits for people.
async fn statuses(attempts: &Attempts<'_>, candidates: &[PartyId]) -> Vec<NodeStatus> {
    let replies = attempts
        .nodes
        .ask_all(candidates, &NodeRequest::Status, PING_TIMEOUT)
        .await;
    let may_take_part = |status: &NodeStatus| {
        !matches!(
            status.standing,
            Standing::Sealed { .. } | Standing::Quarantined { .. }
        )
    };
    let of_party = candidates
        .iter()
        .zip(replies)
        .filter_map(|(party, reply)| match reply {
            // An agent's answer is another's only if it lies, and then it is not asked.
            Ok(NodeReply::Status(status)) if status.party == *party => Some(status),
            _ => None,
        });
    of_party.filter(may_take_part).collect()
}

/// The t of the committee that answer and have least against them, in committee order, and so many more that `needed` acknowledge. All of them
/// under the same policy: who missed a version gets it first.
async fn pick(
    attempts: &Attempts<'_>,
    key: &KeyListing,
    needed: u16,
    doubts: &Doubts,
) -> Result<(Vec<PartyId>, Vec<PartyId>), Problem> {
    let candidates: Vec<PartyId> = key
        .record
        .committee
        .iter()
        .filter(|p| !doubts.out.contains(p))
        .cloned()
        .collect();
    let mut statuses = statuses(attempts, &candidates).await;
    if policies::heal(attempts.nodes, &statuses).await {
        statuses = self::statuses(attempts, &candidates).await;
    }
    let t = usize::from(key.record.threshold.t());
    let version = policies::common(&statuses, t);
    let current = statuses
        .into_iter()
        .filter(|s| Some(s.policy_version) == version);
    let mut healthy: Vec<PartyId> = current.map(|s| s.party).collect();
    // Stable: committee order among those with as much against them.
    healthy.sort_by_key(|party| doubts.against(party));
    let all = usize::from(needed).max(t);
    match (healthy.get(..t), healthy.get(t..all)) {
        (Some(quorum), Some(witnesses)) => {
            let in_order = |some: &[PartyId]| {
                let committee = key.record.committee.iter();
                committee.filter(|p| some.contains(p)).cloned().collect()
            };
            Ok((in_order(quorum), in_order(witnesses)))
        }
        _ => {
            let offline: Vec<PartyId> = key
                .record
                .committee
                .iter()
                .filter(|p| !healthy.contains(p))
                .cloned()
                .collect();
            let names: Vec<_> = offline.iter().map(PartyId::as_str).collect();
            let detail = format!(
                "{} of {} custodians can take part and {all} are needed; not available: {}",
                healthy.len(),
                key.record.committee.len(),
                names.join(", ")
            );
            let mut problem = Problem::new(
                503,
                "party-offline",
                "Too few custodians are online",
                detail,
            );
            problem.missing = offline;
            Err(problem)
        }
    }
}
