//! I11: how much can be signed for under a rolling limit, whoever carries the messages and whichever agents are hostile. Schedules are
//! generated, searched for, and written out; and each thing the protocol insists on is left out once, to see the limit fall.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::cluster::{Cluster, LIMIT, Size, Step, Variant, WINDOW};
use crate::seeds::{check, runs, seed};
use crate::support::*;

/// What transactions take: all of the limit, half, a third, and odd amounts.
const AMOUNTS: [&[u64]; 6] = [
    &[60, 60, 60, 60],
    &[30, 30, 30, 30],
    &[20, 20, 20, 20, 20, 20],
    &[50, 11, 50, 11],
    &[60, 1, 59, 30],
    &[40, 21, 20, 19],
];

fn sizes() -> Vec<(usize, usize)> {
    let all = (2..=5).flat_map(|t| (t..=9).map(move |n| (t, n)));
    all.filter(|(t, n)| 2 * t > *n).collect()
}

/// What drives a schedule: which amounts, and one number for each step.
#[derive(Debug, Clone)]
struct Plan {
    amounts: usize,
    /// At most one agent is restored from a backup, which is what the protocol is exact against.
    restores: bool,
    choices: Vec<u32>,
}

fn plan(restores: bool) -> impl Strategy<Value = Plan> {
    (0..AMOUNTS.len(), vec(any::<u32>(), 20..160)).prop_map(move |(amounts, choices)| Plan {
        amounts,
        restores,
        choices,
    })
}

/// Lets the orchestrator of a plan have its way.
fn run(size: Size, variant: Variant, plan: &Plan) -> Cluster {
    let mut cluster = Cluster::new(size, variant, AMOUNTS[plan.amounts]);
    let mut restored = false;
    for choice in &plan.choices {
        let (kind, whim) = (choice % 32, choice / 32);
        let pick = |steps: Vec<Step>| {
            let place = whim as usize % steps.len().max(1);
            steps.get(place).copied()
        };
        match kind {
            0..=3 if cluster.attempts() < 24 => propose(&mut cluster, whim),
            4 => {
                if let Some(step) = pick(cluster.disturbances()) {
                    cluster.apply(step, whim);
                }
            }
            5 if whim.is_multiple_of(4) => {
                let spans = [1, HOUR, WINDOW / 2, WINDOW - 1, WINDOW, WINDOW + 1];
                cluster.now += spans[whim as usize / 4 % spans.len()];
            }
            6 if plan.restores && !restored => {
                restored = true;
                cluster.apply(Step::Restore(whim as usize % size.honest()), 0);
            }
            _ => {
                if let Some(step) = pick(cluster.steps()) {
                    cluster.apply(step, whim / 7);
                }
            }
        }
    }
    cluster
}

/// All hostile agents and some honest ones, in an order that a number gives.
fn propose(cluster: &mut Cluster, whim: u32) {
    let Size {
        hostile, quorum, ..
    } = cluster.size;
    let honest = cluster.size.honest();
    let transaction = whim as usize % cluster.transactions();
    let mut rest: Vec<usize> = (0..honest).collect();
    let mut random = whim / 8;
    let mut chosen = Vec::new();
    for _ in 0..quorum - hostile {
        chosen.push(rest.remove(random as usize % rest.len()));
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) / 3;
    }
    // Those who need not judge sign; the honest ones are mostly witnesses.
    let members: Vec<usize> = (honest..honest + hostile).chain(chosen).collect();
    cluster.propose(transaction, &members);
}

fn sizes_with(
    hostile: impl Fn(usize) -> Vec<usize>,
    quorum: impl Fn(usize, usize) -> usize,
) -> Vec<Size> {
    sizes()
        .into_iter()
        .flat_map(|(t, n)| {
            hostile(t).into_iter().map(move |hostile| Size {
                t,
                n,
                hostile,
                quorum: 0,
            })
        })
        .map(|size| Size {
            quorum: quorum(size.t, size.n),
            ..size
        })
        .collect()
}

fn never_more(name: &str, usual: u64, sizes: &[Size], restores: bool, most: fn(&Size) -> u64) {
    let size = prop::sample::select(sizes.to_vec());
    check(name, usual, &(size, plan(restores)), |(size, plan)| {
        let spent = run(size, Variant::Protocol, &plan).most_spent();
        prop_assert!(spent <= most(&size), "{} of {}", spent, most(&size));
        Ok(())
    });
}

/// L(n-f)/(t-f), rounded down.
fn bound(size: &Size) -> u64 {
    let (of, among) = (size.honest(), size.t - size.hostile);
    LIMIT * of as u64 / among as u64
}

/// The least q that makes the limit exact.
const fn exact(t: usize, n: usize) -> usize {
    (n + t).div_ceil(2)
}

#[test]
fn i11_honest_agents_never_sign_for_more_than_the_limit() {
    let sizes = sizes_with(|_| vec![0], |t, _| t);
    let name = "i11_honest_agents_never_sign_for_more_than_the_limit";
    never_more(name, 400, &sizes, true, |_| LIMIT);
}

#[test]
fn i11_hostile_agents_get_no_more_than_the_bound() {
    let sizes = sizes_with(|t| (1..t).collect(), |t, _| t);
    let name = "i11_hostile_agents_get_no_more_than_the_bound";
    never_more(name, 400, &sizes, false, bound);
}

#[test]
fn i11_acknowledgements_make_the_limit_exact() {
    let sizes = sizes_with(|t| (0..t).collect(), exact);
    let name = "i11_acknowledgements_make_the_limit_exact";
    never_more(name, 400, &sizes, false, |_| LIMIT);
}

/// Runs an attempt to its end, everybody answering everybody.
fn finish(cluster: &mut Cluster, attempt: usize) {
    let of_it = |step: &Step| match step {
        Step::Record(a, _) | Step::Answer(a, ..) | Step::Judge(a, _) => *a == attempt,
        _ => false,
    };
    // Whim 15: hostile agents say that they know nothing.
    while let Some(step) = cluster.steps().into_iter().find(of_it) {
        cluster.apply(step, 15);
    }
}

#[test]
fn i11_the_bound_against_hostile_agents_is_reached() {
    for size in sizes_with(|t| (1..t).collect(), |t, _| t) {
        let Size { t, hostile, .. } = size;
        let honest = size.honest();
        let groups: Vec<Vec<usize>> = (0..honest)
            .collect::<Vec<_>>()
            .chunks_exact(t - hostile)
            .map(<[usize]>::to_vec)
            .collect();
        let mut cluster = Cluster::new(size, Variant::Protocol, &vec![LIMIT; groups.len()]);
        for (transaction, group) in groups.iter().enumerate() {
            // Groups that share no honest agent know nothing of each other.
            let members: Vec<usize> = (honest..size.n).chain(group.iter().copied()).collect();
            let attempt = cluster.propose(transaction, &members);
            finish(&mut cluster, attempt);
        }
        let spent = cluster.most_spent();
        assert_eq!(spent, LIMIT * groups.len() as u64, "{size:?}");
        assert!(
            bound(&size) - spent < LIMIT,
            "within one limit of the bound"
        );
        if honest >= 2 * (t - hostile) {
            assert!(spent > LIMIT, "{size:?}");
        }
    }
}

#[test]
fn i11_one_acknowledgement_less_is_not_exact() {
    // 3 of 5, two hostile, q = 3 where (5 + 3) / 2 = 4.
    let size = Size {
        t: 3,
        n: 5,
        hostile: 2,
        quorum: 3,
    };
    let mut cluster = Cluster::new(size, Variant::Protocol, &[LIMIT, LIMIT]);
    for transaction in 0..2 {
        let attempt = cluster.propose(transaction, &[3, 4, transaction]);
        finish(&mut cluster, attempt);
    }
    assert_eq!(cluster.most_spent(), 2 * LIMIT);
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn plan(&mut self, restores: bool) -> Plan {
        let steps = 40 + self.next() % 120;
        Plan {
            amounts: self.next() as usize % AMOUNTS.len(),
            restores,
            choices: (0..steps).map(|_| self.next() as u32).collect(),
        }
    }

    /// A few steps are others, or one is gone, or one is new.
    fn changed(&mut self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        for _ in 0..=self.next() % 4 {
            let place = self.next() as usize % plan.choices.len();
            match self.next() % 4 {
                0 if plan.choices.len() > 20 => drop(plan.choices.remove(place)),
                1 if plan.choices.len() < 200 => plan.choices.insert(place, self.next() as u32),
                2 => plan.choices.truncate(place.max(20)),
                _ => plan.choices[place] = self.next() as u32,
            }
        }
        plan
    }
}

/// Climbs from random schedules to those that spend more; returns the most ether it got.
fn search(size: Size, variant: Variant, restores: bool, tries: u64, enough: u64) -> u64 {
    let mut random = Random(seed());
    let mut most = 0;
    let (mut best, mut score) = (random.plan(restores), 0);
    for round in 0..runs(tries) {
        let plan = match round % 64 {
            // The last hill is left for another.
            0 => {
                score = 0;
                random.plan(restores)
            }
            1..16 => random.plan(restores),
            _ => random.changed(&best),
        };
        let spent = run(size, variant, &plan).most_spent();
        if spent >= score {
            (best, score) = (plan, spent);
        }
        most = most.max(spent);
        if most > enough {
            break;
        }
    }
    most
}

const TWO_OF_THREE: Size = Size {
    t: 2,
    n: 3,
    hostile: 0,
    quorum: 2,
};

/// 3 of 5, two hostile, acknowledged by four.
const FOUR_OF_FIVE: Size = Size {
    t: 3,
    n: 5,
    hostile: 2,
    quorum: 4,
};

#[test]
fn i11_a_search_finds_nothing_above_the_bounds() {
    let small = [(2, 2), (2, 3), (3, 4), (3, 5)];
    for (t, n) in small {
        let honest = Size {
            t,
            n,
            hostile: 0,
            quorum: t,
        };
        let most = search(honest, Variant::Protocol, true, 100, LIMIT);
        assert_eq!(most, LIMIT, "{honest:?}");
        for hostile in 1..t {
            let size = Size { hostile, ..honest };
            let most = search(size, Variant::Protocol, false, 100, bound(&size));
            assert!(most <= bound(&size), "{size:?}: {most}");
            let acknowledged = Size {
                quorum: exact(t, n),
                ..size
            };
            let most = search(acknowledged, Variant::Protocol, false, 100, LIMIT);
            assert_eq!(most, LIMIT, "{acknowledged:?}");
        }
    }
    // Where two quorums may share hostile agents only, the same search gets past the limit.
    let size = Size {
        hostile: 1,
        ..TWO_OF_THREE
    };
    assert!(search(size, Variant::Protocol, false, 2000, LIMIT) > LIMIT);
}

#[track_caller]
fn falls(size: Size, variant: Variant, restores: bool) {
    let most = search(size, variant, restores, 4000, LIMIT);
    assert!(most > LIMIT, "{variant:?} was not seen to matter: {most}");
}

#[test]
fn i11_without_what_peers_show_the_limit_falls() {
    falls(TWO_OF_THREE, Variant::HearsNothing, false);
}

#[test]
fn i11_without_a_durable_record_first_the_limit_falls() {
    falls(TWO_OF_THREE, Variant::SendsBeforeRecording, false);
}

#[test]
fn i11_without_waiting_after_a_restore_the_limit_falls() {
    falls(TWO_OF_THREE, Variant::RestoredKnowsAll, true);
}

#[test]
fn i11_without_a_lock_and_judging_only_before_the_limit_falls() {
    falls(TWO_OF_THREE, Variant::NoLockJudgesOnlyBefore, false);
}

#[test]
fn i11_if_witnesses_do_not_answer_last_the_limit_falls() {
    falls(FOUR_OF_FIVE, Variant::WitnessFirst, false);
}

/// Either is enough: the agent that recorded last hears everything that was recorded before, and one that judges before, under the
/// lock, has finished the others and heard what they were told.
#[test]
fn i11_the_lock_and_judging_again_do_not_both_have_to_hold() {
    for (t, n) in [(2, 3), (3, 4), (3, 5)] {
        let size = Size {
            t,
            n,
            hostile: 0,
            quorum: t,
        };
        for variant in [Variant::NoLock, Variant::JudgesOnlyBefore] {
            assert_eq!(search(size, variant, true, 100, LIMIT), LIMIT);
        }
    }
}

/// What happens in a written schedule; a step that cannot happen now does not.
enum Do {
    /// Waits its turn, judges, records, asks.
    Record(usize, usize),
    /// These two answer each other's questions, where they can.
    Talk(usize, usize, usize),
    /// It gives up without having heard everyone.
    Leave(usize, usize),
    /// It hears the hostile agents, who know nothing, and judges.
    Judge(usize, usize),
    /// It hears them, and one of them sends rubbish.
    Rubbish(usize, usize),
    Crash(usize),
}

fn act(cluster: &mut Cluster, what: &Do) {
    let mut step = |wanted: &dyn Fn(&Step) -> bool, whim: u32| {
        let mut all = cluster.steps().into_iter().chain(cluster.disturbances());
        if let Some(step) = all.find(|s| wanted(s)) {
            cluster.apply(step, whim);
        }
    };
    match *what {
        Do::Record(x, m) => step(
            &|s| matches!(s, Step::Record(a, b) if (*a, *b) == (x, m)),
            0,
        ),
        Do::Talk(x, m, o) => {
            for pair in [(m, o), (o, m)] {
                let wanted =
                    |s: &Step| matches!(s, Step::Answer(a, b, c) if *a == x && (*b, *c) == pair);
                step(&wanted, 15);
            }
        }
        Do::Leave(x, m) => step(
            &|s| matches!(s, Step::GiveUp(a, b) if (*a, *b) == (x, m)),
            0,
        ),
        Do::Judge(x, m) | Do::Rubbish(x, m) => {
            let whim = if matches!(what, Do::Rubbish(..)) {
                62
            } else {
                15
            };
            for _ in 0..cluster.size.hostile {
                let honest = cluster.size.honest();
                let hostile = |s: &Step| matches!(s, Step::Answer(a, b, c) if *a == x && *b >= honest && *c == m);
                if let Some(answer) = cluster.steps().into_iter().find(hostile) {
                    cluster.apply(answer, whim);
                }
            }
            let judge = |s: &Step| matches!(s, Step::Judge(a, b) if (*a, *b) == (x, m));
            if let Some(judge) = cluster.steps().into_iter().find(judge) {
                cluster.apply(judge, 0);
            }
        }
        Do::Crash(m) => cluster.apply(Step::Crash(m), 0),
    }
}

/// Three requests of half the limit, each of which sees one of the others.
fn three_in_a_ring(variant: Variant) -> u64 {
    use Do::{Judge, Leave, Record, Talk};
    // 5 of 9, four of them hostile (5 to 8), acknowledged by seven = (9 + 5) / 2.
    let size = Size {
        t: 5,
        n: 9,
        hostile: 4,
        quorum: 7,
    };
    let (a, b, c, d, e) = (0, 1, 2, 3, 4);
    let mut cluster = Cluster::new(size, variant, &[30, 30, 30]);
    let members = |signer, one, two| [5, 6, 7, 8, signer, one, two];
    let r = cluster.propose(0, &members(a, b, d));
    let s = cluster.propose(1, &members(e, b, c));
    let t = cluster.propose(2, &members(c, a, d));
    let schedule = [
        Record(s, e),
        Record(s, c),
        Talk(s, c, e),
        Leave(s, c),
        Record(t, c),
        Record(t, a),
        Talk(t, a, c),
        Leave(t, a),
        Record(t, d),
        Talk(t, d, c),
        Leave(t, d),
        Record(r, a),
        Record(r, d),
        Talk(r, d, a),
        Record(r, b),
        Talk(r, b, a),
        Leave(r, b),
        Record(s, b),
        Talk(s, b, e),
        Judge(t, c),
        Judge(r, a),
        Judge(s, e),
    ];
    for what in &schedule {
        act(&mut cluster, what);
    }
    cluster.most_spent()
}

#[test]
fn i11_witnesses_that_answer_first_and_leave_let_three_requests_pass_in_a_ring() {
    assert_eq!(three_in_a_ring(Variant::WitnessFirstWithoutVoid), 90);
    assert!(three_in_a_ring(Variant::Protocol) <= LIMIT);
}

/// Two agents forget what they counted: one unusable report kept it out of their ledgers, and later records hid the gap.
fn forgotten_after_rubbish(variant: Variant) -> u64 {
    use Do::{Crash, Judge, Leave, Record, Rubbish, Talk};
    let (a, b, c) = (0, 1, 2);
    let mut cluster = Cluster::new(FOUR_OF_FIVE, variant, &[30, 0, 30, 0, 0, 0, 30]);
    let mut run = |transaction: usize, signer: usize, witness: usize, rubbish: bool| {
        let x = cluster.propose(transaction, &[3, 4, signer, witness]);
        let heard = if rubbish { Rubbish } else { Judge };
        let schedule = [
            Record(x, signer),
            Record(x, witness),
            Talk(x, signer, witness),
            heard(x, witness),
            Talk(x, witness, signer),
            Judge(x, signer),
            Leave(x, signer),
        ];
        for what in &schedule {
            act(&mut cluster, what);
        }
    };
    run(0, a, b, false);
    run(1, b, c, true);
    run(2, b, c, false);
    run(3, a, c, true);
    run(4, c, a, true);
    run(5, a, c, false);
    act(&mut cluster, &Crash(a));
    act(&mut cluster, &Crash(c));
    let last = cluster.propose(6, &[3, 4, a, c]);
    finish(&mut cluster, last);
    cluster.most_spent()
}

#[test]
fn i11_if_peers_records_count_before_they_are_durable_the_limit_falls() {
    assert_eq!(forgotten_after_rubbish(Variant::CountsBeforeRecording), 90);
    assert_eq!(forgotten_after_rubbish(Variant::Protocol), LIMIT);
}
