//! What the real NATS server refuses, and what survives its restart.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a failure is the result; the lints' own exception does not reach helper functions"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use quorate_messaging::{NatsTransport, Transport, TransportError};
use quorate_types::Recipient;
use support::nats::{Authority, Server};
use support::{Net, People, messages, party, session_id, spec, until};

const X: Bytes = Bytes::from_static(b"x");

#[tokio::test]
async fn t14_strangers_are_refused_by_the_server() {
    let server = Server::start(3);
    let dir = tempfile::tempdir().unwrap();

    let (cert, key) = Authority::new().issue_client(dir.path(), "party-1");
    let options = server.options("party-1", &cert, &key);
    let other_authority = NatsTransport::connect(options).await;
    assert!(
        matches!(other_authority, Err(TransportError::Refused { .. })),
        "{other_authority:?}"
    );

    let unknown_user = server.connect("party-9").await;
    assert!(
        matches!(unknown_user, Err(TransportError::Refused { .. })),
        "{unknown_user:?}"
    );

    let absent = dir.path().join("absent.pem");
    let no_file = NatsTransport::connect(server.options("party-1", &absent, &key)).await;
    assert!(matches!(no_file, Err(TransportError::TlsFile { .. })));

    // The right files still get in.
    server.connect("party-1").await.unwrap();
}

#[tokio::test]
async fn t14_a_server_of_another_authority_is_not_trusted() {
    let (server, other) = (Server::start(1), Server::start(1));
    let (cert, key) = server.authority.issue_client(server.dir.path(), "party-1");
    let mut options = server.options("party-1", &cert, &key);
    options.ca_file = other.dir.path().join("ca.pem");
    let untrusted = NatsTransport::connect(options).await;
    assert!(
        matches!(untrusted, Err(TransportError::Refused { .. })),
        "{untrusted:?}"
    );
}

#[tokio::test]
async fn t14_the_server_refuses_a_subject_of_another_sender() {
    let server = Server::start(3);
    let tap = server.connect(support::nats::WIRETAP).await.unwrap();
    let mut heard = tap.subscribe("mpc.>".into()).await.unwrap();
    let two = server.connect("party-2").await.unwrap();
    let subjects = [
        "mpc.sign.00.broadcast.party-1",
        "mpc.sign.00.control.party-1",
        "mpc.sign.00.party.party-3.party-1",
        "mpc.link.party-3.party-1",
        "mpc.presence.party-1",
        "mpc.node.party-1",
    ];
    for (n, subject) in (1..).zip(subjects) {
        two.publish(subject.into(), X).await.unwrap();
        until("violation seen", || two.violations() == n).await;
    }
    for (n, pattern) in (7..).zip([">", "mpc.*.*.party.*.*", "_INBOX_party-1.>"]) {
        let _none = two.subscribe(pattern.into()).await.unwrap();
        until("violation seen", || two.violations() == n).await;
    }
    two.publish("mpc.sign.00.broadcast.party-2".into(), X)
        .await
        .unwrap();
    let first = heard.next().await.unwrap();
    assert_eq!(first.subject, "mpc.sign.00.broadcast.party-2");
}

#[tokio::test]
async fn t13_the_server_limits_a_message() {
    let server = Server::start(1);
    let one = server.connect("party-1").await.unwrap();
    let long = vec![0; quorate_messaging::permissions::MAX_MESSAGE + 1];
    let sent = one
        .publish("mpc.presence.party-1".into(), long.into())
        .await;
    assert!(matches!(sent, Err(TransportError::TooLong { .. })));
}

#[tokio::test]
async fn commands_are_answered_over_the_private_inbox() {
    let server = Server::start(2);
    let boss = server.connect("orchestrator").await.unwrap();
    let one = server.connect("party-1").await.unwrap();
    let (second, node) = (Duration::from_secs(5), "mpc.node.party-1");
    let nobody = boss.request(node.into(), X, second).await;
    assert!(matches!(nobody, Err(TransportError::NoResponder(_))));
    let mut commands = one.subscribe(node.into()).await.unwrap();
    let answering = tokio::spawn(async move {
        let command = commands.next().await.unwrap();
        let reply = command.reply.unwrap();
        assert!(reply.starts_with("_INBOX_orchestrator."), "{reply}");
        one.publish(reply, Bytes::from_static(b"answer"))
            .await
            .unwrap();
        one
    });
    let answer = boss.request(node.into(), X, second).await.unwrap();
    assert_eq!(answer, "answer");
    let one = answering.await.unwrap();
    let short = Duration::from_millis(200);
    let upwards = one.request("mpc.node.party-2".into(), X, short).await;
    assert!(upwards.is_err());
    until("violation seen", || one.violations() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t26_what_was_sent_while_nats_restarted_arrives() {
    let people = People::new(3);
    let mut net = Net::Nats(Box::new(Server::start(3)));
    let mut parties = Vec::new();
    for n in 1..=3 {
        parties.push(net.messenger(&people, n).await);
    }
    let id = session_id();
    let open = |m: &std::sync::Arc<quorate_messaging::Messenger>| {
        m.open_session(spec(id, &[1, 2, 3])).unwrap()
    };
    let sessions: Vec<_> = parties.iter().map(open).collect();
    for session in &sessions {
        let payload = b"before".to_vec();
        session.send(Recipient::Everyone, 1, payload).await.unwrap();
    }
    for session in &sessions {
        messages(session, 2).await;
    }
    let Net::Nats(server) = &mut net else {
        unreachable!()
    };
    server.stop();
    for session in &sessions {
        for n in 0..20u8 {
            session.send(Recipient::Everyone, 2, vec![n]).await.unwrap();
        }
    }
    server.start_again();
    for (me, session) in (1..).zip(&sessions) {
        let got = messages(session, 40).await;
        let distinct: BTreeSet<_> = got.iter().cloned().collect();
        assert_eq!((got.len(), distinct.len()), (40, 40));
        assert!(got.iter().all(|(from, ..)| *from != party(me)));
    }
}
