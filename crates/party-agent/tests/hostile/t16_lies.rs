//! T16: what an orchestrator swaps, drops, reuses, hides and makes up.

use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{Action, Approval, Hash32, Payload, Verdict};

use crate::expect::{Broken, denied, judged, pending, unproven};
use crate::target::{Ask, TWO, Target, admins_signed, nonces, signed};
use crate::weakness::{
    any_approval, any_operator, deaf_to_admins, deaf_to_people, no_approvals, none,
};

async fn attack_with_another_transaction(target: &Target) -> Result<(), Broken> {
    let mut ask = target.approved_payment(1_000);
    ask.intent.intent.action = target.payment(900_000_000);
    ask.approvals = target.approvals(&["ann", "ben"], &ask);
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        let expected = unproven("operator-signature");
        target.stays_out(number, ask.hash(), &reply, &expected)?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t16_another_transaction_under_the_operators_signature_is_refused() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_with_another_transaction);
    let weak = Target::weak(TWO, any_operator).await;
    breaks!(&weak, attack_with_another_transaction);
}

async fn attack_without_an_approval(target: &Target) -> Result<(), Broken> {
    let mut ask = target.approved_payment(1_000);
    let dropped = ask.approvals.pop().unwrap();
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        let expected = pending("two", "approve:treasury:2");
        target.stays_out(number, ask.hash(), &reply, &expected)?;
    }
    ask.approvals.push(dropped);
    assert!(target.signs(&ask).await, "with it, it is signed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t16_a_dropped_approval_is_missing() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_without_an_approval);
    let weak = Target::weak(TWO, no_approvals).await;
    breaks!(&weak, attack_without_an_approval);
}

/// Ben's approval, changed before he signs it: as he would give it of something else.
async fn attack_with_an_approval_of(
    target: &Target,
    change: impl Fn(&mut Approval),
) -> Result<(), Broken> {
    let ask = target.pay(1_000);
    let mut other = target.approval("ben", &ask.intent.intent);
    change(&mut other);
    let mut approvals = target.approvals(&["ann"], &ask);
    approvals.push(signed("ben", other));
    let ask = ask.approved(approvals);
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        let expected = pending("two", "approve:treasury:2");
        target.stays_out(number, ask.hash(), &reply, &expected)?;
    }
    target.works().await;
    Ok(())
}

type Change = fn(&mut Approval);

const OTHERS: [Change; 6] = [
    |a| a.intent = quorate_types::IntentHash::from_bytes([1; 32]),
    |a| a.sighashes = vec![Hash32::from_bytes([1; 32])],
    |a| a.sighashes.clear(),
    |a| a.display = Hash32::from_bytes([1; 32]),
    |a| a.policy = Hash32::from_bytes([1; 32]),
    |a| a.cluster = Hash32::from_bytes([1; 32]),
];

#[tokio::test(flavor = "multi_thread")]
async fn t16_an_approval_of_something_else_does_not_count() {
    let target = Target::honest(TWO).await;
    let weak = Target::weak(TWO, any_approval).await;
    for change in OTHERS {
        holds!(&target, attack_with_an_approval_of, change);
        breaks!(&weak, attack_with_an_approval_of, change);
    }
}

async fn attack_with_approvals_under_another_version(target: &Target) -> Result<(), Broken> {
    let ask = target.approved_payment(1_000);
    target.publish(target.next(TWO)).await;
    // The orchestrator can change the number, but neither the hash nor the signature.
    let mut renumbered = ask.clone();
    for approval in &mut renumbered.approvals {
        approval.approval.policy_version = 2;
    }
    for ask in [ask, renumbered] {
        for number in [1, 2] {
            let reply = target.asked(number, &ask).await;
            let expected = pending("two", "approve:treasury:2");
            target.stays_out(number, ask.hash(), &reply, &expected)?;
        }
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t16_approvals_under_another_policy_version_do_not_count() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_with_approvals_under_another_version);
    let weak = Target::weak(TWO, any_approval).await;
    breaks!(&weak, attack_with_approvals_under_another_version);
}

async fn attack_by_hiding_a_rejection(target: &Target) -> Result<(), Broken> {
    let ask = target.approved_payment(1_000);
    let rejection = target.word("cas", Verdict::Reject, &ask);
    for number in [1, 2] {
        let said = NodeRequest::Say(rejection.clone());
        assert_eq!(target.say(number, said).await, NodeReply::Noted);
        let reply = target.asked(number, &ask).await;
        target.stays_out(number, ask.hash(), &reply, &denied(&["rejected"]))?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t16_a_hidden_rejection_still_holds() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_by_hiding_a_rejection);
    let weak = Target::weak(TWO, deaf_to_people).await;
    breaks!(&weak, attack_by_hiding_a_rejection);
}

/// Prepared under one version, begun under the next.
async fn attack_across_versions(target: &Target) -> Result<(), Broken> {
    let ask = target.pay(1_000);
    let nonces = nonces(&target.prepare_at_all(&ask).await).unwrap();
    let next = admins_signed(target.next("# the same rules"), &["root-1", "root-2"]);
    for number in [1, 2, 3] {
        let reply = target.publish_at(number, next.clone()).await;
        assert_eq!(reply, NodeReply::Bundle(None));
    }
    let replies = target.begin_at_all(&ask, &nonces).await;
    for (number, reply) in [1, 2].into_iter().zip(replies) {
        target.stays_out(number, ask.hash(), &reply, &judged("policy-changed"))?;
    }
    assert!(target.signs(&target.pay(1_000)).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t16_what_was_prepared_under_another_version_is_not_begun() {
    attack_across_versions(&Target::honest("").await)
        .await
        .unwrap();
    let weak = Target::weak("", deaf_to_admins).await;
    attack_across_versions(&weak).await.unwrap_err();
}

/// The agents of which one has not heard of the next version do not sign together.
#[tokio::test(flavor = "multi_thread")]
async fn t16_agents_under_different_versions_do_not_sign_together() {
    let target = Target::honest("").await;
    let next = admins_signed(target.next("# the same rules"), &["root-1", "root-2"]);
    let reply = target.publish_at(1, next.clone()).await;
    assert_eq!(reply, NodeReply::Bundle(None));
    let ask = target.pay(1_000);
    let replies = target.run(&ask).await;
    for reply in replies {
        let NodeReply::Failed(failure) = reply else {
            panic!("not failed: {reply:?}")
        };
        assert!(failure.culprits.is_empty(), "{failure}");
    }
    for number in [2, 3] {
        let reply = target.publish_at(number, next.clone()).await;
        assert_eq!(reply, NodeReply::Bundle(None));
    }
    assert!(target.signs(&target.pay(1_000)).await);
}

async fn attack_with_a_digest(target: &Target) -> Result<(), Broken> {
    let ask = target.ask(target.intent("operator", target.signing(Payload::Raw(vec![7; 32]))));
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        target.stays_out(number, ask.hash(), &reply, &denied(&["no-permit"]))?;
    }
    target.works().await;
    Ok(())
}

const RAW: &str = "[[rule]]\nid = \"raw\"\ntype = \"raw\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn t16_a_digest_is_not_signed() {
    let target = Target::honest("").await;
    holds!(&target, attack_with_a_digest);
    let weak = Target::weak(RAW, none).await;
    breaks!(&weak, attack_with_a_digest);
}

/// Even where raw bytes may be signed, those of a transaction, or for a chain, may not.
#[tokio::test(flavor = "multi_thread")]
async fn t16_a_transaction_is_not_signed_as_raw_bytes() {
    let target = Target::honest(RAW).await;
    let disguised = Payload::Raw(crate::payload::transfer(&target.key, 1));
    let mut named = target.signing(Payload::Raw(vec![7; 32]));
    if let Action::Sign { network, .. } = &mut named {
        *network = Some(quorate_types::Network::Solana);
    }
    for (action, code) in [
        (target.signing(disguised), "raw-is-solana-message"),
        (named, "raw-with-network"),
    ] {
        let ask: Ask = target.ask(target.intent("operator", action));
        for number in [1, 2] {
            let reply = target.asked(number, &ask).await;
            target
                .stays_out(number, ask.hash(), &reply, &judged(code))
                .unwrap();
        }
    }
    target.works().await;
}
