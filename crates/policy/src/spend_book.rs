//! Everything an agent knows of spending: its own records and those that peers have shown it. What it says after recording its own
//! part, and what it hears, is what makes rolling limits hold although only t of n agents see each request (I11; docs/decisions/0009).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use quorate_types::canonical::Canonical as _;
use quorate_types::{Bundle, Hash32, PartyId, ValidRoster};

use crate::history::History;
use crate::spend::{Place, SignedSpendRecord, Spend, SpendEntry, SpendRecord};

/// How far a peer's record may seem to come from the future, in milliseconds.
const MAX_SKEW_MS: u64 = 120_000;

/// Bytes of records kept of one party: about 600,000 plain transfers within the longest window.
const MAX_BYTES: usize = 256 << 20;

/// Two different records of one party in one place, both signed by it: it was rolled back, or it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendConflict {
    /// What it showed before.
    pub before: SignedSpendRecord,
    /// What it shows now; `None` where it no longer shows anything.
    pub now: Option<SignedSpendRecord>,
}

/// Why a peer's records are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Proof against the party.
    #[error("{} shows another history than before: it was rolled back, or it lies", .0.before.record.party)]
    Conflict(Box<SpendConflict>),
    /// Out of order, with gaps, of another party, badly signed, or from the future.
    #[error("{party} sent spend records that are not usable: {reason}")]
    Unusable {
        /// Who.
        party: PartyId,
        /// Why not.
        reason: &'static str,
    },
    /// More than is kept of one party (T34).
    #[error("{0} shows more spend records of the longest window than are kept of one custodian")]
    Full(PartyId),
}

/// See the module.
#[derive(Debug)]
pub struct SpendBook {
    me: PartyId,
    restores: u64,
    history: History,
    records: BTreeMap<PartyId, BTreeMap<Place, SignedSpendRecord>>,
    /// Bytes of each party's records.
    sizes: BTreeMap<PartyId, usize>,
    max_bytes: usize,
    /// The shortest of the longest windows that were ever counted by here: peers may have forgotten
    /// what was older.
    shortest_window: Option<u64>,
    /// Records that say that something was spent and are not void, by [`Spend::content`].
    alive: HashMap<Hash32, BTreeSet<(PartyId, Place)>>,
    /// Places that their own party has declared void, whether or not a spend is known there.
    voided: BTreeSet<(PartyId, Place)>,
}

impl SpendBook {
    /// An empty book of a party that was restored so often.
    #[must_use]
    pub fn new(me: PartyId, restores: u64, bundle: &Bundle) -> Self {
        let mut book = Self {
            me,
            restores,
            history: History::new(bundle),
            records: BTreeMap::new(),
            sizes: BTreeMap::new(),
            max_bytes: MAX_BYTES,
            shortest_window: None,
            alive: HashMap::new(),
            voided: BTreeSet::new(),
        };
        book.note_window(bundle.longest_window());
        book
    }

    /// The same, keeping so many bytes of each party's records.
    #[must_use]
    pub const fn keeping(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    fn note_window(&mut self, window: u64) {
        let shortest = self.shortest_window.into_iter().chain([window]);
        self.shortest_window = shortest.filter(|window| *window > 0).min();
    }

    /// The sums.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// A bundle was in force before: other parties may have forgotten by its windows.
    pub fn was_under(&mut self, bundle: &Bundle) {
        self.note_window(bundle.longest_window());
    }

    /// Counts everything anew, as another bundle counts.
    pub fn recount(&mut self, bundle: &Bundle) {
        self.history = History::new(bundle);
        self.note_window(bundle.longest_window());
        let ids: Vec<Hash32> = self.alive.keys().copied().collect();
        for id in ids {
            self.count(id);
        }
    }

    /// The party was restored once more: its records begin anew under that count, for those under the last one may be forgotten here.
    pub fn restored(&mut self, restores: u64) {
        self.restores = self.restores.max(restores);
    }

    /// The next record of one's own, to be signed, made durable and then added. One at a time.
    #[must_use]
    pub fn next(&self, entry: SpendEntry, at: u64) -> SpendRecord {
        let last = self
            .last(&self.me)
            .filter(|last| last.restores == self.restores);
        SpendRecord {
            party: self.me.clone(),
            place: Place {
                restores: self.restores,
                sequence: last.map_or(0, |last| last.sequence.saturating_add(1)),
            },
            at,
            entry,
        }
    }

    /// Adds a record that is known to be good: one's own, or one from the ledger. One that is there already changes nothing; of two in
    /// one place, as a ledger that failed in the middle may have them, the later one holds.
    pub fn add(&mut self, signed: SignedSpendRecord) {
        let (party, place) = (signed.record.party.clone(), signed.record.place);
        let known = self.records.get(&party).and_then(|r| r.get(&place));
        if known == Some(&signed) {
            return;
        }
        // What was in this place no longer counts.
        let before = self.void(&party, place);
        let touched = match &signed.record.entry {
            // A void may be heard before the spend that it is about; the order in which they come
            // decides nothing.
            SpendEntry::Spend(_) if self.voided.contains(&(party.clone(), place)) => None,
            SpendEntry::Spend(spend) => {
                let content = spend.content();
                let alive = self.alive.entry(content).or_default();
                alive.insert((party.clone(), place));
                Some(content)
            }
            // INVARIANT: only what a party recorded before can be void. One that voids what it has not
            // recorded yet could spend uncounted later.
            SpendEntry::Void { place: voided } if *voided < place => {
                self.voided.insert((party.clone(), *voided));
                self.void(&party, *voided)
            }
            SpendEntry::Void { .. } => None,
        };
        let length = size(&signed);
        let records = self.records.entry(party.clone()).or_default();
        let replaced = records.insert(place, signed).map_or(0, |old| size(&old));
        let kept = self.sizes.entry(party).or_default();
        *kept = kept.saturating_sub(replaced).saturating_add(length);
        for id in before.into_iter().chain(touched) {
            self.count(id);
        }
    }

    /// Whether nothing more is kept of a party before some of its records are forgotten.
    #[must_use]
    pub fn is_full(&self, party: &PartyId) -> bool {
        self.size_of(party) >= self.max_bytes
    }

    fn size_of(&self, party: &PartyId) -> usize {
        self.sizes.get(party).copied().unwrap_or(0)
    }

    /// The time (Unix milliseconds) before which records count for no window, whoever's clock is
    /// how wrong.
    #[must_use]
    pub fn horizon(&self, now: u64) -> u64 {
        match self.history.longest_window() {
            // Nothing is counted now; what comes next may count what was spent meanwhile.
            0 => 0,
            kept => now.saturating_sub(kept.saturating_add(2 * MAX_SKEW_MS)),
        }
    }

    /// A party's last record here.
    #[must_use]
    pub fn last(&self, party: &PartyId) -> Option<Place> {
        let (place, _) = self.records.get(party)?.last_key_value()?;
        Some(*place)
    }

    /// One's own records from a place on, that place included: a peer that has it compares.
    #[must_use]
    pub fn since(&self, from: Option<Place>) -> Vec<SignedSpendRecord> {
        let Some(own) = self.records.get(&self.me) else {
            return Vec::new();
        };
        let wanted = |place: &Place| from.is_none_or(|from| *place >= from);
        own.iter()
            .filter(|(place, _)| wanted(place))
            .map(|(_, record)| record.clone())
            .collect()
    }

    /// Checks what a peer sent when asked for its records from `from` on, and returns those that are new here, to be made durable and
    /// then added.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn check(
        &self,
        roster: &ValidRoster,
        peer: &PartyId,
        from: Option<Place>,
        report: Vec<SignedSpendRecord>,
        now: u64,
    ) -> Result<Vec<SignedSpendRecord>, ReportError> {
        let unusable = |reason| ReportError::Unusable {
            party: peer.clone(),
            reason,
        };
        let signed_by_peer = |signed: &SignedSpendRecord| {
            roster.party_signed(peer, &signed.record.signing_bytes(), &signed.signature)
        };
        let conflict = |before: &SignedSpendRecord, now: Option<SignedSpendRecord>| {
            ReportError::Conflict(Box::new(SpendConflict {
                before: before.clone(),
                now: now.filter(signed_by_peer),
            }))
        };
        let mut report = report.into_iter().peekable();
        let mut last = from;
        if let Some(before) = from.and_then(|from| self.records.get(peer)?.get(&from)) {
            if report.peek() == Some(before) {
                report.next();
            } else if !report
                .peek()
                .is_some_and(|first| self.begins_anew(before, first, now))
            {
                return Err(conflict(before, report.next()));
            } else {
                last = None;
            }
        }
        let (horizon, mut size_after) = (self.horizon(now), self.size_of(peer));
        let mut fresh: Vec<SignedSpendRecord> = Vec::new();
        let mut report = report.peekable();
        while let Some(signed) = report.next() {
            let record = &signed.record;
            if record.party != *peer {
                return Err(unusable("a record is another party's"));
            }
            if !follows(last, record.place) {
                return Err(unusable("its records are out of order or have gaps"));
            }
            if latest(record) > now.saturating_add(MAX_SKEW_MS) {
                return Err(unusable("a record is from the future"));
            }
            if matches!(&record.entry, SpendEntry::Spend(s) if s.lines.len() > Spend::MAX_LINES) {
                return Err(unusable("a spend has more lines than are kept apart"));
            }
            if !signed_by_peer(&signed) {
                return Err(unusable("a signature is not its own"));
            }
            last = Some(record.place);
            match self.records.get(peer).and_then(|r| r.get(&record.place)) {
                Some(known) if *known == signed => {}
                Some(known) => return Err(conflict(known, Some(signed))),
                // Too old to count. The last one stays, so that the next report can follow it.
                None if latest(record) < horizon && report.peek().is_some() => {}
                None => {
                    size_after = size_after.saturating_add(size(&signed));
                    fresh.push(signed);
                }
            }
        }
        if !fresh.is_empty() && size_after > self.max_bytes {
            return Err(ReportError::Full(peer.clone()));
        }
        Ok(fresh)
    }

    /// Forgets records before a time, except each party's last one. Returns what it forgot, which
    /// its keeper may then delete.
    pub fn prune(&mut self, before: u64) -> Vec<SignedSpendRecord> {
        let mut touched = BTreeSet::new();
        let mut forgotten = Vec::new();
        for (party, records) in &mut self.records {
            let Some(last) = records.last_key_value().map(|(place, _)| *place) else {
                continue;
            };
            let kept = self.sizes.entry(party.clone()).or_default();
            records.retain(|place, signed| {
                let keep = latest(&signed.record) >= before || *place == last;
                if !keep {
                    *kept = kept.saturating_sub(size(signed));
                    forgotten.push(signed.clone());
                }
                match &signed.record.entry {
                    _ if keep => {}
                    SpendEntry::Spend(spend) => {
                        touched.insert((spend.content(), party.clone(), *place));
                    }
                    SpendEntry::Void { place } => {
                        self.voided.remove(&(party.clone(), *place));
                    }
                }
                keep
            });
        }
        for (id, party, place) in touched {
            if let Some(alive) = self.alive.get_mut(&id) {
                alive.remove(&(party, place));
            }
            self.count(id);
        }
        forgotten
    }

    /// Whether a peer's report may begin with another record than the one it was asked to begin with: it was restored since and has
    /// forgotten what it recorded (its peers have not), or it has pruned everything that old.
    fn begins_anew(&self, before: &SignedSpendRecord, first: &SignedSpendRecord, now: u64) -> bool {
        let (known, place) = (before.record.place, first.record.place);
        // It may have forgotten by a policy whose windows were shorter.
        let window = self.shortest_window.unwrap_or(0);
        let kept_ms = window.saturating_add(MAX_SKEW_MS);
        let outlived = latest(&before.record).saturating_add(kept_ms) < now;
        place.restores > known.restores || (outlived && place > known)
    }

    fn void(&mut self, party: &PartyId, place: Place) -> Option<Hash32> {
        let voided = self.records.get(party)?.get(&place)?;
        let SpendEntry::Spend(spend) = &voided.record.entry else {
            return None;
        };
        let id = spend.content();
        // Only its own word: what others recorded of the same spend stays.
        self.alive.get_mut(&id)?.remove(&(party.clone(), place));
        Some(id)
    }

    /// Puts one spend's sums right: it counts at the latest time that any living record has.
    fn count(&mut self, id: Hash32) {
        self.history.remove(id);
        let alive = self.alive.get(&id).into_iter().flatten();
        let latest = alive
            .filter_map(|(party, place)| self.spend_at(party, *place))
            .max_by_key(|spend| spend.at);
        match latest.cloned() {
            Some(spend) => self.history.insert(spend),
            None => {
                self.alive.remove(&id);
            }
        }
    }

    fn spend_at(&self, party: &PartyId, place: Place) -> Option<&Spend> {
        match &self.records.get(party)?.get(&place)?.record.entry {
            SpendEntry::Spend(spend) => Some(spend),
            SpendEntry::Void { .. } => None,
        }
    }
}

/// Bytes that a record takes.
fn size(signed: &SignedSpendRecord) -> usize {
    signed.canonical_bytes().len()
}

/// The later of a record's two times: both are its recorder's word.
fn latest(record: &SpendRecord) -> u64 {
    match &record.entry {
        SpendEntry::Spend(spend) => spend.at.max(record.at),
        SpendEntry::Void { .. } => record.at,
    }
}

/// Whether a place may come right after another. What the first one is cannot be known: older ones may have been forgotten.
fn follows(last: Option<Place>, next: Place) -> bool {
    match last {
        None => true,
        Some(last) if next.restores == last.restores => {
            next.sequence == last.sequence.saturating_add(1)
        }
        Some(last) => next.restores > last.restores,
    }
}
