//! Showing each other what was spent, before a request that a rolling limit counts is signed (I11; docs/decisions/0009).
//!
//! Everybody who takes part or acknowledges has already recorded the spend, durably. Then each asks each for the records it has not
//! seen, and judges again with all of them. The session's id has everybody's fresh nonce in it and every message is signed, so nothing that is
//! said here can be from another time, or from anyone else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_messaging::{Event, Session};
use quorate_policy::{Place, ReportError, SignedSpendRecord, Spend, SpendEntry, SpendRecord};
use quorate_service::now_ms;
use quorate_types::canonical::Canonical as _;
use quorate_types::{CeremonyKind, PartyId, Recipient, RefusalCode};

use crate::Agent;
use crate::agent::blocking;
use crate::judge::RefusalReason;
use crate::log;
use crate::policy::to_ledger;
use crate::taking_part::Run;

/// Round 0: what do you have that I have not seen?
const ASK: u16 = 0;
/// Round 1: this.
const REPORT: u16 = 1;
/// Bytes of records in one message.
const CHUNK: usize = 192 * 1024;
/// Messages of one peer in one exchange.
const MAX_CHUNKS: usize = 1_500;

#[derive(BorshSerialize, BorshDeserialize)]
struct Ask {
    /// The last of the peer's records that the asker has; the answer begins with it, so that both can compare.
    from: Option<Place>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct Report {
    records: Vec<SignedSpendRecord>,
    more: bool,
}

/// Why agents did not agree on what was spent.
#[derive(Debug, thiserror::Error)]
pub enum SpendingError {
    /// Not heard in time.
    #[error("{} did not show in time what they have spent", names(.0))]
    Missing(Vec<PartyId>),
    /// A peer's records.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A peer that gave up or misbehaved.
    #[error("{0} ended the exchange of spend records: {1}")]
    Peer(PartyId, String),
    /// Messages, signatures or memory.
    #[error("what was spent cannot be exchanged: {0}")]
    Local(String),
    /// More than is kept of one custodian within the longest window.
    #[error(
        "this custodian keeps no more spend records of its own within the longest window of the policy; wait until older ones are forgotten"
    )]
    Full,
    /// It was restored and has not heard enough peers since.
    #[error(
        "this custodian was restored and has heard what was spent from {heard} of the {needed} peers it needs; let every custodian take part once"
    )]
    Forgotten {
        /// Peers heard.
        heard: usize,
        /// Peers needed.
        needed: usize,
    },
}

fn names(parties: &[PartyId]) -> String {
    let names: Vec<_> = parties.iter().map(PartyId::as_str).collect();
    names.join(", ")
}

impl SpendingError {
    /// A stable name.
    #[must_use]
    pub const fn code(&self) -> RefusalCode {
        match self {
            Self::Missing(_) => RefusalCode::SpendingMissing,
            Self::Report(ReportError::Conflict(_)) => RefusalCode::SpendingConflict,
            Self::Full | Self::Report(ReportError::Full(_)) => RefusalCode::Quota,
            Self::Report(_) => RefusalCode::SpendingUnusable,
            Self::Peer(..) => RefusalCode::SpendingPeer,
            Self::Local(_) => RefusalCode::SpendingLocal,
            Self::Forgotten { .. } => RefusalCode::SpendingForgotten,
        }
    }
}

/// What one peer has said so far.
#[derive(Default)]
struct Heard {
    asked: bool,
    /// It asked, and is answered last.
    waits_from: Option<Option<Place>>,
    records: Vec<SignedSpendRecord>,
    chunks: usize,
    whole: bool,
}

/// What one peer said in all.
struct Said {
    peer: PartyId,
    /// From where it was asked.
    from: Option<Place>,
    records: Vec<SignedSpendRecord>,
    waits_from: Option<Option<Place>>,
}

/// Why there is no agreement, and whether this agent had by then acknowledged.
struct Fell {
    reason: RefusalReason,
    answered: bool,
}

impl Fell {
    fn before_answering(reason: impl Into<RefusalReason>) -> Self {
        Self {
            reason: reason.into(),
            answered: false,
        }
    }
}

impl Agent {
    /// This agent's next record, signed.
    pub(crate) fn own_record(&self, spend: Spend) -> Result<SignedSpendRecord, RefusalReason> {
        self.signed_record(SpendEntry::Spend(spend))
            .map_err(RefusalReason::Spending)
    }

    fn signed_record(&self, entry: SpendEntry) -> Result<SignedSpendRecord, SpendingError> {
        let restores = self.ledger.restores();
        let restores = restores.map_err(|e| SpendingError::Local(e.to_string()))?;
        let mut spending = self.policy.spending();
        spending.restored(restores);
        // A void may always be added: it says that less was spent.
        if matches!(entry, SpendEntry::Spend(_)) && spending.is_full(&self.party) {
            return Err(SpendingError::Full);
        }
        let record: SpendRecord = spending.next(entry, now_ms());
        drop(spending);
        let signature = self.keys.sign(&record.signing_bytes());
        let signature = signature.map_err(|e| SpendingError::Local(e.to_string()))?;
        Ok(SignedSpendRecord { record, signature })
    }

    /// Exchanges records and judges again. Where that ends in a refusal, this agent's own record is made void: nothing has been
    /// signed, and in this session nothing will be.
    pub(crate) async fn agree_on_spending(
        self: &Arc<Self>,
        run: &Run,
        own: Option<Box<SignedSpendRecord>>,
    ) -> Result<(), RefusalReason> {
        let threshold = self.roster.threshold();
        let agreed = if threshold.t() < threshold.n() {
            self.hear_and_judge(run).await
        } else {
            self.judge_again(run)
                .await
                .map(drop)
                .map_err(Fell::before_answering)
        };
        match (agreed, own) {
            (Ok(()), _) => Ok(()),
            (Err(fell), Some(own)) if !fell.answered => {
                self.void(own.record.place).await?;
                Err(fell.reason)
            }
            (Err(fell), _) => Err(fell.reason),
        }
    }

    async fn hear_and_judge(self: &Arc<Self>, run: &Run) -> Result<(), Fell> {
        let descriptor = self.spend_descriptor(run);
        let session = self
            .messenger
            .open_session((&descriptor).into())
            .map_err(|e| Fell::before_answering(SpendingError::Local(e.to_string())))?;
        let agreed = self.in_session(run, &session).await;
        if let Err(fell) = &agreed {
            session.abort(&fell.reason.to_string(), Vec::new()).await;
        }
        session.close();
        agreed
    }

    /// Those that sign answer each other at once. A witness answers them last, when it has judged with what everybody knows: its answer
    /// is the acknowledgement, and after it its record stays.
    async fn in_session(self: &Arc<Self>, run: &Run, session: &Session) -> Result<(), Fell> {
        let prepared = &run.prepared;
        let everyone = prepared.participants.iter().chain(&prepared.witnesses);
        let others: Vec<PartyId> = everyone.filter(|p| **p != self.party).cloned().collect();
        let last: &[PartyId] = match prepared.witnesses.contains(&self.party) {
            true => &prepared.participants,
            false => &[],
        };
        let heard = self
            .exchange(session, &others, last)
            .await
            .map_err(Fell::before_answering)?;
        let waiting = self.take_in(heard).await.map_err(Fell::before_answering)?;
        self.check_memory().map_err(Fell::before_answering)?;
        self.judge_again(run)
            .await
            .map_err(Fell::before_answering)?;
        for (peer, from) in waiting {
            self.report(session, &peer, from)
                .await
                .map_err(|error| Fell {
                    reason: error.into(),
                    answered: true,
                })?;
        }
        Ok(())
    }

    async fn void(self: &Arc<Self>, place: Place) -> Result<(), RefusalReason> {
        let void = self
            .signed_record(SpendEntry::Void { place })
            .map_err(RefusalReason::Spending)?;
        let ledger = Arc::clone(&self.ledger);
        let stored = to_ledger(&void);
        blocking(move || Ok(ledger.add_spends(vec![stored])?)).await?;
        self.policy.spending().add(void);
        Ok(())
    }

    /// Makes what was heard durable, then counts it: what was counted is not to be forgotten. Returns who still waits for an answer.
    async fn take_in(
        self: &Arc<Self>,
        heard: Vec<Said>,
    ) -> Result<Vec<(PartyId, Option<Place>)>, RefusalReason> {
        let peers: Vec<PartyId> = heard.iter().map(|said| said.peer.clone()).collect();
        let waiting = heard.iter().filter_map(|said| {
            let from = said.waits_from?;
            Some((said.peer.clone(), from))
        });
        let waiting = waiting.collect();
        let fresh = match self.checked(heard) {
            Ok(fresh) => fresh,
            Err(error) => {
                self.log_conflict(&error).await?;
                return Err(error.into());
            }
        };
        let (ledger, this) = (Arc::clone(&self.ledger), Arc::clone(self));
        let spends: Vec<_> = fresh.iter().map(to_ledger).collect();
        blocking(move || {
            ledger.add_spends(spends)?;
            Ok(this.remember_hearing(&peers)?)
        })
        .await?;
        let mut spending = self.policy.spending();
        for signed in fresh {
            spending.add(signed);
        }
        Ok(waiting)
    }

    async fn exchange(
        &self,
        session: &Session,
        others: &[PartyId],
        last: &[PartyId],
    ) -> Result<Vec<Said>, SpendingError> {
        let local = |e: &dyn std::fmt::Display| SpendingError::Local(e.to_string());
        let mut asked = BTreeMap::new();
        for peer in others {
            // A backup may have the latest of a peer's records alone.
            let from = match self.check_memory() {
                Ok(()) => self.policy.spending().last(peer),
                Err(_) => None,
            };
            asked.insert(peer.clone(), from);
            let ask = borsh::to_vec(&Ask { from }).map_err(|e| local(&e))?;
            session
                .send(Recipient::Party(peer.clone()), ASK, ask)
                .await
                .map_err(|e| local(&e))?;
        }
        let mut heard: BTreeMap<PartyId, Heard> = others
            .iter()
            .map(|p| (p.clone(), Heard::default()))
            .collect();
        let deadline = tokio::time::Instant::now() + self.timeouts.round(CeremonyKind::Spend);
        while heard.values().any(|h| !(h.asked && h.whole)) {
            let event = tokio::time::timeout_at(deadline, session.recv()).await;
            let Ok(event) = event else {
                let silent = heard
                    .iter()
                    .filter(|(_, h)| !h.whole)
                    .map(|(p, _)| p.clone());
                return Err(SpendingError::Missing(silent.collect()));
            };
            match event {
                Event::Message(message) => {
                    let Some(entry) = heard.get_mut(&message.from) else {
                        continue;
                    };
                    let at_once = !last.contains(&message.from);
                    let reply = self.take(&message.from, message.round, &message.payload, entry)?;
                    match reply {
                        Some(from) if at_once => {
                            self.report(session, &message.from, from).await?;
                        }
                        Some(from) => entry.waits_from = Some(from),
                        None => {}
                    }
                }
                Event::Abort { from, reason, .. } => return Err(SpendingError::Peer(from, reason)),
                Event::Misbehaviour { party, .. } => {
                    return Err(SpendingError::Peer(party, "it misbehaved".to_owned()));
                }
            }
        }
        let said = heard.into_iter().map(|(peer, heard)| Said {
            from: asked.get(&peer).copied().flatten(),
            records: heard.records,
            waits_from: heard.waits_from,
            peer,
        });
        Ok(said.collect())
    }

    /// Takes one message; of a question, from where it is to be answered.
    fn take(
        &self,
        from: &PartyId,
        round: u16,
        payload: &[u8],
        heard: &mut Heard,
    ) -> Result<Option<Option<Place>>, SpendingError> {
        let unusable = |reason: &str| SpendingError::Peer(from.clone(), reason.to_owned());
        match round {
            ASK if !heard.asked => {
                let ask: Ask = borsh::from_slice(payload)
                    .map_err(|_| unusable("it asked something unreadable"))?;
                heard.asked = true;
                Ok(Some(ask.from))
            }
            REPORT if !heard.whole => {
                let report: Report =
                    borsh::from_slice(payload).map_err(|_| unusable("its report is unreadable"))?;
                heard.chunks += 1;
                if heard.chunks > MAX_CHUNKS {
                    return Err(unusable("its report does not end"));
                }
                heard.records.extend(report.records);
                heard.whole = !report.more;
                Ok(None)
            }
            _ => Err(unusable(
                "it sent a message that is not part of the exchange",
            )),
        }
    }

    /// Everything since, in messages of bounded size.
    async fn report(
        &self,
        session: &Session,
        to: &PartyId,
        from: Option<Place>,
    ) -> Result<(), SpendingError> {
        let local = |e: &dyn std::fmt::Display| SpendingError::Local(e.to_string());
        let records = self.policy.spending().since(from);
        let mut chunk = Vec::new();
        let mut size = 0;
        let mut chunks = Vec::new();
        for record in records {
            let length = record.canonical_bytes().len();
            if size + length > CHUNK && !chunk.is_empty() {
                chunks.push(std::mem::take(&mut chunk));
                size = 0;
            }
            size += length;
            chunk.push(record);
        }
        chunks.push(chunk);
        let last = chunks.len() - 1;
        for (index, records) in chunks.into_iter().enumerate() {
            let report = Report {
                records,
                more: index < last,
            };
            let bytes = borsh::to_vec(&report).map_err(|e| local(&e))?;
            session
                .send(Recipient::Party(to.clone()), REPORT, bytes)
                .await
                .map_err(|e| local(&e))?;
        }
        Ok(())
    }

    fn checked(&self, heard: Vec<Said>) -> Result<Vec<SignedSpendRecord>, SpendingError> {
        let spending = self.policy.spending();
        let mut fresh = Vec::new();
        for Said {
            peer,
            from,
            records,
            ..
        } in heard
        {
            fresh.extend(spending.check(&self.roster, &peer, from, records, now_ms())?);
        }
        Ok(fresh)
    }

    async fn log_conflict(self: &Arc<Self>, error: &SpendingError) -> Result<(), RefusalReason> {
        let SpendingError::Report(ReportError::Conflict(conflict)) = error else {
            return Ok(());
        };
        tracing::error!(%error, "evidence against a peer");
        let leaf = log::spend_conflict(conflict);
        let ledger = Arc::clone(&self.ledger);
        blocking(move || Ok(ledger.append(vec![leaf]).map(drop)?)).await
    }

    /// Peers whose records this agent must have heard since it was restored: so many that one of those it signed with is among them.
    fn hearing_needed(&self) -> usize {
        let threshold = self.roster.threshold();
        usize::from(threshold.n() - threshold.t() + 1).min(usize::from(threshold.n() - 1))
    }

    /// Whether records of its own may be forgotten that only peers still have.
    pub(crate) fn must_hear_everyone(&self) -> bool {
        let threshold = self.roster.threshold();
        threshold.t() < threshold.n() && self.check_memory().is_err()
    }

    fn check_memory(&self) -> Result<(), SpendingError> {
        let threshold = self.roster.threshold();
        let local = |e: quorate_storage::LedgerError| SpendingError::Local(e.to_string());
        let restores = self.ledger.restores().map_err(local)?;
        if restores == 0 || threshold.t() == threshold.n() {
            return Ok(());
        }
        let heard = self.heard_since(restores).map_err(local)?.len();
        let needed = self.hearing_needed();
        if heard >= needed {
            return Ok(());
        }
        Err(SpendingError::Forgotten { heard, needed })
    }

    fn heard_since(
        &self,
        restores: u64,
    ) -> Result<BTreeSet<PartyId>, quorate_storage::LedgerError> {
        let stored = self.ledger.record(SPENDING_HEARD)?;
        let decoded =
            stored.and_then(|bytes| borsh::from_slice::<(u64, BTreeSet<PartyId>)>(&bytes).ok());
        Ok(decoded
            .filter(|(of, _)| *of == restores)
            .map(|(_, heard)| heard)
            .unwrap_or_default())
    }

    fn remember_hearing(&self, peers: &[PartyId]) -> Result<(), quorate_storage::LedgerError> {
        let restores = self.ledger.restores()?;
        if restores == 0 {
            return Ok(());
        }
        let mut heard = self.heard_since(restores)?;
        let before = heard.len();
        heard.extend(peers.iter().cloned());
        if heard.len() == before {
            return Ok(());
        }
        let bytes = borsh::to_vec(&(restores, heard)).unwrap_or_default();
        self.ledger.put_record(SPENDING_HEARD, &bytes)
    }
}

/// The record of whose spending was heard since the last restore.
const SPENDING_HEARD: &str = "spending-heard";
