//! T21: whose approvals do not count.

use quorate_types::SignedApproval;

use crate::expect::{Broken, pending, unproven};
use crate::target::{Ask, TWO, Target, admins_signed, key, signed};
use crate::weakness::{any_approval, none};

/// Approved by these people, each with the key of that name.
fn approved_by(target: &Target, operator: &str, people: &[(&str, &str)]) -> Ask {
    let ask = target.ask(target.intent(operator, target.payment(1_000)));
    let approve = |(who, with): &(&str, &str)| -> SignedApproval {
        signed(with, target.approval(who, &ask.intent.intent))
    };
    let approvals = people.iter().map(approve).collect();
    ask.approved(approvals)
}

async fn attack_with_approvals_of(
    target: &Target,
    operator: &str,
    people: &[(&str, &str)],
) -> Result<(), Broken> {
    let ask = approved_by(target, operator, people);
    for number in [1, 2] {
        let reply = target.asked(number, &ask).await;
        let expected = pending("two", "approve:treasury:2");
        target.stays_out(number, ask.hash(), &reply, &expected)?;
    }
    target.works().await;
    Ok(())
}

async fn holds_and_would_not(operator: &str, people: &[(&str, &str)]) {
    let target = Target::honest(TWO).await;
    holds!(&target, attack_with_approvals_of, operator, people);
    let weak = Target::weak(TWO, any_approval).await;
    breaks!(&weak, attack_with_approvals_of, operator, people);
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_i03_who_proposes_does_not_approve_by_name() {
    let people = [("trader", "trader-phone"), ("ann", "ann")];
    holds_and_would_not("trader", &people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_i03_who_proposes_does_not_approve_by_key() {
    holds_and_would_not("desk", &[("dora", "dora"), ("ann", "ann")]).await;
    holds_and_would_not("desk", &[("dora", "desk"), ("ann", "ann")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_one_human_with_two_credentials_counts_once() {
    holds_and_would_not("operator", &[("ann", "ann"), ("ann", "ann-2")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_one_human_does_not_sign_as_another() {
    holds_and_would_not("operator", &[("ann", "ann"), ("ben", "ann-2")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_an_approver_outside_the_group_does_not_count() {
    let people = [("ann", "ann"), ("lea", "lea"), ("gus", "gus")];
    holds_and_would_not("operator", &people).await;
}

/// Those who approve are others than those who propose, group by group.
fn separated() -> String {
    format!(
        "{TWO}\n[[rule]]\nid = \"apart\"\ntype = \"separation\"\ngroups = [\"treasury\", \"legal\"]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_the_proposers_own_group_does_not_approve_where_it_is_kept_apart() {
    let people = [("ann", "ann"), ("ben", "ben")];
    let target = Target::honest(&separated()).await;
    holds!(&target, attack_with_approvals_of, "trader", &people);
    let weak = Target::weak(TWO, none).await;
    breaks!(&weak, attack_with_approvals_of, "trader", &people);
}

/// Two people with one key, one person in two groups that are kept apart, an operator who is two people: no such policy comes into force.
#[tokio::test(flavor = "multi_thread")]
async fn t21_a_policy_in_which_people_are_mixed_up_does_not_come_into_force() {
    let target = Target::honest(&separated()).await;
    let shares = |bundle: &mut quorate_types::Bundle| {
        let ann = bundle.people[0].credentials[0].clone();
        bundle.people[1].credentials.push(ann);
    };
    let both = |bundle: &mut quorate_types::Bundle| {
        let groups = ["treasury", "legal"].map(|g| quorate_types::GroupName::new(g).unwrap());
        bundle.people[0].groups = groups.to_vec();
    };
    let two_in_one = |bundle: &mut quorate_types::Bundle| {
        let key = key("trader").verifying_key().to_bytes();
        let credential = quorate_types::Credential::Ed25519 { key };
        bundle.people[0].credentials.push(credential);
    };
    type Change = fn(&mut quorate_types::Bundle);
    for change in [shares as Change, both, two_in_one] {
        let mut bundle = target.next(&separated());
        change(&mut bundle);
        let signed = admins_signed(bundle, &["root-1", "root-2"]);
        for number in [1, 2] {
            let reply = target.publish_at(number, signed.clone()).await;
            let expected = unproven("bundle-refused");
            target.refuses(number, None, &reply, &expected).unwrap();
        }
    }
    target.works().await;
}
