//! Time locks and address books that make wait: each custodian by its own clock.

use std::time::Duration;

use quorate_service::now_ms;
use quorate_types::Network;
use quorate_types::node::{NodeReply, NodeRequest};

use crate::expect::{Broken, denied, pending};
use crate::target::{Ask, HOUR, Target};
use crate::weakness::none;

const LOCKED: &str = r#"
[[rule]]
id = "lock"
type = "time-lock"
delay = "1s"
"#;

/// Until a custodian would take part.
async fn allowed_at(target: &Target, number: usize, ask: &Ask) {
    loop {
        let propose = NodeRequest::Propose {
            intent: ask.intent.clone(),
            approvals: ask.approvals.clone(),
        };
        match target.say(number, propose).await {
            NodeReply::Judged { .. } => return,
            NodeReply::Refused(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            other => panic!("not judged: {other:?}"),
        }
    }
}

/// Shown to one custodian early, to the other late, and dated back an hour.
async fn attack_a_time_lock(target: &Target) -> Result<(), Broken> {
    let mut intent = target.intent("operator", target.payment(1_000));
    intent.issued_at = now_ms() - HOUR;
    let ask = target.ask(intent);
    let waits = pending("lock", "wait:1s");
    let first = target.asked(1, &ask).await;
    target.stays_out(1, ask.hash(), &first, &waits)?;
    allowed_at(target, 1, &ask).await;
    let late = target.asked(2, &ask).await;
    target.stays_out(2, ask.hash(), &late, &waits)?;
    allowed_at(target, 2, &ask).await;
    assert!(target.signs(&ask).await, "when both have waited");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_lock_counts_from_when_each_custodian_first_saw_it() {
    let target = Target::honest(LOCKED).await;
    holds!(&target, attack_a_time_lock);
    let weak = Target::weak("", none).await;
    breaks!(&weak, attack_a_time_lock);
}

/// The time goes on over a restart, and does not begin anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_lock_outlives_a_restart() {
    let mut target = Target::honest(LOCKED).await;
    let ask = target.pay(1_000);
    let reply = target.asked(1, &ask).await;
    let waits = pending("lock", "wait:1s");
    target.stays_out(1, ask.hash(), &reply, &waits).unwrap();
    allowed_at(&target, 1, &ask).await;
    target.restart(1).await;
    let reply = target.asked(1, &ask).await;
    assert!(matches!(reply, NodeReply::Prepared { .. }), "{reply:?}");
}

/// Only to addresses of the book, whose new entries wait this long.
fn book(delay: &str, addresses: &[String]) -> String {
    let entry = |address: &String| {
        format!(
            "[[address]]\nnetwork = \"{}\"\naddress = \"{address}\"\nlabel = \"x\"\n",
            Network::Solana
        )
    };
    let entries: Vec<String> = addresses.iter().map(entry).collect();
    format!(
        "address_delay = \"{delay}\"\n{}[[rule]]\nid = \"book\"\ntype = \"address-book\"\n",
        entries.concat()
    )
}

/// As facts show whom the tests pay.
fn someone(target: &Target) -> String {
    let quorate_types::Action::Sign {
        payload,
        network,
        path,
        ..
    } = target.payment(1)
    else {
        panic!("not a payment")
    };
    let (_, analysis) = quorate_chain::analyse_for(&payload, network, &target.key, &path).unwrap();
    analysis.effects.movements[0].destination.clone()
}

async fn attack_with_a_new_address(target: &Target, delay: &str) -> Result<(), Broken> {
    let next = target.next(&book(delay, &[someone(target)]));
    target.publish(next).await;
    let ask = target.pay(1_000);
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        target.stays_out(number, ask.hash(), &reply, &denied(&["book"]))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_does_not_count_at_once() {
    let target = Target::honest(&book("1h", &[])).await;
    holds!(&target, attack_with_a_new_address, "1h");
    // Nor does the version that brings it shorten its wait.
    let target = Target::honest(&book("1h", &[])).await;
    holds!(&target, attack_with_a_new_address, "0s");
    let weak = Target::weak(&book("0s", &[]), none).await;
    breaks!(&weak, attack_with_a_new_address, "0s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_counts_when_it_has_waited() {
    let target = Target::honest(&book("1s", &[])).await;
    target
        .publish(target.next(&book("1s", &[someone(&target)])))
        .await;
    let ask = target.pay(1_000);
    for number in [1, 2] {
        allowed_at(&target, number, &ask).await;
    }
    assert!(target.signs(&ask).await);
}
