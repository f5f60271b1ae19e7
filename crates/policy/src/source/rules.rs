//! The rule templates, and the Cedar they become.

use quorate_chain::Danger;
use quorate_types::{
    Asset, Bundle, Counter, GroupName, KeyName, Measure, Network, RoleName, Rule, RuleId,
};
use serde::Deserialize;

use super::SourceError;
use super::cedar::{Policy, all, any, literal, set};
use super::document::{Document, Span};
use crate::units::{parse_units, show_units};

/// When a rule applies; what is left out does not narrow it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// These keys.
    #[serde(default)]
    pub(super) keys: Vec<KeyName>,
    /// Keys of this group.
    #[serde(default)]
    pub(super) key_group: Option<GroupName>,
    /// These chains.
    #[serde(default)]
    pub(super) networks: Vec<Network>,
    /// This asset.
    #[serde(default)]
    pub(super) asset: Option<String>,
    /// More than this of it in one request.
    #[serde(default)]
    pub(super) above: Option<String>,
    /// To these addresses.
    #[serde(default)]
    pub(super) destinations: Vec<String>,
    /// To addresses outside the book.
    #[serde(default)]
    pub(super) unknown_destination: bool,
    /// Proposed by one of these groups.
    #[serde(default)]
    pub(super) proposed_by: Vec<GroupName>,
    /// `transaction`, `message`, `typed-data`, `raw`, `create-key`, `set-protocol`, `set-up-committee`.
    #[serde(default)]
    pub(super) actions: Vec<String>,
}

/// A contract and its methods.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractEntry {
    /// The address as facts show it.
    pub(super) contract: String,
    /// `0x` and 8 digits; none means every method.
    #[serde(default)]
    pub(super) methods: Vec<String>,
}

/// One of the common rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RuleKind {
    /// Who may propose what; without one, every operator may propose transactions, messages, typed data, keys and the committee setup.
    Initiators {
        /// Members of these groups.
        groups: Vec<GroupName>,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// So many different people of a group approve.
    Threshold {
        /// The group.
        group: GroupName,
        /// How many.
        approvals: u16,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// The approvers have all these roles between them.
    Roles {
        /// The roles.
        roles: Vec<RoleName>,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// At most so much: in one request, or with `window` over time. In one request to any of the `destinations`, what goes elsewhere
    /// counts too.
    Limit {
        /// The asset.
        asset: String,
        /// The most, whole units.
        max: String,
        /// Over how long.
        #[serde(default)]
        window: Option<Span>,
        /// `key`, `destination`: each by itself.
        #[serde(default)]
        per: Vec<String>,
        /// Only these keys.
        #[serde(default)]
        keys: Vec<KeyName>,
        /// Only keys of this group, together.
        #[serde(default)]
        key_group: Option<GroupName>,
        /// Only these destinations.
        #[serde(default)]
        destinations: Vec<String>,
        /// Above it so many of this group must approve, instead of refusing.
        #[serde(default)]
        or_approvals: Option<OrApprovals>,
    },
    /// At most so many requests in a window.
    Velocity {
        /// The most.
        max: u32,
        /// Over how long.
        window: Span,
        /// `key`, `destination`: each by itself.
        #[serde(default)]
        per: Vec<String>,
        /// Only these keys.
        #[serde(default)]
        keys: Vec<KeyName>,
    },
    /// Not before this long after the custodian first saw the request.
    TimeLock {
        /// How long.
        delay: Span,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// So many different people of a group approve within this long after the request was made;
    /// later it is refused, and must be made and approved anew.
    Gather {
        /// The group.
        group: GroupName,
        /// How many.
        approvals: u16,
        /// How long after the operator signed the request.
        within: Span,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// Only at these hours.
    Hours {
        /// `mon` to `sun`.
        days: Vec<String>,
        /// `08:00`.
        from: String,
        /// `18:00`.
        to: String,
        /// `+01:00`.
        #[serde(default)]
        utc_offset: Option<String>,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// Every destination is in the address book, and its entry is old enough.
    AddressBook {
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// Only these destinations.
    Destinations {
        /// Addresses.
        allow: Vec<String>,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// Only these contracts and methods may be called. One request does not call both contracts listed whole and contracts listed with
    /// methods.
    Contracts {
        /// Which.
        allow: Vec<ContractEntry>,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// Only these chains.
    Chains {
        /// Which.
        allow: Vec<Network>,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// Only these assets.
    Assets {
        /// Names.
        allow: Vec<String>,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// The most a fee may be.
    Fee {
        /// The chain's own coin.
        asset: String,
        /// Whole units.
        #[serde(default)]
        max: Option<String>,
        /// Bitcoin: satoshi per virtual byte.
        #[serde(default)]
        max_rate: Option<u32>,
    },
    /// Raw bytes may be signed.
    Raw {
        /// With these keys; none means every key that was created for it.
        #[serde(default)]
        keys: Vec<KeyName>,
        /// By members of these groups; none means every operator.
        #[serde(default)]
        groups: Vec<GroupName>,
    },
    /// Something dangerous is allowed all the same.
    AllowDanger {
        /// `undecodable`, `delegatecall`, ...
        dangers: Vec<String>,
        /// Only if nothing but these is called.
        #[serde(default)]
        calls: Vec<ContractEntry>,
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// Unknown assets may move.
    AllowUnknownAssets {
        /// Where.
        #[serde(default)]
        when: When,
    },
    /// Nobody is in two of these groups, and who proposes from one is not approved by it.
    Separation {
        /// The groups.
        groups: Vec<GroupName>,
    },
}

/// Approvals that lift a limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrApprovals {
    pub(super) group: GroupName,
    pub(super) approvals: u16,
}

/// Dangers that are refused unless a rule allows them.
pub(super) fn refused() -> Vec<&'static str> {
    Danger::ALL.iter().map(|danger| danger.name()).collect()
}

/// Where a danger is refused. A message is valid on every chain by its nature, and an action of its
/// own.
fn refused_where(danger: Danger) -> &'static str {
    match danger {
        Danger::AnyChain => "action in [Action::\"sign-transaction\", Action::\"sign-typed-data\"]",
        Danger::Undecodable
        | Danger::Delegatecall
        | Danger::SetCode
        | Danger::ContractCreation
        | Danger::UnlimitedApproval
        | Danger::ApprovalForAll
        | Danger::AuthorityChange
        | Danger::ExcessiveFee => "action in Action::\"sign\"",
    }
}

/// Writes the bundle's rules, counters and separations.
pub(super) fn compile(document: &Document, bundle: &mut Bundle) -> Result<(), SourceError> {
    let mut permits = Vec::new();
    let mut lifted: Vec<(Vec<String>, String)> = Vec::new();
    let mut unknown_assets = Vec::new();
    for entry in &document.rule {
        let wrong = |reason: String| SourceError::Rule {
            rule: entry.id.to_string(),
            reason,
        };
        match &entry.kind {
            RuleKind::Initiators { .. } => permits.push(&entry.id),
            RuleKind::AllowDanger {
                dangers,
                calls,
                when,
            } => {
                lifted.push(allow_danger(bundle, dangers, calls, when).map_err(wrong)?);
            }
            RuleKind::AllowUnknownAssets { when } => {
                unknown_assets.push(condition(bundle, when).map_err(wrong)?);
            }
            RuleKind::Separation { groups } => {
                bundle.separations.push(groups.clone());
                continue;
            }
            _ => {}
        }
        if let Some(policy) = rule(bundle, &entry.id, &entry.kind).map_err(wrong)? {
            push(bundle, entry.id.clone(), &policy).map_err(wrong)?;
        }
        if let Some(late) = too_late(bundle, &entry.kind).map_err(wrong)? {
            let id = RuleId::new(&late_id(entry.id.as_str())).map_err(|e| wrong(e.to_string()))?;
            push(bundle, id, &late).map_err(wrong)?;
        }
    }
    built_in(bundle, permits.is_empty(), &lifted, &unknown_assets).map_err(SourceError::Content)
}

fn push(bundle: &mut Bundle, id: RuleId, policy: &Policy) -> Result<(), String> {
    let cedar = policy.text()?;
    bundle.rules.push(Rule { id, cedar });
    Ok(())
}

/// What holds without being written: operators may propose, dangers and unknown assets are refused.
fn built_in(
    bundle: &mut Bundle,
    everyone: bool,
    lifted: &[(Vec<String>, String)],
    unknown_assets: &[String],
) -> Result<(), String> {
    let id = |text: &str| RuleId::new(text).map_err(|e| e.to_string());
    if everyone {
        let reason = || "any operator may propose".to_owned();
        push(
            bundle,
            id("operators")?,
            &Policy::permit(PROPOSED, reason()),
        )?;
    }
    for danger in Danger::ALL {
        let mut policy = refusal(danger)?;
        let lifting = lifted.iter();
        let lifting = lifting.filter(|(dangers, _)| dangers.iter().any(|d| d == danger.name()));
        policy.unless = lifting.map(|(_, condition)| condition.clone()).collect();
        forbid_unless_lifted(bundle, id(&refusal_id(danger.name()))?, &policy)?;
    }
    let mut policy = Policy::forbid("it moves an asset that the policy does not know".to_owned());
    policy.when.push("!context.knownAsset".to_owned());
    policy.unless = unknown_assets.to_vec();
    forbid_unless_lifted(bundle, id(&refusal_id("unknown-asset"))?, &policy)
}

fn refusal(danger: Danger) -> Result<Policy, String> {
    let mut policy = Policy::forbid(format!("dangerous: {danger}"));
    policy.action = refused_where(danger).to_owned();
    let name = literal(danger.name())?;
    policy
        .when
        .push(format!("context.dangers.contains({name})"));
    Ok(policy)
}

/// The id of the rule that refuses what has this name: a danger, or an unknown asset.
pub(super) fn refusal_id(name: &str) -> String {
    format!("no-{name}")
}

/// Those of these rules that refuse a danger.
pub(super) fn refusals(rules: &[Rule]) -> Vec<Rule> {
    let ids = Danger::ALL.map(|danger| refusal_id(danger.name()));
    let refuses = |rule: &&Rule| ids.iter().any(|id| *id == rule.id.as_str());
    rules.iter().filter(refuses).cloned().collect()
}

/// Refusals of dangers that not every program knew that made bundles.
pub(super) fn later_refusals() -> Vec<Rule> {
    let later = [Danger::AnyChain, Danger::ExcessiveFee].into_iter();
    let rule = |danger: Danger| {
        let id = RuleId::new(&refusal_id(danger.name())).ok()?;
        let cedar = refusal(danger).ok()?.text().ok()?;
        Some(Rule { id, cedar })
    };
    later.filter_map(rule).collect()
}

/// What is allowed always is not forbidden at all: a rule that can never speak does not validate.
fn forbid_unless_lifted(bundle: &mut Bundle, id: RuleId, policy: &Policy) -> Result<(), String> {
    if policy.unless.iter().any(|condition| condition == ALWAYS) {
        return Ok(());
    }
    push(bundle, id, policy)
}

/// The condition of a rule that nothing narrows.
const ALWAYS: &str = "true";
/// What operators may ask for: the actions of a permission that names none.
const PROPOSED: &str = "action in [Action::\"sign\", Action::\"create-key\", Action::\"set-protocol\", Action::\"set-up-committee\"]";

fn allow_danger(
    bundle: &Bundle,
    dangers: &[String],
    calls: &[ContractEntry],
    when: &When,
) -> Result<(Vec<String>, String), String> {
    let refused = refused();
    if let Some(unknown) = dangers.iter().find(|d| !refused.contains(&d.as_str())) {
        return Err(format!(
            "{unknown:?} is no danger that is refused; they are {}",
            refused.join(", ")
        ));
    }
    let narrowed = condition(bundle, when)?;
    if calls.is_empty() {
        return Ok((dangers.to_vec(), narrowed));
    }
    let understood = "!context.malformed".to_owned();
    Ok((
        dangers.to_vec(),
        all(&[narrowed, only_calls(calls)?, understood]),
    ))
}

/// Nothing but these is called, and something is.
fn only_calls(allow: &[ContractEntry]) -> Result<String, String> {
    let whole: Vec<&str> = allow
        .iter()
        .filter(|e| e.methods.is_empty())
        .map(|e| e.contract.as_str())
        .collect();
    let methods: Vec<String> = allow
        .iter()
        .flat_map(|e| e.methods.iter().map(|m| format!("{} {m}", e.contract)))
        .collect();
    let method_contracts = allow
        .iter()
        .filter(|e| !e.methods.is_empty())
        .map(|e| e.contract.as_str());
    if let Some(e) = allow
        .iter()
        .find(|e| !e.methods.is_empty() && whole.contains(&e.contract.as_str()))
    {
        return Err(format!("{} is listed with and without methods", e.contract));
    }
    // Cedar has no loop over a set: calls are either all of whole contracts, or all of listed methods.
    let mut ways = Vec::new();
    if !whole.is_empty() {
        ways.push(format!(
            "{}.containsAll(context.contracts)",
            set(whole.iter().copied())?
        ));
    }
    if !methods.is_empty() {
        ways.push(format!(
            "{}.containsAll(context.calls) && {}.containsAll(context.contracts)",
            set(methods.iter().map(String::as_str))?,
            set(method_contracts)?
        ));
    }
    Ok(format!(
        "!context.calls.isEmpty() && {}",
        any(&[any(&ways)])
    ))
}

/// The Cedar of `when`.
fn condition(bundle: &Bundle, when: &When) -> Result<String, String> {
    let mut parts = Vec::new();
    if !when.keys.is_empty() {
        parts.push(format!(
            "{}.contains(resource.name)",
            set(when.keys.iter().map(KeyName::as_str))?
        ));
    }
    if let Some(group) = &when.key_group {
        known_key_group(bundle, group)?;
        parts.push(format!("resource in KeyGroup::\"{group}\""));
    }
    if !when.networks.is_empty() {
        let networks: Vec<String> = when.networks.iter().map(ToString::to_string).collect();
        parts.push(format!(
            "{}.contains(context.network)",
            set(networks.iter().map(String::as_str))?
        ));
    }
    if let Some(asset) = &when.asset {
        let asset = known_asset(bundle, asset)?;
        parts.push(match &when.above {
            Some(above) => more_than(above, asset)?,
            None => format!("context.asset == {}", literal(&asset.id)?),
        });
    } else if when.above.is_some() {
        return Err("`above` needs `asset`".to_owned());
    }
    if !when.destinations.is_empty() {
        parts.push(format!(
            "{}.contains(context.destination)",
            set(when.destinations.iter().map(String::as_str))?
        ));
    }
    if when.unknown_destination {
        parts.push("!context.inBook".to_owned());
    }
    if !when.proposed_by.is_empty() {
        let groups = when
            .proposed_by
            .iter()
            .map(|g| known_group(bundle, g).map(|()| format!("principal in Group::\"{g}\"")));
        parts.push(any(&groups.collect::<Result<Vec<_>, _>>()?));
    }
    if !when.actions.is_empty() {
        let actions = when
            .actions
            .iter()
            .map(|a| action(a))
            .collect::<Result<Vec<_>, _>>()?;
        parts.push(format!("[{}].contains(action)", actions.join(", ")));
    }
    Ok(if parts.is_empty() {
        ALWAYS.to_owned()
    } else {
        all(&parts)
    })
}

/// More than so much of an asset leaves in one request. The chain's own coin leaves as the fee,
/// too,
/// whatever else is moved.
fn more_than(whole: &str, asset: &Asset) -> Result<String, String> {
    let units = parse_units(whole, asset).map_err(|e| e.to_string())?;
    let moves = format!(
        "context.asset == {} && context.amount > {units}",
        literal(&asset.id)?
    );
    if asset.contract.is_some() {
        return Ok(moves);
    }
    let network = literal(&asset.network.to_string())?;
    let pays = format!("context.network == {network} && context.fee > {units}");
    Ok(any(&[moves, pays]))
}

fn action(name: &str) -> Result<String, String> {
    let full = match name {
        "transaction" | "message" | "typed-data" | "raw" => format!("sign-{name}"),
        "create-key" | "set-protocol" | "set-up-committee" => name.to_owned(),
        _ => {
            return Err(format!(
                "{name:?} is no action; they are transaction, message, typed-data, raw, create-key, set-protocol, set-up-committee"
            ));
        }
    };
    Ok(format!("Action::\"{full}\""))
}

/// The actions a rule is about: transactions, messages and typed data unless `when` names others.
fn scope(when: &When) -> Result<String, String> {
    if when.actions.is_empty() {
        return Ok("action in Action::\"sign\"".to_owned());
    }
    let actions = when
        .actions
        .iter()
        .map(|a| action(a))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(format!("action in [{}]", actions.join(", ")))
}

fn known_asset<'a>(bundle: &'a Bundle, id: &str) -> Result<&'a Asset, String> {
    let found = bundle.assets.iter().find(|a| a.id == id);
    found.ok_or_else(|| format!("asset {id:?} is not among the [[asset]] entries"))
}

fn known_group(bundle: &Bundle, group: &GroupName) -> Result<(), String> {
    if bundle.people.iter().any(|p| p.groups.contains(group)) {
        return Ok(());
    }
    Err(format!("nobody is in group {group}"))
}

fn known_key_group(bundle: &Bundle, group: &GroupName) -> Result<(), String> {
    if bundle.key_groups.iter().any(|g| g.name == *group) {
        return Ok(());
    }
    Err(format!("there is no key group {group}"))
}

/// Conditions of `when` besides the action.
fn narrowed(bundle: &Bundle, when: &When, mut policy: Policy) -> Result<Policy, String> {
    policy.action = scope(when)?;
    let without = When {
        actions: Vec::new(),
        ..when.clone()
    };
    let condition = condition(bundle, &without)?;
    if condition != ALWAYS {
        policy.when.insert(0, condition);
    }
    Ok(policy)
}

fn rule(bundle: &mut Bundle, id: &RuleId, kind: &RuleKind) -> Result<Option<Policy>, String> {
    let policy = match kind {
        RuleKind::Initiators { groups, when } => initiators(bundle, groups, when)?,
        RuleKind::Threshold {
            group,
            approvals,
            when,
        } => {
            let policy = approvals_of(bundle, group, *approvals)?;
            narrowed(bundle, when, policy)?
        }
        RuleKind::Roles { roles, when } => narrowed(bundle, when, roles_rule(bundle, roles)?)?,
        RuleKind::Limit { .. } => limit(bundle, id, kind)?,
        RuleKind::Velocity {
            max,
            window,
            per,
            keys,
        } => {
            let counter = counter(id, Measure::Count, *window, per, keys.clone(), Vec::new())?;
            bundle.counters.push(counter);
            let mut policy = Policy::forbid(format!("more than {max} requests in {window}"));
            policy.action = any_signing();
            policy
                .when
                .push(format!("context.counters[\"{id}\"] > {max}"));
            policy
        }
        RuleKind::TimeLock { delay, when } => narrowed(bundle, when, time_lock(*delay)?)?,
        RuleKind::Gather {
            group,
            approvals,
            when,
            ..
        } => {
            let policy = approvals_of(bundle, group, *approvals)?;
            narrowed(bundle, when, policy)?
        }
        RuleKind::Hours {
            days,
            from,
            to,
            utc_offset,
            when,
        } => {
            let policy = hours(days, from, to, utc_offset.as_deref())?;
            narrowed(bundle, when, policy)?
        }
        _ => return lists(bundle, kind),
    };
    Ok(Some(policy))
}

/// Allow-lists, fees and raw signing.
fn lists(bundle: &Bundle, kind: &RuleKind) -> Result<Option<Policy>, String> {
    let (reason, allowed, when) = match kind {
        RuleKind::AddressBook { when } => (
            "a destination is not in the address book, or too new in it",
            "context.allInBook".to_owned(),
            when,
        ),
        RuleKind::Destinations { allow, when } => {
            let allowed = set(allow.iter().map(String::as_str))?;
            let allowed = format!(
                "!context.destinations.isEmpty() && {allowed}.containsAll(context.destinations)"
            );
            ("a destination is not on the list", allowed, when)
        }
        RuleKind::Contracts { allow, when } => (
            "a contract or method is not on the list",
            format!("context.calls.isEmpty() || ({})", only_calls(allow)?),
            when,
        ),
        RuleKind::Chains { allow, when } => {
            let names: Vec<String> = allow.iter().map(ToString::to_string).collect();
            (
                "the chain is not on the list",
                format!(
                    "{}.contains(context.network)",
                    set(names.iter().map(String::as_str))?
                ),
                when,
            )
        }
        RuleKind::Assets { allow, when } => {
            let allow = allow
                .iter()
                .map(|a| known_asset(bundle, a).map(|a| a.id.as_str()))
                .collect::<Result<Vec<_>, _>>()?;
            (
                "the asset is not on the list",
                format!(
                    "context.asset == \"\" && context.knownAsset || {}.contains(context.asset)",
                    set(allow)?
                ),
                when,
            )
        }
        RuleKind::Fee {
            asset,
            max,
            max_rate,
        } => return fee(bundle, asset, max.as_deref(), *max_rate).map(Some),
        RuleKind::Raw { keys, groups } => return raw(bundle, keys, groups).map(Some),
        _ => return Ok(None),
    };
    let mut policy = Policy::forbid(reason.to_owned());
    policy.unless.push(allowed);
    narrowed(bundle, when, policy).map(Some)
}

/// Both times are first shown to lie where their difference is within Cedar's numbers, so that the
/// rule never errs, whatever a clock says.
fn time_lock(delay: Span) -> Result<Policy, String> {
    bounded(delay)?;
    let mut policy = Policy::forbid(format!("waits {delay} after it was first seen"));
    policy.pending = Some(format!("wait:{delay}"));
    let time = |name: &str| {
        format!(
            "context.{name} >= datetime(\"1970-01-01\") && context.{name} < datetime(\"9999-01-01\")"
        )
    };
    let ms = delay.ms();
    policy.unless.push(all(&[
        time("proposedAt"),
        time("now"),
        format!("context.now.durationSince(context.proposedAt) >= duration(\"{ms}ms\")"),
    ]));
    Ok(policy)
}

/// Nothing waits for longer than the longest window of a limit.
fn bounded(span: Span) -> Result<(), String> {
    match span.ms() {
        0 => Err("a length of time is more than nothing".to_owned()),
        ms if ms > Bundle::MAX_WINDOW_MS => Err("at most 366d".to_owned()),
        _ => Ok(()),
    }
}

/// The id under which the second half of a `gather` rule refuses.
pub(super) fn late_id(id: &str) -> String {
    format!("{id}-late")
}

/// The half of a `gather` rule that no approval lifts any more.
fn too_late(bundle: &Bundle, kind: &RuleKind) -> Result<Option<Policy>, String> {
    let RuleKind::Gather {
        group,
        approvals,
        within,
        when,
    } = kind
    else {
        return Ok(None);
    };
    bounded(*within)?;
    let mut policy = Policy::forbid(format!(
        "{approvals} approvals of {group} were not gathered within {within}; make the request anew"
    ));
    let ms = within.ms();
    policy.when.push(format!(
        "context.sinceAsked > {ms} && context.gathered[\"{group}\"][\"{approvals}\"] > {ms}"
    ));
    narrowed(bundle, when, policy).map(Some)
}

/// Everything that leaves a signature.
fn any_signing() -> String {
    "action in [Action::\"sign\", Action::\"sign-raw\"]".to_owned()
}

fn initiators(bundle: &Bundle, groups: &[GroupName], when: &When) -> Result<Policy, String> {
    let mut policy = Policy::permit("", "may propose".to_owned());
    let members = groups
        .iter()
        .map(|g| known_group(bundle, g).map(|()| format!("principal in Group::\"{g}\"")));
    let members = members.collect::<Result<Vec<_>, _>>()?;
    if members.is_empty() {
        return Err("name at least one group".to_owned());
    }
    policy.when.push(any(&members));
    let mut policy = narrowed(bundle, when, policy)?;
    if when.actions.is_empty() {
        policy.action = PROPOSED.to_owned();
    }
    Ok(policy)
}

fn approvals_of(bundle: &Bundle, group: &GroupName, approvals: u16) -> Result<Policy, String> {
    known_group(bundle, group)?;
    let members = bundle
        .people
        .iter()
        .filter(|p| p.groups.contains(group))
        .count();
    if usize::from(approvals) > members || approvals == 0 {
        return Err(format!(
            "{approvals} of the {members} people in {group} cannot approve"
        ));
    }
    let mut policy = Policy::forbid(format!("needs {approvals} approvals of {group}"));
    policy.pending = Some(format!("approve:{group}:{approvals}"));
    policy
        .unless
        .push(format!("context.approvals[\"{group}\"] >= {approvals}"));
    Ok(policy)
}

fn roles_rule(bundle: &Bundle, roles: &[RoleName]) -> Result<Policy, String> {
    if roles.is_empty() {
        return Err("name at least one role".to_owned());
    }
    if let Some(role) = roles
        .iter()
        .find(|r| !bundle.people.iter().any(|p| p.roles.contains(r)))
    {
        return Err(format!("nobody has the role {role}"));
    }
    let names: Vec<&str> = roles.iter().map(RoleName::as_str).collect();
    let mut policy = Policy::forbid(format!("needs approvals of {}", names.join(" and ")));
    policy.pending = Some(format!("role:{}", names.join("+")));
    let entities: Vec<String> = names.iter().map(|r| format!("Role::\"{r}\"")).collect();
    policy.unless.push(format!(
        "context.approverRoles.containsAll([{}])",
        entities.join(", ")
    ));
    Ok(policy)
}

fn limit(bundle: &mut Bundle, id: &RuleId, kind: &RuleKind) -> Result<Policy, String> {
    let RuleKind::Limit {
        asset,
        max,
        window,
        per,
        keys,
        key_group,
        destinations,
        or_approvals,
    } = kind
    else {
        return Err("not a limit".to_owned());
    };
    let asset = known_asset(bundle, asset)?.clone();
    let units = parse_units(max, &asset).map_err(|e| e.to_string())?;
    let shown = show_units(units, &asset);
    let mut keys = keys.clone();
    if let Some(group) = key_group {
        known_key_group(bundle, group)?;
        let of = bundle.key_groups.iter().filter(|g| g.name == *group);
        keys.extend(of.flat_map(|g| g.keys.clone()));
    }
    let mut policy;
    if let Some(window) = window {
        policy = Policy::forbid(format!("more than {shown} {} in {window}", asset.id));
        policy.action = any_signing();
        let measure = Measure::Amount {
            asset: asset.id.clone(),
        };
        let counter = counter(id, measure, *window, per, keys, destinations.clone())?;
        bundle.counters.push(counter);
        policy
            .when
            .push(format!("context.counters[\"{id}\"] > {units}"));
    } else {
        if !per.is_empty() {
            return Err("`per` needs `window`".to_owned());
        }
        policy = Policy::forbid(format!("more than {shown} {} in one request", asset.id));
        policy.when.push(match destinations.is_empty() {
            true => more_than(max, &asset)?,
            // What a destination may get says nothing of fees.
            false => format!(
                "context.asset == {} && context.moved > {units}",
                literal(&asset.id)?
            ),
        });
        let when = When {
            keys,
            destinations: destinations.clone(),
            ..When::default()
        };
        policy = narrowed(bundle, &when, policy)?;
    }
    if let Some(OrApprovals { group, approvals }) = or_approvals {
        let lift = approvals_of(bundle, group, *approvals)?;
        policy.pending = lift.pending;
        policy.unless = lift.unless;
    }
    Ok(policy)
}

fn counter(
    id: &RuleId,
    measure: Measure,
    window: Span,
    per: &[String],
    keys: Vec<KeyName>,
    destinations: Vec<String>,
) -> Result<Counter, String> {
    if let Some(unknown) = per
        .iter()
        .find(|p| !["key", "destination"].contains(&p.as_str()))
    {
        return Err(format!("`per` is key or destination, not {unknown:?}"));
    }
    let split = |name: &str| per.iter().any(|p| p == name);
    Ok(Counter {
        id: id.clone(),
        measure,
        window_ms: window.ms(),
        keys,
        destinations,
        per_key: split("key"),
        per_destination: split("destination"),
    })
}

fn fee(
    bundle: &Bundle,
    asset: &str,
    max: Option<&str>,
    max_rate: Option<u32>,
) -> Result<Policy, String> {
    let asset = known_asset(bundle, asset)?;
    if asset.contract.is_some() {
        return Err(format!(
            "{} is a token; fees are paid in the chain's own coin",
            asset.id
        ));
    }
    let mut over = Vec::new();
    let mut said = Vec::new();
    if let Some(max) = max {
        let units = parse_units(max, asset).map_err(|e| e.to_string())?;
        over.push(format!("context.fee > {units}"));
        said.push(format!("{} {}", show_units(units, asset), asset.id));
    }
    if let Some(rate) = max_rate {
        over.push(format!("context.feeRate > {rate}"));
        said.push(format!("{rate} sat/vB"));
    }
    if over.is_empty() {
        return Err("name `max` or `max_rate`".to_owned());
    }
    let mut policy = Policy::forbid(format!("a fee of more than {}", said.join(" or ")));
    policy.when.push(format!(
        "context.network == {}",
        literal(&asset.network.to_string())?
    ));
    policy.when.push(any(&over));
    Ok(policy)
}

fn raw(bundle: &Bundle, keys: &[KeyName], groups: &[GroupName]) -> Result<Policy, String> {
    let mut policy = Policy::permit(
        "action == Action::\"sign-raw\"",
        "may sign raw bytes".to_owned(),
    );
    if !keys.is_empty() {
        policy.when.push(format!(
            "{}.contains(resource.name)",
            set(keys.iter().map(KeyName::as_str))?
        ));
    }
    if !groups.is_empty() {
        let members = groups
            .iter()
            .map(|g| known_group(bundle, g).map(|()| format!("principal in Group::\"{g}\"")));
        policy
            .when
            .push(any(&members.collect::<Result<Vec<_>, _>>()?));
    }
    Ok(policy)
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY: i64 = 24 * 60;
const WEEK: i64 = 7 * DAY;

fn hours(
    days: &[String],
    from: &str,
    to: &str,
    utc_offset: Option<&str>,
) -> Result<Policy, String> {
    let (start, end) = (minutes(from)?, minutes(to)?);
    if start >= end {
        return Err("`from` must be before `to`".to_owned());
    }
    let offset = utc_offset.map_or(Ok(0), offset)?;
    let mut open = Vec::new();
    for day in days {
        let number = DAYS.iter().position(|d| d == day);
        let number =
            number.ok_or_else(|| format!("{day:?} is no day; they are {}", DAYS.join(", ")))?;
        let midnight = i64::try_from(number)
            .unwrap_or(0)
            .saturating_mul(DAY)
            .saturating_sub(offset);
        let first = midnight.saturating_add(start).rem_euclid(WEEK);
        let last = first.saturating_add(end.saturating_sub(start));
        // A day's hours may run over the end of the week in UTC.
        for shift in [0, WEEK] {
            let (a, b) = (
                first.saturating_sub(shift).max(0),
                last.saturating_sub(shift).min(WEEK),
            );
            if a < b {
                open.push(format!(
                    "context.weekMinute >= {a} && context.weekMinute < {b}"
                ));
            }
        }
    }
    if open.is_empty() {
        return Err("name at least one day".to_owned());
    }
    let zone = utc_offset.unwrap_or("+00:00");
    let mut policy = Policy::forbid(format!(
        "outside {from} to {to} {zone} on {}",
        days.join(", ")
    ));
    policy.pending = Some("wait:hours".to_owned());
    policy.unless = open;
    Ok(policy)
}

/// `18:30`; `24:00` is the end of the day.
fn minutes(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no time of day; write 08:00");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let parse = |part: &str| part.parse::<i64>().ok().filter(|_| part.len() == 2);
    let (hours, minutes) = (
        parse(hours).ok_or_else(wrong)?,
        parse(minutes).ok_or_else(wrong)?,
    );
    let total = hours.saturating_mul(60).saturating_add(minutes);
    if minutes < 60 && hours >= 0 && minutes >= 0 && total <= DAY {
        Ok(total)
    } else {
        Err(wrong())
    }
}

/// `+05:30`.
fn offset(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no offset from UTC; write +01:00");
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(wrong()),
    };
    let minutes = minutes(rest).map_err(|_| wrong())?;
    if minutes <= 14 * 60 {
        Ok(sign * minutes)
    } else {
        Err(wrong())
    }
}
