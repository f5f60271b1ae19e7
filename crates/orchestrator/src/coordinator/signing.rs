//! Signing: pick t healthy custodians, try, and try others when some fail.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_api::{Problem, ResultView};
use quorate_chain::{SigningItem, analyse, hd::derive_child};
use quorate_types::node::{KeyListing, NodeReply, NodeRequest, RunResult};
use quorate_types::{Action, PartyId, PublicKey, Signature, ValidRoster, VerifiedIntent};

use super::attempt::{Attempts, PartyEnd, problem_of};
use crate::keys;

const PING_TIMEOUT: Duration = Duration::from_millis(1500);
/// Different quorums tried before giving up.
const MAX_TRIES: u32 = 4;

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
    let expected = Expected::of(attempts.intent, &key)?;
    let mut avoid: BTreeSet<PartyId> = BTreeSet::new();
    let mut last: Option<Problem> = None;
    for attempt in 0..MAX_TRIES {
        let quorum = match pick(attempts, &key, &avoid).await {
            Ok(quorum) => quorum,
            Err(problem) => return Err(last.unwrap_or(problem)),
        };
        let ends = attempts.run(attempt, &quorum).await;
        if let Some(signatures) = ends.iter().find_map(|(_, end)| expected.good(end)) {
            return Ok(ResultView::Signatures(signatures));
        }
        let problem = problem_of(&ends);
        let before = avoid.len();
        blame(&ends, &problem, &mut avoid);
        if avoid.len() == before {
            return Err(problem);
        }
        let note = format!("attempt {attempt}: {}", problem.detail);
        attempts.view.send_modify(|view| view.notes.push(note));
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

/// Leaves out whom the next try should not use: proven culprits, and whoever was silent or refused.
fn blame(ends: &[(PartyId, PartyEnd)], problem: &Problem, avoid: &mut BTreeSet<PartyId>) {
    avoid.extend(problem.culprits.iter().chain(&problem.missing).cloned());
    for (party, end) in ends {
        if matches!(end, PartyEnd::Silent(_) | PartyEnd::Refused(_)) {
            avoid.insert(party.clone());
        }
    }
}

async fn find_key(attempts: &Attempts<'_>, roster: &ValidRoster) -> Result<KeyListing, Problem> {
    let Action::Sign { key, .. } = &attempts.intent.intent().action else {
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
        .find(|k| k.record.id == *key);
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
        let record = &key.record;
        let analysed = derive_child(&record.public_key, record.chain_code.as_bytes(), path)
            .and_then(|child| {
                let analysis =
                    analyse(payload, *network, record.scheme, &child, record.raw_signing)?;
                Ok(Self {
                    child,
                    items: analysis.items,
                })
            });
        analysed.map_err(|e| Problem::new(422, e.code(), "The payload is not signed", e))
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

/// The first t of the committee that answer, in committee order.
async fn pick(
    attempts: &Attempts<'_>,
    key: &KeyListing,
    avoid: &BTreeSet<PartyId>,
) -> Result<Vec<PartyId>, Problem> {
    let candidates: Vec<PartyId> = key
        .record
        .committee
        .iter()
        .filter(|p| !avoid.contains(p))
        .cloned()
        .collect();
    let replies = attempts
        .nodes
        .ask_all(&candidates, &NodeRequest::Status, PING_TIMEOUT)
        .await;
    let healthy: Vec<PartyId> = candidates
        .into_iter()
        .zip(replies)
        .filter(|(_, reply)| matches!(reply, Ok(NodeReply::Status(_))))
        .map(|(party, _)| party)
        .collect();
    let t = usize::from(key.record.threshold.t());
    match healthy.get(..t) {
        Some(quorum) => Ok(quorum.to_vec()),
        None => {
            let offline: Vec<PartyId> = key
                .record
                .committee
                .iter()
                .filter(|p| !healthy.contains(p))
                .cloned()
                .collect();
            let names: Vec<_> = offline.iter().map(PartyId::as_str).collect();
            let detail = format!(
                "{} of {} custodians answer and {t} are needed; not available: {}",
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
