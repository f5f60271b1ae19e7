//! What a rule is about, and where it applies.

use quorate_types::{Bundle, GroupName, KeyName};

use super::super::rules::{ContractEntry, When};
use super::text::{either, every, value};
use crate::units::{parse_units, show_units};

/// What rules are about that name no actions.
pub(super) const SIGNING: &str = "transactions, messages and typed data";
/// What operators may ask for where a permission names no actions.
pub(super) const PROPOSED: &str = "transactions, messages, typed data, making keys, changing a key's protocol and setting the committee up";
/// Every kind of request.
pub(super) const ANYTHING: &str = "requests of every kind";
/// What rolling counters and the rules on them are about.
pub(super) const ANY_SIGNING: &str = "transactions, messages, typed data and raw bytes";

/// How amounts of a chain's own coin are compared; nothing is paid in a token.
pub(super) const WITH_FEE: &str = "a fee that is paid in it counted";

/// `about A and B, where C and D`: what `when` says; `usual` is what the rule is about where no
/// actions are named.
pub(super) fn applies(when: &When, bundle: &Bundle, usual: &str) -> String {
    let When {
        keys,
        key_group,
        networks,
        asset,
        above,
        destinations,
        unknown_destination,
        proposed_by,
        actions,
    } = when;
    let mut where_ = Vec::new();
    if !keys.is_empty() {
        where_.push(format!("the key is {}", either(keys)));
    }
    if let Some(group) = key_group {
        where_.push(format!("the key is of key group {group}"));
    }
    if !networks.is_empty() {
        where_.push(format!("the chain is {}", either(networks)));
    }
    if let Some(asset) = asset {
        where_.push(match above {
            Some(above) => format!(
                "more than {} leaves, {WITH_FEE}",
                amount(above, asset, bundle)
            ),
            None => format!("{} leaves", value(asset)),
        });
    }
    if !destinations.is_empty() {
        where_.push(format!("the destination is {}", either(destinations)));
    }
    if *unknown_destination {
        where_.push("the destination is not in the address book, or too new in it".to_owned());
    }
    if !proposed_by.is_empty() {
        where_.push(format!("somebody of {} asks for it", groups(proposed_by)));
    }
    let about = match actions.as_slice() {
        [] => usual.to_owned(),
        named => every(named),
    };
    match where_.as_slice() {
        [] => format!("about {about}"),
        parts => format!("about {about}, where {}", parts.join(" and ")),
    }
}

/// `group a` or `one of the groups a or b`.
pub(super) fn groups(groups: &[GroupName]) -> String {
    match groups {
        [one] => format!("group {one}"),
        several => format!("the groups {}", either(several)),
    }
}

/// `10 ETH`, however it was written.
pub(super) fn amount(text: &str, asset: &str, bundle: &Bundle) -> String {
    let known = bundle.assets.iter().find(|a| a.id == asset);
    let units = known.and_then(|a| Some(show_units(parse_units(text, a).ok()?, a)));
    format!("{} {}", units.unwrap_or_else(|| value(text)), value(asset))
}

/// `the key is hot or one of key group cold (vault and reserve)`: keys as limits take them, or
/// nothing where that is every key.
pub(super) fn limited_keys(
    keys: &[KeyName],
    group: Option<&GroupName>,
    bundle: &Bundle,
) -> Option<String> {
    let members = |name: &GroupName| {
        let of = bundle.key_groups.iter().filter(|g| g.name == *name);
        of.flat_map(|g| g.keys.clone()).collect::<Vec<_>>()
    };
    match (keys, group) {
        ([], None) => None,
        (keys, None) => Some(format!("the key is {}", either(keys))),
        ([], Some(group)) if members(group).is_empty() => {
            // A list without keys does not narrow a limit.
            Some(format!("the key is any (key group {group} has no keys)"))
        }
        ([], Some(group)) => {
            let members = every(&members(group));
            Some(format!("the key is of key group {group} ({members})"))
        }
        (keys, Some(group)) => {
            let members = every(&members(group));
            Some(format!(
                "the key is {} or of key group {group} ({members})",
                either(keys)
            ))
        }
    }
}

/// Contracts and methods that may be called.
pub(super) fn calls(allow: &[ContractEntry]) -> String {
    let one = |entry: &ContractEntry| {
        let ContractEntry { contract, methods } = entry;
        match methods.as_slice() {
            [] => format!("anything of {}", value(contract)),
            methods => format!("{} of {}", either(methods), value(contract)),
        }
    };
    let mut entries: Vec<String> = allow.iter().map(one).collect();
    entries.sort();
    entries.dedup();
    match entries.as_slice() {
        [] => "nothing".to_owned(),
        entries => entries.join("; "),
    }
}
