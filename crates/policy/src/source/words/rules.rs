//! A rule of a template, as a sentence. Every field of every template is named here: one more does
//! not compile until it is said.

use quorate_types::{Bundle, KeyName};

use super::super::document::{Document, Span};
use super::super::rules::{OrApprovals, RuleKind, When, late_id};
use super::text::{count, either, every, value};
use super::when::{
    ANY_SIGNING, PROPOSED, SIGNING, WITH_FEE, amount, applies, calls, groups, limited_keys,
};

/// What the rule does; nothing for templates that are no rule of their own in a bundle: allowed
/// dangers and unknown assets, and separations.
pub(super) fn sentence(kind: &RuleKind, bundle: &Bundle) -> Option<String> {
    let about = |when: &When| applies(when, bundle, SIGNING);
    Some(match kind {
        RuleKind::Initiators { groups: of, when } => format!(
            "permits members of {} to ask; {}",
            groups(of),
            applies(when, bundle, PROPOSED)
        ),
        RuleKind::Threshold {
            group,
            approvals,
            when,
        } => format!(
            "waits until {} of group {group} approve; {}",
            count(*approvals, "person", "people"),
            about(when)
        ),
        RuleKind::Roles { roles, when } => format!(
            "waits until those who approve have the roles {} between them; {}",
            every(roles),
            about(when)
        ),
        RuleKind::Limit {
            asset,
            max,
            window,
            per,
            keys,
            key_group,
            destinations,
            or_approvals,
        } => {
            let narrowed = Narrowed {
                per,
                keys: limited_keys(keys, key_group.as_ref(), bundle),
                destinations,
            };
            limit(
                &amount(max, asset, bundle),
                *window,
                &narrowed,
                or_approvals,
            )
        }
        RuleKind::Velocity {
            max,
            window,
            per,
            keys,
        } => {
            let narrowed = Narrowed {
                per,
                keys: limited_keys(keys, None, bundle),
                destinations: &[],
            };
            format!(
                "refuses more than {} in {window}{}; about {ANY_SIGNING}, each of a batch",
                count(*max, "request", "requests"),
                narrowed.counted()
            )
        }
        RuleKind::TimeLock { delay, when } => format!(
            "waits until {delay} after the custodian first saw the request; {}",
            about(when)
        ),
        RuleKind::Gather {
            group,
            approvals,
            within,
            when,
        } => format!(
            "waits until {} of group {group} approve, and refuses what they have not approved within {within} after it was asked for; {}",
            count(*approvals, "person", "people"),
            about(when)
        ),
        RuleKind::Hours {
            days,
            from,
            to,
            utc_offset,
            when,
        } => format!(
            "waits outside of {} to {} ({} from UTC) on {}; {}",
            value(from),
            value(to),
            value(utc_offset.as_deref().unwrap_or("+00:00")),
            every(days),
            about(when)
        ),
        RuleKind::AddressBook { when } => format!(
            "refuses unless every destination is in the address book and old enough in it; {}",
            about(when)
        ),
        RuleKind::Destinations { allow, when } => format!(
            "refuses unless every destination is {}; {}",
            either(allow),
            about(when)
        ),
        RuleKind::Contracts { allow, when } => format!(
            "refuses calls of anything but {}; {}",
            calls(allow),
            about(when)
        ),
        RuleKind::Chains { allow, when } => format!(
            "refuses chains other than {}; {}",
            either(allow),
            about(when)
        ),
        RuleKind::Assets { allow, when } => format!(
            "refuses assets other than {}; {}",
            either(allow),
            about(when)
        ),
        RuleKind::Fee {
            asset,
            max,
            max_rate,
        } => fee(asset, max.as_deref(), *max_rate, bundle),
        RuleKind::Raw { keys, groups: of } => {
            let keys = match keys.as_slice() {
                [] => "every key that was made for it".to_owned(),
                named => format!("key {}", either(named)),
            };
            let people = match of.as_slice() {
                [] => "every operator".to_owned(),
                named => format!("members of {}", groups(named)),
            };
            format!("permits raw bytes to be signed with {keys}, asked for by {people}")
        }
        RuleKind::AllowDanger {
            dangers: _,
            calls: _,
            when: _,
        }
        | RuleKind::AllowUnknownAssets { when: _ }
        | RuleKind::Separation { groups: _ } => return None,
    })
}

/// What a limit or counter counts of all there is.
struct Narrowed<'a> {
    per: &'a [String],
    /// Nothing where it is every key.
    keys: Option<String>,
    destinations: &'a [String],
}

impl Narrowed<'_> {
    /// As the end of `more than 5 in 24h`.
    fn counted(&self) -> String {
        let mut text = String::new();
        if !self.per.is_empty() {
            text.push_str(&format!(", for each {} by itself", every(self.per)));
        }
        self.conditions(&mut text);
        text
    }

    fn conditions(&self, text: &mut String) {
        let destinations = (!self.destinations.is_empty())
            .then(|| format!("the destination is {}", either(self.destinations)));
        let parts: Vec<String> = self.keys.clone().into_iter().chain(destinations).collect();
        if !parts.is_empty() {
            text.push_str(&format!(", where {}", parts.join(" and ")));
        }
    }
}

fn limit(
    max: &str,
    window: Option<Span>,
    narrowed: &Narrowed<'_>,
    or_approvals: &Option<OrApprovals>,
) -> String {
    let (over, about) = match window {
        Some(window) => (
            format!("more than {max} in {window}{}", narrowed.counted()),
            ANY_SIGNING,
        ),
        None => {
            let mut over = match narrowed.destinations {
                [] => format!("more than {max} in one request, {WITH_FEE}"),
                _ => format!("more than {max} in one request, the fee left out"),
            };
            narrowed.conditions(&mut over);
            (over, SIGNING)
        }
    };
    match or_approvals {
        None => format!("refuses {over}; about {about}"),
        Some(OrApprovals { group, approvals }) => format!(
            "waits until {} of group {group} approve {over}; about {about}",
            count(*approvals, "person", "people")
        ),
    }
}

fn fee(asset: &str, max: Option<&str>, max_rate: Option<u32>, bundle: &Bundle) -> String {
    let most = max.map(|max| amount(max, asset, bundle));
    let rate = max_rate.map(|rate| format!("{rate} satoshi per virtual byte"));
    let over: Vec<String> = most.into_iter().chain(rate).collect();
    let known = bundle.assets.iter().find(|a| a.id == asset);
    let chain = known.map_or_else(|| value(asset), |a| a.network.to_string());
    format!(
        "refuses a fee of more than {} on {chain}; about {SIGNING}",
        over.join(" or of more than ")
    )
}

/// The second half of a `gather` rule, which has an id of its own.
pub(super) fn too_late(document: &Document, id: &str) -> Option<String> {
    let entry = document.rule.iter().find(|entry| {
        matches!(entry.kind, RuleKind::Gather { .. }) && late_id(entry.id.as_str()) == id
    })?;
    Some(format!(
        "is the end of the time that rule {} gives",
        entry.id
    ))
}

/// The keys that a rule names, besides those of key groups.
pub(super) fn keys_of(kind: &RuleKind) -> &[KeyName] {
    match kind {
        RuleKind::Initiators { groups: _, when }
        | RuleKind::Threshold {
            group: _,
            approvals: _,
            when,
        }
        | RuleKind::Roles { roles: _, when }
        | RuleKind::TimeLock { delay: _, when }
        | RuleKind::Gather {
            group: _,
            approvals: _,
            within: _,
            when,
        }
        | RuleKind::Hours {
            days: _,
            from: _,
            to: _,
            utc_offset: _,
            when,
        }
        | RuleKind::AddressBook { when }
        | RuleKind::Destinations { allow: _, when }
        | RuleKind::Contracts { allow: _, when }
        | RuleKind::Chains { allow: _, when }
        | RuleKind::Assets { allow: _, when }
        | RuleKind::AllowDanger {
            dangers: _,
            calls: _,
            when,
        }
        | RuleKind::AllowUnknownAssets { when } => &when.keys,
        RuleKind::Limit {
            asset: _,
            max: _,
            window: _,
            per: _,
            keys,
            key_group: _,
            destinations: _,
            or_approvals: _,
        }
        | RuleKind::Velocity {
            max: _,
            window: _,
            per: _,
            keys,
        }
        | RuleKind::Raw { keys, groups: _ } => keys,
        RuleKind::Fee {
            asset: _,
            max: _,
            max_rate: _,
        }
        | RuleKind::Separation { groups: _ } => &[],
    }
}
