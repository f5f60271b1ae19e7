//! Runs one ceremony over one messaging session. The same loop for every protocol.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use quorate_messaging::{Event, MessagingError, Misbehaviour, Received, Session};
use quorate_mpc_protocol::{Abort, AbortReason, Ceremony, Effect, Incoming, Outcome, Outgoing, To};
use quorate_types::node::Failure;
use quorate_types::{
    Equivocation, FailureCode, PartyId, Recipient, RefusalCode, SignedStatement, ValidRoster,
};
use tokio::time::Instant;

use crate::online::OnlineWork;
use crate::pool::{self, Priority, Running};

/// How long to wait for peers' evidence after finding that broadcasts differ.
const EVIDENCE_WAIT: Duration = Duration::from_secs(2);

/// Who takes part, and as which of them this party.
#[derive(Debug, Clone)]
pub struct Participants {
    /// In protocol order.
    pub parties: Vec<PartyId>,
    /// Own index.
    pub me: u16,
}

impl Participants {
    fn name(&self, index: u16) -> Option<&PartyId> {
        self.parties.get(usize::from(index))
    }

    fn names(&self, indices: &[u16]) -> Vec<PartyId> {
        indices
            .iter()
            .filter_map(|i| self.name(*i).cloned())
            .collect()
    }

    fn index(&self, party: &PartyId) -> Option<u16> {
        let index = self.parties.iter().position(|p| p == party)?;
        u16::try_from(index).ok()
    }
}

/// Why a session ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum SessionFailure {
    /// Nobody to blame but the clock: these were not heard in time.
    #[error("{} did not answer in round {round} within {} s", list(.missing), .after.as_secs_f32())]
    Missing {
        /// Who.
        missing: Vec<PartyId>,
        /// In which round.
        round: u16,
        /// The time-out.
        after: Duration,
    },
    /// The ceremony itself gave up.
    #[error("{reason}{}", blame(.culprits))]
    Aborted {
        /// Why.
        reason: AbortReason,
        /// Who is at fault, if that is known.
        culprits: Vec<PartyId>,
    },
    /// A party told different parties different things, and both are signed.
    #[error("{} broadcast two different messages in round {}; both are signed", .0.culprit(), .0.first.statement.round)]
    Equivocated(Box<Equivocation>),
    /// Another party gave up.
    #[error("{from} ended the session: {reason}")]
    PeerAborted {
        /// Who.
        from: PartyId,
        /// What it said.
        reason: String,
    },
    /// The transport failed.
    #[error("messages cannot be sent: {0}")]
    Messaging(#[from] MessagingError),
    /// No thread, or a ceremony that ended without saying so.
    #[error("local fault: {0}")]
    Local(String),
    /// This party must not go on, for a reason outside the session.
    #[error("{reason}")]
    Stopped {
        /// Why, for programs.
        code: RefusalCode,
        /// Why.
        reason: String,
    },
}

fn list(parties: &[PartyId]) -> String {
    parties
        .iter()
        .map(PartyId::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn blame(culprits: &[PartyId]) -> String {
    if culprits.is_empty() {
        String::new()
    } else {
        format!(" (at fault: {})", list(culprits))
    }
}

impl SessionFailure {
    /// A stable name.
    #[must_use]
    pub const fn code(&self) -> FailureCode {
        match self {
            Self::Missing { .. } => FailureCode::PartyMissing,
            Self::Aborted { reason, .. } => match reason {
                AbortReason::InvalidMessage { .. } => FailureCode::InvalidMessage,
                AbortReason::FailedCheck { .. } => FailureCode::FailedCheck,
                AbortReason::ConsistencyCheck { .. } => FailureCode::ConsistencyCheck,
                AbortReason::UnreliableBroadcast { .. } => FailureCode::UnreliableBroadcast,
                AbortReason::Unattributable { .. } => FailureCode::Unattributable,
                AbortReason::Local { .. } => FailureCode::Refused(RefusalCode::LocalFault),
            },
            Self::Equivocated(_) => FailureCode::Equivocation,
            Self::PeerAborted { .. } => FailureCode::PeerAborted,
            Self::Messaging(MessagingError::Identity(_)) => FailureCode::IdentityUnavailable,
            Self::Messaging(_) => FailureCode::Messaging,
            Self::Local(_) => FailureCode::Refused(RefusalCode::LocalFault),
            Self::Stopped { code, .. } => FailureCode::Refused(*code),
        }
    }

    /// The form that goes to the orchestrator.
    #[must_use]
    pub fn to_failure(&self) -> Failure {
        let culprits = match self {
            Self::Aborted { culprits, .. } => culprits.clone(),
            Self::Equivocated(proof) => vec![proof.culprit().clone()],
            Self::Missing { .. }
            | Self::PeerAborted { .. }
            | Self::Messaging(_)
            | Self::Local(_)
            | Self::Stopped { .. } => Vec::new(),
        };
        let missing = match self {
            Self::Missing { missing, .. } => missing.clone(),
            _ => Vec::new(),
        };
        Failure {
            code: self.code().into(),
            reason: self.to_string(),
            culprits,
            missing,
        }
    }
}

/// What the messenger proved against a participant, as the session's end.
fn misbehaved(party: PartyId, what: Misbehaviour) -> SessionFailure {
    match what {
        Misbehaviour::Equivocation(proof) => SessionFailure::Equivocated(proof),
        Misbehaviour::CannotOpen(signed) => SessionFailure::Aborted {
            reason: AbortReason::FailedCheck {
                detail: format!(
                    "{party} signed a message in round {} that does not open to what it committed to",
                    signed.statement.round
                ),
            },
            culprits: vec![party],
        },
    }
}

/// Looks on while a session runs.
pub trait Watch: Send + Sync {
    /// Why the session must not go on, if it must not.
    fn is_stopped(&self) -> Option<SessionFailure>;

    /// Ends when the session must not go on.
    fn stopped(&self) -> BoxFuture<'_, SessionFailure>;

    /// A peer failed a consistency check. Anyone hears of it only afterwards (T12). Returns whether it is the first that the peer failed.
    fn cheated(&self, by: &PartyId) -> BoxFuture<'_, bool>;
}

/// Everything about one session that the driver needs.
pub struct Drive {
    /// For checking evidence.
    pub roster: Arc<ValidRoster>,
    /// Seats.
    pub participants: Participants,
    /// How long a peer may stay silent while this party waits for it.
    pub round_timeout: Duration,
    /// Its threads' priority.
    pub priority: Priority,
    /// What its agent computes.
    pub online: Arc<OnlineWork>,
    /// Whoever looks on.
    pub watch: Option<Box<dyn Watch>>,
}

impl Drive {
    /// Runs the ceremony to its end. On failure the peers have been told.
    ///
    /// # Errors
    /// How it ended, see [`SessionFailure`].
    pub async fn run<F>(
        &self,
        session: Session,
        name: String,
        build: F,
    ) -> Result<Outcome, SessionFailure>
    where
        F: FnOnce() -> Result<Box<dyn Ceremony>, Abort> + Send + 'static,
    {
        let mut running = pool::start(name, self.priority, Arc::clone(&self.online), build)
            .map_err(|e| SessionFailure::Local(format!("no thread for the ceremony: {e}")))?;
        let result = tokio::select! {
            biased;
            result = self.exchange(&session, &mut running) => result,
            failure = self.stopped() => Err(failure),
        };
        let result = self.settled(result).await;
        if let Err(failure) = &result {
            self.tell_peers(&session, failure).await;
        }
        session.close();
        result
    }

    fn is_stopped(&self) -> Option<SessionFailure> {
        self.watch.as_ref().and_then(|watch| watch.is_stopped())
    }

    async fn stopped(&self) -> SessionFailure {
        match &self.watch {
            Some(watch) => watch.stopped().await,
            None => std::future::pending().await,
        }
    }

    /// INVARIANT (T12): the first failed check is reported, after the ban it leads to. Of sessions that run beside it, nobody learns how they
    /// would have ended.
    async fn settled(
        &self,
        result: Result<Outcome, SessionFailure>,
    ) -> Result<Outcome, SessionFailure> {
        let Some(watch) = &self.watch else {
            return result;
        };
        let Err(SessionFailure::Aborted {
            reason: AbortReason::ConsistencyCheck { .. },
            culprits,
        }) = &result
        else {
            return watch.is_stopped().map_or(result, Err);
        };
        let mut first = true;
        for culprit in culprits {
            first &= watch.cheated(culprit).await;
        }
        match watch.is_stopped() {
            Some(stopped) if !first => Err(stopped),
            _ => result,
        }
    }

    async fn exchange(
        &self,
        session: &Session,
        running: &mut Running,
    ) -> Result<Outcome, SessionFailure> {
        let mut heard: Vec<SignedStatement> = Vec::new();
        let mut waiting = (0, Vec::new());
        let mut deadline = Instant::now() + self.round_timeout;
        // Steps the ceremony has been given and has not said the end of: each ends in a `Need`, or ends the ceremony. Its
        // computing is not held against the peers.
        let mut computing = 1u32;
        loop {
            tokio::select! {
                biased;
                effect = running.effects.recv() => match effect {
                    Some(Effect::Send(message)) => {
                        if let Some(stopped) = self.is_stopped() {
                            return Err(stopped);
                        }
                        self.send(session, message).await?;
                    }
                    Some(Effect::Need { round, from }) => {
                        computing = computing.saturating_sub(1);
                        // Only progress buys time; repetitions do not.
                        if waiting != (round, from.clone()) {
                            waiting = (round, from);
                            deadline = Instant::now() + self.round_timeout;
                        }
                    }
                    Some(Effect::Done(outcome)) => return Ok(*outcome),
                    Some(Effect::Abort(abort)) => return Err(self.aborted(session, abort).await),
                    None => return Err(SessionFailure::Local("the ceremony's thread ended".to_owned())),
                },
                event = session.recv() => match event {
                    Event::Message(message) => {
                        if message.broadcast {
                            heard.push(message.statement.clone());
                        }
                        if let Some(incoming) = self.incoming(message) {
                            computing = computing.saturating_add(1);
                            // A closed inbox means the ceremony has ended; its last effect says how.
                            drop(running.inbox.send(incoming));
                        }
                    }
                    Event::Abort { from, reason, evidence } => {
                        return Err(self.peer_aborted(session, &heard, from, reason, &evidence).await);
                    }
                    Event::Misbehaviour { party, what } => return Err(misbehaved(party, what)),
                },
                () = tokio::time::sleep_until(deadline), if computing == 0 => {
                    let (round, from) = waiting;
                    return Err(SessionFailure::Missing {
                        missing: self.participants.names(&from),
                        round,
                        after: self.round_timeout,
                    });
                }
            }
        }
    }

    async fn send(&self, session: &Session, message: Outgoing) -> Result<(), SessionFailure> {
        let recipient = match message.to {
            To::Everyone => Recipient::Everyone,
            To::Party(index) => {
                let name = self.participants.name(index).cloned();
                Recipient::Party(
                    name.ok_or_else(|| SessionFailure::Local(format!("no seat {index}")))?,
                )
            }
        };
        Ok(session
            .send(recipient, message.round, message.payload)
            .await?)
    }

    fn incoming(&self, message: Received) -> Option<Incoming> {
        Some(Incoming {
            from: self.participants.index(&message.from)?,
            round: message.round,
            broadcast: message.broadcast,
            payload: message.payload.to_vec(),
            statement: Some(message.statement),
        })
    }

    /// Turns the ceremony's abort into the session's; where broadcasts differ, exchanges evidence and looks for the liar.
    async fn aborted(&self, session: &Session, abort: Abort) -> SessionFailure {
        if !abort.evidence.is_empty() {
            session
                .abort(&abort.reason.to_string(), abort.evidence.clone())
                .await;
            if let Some(proof) = self.find_equivocation(session, &abort.evidence).await {
                return SessionFailure::Equivocated(Box::new(proof));
            }
        }
        SessionFailure::Aborted {
            culprits: self.participants.names(&abort.culprits),
            reason: abort.reason,
        }
    }

    /// A peer ended the session. If it says that broadcasts differ, it gets what this party heard, and both can tell who lied.
    async fn peer_aborted(
        &self,
        session: &Session,
        heard: &[SignedStatement],
        from: PartyId,
        reason: String,
        evidence: &[SignedStatement],
    ) -> SessionFailure {
        if evidence.is_empty() {
            return SessionFailure::PeerAborted { from, reason };
        }
        session.abort(&reason, heard.to_vec()).await;
        match Equivocation::find(&self.roster, heard, evidence) {
            Some(proof) => SessionFailure::Equivocated(Box::new(proof)),
            None => SessionFailure::PeerAborted { from, reason },
        }
    }

    async fn find_equivocation(
        &self,
        session: &Session,
        ours: &[SignedStatement],
    ) -> Option<Equivocation> {
        let deadline = Instant::now() + EVIDENCE_WAIT;
        while let Ok(event) = tokio::time::timeout_at(deadline, session.recv()).await {
            if let Event::Abort { evidence, .. } = event
                && let Some(proof) = Equivocation::find(&self.roster, ours, &evidence)
            {
                return Some(proof);
            }
        }
        None
    }

    /// A peer that ended the session knows already; everyone else is told once.
    async fn tell_peers(&self, session: &Session, failure: &SessionFailure) {
        match failure {
            SessionFailure::PeerAborted { .. } | SessionFailure::Messaging(_) => {}
            SessionFailure::Aborted {
                reason: AbortReason::UnreliableBroadcast { .. },
                ..
            }
            | SessionFailure::Equivocated(_) => {}
            _ => session.abort(&failure.to_string(), Vec::new()).await,
        }
    }
}
