//! One try of an intent with one set of participants: prepare, begin, wait.

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt as _};
use quorate_api::Problem;
use quorate_messaging::TransportError;
use quorate_types::node::{Failure, NodeReply, NodeRequest, Refusal, RunResult};
use quorate_types::{
    Class, Code, FailureCode, Hash32, PartyId, Preprocessed, ProblemCode, RefusalCode,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::case::Case;
use crate::nodes::{NodeError, Nodes};

const PREPARE_TIMEOUT: Duration = Duration::from_secs(10);
const ISSUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an agent is asked to wait before it answers that it is still at it.
const WAIT_MS: u32 = 5_000;
const WAIT_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a ceremony may take in all, however alive its agents say they are.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long the others are waited for once nothing more is needed of them.
const GRACE: Duration = Duration::from_secs(5);
/// Answers missed in a row before an agent counts as gone.
const MAX_SILENCE: u32 = 3;
/// Pause until an agent that does not listen is asked again, and how long it may not listen
/// before it counts as gone: one that lost its connection tries again every two seconds.
const PAUSE: Duration = Duration::from_millis(500);
const GONE_AFTER: Duration = Duration::from_secs(10);

/// How one party's part of a try ended.
#[derive(Debug)]
pub enum PartyEnd {
    /// With a result.
    Finished(RunResult),
    /// Its ceremony failed.
    Failed(Failure),
    /// It refused to take part.
    Refused(Refusal),
    /// It does not answer.
    Silent(NodeError),
}

/// What a try is made with besides the intent; nothing but for a signing.
#[derive(Debug, Default)]
pub struct Inputs {
    /// What was made ahead; nothing for the interactive protocol.
    pub preprocessed: Preprocessed,
    /// Hash of the protocol record that is believed to be in force for the key.
    pub protocol: Option<Hash32>,
}

/// All tries of one intent.
pub struct Attempts<'a> {
    /// The agents.
    pub nodes: &'a Nodes,
    /// The intent, and where its progress is shown.
    pub(super) case: &'a Case,
}

impl Attempts<'_> {
    /// One try. Answers in the order of participants and witnesses. `decides` says of a party and
    /// its end whether the others' still matter: when they do not, they are waited for a moment
    /// only.
    pub async fn run(
        &self,
        participants: &[PartyId],
        witnesses: &[PartyId],
        inputs: &Inputs,
        decides: impl Fn(&PartyId, &PartyEnd) -> bool,
    ) -> Vec<(PartyId, PartyEnd)> {
        let attempt = self.next(participants);
        let everyone = [participants, witnesses].concat();
        let request = NodeRequest::Prepare {
            intent: self.case.intent.signed().clone(),
            approvals: self.case.approvals(),
            witnesses: witnesses.to_vec(),
            attempt,
            participants: participants.to_vec(),
            preprocessed: inputs.preprocessed.clone(),
            protocol: inputs.protocol,
        };
        let ends = match self.prepare(&request, &everyone).await {
            Ok(nonces) => {
                self.case.begun();
                self.begin(attempt, &everyone, &nonces, decides).await
            }
            Err(ends) => {
                if ends.iter().any(is_repeated) {
                    self.case.begun();
                }
                ends
            }
        };
        everyone.into_iter().zip(ends).collect()
    }

    /// The number of the next try, which is shown from now on.
    fn next(&self, participants: &[PartyId]) -> u32 {
        let attempt = self.case.attempt();
        self.case.view.send_modify(|view| {
            view.attempts = attempt + 1;
            view.participants = participants.to_vec();
        });
        attempt
    }

    /// One try with what was made ahead, in one round. Answers in the order of the signers, and the
    /// try's number.
    pub async fn issue(
        &self,
        signers: &[PartyId],
        preprocessed: &Preprocessed,
    ) -> (u32, Vec<(PartyId, PartyEnd)>) {
        let attempt = self.next(signers);
        let request = NodeRequest::Issue {
            intent: self.case.intent.signed().clone(),
            approvals: self.case.approvals(),
            attempt,
            participants: signers.to_vec(),
            preprocessed: preprocessed.clone(),
        };
        let ends = signers.iter().map(|party| self.issue_at(party, &request));
        let ends = join_all(ends).await;
        if ends.iter().any(has_begun) {
            self.case.begun();
        }
        (attempt, signers.iter().cloned().zip(ends).collect())
    }

    /// An answer that got lost is asked for once more: it is the same.
    async fn issue_at(&self, party: &PartyId, request: &NodeRequest) -> PartyEnd {
        let reply = match self.nodes.ask(party, request, ISSUE_TIMEOUT).await {
            Err(_) => self.nodes.ask(party, request, ISSUE_TIMEOUT).await,
            answered => answered,
        };
        end_or_waiting(reply)
    }

    /// Everyone's nonce; or, if someone gives none, how it stands with each.
    async fn prepare(
        &self,
        request: &NodeRequest,
        everyone: &[PartyId],
    ) -> Result<Vec<[u8; 32]>, Vec<PartyEnd>> {
        let replies = self.nodes.ask_all(everyone, request, PREPARE_TIMEOUT).await;
        let nonces: Option<Vec<_>> = replies
            .iter()
            .map(|reply| match reply {
                Ok(NodeReply::Prepared { nonce, .. }) => Some(*nonce),
                _ => None,
            })
            .collect();
        nonces.ok_or_else(|| replies.into_iter().map(end_or_waiting).collect())
    }

    async fn begin(
        &self,
        attempt: u32,
        participants: &[PartyId],
        nonces: &[[u8; 32]],
        decides: impl Fn(&PartyId, &PartyEnd) -> bool,
    ) -> Vec<PartyEnd> {
        let begin = NodeRequest::Begin {
            intent: self.case.intent.hash(),
            attempt,
            nonces: nonces.to_vec(),
            wait_ms: WAIT_MS,
        };
        let mut running: FuturesUnordered<_> = participants
            .iter()
            .enumerate()
            .map(|(seat, party)| {
                let begin = &begin;
                async move { (seat, self.follow(party, begin, attempt).await) }
            })
            .collect();
        let mut ends: Vec<Option<PartyEnd>> = participants.iter().map(|_| None).collect();
        let mut deadline = Instant::now() + LIMIT;
        while let Ok(Some((seat, end))) = timeout_at(deadline, running.next()).await {
            if participants
                .get(seat)
                .is_some_and(|party| decides(party, &end))
            {
                deadline = deadline.min(Instant::now() + GRACE);
            }
            if let Some(place) = ends.get_mut(seat) {
                *place = Some(end);
            }
        }
        ends.into_iter()
            .map(|end| end.unwrap_or_else(unfinished))
            .collect()
    }

    /// Begins at one agent and waits for its end; the caller bounds how long.
    async fn follow(&self, party: &PartyId, begin: &NodeRequest, attempt: u32) -> PartyEnd {
        let wait = NodeRequest::Await {
            intent: self.case.intent.hash(),
            attempt,
            wait_ms: WAIT_MS,
        };
        let mut silence = 0;
        let mut heard = Instant::now();
        let mut request = begin;
        loop {
            let reply = self.nodes.ask(party, request, WAIT_TIMEOUT).await;
            if does_not_listen(&reply) && heard.elapsed() < GONE_AFTER {
                // The same again: it was not delivered.
                sleep(PAUSE).await;
                continue;
            }
            request = &wait;
            match reply {
                Err(_) if silence + 1 < MAX_SILENCE && !does_not_listen(&reply) => silence += 1,
                Ok(NodeReply::Running) => {
                    silence = 0;
                    heard = Instant::now();
                }
                Ok(NodeReply::Refused(refusal)) if refusal.code == RefusalCode::NotPrepared => {
                    return restarted(party);
                }
                other => return end_or_waiting(other),
            }
        }
    }
}

/// Nobody took the request.
const fn does_not_listen(reply: &Result<NodeReply, NodeError>) -> bool {
    matches!(
        reply,
        Err(NodeError::Transport(TransportError::NoResponder(_)))
    )
}

/// `None` where the party is fine and waits for others.
fn end_of(reply: Result<NodeReply, NodeError>) -> Option<PartyEnd> {
    match reply {
        Ok(NodeReply::Finished(result)) => Some(PartyEnd::Finished(result)),
        Ok(NodeReply::Failed(failure)) => Some(PartyEnd::Failed(failure)),
        Ok(NodeReply::Refused(refusal)) => Some(PartyEnd::Refused(refusal)),
        Ok(_) => None,
        Err(error) => Some(PartyEnd::Silent(error)),
    }
}

/// The same where only its end or its waiting for others is left.
pub(super) fn end_or_waiting(reply: Result<NodeReply, NodeError>) -> PartyEnd {
    end_of(reply).unwrap_or_else(waiting)
}

/// The number of the try was used before, when this orchestrator was another process.
fn is_repeated(end: &PartyEnd) -> bool {
    matches!(end, PartyEnd::Refused(refusal) if refusal.code == RefusalCode::Repeated)
}

/// Whether the party may have recorded the try: a refusal comes before that.
fn has_begun(end: &PartyEnd) -> bool {
    is_repeated(end) || !matches!(end, PartyEnd::Refused(_))
}

/// It had begun, and now knows nothing of it.
fn restarted(party: &PartyId) -> PartyEnd {
    PartyEnd::Failed(Failure {
        missing: vec![party.clone()],
        ..Failure::new(
            FailureCode::PartyRestarted,
            "was restarted and lost the session",
        )
    })
}

/// It still says that it is running.
fn unfinished() -> PartyEnd {
    PartyEnd::Failed(Failure::new(
        FailureCode::NotFinished,
        "was still running when the others had ended",
    ))
}

fn waiting() -> PartyEnd {
    PartyEnd::Failed(Failure::new(
        FailureCode::NotBegun,
        "was ready, but others were not",
    ))
}

/// Problem for the client when a try yielded nothing: refusals first, then who is missing or at
/// fault.
pub fn problem_of(ends: &[(PartyId, PartyEnd)]) -> Problem {
    let nothing_said = ProblemCode::CeremonyFailed;
    let mut problem = Problem::new(502, nothing_said, "The custodians did not do it", "");
    let mut details: Vec<(Vec<&str>, String)> = Vec::new();
    let mut codes: Vec<(u8, u16, Code<ProblemCode>)> = Vec::new();
    for (party, end) in ends {
        match end {
            PartyEnd::Finished(_) => {}
            PartyEnd::Refused(refusal) => {
                codes.push((rank(&refusal.code), 422, refusal.code.widen()));
                say(&mut details, party, format!("refused: {}", refusal.reason));
                problem.refusals.push(refusal.clone());
            }
            PartyEnd::Silent(error) => {
                codes.push((3, 503, error.code().into()));
                say(&mut details, party, format!("no answer ({error})"));
                problem.missing.push(party.clone());
            }
            PartyEnd::Failed(failure) if failure.code == FailureCode::NotBegun => {}
            // Whom an agent blames is what that agent says, no more; the detail names who says it.
            PartyEnd::Failed(failure) => {
                let is_echo = failure.code == FailureCode::PeerAborted;
                let rank = if is_echo { 5 } else { 4 };
                codes.push((rank, 502, failure.code.widen()));
                say(&mut details, party, failure.reason.clone());
                problem.culprits.extend(failure.culprits.iter().cloned());
                problem.missing.extend(failure.missing.iter().cloned());
            }
        }
    }
    if let Some((_, status, code)) = codes.into_iter().min() {
        problem.status = status;
        problem.code = code;
    }
    problem.culprits.sort();
    problem.culprits.dedup();
    problem.missing.sort();
    problem.missing.dedup();
    let details: Vec<String> = details
        .into_iter()
        .map(|(parties, what)| format!("{}: {what}", parties.join(", ")))
        .collect();
    problem.detail = details.join("; ");
    problem
}

/// Order in which refusals are named: one that stays says more than one that people or time can
/// lift, and that more than one that passes by itself.
fn rank(code: &Code<RefusalCode>) -> u8 {
    match code.class() {
        Class::Waiting => 1,
        _ if code.is_transient() => 2,
        _ => 0,
    }
}

/// What several parties say alike is said once.
fn say<'a>(details: &mut Vec<(Vec<&'a str>, String)>, party: &'a PartyId, what: String) {
    match details.iter_mut().find(|(_, said)| *said == what) {
        Some((parties, _)) => parties.push(party.as_str()),
        None => details.push((vec![party.as_str()], what)),
    }
}

#[cfg(test)]
mod tests {
    use quorate_types::WireVersion;

    use super::*;

    fn party(number: usize) -> PartyId {
        PartyId::new(&format!("party-{number}")).unwrap()
    }

    fn refused(code: RefusalCode) -> PartyEnd {
        PartyEnd::Refused(Refusal::new(code, String::new()))
    }

    fn code(ends: Vec<PartyEnd>) -> Code<ProblemCode> {
        let ends: Vec<_> = (1..).map(party).zip(ends).collect();
        problem_of(&ends).code
    }

    #[test]
    fn what_stays_is_named_before_what_waits_and_that_before_what_passes() {
        use RefusalCode::{Busy, Confirming, KeyNotActive, PolicyDenied, PolicyPending, Repeated};
        let passing = [Busy, Confirming, Repeated, RefusalCode::SpendingMissing];
        for passes in passing {
            for (one, other) in [(PolicyPending, passes), (passes, PolicyPending)] {
                assert_eq!(code(vec![refused(one), refused(other)]), PolicyPending);
            }
            for stays in [PolicyDenied, KeyNotActive] {
                for others in [passes, PolicyPending] {
                    assert_eq!(code(vec![refused(others), refused(stays)]), stays);
                }
            }
            let failed = PartyEnd::Failed(Failure::new(FailureCode::PeerAborted, ""));
            assert_eq!(code(vec![failed, refused(passes)]), passes);
        }
    }

    #[test]
    fn a_custodian_of_another_version_is_missing_and_said_to_be_one() {
        let error = NodeError::Version {
            party: party(1),
            theirs: WireVersion(3),
            ours: WireVersion(1),
        };
        let problem = problem_of(&[(party(1), PartyEnd::Silent(error))]);
        assert_eq!(problem.code, RefusalCode::VersionUnsupported);
        assert_eq!(problem.missing, [party(1)]);
        assert!(problem.detail.contains("version 3"), "{problem}");
    }
}
