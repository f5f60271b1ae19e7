//! T17, I11: spending that is spread over different quorums stays within the limit.

use std::pin::pin;

use quorate_storage::RestoreMark;
use quorate_types::node::{NodeReply, RunResult};

use crate::expect::{Broken, denied, is_signed, judged, unproven};
use crate::payload::SOL;
use crate::target::{Ask, Target, Way, nonces};
use crate::weakness::none;

const DAILY: &str = r#"
[[rule]]
id = "daily"
type = "limit"
asset = "SOL"
max = "1"
window = "24h"
"#;

const ACKNOWLEDGED: &str = r#"
limit_ack = 3
[[rule]]
id = "daily"
type = "limit"
asset = "SOL"
max = "1"
window = "24h"
"#;

/// What was signed by these runs; each spends the same.
fn within(signed: usize, each: u64, limit: u64) -> Result<(), Broken> {
    let total = u64::try_from(signed).unwrap() * each;
    if total <= limit {
        return Ok(());
    }
    Err(Broken(format!("{total} lamports were signed, not {limit}")))
}

/// Each run with another quorum, one after the other.
async fn attack_with_rotating_quorums(target: &Target, quorums: &[&[usize]]) -> Result<(), Broken> {
    let each = 2 * SOL / 5;
    let mut signed = 0;
    for quorum in quorums {
        let ask = target.pay(each).by(quorum);
        let replies = target.run(&ask).await;
        if replies.iter().all(is_signed) {
            signed += 1;
            continue;
        }
        assert_eq!(signed, 2, "what is within the limit is signed: {replies:?}");
        let knowing = quorum.iter().zip(&replies);
        let refuses = knowing.filter(|(_, reply)| matches!(reply, NodeReply::Refused(_)));
        for (number, reply) in refuses {
            target.stays_out(*number, ask.hash(), reply, &denied(&["daily"]))?;
        }
    }
    within(signed, each, SOL)?;
    assert_eq!(signed, 2);
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_i11_rotating_quorums_of_2_of_3_stay_within_the_limit() {
    let quorums: [&[usize]; 6] = [&[1, 2], &[2, 3], &[1, 3], &[3, 1], &[2, 1], &[3, 2]];
    let target = Target::honest(DAILY).await;
    attack_with_rotating_quorums(&target, &quorums)
        .await
        .unwrap();
    let weak = Target::weak("", none).await;
    attack_with_rotating_quorums(&weak, &quorums)
        .await
        .unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_i11_rotating_quorums_of_3_of_5_stay_within_the_limit() {
    let quorums: [&[usize]; 4] = [&[1, 2, 3], &[3, 4, 5], &[1, 2, 4], &[5, 1, 2]];
    let target = Target::new(3, 5, DAILY, none).await;
    attack_with_rotating_quorums(&target, &quorums)
        .await
        .unwrap();
    let weak = Target::new(3, 5, "", none).await;
    attack_with_rotating_quorums(&weak, &quorums)
        .await
        .unwrap_err();
}

/// All three are prepared before any is begun: nobody has then seen anything.
async fn attack_at_once(target: &Target) -> Result<(), Broken> {
    let each = SOL / 2 - 20_000;
    let asks = [[1, 2], [2, 3], [1, 3]].map(|quorum| target.pay(each).by(&quorum));
    let mut runs = Vec::new();
    for ask in &asks {
        let nonces = nonces(&target.prepare_at_all(ask).await).unwrap();
        runs.push(async move { target.begin_at_all(ask, &nonces).await });
    }
    let replies = futures::future::join_all(runs).await;
    let signed = replies.iter().filter(|r| r.iter().any(is_signed)).count();
    within(signed, each, SOL - 30_000)?;
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_i11_runs_at_once_stay_within_the_limit() {
    attack_at_once(&Target::honest(DAILY).await).await.unwrap();
    attack_at_once(&Target::weak("", none).await)
        .await
        .unwrap_err();
}

/// Begun at one custodian of two, who is then left alone; and begun at the other when the limit is used by somebody else.
async fn attack_with_half_a_run(target: &Target) -> Result<(), Broken> {
    let half = target.pay(3 * SOL / 5);
    let nonces = nonces(&target.prepare_at_all(&half).await).unwrap();
    let alone = target.begin(1, &half, &nonces).await;
    let instead = target.pay(3 * SOL / 5).by(&[1, 3]);
    let signs = target.signs(&instead).await;
    assert!(signs, "what was never signed is void and blocks nobody");
    let late = target.begin(2, &half, &nonces).await;
    let again = Ask { attempt: 1, ..half };
    let again = target.run(&again).await;
    let signed = [alone, late].iter().chain(&again).any(is_signed);
    within(1 + usize::from(signed), 3 * SOL / 5, SOL)?;
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_i11_half_a_run_is_void_and_is_not_taken_up_again() {
    attack_with_half_a_run(&Target::honest(DAILY).await)
        .await
        .unwrap();
    let weak = Target::weak("", none).await;
    attack_with_half_a_run(&weak).await.unwrap_err();
}

/// The orchestrator names fewer witnesses than the policy wants.
async fn attack_with_too_few_witnesses(target: &Target) -> Result<(), Broken> {
    let ask = target.pay(SOL / 10);
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        let expected = judged("limit-acknowledgements");
        target.stays_out(number, ask.hash(), &reply, &expected)?;
    }
    let witnessed = Ask {
        witnesses: vec![3],
        ..target.pay(SOL / 10)
    };
    let replies = target.run(&witnessed).await;
    assert!(replies[..2].iter().all(is_signed), "{replies:?}");
    assert_eq!(replies[2], NodeReply::Finished(RunResult::Acknowledged));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_i11_too_few_acknowledgements_are_refused() {
    let target = Target::honest(ACKNOWLEDGED).await;
    attack_with_too_few_witnesses(&target).await.unwrap();
    let weak = Target::weak(DAILY, none).await;
    attack_with_too_few_witnesses(&weak).await.unwrap_err();
}

/// A witness is begun, and the others are not: it acknowledges nothing, and keeps nothing.
#[tokio::test(flavor = "multi_thread")]
async fn t17_a_witness_that_is_left_alone_counts_nothing() {
    let target = Target::honest(ACKNOWLEDGED).await;
    let ask = Ask {
        witnesses: vec![3],
        ..target.pay(SOL / 2)
    };
    let nonces = nonces(&target.prepare_at_all(&ask).await).unwrap();
    let alone = target.begin(3, &ask, &nonces).await;
    let expected = judged("spending-missing");
    target
        .refuses(3, Some(ask.hash()), &alone, &expected)
        .unwrap();
    let most = Ask {
        witnesses: vec![3],
        ..target.pay(SOL - SOL / 10)
    };
    let replies = target.run(&most).await;
    assert!(replies[..2].iter().all(is_signed), "{replies:?}");
}

async fn attack_after_a_restart(target: &mut Target) -> Result<(), Broken> {
    let each = 3 * SOL / 5;
    assert!(target.signs(&target.pay(each)).await);
    for number in [1, 2] {
        target.restart(number).await;
    }
    for quorum in [[1, 3], [2, 3]] {
        let ask = target.pay(each).by(&quorum);
        let knowing = quorum[0];
        let reply = target.asked(knowing, &ask).await;
        target.stays_out(knowing, ask.hash(), &reply, &denied(&["daily"]))?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_i11_a_restarted_agent_still_counts() {
    let mut target = Target::honest(DAILY).await;
    attack_after_a_restart(&mut target).await.unwrap();
    let mut weak = Target::weak("", none).await;
    attack_after_a_restart(&mut weak).await.unwrap_err();
}

/// The first custodian's disk is put back to before it spent anything.
async fn attack_after_a_restore(target: &mut Target, marked: bool) -> Result<(), Broken> {
    let spent = 3 * SOL / 5;
    assert!(target.signs(&target.pay(spent)).await);
    let ledger = &target.committee.homes[0].ledger;
    let spends = ledger.spends_since(0).unwrap();
    ledger.remove_spends(spends).unwrap();
    let mark = RestoreMark {
        counter: 1,
        restored_at: 0,
        backup_made_at: 0,
        confirmed: true,
    };
    if marked {
        ledger.set_restore_mark(&mark).unwrap();
    }
    target.restart(1).await;
    let ask = target.pay(1_000).by(&[1, 3]);
    let nonces = nonces(&target.prepare_at_all(&ask).await).unwrap();
    // What the other does with a partner who has refused is not waited for. Where none refuses, either may be first.
    let mut first = pin!(target.begin(1, &ask, &nonces));
    let reply = tokio::select! {
        reply = &mut first => reply,
        _ = target.begin(3, &ask, &nonces) => first.await,
    };
    let expected = judged("spending-forgotten");
    target.refuses(1, Some(ask.hash()), &reply, &expected)?;
    target.works().await;
    // By now it has heard both, and knows again what it had spent.
    let more = target.pay(spent).by(&[1, 3]);
    let reply = target.asked(1, &more).await;
    target.stays_out(1, more.hash(), &reply, &denied(&["daily"]))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_i11_a_restored_agent_first_hears_what_it_had_spent() {
    let mut target = Target::honest(DAILY).await;
    attack_after_a_restore(&mut target, true).await.unwrap();
    let mut weak = Target::honest(DAILY).await;
    attack_after_a_restore(&mut weak, false).await.unwrap_err();
}

/// One round leaves custodians no time to show each other what they have spent.
async fn attack_in_one_round(target: &Target) -> Result<(), Broken> {
    target.over(Way::AtOnce);
    let ask = target.pay(1_000);
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        let expected = unproven("must-be-prepared");
        target.stays_out(number, ask.hash(), &reply, &expected)?;
    }
    target.works().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_i11_what_a_limit_counts_is_not_signed_in_one_round() {
    let target = Target::honest(DAILY).await;
    attack_in_one_round(&target).await.unwrap();
    let weak = Target::weak("", none).await;
    attack_in_one_round(&weak).await.unwrap_err();
}
