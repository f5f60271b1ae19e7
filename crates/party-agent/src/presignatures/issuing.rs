//! Using what was made ahead: partial signatures out, then either the signature comes back or somebody's part was wrong.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use quorate_chain::SigningMessage;
use quorate_mpc_protocol::{FrostCheck, FrostNonces, PartialCheck, Presignature, Share};
use quorate_storage::SealedOneTime;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{Failure, NodeReply, NodeRequest, RunResult};
use quorate_types::{
    FailureCode, IntentHash, KeyRecord, PartialSignature, PartyId, Preprocessed, PresignaturePool,
    Protocol, PublicKey, Signature, SignedPartials,
};

use super::PresignDesk;
use crate::Agent;
use crate::agent::{blocking, cannot_sign, local_failure};
use crate::judge::{Plan, RefusalReason};
use crate::runs::{Prepared, RunId};
use crate::signing::frost_message;

/// The latest tries among which those whose signature is waited for are remembered.
const MAX_ISSUED: usize = 4096;
/// About what a check holds of each signer, in bytes.
const CHECK_BYTES: usize = 700;
/// What they may take, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Items signed with what was made ahead in one run.
const MAX_ITEMS: usize = NodeRequest::MAX_COMMIT as usize;

/// What a run signs with at once; it is nowhere else any more (I4).
pub(crate) enum Taken {
    /// Nothing: it runs the ceremony.
    Nothing,
    /// Presignatures, as they were sealed.
    Presignatures(Vec<SealedOneTime>),
    /// Nonces.
    Nonces(Vec<FrostNonces>),
}

/// What every signer's part of an item must be.
enum Check {
    Ecdsa(PartialCheck),
    Schnorr(FrostCheck),
}

impl Check {
    fn is_right(&self, seat: usize, partial: &PartialSignature) -> bool {
        match (self, partial) {
            (Self::Ecdsa(check), PartialSignature::Ecdsa(partial)) => check.is_right(seat, partial),
            (Self::Schnorr(check), PartialSignature::Schnorr(partial)) => {
                check.is_right(seat, partial)
            }
            _ => false,
        }
    }
}

/// A try for which partial signatures were given out.
struct Try {
    child: PublicKey,
    signers: Vec<PartyId>,
    /// What was answered.
    said: SignedPartials,
    items: Vec<(SigningMessage, Check)>,
}

impl Try {
    fn bytes(&self) -> usize {
        let message = |message: &SigningMessage| match message {
            SigningMessage::Ecdsa(preimage) => preimage.bytes().len(),
            // The check has a copy of it.
            SigningMessage::Ed25519(bytes) => 2 * bytes.len(),
            SigningMessage::Bip340 { .. } => 0,
        };
        let messages: usize = self.items.iter().map(|(m, _)| message(m)).sum();
        messages + self.items.len() * self.signers.len() * CHECK_BYTES
    }

    /// Whether somebody's answer is about the same: another request under the same number is nobody's fault but the carrier's.
    fn is_about(&self, said: &SignedPartials) -> bool {
        let about = |s: &SignedPartials| (s.intent, s.attempt, s.pool, s.presignatures.clone());
        about(said) == about(&self.said)
    }

    /// Whether these are what the signer must have sent.
    fn is_right(&self, seat: usize, said: &SignedPartials) -> bool {
        said.partials.len() == self.items.len()
            && self
                .items
                .iter()
                .zip(&said.partials)
                .all(|((_, check), partial)| check.is_right(seat, partial))
    }

    fn is_signed_by(&self, signatures: &[Signature]) -> bool {
        signatures.len() == self.items.len()
            && self
                .items
                .iter()
                .zip(signatures)
                .all(|((message, _), signature)| {
                    quorate_chain::verify(message, &self.child, signature).is_ok()
                })
    }
}

/// Tries whose signature is waited for.
#[derive(Default)]
pub(super) struct Issued {
    order: VecDeque<RunId>,
    tries: HashMap<RunId, Arc<Try>>,
    bytes: usize,
}

impl Issued {
    fn add(&mut self, id: RunId, issued: Try) {
        self.bytes += issued.bytes();
        self.order.push_back(id);
        self.tries.insert(id, Arc::new(issued));
        while self.order.len() > MAX_ISSUED || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, id: RunId) {
        if let Some(gone) = self.tries.remove(&id) {
            self.bytes = self.bytes.saturating_sub(gone.bytes());
        }
    }

    fn of_intent(&self, intent: IntentHash) -> Vec<Arc<Try>> {
        let tries = tries_of(intent).filter_map(|id| self.tries.get(&id));
        tries.map(Arc::clone).collect()
    }

    fn forget_intent(&mut self, intent: IntentHash) {
        tries_of(intent).for_each(|id| self.forget(id));
    }
}

/// Every number that a try of an intent can have.
fn tries_of(intent: IntentHash) -> impl Iterator<Item = RunId> {
    (0..NodeRequest::MAX_ATTEMPTS).map(move |attempt| (intent, attempt))
}

impl PresignDesk {
    fn open_taken(&self, taken: &SealedOneTime) -> Result<Presignature, Failure> {
        let opened = self.sealer.open_one_time(taken);
        let secret = opened.ok_or_else(|| local_failure(&"a presignature cannot be opened"))?;
        Presignature::from_secret_bytes(&secret).map_err(|e| local_failure(&e))
    }
}

impl Agent {
    /// Signs with what was made ahead, after that it was taken is durable (I4).
    pub(crate) fn issue_partials(
        &self,
        id: RunId,
        prepared: &Prepared,
        taken: Taken,
        share: Option<&Share>,
    ) -> Result<RunResult, Failure> {
        let Plan::Sign {
            child, analysis, ..
        } = &prepared.plan
        else {
            return Err(local_failure(&"not a signing"));
        };
        let messages = analysis.items.iter().map(|item| item.message());
        let messages: Vec<&SigningMessage> = messages.collect();
        let issued = match taken {
            Taken::Nothing => Vec::new(),
            Taken::Presignatures(sealed) => self.use_presignatures(&messages, &sealed)?,
            Taken::Nonces(nonces) => {
                let share = share.ok_or_else(|| local_failure(&"no share"))?;
                use_nonces(prepared, share, &messages, nonces)?
            }
        };
        let partials = issued.iter().map(|(partial, _)| *partial).collect();
        let checks = issued.into_iter().map(|(_, check)| check);
        let items = messages.into_iter().cloned().zip(checks).collect();
        let pool = prepared.pool.as_ref();
        let pool = pool.ok_or_else(|| local_failure(&"no pool"))?;
        let mut said = SignedPartials {
            party: self.party.clone(),
            intent: id.0,
            attempt: id.1,
            pool: pool.canonical_hash(),
            presignatures: prepared.preprocessed.names(),
            partials,
            signature: [0; 64],
        };
        let signature = self.sign(&said.signing_bytes());
        said.signature = signature.map_err(|e| cannot_sign(&e))?;
        let issued = Try {
            child: child.clone(),
            signers: prepared.participants.clone(),
            said: said.clone(),
            items,
        };
        self.presignatures.lock().issued.add(id, issued);
        Ok(RunResult::Partials(Box::new(said)))
    }

    fn use_presignatures(
        &self,
        messages: &[&SigningMessage],
        sealed: &[SealedOneTime],
    ) -> Result<Vec<(PartialSignature, Check)>, Failure> {
        let issue = |(message, sealed): (&&SigningMessage, &SealedOneTime)| {
            let SigningMessage::Ecdsa(preimage) = message else {
                return Err(local_failure(&"not signed by ECDSA"));
            };
            let issued = self.presignatures.open_taken(sealed)?.issue(preimage);
            let (partial, check) = issued.map_err(|e| local_failure(&e))?;
            Ok((PartialSignature::Ecdsa(partial), Check::Ecdsa(check)))
        };
        messages.iter().zip(sealed).map(issue).collect()
    }

    /// What was answered to the same request before, if it was.
    pub(crate) fn answered(
        &self,
        id: RunId,
        participants: &[PartyId],
        preprocessed: &Preprocessed,
    ) -> Option<RunResult> {
        let issued = self.presignatures.lock().issued.tries.get(&id).cloned()?;
        let same =
            issued.signers == participants && issued.said.presignatures == preprocessed.names();
        same.then(|| RunResult::Partials(Box::new(issued.said.clone())))
    }

    /// Records what came of partial signatures that were given out here.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        intent: IntentHash,
        signatures: Vec<Signature>,
    ) -> Result<NodeReply, RefusalReason> {
        let this = Arc::clone(self);
        blocking(move || {
            let tries = this.presignatures.lock().issued.of_intent(intent);
            if !tries.iter().any(|issued| issued.is_signed_by(&signatures)) {
                return Err(RefusalReason::NothingIssued(intent));
            }
            this.finish(intent, &RunResult::Signatures(signatures))?;
            this.presignatures.lock().issued.forget_intent(intent);
            Ok(NodeReply::Noted)
        })
        .await
    }

    /// Says whose partial signatures are wrong. Only what its sender signed is held against it.
    pub(crate) async fn blame(
        self: &Arc<Self>,
        id: RunId,
        partials: Vec<SignedPartials>,
    ) -> Result<NodeReply, RefusalReason> {
        let this = Arc::clone(self);
        blocking(move || {
            let issued = this.presignatures.lock().issued.tries.get(&id).cloned();
            let issued = issued.ok_or(RefusalReason::NothingIssued(id.0))?;
            if partials.len() > issued.signers.len() {
                return Err(RefusalReason::Unreadable(
                    "more answers than signers".to_owned(),
                ));
            }
            let wrong = |said: &SignedPartials| {
                let seat = issued.signers.iter().position(|p| *p == said.party);
                let about_this = issued.is_about(said) && said.is_signed(&this.roster);
                about_this && seat.is_some_and(|seat| !issued.is_right(seat, said))
            };
            let culprits: BTreeSet<PartyId> = partials
                .iter()
                .filter(|said| wrong(said))
                .map(|said| said.party.clone())
                .collect();
            let culprits: Vec<PartyId> = culprits.into_iter().collect();
            let names: Vec<_> = culprits.iter().map(PartyId::as_str).collect();
            let reason = match names.as_slice() {
                [] => "every partial signature that its signer signed is right".to_owned(),
                names => format!("wrong partial signatures from {}", names.join(", ")),
            };
            Ok(NodeReply::Failed(Failure {
                culprits,
                ..Failure::new(FailureCode::WrongPartial, reason)
            }))
        })
        .await
    }

    /// From which pool a signing is served, if what was made ahead is as much as its items, of their kind, and here.
    pub(crate) fn pool_for(
        &self,
        plan: &Plan,
        participants: &[PartyId],
        preprocessed: &Preprocessed,
    ) -> Result<Option<PresignaturePool>, RefusalReason> {
        if preprocessed.is_nothing() {
            return Ok(None);
        }
        let Plan::Sign {
            record,
            path,
            analysis,
            in_force,
            ..
        } = plan
        else {
            return Err(wrong_count(plan, preprocessed));
        };
        if in_force.protocol == Protocol::Dkls23 {
            return Err(self.protocols.differs(record).into());
        }
        let fits = |message: &SigningMessage| match preprocessed {
            Preprocessed::Presignatures(_) => matches!(message, SigningMessage::Ecdsa(_)),
            Preprocessed::Nonces(_) => !matches!(message, SigningMessage::Ecdsa(_)),
            Preprocessed::Nothing => false,
        };
        let all_fit = analysis.items.iter().all(|item| fits(item.message()));
        let count = preprocessed.len();
        if !all_fit || analysis.items.len() != count || !(1..=MAX_ITEMS).contains(&count) {
            return Err(wrong_count(plan, preprocessed));
        }
        if let Preprocessed::Nonces(items) = preprocessed {
            if items
                .iter()
                .any(|signers| signers.len() != participants.len())
            {
                return Err(wrong_count(plan, preprocessed));
            }
            let seat = participants.iter().position(|p| *p == self.party);
            let own = seat.map_or_else(Vec::new, |seat| preprocessed.used_by(seat));
            if let Some(id) = self.presignatures.lock().nonces.missing(record, &own) {
                return Err(RefusalReason::PresignatureUnavailable(id));
            }
        }
        Ok(Some(PresignaturePool::of(record, path, participants)))
    }

    /// This agent's nonces of a list, which are nowhere else any more (I4).
    pub(crate) fn take_nonces(
        &self,
        record: &KeyRecord,
        prepared: &Prepared,
    ) -> Result<Taken, RefusalReason> {
        let own = prepared.preprocessed.used_by(prepared.seat);
        let taken = self.presignatures.lock().nonces.take(record, &own);
        taken
            .map(Taken::Nonces)
            .map_err(RefusalReason::PresignatureUnavailable)
    }
}

const fn wrong_count(plan: &Plan, preprocessed: &Preprocessed) -> RefusalReason {
    RefusalReason::PresignatureCount {
        items: plan.items(),
        given: preprocessed.len(),
    }
}

/// One share for each item.
fn use_nonces(
    prepared: &Prepared,
    share: &Share,
    messages: &[&SigningMessage],
    nonces: Vec<FrostNonces>,
) -> Result<Vec<(PartialSignature, Check)>, Failure> {
    let Plan::Sign { path, signers, .. } = &prepared.plan else {
        return Err(local_failure(&"not a signing"));
    };
    let Preprocessed::Nonces(lists) = &prepared.preprocessed else {
        return Err(local_failure(&"no nonces"));
    };
    let items = messages.iter().zip(lists).zip(nonces);
    let issue = |((message, list), nonces): ((&&SigningMessage, &Vec<_>), FrostNonces)| {
        let message = frost_message(message).ok_or_else(|| local_failure(&"not Schnorr"))?;
        let issued = nonces.sign(share, signers, path, list, &message);
        let (partial, check) = issued.map_err(|abort| local_failure(&abort.reason))?;
        Ok((PartialSignature::Schnorr(partial), Check::Schnorr(check)))
    };
    items.map(issue).collect()
}
