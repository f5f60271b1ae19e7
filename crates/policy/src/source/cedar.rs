//! Cedar text, put together from checked pieces.

use std::fmt::Write as _;

/// A string literal.
pub(super) fn literal(text: &str) -> Result<String, String> {
    let plain = text
        .bytes()
        .all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\');
    if plain {
        Ok(format!("\"{text}\""))
    } else {
        Err(format!(
            "{text:?} has characters other than printable ASCII without quotes"
        ))
    }
}

/// A set of string literals.
pub(super) fn set<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let items = items
        .into_iter()
        .map(literal)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(format!("[{}]", items.join(", ")))
}

/// One `permit` or `forbid`.
#[derive(Debug)]
pub(super) struct Policy {
    pub effect: &'static str,
    pub principal: String,
    pub action: String,
    pub resource: String,
    pub pending: Option<String>,
    pub reason: String,
    /// All must hold.
    pub when: Vec<String>,
    /// If any holds, the policy does not apply.
    pub unless: Vec<String>,
}

impl Policy {
    /// A `forbid` on transactions, messages and typed data.
    pub fn forbid(reason: String) -> Self {
        Self {
            effect: "forbid",
            principal: "principal".to_owned(),
            action: "action in Action::\"sign\"".to_owned(),
            resource: "resource".to_owned(),
            pending: None,
            reason,
            when: Vec::new(),
            unless: Vec::new(),
        }
    }

    pub fn permit(action: &str, reason: String) -> Self {
        Self {
            effect: "permit",
            action: action.to_owned(),
            ..Self::forbid(reason)
        }
    }

    pub fn text(&self) -> Result<String, String> {
        let mut text = String::new();
        if let Some(pending) = &self.pending {
            let _ = writeln!(text, "@pending({})", literal(pending)?);
        }
        let _ = writeln!(text, "@reason({})", literal(&self.reason)?);
        let Self {
            effect,
            principal,
            action,
            resource,
            ..
        } = self;
        let _ = write!(text, "{effect}({principal}, {action}, {resource})");
        if !self.when.is_empty() {
            let _ = write!(text, "\nwhen {{ {} }}", joined(&self.when, " && "));
        }
        if !self.unless.is_empty() {
            let _ = write!(text, "\nunless {{ {} }}", joined(&self.unless, " || "));
        }
        text.push(';');
        Ok(text)
    }
}

fn joined(parts: &[String], with: &str) -> String {
    let parts: Vec<String> = parts.iter().map(|p| format!("({p})")).collect();
    parts.join(with)
}

/// True if any part is.
pub(super) fn any(parts: &[String]) -> String {
    joined(parts, " || ")
}

/// True if all parts are.
pub(super) fn all(parts: &[String]) -> String {
    joined(parts, " && ")
}
