//! What a ceremony relies on, and what attackers try: the same body over the in-process hub and over a real NATS server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a failure is the result; the lints' own exception does not reach helper functions"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use quorate_messaging::control::{Control, ControlStatement};
use quorate_messaging::envelope::{SealedPayload, UnverifiedEnvelope, encode};
use quorate_messaging::{
    Event, InProcessHub, MAX_ENVELOPE, MAX_PAYLOAD, MessagingError, Misbehaviour, Refusal, Subject,
};
use quorate_types::{CeremonyKind, Equivocation, Recipient};
use rand_core::OsRng;
use support::malice::{Malice, header, unix_now};
use support::{
    Net, People, event, message, messages, nats::Server, party, session_id, spec, until,
};

macro_rules! over_both {
    ($($name:ident),* $(,)?) => {
        mod in_process {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(Net::InProcess(InProcessHub::new())).await;
            })*
        }
        mod nats {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(Net::Nats(Box::new(Server::start(3)))).await;
            })*
        }
    };
}

over_both!(
    three_parties_exchange_broadcasts_and_direct_messages,
    what_came_before_the_session_was_opened_is_delivered,
    the_largest_payload_passes,
    an_abort_reaches_everyone_with_its_evidence,
    a_closed_session_still_serves_a_slower_peer,
    a_restarted_peer_shakes_hands_again,
    t05_an_envelope_of_another_session_is_refused,
    t06_equivocation_is_proved,
    t06_different_keys_under_one_commitment_are_refused,
    t13_an_oversized_envelope_is_refused_before_it_is_decoded,
    t14_a_forged_envelope_is_refused_and_counted,
    t14_a_party_outside_the_session_is_refused,
    t14_a_forged_or_misplaced_abort_is_refused,
    t15_a_replayed_envelope_is_delivered_once,
    t15_a_stale_envelope_is_refused,
    t23_the_network_sees_no_payload,
);

async fn three_parties_exchange_broadcasts_and_direct_messages(net: Net) {
    let people = People::new(3);
    let id = session_id();
    let mut parties = Vec::new();
    for n in 1..=3 {
        parties.push(net.messenger(&people, n).await);
    }
    let open =
        |m: &Arc<quorate_messaging::Messenger>| m.open_session(spec(id, &[1, 2, 3])).unwrap();
    let sessions: Vec<_> = parties.iter().map(open).collect();
    for (n, session) in (1..).zip(&sessions) {
        let payload = format!("all from {n}").into_bytes();
        session.send(Recipient::Everyone, 1, payload).await.unwrap();
        for to in (1..=3).filter(|to| *to != n) {
            let payload = format!("{to} from {n}").into_bytes();
            let to = Recipient::Party(party(to));
            session.send(to, 2, payload).await.unwrap();
        }
    }
    for (n, session) in (1..).zip(&sessions) {
        let mut expected = Vec::new();
        for from in (1..=3).filter(|from| *from != n) {
            let direct = format!("{n} from {from}").into_bytes();
            expected.push((party(from), false, direct));
            expected.push((party(from), true, format!("all from {from}").into_bytes()));
        }
        assert_eq!(messages(session, 4).await, expected);
    }
    for messenger in &parties {
        for reason in Refusal::ALL.iter().filter(|r| !r.is_routine()) {
            assert_eq!(messenger.counters().refused(*reason), 0, "{reason:?}");
        }
    }
    let again = parties[0].open_session(spec(id, &[1, 2, 3]));
    assert!(matches!(again, Err(MessagingError::SessionReused(_))));
}

async fn what_came_before_the_session_was_opened_is_delivered(net: Net) {
    let people = People::new(3);
    let (one, two) = (
        net.messenger(&people, 1).await,
        net.messenger(&people, 2).await,
    );
    let warm = session_id();
    let a = one.open_session(spec(warm, &[1, 2])).unwrap();
    let b = two.open_session(spec(warm, &[1, 2])).unwrap();
    a.send(Recipient::Everyone, 1, b"warm".to_vec())
        .await
        .unwrap();
    message(&b).await;

    let id = session_id();
    let a = one.open_session(spec(id, &[1, 2])).unwrap();
    for n in 0..10u8 {
        a.send(Recipient::Everyone, 1, vec![n]).await.unwrap();
    }
    let b = two.open_session(spec(id, &[1, 2])).unwrap();
    let got: BTreeSet<_> = messages(&b, 10).await.into_iter().map(|m| m.2).collect();
    assert_eq!(got, (0..10u8).map(|n| vec![n]).collect());
}

async fn the_largest_payload_passes(net: Net) {
    let people = People::new(3);
    let (one, two) = (
        net.messenger(&people, 1).await,
        net.messenger(&people, 2).await,
    );
    let id = session_id();
    let a = one.open_session(spec(id, &[1, 2])).unwrap();
    let b = two.open_session(spec(id, &[1, 2])).unwrap();
    let payload = vec![5; MAX_PAYLOAD];
    a.send(Recipient::Party(party(2)), 1, payload.clone())
        .await
        .unwrap();
    assert!(message(&b).await.payload.as_slice() == payload);
    let too_long = a
        .send(Recipient::Everyone, 1, vec![0; MAX_PAYLOAD + 1])
        .await;
    assert!(matches!(too_long, Err(MessagingError::Seal(_))));
    let stranger = a.send(Recipient::Party(party(3)), 1, vec![0]).await;
    assert!(matches!(
        stranger,
        Err(MessagingError::NotParticipant { .. })
    ));
}

async fn an_abort_reaches_everyone_with_its_evidence(net: Net) {
    let people = People::new(3);
    let (one, two) = (
        net.messenger(&people, 1).await,
        net.messenger(&people, 2).await,
    );
    let id = session_id();
    let a = one.open_session(spec(id, &[1, 2])).unwrap();
    let b = two.open_session(spec(id, &[1, 2])).unwrap();
    a.send(Recipient::Everyone, 1, b"x".to_vec()).await.unwrap();
    let statement = message(&b).await.statement;
    b.abort("x is not what it should be", vec![statement.clone()])
        .await;
    b.close();
    let Event::Abort {
        from,
        reason,
        evidence,
    } = event(&a).await
    else {
        panic!("expected the abort");
    };
    assert_eq!(
        (from, reason.as_str(), evidence),
        (party(2), "x is not what it should be", vec![statement])
    );
}

async fn a_closed_session_still_serves_a_slower_peer(net: Net) {
    let people = People::new(3);
    let one = net.messenger(&people, 1).await;
    let id = session_id();
    let a = one.open_session(spec(id, &[1, 2])).unwrap();
    a.send(Recipient::Everyone, 1, b"early".to_vec())
        .await
        .unwrap();
    a.close();
    let two = net.messenger(&people, 2).await;
    let b = two.open_session(spec(id, &[1, 2])).unwrap();
    assert_eq!(message(&b).await.payload.as_slice(), b"early");
}

async fn a_restarted_peer_shakes_hands_again(net: Net) {
    let people = People::new(3);
    let one = net.messenger(&people, 1).await;
    for restart in 0..3u8 {
        let two = net.messenger(&people, 2).await;
        let id = session_id();
        let a = one.open_session(spec(id, &[1, 2])).unwrap();
        let b = two.open_session(spec(id, &[1, 2])).unwrap();
        a.send(Recipient::Everyone, 1, vec![restart]).await.unwrap();
        let to = Recipient::Party(party(1));
        b.send(to, 1, vec![restart + 10]).await.unwrap();
        assert_eq!(message(&b).await.payload.as_slice(), [restart]);
        assert_eq!(message(&a).await.payload.as_slice(), [restart + 10]);
    }
    assert!(one.counters().handshakes() >= 3);
}

async fn t05_an_envelope_of_another_session_is_refused(net: Net) {
    let people = People::new(3);
    let two = net.messenger(&people, 2).await;
    let mut malice = Malice::new(&people, 1, net.transport(1).await).await;
    let (first, second) = (session_id(), session_id());
    let _a = two.open_session(spec(first, &[1, 2, 3])).unwrap();
    let b = two.open_session(spec(second, &[1, 2, 3])).unwrap();
    malice.connect(&[2]).await;

    let sealed = malice.seal(first, 0, b"for the first");
    let wrap = malice.wrap(2, sealed.key().as_bytes());
    let envelope = sealed.envelope(&malice.keys, &[wrap]).unwrap();
    malice.broadcast(second, envelope.clone()).await;
    until("refused by subject", || {
        two.counters().refused(Refusal::SubjectMismatch) == 1
    })
    .await;

    let mut moved = UnverifiedEnvelope::decode(envelope).unwrap();
    moved.signed.statement.session = second;
    let bytes = encode(&moved.signed, moved.body);
    malice.broadcast(second, bytes).await;
    until("refused by signature", || {
        two.counters().refused(Refusal::ForgedSignature) == 1
    })
    .await;

    // Signed for the second session, sealed for the first.
    moved = UnverifiedEnvelope::decode(sealed.envelope(&malice.keys, &[]).unwrap()).unwrap();
    let wrap = malice.wrap(2, sealed.key().as_bytes());
    let body = UnverifiedEnvelope::decode(sealed.envelope(&malice.keys, &[wrap]).unwrap())
        .unwrap()
        .body;
    moved.signed.statement.session = second;
    moved.signed.statement.body = quorate_types::Hash32::from_bytes(sha256(&body));
    let signed = malice.keys.sign_statement(moved.signed.statement).unwrap();
    malice.broadcast(second, encode(&signed, body)).await;
    let Event::Misbehaviour { party: who, what } = event(&b).await else {
        panic!("expected misbehaviour");
    };
    assert_eq!(who, party(1));
    assert!(matches!(what, Misbehaviour::CannotOpen(s) if s.statement.session == second));
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

async fn t06_equivocation_is_proved(net: Net) {
    let people = People::new(3);
    let (two, three) = (
        net.messenger(&people, 2).await,
        net.messenger(&people, 3).await,
    );
    let mut malice = Malice::new(&people, 1, net.transport(1).await).await;
    let id = session_id();
    let b = two.open_session(spec(id, &[1, 2, 3])).unwrap();
    let c = three.open_session(spec(id, &[1, 2, 3])).unwrap();
    malice.connect(&[2, 3]).await;

    let mut envelopes = Vec::new();
    for (to, payload) in [(2, b"heads"), (3, b"tails")] {
        let sealed = malice.seal(id, 0, payload);
        let wrap = malice.wrap(to, sealed.key().as_bytes());
        let envelope = sealed.envelope(&malice.keys, &[wrap]).unwrap();
        malice.direct(to, id, envelope.clone()).await;
        envelopes.push(envelope);
    }
    let (ours, theirs) = (message(&b).await, message(&c).await);
    assert!(ours.broadcast && theirs.broadcast);
    assert_ne!(ours.payload, theirs.payload);
    let proof = Equivocation::find(&people.roster, &[ours.statement], &[theirs.statement]).unwrap();
    assert_eq!(proof.culprit(), &party(1));
    assert!(proof.verify(&people.roster));

    // One recipient that sees both has the proof at once.
    malice.broadcast(id, envelopes.remove(1)).await;
    let Event::Misbehaviour {
        what: Misbehaviour::Equivocation(proof),
        ..
    } = event(&b).await
    else {
        panic!("expected the proof");
    };
    assert!(proof.verify(&people.roster));
}

async fn t06_different_keys_under_one_commitment_are_refused(net: Net) {
    let people = People::new(3);
    let (two, three) = (
        net.messenger(&people, 2).await,
        net.messenger(&people, 3).await,
    );
    let mut malice = Malice::new(&people, 1, net.transport(1).await).await;
    let id = session_id();
    let b = two.open_session(spec(id, &[1, 2, 3])).unwrap();
    let c = three.open_session(spec(id, &[1, 2, 3])).unwrap();
    malice.connect(&[2, 3]).await;
    let sealed = malice.seal(id, 0, b"heads");
    let wraps = [
        malice.wrap(2, sealed.key().as_bytes()),
        malice.wrap(3, &[0; 32]),
    ];
    malice
        .broadcast(id, sealed.envelope(&malice.keys, &wraps).unwrap())
        .await;
    assert_eq!(message(&b).await.payload.as_slice(), b"heads");
    let Event::Misbehaviour { party: who, what } = event(&c).await else {
        panic!("expected misbehaviour");
    };
    assert_eq!(who, party(1));
    assert!(matches!(what, Misbehaviour::CannotOpen(_)));
    until("refused", || {
        three.counters().refused(Refusal::CannotOpen) == 1
    })
    .await;
}

async fn t13_an_oversized_envelope_is_refused_before_it_is_decoded(net: Net) {
    let people = People::new(3);
    let two = net.messenger(&people, 2).await;
    let malice = Malice::new(&people, 1, net.transport(1).await).await;
    let id = session_id();
    let _b = two.open_session(spec(id, &[1, 2])).unwrap();
    malice
        .broadcast(id, vec![0xff; MAX_ENVELOPE + 1].into())
        .await;
    until("refused", || two.counters().refused(Refusal::Oversize) == 1).await;
    malice.broadcast(id, vec![0xff; MAX_ENVELOPE].into()).await;
    until("refused", || {
        two.counters().refused(Refusal::Undecodable) == 1
    })
    .await;
}

async fn t14_a_forged_envelope_is_refused_and_counted(net: Net) {
    let people = People::new(3);
    let three = net.messenger(&people, 3).await;
    let malice = Malice::new(&people, 2, net.transport(2).await).await;
    let id = session_id();
    let _c = three.open_session(spec(id, &[1, 2, 3])).unwrap();

    // Party 2's own subject, party 1 in the envelope, with and without party 1's name on the subject.
    let as_one = SealedPayload::seal(header(1, id, 0), b"forged", &mut OsRng).unwrap();
    let envelope = as_one.envelope(&malice.keys, &[]).unwrap();
    malice.broadcast(id, envelope.clone()).await;
    until("mismatch", || {
        three.counters().refused(Refusal::SubjectMismatch) == 1
    })
    .await;
    let subject = Subject::Broadcast {
        kind: CeremonyKind::Sign,
        session: id,
        sender: party(1),
    };
    let wire = net.wiretap().await;
    wire.publish(subject.to_string(), envelope).await.unwrap();
    until("forged", || {
        three.counters().refused(Refusal::ForgedSignature) == 1
    })
    .await;

    // Someone who is in no roster.
    let mut stranger = header(1, id, 0);
    stranger.sender = party(9);
    let stranger = SealedPayload::seal(stranger, b"forged", &mut OsRng).unwrap();
    let subject = Subject::Broadcast {
        kind: CeremonyKind::Sign,
        session: id,
        sender: party(9),
    };
    let envelope = stranger.envelope(&malice.keys, &[]).unwrap();
    wire.publish(subject.to_string(), envelope).await.unwrap();
    until("not a participant", || {
        three.counters().refused(Refusal::NotParticipant) == 1
    })
    .await;

    let junk = Bytes::from_static(b"junk");
    let subject = "mpc.link.party-3.party-1".to_owned();
    wire.publish(subject, junk).await.unwrap();
    until("undecodable", || {
        three.counters().refused(Refusal::Undecodable) == 1
    })
    .await;
    assert_eq!(three.counters().received(), 0);
}

async fn t14_a_party_outside_the_session_is_refused(net: Net) {
    let people = People::new(3);
    let two = net.messenger(&people, 2).await;
    let mut malice = Malice::new(&people, 3, net.transport(3).await).await;
    let id = session_id();
    let _b = two.open_session(spec(id, &[1, 2])).unwrap();
    malice.connect(&[2]).await;
    let sealed = malice.seal(id, 0, b"let me in");
    let wrap = malice.wrap(2, sealed.key().as_bytes());
    malice
        .broadcast(id, sealed.envelope(&malice.keys, &[wrap]).unwrap())
        .await;
    until("refused", || {
        two.counters().refused(Refusal::NotParticipant) == 1
    })
    .await;
}

async fn t14_a_forged_or_misplaced_abort_is_refused(net: Net) {
    let people = People::new(3);
    let two = net.messenger(&people, 2).await;
    let (id, other) = (session_id(), session_id());
    let b = two.open_session(spec(id, &[1, 2])).unwrap();
    let c = two.open_session(spec(other, &[1, 2, 3])).unwrap();
    let wire = net.wiretap().await;
    let abort = |sender: usize, session, signer: usize, age: u64| {
        let statement = ControlStatement {
            session,
            kind: CeremonyKind::Sign,
            sender: party(sender),
            timestamp: unix_now() - age,
            control: Control::Abort {
                reason: "give up".into(),
                evidence: Vec::new(),
            },
        };
        statement
            .sign(&people.keys(signer), &people.roster)
            .unwrap()
    };
    let subject = |sender: usize, session| {
        let (kind, sender) = (CeremonyKind::Sign, party(sender));
        let subject = Subject::Control {
            kind,
            session,
            sender,
        };
        subject.to_string()
    };
    let cases = [
        (abort(1, id, 3, 0), 1, Refusal::ForgedSignature),
        (abort(3, id, 3, 0), 3, Refusal::NotParticipant),
        (abort(3, id, 3, 0), 1, Refusal::SubjectMismatch),
        (abort(1, id, 1, 61_000), 1, Refusal::StaleTimestamp),
        (vec![0xff; 70_000].into(), 1, Refusal::Oversize),
    ];
    for (payload, sender, refusal) in cases {
        wire.publish(subject(sender, id), payload).await.unwrap();
        until("refused", || two.counters().refused(refusal) == 1).await;
    }
    let genuine = abort(1, other, 1, 0);
    wire.publish(subject(1, id), genuine.clone()).await.unwrap();
    until("refused", || {
        two.counters().refused(Refusal::SubjectMismatch) == 2
    })
    .await;
    wire.publish(subject(1, other), genuine).await.unwrap();
    assert!(matches!(event(&c).await, Event::Abort { from, .. } if from == party(1)));
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(1), b.recv()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

async fn t15_a_replayed_envelope_is_delivered_once(net: Net) {
    let people = People::new(3);
    let (one, two) = (
        net.messenger(&people, 1).await,
        net.messenger(&people, 2).await,
    );
    let wire = net.wiretap().await;
    let mut tap = wire.subscribe("mpc.>".into()).await.unwrap();
    let id = session_id();
    let a = one.open_session(spec(id, &[1, 2])).unwrap();
    let b = two.open_session(spec(id, &[1, 2])).unwrap();
    a.send(Recipient::Party(party(2)), 1, b"once".to_vec())
        .await
        .unwrap();
    assert_eq!(message(&b).await.payload.as_slice(), b"once");
    let copy = loop {
        let delivery = tap.next().await.unwrap();
        if delivery.subject.contains(".party.party-2.party-1") {
            break delivery;
        }
    };
    let before = two.counters().refused(Refusal::Replay);
    for _ in 0..3 {
        wire.publish(copy.subject.clone(), copy.payload.clone())
            .await
            .unwrap();
    }
    until("replays refused", || {
        two.counters().refused(Refusal::Replay) >= before + 3
    })
    .await;
    a.send(Recipient::Party(party(2)), 1, b"twice".to_vec())
        .await
        .unwrap();
    assert_eq!(message(&b).await.payload.as_slice(), b"twice");
    b.close();
    wire.publish(copy.subject, copy.payload).await.unwrap();
    until("session over", || {
        two.counters().refused(Refusal::SessionOver) >= 1
    })
    .await;
    assert_eq!(two.counters().received(), 2);
}

async fn t15_a_stale_envelope_is_refused(net: Net) {
    let people = People::new(3);
    let two = net.messenger(&people, 2).await;
    let malice = Malice::new(&people, 1, net.transport(1).await).await;
    let id = session_id();
    let _b = two.open_session(spec(id, &[1, 2])).unwrap();
    for (count, shift) in [(1, -601_000), (2, 61_000)] {
        let mut place = header(1, id, 0);
        place.timestamp = place.timestamp.checked_add_signed(shift).unwrap();
        let sealed = SealedPayload::seal(place, b"old", &mut OsRng).unwrap();
        malice
            .broadcast(id, sealed.envelope(&malice.keys, &[]).unwrap())
            .await;
        until("stale", || {
            two.counters().refused(Refusal::StaleTimestamp) == count
        })
        .await;
    }
}

async fn t23_the_network_sees_no_payload(net: Net) {
    const CANARY: &[u8] = b"canary-canary-canary-canary";
    let people = People::new(3);
    let (one, two) = (
        net.messenger(&people, 1).await,
        net.messenger(&people, 2).await,
    );
    let mut tap = net.wiretap().await.subscribe("mpc.>".into()).await.unwrap();
    let id = session_id();
    let a = one.open_session(spec(id, &[1, 2])).unwrap();
    let b = two.open_session(spec(id, &[1, 2])).unwrap();
    a.send(Recipient::Everyone, 1, CANARY.to_vec())
        .await
        .unwrap();
    a.send(Recipient::Party(party(2)), 1, CANARY.to_vec())
        .await
        .unwrap();
    for _ in 0..2 {
        let received = message(&b).await;
        assert_eq!(received.payload.as_slice(), CANARY);
        assert!(!format!("{received:?}").contains("canary"));
    }
    let mut seen = 0;
    while seen < 2 {
        let delivery = tap.next().await.unwrap();
        let hit = delivery.payload.windows(6).any(|w| w == b"canary");
        assert!(!hit, "{}", delivery.subject);
        seen += usize::from(
            delivery.subject.ends_with("party-2.party-1") && delivery.subject.contains(".party."),
        );
    }
}
