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

/// The schema in Cedar's own syntax.
///
/// Amounts are policy units of `asset` (see [`quorate_types::Asset`]); times are UTC.
#[must_use]
pub fn schema(bundle: &Bundle) -> String {
    let mut approvals = String::new();
    for group in groups(bundle) {
        // Names are a-z, 0-9 and '-': they need no escapes.
        let _ = write!(approvals, "\n    \"{group}\": Long,");
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

// One evaluation for each destination and asset: `leg` is what this destination gets of it, `amount` what all get together.
type Context = {{
  network: String,
  asset: String,
  amount: Long,
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
