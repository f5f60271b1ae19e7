//! Over a wire that loses, doubles and reorders, every message arrives exactly once. Time is simulated.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a failure is the result; the lints' own exception does not reach helper functions"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_messaging::{Event, InProcessHub, Messenger, Permissions, Session, Transport};
use quorate_types::{PartyId, Recipient};
use support::lossy::Lossy;
use support::{People, messages, party, session_id, spec};

const ROUNDS: u16 = 8;

async fn messenger(people: &People, hub: &InProcessHub, n: usize, seed: u64) -> Arc<Messenger> {
    let inner = hub.connect(party(n).as_str(), Permissions::party(&party(n)));
    let wire = Lossy::new(inner, seed.wrapping_mul(100) + n as u64);
    people.messenger(n, wire as Arc<dyn Transport>).await
}

/// Sends to everyone and to each one in every round, and returns all that it received, each with how often.
async fn take_part(session: Session, me: usize, n: usize) -> BTreeMap<(PartyId, Vec<u8>), u32> {
    for round in 1..=ROUNDS {
        let all = format!("all {round}").into_bytes();
        session.send(Recipient::Everyone, round, all).await.unwrap();
        for to in (1..=n).filter(|to| *to != me) {
            let text = format!("to {to} {round}").into_bytes();
            let to = Recipient::Party(party(to));
            session.send(to, round, text).await.unwrap();
        }
    }
    let mut got = BTreeMap::new();
    for (from, _, payload) in messages(&session, usize::from(ROUNDS) * 2 * (n - 1)).await {
        *got.entry((from, payload)).or_insert(0) += 1;
    }
    let more = tokio::time::timeout(std::time::Duration::from_secs(5), session.recv()).await;
    assert!(more.is_err(), "party {me} got more than was sent: {more:?}");
    got
}

fn expected(me: usize, n: usize) -> BTreeMap<(PartyId, Vec<u8>), u32> {
    let mut all = BTreeMap::new();
    for from in (1..=n).filter(|from| *from != me) {
        for round in 1..=ROUNDS {
            all.insert((party(from), format!("all {round}").into_bytes()), 1);
            all.insert((party(from), format!("to {me} {round}").into_bytes()), 1);
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn t26_every_message_arrives_exactly_once_over_a_lossy_wire() {
    for seed in 0..12 {
        let (people, hub, id, n) = (People::new(3), InProcessHub::new(), session_id(), 3);
        let mut running = Vec::new();
        let mut messengers = Vec::new();
        for me in 1..=n {
            let messenger = messenger(&people, &hub, me, seed).await;
            let session = messenger.open_session(spec(id, &[1, 2, 3])).unwrap();
            running.push(tokio::spawn(take_part(session, me, n)));
            messengers.push(messenger);
        }
        for (me, task) in (1..).zip(running) {
            assert_eq!(task.await.unwrap(), expected(me, n), "seed {seed}");
        }
        let resent: u64 = messengers.iter().map(|m| m.counters().resent()).sum();
        assert!(resent > 0, "seed {seed}: nothing was lost");
    }
}

#[tokio::test(start_paused = true)]
async fn t26_an_abort_that_was_lost_comes_when_the_peer_asks() {
    for seed in 0..20 {
        let (people, hub, id) = (People::new(3), InProcessHub::new(), session_id());
        let one = messenger(&people, &hub, 1, seed).await;
        let two = messenger(&people, &hub, 2, seed).await;
        let a = one.open_session(spec(id, &[1, 2])).unwrap();
        let b = two.open_session(spec(id, &[1, 2])).unwrap();
        a.abort("enough", Vec::new()).await;
        a.close();
        let event = support::event(&b).await;
        assert!(matches!(event, Event::Abort { .. }), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_session_asks_less_and_less_often() {
    let (people, hub, id) = (People::new(3), InProcessHub::new(), session_id());
    let tap = hub.connect("tap", support::all());
    let mut tap = tap.subscribe("mpc.*.*.control.*".into()).await.unwrap();
    let one = people
        .messenger(
            1,
            hub.connect("party-1", Permissions::party(&party(1))) as Arc<dyn Transport>,
        )
        .await;
    let a = one.open_session(spec(id, &[1, 2])).unwrap();
    let opened = tokio::time::Instant::now();
    let waiting = tokio::spawn(async move { a.recv().await });
    let mut asked = Vec::new();
    for _ in 0..6 {
        tap.next().await.unwrap();
        asked.push(opened.elapsed().as_millis());
    }
    waiting.abort();
    let pauses: Vec<_> = asked.windows(2).map(|w| w[1] - w[0]).collect();
    let expected = [500, 1000, 2000, 2000, 2000];
    let near = |(got, want): (&u128, &u128)| got.abs_diff(*want) <= 5;
    assert!(asked[0].abs_diff(250) <= 5, "{asked:?}");
    assert!(pauses.iter().zip(&expected).all(near), "{pauses:?}");
}
