//! T19: bundles that do not come into force.

use quorate_policy::{check_rules, compile};
use quorate_types::{BundleError, Hash32, ValidBundle, ValidRoster};

use crate::support::*;

fn first(roster: &ValidRoster) -> ValidBundle {
    signed_by(bundle(roster, ""), &["root-1", "root-2"])
        .follow(roster, None)
        .unwrap()
}

fn next(roster: &ValidRoster, before: &ValidBundle, rules: &str) -> quorate_types::Bundle {
    compile(
        &format!("{}\n{rules}", people()),
        header(roster, Some(before)),
    )
    .unwrap()
}

#[test]
fn t19_i07_the_version_goes_up_by_one_under_a_quorum_of_admins() {
    let roster = roster(2, 3);
    let one = first(&roster);
    let two = next(&roster, &one, "");
    let valid = signed_by(two.clone(), &["root-2", "root-3"])
        .follow(&roster, Some(&one))
        .unwrap();
    assert_eq!(valid.bundle().version, 2);

    for names in [
        &["root-1"][..],
        &[],
        &["root-1", "root-1"],
        &["root-1", "stranger"],
    ] {
        let refused = signed_by(two.clone(), names)
            .follow(&roster, Some(&one))
            .unwrap_err();
        assert!(
            matches!(refused, BundleError::Signatures { needed: 2, .. }),
            "{refused}"
        );
    }
    let rollback = one
        .signed()
        .clone()
        .follow(&roster, Some(&valid))
        .unwrap_err();
    assert_eq!(
        rollback,
        BundleError::Version {
            expected: 3,
            found: 1
        }
    );
    let again = valid
        .signed()
        .clone()
        .follow(&roster, Some(&valid))
        .unwrap_err();
    assert!(matches!(again, BundleError::Version { .. }));
    let mut skipped = two.clone();
    skipped.version = 3;
    let skipped = signed_by(skipped, &["root-1", "root-2"])
        .follow(&roster, Some(&one))
        .unwrap_err();
    assert_eq!(
        skipped,
        BundleError::Version {
            expected: 2,
            found: 3
        }
    );
    let mut fork = two.clone();
    fork.previous = Hash32::from_bytes([1; 32]);
    let fork = signed_by(fork, &["root-1", "root-2"])
        .follow(&roster, Some(&one))
        .unwrap_err();
    assert_eq!(fork, BundleError::Previous(1));
    let mut elsewhere = two.clone();
    elsewhere.cluster = Hash32::from_bytes([1; 32]);
    let elsewhere = signed_by(elsewhere, &["root-1", "root-2"])
        .follow(&roster, Some(&one))
        .unwrap_err();
    assert!(matches!(elsewhere, BundleError::OtherCluster { .. }));
    // Anything changed after it was signed.
    let mut changed = signed_by(two, &["root-1", "root-2"]);
    changed.bundle.book_delay_ms += 1;
    assert!(changed.follow(&roster, Some(&one)).is_err());
}

#[test]
fn t19_admins_hand_over_to_new_admins() {
    let roster = roster(2, 3);
    let one = first(&roster);
    let text = format!(
        "[admins]\nquorum = 1\n[admins.members]\nnew = \"{}\"",
        public("new")
    );
    let two = signed_by(next(&roster, &one, &text), &["root-1", "root-2"])
        .follow(&roster, Some(&one))
        .unwrap();
    let three = next(&roster, &two, "");
    assert!(
        signed_by(three.clone(), &["root-1", "root-2"])
            .follow(&roster, Some(&two))
            .is_err()
    );
    assert!(
        signed_by(three, &["new"])
            .follow(&roster, Some(&two))
            .is_ok()
    );
}

#[test]
fn rolling_limits_need_quorums_that_meet() {
    let roster = roster(2, 4);
    let rules = "[[rule]]\nid = \"daily\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"5\"\nwindow = \"24h\"";
    let refused = signed_by(bundle(&roster, rules), &["root-1", "root-2"]).follow(&roster, None);
    assert!(matches!(refused, Err(BundleError::Content(text)) if text.contains("2t > n")));
}

#[test]
fn people_share_no_credential_and_separated_groups_no_member() {
    let roster = roster(2, 3);
    let refused = |rules: &str| {
        let made = bundle(&roster, rules);
        signed_by(made, &["root-1", "root-2"])
            .follow(&roster, None)
            .unwrap_err()
            .to_string()
    };
    let twin = format!("[people.twin]\ned25519 = [\"{}\"]", public("ben"));
    assert!(refused(&twin).contains("listed twice"));
    let apart =
        "[[rule]]\nid = \"apart\"\ntype = \"separation\"\ngroups = [\"treasury\", \"risk\"]";
    assert!(refused(apart).contains("cas is in two groups"));
    let stolen = format!(
        "[people.operator]\n[people.thief]\ned25519 = [\"{}\"]",
        public("operator")
    );
    assert!(refused(&stolen).contains("key of another"));
}

#[test]
fn texts_that_are_no_policy_say_why() {
    let roster = roster(2, 3);
    for (rules, expected) in [
        ("nonsense = 1", "unknown field"),
        (
            "[[rule]]\nid = \"x\"\ntype = \"threshold\"\ngroup = \"treasury\"\napprovals = 9",
            "9 of the 4 people",
        ),
        (
            "[[rule]]\nid = \"x\"\ntype = \"threshold\"\ngroup = \"nobody\"\napprovals = 1",
            "nobody is in group",
        ),
        (
            "[[rule]]\nid = \"x\"\ntype = \"limit\"\nasset = \"DOGE\"\nmax = \"1\"",
            "not among the [[asset]]",
        ),
        (
            "[[rule]]\nid = \"x\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"1e5\"",
            "not an amount",
        ),
        (
            "[[rule]]\nid = \"x\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"1\"\nwindow = \"1y\"",
            "length of time",
        ),
        (
            "[[rule]]\nid = \"x\"\ntype = \"limit\"\nasset = \"ETH\"\nmax = \"1\"\nwindows = \"1d\"",
            "unknown field",
        ),
        (
            "[[rule]]\nid = \"x\"\ntype = \"hours\"\ndays = [\"funday\"]\nfrom = \"08:00\"\nto = \"09:00\"",
            "is no day",
        ),
        (
            "[[rule]]\nid = \"x\"\ntype = \"destinations\"\nallow = ['\"]; permit(principal,action,resource);//']",
            "printable ASCII",
        ),
        (
            "[[rule]]\nid = \"x\"\ntype = \"destinations\"\nallow = [\"0x70997970c51812dc3a010c7d01b50e0d17dc79c8\"]",
            "EIP-55",
        ),
        (
            "[[rule]]\nid = \"x\"\ntype = \"allow-danger\"\ndangers = [\"sharks\"]",
            "no danger",
        ),
    ] {
        let error = compile(&format!("{}\n{rules}", people()), header(&roster, None)).unwrap_err();
        assert!(error.to_string().contains(expected), "{rules}: {error}");
    }
}

#[test]
fn t18_rules_that_do_not_validate_strictly_are_refused() {
    let roster = roster(2, 3);
    for policy in [
        "permit(principal, action, resource) when { context.nothing };",
        "forbid(principal, action, resource) when { context.amount > \"5\" };",
        "forbid(principal, action, resource) when { context.approvals[\"nobody\"] > 1 };",
        "forbid(principal, action, resource) when { context.counters[\"x\"] > 1 };",
        "permit(principal, action, resource); permit(principal, action, resource);",
        "permit(principal == Person::\"ann\", action == Action::\"fly\", resource);",
        "not cedar",
    ] {
        let made = bundle(
            &roster,
            &format!("[[cedar]]\nid = \"raw\"\npolicy = '{policy}'"),
        );
        assert!(check_rules(&made).is_err(), "{policy}");
    }
}
