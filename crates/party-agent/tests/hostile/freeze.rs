//! A guardian stops everything; nobody else does.

use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{Action, Curve, KeyName, Scheme};

use crate::expect::{Broken, denied, unproven};
use crate::target::{Target, nonces, prove};
use crate::weakness::{any_freeze, deaf_to_guardians};

async fn freeze_everyone(target: &Target) {
    let freeze = target.freeze("gus");
    for number in [1, 2, 3] {
        let reply = target
            .say(number, NodeRequest::Freeze(freeze.clone()))
            .await;
        assert_eq!(reply, NodeReply::Noted);
    }
}

async fn lift(target: &Target) {
    let mut next = target.next("");
    next.lifts = target.status(1).await.frozen;
    target.publish(next).await;
}

/// Prepared before, begun after; prepared after; and after a restart.
async fn attack_despite_a_freeze(target: &mut Target) -> Result<(), Broken> {
    let early = target.pay(1_000);
    let nonces = nonces(&target.prepare_at_all(&early).await).unwrap();
    freeze_everyone(target).await;
    let frozen = denied(&["frozen"]);
    let replies = target.begin_at_all(&early, &nonces).await;
    for (number, reply) in [1, 2].into_iter().zip(replies) {
        target.stays_out(number, early.hash(), &reply, &frozen)?;
    }
    for restarted in [false, true] {
        let late = target.pay(1_000);
        for number in [1, 2] {
            if restarted {
                target.restart(number).await;
            }
            let reply = target.say(number, target.prepare(&late)).await;
            target.stays_out(number, late.hash(), &reply, &frozen)?;
        }
    }
    lift(target).await;
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_stops_what_is_asked_and_what_is_prepared() {
    let mut target = Target::honest("").await;
    attack_despite_a_freeze(&mut target).await.unwrap();
    let mut weak = Target::weak("", deaf_to_guardians).await;
    attack_despite_a_freeze(&mut weak).await.unwrap_err();
}

async fn attack_with_a_new_key(target: &Target) -> Result<(), Broken> {
    freeze_everyone(target).await;
    let action = Action::CreateKey {
        name: KeyName::new("new").unwrap(),
        curve: Curve::Ed25519,
        scheme: Scheme::Eddsa,
        raw_signing: false,
    };
    let ask = target.ask(target.intent("operator", action)).by(&[1, 2, 3]);
    for number in [1, 2, 3] {
        let reply = target.say(number, target.prepare(&ask)).await;
        target.stays_out(number, ask.hash(), &reply, &denied(&["frozen"]))?;
    }
    lift(target).await;
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_stops_key_creation() {
    attack_with_a_new_key(&Target::honest("").await)
        .await
        .unwrap();
    let weak = Target::weak("", deaf_to_guardians).await;
    attack_with_a_new_key(&weak).await.unwrap_err();
}

/// Not by a guardian, in a guardian's name, for another cluster, changed, too long.
async fn attack_with_false_orders(target: &Target) -> Result<(), Broken> {
    use quorate_types::canonical::Canonical as _;
    let mut as_gus = target.freeze("gus");
    as_gus.proof = prove("ann", &as_gus.order.signing_bytes());
    let mut foreign = target.freeze("gus");
    foreign.order.cluster = quorate_types::Hash32::from_bytes([1; 32]);
    foreign.proof = prove("gus", &foreign.order.signing_bytes());
    let mut changed = target.freeze("gus");
    changed.order.reason.push('!');
    let orders = [
        target.freeze("ann"),
        target.freeze("mallory"),
        as_gus,
        foreign,
        changed,
    ];
    for order in orders {
        for number in [1, 2] {
            let reply = target.say(number, NodeRequest::Freeze(order.clone())).await;
            let expected = unproven("approval-refused");
            target.refuses(number, None, &reply, &expected)?;
            assert!(target.status(number).await.frozen.is_empty());
        }
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_guardian_freezes() {
    attack_with_false_orders(&Target::honest("").await)
        .await
        .unwrap();
    let weak = Target::weak("", any_freeze).await;
    attack_with_false_orders(&weak).await.unwrap_err();
}
