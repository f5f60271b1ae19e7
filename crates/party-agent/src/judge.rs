//! The agent's own judgement of a request, before it answers with as much as a nonce (I2, I3).

use std::collections::BTreeSet;
use std::sync::Arc;

use quorate_chain::{Analysis, ChainError, analyse_for};
use quorate_types::node::{NodeRequest, Refusal, Standing};
use quorate_types::{
    Action, Curve, DerivationPath, Intent, IntentError, KeyId, KeyName, KeyRecord, PartyId,
    Protocol, RefusalCode, Scheme, SignedIntent, ValidRoster, VerifiedIntent, WireVersion,
};

use crate::keybook::{KeyBook, KeyBookError};
use crate::policy::PolicyRefusal;
use crate::primes::{NEEDED, PrimeStock};
use crate::protocols::{Change, InForce, ProtocolDesk, ProtocolError};
use crate::spending::SpendingError;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum RefusalReason {
    /// The intent.
    #[error(transparent)]
    Intent(#[from] IntentError),
    /// The payload.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The key.
    #[error(transparent)]
    KeyBook(#[from] KeyBookError),
    /// Participants that cannot run this.
    #[error("{0}")]
    Participants(String),
    /// Too many tries.
    #[error("attempt {attempt} is not below {max}", max = NodeRequest::MAX_ATTEMPTS)]
    Attempt {
        /// Which.
        attempt: u32,
    },
    /// Primes are still being searched for.
    #[error(
        "only {have} of {NEEDED} safe primes are ready; they are being generated, try again in a moment"
    )]
    PrimesNotReady {
        /// In stock.
        have: u32,
    },
    /// One setup serves every key; a second would invalidate the first.
    #[error("the committee is set up already; every key of it uses that setup")]
    AlreadySetUp,
    /// Nothing of that name was prepared here.
    #[error("nothing was prepared for intent {0}; it may have waited too long, send it again")]
    NotPrepared(quorate_types::IntentHash),
    /// The nonces are not for this run.
    #[error("the list of nonces does not hold this party's own in its place")]
    Nonces,
    /// Begun before.
    #[error("this attempt was begun before; it is not run twice")]
    Repeated,
    /// This agent does not take part in anything now.
    #[error("{0}")]
    NotServing(Standing),
    /// What this agent did about the intent may be forgotten.
    #[error(
        "the request was made before this custodian was restored, or started among too few peers to be sure that it has forgotten nothing; make it again"
    )]
    BeforeRestore,
    /// The machine's clock is before the ledger's last entry.
    #[error(
        "this machine's clock is {} s behind the last entry of its ledger; set it right, or if the earlier time was the wrong one: quorate agent accept-clock",
        .0 / 1000
    )]
    ClockBack(u64),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyRefusal),
    /// What was spent.
    #[error(transparent)]
    Spending(#[from] SpendingError),
    /// What signs for the key.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// Nothing was given out for it here.
    #[error(
        "no partial signature of this agent is waiting for a signature of intent {0}, or not for this one"
    )]
    NothingIssued(quorate_types::IntentHash),
    /// The pool is full, or this agent keeps none for it.
    #[error("no presignatures are wanted for this key, child and these signers now")]
    NoPresignatureWanted,
    /// A presignature that was used, or is not here.
    #[error("presignature {0} was used before or is not here; sign without it")]
    PresignatureUnavailable(quorate_types::Hash32),
    /// Not one presignature for each item.
    #[error("{given} presignatures were given for {items} items, or for items that have none")]
    PresignatureCount {
        /// Items.
        items: usize,
        /// Presignatures.
        given: usize,
    },
    /// A rolling limit counts the request, so custodians must hear from each other first.
    #[error(
        "a rolling limit counts this request: it must be prepared, so that custodians show each other what was spent"
    )]
    MustBePrepared,
    /// Another generation of shares.
    #[error("the key's shares are of epoch {current}, not {asked}")]
    Epoch {
        /// The request's.
        asked: u32,
        /// The key's.
        current: u32,
    },
    /// Too much at once.
    #[error("busy: {0} runs at once is the limit; retry in a moment")]
    Busy(usize),
    /// Too much of one operator at once.
    #[error("{0} sessions of one operator at once is the limit; retry when some have ended")]
    Quota(usize),
    /// The ledger cannot be written: nothing is done unrecorded.
    #[error(transparent)]
    Ledger(#[from] quorate_storage::LedgerError),
    /// A participant that speaks a version which does not work with this agent's.
    #[error(
        "{party} speaks version {theirs} of the protocol and this custodian version {ours}; upgrade the older one"
    )]
    Version {
        /// The participant.
        party: PartyId,
        /// The participant's version.
        theirs: WireVersion,
        /// The agent's own version.
        ours: WireVersion,
    },
    /// A word on a request whose result is in the ledger.
    #[error("request {0} has been signed already; what is said of it now changes nothing")]
    AlreadySigned(quorate_types::IntentHash),
    /// A wish to discard a key that no operator of the roster signed.
    #[error("no operator of this custodian's roster wants to discard that key")]
    Discard,
    /// Not a request of this protocol.
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    /// Failure inside this program: a thread ended, or what it had stored is damaged.
    #[error("local fault: {0}")]
    Local(String),
}

impl RefusalReason {
    /// A stable name.
    #[must_use]
    pub fn code(&self) -> RefusalCode {
        match self {
            Self::Intent(error) => error.code(),
            Self::Chain(error) => error.code().into(),
            Self::KeyBook(KeyBookError::UnknownKey(_) | KeyBookError::UnknownName(_)) => {
                RefusalCode::KeyUnknown
            }
            Self::KeyBook(KeyBookError::NotActive(_)) => RefusalCode::KeyNotActive,
            Self::KeyBook(KeyBookError::InForce(_)) => RefusalCode::KeyInForce,
            Self::KeyBook(KeyBookError::NameTaken(_)) => RefusalCode::KeyNameTaken,
            Self::KeyBook(KeyBookError::NoCommittee) => RefusalCode::CommitteeNotSetUp,
            Self::KeyBook(KeyBookError::Attestations(_) | KeyBookError::OtherRecord) => {
                RefusalCode::NotAttested
            }
            Self::KeyBook(KeyBookError::AlreadyMade(_)) => RefusalCode::Repeated,
            Self::KeyBook(
                KeyBookError::Damaged(_) | KeyBookError::Share(_) | KeyBookError::Aux(_),
            ) => RefusalCode::LocalFault,
            Self::KeyBook(error) => storage_code(error.is_disk_full()),
            Self::Ledger(error) => storage_code(error.is_disk_full()),
            Self::Participants(_) => RefusalCode::Participants,
            Self::Attempt { .. } => RefusalCode::AttemptsExhausted,
            Self::PrimesNotReady { .. } => RefusalCode::PrimesNotReady,
            Self::AlreadySetUp => RefusalCode::CommitteeSetUp,
            Self::NotPrepared(_) => RefusalCode::NotPrepared,
            Self::Nonces => RefusalCode::Nonces,
            Self::Repeated => RefusalCode::Repeated,
            Self::NotServing(Standing::Sealed { .. }) => RefusalCode::Sealed,
            Self::NotServing(Standing::Quarantined { .. }) => RefusalCode::Quarantined,
            Self::NotServing(_) => RefusalCode::Confirming,
            Self::BeforeRestore => RefusalCode::BeforeRestore,
            Self::ClockBack(_) => RefusalCode::ClockBack,
            Self::Policy(refusal) => refusal.code(),
            Self::Spending(error) => error.code(),
            Self::Protocol(error) => error.code(),
            Self::NothingIssued(_) => RefusalCode::NothingIssued,
            Self::NoPresignatureWanted => RefusalCode::PresignaturesFull,
            Self::PresignatureUnavailable(_) => RefusalCode::PresignatureUnavailable,
            Self::PresignatureCount { .. } => RefusalCode::PresignatureCount,
            Self::MustBePrepared => RefusalCode::MustBePrepared,
            Self::Epoch { .. } => RefusalCode::Epoch,
            Self::AlreadySigned(_) => RefusalCode::AlreadySigned,
            Self::Discard => RefusalCode::OperatorSignature,
            Self::Busy(_) => RefusalCode::Busy,
            Self::Quota(_) => RefusalCode::Quota,
            Self::Unreadable(_) => RefusalCode::Unreadable,
            Self::Local(_) => RefusalCode::LocalFault,
            Self::Version { .. } => RefusalCode::PeerVersion,
        }
    }

    /// The form that goes to the orchestrator, not signed yet.
    #[must_use]
    pub fn to_refusal(&self) -> Refusal {
        let (rules, missing) = match self {
            Self::Policy(refusal) => (refusal.rules(), refusal.missing()),
            _ => (Vec::new(), Vec::new()),
        };
        Refusal {
            rules,
            missing,
            ..Refusal::new(self.code(), self.to_string())
        }
    }
}

/// The code of a store or ledger that cannot be read or written.
pub(crate) const fn storage_code(disk_full: bool) -> RefusalCode {
    match disk_full {
        true => RefusalCode::DiskFull,
        false => RefusalCode::Storage,
    }
}

/// What will be run, with everything that was checked.
pub enum Plan {
    /// Committee setup.
    SetUpCommittee,
    /// A DKG.
    CreateKey {
        /// The new key's id.
        id: KeyId,
        /// Name.
        name: KeyName,
        /// Curve.
        curve: Curve,
        /// Scheme.
        scheme: Scheme,
        /// Raw signing.
        raw_signing: bool,
        /// Creation time, Unix milliseconds.
        created_at: u64,
    },
    /// Signing.
    Sign {
        /// The key.
        record: Arc<KeyRecord>,
        /// The child.
        path: DerivationPath,
        /// The child's public key.
        child: quorate_types::PublicKey,
        /// What was understood, and what to sign: each item made by `chain`'s own analysis here.
        analysis: Box<Analysis>,
        /// The signers' committee indices.
        signers: Vec<u16>,
        /// Whether this agent signs, or only acknowledges what is spent.
        witness: bool,
        /// What signs.
        in_force: InForce,
    },
    /// Another protocol for a key.
    SetProtocol(Change),
}

impl Plan {
    /// How many sessions it takes.
    #[must_use]
    pub const fn items(&self) -> usize {
        match self {
            Self::Sign { analysis, .. } => analysis.items.len(),
            Self::SetUpCommittee | Self::CreateKey { .. } | Self::SetProtocol(_) => 1,
        }
    }
}

/// Who is to take part.
#[derive(Debug, Clone, Copy)]
pub struct Seats<'a> {
    /// In protocol order.
    pub participants: &'a [PartyId],
    /// Who only acknowledges what is spent.
    pub witnesses: &'a [PartyId],
}

impl Seats<'_> {
    /// Participants, then witnesses.
    pub fn everyone(&self) -> impl Iterator<Item = &PartyId> {
        self.participants.iter().chain(self.witnesses)
    }
}

/// What a judgement is made with.
pub struct Judge<'a> {
    /// This party.
    pub me: &'a PartyId,
    /// Its roster.
    pub roster: &'a ValidRoster,
    /// Its keys.
    pub keybook: &'a Arc<KeyBook>,
    /// Its primes.
    pub primes: &'a PrimeStock,
    /// What signs for its keys.
    pub(crate) protocols: &'a ProtocolDesk,
    /// Its clock, Unix milliseconds.
    pub now: u64,
    /// Intents issued before this time are refused, Unix milliseconds: what was done about them may be forgotten.
    pub not_before: u64,
}

impl Judge<'_> {
    /// Checks everything that this agent can check alone, besides the policy; without `seats` only whether it could take part.
    ///
    /// # Errors
    /// The first reason not to take part.
    pub fn judge(
        &self,
        signed: SignedIntent,
        attempt: u32,
        seats: Option<&Seats<'_>>,
    ) -> Result<(VerifiedIntent, Plan), RefusalReason> {
        if attempt >= NodeRequest::MAX_ATTEMPTS {
            return Err(RefusalReason::Attempt { attempt });
        }
        let verified = signed.verify(self.roster, self.now)?;
        if verified.intent().issued_at < self.not_before {
            return Err(RefusalReason::BeforeRestore);
        }
        let plan = match &verified.intent().action {
            Action::SetUpCommittee => self.set_up(seats)?,
            Action::CreateKey { .. } => self.create_key(&verified, seats)?,
            Action::Sign { .. } => self.sign(verified.intent(), seats)?,
            Action::SetProtocol {
                key,
                protocol,
                renew,
            } => self.set_protocol(*key, *protocol, *renew, seats)?,
        };
        Ok((verified, plan))
    }

    fn set_up(&self, seats: Option<&Seats<'_>>) -> Result<Plan, RefusalReason> {
        self.whole_committee(seats)?;
        if self.keybook.committee().is_some() {
            return Err(RefusalReason::AlreadySetUp);
        }
        let have = self.primes.len();
        if have < NEEDED {
            return Err(RefusalReason::PrimesNotReady { have });
        }
        Ok(Plan::SetUpCommittee)
    }

    fn create_key(
        &self,
        verified: &VerifiedIntent,
        seats: Option<&Seats<'_>>,
    ) -> Result<Plan, RefusalReason> {
        let intent = verified.intent();
        let Action::CreateKey {
            name,
            curve,
            scheme,
            raw_signing,
        } = &intent.action
        else {
            return Err(RefusalReason::Unreadable("not a key creation".to_owned()));
        };
        self.whole_committee(seats)?;
        self.keybook.check_free(name)?;
        Ok(Plan::CreateKey {
            id: KeyId::from_bytes(*verified.hash().as_bytes()),
            name: name.clone(),
            curve: *curve,
            scheme: *scheme,
            raw_signing: *raw_signing,
            created_at: intent.issued_at,
        })
    }

    fn sign(&self, intent: &Intent, seats: Option<&Seats<'_>>) -> Result<Plan, RefusalReason> {
        let Action::Sign {
            key,
            path,
            network,
            payload,
            ..
        } = &intent.action
        else {
            return Err(RefusalReason::Unreadable("not a signing".to_owned()));
        };
        let record = self.keybook.key(*key)?;
        let signers = seats.map_or(Ok(Vec::new()), |seats| quorum(self.me, &record, seats))?;
        let (child, analysis) = analyse_for(payload, *network, &record, path)?;
        let in_force = self.protocols.in_force(&record);
        if in_force.protocol == Protocol::Cggmp24 {
            self.keybook.aux()?;
        }
        Ok(Plan::Sign {
            record,
            path: path.clone(),
            child,
            analysis: Box::new(analysis),
            signers,
            witness: seats.is_some_and(|s| s.witnesses.contains(self.me)),
            in_force,
        })
    }

    fn set_protocol(
        &self,
        key: KeyId,
        protocol: Protocol,
        renew: bool,
        seats: Option<&Seats<'_>>,
    ) -> Result<Plan, RefusalReason> {
        self.whole_committee(seats)?;
        let key = self.keybook.key(key)?;
        if key.committee != self.roster.party_ids() {
            return Err(RefusalReason::Participants(format!(
                "the committee of key {} is not the roster's",
                key.name
            )));
        }
        let change = self.protocols.change(key, protocol, renew)?;
        Ok(Plan::SetProtocol(change))
    }

    fn whole_committee(&self, seats: Option<&Seats<'_>>) -> Result<(), RefusalReason> {
        let wanted = self.roster.party_ids();
        if seats.is_none_or(|s| s.participants == wanted.as_slice() && s.witnesses.is_empty()) {
            return Ok(());
        }
        Err(RefusalReason::Participants(format!(
            "every party of the roster must take part, in roster order ({} of them)",
            wanted.len()
        )))
    }
}

/// Exactly t different committee members sign, others of it may witness, and this party is among them; returns the signers'
/// committee indices.
pub(crate) fn quorum(
    me: &PartyId,
    record: &KeyRecord,
    seats: &Seats<'_>,
) -> Result<Vec<u16>, RefusalReason> {
    let index = |party: &PartyId| {
        let index = record.committee.iter().position(|c| c == party)?;
        u16::try_from(index).ok()
    };
    let everyone: BTreeSet<&PartyId> = seats.everyone().collect();
    let members = everyone.iter().all(|party| index(party).is_some());
    let distinct = everyone.len() == seats.everyone().count();
    let signers: Vec<u16> = seats.participants.iter().filter_map(index).collect();
    if members
        && distinct
        && signers.len() == usize::from(record.threshold.t())
        && everyone.contains(me)
    {
        return Ok(signers);
    }
    Err(RefusalReason::Participants(format!(
        "key {} is signed for by {} different custodians of its committee, this one among them or among different witnesses",
        record.name,
        record.threshold.t()
    )))
}
