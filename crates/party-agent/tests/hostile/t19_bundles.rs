//! T19, I7: policies that do not come into force.

use quorate_types::canonical::Canonical as _;
use quorate_types::node::NodeReply;
use quorate_types::{Bundle, Hash32, Rule, RuleId, SignedBundle};

use crate::expect::{Broken, unproven};
use crate::target::{TWO, Target, admins_signed};
use crate::weakness::any_bundle;

const QUORUM: [&str; 2] = ["root-1", "root-3"];

/// Nobody takes it, and what was in force stays so, also after a restart.
async fn attack_with(
    target: &mut Target,
    bundle: SignedBundle,
    code: &'static str,
) -> Result<(), Broken> {
    let before = target.status(1).await;
    for number in [1, 2, 3] {
        let reply = target.publish_at(number, bundle.clone()).await;
        target.refuses(number, None, &reply, &unproven(code))?;
        let status = target.status(number).await;
        assert_eq!(status.policy_version, before.policy_version);
        assert_eq!(status.policy, before.policy);
    }
    target.restart(1).await;
    let after = target.status(1).await;
    assert_eq!(after.policy_version, before.policy_version);
    assert_eq!(after.policy, before.policy);
    target.works().await;
    Ok(())
}

/// Against agents that are at version 2, as they are and without checks.
async fn holds_and_would_not(
    make: impl Fn(&Target, &SignedBundle) -> SignedBundle,
    code: &'static str,
) {
    for (undo, holds) in [
        (crate::weakness::none as crate::weakness::Undo, true),
        (any_bundle, false),
    ] {
        let mut target = Target::weak(TWO, undo).await;
        let first = target.policy().signed().clone();
        target.publish(target.next(TWO)).await;
        let attack = make(&target, &first);
        let result = attack_with(&mut target, attack, code).await;
        assert_eq!(result.is_ok(), holds, "{result:?}");
    }
}

fn quorum_signed(mut bundle: Bundle, change: impl FnOnce(&mut Bundle)) -> SignedBundle {
    change(&mut bundle);
    admins_signed(bundle, &QUORUM)
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_i07_an_earlier_version_does_not_come_back() {
    holds_and_would_not(|_, first| first.clone(), "bundle-refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_i07_no_version_is_skipped() {
    let skips = |target: &Target, _: &SignedBundle| {
        quorum_signed(target.next(""), |bundle| bundle.version += 1)
    };
    holds_and_would_not(skips, "bundle-refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_i07_a_fork_is_refused() {
    let forks = |target: &Target, first: &SignedBundle| {
        quorum_signed(target.next(""), |bundle| {
            bundle.previous = first.bundle.canonical_hash();
        })
    };
    holds_and_would_not(forks, "bundle-refused").await;
    let second_of_its_number = |target: &Target, first: &SignedBundle| {
        quorum_signed(target.next(""), |bundle| {
            bundle.version = 2;
            bundle.previous = first.bundle.canonical_hash();
        })
    };
    holds_and_would_not(second_of_its_number, "bundle-refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_i07_too_few_admins_bring_nothing_into_force() {
    let one = |target: &Target, _: &SignedBundle| admins_signed(target.next(""), &["root-1"]);
    holds_and_would_not(one, "bundle-refused").await;
    let twice =
        |target: &Target, _: &SignedBundle| admins_signed(target.next(""), &["root-1", "root-1"]);
    holds_and_would_not(twice, "bundle-refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_i07_strangers_bring_nothing_into_force() {
    let strangers = |target: &Target, _: &SignedBundle| {
        admins_signed(target.next(""), &["root-1", "mallory", "operator", "ann"])
    };
    holds_and_would_not(strangers, "bundle-refused").await;
}

/// A bundle that names its own admins is signed by those of the version before.
#[tokio::test(flavor = "multi_thread")]
async fn t19_i07_new_admins_do_not_sign_their_own_appointment() {
    let usurped = |target: &Target, _: &SignedBundle| {
        let mut bundle = target.next("");
        bundle.admins.quorum = 1;
        admins_signed(bundle, &["root-1"])
    };
    holds_and_would_not(usurped, "bundle-refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_i07_a_bundle_changed_after_signing_is_refused() {
    let changed = |target: &Target, _: &SignedBundle| {
        let mut signed = admins_signed(target.next(TWO), &QUORUM);
        signed.bundle.rules.retain(|rule| rule.id.as_str() != "two");
        signed
    };
    holds_and_would_not(changed, "bundle-refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_i07_a_bundle_for_another_cluster_is_refused() {
    let foreign = |target: &Target, _: &SignedBundle| {
        quorum_signed(target.next(""), |bundle| {
            bundle.cluster = Hash32::from_bytes([1; 32]);
        })
    };
    holds_and_would_not(foreign, "bundle-refused").await;
}

/// Rightly signed, and yet of no use.
#[tokio::test(flavor = "multi_thread")]
async fn t19_rules_that_do_not_fit_do_not_come_into_force() {
    for cedar in [
        "permit(principal",
        "permit(principal, action, resource) when { context.nothing };",
        "permit(principal, action, resource); permit(principal, action, resource);",
    ] {
        let unusable = |target: &Target, _: &SignedBundle| {
            quorum_signed(target.next(TWO), |bundle| {
                bundle.rules.push(Rule {
                    id: RuleId::new("unreadable").unwrap(),
                    cedar: cedar.to_owned(),
                });
            })
        };
        holds_and_would_not(unusable, "bundle-rules").await;
    }
}

/// The version in force once more is no error, whoever signed it: nothing changes.
#[tokio::test(flavor = "multi_thread")]
async fn t19_the_version_in_force_published_again_changes_nothing() {
    let mut target = Target::honest(TWO).await;
    let before = target.status(1).await.policy;
    let again = admins_signed(target.policy().bundle().clone(), &["mallory"]);
    let reply = target.publish_at(1, again).await;
    assert_eq!(reply, NodeReply::Bundle(None));
    target.restart(1).await;
    assert_eq!(target.status(1).await.policy, before);
    target.works().await;
}
