//! Whether the keys that a policy names exist. A rule about a key that does not is silent, and
//! nobody notices.

use std::collections::BTreeSet;

use quorate_policy::named_keys;
use quorate_types::{Bundle, Class, KeyName};

use crate::exit;
use crate::operator::Viewer;

/// The cluster's keys.
pub enum Known {
    /// Those in force.
    Keys(BTreeSet<KeyName>),
    /// They cannot be asked for now.
    Offline(String),
}

impl Known {
    /// Asks for the keys in force; that nobody can be asked is no error.
    pub async fn ask(viewer: &Viewer) -> anyhow::Result<Self> {
        match viewer.keys_if_any().await {
            Ok(keys) => {
                let keys = keys.into_iter().filter(|key| key.active);
                Ok(Self::Keys(keys.map(|key| key.record.name).collect()))
            }
            Err(error) if exit::problem_of(&error).code.class() == Class::PeerAbsent => {
                Ok(Self::Offline(format!("{error:#}")))
            }
            Err(error) => Err(error),
        }
    }

    /// What is wrong with the keys that rules name: ones that neither the cluster nor a key group
    /// of the policy knows.
    pub fn unknown(&self, bundle: &Bundle) -> anyhow::Result<Option<String>> {
        let Self::Keys(keys) = self else {
            return Ok(None);
        };
        let grouped: BTreeSet<&KeyName> = bundle.key_groups.iter().flat_map(|g| &g.keys).collect();
        let named = named_keys(&bundle.source)?;
        let unknown: Vec<String> = named
            .iter()
            .filter(|(key, _)| !keys.contains(key) && !grouped.contains(key))
            .map(|(key, rules)| format!("no key is named {key} (rule {})", rules.join(", rule ")))
            .collect();
        Ok((!unknown.is_empty()).then(|| {
            format!(
                "{}; `quorate key list` shows the keys there are. A key that is yet to be made is named in a key group first",
                unknown.join("; ")
            )
        }))
    }

    /// What could not be checked, and keys of key groups that are yet to be made.
    pub fn notes(&self, bundle: &Bundle) -> anyhow::Result<Vec<String>> {
        let of_groups = bundle.key_groups.iter();
        let of_groups = of_groups.flat_map(|g| g.keys.iter().map(move |key| (&g.name, key)));
        match self {
            Self::Keys(keys) => {
                let missing = of_groups.filter(|(_, key)| !keys.contains(key));
                let note = |(group, key)| format!("no key is named {key} yet (key group {group})");
                Ok(missing.map(note).collect())
            }
            Self::Offline(why) => {
                let named: Vec<String> = named_keys(&bundle.source)?
                    .into_keys()
                    .map(|key| key.to_string())
                    .collect();
                if named.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(vec![format!(
                    "whether the keys {} exist was not checked: {why}. Check again when custodians answer, or compare with `quorate key list`",
                    named.join(", ")
                )])
            }
        }
    }
}
