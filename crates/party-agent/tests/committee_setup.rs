//! A hostile custodian in the committee setup of real agents, at the production level.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where an assumption fails"
)]

#[allow(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use quorate_mpc_protocol::{Outcome, Seat};
use quorate_party_agent::driver::{Drive, Participants, SessionFailure};
use quorate_party_agent::pool::Priority;
use quorate_storage::{ItemKind, ItemName};
use quorate_testkit::moduli::{CarelessProduction, Modulus};
use quorate_testkit::primes;
use quorate_testkit::sim::ceremony_rng;
use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{Action, CeremonyKind, Hash32, SessionDescriptor, SignedIntent};
use support::{Committee, party};

/// The cheat's seat; its number is one more.
const CHEAT: u16 = 1;

/// Puts primes into an agent's stock.
async fn stock(committee: &mut Committee, number: usize) {
    let store = Arc::clone(&committee.homes[number - 1].store);
    let seat = u16::try_from(number - 1).unwrap();
    for (id, prime) in (0u8..).zip(primes::full_list(seat)) {
        let name = ItemName {
            kind: ItemKind::Prime,
            id: Hash32::from_bytes([id; 32]),
            epoch: 0,
        };
        store.put(name, prime.as_secret_bytes()).unwrap();
    }
    committee.restart(number).await;
}

fn session(committee: &Committee, intent: &SignedIntent, nonces: &[[u8; 32]]) -> SessionDescriptor {
    SessionDescriptor {
        kind: CeremonyKind::Aux,
        intent: intent.intent.hash(),
        policy: committee.policy_hash(),
        key: None,
        epoch: 0,
        participants: committee.everyone(),
        attempt: 0,
        item: 0,
        nonces: nonces.to_vec(),
        protocol: None,
    }
}

/// Plays the cheat's part with this modulus.
async fn take_part(
    committee: &Committee,
    session: &SessionDescriptor,
    modulus: Modulus,
) -> Result<Outcome, SessionFailure> {
    let drive = Drive {
        roster: Arc::clone(&committee.roster),
        participants: Participants {
            parties: session.participants.clone(),
            me: CHEAT,
        },
        round_timeout: Duration::from_secs(600),
        priority: Priority::Online,
        online: Default::default(),
        watch: None,
    };
    let messenger = committee.messenger(usize::from(CHEAT) + 1).await;
    let end = messenger.open_session(session.into()).unwrap();
    let parties = u16::try_from(session.participants.len()).unwrap();
    let seat = Seat::new(session.session_id(), CHEAT, parties).unwrap();
    let [_, _, third, fourth] = <[_; 4]>::try_from(primes::full_list(CHEAT)).unwrap();
    let start = move || {
        let rng = ceremony_rng(1, CHEAT);
        modulus.setup_by_library::<CarelessProduction>(&seat, [third, fourth], rng)
    };
    drive.run(end, "cheat".to_owned(), start).await
}

/// The modulus has a prime factor of 200 bits, and is otherwise all that it should be: two primes,
/// each 3 modulo 4, with as many bits as the level asks for. Everything true of it is proved, and
/// every message is what its sender committed to. In May 2026 a network lost about 10.7 million
/// dollars to one party whose malformed modulus was admitted at key generation.
#[tokio::test(flavor = "multi_thread")]
async fn t01_an_agent_stores_and_attests_nothing_of_a_setup_with_a_malformed_modulus() {
    let mut committee = Committee::new(2, 2, 1).await;
    // The cheat computes at background priority, beside other tests.
    committee.setup_seconds = 600;
    stock(&mut committee, 1).await;
    let intent = committee.intent(Action::SetUpCommittee);
    let own = committee
        .prepare(&intent, &committee.everyone(), &[1])
        .await;
    let nonces = [own[0], [2; 32]];
    let session = session(&committee, &intent, &nonces);
    let [small, large] = primes::lopsided();
    let modulus = Modulus::of_two([&small, &large]);

    let (replies, _) = futures::join!(
        committee.begin(&intent, &nonces, &[1]),
        take_part(&committee, &session, modulus)
    );
    committee.agents[0].stop();
    let [NodeReply::Failed(failure)] = replies.as_slice() else {
        panic!("a setup with this modulus came to an end: {replies:?}");
    };
    assert_eq!(failure.code.as_str(), "failed-check", "{failure}");
    assert_eq!(failure.culprits, [party(2)]);
    let reason = "provided invalid proof for Rfac";
    assert!(failure.reason.contains(reason), "{failure}");

    let home = &committee.homes[0];
    assert_eq!(home.store.list(ItemKind::Aux).unwrap(), []);
    for record in ["committee", "pending-committee/"] {
        assert_eq!(home.ledger.records(record).unwrap(), []);
    }
    let NodeReply::Status(status) = committee.ask(1, NodeRequest::Status).await else {
        panic!("no status");
    };
    assert_eq!(status.committee, None);
}
