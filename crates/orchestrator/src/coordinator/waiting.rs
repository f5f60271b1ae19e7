//! Requests that wait: for approvals, or for time to pass. The custodians are asked, each decides alone.

use std::time::Duration;

use quorate_api::Problem;
use quorate_service::now_ms;
use quorate_types::node::{NodeReply, NodeRequest, Refusal};
use quorate_types::{Action, Class, RefusalCode, ValidRoster};

use super::attempt::{PartyEnd, problem_of};
use super::case::Case;
use crate::nodes::Nodes;
use tokio::time::Instant;

const PROPOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon custodians are asked again when nothing happened: time may have lifted what they waited
/// for.
const SOON: Duration = Duration::from_secs(2);
/// How soon at the latest.
const LATE: Duration = Duration::from_secs(60);

/// How long to wait before asking again about a request that has waited for so long without news:
/// an eighth more, so that one that waits for days is not sent again and again, whole and to all
/// (T34).
fn pause(waited: Duration) -> Duration {
    (waited / 8).clamp(SOON, LATE)
}

/// What the custodians say of a request.
pub(super) struct Opinion {
    /// How many allow it.
    pub allowing: usize,
    /// How many each of those that allow it wants to take part or acknowledge.
    pub acknowledgements: Vec<u16>,
    pending: Vec<Refusal>,
    problem: Problem,
    against: usize,
}

/// How many must take part in a signing or acknowledge it, as custodians say. One that asks for
/// more than there are is not to stop the others (T36).
#[derive(Debug, Default)]
pub(super) struct Demands(Vec<u16>);

impl Demands {
    /// What custodians say now.
    pub fn take(&mut self, said: Vec<u16>) {
        self.0 = said;
        self.0.sort_unstable();
    }

    /// The most that is asked for and there is, of so many that can take part; but no less than `t`
    /// custodians are content with, for those could sign.
    pub fn needed(&self, t: usize, able: usize) -> usize {
        let asked = |n: &u16| usize::from(*n);
        let of_t = self.0.get(t.saturating_sub(1)).or(self.0.last());
        let least = of_t.map_or(t, asked);
        let met = self.0.iter().map(asked).filter(|n| *n <= able).max();
        met.unwrap_or(least).max(least).max(t)
    }
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
        acknowledgements: Vec::new(),
        pending: Vec::new(),
        problem: problem_of(&[]),
        against: 0,
    };
    let mut ends = Vec::new();
    for (party, reply) in parties.into_iter().zip(replies) {
        match reply {
            Ok(NodeReply::Judged { acknowledgements }) => {
                opinion.allowing += 1;
                opinion.acknowledgements.push(acknowledgements);
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
    let mut since = Instant::now();
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
        let left = case.intent.intent().expires_at.saturating_sub(now_ms());
        let pause = pause(since.elapsed()).min(Duration::from_millis(left.max(1)));
        if case.news(pause).await {
            since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t34_a_request_that_waits_long_is_asked_about_ever_less_often() {
        let (mut waited, mut asked) = (Duration::ZERO, 0);
        while waited < Duration::from_secs(7 * 24 * 3600) {
            waited += pause(waited);
            asked += 1;
        }
        assert!(
            asked < 10_200,
            "{asked}: not one every two seconds, 302,400"
        );
        assert_eq!(pause(Duration::from_secs(1)), SOON);
        assert_eq!(pause(Duration::from_secs(80)), Duration::from_secs(10));
    }

    fn needed(said: &[u16], t: usize, able: usize) -> usize {
        let mut demands = Demands::default();
        demands.take(said.to_vec());
        demands.needed(t, able)
    }

    #[test]
    fn t36_one_custodian_that_wants_more_than_there_are_does_not_stop_the_others() {
        assert_eq!(needed(&[], 2, 3), 2);
        assert_eq!(needed(&[2, 2, 2], 2, 3), 2);
        assert_eq!(
            needed(&[3, 2, 2], 2, 3),
            3,
            "all are there: nothing is lost"
        );
        assert_eq!(needed(&[5, 3, 3, 3], 3, 4), 3, "one is not");
        assert_eq!(needed(&[u16::MAX, 2, 2], 2, 3), 2);
        assert_eq!(needed(&[3, 3], 2, 2), 3, "those that would sign want it");
    }
}
