//! What an agent knows of spending, against hostile reports and against a list that is gone through.

use std::collections::BTreeSet;

use ed25519_dalek::Signer as _;
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_chain::{AssetRef, Effects};
use quorate_policy::{
    History, Place, ReportError, SignedSpendRecord, Spend, SpendBook, SpendEntry, SpendRecord,
};
use quorate_types::canonical::Canonical as _;
use quorate_types::{Bundle, ChainRules, Hash32, IntentHash, KeyId, KeyName, PartyId, ValidRoster};

use crate::naive;
use crate::seeds::check;
use crate::support::*;

const RULES: &str = r#"
[[rule]]
id = "all"
type = "limit"
asset = "ETH"
max = "1000000"
window = "24h"
[[rule]]
id = "each"
type = "limit"
asset = "ETH"
max = "1000000"
window = "6h"
per = ["key", "destination"]
[[rule]]
id = "tokens"
type = "limit"
asset = "USDC"
max = "1000000"
window = "48h"
[[rule]]
id = "often"
type = "velocity"
max = 1000000
window = "24h"
per = ["destination"]
"#;

/// The counters of another policy.
const OTHER: &str = r#"
[[rule]]
id = "vault"
type = "velocity"
max = 5
window = "12h"
keys = ["vault"]
[[rule]]
id = "one"
type = "limit"
asset = "ETH"
max = "5"
window = "90s"
"#;

const LONGEST: u64 = 48 * HOUR;

fn party(number: u16) -> PartyId {
    PartyId::new(&format!("party-{number}")).unwrap()
}

fn place(restores: u64, sequence: u64) -> Place {
    Place { restores, sequence }
}

/// One of twelve transactions.
fn spend(which: u8, at: u64) -> Spend {
    let which = which % 12;
    let to = |n: u8| format!("to-{}", n % 4);
    let mut effects = Effects {
        movements: vec![movement(
            AssetRef::Native,
            &to(which),
            ether(&format!("{which}.000000000000000001")),
        )],
        ..Effects::default()
    };
    if which.is_multiple_of(3) {
        let token = AssetRef::Token {
            contract: USDC.to_owned(),
        };
        let more = [
            movement(token, &to(which + 1), units("2.5", 6)),
            movement(AssetRef::Native, &to(which + 1), ether("1")),
        ];
        effects.movements.extend(more);
    }
    if which.is_multiple_of(2) {
        effects.fee = ether("0.01");
    }
    let name = if which < 6 { "hot" } else { "vault" };
    Spend::new(
        IntentHash::from_bytes([which; 32]),
        (
            KeyId::from_bytes([name.len() as u8; 32]),
            KeyName::new(name).unwrap(),
        ),
        Some(ETHEREUM),
        &effects,
        &ChainRules::default(),
        &[Hash32::from_bytes([which; 32])],
        at,
    )
}

fn signed(by: &str, record: SpendRecord) -> SignedSpendRecord {
    SignedSpendRecord {
        signature: key(by).sign(&record.signing_bytes()).to_bytes(),
        record,
    }
}

fn record(of: &str, place: Place, at: u64, entry: SpendEntry) -> SignedSpendRecord {
    let record = SpendRecord {
        party: PartyId::new(of).unwrap(),
        place,
        at,
        entry,
    };
    signed(of, record)
}

fn spent(of: &str, sequence: u64, which: u8, at: u64) -> SignedSpendRecord {
    record(
        of,
        place(0, sequence),
        at,
        SpendEntry::Spend(spend(which, at)),
    )
}

fn void(of: &str, sequence: u64, voided: u64, at: u64) -> SignedSpendRecord {
    let entry = SpendEntry::Void {
        place: place(0, voided),
    };
    record(of, place(0, sequence), at, entry)
}

struct World {
    roster: ValidRoster,
    bundle: Bundle,
    book: SpendBook,
}

fn world() -> World {
    let roster = roster(2, 3);
    let bundle = bundle(&roster, RULES);
    World {
        book: SpendBook::new(party(1), 0, &bundle),
        roster,
        bundle,
    }
}

impl World {
    fn merge(&mut self, report: &[SignedSpendRecord]) -> Result<usize, ReportError> {
        let from = self.book.last(&party(2));
        self.merge_from(from, report)
    }

    fn merge_from(
        &mut self,
        from: Option<Place>,
        report: &[SignedSpendRecord],
    ) -> Result<usize, ReportError> {
        let report = report.to_vec();
        let fresh = self
            .book
            .check(&self.roster, &party(2), from, report, NOW)?;
        let count = fresh.len();
        for signed in fresh {
            self.book.add(signed);
        }
        Ok(count)
    }

    /// What a small request of each kind would be compared with.
    fn standings(&self, history: &History) -> Vec<Vec<i64>> {
        probes()
            .iter()
            .map(|(probe, to)| history.with(probe, to))
            .collect()
    }
}

fn probes() -> Vec<(Spend, String)> {
    let mut probes = Vec::new();
    for which in 0..12 {
        for to in 0..4 {
            let mut probe = spend(which, NOW);
            // Not one of those that are known.
            probe.id = Hash32::from_bytes([99; 32]);
            probes.push((probe, format!("to-{to}")));
        }
    }
    probes
}

/// Which spends live, from a list of records in the order they were made.
fn living<'a>(records: impl IntoIterator<Item = &'a SignedSpendRecord>) -> Vec<Spend> {
    let records: Vec<_> = records.into_iter().collect();
    let voided: BTreeSet<(PartyId, Place)> = records
        .iter()
        .filter_map(|r| match &r.record.entry {
            SpendEntry::Void { place } if *place < r.record.place => {
                Some((r.record.party.clone(), *place))
            }
            _ => None,
        })
        .collect();
    records
        .into_iter()
        .filter(|r| !voided.contains(&(r.record.party.clone(), r.record.place)))
        .filter_map(|r| match &r.record.entry {
            SpendEntry::Spend(spend) => Some(spend.clone()),
            SpendEntry::Void { .. } => None,
        })
        .collect()
}

fn expected(bundle: &Bundle, past: &[Spend]) -> Vec<Vec<i64>> {
    let past = naive::distinct(past.iter().cloned());
    probes()
        .iter()
        .map(|(probe, to)| naive::standings(&bundle.counters, &bundle.assets, &past, probe, to))
        .collect()
}

#[test]
fn another_record_in_a_known_place_is_evidence_with_both_signatures() {
    let mut world = world();
    let shown = spent("party-2", 0, 1, NOW);
    assert_eq!(world.merge(std::slice::from_ref(&shown)), Ok(1));
    let other = spent("party-2", 0, 2, NOW);
    for from in [Some(place(0, 0)), None] {
        let refused = world.merge_from(from, std::slice::from_ref(&other));
        let Err(ReportError::Conflict(conflict)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(conflict.before, shown);
        assert_eq!(conflict.now, Some(other.clone()));
        for side in [Some(&conflict.before), conflict.now.as_ref()] {
            let side = side.unwrap();
            let bytes = side.record.signing_bytes();
            assert!(
                world
                    .roster
                    .party_signed(&party(2), &bytes, &side.signature)
            );
        }
    }
    // A forged second record is no evidence, but neither is it taken.
    let mut forged = other;
    forged.signature[3] ^= 1;
    let refused = world.merge_from(Some(place(0, 0)), &[forged]);
    assert!(matches!(refused, Err(ReportError::Conflict(c)) if c.now.is_none()));
    assert!(matches!(world.merge(&[]), Err(ReportError::Conflict(c)) if c.now.is_none()));
    assert_eq!(world.book.history().len(), 1);
}

#[test]
fn what_another_recorded_too_stays_when_a_party_rewrites_its_own() {
    let mut world = world();
    world.book.add(spent("party-3", 0, 1, NOW - HOUR));
    world.merge(&[spent("party-2", 0, 1, NOW)]).unwrap();
    let before = world.standings(world.book.history());
    // Asked for everything again, it shows something else in the same place.
    assert!(
        world
            .merge_from(None, &[spent("party-2", 0, 2, NOW)])
            .is_err()
    );
    assert_eq!(world.standings(world.book.history()), before);
}

#[test]
fn shown_twice_counts_once_and_a_void_is_not_undone() {
    let mut world = world();
    let report = [spent("party-2", 0, 1, NOW), void("party-2", 1, 0, NOW)];
    assert_eq!(world.merge(&report), Ok(2));
    assert!(world.book.history().is_empty());
    assert_eq!(world.merge_from(None, &report), Ok(0));
    assert!(world.book.history().is_empty());
    assert_eq!(world.merge_from(None, &report[..1]), Ok(0));
    assert!(world.book.history().is_empty());
}

#[test]
fn a_party_makes_only_its_own_word_void() {
    let mut world = world();
    world.book.add(spent("party-1", 0, 1, NOW));
    world
        .merge(&[spent("party-2", 0, 1, NOW), void("party-2", 1, 0, NOW)])
        .unwrap();
    assert_eq!(world.book.history().len(), 1);
    world.book.add(void("party-1", 1, 0, NOW));
    assert!(world.book.history().is_empty());
}

#[test]
fn one_attempt_is_void_and_another_of_the_same_spend_is_not() {
    let mut world = world();
    world.book.add(spent("party-1", 0, 1, NOW - HOUR));
    world.book.add(spent("party-1", 1, 1, NOW));
    world.book.add(void("party-1", 2, 1, NOW));
    assert_eq!(world.book.history().len(), 1);
    // It counts at the time of the attempt that lives.
    let past = [spend(1, NOW - HOUR)];
    assert_eq!(
        world.standings(world.book.history()),
        expected(&world.bundle, &past)
    );
}

#[test]
fn a_restored_party_that_forgot_its_records_is_heard_again() {
    let mut world = world();
    world
        .merge(&[spent("party-2", 0, 1, NOW), spent("party-2", 1, 2, NOW)])
        .unwrap();
    // Backups have no spend records: its first one after the restore is all it has.
    let anew = record(
        "party-2",
        place(1, 0),
        NOW,
        SpendEntry::Spend(spend(3, NOW)),
    );
    assert_eq!(world.merge(std::slice::from_ref(&anew)), Ok(1));
    assert_eq!(
        world.book.history().len(),
        3,
        "what it showed before still counts"
    );
    let next = record(
        "party-2",
        place(1, 1),
        NOW,
        SpendEntry::Spend(spend(4, NOW)),
    );
    assert_eq!(world.merge(&[anew, next]), Ok(1));
    // Without a restore, it is a rollback.
    let back = spent("party-2", 0, 5, NOW);
    assert!(matches!(
        world.merge(&[back]),
        Err(ReportError::Conflict(_))
    ));
}

#[test]
fn a_void_holds_although_it_is_heard_before_its_spend() {
    let mut world = world();
    world.book.add(void("party-2", 3, 1, NOW));
    world.book.add(spent("party-2", 1, 1, NOW));
    world.book.add(spent("party-2", 2, 2, NOW));
    let past = [spend(2, NOW)];
    for _ in 0..2 {
        assert_eq!(
            world.standings(world.book.history()),
            expected(&world.bundle, &past)
        );
        world.book.recount(&world.bundle);
    }
}

#[test]
fn nothing_is_void_before_it_is_recorded() {
    let mut world = world();
    // Heard in the order in which they were made, and the other way round.
    world.book.add(void("party-2", 0, 1, NOW));
    world.book.add(spent("party-2", 1, 1, NOW));
    world.book.add(spent("party-3", 1, 2, NOW));
    world.book.add(void("party-3", 0, 1, NOW));
    let past = [spend(1, NOW), spend(2, NOW)];
    assert_eq!(
        world.standings(world.book.history()),
        expected(&world.bundle, &past)
    );
}

#[test]
fn a_party_that_pruned_what_nobody_counts_any_more_is_heard_again() {
    let mut world = world();
    let long_ago = NOW - LONGEST - HOUR;
    world.merge(&[spent("party-2", 0, 1, long_ago)]).unwrap();
    let later = spent("party-2", 7, 2, NOW);
    assert_eq!(world.merge(std::slice::from_ref(&later)), Ok(1));
    let gap = spent("party-2", 9, 3, NOW);
    assert!(matches!(world.merge(&[gap]), Err(ReportError::Conflict(_))));
}

#[test]
fn records_from_the_future_or_of_too_many_lines_are_not_taken() {
    let mut world = world();
    let soon = NOW + 2 * MINUTE;
    let refused = |world: &mut World, signed: SignedSpendRecord, why: &str| {
        let error = world.merge(&[signed]).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(&mut world, spent("party-2", 0, 1, soon + 1), "future");
    // The time that counts is inside the spend, and neither may that one be.
    let inside = record(
        "party-2",
        place(0, 0),
        NOW,
        SpendEntry::Spend(spend(1, soon + 1)),
    );
    refused(&mut world, inside, "future");
    let mut wide = spend(1, NOW);
    wide.lines = vec![wide.lines[0].clone(); Spend::MAX_LINES + 1];
    let wide = record("party-2", place(0, 0), NOW, SpendEntry::Spend(wide));
    refused(&mut world, wide, "lines");
    assert_eq!(world.merge(&[spent("party-2", 0, 1, soon)]), Ok(1));
}

#[test]
fn of_two_own_records_in_one_place_the_later_one_counts_alone() {
    let mut world = world();
    world.book.add(spent("party-1", 0, 3, NOW));
    world.book.add(spent("party-2", 0, 3, NOW - HOUR));
    world.book.add(spent("party-1", 0, 4, NOW));
    let past = [spend(3, NOW - HOUR), spend(4, NOW)];
    for _ in 0..2 {
        assert_eq!(
            world.standings(world.book.history()),
            expected(&world.bundle, &past)
        );
        world.book.recount(&world.bundle);
    }
}

/// One record of a hostile report.
#[derive(Debug, Clone)]
struct Line {
    of: u16,
    signer: u16,
    restores: u64,
    sequence: u64,
    /// Milliseconds before [`NOW`]; negative is after.
    age: i64,
    spend_age: i64,
    entry: Result<u8, u64>,
}

fn line() -> impl Strategy<Value = Line> {
    let rare = |usual: u16| prop_oneof![80 => Just(usual), 1 => 1u16..5];
    let age = || {
        prop_oneof![
            40 => 0..60 * HOUR as i64,
            2 => Just(-2 * MINUTE as i64),
            1 => Just(-3 * MINUTE as i64),
        ]
    };
    let entry = prop_oneof![3 => (0u8..12).prop_map(Ok), 1 => (0u64..8).prop_map(Err)];
    (
        rare(2),
        rare(2),
        prop_oneof![40 => Just(0u64), 1 => 0u64..3],
        0u64..12,
        age(),
        age(),
        entry,
    )
        .prop_map(
            |(of, signer, restores, sequence, age, spend_age, entry)| Line {
                of,
                signer,
                restores,
                sequence,
                age,
                spend_age,
                entry,
            },
        )
}

fn before(age: i64) -> u64 {
    NOW.saturating_add_signed(-age)
}

impl Line {
    fn record(&self) -> SignedSpendRecord {
        let entry = match self.entry {
            Ok(which) => SpendEntry::Spend(spend(which, before(self.spend_age))),
            Err(voided) => SpendEntry::Void {
                place: place(self.restores, voided),
            },
        };
        let record = SpendRecord {
            party: party(self.of),
            place: place(self.restores, self.sequence),
            at: before(self.age),
            entry,
        };
        signed(&format!("party-{}", self.signer), record)
    }
}

/// What a hostile peer answers with.
#[derive(Debug, Clone)]
enum Answer {
    /// After the record it was asked to begin with, in order.
    GoesOn(Vec<Line>),
    /// Whatever, to a question from any place.
    Anything(Option<u64>, Vec<Line>),
}

fn answer() -> impl Strategy<Value = Answer> {
    let from = prop_oneof![2 => Just(None), 1 => (0u64..6).prop_map(Some)];
    let orderly = (0u64..3, vec(line(), 0..5)).prop_map(|(first, lines)| numbered(first, lines));
    prop_oneof![
        3 => vec(line(), 0..5).prop_map(Answer::GoesOn),
        2 => (from.clone(), orderly).prop_map(|(from, lines)| Answer::Anything(from, lines)),
        1 => (from, vec(line(), 0..5)).prop_map(|(from, lines)| Answer::Anything(from, lines)),
    ]
}

fn numbered(first: u64, lines: Vec<Line>) -> Vec<Line> {
    let places = lines.into_iter().zip(first..);
    places
        .map(|(line, sequence)| Line { sequence, ..line })
        .collect()
}

impl Answer {
    /// What the book asks for, and what it gets.
    fn given(
        self,
        book: &SpendBook,
        known: &[SignedSpendRecord],
    ) -> (Option<Place>, Vec<SignedSpendRecord>) {
        let records = |lines: Vec<Line>| lines.iter().map(Line::record).collect::<Vec<_>>();
        match self {
            Self::Anything(from, lines) => (from.map(|s| place(0, s)), records(lines)),
            Self::GoesOn(lines) => {
                let from = book.last(&party(2));
                let there = |r: &&SignedSpendRecord| {
                    r.record.party == party(2) && Some(r.record.place) == from
                };
                let next = from.map_or(0, |f| f.sequence + 1);
                let restores = from.map_or(0, |f| f.restores);
                let lines = numbered(next, lines).into_iter();
                let lines = lines.map(|line| Line { restores, ..line }).collect();
                let first = known.iter().filter(there).cloned();
                (from, first.chain(records(lines)).collect())
            }
        }
    }
}

#[test]
fn hostile_reports_reduce_no_sum_but_by_their_makers_own_void() {
    let honest = vec((0u8..12, 0..60 * HOUR), 0..8);
    check(
        "hostile_reports_reduce_no_sum_but_by_their_makers_own_void",
        200,
        &(honest, vec(answer(), 0..8)),
        |(honest, answers)| {
            let mut world = world();
            let mut known = Vec::new();
            for (sequence, (which, age)) in (0u64..).zip(honest) {
                let of = if sequence.is_multiple_of(2) {
                    "party-1"
                } else {
                    "party-3"
                };
                let record = spent(of, sequence / 2, which, NOW - age);
                world.book.add(record.clone());
                known.push(record);
            }
            let safe = living(&known);
            for answer in answers {
                let (from, report) = answer.given(&world.book, &known);
                let before = world.standings(world.book.history());
                let checked = world
                    .book
                    .check(&world.roster, &party(2), from, report, NOW);
                match checked {
                    Ok(fresh) => {
                        prop_assert!(fresh.iter().all(|f| f.record.party == party(2)));
                        fresh.iter().cloned().for_each(|f| world.book.add(f));
                        known.extend(fresh);
                    }
                    Err(error) => {
                        prop_assert_eq!(world.standings(world.book.history()), before);
                        if let ReportError::Conflict(conflict) = error {
                            prop_assert!(known.contains(&conflict.before));
                            if let Some(now) = &conflict.now {
                                prop_assert_ne!(now, &conflict.before);
                                let bytes = now.record.signing_bytes();
                                prop_assert!(world.roster.party_signed(
                                    &party(2),
                                    &bytes,
                                    &now.signature
                                ));
                            }
                        }
                    }
                }
                let now = world.standings(world.book.history());
                prop_assert_eq!(&now, &expected(&world.bundle, &living(&known)));
                let floor = expected(&world.bundle, &safe);
                let sums = now.iter().flatten().zip(floor.iter().flatten());
                prop_assert!(sums.into_iter().all(|(now, floor)| now >= floor));
            }
            Ok(())
        },
    );
}

/// A book of three parties' records, each in order, and the records.
fn filled(lines: &[(u16, u8, u64, bool)]) -> (World, Vec<SignedSpendRecord>) {
    let mut world = world();
    let mut made = Vec::new();
    let mut next = [0u64; 4];
    for (of, which, age, is_void) in lines {
        let name = format!("party-{of}");
        let sequence = next[usize::from(*of)];
        next[usize::from(*of)] += 1;
        let record = if *is_void {
            void(
                &name,
                sequence,
                u64::from(*which) % (sequence + 1),
                NOW - age,
            )
        } else {
            spent(&name, sequence, *which, NOW - age)
        };
        world.book.add(record.clone());
        made.push(record);
    }
    (world, made)
}

fn lines() -> impl Strategy<Value = Vec<(u16, u8, u64, bool)>> {
    let age = prop_oneof![0..60 * HOUR, Just(24 * HOUR), Just(24 * HOUR - 1), Just(0)];
    let is_void = prop_oneof![5 => Just(false), 1 => Just(true)];
    vec((1u16..4, 0u8..12, age, is_void), 0..20)
}

#[test]
fn pruning_changes_no_sum_inside_the_longest_window() {
    check(
        "pruning_changes_no_sum_inside_the_longest_window",
        300,
        &(lines(), 0..=12 * HOUR),
        |(lines, earlier)| {
            let (mut world, _) = filled(&lines);
            let before = world.standings(world.book.history());
            world.book.prune(NOW - LONGEST - earlier);
            prop_assert_eq!(world.standings(world.book.history()), before);
            Ok(())
        },
    );
}

#[test]
fn counting_anew_is_a_new_book() {
    check("counting_anew_is_a_new_book", 200, &lines(), |lines| {
        let (mut world, made) = filled(&lines);
        let other = bundle(&world.roster, OTHER);
        world.book.recount(&other);
        let mut fresh = SpendBook::new(party(1), 0, &other);
        for record in &made {
            fresh.add(record.clone());
        }
        let recounted = world.standings(world.book.history());
        prop_assert_eq!(&recounted, &world.standings(fresh.history()));
        prop_assert_eq!(&recounted, &expected(&other, &living(&made)));
        world.book.recount(&world.bundle);
        prop_assert_eq!(
            world.standings(world.book.history()),
            expected(&world.bundle, &living(&made))
        );
        Ok(())
    });
}

#[test]
fn rolling_sums_are_the_sums_of_a_list() {
    let past = vec((0u8..12, 0..60 * HOUR), 0..30);
    let removed = vec(any::<prop::sample::Index>(), 0..4);
    let asked = (0u8..12, 0u8..4, 0..HOUR, any::<bool>());
    check(
        "rolling_sums_are_the_sums_of_a_list",
        500,
        &(past, removed, asked),
        |(past, removed, (which, to, later, fresh))| {
            let bundle = bundle(&roster(2, 3), RULES);
            let mut history = History::new(&bundle);
            let mut list = Vec::new();
            for (which, age) in past {
                let spend = spend(which, NOW - age);
                history.insert(spend.clone());
                list.push(spend);
            }
            for index in removed {
                if list.is_empty() {
                    break;
                }
                let gone = index.get(&list).content();
                history.remove(gone);
                list.retain(|s| s.content() != gone);
            }
            let mut request = spend(which, NOW + later);
            if fresh {
                request.id = Hash32::from_bytes([98; 32]);
            }
            let to = format!("to-{to}");
            let list = naive::distinct(list);
            prop_assert_eq!(
                history.with(&request, &to),
                naive::standings(&bundle.counters, &bundle.assets, &list, &request, &to)
            );
            prop_assert_eq!(history.len(), list.len());
            Ok(())
        },
    );
}

/// Older than the longest window, whoever's clock is two minutes off.
const STALE: u64 = LONGEST + 5 * 60_000;

#[test]
fn t34_records_too_old_to_count_are_not_kept_but_for_the_last() {
    let mut world = world();
    let old = |sequence| spent("party-2", sequence, 1, NOW - STALE);
    let report: Vec<_> = (0..50).map(old).collect();
    assert_eq!(world.merge(&report), Ok(1), "only the last, to go on from");
    assert_eq!(world.book.last(&party(2)), Some(place(0, 49)));
    let next = [report[49].clone(), old(50), spent("party-2", 51, 2, NOW)];
    assert_eq!(world.merge(&next), Ok(1));
    let expected = expected(&world.bundle, &[spend(2, NOW)]);
    assert_eq!(world.standings(world.book.history()), expected);
}

#[test]
fn t34_what_is_forgotten_is_told_so_that_it_can_be_deleted() {
    let mut world = world();
    let made: Vec<_> = [STALE, STALE, 10, 5]
        .iter()
        .zip(0..)
        .map(|(age, sequence)| spent("party-2", sequence, 1, NOW - age))
        .collect();
    for record in &made {
        world.book.add(record.clone());
    }
    let horizon = world.book.horizon(NOW);
    assert_eq!(world.book.prune(horizon), made[..2]);
    assert!(world.book.prune(horizon).is_empty());
    assert!(world.book.prune(NOW + 1).len() == 1, "the last one stays");
}

/// A hostile custodian records as much as it likes; what is kept of it is bounded, others' records
/// are not.
#[test]
fn t34_more_than_is_kept_of_one_custodian_is_refused_and_others_are_not() {
    let mut world = world();
    let one = spent("party-2", 0, 1, NOW).canonical_bytes().len();
    world.book = SpendBook::new(party(1), 0, &world.bundle).keeping(10 * one);
    let report: Vec<_> = (0..11).map(|n| spent("party-2", n, 1, NOW)).collect();
    assert_eq!(world.merge(&report), Err(ReportError::Full(party(2))));
    assert_eq!(world.merge(&report[..10]), Ok(10));
    assert!(world.book.is_full(&party(2)) && !world.book.is_full(&party(3)));
    world.book.add(spent("party-3", 0, 2, NOW));
    // What is forgotten makes room.
    world.book.prune(NOW + 1);
    assert!(!world.book.is_full(&party(2)));
}

/// Its windows were shorter when a peer forgot what was older: that is no lie.
#[test]
fn t34_a_peer_that_forgot_by_a_shorter_window_is_not_accused() {
    let mut world = world();
    let other = bundle(&world.roster, OTHER);
    world.book = SpendBook::new(party(1), 0, &other);
    let first = spent("party-2", 0, 1, NOW - 20 * HOUR);
    world.book.add(first);
    world.book.recount(&world.bundle);
    let later = spent("party-2", 7, 2, NOW);
    assert_eq!(world.merge(std::slice::from_ref(&later)), Ok(1));
}

/// Between two policies with limits there is one without: nothing is forgotten meanwhile, and a
/// book
/// that is read anew knows by which windows others may have forgotten.
#[test]
fn t34_a_policy_without_limits_forgets_nothing_and_an_earlier_window_is_remembered() {
    let mut world = world();
    world.book.add(spent("party-2", 0, 1, NOW - 20 * HOUR));
    let unlimited = bundle(&world.roster, "");
    world.book.recount(&unlimited);
    let horizon = world.book.horizon(NOW);
    assert_eq!(horizon, 0);
    assert!(world.book.prune(horizon).is_empty());
    // After a restart only the policy in force counts, and the others are told.
    let shorter = bundle(&world.roster, OTHER);
    world.book = SpendBook::new(party(1), 0, &world.bundle);
    world.book.was_under(&shorter);
    world.book.add(spent("party-2", 0, 1, NOW - 20 * HOUR));
    let later = spent("party-2", 7, 2, NOW);
    assert_eq!(world.merge(std::slice::from_ref(&later)), Ok(1));
}
