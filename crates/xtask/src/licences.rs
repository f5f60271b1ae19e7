//! Only permissive licences in what is shipped; the LGPL too behind a feature that is off.

use crate::metadata::{Metadata, Package};

const ALLOWED: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MPL-2.0",
    "Unlicense",
    "CC0-1.0",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "CDLA-Permissive-2.0",
    "BSL-1.0",
    // MIT with a clause against false attribution; hex_lit, through the bitcoin crate.
    "MITNFA",
];

/// What only a build with the feature `gmp` contains.
const OPT_IN: &[(&str, &str)] = &[("gmp-mpfr-sys", "LGPL-3.0+"), ("rug", "LGPL-3.0+")];

/// Every package whose licence is not on the list, one sentence each.
pub fn check(shipped: &Metadata, everything: &Metadata) -> Vec<String> {
    let opted_in = |p: &&Package| {
        let licence = p.license.as_deref().unwrap_or_default();
        OPT_IN.contains(&(p.name.as_str(), licence))
    };
    let mut complaints = breaches(shipped.packages.iter());
    let optional = everything.packages.iter().filter(|p| !opted_in(p));
    complaints.extend(breaches(optional));
    complaints.dedup();
    complaints
}

fn breaches<'a>(packages: impl Iterator<Item = &'a Package>) -> Vec<String> {
    packages
        .filter(|p| !p.license.as_deref().is_some_and(is_allowed))
        .map(|p| format!("{} {} has licence {:?}", p.name, p.version, p.license))
        .collect()
}

/// An SPDX expression without nesting deeper than `(A OR B) AND C`: true if some choice is allowed throughout.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    split(&expression, " AND ").iter().all(|part| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')');
        split(part, " OR ").iter().any(|choice| {
            let choice = choice.trim().trim_start_matches('(').trim_end_matches(')');
            choice
                .split(" AND ")
                .all(|licence| ALLOWED.contains(&licence.trim()))
        })
    })
}

/// Splits outside parentheses.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest
        .get(from..)
        .and_then(|r| r.find(separator))
        .map(|at| at + from)
    {
        let (left, right) = (
            rest.get(..at).unwrap_or(""),
            rest.get(at + separator.len()..).unwrap_or(""),
        );
        if left.matches('(').count() == left.matches(')').count() {
            parts.push(left);
            rest = right;
            from = 0;
        } else {
            from = at + separator.len();
        }
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn reads_expressions() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-2.0) AND BSD-3-Clause",
            "Apache-2.0 AND ISC",
            "Apache-2.0 AND (MIT OR Apache-2.0)",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(GPL-2.0 OR LGPL-3.0) AND MIT",
            "",
        ] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }
}
