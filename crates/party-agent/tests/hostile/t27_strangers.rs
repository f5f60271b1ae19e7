//! T27 for approvals: what nobody, or nobody of the policy, has signed executes nothing.

use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{Proof, SignedApproval, Verdict};

use crate::expect::{Broken, pending, unproven};
use crate::target::{Ask, TWO, Target, signed};
use crate::weakness::{any_approval, any_word, keeps_approvals};

type Forge = fn(&Target, &Ask) -> SignedApproval;

const FORGED: [Forge; 4] = [
    // Unknown person.
    |target, ask| signed("mallory", target.approval("mallory", &ask.intent.intent)),
    // Unknown credential.
    |target, ask| signed("mallory", target.approval("ben", &ask.intent.intent)),
    // His key, somebody else's signature.
    |target, ask| {
        let approval = target.approval("ben", &ask.intent.intent);
        let forged = signed("mallory", approval.clone()).proof;
        let own = signed("ben", approval.clone()).proof;
        let proof = match (own, forged) {
            (Proof::Ed25519 { key, .. }, Proof::Ed25519 { signature, .. }) => {
                Proof::Ed25519 { key, signature }
            }
            other => panic!("not keys: {other:?}"),
        };
        SignedApproval { approval, proof }
    },
    // His signature, of what somebody else says.
    |target, ask| {
        let mut own = signed("ben", target.approval("ben", &ask.intent.intent));
        own.approval.expires_at += 1;
        own
    },
];

async fn attack_with_a_forged_approval(target: &Target, forge: Forge) -> Result<(), Broken> {
    let ask = target.pay(1_000);
    let mut approvals = target.approvals(&["ann"], &ask);
    approvals.push(forge(target, &ask));
    let ask = ask.approved(approvals);
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        let expected = pending("two", "approve:treasury:2");
        target.stays_out(number, ask.hash(), &reply, &expected)?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t27_forged_approvals_do_not_count() {
    let target = Target::honest(TWO).await;
    let weak = Target::weak(TWO, any_approval).await;
    for forge in FORGED {
        holds!(&target, attack_with_a_forged_approval, forge);
        breaks!(&weak, attack_with_a_forged_approval, forge);
    }
}

/// A rejection in somebody's name would stop everything; and each one that is refused must leave the log as it was, or it could be filled.
async fn attack_with_a_forged_word(target: &Target, forge: Forge) -> Result<(), Broken> {
    let ask = target.approved_payment(1_000);
    let mut said = forge(target, &ask);
    said.approval.verdict = Verdict::Reject;
    for number in [1, 2] {
        let before = target.log_size(number);
        let reply = target.say(number, NodeRequest::Say(said.clone())).await;
        let expected = unproven("approval-refused");
        target.refuses(number, Some(ask.hash()), &reply, &expected)?;
        assert_eq!(target.log_size(number), before, "party-{number}'s log");
    }
    assert!(target.signs(&ask).await, "nobody has rejected it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t27_forged_rejections_stop_nothing_and_fill_no_log() {
    let target = Target::honest(TWO).await;
    let weak = Target::weak(TWO, any_word).await;
    for forge in FORGED {
        attack_with_a_forged_word(&target, forge).await.unwrap();
        attack_with_a_forged_word(&weak, forge).await.unwrap_err();
    }
}

async fn attack_with_too_many_approvals(target: &Target) -> Result<(), Broken> {
    let ask = target.approved_payment(1_000);
    let many = ask.approvals.iter().cycle();
    let many = many.take(SignedApproval::MAX_COUNT + 1).cloned().collect();
    let ask = ask.approved(many);
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        target.stays_out(number, ask.hash(), &reply, &unproven("unreadable"))?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t27_a_list_of_too_many_approvals_is_not_read() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_with_too_many_approvals);
    let weak = Target::weak(TWO, any_approval).await;
    breaks!(&weak, attack_with_too_many_approvals);
}

/// Said by itself, an approval is noted and not kept: it counts where it comes with the request.
async fn attack_with_approvals_that_come_alone(target: &Target) -> Result<(), Broken> {
    let approved = target.approved_payment(1_000);
    let bare = approved.clone().approved(Vec::new());
    for number in [1, 2] {
        for approval in &approved.approvals {
            let said = NodeRequest::Say(approval.clone());
            assert_eq!(target.say(number, said).await, NodeReply::Noted);
        }
        let reply = target.asked(number, &bare).await;
        let expected = pending("two", "approve:treasury:2");
        target.stays_out(number, bare.hash(), &reply, &expected)?;
    }
    assert!(target.signs(&approved).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t27_an_approval_that_comes_alone_is_not_kept() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_with_approvals_that_come_alone);
    let weak = Target::weak(TWO, keeps_approvals).await;
    breaks!(&weak, attack_with_approvals_that_come_alone);
}

/// Who approved what was signed is in every signer's log.
#[tokio::test(flavor = "multi_thread")]
async fn t27_the_log_names_those_whose_approvals_counted() {
    let target = Target::honest(TWO).await;
    let ask = target.approved_payment(1_000);
    assert!(target.signs(&ask).await);
    let people = [["ann", "ben"].map(crate::target::person)];
    for number in [1, 2] {
        assert_eq!(target.begun(number, ask.hash()), people);
    }
    assert!(target.begun(3, ask.hash()).is_empty());
}
