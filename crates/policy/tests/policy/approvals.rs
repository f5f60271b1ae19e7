//! T21: approvals that do not count.

use quorate_types::{Hash32, Proof, Verdict};

use crate::support::*;

const TWO: &str =
    "[[rule]]\nid = \"two\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 2";

#[test]
fn t21_one_human_with_two_credentials_counts_once() {
    let mut desk = Desk::new(TWO);
    let ask = transfer(ALICE, "1");
    desk.approve("ann", &ask);
    let mut second = desk.approval("ann", &ask);
    second.nonce = [2; 16];
    desk.approvals.push(sign("ann-2", second));
    assert_eq!(desk.pending(&ask), ["approve:treasury:2"]);
    assert_eq!(desk.ask(&ask).1.groups.values().max(), Some(&1));
}

#[test]
fn t21_the_initiator_does_not_approve() {
    let mut desk = Desk::new(TWO);
    desk.operator = "trader".to_owned();
    let ask = transfer(ALICE, "1");
    desk.approve("ann", &ask);
    desk.approve("trader", &ask);
    assert_eq!(desk.pending(&ask), ["approve:treasury:2"]);
    desk.operator = "operator".to_owned();
    desk.allowed(&ask);
}

#[test]
fn t21_expired_future_and_withdrawn_approvals_do_not_count() {
    let ask = transfer(ALICE, "1");
    let with = |change: &dyn Fn(&mut quorate_types::Approval)| {
        let mut desk = Desk::new(TWO);
        desk.approve("ann", &ask);
        let mut approval = desk.approval("ben", &ask);
        change(&mut approval);
        desk.approvals.push(sign("ben", approval));
        desk
    };
    with(&|_| {}).allowed(&ask);
    assert_eq!(with(&|a| a.expires_at = NOW).pending(&ask).len(), 1);
    assert_eq!(
        with(&|a| a.issued_at = NOW + 2 * MINUTE)
            .pending(&ask)
            .len(),
        1
    );
    assert_eq!(
        with(&|a| a.expires_at = NOW + 8 * 24 * HOUR)
            .pending(&ask)
            .len(),
        1
    );
    for (verdict, at) in [(Verdict::Withdraw, NOW), (Verdict::Withdraw, NOW - MINUTE)] {
        let mut desk = with(&|_| {});
        let mut word = desk.approval("ben", &ask);
        (word.verdict, word.issued_at) = (verdict, at);
        desk.approvals.push(sign("ben", word));
        assert_eq!(desk.pending(&ask).len(), 1);
    }
    let mut desk = with(&|_| {});
    let mut word = desk.approval("cas", &ask);
    word.verdict = Verdict::Reject;
    desk.approvals.push(sign("cas", word));
    assert_eq!(desk.denied(&ask), ["rejected"]);
}

#[test]
fn t16_approvals_of_something_else_do_not_count() {
    let ask = transfer(ALICE, "1");
    let other = transfer(ALICE, "2");
    let mut desk = Desk::new(TWO);
    desk.approve("ann", &ask);
    desk.approve("ben", &other);
    assert_eq!(desk.pending(&ask).len(), 1);
    for change in [
        (|a: &mut quorate_types::Approval| a.sighashes = vec![Hash32::from_bytes([9; 32])])
            as fn(&mut _),
        |a| a.sighashes.clear(),
        |a| a.display = Hash32::from_bytes([9; 32]),
        |a| a.policy = Hash32::from_bytes([9; 32]),
        |a| a.cluster = Hash32::from_bytes([9; 32]),
    ] {
        let mut desk = Desk::new(TWO);
        desk.approve("ann", &ask);
        let mut approval = desk.approval("ben", &ask);
        change(&mut approval);
        desk.approvals.push(sign("ben", approval));
        assert_eq!(desk.pending(&ask).len(), 1);
    }
}

#[test]
fn approvals_with_another_persons_key_or_a_changed_byte_do_not_count() {
    let ask = transfer(ALICE, "1");
    let mut desk = Desk::new(TWO);
    desk.approve("ann", &ask);
    let approval = desk.approval("ben", &ask);
    desk.approvals.push(sign("ann", approval.clone()));
    desk.approvals.push(sign("stranger", approval.clone()));
    let mut forged = sign("ben", approval);
    if let Proof::Ed25519 { signature, .. } = &mut forged.proof {
        signature[5] ^= 1;
    }
    desk.approvals.push(forged);
    assert_eq!(desk.pending(&ask).len(), 1);
    assert_eq!(desk.ask(&ask).1.ignored.len(), 3);
}

#[test]
fn who_proposes_from_a_separated_group_is_not_approved_by_it() {
    let rules = format!(
        "{TWO}\n[[rule]]\nid = \"apart\"\ntype = \"separation\"\ngroups = [\"treasury\", \"ops\"]"
    );
    let ask = transfer(ALICE, "1");
    let mut desk = Desk::new(&rules);
    desk.approve("ann", &ask);
    desk.approve("ben", &ask);
    desk.allowed(&ask);
    desk.operator = "trader".to_owned();
    assert_eq!(desk.pending(&ask).len(), 1);
}
