//! What the custodians' ledgers say afterwards: nothing was done twice.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use quorate_party_agent::LogEntry;
use quorate_storage::Ledger;
use quorate_types::canonical::Canonical as _;
use serde::{Deserialize, Serialize};

/// Leaves read at once.
const PAGE: usize = 4096;
/// The longest leaf, in bytes.
const MAX_LEAF: usize = 1 << 20;

/// All ledgers together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Audit {
    /// Runs begun.
    pub begun: usize,
    /// Results recorded.
    pub finished: usize,
    /// Presignatures and nonces used up.
    pub used: usize,
    /// Those that one custodian used more than once: there must be none.
    pub used_twice: Vec<String>,
    /// Sessions that one custodian began more than once: there must be none.
    pub begun_twice: Vec<String>,
}

/// Reads the ledgers of custodians that do not run.
pub fn of(custodians: &[PathBuf]) -> anyhow::Result<Audit> {
    let mut audit = Audit::default();
    for custodian in custodians {
        let path = custodian.join("data/ledger.redb");
        let ledger =
            Ledger::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        audit.read(&ledger)?;
    }
    Ok(audit)
}

impl Audit {
    fn read(&mut self, ledger: &Ledger) -> anyhow::Result<()> {
        let (mut used, mut begun) = (BTreeSet::new(), BTreeSet::new());
        let mut from = 0;
        loop {
            let page = ledger.leaves(from, PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            from = last + 1;
            for (_, leaf) in &page {
                match LogEntry::from_canonical_bytes(leaf, MAX_LEAF)? {
                    LogEntry::Begun {
                        sessions,
                        presignatures,
                        ..
                    } => {
                        self.begun += 1;
                        self.used += presignatures.len();
                        let again = presignatures.into_iter().filter(|id| !used.insert(*id));
                        self.used_twice.extend(again.map(|id| id.to_string()));
                        let again = sessions.into_iter().filter(|id| !begun.insert(*id));
                        self.begun_twice.extend(again.map(|id| id.to_string()));
                    }
                    LogEntry::Finished { .. } => self.finished += 1,
                    _ => {}
                }
            }
        }
    }
}
