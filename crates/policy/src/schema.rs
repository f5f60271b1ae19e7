//! The Cedar schema of a bundle: its groups and counters are attributes, so that a misspelt one does not validate.

use std::fmt::Write as _;

use quorate_types::{Bundle, GroupName};

/// Every group that people are in, in order, each once.
#[must_use]
pub fn groups(bundle: &Bundle) -> Vec<GroupName> {
    let mut groups: Vec<GroupName> = bundle
        .people
        .iter()
        .flat_map(|p| p.groups.clone())
        .collect();
    groups.sort();
    groups.dedup();
    groups
}

/// How many people are in a group.
pub(crate) fn members(bundle: &Bundle, group: &GroupName) -> usize {
    let of = |person: &&quorate_types::Person| person.groups.contains(group);
    bundle.people.iter().filter(of).count()
}

/// The schema in Cedar's own syntax.
///
/// Amounts are policy units of `asset` (see [`quorate_types::Asset`]); times are UTC.
#[must_use]
pub fn schema(bundle: &Bundle) -> String {
    let (mut approvals, mut gathered) = (String::new(), String::new());
    for group in groups(bundle) {
        // Names are a-z, 0-9 and '-': they need no escapes.
        let _ = write!(approvals, "\n    \"{group}\": Long,");
        let nth = |number: usize| format!("\"{number}\": Long");
        let all: Vec<String> = (1..=members(bundle, &group)).map(nth).collect();
        let _ = write!(gathered, "\n    \"{group}\": {{ {} }},", all.join(", "));
    }
    let mut counters = String::new();
    for counter in &bundle.counters {
        let _ = write!(counters, "\n    \"{}\": Long,", counter.id);
    }
    format!(
        r#"entity Group;
entity Role;
entity KeyGroup;
entity Person in [Group, Role] {{ name: String }};
entity Key in [KeyGroup] {{ name: String, scheme: String, curve: String }};
entity Committee;

// One evaluation for each destination and asset: `leg` is what this destination gets of it, `moved` what all get together, and
// `amount` that and the most the fee can be where it is paid in the asset. `sinceAsked`: milliseconds since the request; `gathered`: how many after it a group's
// first approval came, its second and so on.
type Context = {{
  network: String,
  asset: String,
  amount: Long,
  moved: Long,
  leg: Long,
  destination: String,
  destinations: Set<String>,
  label: String,
  inBook: Bool,
  allInBook: Bool,
  knownAsset: Bool,
  calls: Set<String>,
  contracts: Set<String>,
  fee: Long,
  feeRate: Long,
  malformed: Bool,
  dangers: Set<String>,
  approvals: {{{approvals}
  }},
  approvers: Set<String>,
  approverRoles: Set<Role>,
  counters: {{{counters}
  }},
  proposedAt: datetime,
  now: datetime,
  sinceAsked: Long,
  gathered: {{{gathered}
  }},
  weekMinute: Long,
}};

action "sign";
action "sign-transaction", "sign-message", "sign-typed-data" in ["sign"] appliesTo {{
  principal: [Person], resource: [Key], context: Context
}};
action "sign-raw", "create-key", "set-protocol" appliesTo {{ principal: [Person], resource: [Key], context: Context }};
action "set-up-committee" appliesTo {{ principal: [Person], resource: [Committee], context: Context }};
"#
    )
}
