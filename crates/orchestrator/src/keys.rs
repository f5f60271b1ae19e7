//! What keys there are: the agents know, the orchestrator asks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quorate_api::Problem;
use quorate_types::canonical::Canonical as _;
use quorate_types::node::{KeyListing, NodeReply, NodeRequest, Record};
use quorate_types::{Hash32, KeyId, PartyId, ValidRoster};
use tokio::time::timeout;

use crate::nodes::{NodeError, Nodes};

/// Keys that were looked up before. A key's record does not change while its epoch does not.
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
            return Err(Problem::new(404, "key-unknown", "Unknown key", detail));
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
/// A key that every party has attested but some agent has not been told about is activated there on the way: that is how an
/// activation lost to a crash is made up for.
pub async fn all(nodes: &Nodes, roster: &ValidRoster) -> Vec<KeyListing> {
    let parties = roster.party_ids();
    let lists = futures::future::join_all(
        parties
            .iter()
            .map(|p| timeout(LISTING_LIMIT, of_party(nodes, p))),
    )
    .await;
    let mut keys: BTreeMap<Place, KeyListing> = BTreeMap::new();
    let mut inactive: Vec<(PartyId, KeyId)> = Vec::new();
    for (party, list) in parties.iter().zip(lists) {
        for listing in list.ok().and_then(Result::ok).unwrap_or_default() {
            if !listing.active {
                inactive.push((party.clone(), listing.record.id));
            }
            merge(&mut keys, roster, party, listing);
        }
    }
    heal(nodes, roster, &keys, inactive).await;
    keys.into_values().collect()
}

/// One key, if every party has attested it.
pub async fn one(nodes: &Nodes, roster: &ValidRoster, id: KeyId) -> Option<KeyListing> {
    let parties = roster.party_ids();
    let replies = nodes
        .ask_all(&parties, &NodeRequest::Key { id }, TIMEOUT)
        .await;
    let mut keys: BTreeMap<Place, KeyListing> = BTreeMap::new();
    let mut inactive: Vec<(PartyId, KeyId)> = Vec::new();
    for (party, reply) in parties.iter().zip(replies) {
        let Ok(NodeReply::Keys(found)) = reply else {
            continue;
        };
        for listing in found.into_iter().filter(|k| k.record.id == id).take(1) {
            if !listing.active {
                inactive.push((party.clone(), id));
            }
            merge(&mut keys, roster, party, listing);
        }
    }
    heal(nodes, roster, &keys, inactive).await;
    keys.into_values().find(|key| key.active)
}

fn merge(
    keys: &mut BTreeMap<Place, KeyListing>,
    roster: &ValidRoster,
    lister: &PartyId,
    listing: KeyListing,
) {
    // What a party lists it has attested; a made-up record gets no further than its maker.
    if !roster
        .attesters(&listing.record, &listing.attestations)
        .contains(lister)
    {
        return;
    }
    let place = (listing.record.id, listing.record.canonical_hash());
    let entry = keys.entry(place).or_insert_with(|| KeyListing {
        record: listing.record.clone(),
        attestations: Vec::new(),
        active: false,
    });
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

async fn heal(
    nodes: &Nodes,
    roster: &ValidRoster,
    keys: &BTreeMap<Place, KeyListing>,
    inactive: Vec<(PartyId, KeyId)>,
) {
    let complete = |id: KeyId| {
        keys.values()
            .find(|k| k.record.id == id && k.attestations.len() == roster.parties().len())
    };
    for (party, id) in inactive {
        if let Some(key) = complete(id) {
            let request = NodeRequest::Activate {
                record: Record::Key(key.record.clone()),
                attestations: key.attestations.clone(),
            };
            match nodes.ask(&party, &request, TIMEOUT).await {
                Ok(NodeReply::Active) => {
                    tracing::info!(%party, key = %key.record.name, "activated")
                }
                other => tracing::warn!(%party, key = %key.record.name, ?other, "cannot activate"),
            }
        }
    }
}
