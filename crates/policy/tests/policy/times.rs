//! Waiting, and gathering approvals in time.

use quorate_policy::Decision;

use crate::support::*;

const GATHER: &str = "[[rule]]\nid = \"two\"\ntype = \"gather\"\ngroup = \"treasury\"\napprovals = 2\nwithin = \"24h\"";
const DAY: u64 = 24 * HOUR;

fn asked(ago: u64) -> Desk {
    let mut desk = Desk::new(GATHER);
    desk.asked_at = NOW - ago;
    desk
}

#[test]
fn approvals_are_gathered_in_time_or_the_request_is_made_anew() {
    let ask = transfer(ALICE, "1");
    // In time, with one of two, with both.
    let mut desk = asked(DAY);
    assert_eq!(desk.pending(&ask), ["approve:treasury:2"]);
    desk.approve("ann", &ask);
    assert_eq!(desk.pending(&ask), ["approve:treasury:2"]);
    desk.approve("ben", &ask);
    desk.allowed(&ask);
    // Afterwards nothing that is still missing can come in time.
    let mut late = asked(DAY + 1);
    assert_eq!(late.denied(&ask), ["two-late"]);
    late.approve("ann", &ask);
    assert_eq!(late.denied(&ask), ["two-late"]);
}

#[test]
fn what_was_gathered_in_time_may_be_signed_later_and_what_came_late_not() {
    let ask = transfer(ALICE, "1");
    // Approvals of this desk are a minute old.
    let mut desk = asked(DAY + MINUTE);
    desk.approve("ann", &ask);
    desk.approve("ben", &ask);
    desk.allowed(&ask);
    let mut desk = asked(DAY + MINUTE + 1);
    desk.approve("ann", &ask);
    desk.approve("ben", &ask);
    assert_eq!(desk.denied(&ask), ["two-late"]);
}

/// Whoever approves too late, or is of another group, changes nothing.
#[test]
fn a_late_approval_does_not_undo_what_was_gathered_in_time() {
    let ask = transfer(ALICE, "1");
    let mut desk = asked(DAY + MINUTE);
    for (who, ago) in [("ann", 2 * MINUTE), ("ben", MINUTE), ("cas", 0)] {
        let mut approval = desk.approval(who, &ask);
        approval.issued_at = desk.now - ago;
        desk.approvals.push(sign(who, approval));
    }
    desk.allowed(&ask);
    // Without ben's there is one in time.
    desk.approvals.remove(1);
    assert_eq!(desk.denied(&ask), ["two-late"]);
}

/// I9: whatever clocks say, a time lock waits or lifts; it never errs.
#[test]
fn i09_a_time_lock_never_errs_whatever_the_clocks_say() {
    let mut desk = Desk::new("[[rule]]\nid = \"wait\"\ntype = \"time-lock\"\ndelay = \"24h\"");
    let ask = transfer(ALICE, "1");
    // The last millisecond of 9998, which is the last year that is compared.
    let end = 253_370_764_799_999;
    let times = [0, 1, DAY - 1, DAY, NOW, end - DAY, end - 1, end, end + 1];
    for proposed_at in times {
        for now in times {
            (desk.proposed_at, desk.now) = (proposed_at, now);
            let waited = now.checked_sub(proposed_at).is_some_and(|w| w >= DAY);
            match desk.ask(&ask).0 {
                Decision::Allow(_) => assert!(waited && now <= end, "{proposed_at} {now}"),
                Decision::Pending(_) => assert!(!waited || now > end, "{proposed_at} {now}"),
                Decision::Deny(reasons) => panic!("{proposed_at} {now}: {reasons:?}"),
            }
        }
    }
}

#[test]
fn nothing_waits_for_longer_than_a_year() {
    let roster = roster(2, 3);
    for delay in ["0s", "367d", "99999999999d"] {
        let rule = format!("[[rule]]\nid = \"wait\"\ntype = \"time-lock\"\ndelay = \"{delay}\"");
        let text = format!("{}{rule}", people());
        assert!(quorate_policy::compile(&text, header(&roster, None)).is_err());
    }
}
