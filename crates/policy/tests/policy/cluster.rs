//! Agents that spend under a rolling limit, step by step as a party agent does it (its `taking_part.rs` and `spending.rs`), and whoever
//! carries their messages deciding what happens next. The books and the engine are the real ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ed25519_dalek::{Signer as _, SigningKey};
use quorate_chain::Effects;
use quorate_policy::{
    Act, Book, Decision, Engine, Evidence, Place, Request, SignedSpendRecord, Spend, SpendBook,
    SpendEntry, SpendRecord,
};
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    ChainRules, Hash32, IntentHash, KeyId, KeyName, OperatorId, PartyId, Payload, ValidBundle,
    ValidRoster,
};

use crate::support::*;

/// The limit, in ether.
pub const LIMIT: u64 = 60;
/// Its window.
pub const WINDOW: u64 = 24 * HOUR;

const RULES: &str = r#"
[[rule]]
id = "daily"
type = "limit"
asset = "ETH"
max = "60"
window = "24h"
"#;

/// How a cluster differs from the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Not at all: docs/decisions/0009.
    Protocol,
    /// An agent records several requests at once.
    NoLock,
    /// Nobody judges again after hearing the others.
    JudgesOnlyBefore,
    /// Both.
    NoLockJudgesOnlyBefore,
    /// What is heard is forgotten.
    HearsNothing,
    /// A record leaves before it is durable, so a crash forgets it.
    SendsBeforeRecording,
    /// What peers show is in memory before it is durable, so that one unusable report keeps the others' from ever being durable.
    CountsBeforeRecording,
    /// A restored agent takes part at once.
    RestoredKnowsAll,
    /// A witness shows its records before it has heard everyone, and makes its own void if it then refuses.
    WitnessFirst,
    /// The same, but its record stays.
    WitnessFirstWithoutVoid,
}

/// Who there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub t: usize,
    pub n: usize,
    /// The last so many agents are hostile.
    pub hostile: usize,
    /// How many take part or acknowledge.
    pub quorum: usize,
}

impl Size {
    pub const fn honest(&self) -> usize {
        self.n - self.hostile
    }
}

struct Shared {
    engine: Engine,
    roster: ValidRoster,
    keys: Vec<SigningKey>,
    names: Vec<PartyId>,
}

/// What all clusters of one size have in common.
fn shared(size: &Size) -> &'static Shared {
    static ALL: LazyLock<BTreeMap<(usize, usize), Shared>> = LazyLock::new(|| {
        let sizes = (2..=5).flat_map(|t| (t..=9).map(move |n| (t, n)));
        let sizes = sizes.filter(|(t, n)| 2 * t > *n);
        sizes
            .map(|(t, n)| ((t, n), make(t as u16, n as u16)))
            .collect()
    });
    &ALL[&(size.t, size.n)]
}

fn make(t: u16, n: u16) -> Shared {
    let roster = roster(t, n);
    let names: Vec<String> = (1..=n).map(|i| format!("party-{i}")).collect();
    let bundle: ValidBundle = signed_by(bundle(&roster, RULES), &["root-1", "root-2"])
        .follow(&roster, None)
        .unwrap();
    Shared {
        engine: Engine::new(bundle).unwrap(),
        roster,
        keys: names.iter().map(|n| key(n)).collect(),
        names: names.iter().map(|n| PartyId::new(n).unwrap()).collect(),
    }
}

/// An honest agent.
struct Agent {
    book: SpendBook,
    /// What a crash leaves.
    durable: Vec<SignedSpendRecord>,
    /// Which attempt holds its lock.
    lock: Option<usize>,
    restores: u64,
    /// Peers heard since the last restore.
    heard: BTreeSet<usize>,
}

/// Where an honest member of an attempt is.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Prepared,
    /// It has recorded the spend and asked everyone.
    Exchanging(Exchange),
    /// A witness that agrees and has still to say so to the signers.
    Acknowledging(Exchange),
    /// Nothing more comes from it.
    Over,
}

#[derive(Debug)]
struct Exchange {
    own: Place,
    asked: BTreeMap<usize, Option<Place>>,
    answered: BTreeSet<usize>,
    inbox: BTreeMap<usize, Vec<SignedSpendRecord>>,
}

/// One attempt to sign one transaction.
struct Attempt {
    transaction: usize,
    /// Signers first.
    members: Vec<usize>,
    stages: BTreeMap<usize, Stage>,
    /// Honest signers whose part of the signature is out.
    agreed: BTreeSet<usize>,
    first_record: u64,
    last_judged: u64,
}

/// What may happen next.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Waits for the lock, judges, records, asks.
    Record(usize, usize),
    /// `1` answers what `2` asked in attempt `0`.
    Answer(usize, usize, usize),
    /// Has heard everyone: judges again.
    Judge(usize, usize),
    /// Somebody did not answer in time, or somebody aborted.
    GiveUp(usize, usize),
    Crash(usize),
    /// Put back from a backup, which has no spend records.
    Restore(usize),
}

pub struct Cluster {
    pub size: Size,
    pub variant: Variant,
    shared: &'static Shared,
    agents: Vec<Agent>,
    attempts: Vec<Attempt>,
    /// Ether that each transaction takes.
    amounts: Vec<u64>,
    pub now: u64,
    /// What each hostile agent has shown each honest one.
    shown: BTreeMap<(usize, usize), Vec<SignedSpendRecord>>,
}

impl Cluster {
    pub fn new(size: Size, variant: Variant, amounts: &[u64]) -> Self {
        let shared = shared(&size);
        let agent = |number: usize| Agent {
            book: book(shared, number, 0),
            durable: Vec::new(),
            lock: None,
            restores: 0,
            heard: BTreeSet::new(),
        };
        Self {
            size,
            variant,
            shared,
            agents: (0..size.honest()).map(agent).collect(),
            attempts: Vec::new(),
            amounts: amounts.to_vec(),
            now: NOW,
            shown: BTreeMap::new(),
        }
    }

    pub fn transactions(&self) -> usize {
        self.amounts.len()
    }

    pub fn attempts(&self) -> usize {
        self.attempts.len()
    }

    /// Asks members, the signers first, to sign a transaction.
    pub fn propose(&mut self, transaction: usize, members: &[usize]) -> usize {
        let honest = members.iter().filter(|m| **m < self.size.honest());
        self.attempts.push(Attempt {
            transaction,
            members: members.to_vec(),
            stages: honest.map(|m| (*m, Stage::Prepared)).collect(),
            agreed: BTreeSet::new(),
            first_record: u64::MAX,
            last_judged: 0,
        });
        self.attempts.len() - 1
    }

    /// Everything that can happen, besides what only disturbs.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (number, attempt) in self.attempts.iter().enumerate() {
            for (member, stage) in &attempt.stages {
                match stage {
                    Stage::Prepared if self.may_record(*member) => {
                        steps.push(Step::Record(number, *member));
                    }
                    Stage::Exchanging(exchange) => {
                        let from = attempt.members.iter().filter(|m| *m != member);
                        let open = from.filter(|m| self.can_answer(number, **m, *member));
                        steps.extend(open.map(|m| Step::Answer(number, *m, *member)));
                        if self.complete(number, *member, exchange) {
                            steps.push(Step::Judge(number, *member));
                        }
                    }
                    _ => {}
                }
            }
        }
        steps
    }

    /// What only disturbs.
    pub fn disturbances(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = (0..self.agents.len()).map(Step::Crash).collect();
        for (number, attempt) in self.attempts.iter().enumerate() {
            let busy = attempt
                .stages
                .iter()
                .filter(|(_, s)| matches!(s, Stage::Exchanging(_) | Stage::Acknowledging(_)));
            steps.extend(busy.map(|(m, _)| Step::GiveUp(number, *m)));
        }
        steps
    }

    pub fn apply(&mut self, step: Step, whim: u32) {
        match step {
            Step::Record(attempt, member) => self.record(attempt, member),
            Step::Answer(attempt, from, to) => self.answer(attempt, from, to, whim),
            Step::Judge(attempt, member) => self.judge_again(attempt, member),
            Step::GiveUp(attempt, member) => self.give_up(attempt, member),
            Step::Crash(member) => self.crash(member),
            Step::Restore(member) => {
                let agent = &mut self.agents[member];
                agent.durable.clear();
                agent.heard.clear();
                agent.restores += 1;
                self.crash(member);
            }
        }
    }

    fn may_record(&self, member: usize) -> bool {
        use Variant::{NoLock, NoLockJudgesOnlyBefore};
        matches!(self.variant, NoLock | NoLockJudgesOnlyBefore)
            || self.agents[member].lock.is_none()
    }

    fn is_witness(&self, attempt: usize, member: usize) -> bool {
        let members = &self.attempts[attempt].members;
        members.iter().position(|m| *m == member).unwrap() >= self.size.t
    }

    fn witness_first(&self) -> bool {
        use Variant::{WitnessFirst, WitnessFirstWithoutVoid};
        matches!(self.variant, WitnessFirst | WitnessFirstWithoutVoid)
    }

    /// Whether `from` can answer what `to` asked: it has recorded, and not answered yet. A witness answers signers last.
    fn can_answer(&self, attempt: usize, from: usize, to: usize) -> bool {
        let stages = &self.attempts[attempt].stages;
        let Some(Stage::Exchanging(asker)) = stages.get(&to) else {
            return false;
        };
        if asker.inbox.contains_key(&from) {
            return false;
        }
        if from >= self.size.honest() {
            return true;
        }
        let late = !self.witness_first()
            && self.is_witness(attempt, from)
            && !self.is_witness(attempt, to);
        match &stages[&from] {
            Stage::Exchanging(e) => !late && !e.answered.contains(&to),
            Stage::Acknowledging(e) => !e.answered.contains(&to),
            Stage::Prepared | Stage::Over => false,
        }
    }

    /// Whether a member has heard everyone, and has answered everyone that it answers before it judges.
    fn complete(&self, attempt: usize, member: usize, exchange: &Exchange) -> bool {
        let members = &self.attempts[attempt].members;
        let mut others = members.iter().filter(|m| **m != member);
        let last = !self.witness_first() && self.is_witness(attempt, member);
        others.all(|m| {
            let hostile = *m >= self.size.honest();
            let later = last && !self.is_witness(attempt, *m);
            exchange.inbox.contains_key(m) && (hostile || later || exchange.answered.contains(m))
        })
    }

    fn record(&mut self, attempt: usize, member: usize) {
        let Some(spend) = self.judge(attempt, member) else {
            self.set(attempt, member, Stage::Over);
            return;
        };
        let signed = self.signed(member, SpendEntry::Spend(spend));
        let own = signed.record.place;
        self.keep(member, signed);
        self.agents[member].lock = Some(attempt);
        let others = self.attempts[attempt].members.clone();
        let others = others.into_iter().filter(|m| *m != member);
        let last = |m: usize| self.agents[member].book.last(&self.shared.names[m]);
        let asked = others.map(|m| (m, last(m))).collect();
        let first = &mut self.attempts[attempt].first_record;
        *first = self.now.min(*first);
        let exchange = Exchange {
            own,
            asked,
            answered: BTreeSet::new(),
            inbox: BTreeMap::new(),
        };
        self.set(attempt, member, Stage::Exchanging(exchange));
    }

    /// Durable, then in memory.
    fn keep(&mut self, member: usize, signed: SignedSpendRecord) {
        let agent = &mut self.agents[member];
        if self.variant != Variant::SendsBeforeRecording {
            agent.durable.push(signed.clone());
        }
        agent.book.add(signed);
    }

    fn signed(&self, member: usize, entry: SpendEntry) -> SignedSpendRecord {
        let record = self.agents[member].book.next(entry, self.now);
        sign_record(self.shared, member, record)
    }

    fn answer(&mut self, attempt: usize, from: usize, to: usize, whim: u32) {
        let Some(Stage::Exchanging(asker)) = self.attempts[attempt].stages.get(&to) else {
            return;
        };
        let wanted = asker.asked[&from];
        let report = if from < self.size.honest() {
            let report = self.agents[from].book.since(wanted);
            let stage = self.attempts[attempt].stages.get_mut(&from).unwrap();
            if let Stage::Exchanging(e) | Stage::Acknowledging(e) = stage {
                e.answered.insert(to);
            }
            report
        } else {
            self.lie(attempt, from, to, wanted, whim)
        };
        if let Some(Stage::Exchanging(asker)) = self.attempts[attempt].stages.get_mut(&to) {
            asker.inbox.insert(from, report);
        }
        self.acknowledged(attempt, from);
    }

    /// A witness that has answered every signer is done.
    fn acknowledged(&mut self, attempt: usize, member: usize) {
        let honest = self.size.honest();
        let signers = self.attempts[attempt].members[..self.size.t].to_vec();
        let Some(Stage::Acknowledging(e)) = self.attempts[attempt].stages.get(&member) else {
            return;
        };
        let mut signers = signers.into_iter().filter(|m| *m < honest);
        if signers.all(|m| e.answered.contains(&m)) {
            self.leave(attempt, member);
        }
    }

    fn judge_again(&mut self, attempt: usize, member: usize) {
        let Some(Stage::Exchanging(exchange)) = self.attempts[attempt].stages.remove(&member)
        else {
            return;
        };
        use Variant::{JudgesOnlyBefore, NoLockJudgesOnlyBefore};
        let once = matches!(self.variant, JudgesOnlyBefore | NoLockJudgesOnlyBefore);
        let good = self.merge(member, &exchange)
            && self.remembers(member)
            && (once || self.judge(attempt, member).is_some());
        if !good {
            self.set(attempt, member, Stage::Exchanging(exchange));
            self.give_up(attempt, member);
        } else if self.is_witness(attempt, member) {
            self.set(attempt, member, Stage::Acknowledging(exchange));
            self.acknowledged(attempt, member);
        } else {
            let now = self.now;
            let attempt_ = &mut self.attempts[attempt];
            attempt_.agreed.insert(member);
            attempt_.last_judged = attempt_.last_judged.max(now);
            self.leave(attempt, member);
        }
    }

    fn merge(&mut self, member: usize, exchange: &Exchange) -> bool {
        if self.variant == Variant::HearsNothing {
            return true;
        }
        let agent = &mut self.agents[member];
        let mut good = true;
        let mut fresh = Vec::new();
        for (peer, report) in &exchange.inbox {
            let (name, from) = (&self.shared.names[*peer], exchange.asked[peer]);
            let (roster, report) = (&self.shared.roster, report.clone());
            match agent.book.check(roster, name, from, report, self.now) {
                Ok(new) => {
                    if self.variant == Variant::CountsBeforeRecording {
                        new.iter().cloned().for_each(|n| agent.book.add(n));
                    }
                    fresh.extend(new);
                }
                Err(_) if self.variant == Variant::CountsBeforeRecording => return false,
                Err(_) => good = false,
            }
        }
        for signed in fresh {
            self.keep(member, signed);
        }
        let agent = &mut self.agents[member];
        agent.heard.extend(exchange.inbox.keys());
        good
    }

    /// Whether a restored agent has heard enough peers.
    fn remembers(&self, member: usize) -> bool {
        let (agent, Size { t, n, .. }) = (&self.agents[member], self.size);
        let needed = (n - t + 1).min(n - 1);
        agent.restores == 0
            || t == n
            || self.variant == Variant::RestoredKnowsAll
            || agent.heard.len() >= needed
    }

    /// What it would spend, if the policy allows it.
    fn judge(&self, attempt: usize, member: usize) -> Option<Spend> {
        let transaction = self.attempts[attempt].transaction;
        let number = u8::try_from(transaction).unwrap();
        let effects = Effects {
            movements: transfer(ALICE, &self.amounts[transaction].to_string())
                .effects
                .movements,
            ..Effects::default()
        };
        let (name, operator) = (
            KeyName::new("hot").unwrap(),
            OperatorId::new("bot").unwrap(),
        );
        let payload = Payload::EvmTransaction(vec![number]);
        let request = Request {
            // Another intent for each attempt: the transaction is the same.
            intent: IntentHash::from_bytes([u8::try_from(attempt % 250).unwrap(); 32]),
            operator: &operator,
            operator_key: &[9; 32],
            act: Act::Sign {
                id: KeyId::from_bytes([1; 32]),
                key: facts(&name),
                network: Some(ETHEREUM),
                payload: &payload,
                effects: &effects,
                sighashes: &[Hash32::from_bytes([number; 32])],
            },
            asked_at: self.now,
            proposed_at: self.now,
            now: self.now,
        };
        let evidence = Evidence {
            approvals: &[],
            display: Hash32::from_bytes([7; 32]),
            frozen: &[],
            book: &Book::default(),
        };
        let history = self.agents[member].book.history();
        let (decision, _) = self.shared.engine.decide(&request, &evidence, history);
        matches!(decision, Decision::Allow(_))
            .then(|| request.spend(&ChainRules::default()).unwrap())
    }

    fn give_up(&mut self, attempt: usize, member: usize) {
        let void = match &self.attempts[attempt].stages[&member] {
            Stage::Exchanging(exchange) => Some(exchange.own),
            // It has acknowledged: somebody may sign.
            _ => None,
        };
        let keeps =
            self.variant == Variant::WitnessFirstWithoutVoid && self.is_witness(attempt, member);
        if let Some(place) = void.filter(|_| !keeps) {
            let void = self.signed(member, SpendEntry::Void { place });
            self.keep(member, void);
        }
        self.leave(attempt, member);
    }

    fn leave(&mut self, attempt: usize, member: usize) {
        let lock = &mut self.agents[member].lock;
        *lock = lock.filter(|held| *held != attempt);
        self.set(attempt, member, Stage::Over);
    }

    /// Memory is gone; runs end; the ledger is read back.
    fn crash(&mut self, member: usize) {
        let agent = &mut self.agents[member];
        agent.lock = None;
        agent.book = book(self.shared, member, agent.restores);
        agent
            .durable
            .sort_by_key(|s| (s.record.party.clone(), s.record.place));
        for signed in &agent.durable {
            agent.book.add(signed.clone());
        }
        for attempt in &mut self.attempts {
            if let Some(stage) = attempt.stages.get_mut(&member) {
                *stage = Stage::Over;
            }
        }
    }

    fn set(&mut self, attempt: usize, member: usize, stage: Stage) {
        self.attempts[attempt].stages.insert(member, stage);
    }

    /// What a hostile agent says. Most of the time: that it knows nothing.
    fn lie(
        &mut self,
        attempt: usize,
        from: usize,
        to: usize,
        wanted: Option<Place>,
        whim: u32,
    ) -> Vec<SignedSpendRecord> {
        let shown = self.shown.entry((from, to)).or_default();
        let next = Place {
            restores: 0,
            sequence: shown.len() as u64,
        };
        let entry = match whim % 16 {
            // What an honest one would say, perhaps of something else.
            0 | 1 => {
                let amount = u64::from(whim / 16 % 3) * 10;
                let mut spend = lied(self.attempts[attempt].transaction, amount, self.now);
                spend.at -= u64::from(whim / 16 % 5) * HOUR;
                Some(SpendEntry::Spend(spend))
            }
            2 => next
                .sequence
                .checked_sub(1)
                .map(|sequence| SpendEntry::Void {
                    place: Place {
                        restores: 0,
                        sequence,
                    },
                }),
            _ => None,
        };
        if let Some(entry) = entry {
            let record = SpendRecord {
                party: self.shared.names[from].clone(),
                place: next,
                at: self.now,
                entry,
            };
            shown.push(sign_record(self.shared, from, record));
        }
        let begins = |s: &&SignedSpendRecord| wanted.is_none_or(|w| s.record.place >= w);
        let mut report: Vec<_> = shown.iter().filter(begins).cloned().collect();
        match whim % 64 {
            // Rolled back, forged, or another's words.
            60 => report.clear(),
            61 => report.iter_mut().for_each(|s| s.signature[0] ^= 1),
            62 => report.extend(self.agents[to].durable.last().cloned()),
            _ => {}
        }
        report
    }

    /// The most ether that was signed for within any window, each transaction once.
    pub fn most_spent(&self) -> u64 {
        let honest = self.size.honest();
        let signed = |a: &&Attempt| {
            let mut signers = a.members[..self.size.t].iter().filter(|m| **m < honest);
            signers.all(|m| a.agreed.contains(m))
        };
        let signed: Vec<&Attempt> = self.attempts.iter().filter(signed).collect();
        let window = |last: &&Attempt| {
            let inside = |a: &&&Attempt| {
                a.last_judged <= last.last_judged && a.first_record > last.last_judged - WINDOW
            };
            let inside = signed.iter().filter(inside).map(|a| a.transaction);
            let distinct: BTreeSet<usize> = inside.collect();
            distinct.into_iter().map(|t| self.amounts[t]).sum()
        };
        signed.iter().map(window).max().unwrap_or(0)
    }
}

fn book(shared: &Shared, member: usize, restores: u64) -> SpendBook {
    let name = shared.names[member].clone();
    SpendBook::new(name, restores, shared.engine.bundle().bundle())
}

fn sign_record(shared: &Shared, member: usize, record: SpendRecord) -> SignedSpendRecord {
    SignedSpendRecord {
        signature: shared.keys[member].sign(&record.signing_bytes()).to_bytes(),
        record,
    }
}

fn lied(transaction: usize, amount: u64, at: u64) -> Spend {
    let effects = transfer(ALICE, &amount.to_string()).effects;
    Spend::new(
        IntentHash::from_bytes([0; 32]),
        (KeyId::from_bytes([1; 32]), KeyName::new("hot").unwrap()),
        Some(ETHEREUM),
        &effects,
        &ChainRules::default(),
        &[Hash32::from_bytes([transaction as u8; 32])],
        at,
    )
}
