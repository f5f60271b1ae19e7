//! Signing: pick t healthy custodians, try, and try others when some fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorate_api::{Problem, ResultView};
use quorate_chain::{SigningItem, analyse_for};
use quorate_types::node::{
    Failure, KeyListing, NodeReply, NodeRequest, NodeStatus, RunResult, Standing,
};
use quorate_types::{
    Action, DerivationPath, FailureCode, Intent, PartialSignature, PartyId, Preprocessed,
    PresignaturePool, ProblemCode, Protocol, PublicKey, RefusalCode, Scheme, Signature,
    SignedPartials, ValidRoster, VerifiedIntent,
};

use super::admission::{Admission, Turn};
use super::apart::Apart;
use super::attempt::{Attempts, Inputs, PartyEnd, end_or_waiting, problem_of};
use super::commitments::{self, Commitments};
use super::policies::Policies;
use super::statuses::Statuses;
use super::stock::{Hand, Stock};
use super::waiting::{self, Demands};
use crate::keys::KeyCache;
use crate::nodes::Nodes;

const PING_TIMEOUT: Duration = Duration::from_millis(1500);
/// Different quorums tried before giving up.
const MAX_TRIES: u32 = 8;

/// Messages and key that the signatures must verify against; advice only, the agents and the client check
/// themselves.
struct Expected {
    child: PublicKey,
    items: Vec<SigningItem>,
}

/// What a signing is carried out with.
pub(super) struct Means<'a> {
    pub roster: &'a ValidRoster,
    pub stock: &'a Stock,
    pub commitments: &'a Commitments,
    pub keys: &'a KeyCache,
    pub statuses: &'a Statuses,
    pub policies: &'a Arc<Policies>,
    /// To being worked on.
    pub admission: &'a Admission,
    /// To computing for long.
    pub heavy: &'a Admission,
}

/// What one try is made with.
struct Try {
    quorum: Vec<PartyId>,
    witnesses: Vec<PartyId>,
    hand: Option<Hand>,
    inputs: Inputs,
    /// Held while it computes for long.
    alone: Option<Turn>,
}

/// One signing, from try to try.
struct Signing<'a> {
    attempts: &'a Attempts<'a>,
    means: &'a Means<'a>,
    /// The right to be worked on: not held while it waits for another.
    turn: Option<Turn>,
    key: Arc<KeyListing>,
    path: DerivationPath,
    expected: Expected,
    doubts: Doubts,
    /// How many must take part or acknowledge, as custodians say.
    demands: Demands,
    /// A rolling limit counts the request: custodians show each other what was spent before they
    /// sign.
    prepared: bool,
}

pub(super) async fn run(
    attempts: &Attempts<'_>,
    means: &Means<'_>,
    turn: Turn,
) -> Result<ResultView, Problem> {
    let mut signing = Signing::new(attempts, means, turn).await?;
    let mut last: Option<Problem> = None;
    for _ in 0..MAX_TRIES {
        let (attempt, ends) = match signing.attempt().await {
            Ok(ended) => ended,
            // Who cannot take part now says more than that one of them refused to.
            Err(problem) => return Err(last.filter(|l| !is_unavailable(l)).unwrap_or(problem)),
        };
        let (signatures, ends) = signing.conclude(attempt, ends).await;
        if let Some(signatures) = signatures {
            return Ok(ResultView::Signatures(signatures));
        }
        let problem = problem_of(&ends);
        signing.learn(&ends).await;
        let note = format!("attempt {attempt}: {}", problem.detail);
        attempts.case.view.send_modify(|view| view.notes.push(note));
        last = Some(problem);
    }
    Err(last.unwrap_or_else(|| {
        Problem::new(
            502,
            ProblemCode::CeremonyFailed,
            "No quorum signed",
            "every try failed",
        )
    }))
}

type Ends = Vec<(PartyId, PartyEnd)>;

impl<'a> Signing<'a> {
    async fn new(
        attempts: &'a Attempts<'a>,
        means: &'a Means<'a>,
        turn: Turn,
    ) -> Result<Self, Problem> {
        let Action::Sign { key, path, .. } = &attempts.case.intent.intent().action else {
            return Err(not_a_signing());
        };
        let key = means.keys.find(attempts.nodes, means.roster, *key).await?;
        Ok(Self {
            expected: Expected::of(&attempts.case.intent, &key)?,
            demands: Demands::default(),
            path: path.clone(),
            doubts: Doubts::default(),
            prepared: means.keys.is_counted(key.record.id),
            key,
            attempts,
            means,
            turn: Some(turn),
        })
    }

    /// With what was made ahead in one round where there is some; else with whoever is well.
    async fn attempt(&mut self) -> Result<(u32, Ends), Problem> {
        if self.turn.is_none() {
            self.turn = Some(self.means.admission.enter(self.intent(), 1).turn().await);
        }
        if !self.prepared
            && let Some((attempt, ends)) = self.issue().await?
        {
            if !must_be_prepared(&ends) {
                return Ok((attempt, ends));
            }
            self.means.keys.set_counted(self.key.record.id);
            self.prepared = true;
            self.learn(&ends).await;
        }
        let Try {
            quorum,
            witnesses,
            hand,
            inputs,
            alone: _alone,
        } = self.choose().await?;
        let expected = &self.expected;
        // Without one of the signers the others would only wait until their round's time-out.
        let decides = |party: &PartyId, end: &PartyEnd| match end {
            PartyEnd::Silent(_) | PartyEnd::Refused(_) => quorum.contains(party),
            PartyEnd::Failed(_) => true,
            end => expected.good(end).is_some(),
        };
        let attempt = self.attempts.case.attempt();
        let ends = self
            .attempts
            .run(&quorum, &witnesses, &inputs, decides)
            .await;
        if let Some(hand) = hand.filter(|_| nobody_used(&ends)) {
            self.means.stock.put_back(&hand);
        }
        let ends = self.name_spoilers(&quorum, inputs.preprocessed, ends).await;
        Ok((attempt, ends))
    }

    /// Chooses who takes part and with what. Where that means computing for long it waits for its turn, and
    /// chooses anew when it has it: who was well may have gone meanwhile, and presignatures may
    /// have come.
    async fn choose(&mut self) -> Result<Try, Problem> {
        let mut alone = None;
        loop {
            let (quorum, witnesses) = self.pick().await?;
            let hand = self.hand_of(&quorum);
            let preprocessed = match &hand {
                Some(hand) => Preprocessed::Presignatures(hand.ids.clone()),
                None => self.nonces(&quorum).await.unwrap_or_default(),
            };
            let heavy = self.is_presigned() && preprocessed.is_nothing();
            if heavy && alone.is_none() {
                // Many that wait here are not to keep the others from being worked on.
                self.turn = None;
                let items = self.expected.items.len();
                let place = self.means.heavy.enter(self.intent(), items);
                alone = Some(place.turn().await);
                continue;
            }
            let inputs = Inputs {
                preprocessed,
                protocol: self.key.protocol_hash(),
            };
            return Ok(Try {
                quorum,
                witnesses,
                hand,
                inputs,
                alone: alone.filter(|_| heavy),
            });
        }
    }

    /// Where a try failed, whoever handed out nonce commitments that are no points is at fault,
    /// whatever it or the others say.
    async fn name_spoilers(
        &self,
        signers: &[PartyId],
        given: Preprocessed,
        mut ends: Ends,
    ) -> Ends {
        let Preprocessed::Nonces(items) = given else {
            return ends;
        };
        let failed = |(_, end): &(PartyId, PartyEnd)| matches!(end, PartyEnd::Failed(failure) if failure.code != FailureCode::NotBegun);
        let good = |(_, end): &(PartyId, PartyEnd)| self.expected.good(end).is_some();
        if !ends.iter().any(failed) || ends.iter().any(good) {
            return ends;
        }
        let record = &self.key.record;
        let (signers, curve) = (signers.to_vec(), record.public_key.curve());
        // A batch has many points.
        let looked =
            tokio::task::spawn_blocking(move || commitments::spoilers(curve, &signers, &items));
        for spoiler in looked.await.unwrap_or_default() {
            tracing::warn!(party = %spoiler, key = %record.name, "handed out nonce commitments that are no points");
            self.means.commitments.mistrust(record, &spoiler);
            let reason = format!("the nonce commitments of {spoiler} are no points");
            let failure = Failure::by(spoiler.clone(), FailureCode::WrongCommitments, reason);
            let own = ends.iter_mut().filter(|(party, _)| *party == spoiler);
            own.for_each(|(_, end)| *end = PartyEnd::Failed(failure.clone()));
        }
        ends
    }

    /// One try in one round, if there is anything for it.
    async fn issue(&self) -> Result<Option<(u32, Ends)>, Problem> {
        if self.key.record.scheme != Scheme::Ecdsa {
            let (quorum, _) = self.pick().await?;
            let Some(nonces) = self.nonces(&quorum).await else {
                return Ok(None);
            };
            let (attempt, ends) = self.attempts.issue(&quorum, &nonces).await;
            let ends = self.name_spoilers(&quorum, nonces, ends).await;
            return Ok(Some((attempt, ends)));
        }
        let Some(hand) = self.hand() else {
            return Ok(None);
        };
        let presignatures = Preprocessed::Presignatures(hand.ids.clone());
        let (attempt, ends) = self
            .attempts
            .issue(&hand.pool.signers, &presignatures)
            .await;
        if nobody_used(&ends) {
            self.means.stock.put_back(&hand);
        }
        Ok(Some((attempt, ends)))
    }

    const fn intent(&self) -> &Intent {
        self.attempts.case.intent.intent()
    }

    async fn pick(&self) -> Result<(Vec<PartyId>, Vec<PartyId>), Problem> {
        pick(
            self.attempts,
            self.means,
            &self.key,
            &self.demands,
            &self.doubts,
        )
        .await
    }

    /// Nonce commitments for every item and signer, where the scheme is FROST's.
    async fn nonces(&self, signers: &[PartyId]) -> Option<Preprocessed> {
        let record = &self.key.record;
        if record.scheme == Scheme::Ecdsa {
            return None;
        }
        let items = self.expected.items.len();
        let (nodes, commitments) = (self.attempts.nodes, self.means.commitments);
        commitments.take(nodes, record, signers, items).await
    }

    fn hand_of(&self, quorum: &[PartyId]) -> Option<Hand> {
        self.is_presigned().then_some(())?;
        let pool = PresignaturePool::of(&self.key.record, &self.path, quorum);
        self.means.stock.take_of(pool, self.expected.items.len())
    }

    fn is_presigned(&self) -> bool {
        self.key.signs_by() == Protocol::Cggmp24
    }

    fn hand(&self) -> Option<Hand> {
        self.is_presigned().then_some(())?;
        let items = self.expected.items.len();
        let avoid = self.doubts.avoided();
        self.means
            .stock
            .take(&self.key.record, &self.path, items, &avoid)
    }

    /// The signatures, if the try yielded any; else how it ended, with whoever sent a wrong part
    /// named.
    async fn conclude(&self, attempt: u32, ends: Ends) -> (Option<Vec<Signature>>, Ends) {
        if let Some(signatures) = ends.iter().find_map(|(_, end)| self.expected.good(end)) {
            return (Some(signatures), ends);
        }
        let partials = self.partials_of(&ends);
        if let Some(signatures) = self.expected.combine(&partials) {
            self.settle(&partials, &signatures);
            return (Some(signatures), ends);
        }
        // Only what its sender signed can be held against it.
        let ends = self.own_words(attempt, ends);
        let partials = self.partials_of(&ends);
        match partials.is_empty() {
            true => (None, ends),
            false => (None, self.blame(attempt, partials).await),
        }
    }

    /// Every signer's partial signatures, in the order of the signers; nothing where one is
    /// missing.
    fn partials_of(&self, ends: &Ends) -> Vec<SignedPartials> {
        let signers = usize::from(self.key.record.threshold.t());
        let partials = ends.iter().take(signers).map(|(party, end)| match end {
            PartyEnd::Finished(RunResult::Partials(said)) if said.party == *party => {
                Some((**said).clone())
            }
            _ => None,
        });
        partials.collect::<Option<_>>().unwrap_or_default()
    }

    /// Partial signatures that their sender did not sign, or not for this try, are its fault at
    /// once: nobody could hold them against it later.
    fn own_words(&self, attempt: u32, ends: Ends) -> Ends {
        let intent = self.attempts.case.intent.hash();
        let items = self.expected.items.len();
        let roster = self.means.roster;
        let own = |(party, end): (PartyId, PartyEnd)| {
            let PartyEnd::Finished(RunResult::Partials(said)) = &end else {
                return (party, end);
            };
            let fits = said.party == party
                && (said.intent, said.attempt) == (intent, attempt)
                && said.partials.len() == items
                && said.is_signed(roster);
            if fits {
                return (party, end);
            }
            let reason =
                format!("{party} did not sign its partial signatures, or others were asked for");
            let failure = Failure::by(party.clone(), FailureCode::WrongPartial, reason);
            (party, PartyEnd::Failed(failure))
        };
        ends.into_iter().map(own).collect()
    }

    /// Tells the signers what came of it. Nobody waits for that.
    fn settle(&self, partials: &[SignedPartials], signatures: &[Signature]) {
        let request = NodeRequest::Settle {
            intent: self.attempts.case.intent.hash(),
            signatures: signatures.to_vec(),
        };
        let signers: Vec<PartyId> = partials.iter().map(|p| p.party.clone()).collect();
        let nodes = self.attempts.nodes.clone();
        tokio::spawn(async move {
            let replies = nodes.ask_all(&signers, &request, PING_TIMEOUT).await;
            for (party, reply) in signers.iter().zip(replies) {
                if !matches!(reply, Ok(NodeReply::Noted)) {
                    tracing::debug!(%party, ?reply, "does not take note of a signature");
                }
            }
        });
    }

    /// What the signers say about each other's parts.
    async fn blame(&self, attempt: u32, partials: Vec<SignedPartials>) -> Ends {
        let signers: Vec<PartyId> = partials.iter().map(|p| p.party.clone()).collect();
        let request = NodeRequest::Blame {
            intent: self.attempts.case.intent.hash(),
            attempt,
            partials,
        };
        let replies = self
            .attempts
            .nodes
            .ask_all(&signers, &request, PING_TIMEOUT)
            .await;
        let ends = replies.into_iter().map(end_or_waiting);
        signers.into_iter().zip(ends).collect()
    }

    async fn learn(&mut self, ends: &Ends) {
        if wants_witnesses(ends) {
            let opinion =
                waiting::ask(self.attempts.nodes, self.means.roster, self.attempts.case).await;
            self.demands.take(opinion.acknowledgements);
        }
        for (party, end) in ends {
            if is_refused(end, RefusalCode::PresignatureUnavailable) {
                self.means.commitments.forget(&self.key.record, party);
            }
        }
        if ends
            .iter()
            .any(|(_, end)| is_refused(end, RefusalCode::ProtocolDiffers))
        {
            let keys = self.means.keys;
            let id = self.key.record.id;
            let fresh = keys.refresh(self.attempts.nodes, self.means.roster, id);
            match fresh.await {
                Ok(key) => self.key = key,
                Err(problem) => tracing::warn!(key = %id, %problem, "cannot look the key up again"),
            }
        }
        self.means.statuses.doubt();
        self.doubts.learn(ends);
    }
}

fn is_refused(end: &PartyEnd, code: RefusalCode) -> bool {
    matches!(end, PartyEnd::Refused(refusal) if refusal.code == code)
}

/// Whether a try failed because a custodian had ceased to take part since it was last asked.
fn is_unavailable(problem: &Problem) -> bool {
    problem.code == RefusalCode::Sealed || problem.code == RefusalCode::Quarantined
}

fn not_a_signing() -> Problem {
    Problem::new(
        400,
        RefusalCode::Unreadable,
        "Not a signing intent",
        "this is no signing intent",
    )
}

/// Whether nobody took part, and so no presignature was used. Agents see to it that none is used
/// twice whatever is thought here.
fn nobody_used(ends: &Ends) -> bool {
    ends.iter().all(|(_, end)| match end {
        PartyEnd::Refused(refusal) => !matches!(
            refusal.code.known(),
            Some(RefusalCode::PresignatureUnavailable | RefusalCode::Repeated)
        ),
        PartyEnd::Failed(failure) => failure.code == FailureCode::NotBegun,
        PartyEnd::Silent(_) | PartyEnd::Finished(_) => false,
    })
}

/// Whether everybody wants to hear from the others first, and so nobody used anything up.
fn must_be_prepared(ends: &Ends) -> bool {
    ends.iter().all(|(_, end)| {
        is_refused(end, RefusalCode::MustBePrepared)
            || is_refused(end, RefusalCode::LimitAcknowledgements)
    })
}

/// Whether somebody wants more custodians to acknowledge what is spent.
fn wants_witnesses(ends: &[(PartyId, PartyEnd)]) -> bool {
    ends.iter().any(|(_, end)| {
        is_refused(end, RefusalCode::LimitAcknowledgements)
            || is_refused(end, RefusalCode::SpendingForgotten)
    })
}

/// Doubts about custodians, from failed tries. An accusation is only what its maker says, so nobody is
/// shut out for one: the next quorum is made of those with the least against them.
#[derive(Default)]
struct Doubts {
    against: BTreeMap<PartyId, u32>,
    /// Silent once: it may be back in a moment, and until it answers it is not chosen. Those that
    /// were not are chosen first.
    silent: BTreeSet<PartyId>,
    /// Silent for the second time, or unwilling: no use asking again.
    out: BTreeSet<PartyId>,
}

impl Doubts {
    fn learn(&mut self, ends: &[(PartyId, PartyEnd)]) {
        for (party, end) in ends {
            // Who only waited for others has done nothing: counted against, it would take turns
            // with those who refuse.
            let was_willing =
                matches!(end, PartyEnd::Failed(failure) if failure.code == FailureCode::NotBegun);
            if was_willing || is_refused(end, RefusalCode::MustBePrepared) {
                continue;
            }
            *self.against.entry(party.clone()).or_default() += 1;
            match end {
                // Once it has said whom it banned, nobody is left whom it would sign with.
                PartyEnd::Refused(refusal)
                    if refusal.code == RefusalCode::CounterpartyBanned
                        && self.against(party) > 1 =>
                {
                    self.out.insert(party.clone());
                }
                PartyEnd::Refused(refusal) if refusal.code.is_transient() => {}
                PartyEnd::Silent(_) if self.silent.insert(party.clone()) => {}
                PartyEnd::Silent(_) | PartyEnd::Refused(_) => {
                    self.out.insert(party.clone());
                }
                PartyEnd::Failed(failure) if failure.code == FailureCode::WrongCommitments => {
                    self.out.insert(party.clone());
                }
                PartyEnd::Failed(failure) => {
                    for accused in failure.culprits.iter().chain(&failure.missing) {
                        *self.against.entry(accused.clone()).or_default() += 1;
                    }
                }
                PartyEnd::Finished(_) => {}
            }
        }
    }

    /// Who is not asked when others can be: whoever is out, or was accused.
    fn avoided(&self) -> BTreeSet<PartyId> {
        let doubted = self.against.keys().cloned();
        self.out.iter().cloned().chain(doubted).collect()
    }

    /// Who has less is chosen first.
    fn weight(&self, party: &PartyId) -> (bool, u32) {
        (self.silent.contains(party), self.against(party))
    }

    fn against(&self, party: &PartyId) -> u32 {
        self.against.get(party).copied().unwrap_or_default()
    }
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
            return Err(not_a_signing());
        };
        let analysed = analyse_for(payload, *network, &key.record, path);
        let (child, analysis) =
            analysed.map_err(|e| Problem::new(422, e.code(), "The payload is not signed", e))?;
        Ok(Self {
            child,
            items: analysis.items,
        })
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

    /// Every signer's partial signatures as signatures, if they are good.
    fn combine(&self, said: &[SignedPartials]) -> Option<Vec<Signature>> {
        if said.is_empty() {
            return None;
        }
        let of_item = |index: usize| -> Option<Vec<PartialSignature>> {
            said.iter()
                .map(|one| one.partials.get(index).copied())
                .collect()
        };
        let combine = |(index, item): (usize, &SigningItem)| {
            quorate_chain::combine(item.message(), &self.child, &of_item(index)?).ok()
        };
        self.items.iter().enumerate().map(combine).collect()
    }
}

/// Of those that can take part: an agent that is still confirming settles within a moment; a sealed
/// or quarantined one waits for people.
async fn able(nodes: &Nodes, known: &Statuses, candidates: &[PartyId]) -> Vec<NodeStatus> {
    let may_take_part = |status: &NodeStatus| {
        !matches!(
            status.standing,
            Standing::Sealed { .. } | Standing::Quarantined { .. }
        )
    };
    let statuses = known.of(nodes, candidates).await.into_iter();
    statuses.filter(may_take_part).collect()
}

/// The t of the committee that answer and have least against them, in committee order, and so many
/// more that enough acknowledge. All of them under the same policy: who missed a version gets it
/// first.
async fn pick(
    attempts: &Attempts<'_>,
    means: &Means<'_>,
    key: &KeyListing,
    demands: &Demands,
    doubts: &Doubts,
) -> Result<(Vec<PartyId>, Vec<PartyId>), Problem> {
    let candidates: Vec<PartyId> = key
        .record
        .committee
        .iter()
        .filter(|p| !doubts.out.contains(p))
        .cloned()
        .collect();
    let (nodes, known, policies) = (attempts.nodes, means.statuses, means.policies);
    let t = usize::from(key.record.threshold.t());
    let mut statuses = able(nodes, known, &candidates).await;
    let enough = demands.needed(t, statuses.len());
    if policies.heal(nodes, &statuses, enough).await {
        known.doubt();
        statuses = able(nodes, known, &candidates).await;
    }
    let apart = Apart::of(&statuses, key);
    let version = policies.common(&statuses, t);
    let mut healthy: Vec<PartyId> = policies.under(statuses, version);
    let all = demands.needed(t, healthy.len());
    // Stable: committee order among those with as much against them.
    healthy.sort_by_key(|party| doubts.weight(party));
    apart.put_first(&mut healthy, t);
    match (healthy.get(..t), healthy.get(t..all)) {
        (Some(quorum), Some(witnesses)) => {
            let in_order = |some: &[PartyId]| {
                let committee = key.record.committee.iter();
                committee.filter(|p| some.contains(p)).cloned().collect()
            };
            Ok((in_order(quorum), in_order(witnesses)))
        }
        _ => {
            let offline: Vec<PartyId> = key
                .record
                .committee
                .iter()
                .filter(|p| !healthy.contains(p))
                .cloned()
                .collect();
            let names: Vec<_> = offline.iter().map(PartyId::as_str).collect();
            let detail = format!(
                "{} of {} custodians can take part and {all} are needed; not available: {}",
                healthy.len(),
                key.record.committee.len(),
                names.join(", ")
            );
            let mut problem = Problem::new(
                503,
                ProblemCode::PartyOffline,
                "Too few custodians are online",
                detail,
            );
            problem.missing = offline;
            Err(problem)
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_types::node::Refusal;

    use super::*;

    fn party(number: usize) -> PartyId {
        PartyId::new(&format!("party-{number}")).unwrap()
    }

    fn silent() -> PartyEnd {
        PartyEnd::Silent(crate::nodes::NodeError::Unreadable {
            party: party(1),
            reason: String::new(),
        })
    }

    fn failed(missing: &[usize]) -> PartyEnd {
        PartyEnd::Failed(Failure {
            missing: missing.iter().map(|number| party(*number)).collect(),
            ..Failure::new(FailureCode::PartyMissing, "")
        })
    }

    fn learned(doubts: &mut Doubts, ends: Vec<(usize, PartyEnd)>) {
        let ends = ends.into_iter().map(|(number, end)| (party(number), end));
        doubts.learn(&ends.collect::<Vec<_>>());
    }

    #[test]
    fn who_is_silent_is_asked_once_more_but_after_the_others() {
        let mut doubts = Doubts::default();
        learned(&mut doubts, vec![(1, failed(&[])), (2, silent())]);
        assert!(doubts.out.is_empty());
        for _ in 0..3 {
            learned(&mut doubts, vec![(1, failed(&[])), (3, failed(&[]))]);
        }
        assert!(doubts.weight(&party(1)) < doubts.weight(&party(2)));
        learned(&mut doubts, vec![(2, silent())]);
        assert_eq!(doubts.out, BTreeSet::from([party(2)]));
    }

    #[test]
    fn what_others_say_of_who_is_silent_does_not_put_it_out() {
        let accused = || [(1, failed(&[2])), (2, silent())];
        let mut reversed = accused();
        reversed.reverse();
        for ends in [accused(), reversed] {
            let mut doubts = Doubts::default();
            learned(&mut doubts, vec![(1, failed(&[])), (2, failed(&[]))]);
            learned(&mut doubts, Vec::from(ends));
            assert!(doubts.out.is_empty());
        }
    }

    /// Tries until a quorum is without hostile custodians. `end` says how a try ends for a
    /// custodian: whether it is the first of the hostile ones in it, whether it is hostile.
    fn tries(t: usize, n: usize, hostile: &[usize], end: fn(bool, bool) -> PartyEnd) -> usize {
        let mut doubts = Doubts::default();
        let mut tries = 1;
        loop {
            let mut chosen: Vec<usize> = (1..=n)
                .filter(|p| !doubts.out.contains(&party(*p)))
                .collect();
            chosen.sort_by_key(|number| doubts.weight(&party(*number)));
            chosen.truncate(t);
            let Some(first) = chosen.iter().copied().find(|p| hostile.contains(p)) else {
                return tries;
            };
            let ends = chosen
                .into_iter()
                .map(|number| (number, end(number == first, hostile.contains(&number))));
            learned(&mut doubts, ends.collect());
            tries += 1;
        }
    }

    /// Whichever custodians are hostile, each costs a try at most.
    fn each_costs_a_try(end: fn(bool, bool) -> PartyEnd) {
        for (t, n) in [(2, 3), (3, 5), (5, 9), (8, 15)] {
            for set in 0u32..1 << n {
                let hostile: Vec<usize> = (1..=n).filter(|p| set >> (p - 1) & 1 == 1).collect();
                if hostile.len() == n - t {
                    let tries = tries(t, n, &hostile, end);
                    let most = usize::try_from(MAX_TRIES).unwrap();
                    assert!(
                        tries <= most.min(hostile.len() + 1),
                        "{t} of {n}: {hostile:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn t30_custodians_that_are_silent_on_purpose_cost_a_try_each() {
        each_costs_a_try(|first, _| match first {
            true => silent(),
            false => failed(&[]),
        });
    }

    #[test]
    fn t30_custodians_that_refuse_for_a_moment_for_ever_cost_a_try_each() {
        each_costs_a_try(|_, hostile| match hostile {
            true => PartyEnd::Refused(Refusal::new(RefusalCode::Busy, String::new())),
            false => PartyEnd::Failed(Failure::new(FailureCode::NotBegun, "")),
        });
    }

    #[test]
    fn who_refuses_to_work_with_another_version_is_asked_again_with_others() {
        let refused = || {
            let code = RefusalCode::PeerVersion;
            PartyEnd::Refused(Refusal::new(code, "party-1 speaks version 9".to_owned()))
        };
        let mut doubts = Doubts::default();
        let willing = PartyEnd::Failed(Failure::new(FailureCode::NotBegun, ""));
        learned(&mut doubts, vec![(1, willing), (2, refused())]);
        assert!(doubts.out.is_empty());
    }
}
