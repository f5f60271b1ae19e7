//! A bundle in sentences, so that what admins sign can be read: every difference in meaning is a
//! difference in words.
//!
//! What custodians go by are the rules in the bundle, and sentences are made from the text beside
//! them. So each rule is compiled anew from the
//! text: one that is not what the text comes to is shown as it is, in Cedar, and the whole bundle
//! is to be doubted.

mod changes;
mod contents;
mod dangers;
mod rules;
mod text;
mod when;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use quorate_types::{Bundle, Counter, KeyName, Rule};

use super::document::Document;
use super::rules::refusal_id;
use super::{SourceError, recompiled};
pub use changes::changes;
pub use text::lines as printable;

const SETTING: &str = "setting";
const ADMIN: &str = "admin";
const PERSON: &str = "person";
const SEPARATION: &str = "separation";
const KEY_GROUP: &str = "key group";
const ASSET: &str = "asset";
const ADDRESS: &str = "address";
const RULE: &str = "rule";
const COUNTER: &str = "counter";
const DANGER: &str = "danger";
const LIFT: &str = "freeze order";

/// One thing that a bundle says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Statement {
    /// What it is about: `rule`, `person`, `asset`, `danger` and the like.
    pub about: &'static str,
    /// Which of them; printable ASCII.
    pub name: String,
    /// The sentence, or Cedar on lines of its own. Safe for a terminal.
    pub text: String,
}

impl Statement {
    fn new(about: &'static str, name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            about,
            name: name.into(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.about, self.name, self.text)
    }
}

/// Everything that a bundle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// What is wrong with the bundle as a whole: its rules are not what its text comes to.
    pub doubts: Vec<String>,
    /// In an order for reading.
    pub statements: Vec<Statement>,
}

/// Says a bundle in words. Two bundles that decide anything differently have different words.
#[must_use]
pub fn words(bundle: &Bundle) -> Words {
    let made = Made::from(bundle);
    let mut statements = contents::statements(bundle);
    statements.extend(bundle.rules.iter().map(|rule| made.rule(rule, bundle)));
    statements.extend(made.dangers(bundle));
    let unsaid = |counter: &&Counter| !made.says(counter);
    statements.extend(bundle.counters.iter().filter(unsaid).map(contents::counter));
    Words {
        doubts: made.doubts(bundle),
        statements,
    }
}

/// What the bundle's text comes to, compiled here and now.
struct Made {
    document: Document,
    /// Rules by their ids; none where the text cannot be compiled, or its assets, people or keys
    /// are not the bundle's.
    rules: BTreeMap<String, String>,
    counters: Vec<Counter>,
    doubt: Option<String>,
}

impl Made {
    fn from(bundle: &Bundle) -> Self {
        let document = toml::from_str(&bundle.source);
        let compiled = recompiled(bundle);
        let (document, compiled) = match (document, compiled) {
            (Ok(document), Ok(compiled)) => (document, compiled),
            (_, Err(error)) => return Self::nothing(no_policy(&error)),
            (Err(error), _) => return Self::nothing(no_policy(&error)),
        };
        // The numbers in rules are those of the text's assets.
        let without_rules = |bundle: &Bundle| Bundle {
            rules: Vec::new(),
            counters: Vec::new(),
            ..bundle.clone()
        };
        if without_rules(&compiled) != without_rules(bundle) {
            let doubt = "its people, keys, assets, addresses or settings are not those of its text";
            return Self::nothing(doubt.to_owned());
        }
        let rules = compiled.rules.into_iter();
        Self {
            document,
            rules: rules.map(|r| (r.id.to_string(), r.cedar)).collect(),
            counters: compiled.counters,
            doubt: None,
        }
    }

    fn nothing(doubt: String) -> Self {
        Self {
            document: Document::default(),
            rules: BTreeMap::new(),
            counters: Vec::new(),
            doubt: Some(doubt),
        }
    }

    /// Whether a rule of the bundle is what the text comes to, with what it counts.
    fn holds(&self, rule: &Rule, bundle: &Bundle) -> bool {
        let id = rule.id.as_str();
        let of = |counters: &[Counter]| counters.iter().find(|c| c.id == rule.id).cloned();
        self.rules.get(id) == Some(&rule.cedar) && of(&self.counters) == of(&bundle.counters)
    }

    /// Whether a counter is said by a rule's sentence.
    fn says(&self, counter: &Counter) -> bool {
        let written = self.document.rule.iter().any(|r| r.id == counter.id);
        written && self.counters.contains(counter)
    }

    fn rule(&self, rule: &Rule, bundle: &Bundle) -> Statement {
        let id = rule.id.as_str();
        let cedar = || format!("\n    {}", text::lines(&rule.cedar));
        if !self.holds(rule, bundle) {
            let text = format!("NOT WHAT THE TEXT COMES TO; it decides by{}", cedar());
            return Statement::new(RULE, id, text);
        }
        let written = self.document.rule.iter().find(|entry| entry.id == rule.id);
        let sentence = written.and_then(|entry| rules::sentence(&entry.kind, bundle));
        if let Some(sentence) = sentence {
            return Statement::new(RULE, id, sentence);
        }
        if self.document.cedar.iter().any(|raw| raw.id == rule.id) {
            return Statement::new(RULE, id, format!("decides by its own Cedar{}", cedar()));
        }
        if let Some(sentence) = rules::too_late(&self.document, id) {
            return Statement::new(RULE, id, sentence);
        }
        // The rules that nobody writes.
        let danger = dangers::names()
            .into_iter()
            .find(|name| refusal_id(name) == id);
        match danger {
            Some(name) => dangers::statement(name, &self.document, bundle),
            None => {
                let text = format!("permits every operator to ask; about {}", when::PROPOSED);
                Statement::new(RULE, id, text)
            }
        }
    }

    /// Dangers for which the bundle has no rule: allowed without a condition, or not known when it
    /// was made.
    fn dangers(&self, bundle: &Bundle) -> Vec<Statement> {
        let has = |name: &&str| {
            let id = refusal_id(name);
            let raw = self.document.cedar.iter().any(|raw| raw.id.as_str() == id);
            let entries = self.document.rule.iter();
            let mut named = entries.filter(|entry| entry.id.as_str() == id);
            let written = raw || named.any(|e| rules::sentence(&e.kind, bundle).is_some());
            !written && bundle.rules.iter().any(|rule| rule.id.as_str() == id)
        };
        let missing = dangers::names().into_iter().filter(|name| !has(name));
        missing
            .map(
                |name| match self.rules.contains_key(&refusal_id(name)) || self.doubt.is_some() {
                    true => dangers::not_refused(name),
                    false => dangers::statement(name, &self.document, bundle),
                },
            )
            .collect()
    }

    fn doubts(&self, bundle: &Bundle) -> Vec<String> {
        const ADVICE: &str = "Another version of the program made it, or somebody changed it. Read the Cedar that is shown, or make the policy again from its text";
        if let Some(doubt) = &self.doubt {
            return vec![format!(
                "THIS POLICY IS NOT WHAT ITS TEXT SAYS: {doubt}. {ADVICE}"
            )];
        }
        let other = bundle.rules.iter().filter(|rule| !self.holds(rule, bundle));
        let mut other: BTreeSet<&str> = other.map(|rule| rule.id.as_str()).collect();
        let there: BTreeSet<&str> = bundle.rules.iter().map(|r| r.id.as_str()).collect();
        let missing = self.rules.keys().map(String::as_str);
        other.extend(missing.filter(|id| !there.contains(id)));
        for (ours, theirs) in [
            (&self.counters, &bundle.counters),
            (&bundle.counters, &self.counters),
        ] {
            let alone = ours.iter().filter(|c| !theirs.contains(c));
            other.extend(alone.map(|c| c.id.as_str()));
        }
        if other.is_empty() {
            return Vec::new();
        }
        let other: Vec<&str> = other.into_iter().collect();
        vec![format!(
            "THIS POLICY IS NOT WHAT ITS TEXT SAYS: rule {} differs or is missing. {ADVICE}",
            other.join(", rule ")
        )]
    }
}

/// Parsers quote the text, which is anybody's.
fn no_policy(error: &dyn fmt::Display) -> String {
    format!("its text is no policy: {}", text::lines(&error.to_string()))
}

/// The keys that the rules of a text name, and by which rules. Those of its key groups, and what
/// raw Cedar names, are not among them.
///
/// # Errors
/// Not the TOML of a policy.
pub fn named_keys(source: &str) -> Result<BTreeMap<KeyName, Vec<String>>, SourceError> {
    let document: Document =
        toml::from_str(source).map_err(|e| SourceError::Toml(e.to_string()))?;
    let mut named: BTreeMap<KeyName, Vec<String>> = BTreeMap::new();
    for entry in &document.rule {
        for key in rules::keys_of(&entry.kind) {
            named
                .entry(key.clone())
                .or_default()
                .push(entry.id.to_string());
        }
    }
    Ok(named)
}
