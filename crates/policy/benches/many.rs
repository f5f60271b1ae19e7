//! What judging costs by how many destinations are paid at once: it grows with their number, up to
//! the most that one payload may have. The list of allowed destinations is as long.
//!
//! `cargo bench -p quorate-policy --bench many`; `docs/benchmarks-parts.md` records the results.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a benchmark stops where an assumption fails, and criterion's macros make an undocumented function"
)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::{Signer as _, SigningKey};
use quorate_chain::{AssetRef, Effects, Movement, MovementKind, U256};
use quorate_policy::{
    Act, Book, Decision, Engine, Evidence, Header, History, KeyFacts, Request, compile,
};
use quorate_types::canonical::Canonical as _;
use quorate_types::{
    AdminSignature, Admins, Curve, Hash32, IntentHash, KeyId, KeyName, Network, OperatorEntry,
    OperatorId, PartyEntry, PartyId, Payload, PersonId, Roster, Scheme, SignedBundle, Threshold,
    ValidRoster,
};

const NOW: u64 = 1_900_000_000_000;
const BITCOIN: Network = Network::Bitcoin(quorate_types::BitcoinNetwork::Mainnet);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn roster() -> ValidRoster {
    let party = |number: u8| PartyEntry {
        id: PartyId::new(&format!("party-{number}")).unwrap(),
        identity: SigningKey::from_bytes(&[number; 32])
            .verifying_key()
            .to_bytes(),
        channel: [number; 32],
    };
    Roster {
        cluster: "bench".to_owned(),
        threshold: Threshold::new(2, 3).unwrap(),
        parties: [1, 2, 3].map(party).to_vec(),
        operators: vec![OperatorEntry {
            id: OperatorId::new("operator").unwrap(),
            key: SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes(),
        }],
        admins: Admins::single(
            PersonId::new("root").unwrap(),
            key().verifying_key().to_bytes(),
        ),
    }
    .try_into()
    .unwrap()
}

fn destination(number: usize) -> String {
    format!("bc1q{number:038}")
}

/// Rules that look at every destination, at all of them, and at what each got before.
fn text() -> String {
    let listed: Vec<String> = (0..512)
        .map(|number| format!("\"{}\"", destination(number)))
        .collect();
    format!(
        "[[asset]]\nid = \"BTC\"\nnetwork = \"bitcoin\"\ndecimals = 8\n\
         [[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"BTC\"\nmax = \"1000\"\nwindow = \"24h\"\n\
         [[rule]]\nid = \"each\"\ntype = \"limit\"\nasset = \"BTC\"\nmax = \"10\"\nwindow = \"24h\"\nper = [\"destination\"]\n\
         [[rule]]\nid = \"one\"\ntype = \"limit\"\nasset = \"BTC\"\nmax = \"100\"\n\
         [[rule]]\nid = \"listed\"\ntype = \"destinations\"\nallow = [{}]\n\
         [[rule]]\nid = \"fee\"\ntype = \"fee\"\nasset = \"BTC\"\nmax = \"0.01\"\n",
        listed.join(", ")
    )
}

fn engine() -> Engine {
    let roster = roster();
    let header = Header {
        cluster: roster.cluster_id(),
        version: 1,
        previous: Hash32::from_bytes([0; 32]),
        issued_at: NOW,
        admins: roster.roster().admins.clone(),
        lifts: Vec::new(),
    };
    let bundle = compile(&text(), header).unwrap();
    let signature = key().sign(&bundle.signing_bytes()).to_bytes();
    let admin = PersonId::new("root").unwrap();
    let signed = SignedBundle {
        bundle,
        signatures: vec![AdminSignature { admin, signature }],
    };
    Engine::new(signed.follow(&roster, None).unwrap()).unwrap()
}

fn paying(destinations: usize) -> Effects {
    let movement = |number| Movement {
        asset: AssetRef::Native,
        kind: MovementKind::Transfer,
        destination: destination(number),
        amount: U256::from(10_000u32),
        own: None,
    };
    Effects {
        movements: (0..destinations).map(movement).collect(),
        fee: U256::from(20_000u32),
        ..Effects::default()
    }
}

fn decide(engine: &Engine, history: &History, effects: &Effects) -> Decision {
    let name = KeyName::new("hot").unwrap();
    let request = Request {
        intent: IntentHash::from_bytes([1; 32]),
        operator: &OperatorId::new("operator").unwrap(),
        operator_key: &[9; 32],
        act: Act::Sign {
            id: KeyId::from_bytes([1; 32]),
            key: KeyFacts {
                name: &name,
                scheme: Scheme::Ecdsa,
                curve: Curve::Secp256k1,
            },
            network: Some(BITCOIN),
            payload: &Payload::BitcoinPsbt(Vec::new()),
            effects,
            sighashes: &[Hash32::from_bytes([2; 32])],
        },
        asked_at: NOW,
        proposed_at: NOW,
        now: NOW,
    };
    let evidence = Evidence {
        approvals: &[],
        display: Hash32::from_bytes([0; 32]),
        frozen: &[],
        book: &Book::default(),
    };
    engine.decide(&request, &evidence, history).0
}

fn many(c: &mut Criterion) {
    // `cargo test` runs benches too, with this flag missing: then there is nothing to measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let engine = engine();
    let history = History::new(engine.bundle().bundle());
    let mut group = c.benchmark_group("destinations");
    for destinations in [1, 64, 128, 256, 512] {
        let effects = paying(destinations);
        let decision = decide(&engine, &history, &effects);
        assert!(matches!(decision, Decision::Allow(_)), "{decision:?}");
        group.throughput(Throughput::Elements(destinations as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(destinations),
            &effects,
            |b, effects| b.iter(|| decide(&engine, &history, black_box(effects))),
        );
    }
    group.finish();
}

criterion_group!(benches, many);
criterion_main!(benches);
