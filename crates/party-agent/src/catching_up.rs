//! Catching up with the policy: peers hand out their own chain of bundles, which the admins signed,
//! and freeze orders, which guardians signed. Nothing else that they say is believed, so one honest
//! peer suffices and a hostile one can only waste a moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_service::now_ms;
use quorate_storage::LedgerError;
use quorate_types::canonical::Canonical as _;
use quorate_types::presence::{PolicyWord, Presence, SignedPolicyWord};
use quorate_types::{PartyId, SignedApproval, SignedBundle, SignedFreeze};
use tokio::time::Instant;

use crate::policy::PolicyDesk;
use crate::presence::{TICK, Task};
use crate::standing::PolicyKnowledge;

/// What peers said of their policies since this process asked.
#[derive(Debug, Default)]
pub(crate) struct CatchingUp {
    /// The version that each has in force, as it says, and whether it is settled.
    versions: BTreeMap<PartyId, (u64, bool)>,
    /// Whom to ask next for a bundle: they take turns, for one that says it has it may not hand it
    /// out.
    turn: usize,
    /// When each peer's question was last answered, with a bundle or without.
    answered: BTreeMap<(PartyId, bool), Instant>,
}

impl CatchingUp {
    /// Peers that say they have no later version than this; and how many of them are not behind
    /// themselves, as one is that was restored as well.
    fn told(&self, own: u64) -> (usize, usize) {
        let none_later = self.versions.values().filter(|(v, _)| *v <= own);
        let settled = none_later.clone().filter(|(_, settled)| *settled);
        (none_later.count(), settled.count())
    }

    /// Whoever is next among those that say they have a later one.
    fn ahead(&mut self, own: u64) -> Option<PartyId> {
        let ahead: Vec<_> = self
            .versions
            .iter()
            .filter(|(_, (v, _))| *v > own)
            .collect();
        let index = self.turn.checked_rem(ahead.len())?;
        let (party, _) = ahead.get(index)?;
        let party = (*party).clone();
        self.turn = self.turn.wrapping_add(1);
        Some(party)
    }

    /// Whether a peer is answered now: not too often.
    fn may_answer(&mut self, party: &PartyId, with_bundle: bool) -> bool {
        let now = Instant::now();
        let place = (party.clone(), with_bundle);
        let last = self.answered.get(&place);
        if last.is_some_and(|last| now - *last < TICK / 2) {
            return false;
        }
        self.answered.insert(place, now);
        true
    }
}

impl Task {
    /// What is known of the policy. What this party once said itself is remembered, should peers no
    /// longer tell it.
    pub(crate) fn policy_knowledge(&self) -> Result<PolicyKnowledge, LedgerError> {
        let policy = self.agent.policy();
        let own = policy.version();
        let seen = self.answers.values().flatten().map(|h| h.policy_version);
        if let Some(seen) = seen.max().filter(|seen| *seen > own) {
            policy.raise_floor(seen)?;
        }
        let (told, vouched) = self.policies.told(own);
        Ok(PolicyKnowledge {
            version: own,
            told,
            floor: policy.floor()?,
            vouched,
            confirmed: self.confirmed_policy,
            has_served: self.has_served,
        })
    }

    /// Asks all for their versions, and one of those that have a later one for the next bundle.
    pub(crate) async fn ask_for_policies(&mut self) {
        self.ask_for_policy(None).await;
        let own = self.agent.policy().version();
        if let Some(ahead) = self.policies.ahead(own) {
            self.ask_for_policy(Some(ahead)).await;
        }
    }

    async fn ask_for_policy(&self, from: Option<PartyId>) {
        self.publish(&Presence::AskPolicy {
            party: self.agent.party().clone(),
            nonce: self.nonce,
            have: self.agent.policy().version(),
            from,
        })
        .await;
    }

    /// Answers a peer of the roster, whether this agent serves or not: what it hands out proves
    /// itself.
    pub(crate) async fn tell_policy(
        &mut self,
        to: PartyId,
        nonce: [u8; 32],
        have: u64,
        from: Option<PartyId>,
    ) {
        let me = self.agent.party().clone();
        let is_for_me = from.as_ref().is_none_or(|from| *from == me);
        if to == me || !is_for_me || self.agent.roster().party(&to).is_none() {
            return;
        }
        if !self.policies.may_answer(&to, from.is_some()) {
            return;
        }
        let policy = Arc::clone(self.agent.policy());
        let wanted = from.is_some();
        let said = tokio::task::spawn_blocking(move || said(&policy, have, wanted)).await;
        let Ok((version, next, freezes)) = said else {
            return;
        };
        let word = PolicyWord {
            from: me,
            to,
            nonce,
            version,
            settled: self.has_served,
            next: next.map(Box::new),
            freezes,
        };
        let Some(signature) = self.sign(&word.signing_bytes()) else {
            return;
        };
        self.publish(&Presence::Policy(Box::new(SignedPolicyWord {
            word,
            signature,
        })))
        .await;
    }

    /// Follows a bundle that comes next, and obeys freeze orders; the version is remembered as the
    /// sender's word.
    pub(crate) async fn hear_policy(&mut self, signed: SignedPolicyWord) {
        let me = self.agent.party();
        let word = &signed.word;
        if word.to != *me || word.nonce != self.nonce || word.from == *me {
            return;
        }
        if signed.verify(self.agent.roster()).is_none() {
            return;
        }
        let PolicyWord {
            from,
            version,
            settled,
            next,
            freezes,
            ..
        } = signed.word;
        self.policies
            .versions
            .insert(from.clone(), (version, settled));
        let policy = Arc::clone(self.agent.policy());
        let peer = from.clone();
        let taken = tokio::task::spawn_blocking(move || take(&policy, &peer, next, freezes)).await;
        if matches!(taken, Ok(true)) {
            // What others said was about the version before, and their freeze orders may count only
            // now.
            self.policies.versions.clear();
            self.ask_for_policy(Some(from)).await;
        }
    }
}

/// The highest version that was in force, the one after `have` where it is wanted, and freeze
/// orders.
fn said(
    policy: &PolicyDesk,
    have: u64,
    wanted: bool,
) -> (u64, Option<SignedBundle>, Vec<SignedFreeze>) {
    let version = policy.version();
    let floor = policy.floor().unwrap_or(0);
    let next = (wanted && have < version).then(|| policy.bundle(have.saturating_add(1)));
    let next = next.transpose().unwrap_or_else(|error| {
        tracing::warn!(%error, "a policy is not handed out");
        None
    });
    let short = |order: &SignedFreeze| order.canonical_bytes().len() <= SignedApproval::MAX_LEN;
    let mut freezes = policy.freeze_orders();
    freezes.retain(short);
    freezes.truncate(PolicyWord::MAX_FREEZES);
    (version.max(floor), next.flatten(), freezes)
}

/// Returns whether a bundle came into force.
fn take(
    policy: &PolicyDesk,
    from: &PartyId,
    next: Option<Box<SignedBundle>>,
    freezes: Vec<SignedFreeze>,
) -> bool {
    let next = next.filter(|next| next.bundle.version == policy.version().saturating_add(1));
    let followed = next.map(|next| policy.publish(*next, now_ms()));
    for order in freezes.into_iter().take(PolicyWord::MAX_FREEZES) {
        if let Err(error) = policy.freeze(order) {
            tracing::debug!(peer = %from, %error, "handed out a freeze order that does not hold");
        }
    }
    match followed {
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            tracing::warn!(peer = %from, %error, "handed out a policy that does not follow");
            false
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peers that were restored too, or are only starting, know no better than this party.
    #[test]
    fn t35_i07_peers_that_are_behind_themselves_vouch_for_nothing() {
        let party = |number: u8| PartyId::new(&format!("party-{number}")).unwrap();
        let mut heard = CatchingUp::default();
        heard.versions.insert(party(2), (1, false));
        heard.versions.insert(party(3), (1, true));
        heard.versions.insert(party(4), (2, true));
        assert_eq!(heard.told(1), (2, 1));
        assert_eq!(heard.told(2), (3, 2));
        assert_eq!(heard.told(0), (0, 0));
        assert_eq!(heard.ahead(1), Some(party(4)));
    }
}
