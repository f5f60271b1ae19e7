//! T15: replay of a start, an approval, a freeze order; clock skew.

use quorate_service::now_ms;
use quorate_types::node::{NodeReply, NodeRequest};
use quorate_types::{Approval, Verdict};

use crate::expect::{Broken, denied, is_signed, pending, unproven};
use crate::target::{Ask, HOUR, TWO, Target, nonces, signed};
use crate::weakness::{any_approval, any_freeze, any_time, deaf_to_people, forgets_runs};

const MISSING: (&str, &str) = ("two", "approve:treasury:2");

/// Neither custodian prepares it, for lack of approvals.
async fn stays_pending(target: &Target, ask: &Ask) -> Result<(), Broken> {
    for number in [1, 2] {
        let reply = target.asked(number, ask).await;
        target.stays_out(number, ask.hash(), &reply, &pending(MISSING.0, MISSING.1))?;
    }
    Ok(())
}

async fn attack_with_an_old_start(target: &Target) -> Result<(), Broken> {
    let ask = target.pay(1_000);
    let nonces = nonces(&target.prepare_at_all(&ask).await).unwrap();
    let first = target.begin_at_all(&ask, &nonces).await;
    assert!(first.iter().all(is_signed), "{first:?}");
    for (number, first) in [1, 2].into_iter().zip(first) {
        let again = target.say(number, target.prepare(&ask)).await;
        if again != first {
            return Err(Broken(format!("party-{number} starts anew: {again:?}")));
        }
        let begun = target.begin(number, &ask, &nonces).await;
        target.refuses(number, Some(ask.hash()), &begun, &unproven("repeated"))?;
        assert_eq!(target.begun(number, ask.hash()).len(), 1);
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t15_an_old_start_starts_nothing() {
    attack_with_an_old_start(&Target::honest("").await)
        .await
        .unwrap();
    let weak = Target::weak("", forgets_runs).await;
    attack_with_an_old_start(&weak).await.unwrap_err();
}

async fn attack_with_approvals_of_an_earlier_request(target: &Target) -> Result<(), Broken> {
    let earlier = target.approved_payment(1_000);
    assert!(target.signs(&earlier).await);
    // The same payment once more: only the intent is another one.
    let again = target.intent("operator", earlier.intent.intent.action.clone());
    let again = target.ask(again).approved(earlier.approvals);
    stays_pending(target, &again).await?;
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t15_approvals_of_an_earlier_request_do_not_count_again() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_with_approvals_of_an_earlier_request);
    let weak = Target::weak(TWO, any_approval).await;
    breaks!(&weak, attack_with_approvals_of_an_earlier_request);
}

/// With one approval that is good and one with other times.
fn with_times(target: &Target, issued_at: u64, expires_at: u64) -> Ask {
    let ask = target.pay(1_000);
    let approval = Approval {
        issued_at,
        expires_at,
        ..target.approval("ben", &ask.intent.intent)
    };
    let mut approvals = target.approvals(&["ann"], &ask);
    approvals.push(signed("ben", approval));
    ask.approved(approvals)
}

async fn attack_with_approvals_out_of_time(target: &Target) -> Result<(), Broken> {
    let now = now_ms();
    let week = Approval::MAX_LIFETIME_MS;
    for (issued_at, expires_at) in [
        (now - HOUR, now),
        (now + HOUR, now + 2 * HOUR),
        (now, now + week + 1),
        (now, now - 1),
    ] {
        stays_pending(target, &with_times(target, issued_at, expires_at)).await?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t15_approvals_out_of_their_time_do_not_count() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_with_approvals_out_of_time);
    let weak = Target::weak(TWO, any_approval).await;
    breaks!(&weak, attack_with_approvals_out_of_time);
}

/// Prepared while the approvals held, begun after that.
async fn attack_with_a_late_begin(target: &Target) -> Result<(), Broken> {
    // Long enough to be prepared in; the test waits for its end, not for a time.
    let ends = now_ms() + 3_000;
    let ask = with_times(target, now_ms(), ends);
    let nonces = nonces(&target.prepare_at_all(&ask).await).unwrap();
    while now_ms() < ends {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let replies = target.begin_at_all(&ask, &nonces).await;
    for (number, reply) in [1, 2].into_iter().zip(replies) {
        target.stays_out(number, ask.hash(), &reply, &pending(MISSING.0, MISSING.1))?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t15_approvals_that_expire_before_the_start_do_not_count() {
    attack_with_a_late_begin(&Target::honest(TWO).await)
        .await
        .unwrap();
    let weak = Target::weak(TWO, any_approval).await;
    attack_with_a_late_begin(&weak).await.unwrap_err();
}

async fn attack_with_a_withdrawn_approval(target: &Target) -> Result<(), Broken> {
    let ask = target.approved_payment(1_000);
    let withdrawn = target.word("ann", Verdict::Withdraw, &ask);
    for number in [1, 2] {
        let said = target
            .say(number, NodeRequest::Say(withdrawn.clone()))
            .await;
        assert_eq!(said, NodeReply::Noted);
    }
    stays_pending(target, &ask).await?;
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t15_a_withdrawn_approval_does_not_count_again() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_with_a_withdrawn_approval);
    let weak = Target::weak(TWO, deaf_to_people).await;
    breaks!(&weak, attack_with_a_withdrawn_approval);
}

async fn attack_with_a_lifted_freeze(target: &Target) -> Result<(), Broken> {
    let freeze = NodeRequest::Freeze(target.freeze("gus"));
    let mut orders = Vec::new();
    for number in [1, 2, 3] {
        assert_eq!(target.say(number, freeze.clone()).await, NodeReply::Noted);
        orders.extend(target.status(number).await.frozen);
    }
    assert_eq!(orders.len(), 3, "all are frozen");
    let mut next = target.next("");
    next.lifts = orders;
    target.publish(next).await;
    for number in [1, 2] {
        assert_eq!(target.say(number, freeze.clone()).await, NodeReply::Noted);
        if !target.status(number).await.frozen.is_empty() {
            return Err(Broken(format!("party-{number} is frozen again")));
        }
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t15_a_freeze_that_was_lifted_does_not_come_back() {
    attack_with_a_lifted_freeze(&Target::honest("").await)
        .await
        .unwrap();
    let weak = Target::weak("", any_freeze).await;
    attack_with_a_lifted_freeze(&weak).await.unwrap_err();
}

async fn attack_with_skewed_clocks(target: &Target) -> Result<(), Broken> {
    let now = now_ms();
    for (issued_at, expires_at, code) in [
        (now - HOUR, now, "intent-expired"),
        (now + HOUR, now + 2 * HOUR, "intent-invalid"),
        (now, now + 8 * 24 * HOUR, "intent-invalid"),
    ] {
        let mut intent = target.intent("operator", target.payment(1_000));
        (intent.issued_at, intent.expires_at) = (issued_at, expires_at);
        let ask = target.ask(intent);
        for number in [1, 2] {
            let reply = target.asked(number, &ask).await;
            target.stays_out(number, ask.hash(), &reply, &unproven(code))?;
        }
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t15_requests_out_of_their_time_are_refused() {
    let target = Target::honest("").await;
    holds!(&target, attack_with_skewed_clocks);
    let weak = Target::weak("", any_time).await;
    breaks!(&weak, attack_with_skewed_clocks);
}

/// A word that is put off does not undo a stricter one of the same moment.
async fn attack_with_words_of_one_moment(target: &Target) -> Result<(), Broken> {
    let ask = target.approved_payment(1_000);
    let reject = target.word("cas", Verdict::Reject, &ask);
    let withdraw = signed(
        "cas",
        Approval {
            verdict: Verdict::Withdraw,
            ..reject.approval.clone()
        },
    );
    for number in [1, 2] {
        for said in [&reject, &withdraw] {
            let reply = target.say(number, NodeRequest::Say(said.clone())).await;
            assert_eq!(reply, NodeReply::Noted);
        }
        let reply = target.asked(number, &ask).await;
        let expected = denied(&["rejected"]);
        target.stays_out(number, ask.hash(), &reply, &expected)?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t15_of_two_words_of_one_moment_the_stricter_holds() {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_with_words_of_one_moment);
    let weak = Target::weak(TWO, deaf_to_people).await;
    breaks!(&weak, attack_with_words_of_one_moment);
}
