//! What a custodian is held to, in its backup: the chain of policies, freeze orders, rejections,
//! bans, spends. A restore brings all of it back, and whatever came later is heard from peers or
//! from the custodian (T35).

use quorate_policy::SignedSpendRecord;
use quorate_storage::backup::{Content, Manifest, SPENDS};
use quorate_storage::{Ledger, LedgerError, Spend};
use quorate_types::canonical::Canonical as _;
use quorate_types::{SignedApproval, SignedFreeze, ValidRoster};

use super::AgentBackupError;
use crate::policy::{chain_version, version_of};
use crate::protocols::is_ban;

/// Bytes of spends in a backup; the latest are in it.
const MAX_SPENDS: usize = 8 << 20;

fn wrong(reason: impl Into<String>) -> AgentBackupError {
    AgentBackupError::Wrong(reason.into())
}

/// Whether a record is no attested one of a key, a committee or a protocol.
pub(super) fn is_authority(name: &str) -> bool {
    let folders = ["policy/", "freeze/", "said/", "ban/"];
    name == SPENDS || folders.iter().any(|folder| name.starts_with(folder))
}

/// The spends in a ledger, as the record of a backup; none where nothing was spent.
pub(super) fn spends(ledger: &Ledger) -> Result<Option<(String, Vec<u8>)>, LedgerError> {
    let mut size = 0;
    let mut latest: Vec<Spend> = ledger.spends_since(0)?;
    latest.reverse();
    let fits = |spend: &Spend| {
        size += spend.record.len() + 64;
        size <= MAX_SPENDS
    };
    let kept: Vec<Spend> = latest.into_iter().take_while(fits).collect();
    let bytes = borsh::to_vec(&kept).unwrap_or_default();
    Ok((!kept.is_empty()).then(|| (SPENDS.to_owned(), bytes)))
}

/// The highest version that has a record; 0 where none has.
pub(super) fn policy_version(content: &Content) -> u64 {
    let versions = content.records.keys().filter_map(|name| version_of(name));
    versions.max().unwrap_or(0)
}

/// Follows the chain of policies, and reads everything else that an agent would refuse to start
/// with. Returns the version that the chain ends with, if the backup has a chain.
pub(super) fn check(
    content: &Content,
    manifest: &Manifest,
    roster: &ValidRoster,
) -> Result<Option<u64>, AgentBackupError> {
    let policies = content
        .records
        .iter()
        .filter(|(name, _)| name.starts_with("policy/"));
    let version = chain_version(roster, policies)
        .map_err(|error| wrong(format!("its policies do not follow each other: {error}")))?;
    let expected = manifest.policy_version.unwrap_or(0);
    if version != expected {
        return Err(wrong(format!(
            "its policies end with version {version}, its manifest says {expected}"
        )));
    }
    for (name, bytes) in content.records.iter().filter(|(n, _)| is_authority(n)) {
        if !is_good(name, bytes, roster) {
            return Err(wrong(format!("the record {name} is damaged")));
        }
    }
    Ok(manifest.policy_version)
}

fn is_good(name: &str, bytes: &[u8], roster: &ValidRoster) -> bool {
    match name.split('/').next() {
        Some("freeze") => SignedFreeze::from_canonical_bytes(bytes, usize::MAX).is_ok(),
        Some("said") => SignedApproval::from_canonical_bytes(bytes, usize::MAX).is_ok(),
        Some("ban") => is_ban(bytes),
        Some(SPENDS) => borsh::from_slice::<Vec<Spend>>(bytes)
            .is_ok_and(|spends| spends.iter().all(|spend| is_signed(spend, roster))),
        // The chain was followed.
        _ => true,
    }
}

fn is_signed(spend: &Spend, roster: &ValidRoster) -> bool {
    let signed = SignedSpendRecord::from_canonical_bytes(&spend.record, usize::MAX);
    signed.is_ok_and(|signed| {
        let (record, message) = (&signed.record, signed.record.signing_bytes());
        roster.party_signed(&record.party, &message, &signed.signature)
    })
}
