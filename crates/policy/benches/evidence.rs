//! What it costs an agent to judge one request from bytes to decision: the operator's signature, the transaction taken apart, three
//! approvals, fifty rules, and a history of 100 000 records.
//!
//! `cargo bench -p quorate-policy`; `docs/benchmarks-parts.md` records the results.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a benchmark stops where an assumption fails, and criterion's macros make an undocumented function"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_chain::{AssetRef, Effects, Movement, MovementKind, U256, analyse};
use quorate_policy::{
    Act, Book, Decision, Engine, Evidence, Header, KeyFacts, Place, Request, Shown,
    SignedSpendRecord, Spend, SpendBook, SpendEntry, SpendRecord, compile, sighashes,
};
use quorate_types::canonical::{Canonical as _, tagged_hash};
use quorate_types::{
    Action, Admin, AdminSignature, Admins, Approval, ChainRules, Curve, DerivationPath, Hash32,
    Intent, IntentHash, KeyId, KeyName, KeyRecord, Network, OperatorEntry, OperatorId, PartyEntry,
    PartyId, Payload, PersonId, Proof, PublicKey, Roster, Scheme, SignedApproval, SignedBundle,
    SignedIntent, Threshold, ValidRoster, Verdict,
};

const NOW: u64 = 1_900_000_000_000;
const HOUR: u64 = 3_600_000;
const ETHEREUM: Network = Network::Evm { chain_id: 1 };
const RECORDS: u64 = 100_000;
const TO: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(tagged_hash("bench key", &[name.as_bytes()]).as_bytes())
}

fn public(name: &str) -> [u8; 32] {
    key(name).verifying_key().to_bytes()
}

fn roster() -> ValidRoster {
    let party = |name: &str| PartyEntry {
        id: PartyId::new(name).unwrap(),
        identity: public(name),
        channel: *tagged_hash("channel", &[name.as_bytes()]).as_bytes(),
    };
    let admin = Admin {
        id: PersonId::new("root").unwrap(),
        key: public("root"),
    };
    Roster {
        cluster: "bench".to_owned(),
        threshold: Threshold::new(2, 3).unwrap(),
        parties: ["party-1", "party-2", "party-3"].map(party).to_vec(),
        operators: vec![OperatorEntry {
            id: OperatorId::new("operator").unwrap(),
            key: public("operator"),
        }],
        admins: Admins {
            quorum: 1,
            members: vec![admin],
        },
    }
    .try_into()
    .unwrap()
}

/// Fifty rules, all of which the request satisfies.
fn policy() -> String {
    let mut text = String::new();
    for name in ["ann", "ben", "cas"] {
        let _ = writeln!(
            text,
            "[people.{name}]\ngroups = [\"treasury\"]\nroles = [\"head\"]\ned25519 = [\"{}\"]",
            hex::encode(public(name))
        );
    }
    text.push_str("[[asset]]\nid = \"ETH\"\nnetwork = \"ethereum\"\ndecimals = 18\n");
    let mut number = 0;
    let mut rule = |times: usize, body: &str| {
        for _ in 0..times {
            number += 1;
            let _ = writeln!(text, "[[rule]]\nid = \"rule-{number}\"\n{body}");
        }
    };
    rule(
        4,
        "type = \"limit\"\nasset = \"ETH\"\nmax = \"100000\"\nwindow = \"24h\"",
    );
    rule(
        3,
        "type = \"limit\"\nasset = \"ETH\"\nmax = \"100000\"\nwindow = \"30d\"\nper = [\"key\"]",
    );
    rule(
        3,
        "type = \"limit\"\nasset = \"ETH\"\nmax = \"100000\"\nwindow = \"7d\"\nper = [\"destination\"]",
    );
    rule(2, "type = \"velocity\"\nmax = 1000000\nwindow = \"1h\"");
    rule(10, "type = \"limit\"\nasset = \"ETH\"\nmax = \"100\"");
    rule(
        10,
        "type = \"threshold\"\ngroup = \"treasury\"\napprovals = 3",
    );
    rule(4, "type = \"roles\"\nroles = [\"head\"]");
    rule(5, &format!("type = \"destinations\"\nallow = [\"{TO}\"]"));
    rule(3, "type = \"chains\"\nallow = [\"ethereum\"]");
    rule(3, "type = \"assets\"\nallow = [\"ETH\"]");
    rule(2, "type = \"fee\"\nasset = \"ETH\"\nmax = \"1\"");
    rule(
        1,
        "type = \"hours\"\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\nfrom = \"00:00\"\nto = \"24:00\"",
    );
    assert_eq!(number, 50);
    text
}

fn engine(roster: &ValidRoster) -> Engine {
    let header = Header {
        cluster: roster.cluster_id(),
        version: 1,
        previous: Hash32::from_bytes([0; 32]),
        issued_at: NOW,
        admins: roster.roster().admins.clone(),
        lifts: Vec::new(),
    };
    let bundle = compile(&policy(), header).unwrap();
    let signature = key("root").sign(&bundle.signing_bytes()).to_bytes();
    let signed = SignedBundle {
        signatures: vec![AdminSignature {
            admin: PersonId::new("root").unwrap(),
            signature,
        }],
        bundle,
    };
    Engine::new(signed.follow(roster, None).unwrap()).unwrap()
}

/// An EIP-1559 transfer of one ether, unsigned: `0x02 || rlp([...])`.
fn transfer() -> Vec<u8> {
    let mut fields = vec![0x01, 0x07];
    // 1 gwei, 30 gwei, 21000 gas.
    fields.extend([0x84, 0x3b, 0x9a, 0xca, 0x00]);
    fields.extend([0x85, 0x06, 0xfc, 0x23, 0xac, 0x00]);
    fields.extend([0x82, 0x52, 0x08, 0x94]);
    fields.extend(hex::decode(TO.trim_start_matches("0x")).unwrap());
    fields.extend([0x88, 0x0d, 0xe0, 0xb6, 0xb3, 0xa7, 0x64, 0x00, 0x00]);
    fields.extend([0x80, 0xc0]);
    let mut bytes = vec![0x02, 0xc0 + u8::try_from(fields.len()).unwrap()];
    bytes.extend(fields);
    bytes
}

fn key_id() -> KeyId {
    KeyId::from_bytes([1; 32])
}

/// As the ledgers of three agents would have them: two record each spend.
fn records() -> Vec<SignedSpendRecord> {
    let parties = ["party-1", "party-2", "party-3"].map(|p| PartyId::new(p).unwrap());
    let mut next = [0u64; 3];
    let mut records = Vec::new();
    for number in 0..RECORDS / 2 {
        let at = NOW - 60 * 24 * HOUR + number * (60 * 24 * HOUR / (RECORDS / 2));
        let effects = Effects {
            movements: vec![Movement {
                asset: AssetRef::Native,
                kind: MovementKind::Transfer,
                destination: if number % 4 == 0 {
                    TO.to_owned()
                } else {
                    format!("0x{:040x}", number % 200)
                },
                amount: U256::from(100_000_000_000_000u64),
                own: None,
            }],
            fee: U256::from(630_000_000_000_000u64),
            ..Effects::default()
        };
        let name = KeyName::new(if number % 3 == 0 { "vault" } else { "hot" }).unwrap();
        let id = tagged_hash("spend", &[&number.to_be_bytes()]);
        let spend = Spend::new(
            IntentHash::from_bytes(*id.as_bytes()),
            (key_id(), name),
            Some(ETHEREUM),
            &effects,
            &ChainRules::default(),
            &[id],
            at,
        );
        for skipped in 1..3 {
            let who = (usize::try_from(number).unwrap() + skipped) % 3;
            let record = SpendRecord {
                party: parties[who].clone(),
                place: Place {
                    restores: 0,
                    sequence: next[who],
                },
                at,
                entry: SpendEntry::Spend(spend.clone()),
            };
            next[who] += 1;
            // Signatures are checked when records are heard, not when they are read back.
            records.push(SignedSpendRecord {
                record,
                signature: [0; 64],
            });
        }
    }
    // The order in which a ledger gives them back.
    records
        .sort_by(|a, b| (&a.record.party, a.record.place).cmp(&(&b.record.party, b.record.place)));
    records
}

/// What an agent has, and what it gets.
struct Desk {
    roster: ValidRoster,
    engine: Engine,
    book: SpendBook,
    record: KeyRecord,
    intent: SignedIntent,
    approvals: Vec<SignedApproval>,
}

impl Desk {
    fn new() -> Self {
        let roster = roster();
        let engine = engine(&roster);
        let records = records();
        let mut book = SpendBook::new(
            PartyId::new("party-1").unwrap(),
            0,
            engine.bundle().bundle(),
        );
        let since = Instant::now();
        for record in records {
            book.add(record);
        }
        println!("{RECORDS} records read back in {:?}", since.elapsed());
        let since = Instant::now();
        book.recount(engine.bundle().bundle());
        println!("counted anew in {:?}", since.elapsed());
        let intent = Intent {
            roster: roster.hash(),
            operator: OperatorId::new("operator").unwrap(),
            nonce: [1; 16],
            issued_at: NOW,
            expires_at: NOW + HOUR,
            action: Action::Sign {
                key: key_id(),
                path: DerivationPath::root(),
                network: Some(ETHEREUM),
                payload: Payload::EvmTransaction(transfer()),
                purpose: String::new(),
            },
        };
        let signature = key("operator").sign(&intent.signing_bytes()).to_bytes();
        let mut desk = Self {
            record: record(),
            intent: SignedIntent { intent, signature },
            approvals: Vec::new(),
            roster,
            engine,
            book,
        };
        desk.approvals = ["ann", "ben", "cas"].map(|who| desk.approval(who)).to_vec();
        desk
    }

    fn approval(&self, who: &str) -> SignedApproval {
        let intent = &self.intent.intent;
        let analysis = self.analysis(intent);
        let approval = Approval {
            cluster: self.roster.cluster_id(),
            intent: intent.hash(),
            sighashes: sighashes(&self.record.public_key, &analysis.items),
            verdict: Verdict::Approve,
            policy: self.engine.bundle().hash(),
            policy_version: 1,
            display: Shown::signing(intent, &self.record, &analysis, &ChainRules::default()).hash(),
            person: PersonId::new(who).unwrap(),
            nonce: [2; 16],
            issued_at: NOW,
            expires_at: NOW + HOUR,
        };
        let proof = Proof::Ed25519 {
            key: public(who),
            signature: key(who).sign(&approval.signing_bytes()).to_bytes(),
        };
        SignedApproval { approval, proof }
    }

    fn analysis(&self, intent: &Intent) -> quorate_chain::Analysis {
        let Action::Sign {
            network, payload, ..
        } = &intent.action
        else {
            panic!("not a signing")
        };
        analyse(
            payload,
            *network,
            self.record.scheme,
            &self.record.public_key,
            false,
        )
        .unwrap()
    }

    /// From bytes to decision.
    fn check(&self, intent: &[u8]) -> Decision {
        let signed = SignedIntent::from_canonical_bytes(intent, Intent::MAX_LEN).unwrap();
        let verified = signed.verify(&self.roster, NOW).unwrap();
        let intent = verified.intent();
        let analysis = self.analysis(intent);
        let hashes = sighashes(&self.record.public_key, &analysis.items);
        let Action::Sign { payload, .. } = &intent.action else {
            panic!("not a signing")
        };
        let request = Request {
            intent: verified.hash(),
            operator: &intent.operator,
            operator_key: &self.roster.operator(&intent.operator).unwrap().key,
            act: Act::Sign {
                id: self.record.id,
                key: KeyFacts {
                    name: &self.record.name,
                    scheme: self.record.scheme,
                    curve: Curve::Secp256k1,
                },
                network: Some(ETHEREUM),
                payload,
                effects: &analysis.effects,
                sighashes: &hashes,
            },
            asked_at: NOW,
            proposed_at: NOW,
            now: NOW,
        };
        let evidence = Evidence {
            approvals: &self.approvals,
            display: Shown::signing(intent, &self.record, &analysis, &ChainRules::default()).hash(),
            frozen: &[],
            book: &Book::default(),
        };
        self.engine
            .decide(&request, &evidence, self.book.history())
            .0
    }
}

fn record() -> KeyRecord {
    // The generator of secp256k1.
    let point = hex::decode("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    let public_key = PublicKey::new(Curve::Secp256k1, &point.unwrap()).unwrap();
    KeyRecord {
        id: key_id(),
        name: KeyName::new("hot").unwrap(),
        scheme: Scheme::Ecdsa,
        public_shares: vec![public_key.clone(); 3],
        public_key,
        chain_code: Hash32::from_bytes([0; 32]),
        epoch: 0,
        threshold: Threshold::new(2, 3).unwrap(),
        committee: ["party-1", "party-2", "party-3"]
            .map(|p| PartyId::new(p).unwrap())
            .to_vec(),
        raw_signing: false,
        created_at: 0,
    }
}

fn evidence(c: &mut Criterion) {
    // `cargo test` runs benches too, with this flag missing: then there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let desk = Desk::new();
    let bytes = desk.intent.canonical_bytes();
    let decision = desk.check(&bytes);
    assert!(
        matches!(decision, Decision::Allow(ref a) if a.counted()),
        "{decision:?}"
    );
    let mut times: Vec<Duration> = (0..3000)
        .map(|_| {
            let since = Instant::now();
            black_box(desk.check(black_box(&bytes)));
            since.elapsed()
        })
        .collect();
    times.sort();
    println!("p50 {:?}, p99 {:?}", times[1500], times[2970]);
    c.bench_function("evidence", |b| b.iter(|| desk.check(black_box(&bytes))));
}

criterion_group!(benches, evidence);
criterion_main!(benches);
