//! `quorate version`.

use quorate_storage::FORMATS;
use quorate_types::{Capabilities, Dialect, WireVersion};
use serde::Serialize;

use crate::output;

/// Identity of this program, with the formats of its files and the protocol that it speaks.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    commit: &'static str,
    features: Vec<&'static str>,
    /// Versions of the protocol between daemons that this program works with.
    protocol: Protocol,
    capabilities: Capabilities,
    formats: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct Protocol {
    speaks: u16,
    works_with: Vec<u16>,
}

/// Cargo features of this build, in alphabetical order.
fn features() -> Vec<&'static str> {
    let all = [
        ("gmp", cfg!(feature = "gmp")),
        ("kms", cfg!(feature = "kms")),
        ("num-bigint", cfg!(feature = "num-bigint")),
        ("tpm", cfg!(feature = "tpm")),
    ];
    let on = all.into_iter().filter(|(_, on)| *on);
    on.map(|(name, _)| name).collect()
}

impl Version {
    fn of_this_program() -> Self {
        let own = WireVersion::CURRENT;
        let works_with = (0..=own.0 + 1).filter(|other| own.works_with(WireVersion(*other)));
        let formats = FORMATS
            .iter()
            .map(|(name, number)| ((*name).to_owned(), (*number).into()));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("QUORATE_COMMIT"),
            features: features(),
            protocol: Protocol {
                speaks: own.0,
                works_with: works_with.collect(),
            },
            capabilities: Dialect::current().capabilities,
            formats: formats.collect(),
        }
    }
}

/// Shows version, commit, features, protocol and formats.
pub fn run(json: bool) -> anyhow::Result<()> {
    let it = Version::of_this_program();
    if json {
        return output::json(&it);
    }
    let formats: Vec<_> = it
        .formats
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    println!("quorate {} (commit {})", it.version, it.commit);
    println!("features      {}", it.features.join(", "));
    println!(
        "protocol      {} (works with adjacent versions)",
        it.protocol.speaks
    );
    let capabilities: Vec<_> = it.capabilities.names().collect();
    println!("capabilities  {}", capabilities.join(", "));
    println!("formats       {}", formats.join(", "));
    Ok(())
}
