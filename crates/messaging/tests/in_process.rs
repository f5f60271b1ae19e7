//! The in-process hub enforces what the NATS server does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a failure is the result; the lints' own exception does not reach helper functions"
)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use quorate_messaging::permissions::MAX_MESSAGE;
use quorate_messaging::{InProcessHub, Permissions, Transport, TransportError};
use support::party;

const X: Bytes = Bytes::from_static(b"x");

#[tokio::test]
async fn t14_a_party_cannot_speak_as_another() {
    let hub = InProcessHub::new();
    let two = hub.connect("party-2", Permissions::party(&party(2)));
    let forged = two.publish("mpc.sign.00.broadcast.party-1".into(), X).await;
    assert!(matches!(forged, Err(TransportError::Forbidden { .. })));
    let eavesdrop = two.subscribe("mpc.*.*.party.*.*".into()).await;
    assert!(matches!(eavesdrop, Err(TransportError::Forbidden { .. })));
    assert_eq!(two.violations(), 2);
}

#[tokio::test(start_paused = true)]
async fn commands_are_answered_by_the_party_and_by_nobody_else() {
    let hub = InProcessHub::new();
    let boss = hub.connect("orchestrator", Permissions::orchestrator("orchestrator"));
    let one = hub.connect("party-1", Permissions::party(&party(1)));
    let two = hub.connect("party-2", Permissions::party(&party(2)));
    let second = Duration::from_secs(1);
    let ask = || boss.request("mpc.node.party-1".into(), X, second);
    assert!(matches!(ask().await, Err(TransportError::NoResponder(_))));

    let mut commands = one.subscribe("mpc.node.party-1".into()).await.unwrap();
    let answering = tokio::spawn(async move {
        let command = commands.next().await.unwrap();
        let reply = command.reply.unwrap();
        assert!(two.publish(reply.clone(), X).await.is_err());
        one.publish(reply, Bytes::from_static(b"answer"))
            .await
            .unwrap();
        (commands, one)
    });
    assert_eq!(ask().await.unwrap(), "answer");
    let _silent = answering.await.unwrap();
    assert!(matches!(ask().await, Err(TransportError::TimedOut { .. })));
}

#[tokio::test]
async fn t13_a_message_over_the_limit_is_refused() {
    let hub = InProcessHub::new();
    let one = hub.connect("party-1", Permissions::party(&party(1)));
    let long = one
        .publish(
            "mpc.presence.party-1".into(),
            vec![0; MAX_MESSAGE + 1].into(),
        )
        .await;
    assert!(matches!(long, Err(TransportError::TooLong { .. })));
    let wild = one.publish("mpc.presence.*".into(), X).await;
    assert!(matches!(wild, Err(TransportError::BadSubject(_))));
}

#[tokio::test]
async fn a_dropped_subscription_is_gone() {
    let hub = InProcessHub::new();
    let boss = hub.connect("orchestrator", Permissions::orchestrator("orchestrator"));
    let one = hub.connect("party-1", Permissions::party(&party(1)));
    drop(one.subscribe("mpc.node.party-1".into()).await.unwrap());
    let asked = boss
        .request("mpc.node.party-1".into(), X, Duration::from_secs(1))
        .await;
    assert!(matches!(asked, Err(TransportError::NoResponder(_))));
}
