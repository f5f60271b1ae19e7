//! What one version changes against another.

use std::collections::BTreeSet;

use quorate_types::Bundle;

use super::{LIFT, Statement, words};

/// What `after` changes against `before`, or everything that it says where there is none: one text
/// each, `-` before what no longer holds
/// and `+` before what holds now, things of one name together. First of all, with `!`, what is to
/// be doubted. Nothing if they mean the same.
#[must_use]
pub fn changes(before: Option<&Bundle>, after: &Bundle) -> Vec<String> {
    let new = words(after);
    let old = before.map(words).map(|w| w.statements).unwrap_or_default();
    let of = |statements: Vec<Statement>| statements.into_iter().collect::<BTreeSet<_>>();
    let (old, now) = (of(old), of(new.statements));
    // What was lifted once stays lifted, whether it is named again or not.
    let gone = old.difference(&now).filter(|s| s.about != LIFT);
    let gone = gone.map(|s| (s, '-'));
    let come = now.difference(&old).map(|s| (s, '+'));
    let mut all: Vec<_> = gone.chain(come).collect();
    all.sort_by_key(|(s, sign)| (s.about, s.name.clone(), *sign == '+'));
    let doubts = new.doubts.iter().map(|doubt| format!("! {doubt}"));
    let lines = all.iter().map(|(s, sign)| format!("{sign} {s}"));
    doubts.chain(lines).collect()
}
