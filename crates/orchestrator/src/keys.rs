//! What keys there are: the agents know, the orchestrator asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use quorate_api::Problem;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{KeyListing, NodeReply, NodeRequest, Record};
use quorate_types::{Attestation, Hash32, KeyId, PartyId, RefusalCode, ValidRoster};
use tokio::time::{timeout, timeout_at};

use crate::nodes::{NodeError, Nodes};
use crate::silent::Silent;

/// Keys that were looked up before. A key's record does not change while its epoch does not; when its protocol has, custodians say so.
#[derive(Default)]
pub struct KeyCache(Mutex<HashMap<KeyId, Cached>>);

struct Cached {
    key: Arc<KeyListing>,
    /// When a rolling limit counted what it signed.
    counted: Option<Instant>,
}

/// How long it is taken for granted that a limit still counts what a key signs.
const COUNTED_FOR: Duration = Duration::from_secs(60);
/// Keys remembered; when there are more, all are looked up anew.
const MAX_CACHED: usize = 100_000;

impl KeyCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, Cached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key in force.
    ///
    /// # Errors
    /// Nobody knows it, or nobody can be asked.
    pub async fn find(
        &self,
        nodes: &Nodes,
        roster: &ValidRoster,
        id: KeyId,
    ) -> Result<Arc<KeyListing>, Problem> {
        if let Some(cached) = self.lock().get(&id) {
            return Ok(Arc::clone(&cached.key));
        }
        let Some(found) = one(nodes, roster, id).await? else {
            let detail = format!("no custodian that answers knows key {id}");
            return Err(Problem::new(
                404,
                RefusalCode::KeyUnknown,
                "Unknown key",
                detail,
            ));
        };
        let key = Arc::new(found);
        let mut cache = self.lock();
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        let cached = Cached {
            key: Arc::clone(&key),
            counted: None,
        };
        cache.insert(id, cached);
        Ok(key)
    }

    /// The key as custodians have it now; whoever missed a change is told of it.
    ///
    /// # Errors
    /// Nobody knows it, or nobody can be asked.
    pub async fn refresh(
        &self,
        nodes: &Nodes,
        roster: &ValidRoster,
        id: KeyId,
    ) -> Result<Arc<KeyListing>, Problem> {
        self.forget(id);
        self.find(nodes, roster, id).await
    }

    /// It has changed.
    pub fn forget(&self, id: KeyId) {
        self.lock().remove(&id);
    }

    /// Whether custodians wanted to show each other what the key spends, a moment ago.
    pub fn is_counted(&self, id: KeyId) -> bool {
        let counted = self.lock().get(&id).and_then(|cached| cached.counted);
        counted.is_some_and(|at| at.elapsed() < COUNTED_FOR)
    }

    /// They did.
    pub fn set_counted(&self, id: KeyId) {
        if let Some(cached) = self.lock().get_mut(&id) {
            cached.counted = Some(Instant::now());
        }
    }
}

/// A key, and which of the records told of it.
type Place = (KeyId, Hash32);

const TIMEOUT: Duration = Duration::from_secs(5);
/// How long one agent may take to tell all its keys.
const LISTING_LIMIT: Duration = Duration::from_secs(10);
/// How long others have, once enough have answered about one key, and agents to be told what they
/// missed of it.
const GRACE: Duration = Duration::from_millis(1500);
/// How long bringing the agents up to date may take.
const HEAL_LIMIT: Duration = Duration::from_secs(5);

/// Pages through one agent's keys.
async fn of_party(nodes: &Nodes, party: &PartyId) -> Result<Vec<KeyListing>, NodeError> {
    let mut found: Vec<KeyListing> = Vec::new();
    loop {
        let after = found.last().map(|k| k.record.id);
        match nodes
            .ask(party, &NodeRequest::Keys { after }, TIMEOUT)
            .await?
        {
            NodeReply::Keys(page) if page.is_empty() => return Ok(found),
            NodeReply::Keys(page) if rises(after, &page) => found.extend(page),
            NodeReply::Refused(refusal) => {
                return Err(NodeError::Refused(Box::new(refusal)));
            }
            _ => {
                return Err(NodeError::Unreadable {
                    party: party.clone(),
                    reason: "not a list of keys".to_owned(),
                });
            }
        }
    }
}

/// Pages go upwards, or an agent could keep its reader busy for ever.
fn rises(after: Option<KeyId>, page: &[KeyListing]) -> bool {
    let ids = after.into_iter().chain(page.iter().map(|k| k.record.id));
    ids.is_sorted_by(|a, b| a < b)
}

/// Every key any agent knows, with all attestations that verify, in id order.
///
/// A key that every party has attested but some agent has not been told about is activated there on the way, and so is a protocol: that is
/// how an activation lost to a crash is made up for.
///
/// # Errors
/// Nobody can be asked; or too few to be sure that there is none.
pub async fn all(nodes: &Nodes, roster: &ValidRoster) -> Result<Vec<KeyListing>, Problem> {
    let parties = roster.party_ids();
    let lists = join_all(
        parties
            .iter()
            .map(|p| timeout(LISTING_LIMIT, of_party(nodes, p))),
    )
    .await;
    let mut gathered = Gathered::default();
    let mut silent = Silent::of(parties.len());
    for (party, list) in parties.iter().zip(lists) {
        match list {
            Ok(Ok(list)) => {
                let each = list.into_iter();
                each.for_each(|listing| gathered.take(roster, party, listing));
            }
            Ok(Err(error)) => silent.push(party, error),
            Err(_) => silent.push(party, "its list takes too long"),
        }
    }
    silent.unless_somebody_answered()?;
    gathered.heal(nodes, roster).await;
    let keys: Vec<_> = gathered.keys.into_values().collect();
    if keys.is_empty() {
        let what = "no custodian that answers knows of any key, and others may";
        silent.unless_enough_answered(roster.threshold().t(), what)?;
    }
    Ok(keys)
}

/// One key, if every party has attested it.
///
/// # Errors
/// Nobody can be asked.
pub async fn one(
    nodes: &Nodes,
    roster: &ValidRoster,
    id: KeyId,
) -> Result<Option<KeyListing>, Problem> {
    let request = NodeRequest::Key { id };
    let ask = |party: PartyId| {
        let request = &request;
        async move {
            let reply = nodes.ask(&party, request, TIMEOUT).await;
            (party, reply)
        }
    };
    let parties = roster.party_ids();
    let mut silent = Silent::of(parties.len());
    let mut replies: FuturesUnordered<_> = parties.into_iter().map(ask).collect();
    let (mut gathered, mut answered) = (Gathered::default(), 0);
    let mut until = tokio::time::Instant::now() + TIMEOUT;
    while let Ok(Some((party, reply))) = timeout_at(until, replies.next()).await {
        let found = match reply {
            Ok(NodeReply::Keys(found)) => found,
            other => {
                silent.push(&party, said_instead(other));
                continue;
            }
        };
        answered += 1;
        for listing in found.into_iter().filter(|k| k.record.id == id).take(1) {
            gathered.take(roster, &party, listing);
        }
        // One of t is honest, and what is complete proves itself: who stalls is not waited for.
        if answered >= usize::from(roster.threshold().t())
            && gathered.complete(id, roster).is_some()
        {
            until = until.min(tokio::time::Instant::now() + GRACE);
        }
    }
    silent.unless_somebody_answered()?;
    let _ = timeout(GRACE, gathered.heal(nodes, roster)).await;
    Ok(gathered.keys.into_values().find(|key| key.active))
}

/// Why a custodian's answer is none.
fn said_instead(reply: Result<NodeReply, NodeError>) -> String {
    match reply {
        Ok(NodeReply::Refused(refusal)) => refusal.to_string(),
        Ok(_) => "answered something else".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// What custodians say of keys, put together.
#[derive(Default)]
struct Gathered {
    keys: BTreeMap<Place, KeyListing>,
    /// Whoever has not activated a key.
    inactive: Vec<(PartyId, KeyId)>,
    /// Which change of a key's protocol each has in force; 0 for none.
    changes: Vec<(PartyId, KeyId, u32)>,
}

/// Which change of its protocol a key's listing is at.
fn change(key: &KeyListing) -> u32 {
    key.protocol.as_ref().map_or(0, |p| p.record.sequence)
}

impl Gathered {
    fn take(&mut self, roster: &ValidRoster, lister: &PartyId, listing: KeyListing) {
        let id = listing.record.id;
        match listing.active {
            true => self.changes.push((lister.clone(), id, change(&listing))),
            false => self.inactive.push((lister.clone(), id)),
        }
        self.merge(roster, lister, listing);
    }

    fn merge(&mut self, roster: &ValidRoster, lister: &PartyId, listing: KeyListing) {
        // What a party lists it has attested; a made-up record gets no further than its maker.
        if !roster
            .attesters(&listing.record, &listing.attestations)
            .contains(lister)
        {
            return;
        }
        let place = (listing.record.id, listing.record.canonical_hash());
        let entry = self.keys.entry(place).or_insert_with(|| KeyListing {
            record: listing.record.clone(),
            attestations: Vec::new(),
            active: false,
            protocol: None,
        });
        if change(&listing) > change(entry)
            && let Some(later) = &listing.protocol
            && later.is_good(&entry.record, roster)
        {
            entry.protocol = listing.protocol;
        }
        for attestation in listing.attestations {
            let fresh = !entry
                .attestations
                .iter()
                .any(|a| a.party == attestation.party);
            let one = std::slice::from_ref(&attestation);
            if fresh && roster.attesters(&entry.record, one).len() == 1 {
                entry.attestations.push(attestation);
            }
        }
        entry.active = entry.attestations.len() == roster.parties().len();
    }

    /// The key as every party has attested it.
    fn complete(&self, id: KeyId, roster: &ValidRoster) -> Option<&KeyListing> {
        let of_key = (id, Hash32::from_bytes([0; 32]))..=(id, Hash32::from_bytes([0xff; 32]));
        let mut of_key = self.keys.range(of_key).map(|(_, key)| key);
        of_key.find(|key| key.attestations.len() == roster.parties().len())
    }

    /// Tells everybody what it missed, at once and for a bounded time: who does not take it is told
    /// another time.
    async fn heal(&self, nodes: &Nodes, roster: &ValidRoster) {
        let parties: BTreeSet<&PartyId> = self
            .inactive
            .iter()
            .map(|(party, _)| party)
            .chain(self.changes.iter().map(|(party, ..)| party))
            .collect();
        let all = parties
            .into_iter()
            .map(|party| self.heal_party(nodes, roster, party));
        let _ = timeout(HEAL_LIMIT, join_all(all)).await;
    }

    async fn heal_party(&self, nodes: &Nodes, roster: &ValidRoster, party: &PartyId) {
        let missed = self.missed(roster, party);
        for (key, record, attestations) in missed {
            if !activate(nodes, party, key, record, attestations).await {
                return;
            }
        }
    }

    /// Keys that a party has not activated, and changes of protocols that it does not have.
    fn missed<'s>(
        &'s self,
        roster: &ValidRoster,
        party: &PartyId,
    ) -> Vec<(&'s KeyListing, Record, &'s [Attestation])> {
        let mut missed = Vec::new();
        let protocol = |missed: &mut Vec<_>, key: &'s KeyListing| {
            let later = key.protocol.as_ref();
            missed.extend(later.map(|p| {
                let record = Record::Protocol(p.record.clone());
                (key, record, p.attestations.as_slice())
            }));
        };
        for (_, id) in self.inactive.iter().filter(|(p, _)| p == party) {
            if let Some(key) = self.complete(*id, roster) {
                let record = Record::Key(key.record.clone());
                missed.push((key, record, key.attestations.as_slice()));
                protocol(&mut missed, key);
            }
        }
        for (_, id, at) in self.changes.iter().filter(|(p, ..)| p == party) {
            if let Some(key) = self.complete(*id, roster)
                && *at < change(key)
            {
                protocol(&mut missed, key);
            }
        }
        missed
    }
}

/// Returns whether it did.
async fn activate(
    nodes: &Nodes,
    party: &PartyId,
    key: &KeyListing,
    record: Record,
    attestations: &[Attestation],
) -> bool {
    let request = NodeRequest::Activate {
        record,
        attestations: attestations.to_vec(),
    };
    match nodes.ask(party, &request, TIMEOUT).await {
        Ok(NodeReply::Active) => {
            tracing::info!(%party, key = %key.record.name, "activated");
            true
        }
        other => {
            tracing::warn!(%party, key = %key.record.name, ?other, "cannot activate");
            // A refusal is about this key; who does not answer would not about the next.
            other.is_ok()
        }
    }
}
