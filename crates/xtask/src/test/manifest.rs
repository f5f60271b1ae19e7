//! Targets without the standard test harness, of which neither cargo's messages nor its metadata
//! tell.

/// Reads a package's manifest line by line: the target has the standard harness unless the section
/// that names it says `harness = false`.
pub fn has_harness(manifest: &str, section: &str, target: &str) -> bool {
    let (lib, other) = (format!("[{section}]"), format!("[[{section}]]"));
    let mut sections = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            sections.push(Section::default());
        }
        if let Some(last) = sections.last_mut() {
            last.read(line, |header| header == lib || header == other);
        }
    }
    !sections
        .iter()
        .any(|s| s.turns_harness_off(section, target))
}

#[derive(Default)]
struct Section {
    is_meant: bool,
    name: Option<String>,
    no_harness: bool,
}

impl Section {
    fn read(&mut self, line: &str, is_meant: impl Fn(&str) -> bool) {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.split_once('=') {
            None => self.is_meant |= is_meant(line),
            Some((key, value)) => match (key.trim(), value.trim()) {
                ("name", value) => self.name = Some(value.trim_matches(['"', '\'']).to_owned()),
                ("harness", "false") => self.no_harness = true,
                _ => {}
            },
        }
    }

    /// A package has one library, whose section need not name it.
    fn turns_harness_off(&self, section: &str, target: &str) -> bool {
        let named = section == "lib" || self.name.as_deref() == Some(target);
        self.is_meant && self.no_harness && named
    }
}

#[cfg(test)]
mod tests {
    use super::has_harness;

    const MANIFEST: &str = r#"
[package]
name = "kill"

[[test]]
name = "kill" # by its own harness
harness = false

[[test]]
name = "usual"
required-features = ["x"]

[[bench]]
harness = false
name = "ledger"
"#;

    #[test]
    fn a_target_without_the_standard_harness_is_known_by_its_section() {
        assert!(!has_harness(MANIFEST, "test", "kill"));
        assert!(!has_harness(MANIFEST, "bench", "ledger"));
        assert!(has_harness(MANIFEST, "test", "usual"));
        assert!(has_harness(MANIFEST, "test", "ledger"));
        assert!(has_harness(MANIFEST, "lib", "kill"));
    }

    #[test]
    fn a_library_without_the_standard_harness_needs_no_name() {
        assert!(!has_harness("[lib]\nharness=false", "lib", "any"));
    }
}
