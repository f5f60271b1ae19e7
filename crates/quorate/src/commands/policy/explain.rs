//! What a policy comes to, in words.

use std::collections::BTreeMap;

use quorate_types::{Bundle, Rule, ValidRoster};
use serde_json::json;

use super::{draft, named_or_in_force};
use crate::args::{ClientArgs, ExplainArgs, PolicyFileArgs};
use crate::operator::Viewer;
use crate::output;

pub async fn explain(client: &ClientArgs, args: &ExplainArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let bundle = named_or_in_force(&viewer, args.file.as_deref()).await?;
    if json {
        return output::json(&json!({ "rules": bundle.rules, "counters": bundle.counters }));
    }
    for rule in &bundle.rules {
        println!("{:24} {}", rule.id.to_string(), meaning(rule));
        if args.cedar {
            for line in rule.cedar.lines() {
                println!("    {line}");
            }
        }
    }
    Ok(())
}

/// The rule's own words: what it permits, refuses, or waits for.
fn meaning(rule: &Rule) -> String {
    let annotation = |name: &str| {
        let (_, rest) = rule.cedar.split_once(&format!("@{name}(\""))?;
        rest.split_once("\")").map(|(text, _)| text.to_owned())
    };
    let reason = annotation("reason").unwrap_or_else(|| "its own Cedar; see --cedar".to_owned());
    match (annotation("pending"), rule.cedar.contains("permit(")) {
        (Some(what), _) => format!("waits    {reason} [{what}]"),
        (None, true) => format!("permits  {reason}"),
        (None, false) => format!("refuses  {reason}"),
    }
}

/// What an admin should think about before signing.
pub fn warnings(bundle: &Bundle, roster: &ValidRoster) -> Vec<String> {
    let mut warnings = Vec::new();
    let waits = bundle
        .rules
        .iter()
        .any(|r| r.cedar.contains("@pending(\"approve:") || r.cedar.contains("@pending(\"role:"));
    if !waits {
        warnings.push("no rule asks for approvals: one operator's signature is enough for what the rules permit".to_owned());
    }
    if bundle.admins.quorum == 1 {
        warnings.push("one admin alone can change the policy".to_owned());
    }
    if !bundle.people.iter().any(|p| p.guardian) {
        warnings
            .push("there is no guardian: nobody can stop everything with one signature".to_owned());
    }
    let (t, n) = (roster.threshold().t(), roster.threshold().n());
    if let (false, Some(q)) = (bundle.counters.is_empty(), bundle.limit_ack)
        && 2 * u32::from(q) < u32::from(n) + u32::from(t)
    {
        warnings.push(format!(
            "limit_ack = {q} does not make limits exact against t-1 hostile custodians; that takes {}",
            (n + t).div_ceil(2)
        ));
    }
    warnings
}

pub async fn diff(client: &ClientArgs, args: &PolicyFileArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let in_force = viewer.policy().await?;
    let draft = draft(&args.file, &viewer.roster, Some(&in_force), Vec::new())?;
    let changes = changes(in_force.bundle(), draft.bundle());
    if json {
        return output::json(&changes);
    }
    if changes.is_empty() {
        println!("nothing changes");
    }
    for line in changes {
        println!("{line}");
    }
    Ok(())
}

/// What one version changes against another, one line each.
pub fn changes(before: &Bundle, after: &Bundle) -> Vec<String> {
    let mut lines = Vec::new();
    let rules = |b: &Bundle| {
        b.rules
            .iter()
            .map(|r| (r.id.to_string(), meaning(r) + "\u{0}" + &r.cedar))
            .collect()
    };
    compare("rule", &rules(before), &rules(after), &mut lines);
    let people = |b: &Bundle| {
        b.people
            .iter()
            .map(|p| (p.id.to_string(), text(p)))
            .collect()
    };
    compare("person", &people(before), &people(after), &mut lines);
    let admins = |b: &Bundle| {
        b.admins
            .members
            .iter()
            .map(|a| (a.id.to_string(), hex::encode(a.key)))
            .collect()
    };
    compare("admin", &admins(before), &admins(after), &mut lines);
    let assets = |b: &Bundle| b.assets.iter().map(|a| (a.id.clone(), text(a))).collect();
    compare("asset", &assets(before), &assets(after), &mut lines);
    let book = |b: &Bundle| {
        b.book
            .iter()
            .map(|e| (format!("{} {}", e.network, e.address), e.label.clone()))
            .collect()
    };
    compare("address", &book(before), &book(after), &mut lines);
    let counters = |b: &Bundle| {
        b.counters
            .iter()
            .map(|c| (c.id.to_string(), text(c)))
            .collect()
    };
    compare("counter", &counters(before), &counters(after), &mut lines);
    let groups = |b: &Bundle| {
        b.key_groups
            .iter()
            .map(|g| (g.name.to_string(), text(g)))
            .collect()
    };
    compare("key group", &groups(before), &groups(after), &mut lines);
    let settings = |b: &Bundle| {
        BTreeMap::from([
            ("admin quorum".to_owned(), b.admins.quorum.to_string()),
            (
                "address delay".to_owned(),
                format!("{} s", b.book_delay_ms / 1000),
            ),
            ("limit_ack".to_owned(), format!("{:?}", b.limit_ack)),
            ("passkeys".to_owned(), text(&b.relying_party)),
            ("separations".to_owned(), text(&b.separations)),
        ])
    };
    compare("setting", &settings(before), &settings(after), &mut lines);
    lines.extend(after.lifts.iter().map(|id| format!("+ lifts freeze {id}")));
    lines
}

fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn compare(
    what: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    lines: &mut Vec<String>,
) {
    let first = |text: &String| text.split('\u{0}').next().unwrap_or_default().to_owned();
    for (name, old) in before {
        match after.get(name) {
            None => lines.push(format!("- {what} {name}: {}", first(old))),
            Some(new) if new != old => {
                lines.push(format!("- {what} {name}: {}", first(old)));
                lines.push(format!("+ {what} {name}: {}", first(new)));
            }
            Some(_) => {}
        }
    }
    for (name, new) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
        lines.push(format!("+ {what} {name}: {}", first(new)));
    }
}

pub async fn history(client: &ClientArgs, json: bool) -> anyhow::Result<()> {
    let chain = Viewer::load(&client.client)?.policies().await?;
    if json {
        let versions: Vec<_> = chain
            .iter()
            .map(|b| json!({ "hash": b.hash(), "signed": b.signed() }))
            .collect();
        return output::json(&versions);
    }
    for (index, version) in chain.iter().enumerate() {
        let bundle = version.bundle();
        let signers: Vec<_> = version
            .signed()
            .signatures
            .iter()
            .map(|s| s.admin.as_str())
            .collect();
        println!(
            "version {}  {}  {}  signed by {}",
            bundle.version,
            output::time(bundle.issued_at),
            version.hash().short(),
            signers.join(", ")
        );
        let before = index.checked_sub(1).and_then(|i| chain.get(i));
        for line in before
            .map(|b| changes(b.bundle(), bundle))
            .unwrap_or_default()
        {
            println!("    {line}");
        }
    }
    Ok(())
}
