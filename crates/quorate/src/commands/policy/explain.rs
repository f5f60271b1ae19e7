//! What a policy comes to, in words.

use quorate_policy::{changes, printable, words};
use quorate_types::{Bundle, ValidBundle, ValidRoster};
use serde_json::{Value, json};

use super::{read_draft, seen};
use crate::args::{ClientArgs, ExplainArgs, PolicyFileArgs};
use crate::operator::Viewer;
use crate::output;

pub async fn explain(client: &ClientArgs, args: &ExplainArgs, json: bool) -> anyhow::Result<()> {
    let viewer = Viewer::load(&client.client)?;
    let bundle = seen(&viewer, args.file.as_deref()).await?;
    if json {
        return output::json(&in_json(&bundle));
    }
    print(&bundle, args.cedar);
    Ok(())
}

/// A policy for programs: its rules as they are evaluated, and everything it says in words.
pub fn in_json(bundle: &Bundle) -> Value {
    let words = words(bundle);
    let said = words.statements.iter();
    let said: Vec<Value> = said
        .map(|s| json!({ "about": s.about, "name": s.name, "text": s.text }))
        .collect();
    json!({ "rules": bundle.rules, "counters": bundle.counters, "words": said, "doubts": words.doubts })
}

/// Which version it is, from when, signed by whom.
pub fn heading(policy: &ValidBundle) -> String {
    let signatures = policy.signed().signatures.iter();
    let signers: Vec<_> = signatures.map(|s| s.admin.as_str()).collect();
    format!(
        "version {}  {}  {}  signed by {}",
        policy.bundle().version,
        output::time(policy.bundle().issued_at),
        policy.hash().short(),
        signers.join(", ")
    )
}

/// A policy in words, each rule with its Cedar if that is wanted.
pub fn print(bundle: &Bundle, cedar: bool) {
    let words = words(bundle);
    for doubt in &words.doubts {
        println!("! {doubt}");
    }
    for statement in &words.statements {
        println!("{statement}");
        let id = match statement.about {
            "rule" => statement.name.clone(),
            "danger" => format!("no-{}", statement.name),
            _ => continue,
        };
        // What is said in Cedar already is not said twice.
        let wanted = cedar && !statement.text.contains('\n');
        for rule in bundle
            .rules
            .iter()
            .filter(|r| wanted && r.id.as_str() == id)
        {
            println!("    {}", printable(&rule.cedar));
        }
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
    let draft = read_draft(&args.file, &viewer.roster, Some(&in_force), Vec::new())?;
    let changes = against(in_force.bundle(), draft.bundle());
    if json {
        return output::json(&changes);
    }
    for line in changes {
        println!("{line}");
    }
    Ok(())
}

/// What one version changes against another, one text each; also that it changes nothing but its
/// text.
pub fn against(before: &Bundle, after: &Bundle) -> Vec<String> {
    let mut lines = changes(Some(before), after);
    if lines.is_empty() {
        lines.push(match before.source == after.source {
            true => "nothing changes".to_owned(),
            false => "nothing changes but the form of the text, or its comments".to_owned(),
        });
    }
    lines
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
        println!("{}", heading(version));
        let before = index.checked_sub(1).and_then(|i| chain.get(i));
        let lines = match before {
            Some(before) => against(before.bundle(), bundle),
            None => changes(None, bundle),
        };
        for line in lines {
            println!("    {}", line.replace('\n', "\n    "));
        }
    }
    Ok(())
}
