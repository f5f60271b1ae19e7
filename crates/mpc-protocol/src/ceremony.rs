//! What all ceremonies have in common.

use quorate_types::{SessionId, Signature, SignedStatement};

use crate::{Aux, DklsSetup, Presignature, Share};

/// The randomness a ceremony is given: seeded from the operating system in production, from a printed seed in tests.
pub type CeremonyRng = rand_chacha::ChaCha20Rng;

/// A party's place in a ceremony.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    session: SessionId,
    me: u16,
    parties: u16,
}

/// A seat that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seat {me} of {parties} does not exist")]
pub struct SeatError {
    /// The index asked for.
    pub me: u16,
    /// How many take part.
    pub parties: u16,
}

impl Seat {
    /// Index `me` (from 0) among `parties` participants of a session.
    ///
    /// # Errors
    /// An index out of range, fewer than 2 parties, or more than 15.
    pub const fn new(session: SessionId, me: u16, parties: u16) -> Result<Self, SeatError> {
        if me >= parties || parties < 2 || parties > quorate_types::MAX_PARTIES {
            return Err(SeatError { me, parties });
        }
        Ok(Self {
            session,
            me,
            parties,
        })
    }

    /// The session; its bytes are the libraries' execution id.
    #[must_use]
    pub const fn session(&self) -> &SessionId {
        &self.session
    }

    /// Own index, from 0.
    #[must_use]
    pub const fn me(&self) -> u16 {
        self.me
    }

    /// How many take part.
    #[must_use]
    pub const fn parties(&self) -> u16 {
        self.parties
    }

    /// Everyone else's index.
    pub fn peers(&self) -> impl Iterator<Item = u16> + use<> {
        let me = self.me;
        (0..self.parties).filter(move |j| *j != me)
    }
}

/// Whom a message is for, by index among the participants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Everyone else; all must receive the same.
    Everyone,
    /// One participant.
    Party(u16),
}

/// A message to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub to: To,
    /// Protocol round, the library's own number.
    pub round: u16,
    /// Encoded message. May be secret when `to` is one party.
    pub payload: Vec<u8>,
}

/// A message received, its sender already authenticated by whoever delivers it.
#[derive(Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Sender's index among the participants.
    pub from: u16,
    /// Round the envelope names.
    pub round: u16,
    /// Whether it came as a broadcast.
    pub broadcast: bool,
    /// Encoded message.
    pub payload: Vec<u8>,
    /// The signed header of a broadcast, kept as evidence.
    pub statement: Option<SignedStatement>,
}

macro_rules! redacted {
    ($($name:ident { $($shown:ident),* }),+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($shown), &self.$shown))*
                    .field("payload", &"[redacted]")
                    .finish_non_exhaustive()
            }
        }
    )+};
}
redacted!(
    Outgoing { to, round },
    Incoming {
        from,
        round,
        broadcast
    }
);

/// What a finished ceremony yields.
pub enum Outcome {
    /// This party's share of a new key.
    Share(Share),
    /// This party's auxiliary information of the committee.
    Aux(Aux),
    /// This party's side of a DKLs23 setup.
    DklsSetup(DklsSetup),
    /// This party's part of a signature whose message is not known yet.
    Presignature(Presignature),
    /// The signature, verified under the derived public key.
    Signature(Signature),
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Share(share) => f.debug_tuple("Share").field(&share.public_key()).finish(),
            Self::Aux(_) => f.write_str("Aux([redacted])"),
            Self::DklsSetup(_) => f.write_str("DklsSetup([redacted])"),
            Self::Presignature(_) => f.write_str("Presignature([redacted])"),
            Self::Signature(signature) => f.debug_tuple("Signature").field(signature).finish(),
        }
    }
}

/// What the driver must do after a step.
#[derive(Debug)]
pub enum Effect {
    /// Send a message.
    Send(Outgoing),
    /// Nothing more happens until messages of `round` from these participants arrive.
    Need {
        /// The round waited for.
        round: u16,
        /// Who has not been heard in it.
        from: Vec<u16>,
    },
    /// Finished; further messages are ignored.
    Done(Box<Outcome>),
    /// Ended without a result; further messages are ignored.
    Abort(Abort),
}

/// Why a ceremony ended without a result, and who is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Abort {
    /// What happened.
    pub reason: AbortReason,
    /// Indices of those proven to have misbehaved in this party's view. May be empty: see the reason.
    pub culprits: Vec<u16>,
    /// Signed headers of the broadcasts this party received, when peers disagree on what was broadcast; compared with a
    /// peer's they convict an equivocator ([`quorate_types::Equivocation::find`]).
    pub evidence: Vec<SignedStatement>,
}

/// Kinds of failure, kept apart by whose fault it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AbortReason {
    /// A peer's message does not decode, or is not allowed where it came.
    #[error("participant {from} sent an invalid message in round {round}: {detail}")]
    InvalidMessage {
        /// Sender.
        from: u16,
        /// Round.
        round: u16,
        /// What is wrong.
        detail: String,
    },
    /// A peer's proof, share or opening does not verify.
    #[error("a check on what peers sent failed: {detail}")]
    FailedCheck {
        /// Which check.
        detail: String,
    },
    /// A peer failed a check of DKLs23's oblivious transfers. That the check failed tells it something about secrets which the setup
    /// reuses in every signing, and often enough repeated that yields the key: nobody may ever again run a ceremony with it for
    /// this key, and the ban must outlast restarts (T12).
    #[error(
        "participant {from} failed a consistency check and must be banned from this key: {detail}"
    )]
    ConsistencyCheck {
        /// Whom to ban; also the only culprit.
        from: u16,
        /// Which check.
        detail: String,
    },
    /// Peers do not agree on what was broadcast; the evidence decides who lied.
    #[error("participants received different broadcasts in round {round}")]
    UnreliableBroadcast {
        /// Round.
        round: u16,
    },
    /// The result is wrong and the library cannot say through whom.
    #[error(
        "the result does not verify and no single participant could be proven at fault: {detail}"
    )]
    Unattributable {
        /// What the library said.
        detail: String,
    },
    /// This party's own fault: bad arguments or a bug.
    #[error("local fault: {detail}")]
    Local {
        /// What.
        detail: String,
    },
}

impl Abort {
    pub(crate) fn blaming(reason: AbortReason, culprits: Vec<u16>) -> Self {
        Self {
            reason,
            culprits,
            evidence: Vec::new(),
        }
    }

    pub(crate) fn local(detail: impl ToString) -> Self {
        Self::blaming(
            AbortReason::Local {
                detail: detail.to_string(),
            },
            Vec::new(),
        )
    }

    /// It was not urgent, and has waited too long for what is.
    #[must_use]
    pub fn gave_way() -> Self {
        Self::local("it gave way to signing for too long; it is made again later")
    }

    pub(crate) fn failed_check(from: u16, detail: impl ToString) -> Self {
        Self::blaming(
            AbortReason::FailedCheck {
                detail: detail.to_string(),
            },
            vec![from],
        )
    }

    pub(crate) fn invalid_message(from: u16, round: u16, detail: impl ToString) -> Self {
        Self::blaming(
            AbortReason::InvalidMessage {
                from,
                round,
                detail: detail.to_string(),
            },
            vec![from],
        )
    }
}

/// A ceremony in progress. After `Done` or `Abort` every call returns nothing.
pub trait Ceremony {
    /// The first step. Call once.
    fn begin(&mut self) -> Vec<Effect>;

    /// One message in. Every call ends with exactly one [`Effect::Need`], or with the end.
    fn deliver(&mut self, message: Incoming) -> Vec<Effect>;

    /// Has something done between long computations of one step, where the library says when that is. If that is `false`, the ceremony
    /// gives up ([`Abort::gave_way`]).
    fn between_computations(&mut self, _pause: Box<dyn FnMut() -> bool>) {}
}
