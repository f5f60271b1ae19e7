//! Requests that wait: for approvals, or for time to pass. The custodians are asked, each decides alone.

use std::time::Duration;

use quorate_api::Problem;
use quorate_service::now_ms;
use quorate_types::node::{NodeReply, NodeRequest, Refusal};
use quorate_types::{Action, Class, RefusalCode, ValidRoster};

use super::attempt::{PartyEnd, problem_of};
use super::case::Case;
use crate::nodes::Nodes;

const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often custodians are asked again when nothing happened: time may have lifted what they waited for.
const TICK: Duration = Duration::from_secs(2);

/// What the custodians say of a request.
pub(super) struct Opinion {
    /// How many allow it.
    pub allowing: usize,
    /// The most that any of them wants to take part or acknowledge.
    pub acknowledgements: u16,
    pending: Vec<Refusal>,
    problem: Problem,
    against: usize,
}

pub(super) async fn ask(nodes: &Nodes, roster: &ValidRoster, case: &Case) -> Opinion {
    let parties = roster.party_ids();
    let request = NodeRequest::Propose {
        intent: case.intent.signed().clone(),
        approvals: case.approvals(),
    };
    let replies = nodes.ask_all(&parties, &request, PROPOSE_TIMEOUT).await;
    let mut opinion = Opinion {
        allowing: 0,
        acknowledgements: 0,
        pending: Vec::new(),
        problem: problem_of(&[]),
        against: 0,
    };
    let mut ends = Vec::new();
    for (party, reply) in parties.into_iter().zip(replies) {
        match reply {
            Ok(NodeReply::Judged { acknowledgements }) => {
                opinion.allowing += 1;
                opinion.acknowledgements = opinion.acknowledgements.max(acknowledgements);
            }
            Ok(NodeReply::Finished(_)) => opinion.allowing += 1,
            Ok(NodeReply::Refused(refusal)) => {
                match refusal.code.class() {
                    Class::Waiting => opinion.pending.push(refusal.clone()),
                    Class::Denied if !refusal.code.is_transient() => opinion.against += 1,
                    _ => {}
                }
                ends.push((party, PartyEnd::Refused(refusal)));
            }
            Ok(_) => {}
            Err(error) => ends.push((party, PartyEnd::Silent(error))),
        }
    }
    opinion.problem = problem_of(&ends);
    opinion
}

/// Waits until enough custodians allow it.
///
/// # Errors
/// When they no longer can: it expired, or too many forbid it.
pub(super) async fn until_allowed(
    nodes: &Nodes,
    roster: &ValidRoster,
    case: &Case,
) -> Result<(), Problem> {
    let threshold = roster.threshold();
    let needed = match case.intent.intent().action {
        Action::Sign { .. } => usize::from(threshold.t()),
        Action::SetUpCommittee | Action::CreateKey { .. } | Action::SetProtocol { .. } => {
            usize::from(threshold.n())
        }
    };
    let all = usize::from(threshold.n());
    loop {
        let opinion = ask(nodes, roster, case).await;
        if opinion.allowing >= needed {
            case.running();
            return Ok(());
        }
        if all.saturating_sub(opinion.against) < needed {
            return Err(opinion.problem);
        }
        if now_ms() >= case.intent.intent().expires_at {
            let detail = "nobody approved it in time; make it again";
            return Err(Problem::new(
                422,
                RefusalCode::IntentExpired,
                "The request expired",
                detail,
            ));
        }
        case.pending(opinion.pending);
        case.news(TICK).await;
    }
}
