//! A guardian stops everything; nobody else does.

use quorate_types::canonical::Canonical as _;
use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{Action, Curve, FreezeOrder, Hash32, KeyName, Protocol, Scheme, SignedFreeze};

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
            let reply = target.asked(number, &late).await;
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
    holds!(&mut target, attack_despite_a_freeze);
    let mut weak = Target::weak("", deaf_to_guardians).await;
    breaks!(&mut weak, attack_despite_a_freeze);
}

async fn attack_with_a_new_key_or_protocol(target: &Target) -> Result<(), Broken> {
    let hot = target.committee.active_key("hot", Curve::Secp256k1).await;
    freeze_everyone(target).await;
    let new_key = Action::CreateKey {
        name: KeyName::new("new").unwrap(),
        curve: Curve::Ed25519,
        scheme: Scheme::Eddsa,
        raw_signing: false,
    };
    let new_protocol = Action::SetProtocol {
        key: hot.id,
        protocol: Protocol::Dkls23,
        renew: false,
    };
    for action in [new_key, new_protocol] {
        let ask = target.ask(target.intent("operator", action)).by(&[1, 2, 3]);
        for number in [1, 2, 3] {
            let reply = target.asked(number, &ask).await;
            target.stays_out(number, ask.hash(), &reply, &denied(&["frozen"]))?;
        }
    }
    lift(target).await;
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_stops_key_creation_and_changes_of_protocol() {
    let target = Target::honest("").await;
    attack_with_a_new_key_or_protocol(&target).await.unwrap();
    let weak = Target::weak("", deaf_to_guardians).await;
    attack_with_a_new_key_or_protocol(&weak).await.unwrap_err();
}

type Order = fn(&Target) -> SignedFreeze;

/// One of a guardian, changed before it is signed with this key.
fn changed(target: &Target, with: &str, change: impl FnOnce(&mut FreezeOrder)) -> SignedFreeze {
    let mut order = target.freeze("gus").order;
    change(&mut order);
    let proof = prove(with, &order.signing_bytes());
    SignedFreeze { order, proof }
}

const FALSE: [Order; 6] = [
    |target| target.freeze("ann"),
    |target| target.freeze("mallory"),
    |target| changed(target, "ann", |_| ()),
    |target| {
        changed(target, "gus", |order| {
            order.cluster = Hash32::from_bytes([1; 32])
        })
    },
    |target| {
        let long = "x".repeat(FreezeOrder::MAX_REASON + 1);
        changed(target, "gus", |order| order.reason = long)
    },
    |target| {
        let mut freeze = target.freeze("gus");
        freeze.order.reason.push('!');
        freeze
    },
];

async fn attack_with_a_false_order(target: &Target, order: Order) -> Result<(), Broken> {
    let order = order(target);
    for number in [1, 2] {
        let reply = target.say(number, NodeRequest::Freeze(order.clone())).await;
        let expected = unproven("approval-refused");
        target.refuses(number, None, &reply, &expected)?;
        assert!(target.status(number).await.frozen.is_empty());
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_guardian_freezes() {
    let target = Target::honest("").await;
    let weak = Target::weak("", any_freeze).await;
    for order in FALSE {
        attack_with_a_false_order(&target, order).await.unwrap();
        attack_with_a_false_order(&weak, order).await.unwrap_err();
    }
}
