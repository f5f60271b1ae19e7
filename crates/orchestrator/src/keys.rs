//! What keys there are: the agents know, the orchestrator asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quorate_api::Problem;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{KeyListing, NodeReply, NodeRequest, Record};
use quorate_types::{Attestation, Hash32, KeyId, PartyId, RefusalCode, ValidRoster};
use tokio::time::timeout;

use crate::nodes::{NodeError, Nodes};

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
    /// Nobody knows it.
    pub async fn find(
        &self,
        nodes: &Nodes,
        roster: &ValidRoster,
        id: KeyId,
    ) -> Result<Arc<KeyListing>, Problem> {
        if let Some(cached) = self.lock().get(&id) {
            return Ok(Arc::clone(&cached.key));
        }
        let Some(found) = one(nodes, roster, id).await else {
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
    /// Nobody knows it.
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
const LISTING_LIMIT: Duration = Duration::from_secs(30);

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
pub async fn all(nodes: &Nodes, roster: &ValidRoster) -> Vec<KeyListing> {
    let parties = roster.party_ids();
    let lists = futures::future::join_all(
        parties
            .iter()
            .map(|p| timeout(LISTING_LIMIT, of_party(nodes, p))),
    )
    .await;
    let mut gathered = Gathered::default();
    for (party, list) in parties.iter().zip(lists) {
        for listing in list.ok().and_then(Result::ok).unwrap_or_default() {
            gathered.take(roster, party, listing);
        }
    }
    gathered.heal(nodes, roster).await;
    gathered.keys.into_values().collect()
}

/// One key, if every party has attested it.
pub async fn one(nodes: &Nodes, roster: &ValidRoster, id: KeyId) -> Option<KeyListing> {
    let parties = roster.party_ids();
    let replies = nodes
        .ask_all(&parties, &NodeRequest::Key { id }, TIMEOUT)
        .await;
    let mut gathered = Gathered::default();
    for (party, reply) in parties.iter().zip(replies) {
        let Ok(NodeReply::Keys(found)) = reply else {
            continue;
        };
        for listing in found.into_iter().filter(|k| k.record.id == id).take(1) {
            gathered.take(roster, party, listing);
        }
    }
    gathered.heal(nodes, roster).await;
    gathered.keys.into_values().find(|key| key.active)
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

    async fn heal(&self, nodes: &Nodes, roster: &ValidRoster) {
        for (party, id) in &self.inactive {
            if let Some(key) = self.complete(*id, roster) {
                let record = Record::Key(key.record.clone());
                activate(nodes, party, key, record, &key.attestations).await;
                self.heal_protocol(nodes, party, key).await;
            }
        }
        for (party, id, at) in &self.changes {
            if let Some(key) = self.complete(*id, roster)
                && *at < change(key)
            {
                self.heal_protocol(nodes, party, key).await;
            }
        }
    }

    async fn heal_protocol(&self, nodes: &Nodes, party: &PartyId, key: &KeyListing) {
        if let Some(protocol) = &key.protocol {
            let record = Record::Protocol(protocol.record.clone());
            activate(nodes, party, key, record, &protocol.attestations).await;
        }
    }
}

async fn activate(
    nodes: &Nodes,
    party: &PartyId,
    key: &KeyListing,
    record: Record,
    attestations: &[Attestation],
) {
    let request = NodeRequest::Activate {
        record,
        attestations: attestations.to_vec(),
    };
    match nodes.ask(party, &request, TIMEOUT).await {
        Ok(NodeReply::Active) => {
            tracing::info!(%party, key = %key.record.name, "activated")
        }
        other => tracing::warn!(%party, key = %key.record.name, ?other, "cannot activate"),
    }
}
