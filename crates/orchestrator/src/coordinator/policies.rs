//! Carrying policies: to every custodian, and to those that missed a version. Nothing here is believed; each custodian checks the chain
//! and the admins' signatures itself.

use std::time::Duration;

use quorate_api::{Delivery, Problem};
use quorate_types::node::{NodeReply, NodeRequest, NodeStatus, Standing};
use quorate_types::{PartyId, ProblemCode, SignedBundle};

use crate::nodes::Nodes;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Gives everybody the same order, and says how it went.
pub(super) async fn deliver(
    nodes: &Nodes,
    parties: &[PartyId],
    request: &NodeRequest,
) -> Vec<Delivery> {
    let replies = nodes.ask_all(parties, request, TIMEOUT).await;
    let deliveries = parties.iter().zip(replies).map(|(party, reply)| Delivery {
        party: party.clone(),
        problem: match reply {
            Ok(NodeReply::Noted | NodeReply::Bundle(_)) => None,
            Ok(NodeReply::Refused(refusal)) => Some(refusal.to_string()),
            Ok(_) => Some("answered something else".to_owned()),
            Err(error) => Some(error.to_string()),
        },
    });
    deliveries.collect()
}

/// A version from whoever has it; with 0 the highest that anybody has in force.
pub(super) async fn find(
    nodes: &Nodes,
    parties: &[PartyId],
    version: u64,
) -> Result<SignedBundle, Problem> {
    let replies = nodes
        .ask_all(parties, &NodeRequest::Policy { version }, TIMEOUT)
        .await;
    let found = replies.into_iter().filter_map(|reply| match reply {
        Ok(NodeReply::Bundle(Some(bundle))) => Some(*bundle),
        _ => None,
    });
    found
        .max_by_key(|bundle| bundle.bundle.version)
        .ok_or_else(|| {
            Problem::new(
                404,
                ProblemCode::PolicyUnknown,
                "Unknown policy version",
                "no custodian that answers has it",
            )
        })
}

/// The highest version that so many say they have in force, or where there is none the highest of all: what one alone says, may be a lie.
pub(super) fn common(statuses: &[NodeStatus], many: usize) -> Option<u64> {
    let mut versions: Vec<u64> = statuses.iter().map(|s| s.policy_version).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let shared = versions
        .iter()
        .copied()
        .find(|v| versions.iter().filter(|o| *o == v).count() >= many);
    shared.or_else(|| versions.first().copied())
}

/// Brings custodians that missed versions up to the highest one; returns whether anybody was behind.
pub(super) async fn heal(nodes: &Nodes, statuses: &[NodeStatus]) -> bool {
    let Some(leader) = statuses.iter().max_by_key(|s| s.policy_version) else {
        return false;
    };
    let mut behind = false;
    let sealed = |s: &NodeStatus| matches!(s.standing, Standing::Sealed { .. });
    for status in statuses
        .iter()
        .filter(|s| s.policy_version < leader.policy_version && !sealed(s))
    {
        behind = true;
        for version in status.policy_version + 1..=leader.policy_version {
            let asked = nodes
                .ask(&leader.party, &NodeRequest::Policy { version }, TIMEOUT)
                .await;
            let Ok(NodeReply::Bundle(Some(bundle))) = asked else {
                tracing::warn!(party = %leader.party, version, "does not hand out the policy it says it has");
                break;
            };
            match nodes
                .ask(&status.party, &NodeRequest::Publish(bundle), TIMEOUT)
                .await
            {
                Ok(NodeReply::Bundle(_)) => {
                    tracing::info!(party = %status.party, version, "policy delivered");
                }
                other => {
                    tracing::warn!(party = %status.party, version, ?other, "cannot deliver the policy");
                    break;
                }
            }
        }
    }
    behind
}
