//! Whether a backup would bring its custodian back. Writes nothing.

use std::collections::BTreeSet;

use quorate_mpc_protocol::{Aux, Level, Production, Share};
use quorate_storage::backup::{CONFIG, Content, KeySummary, Manifest, Opened, ROSTER};
use quorate_storage::{ItemKind, ItemName};
use quorate_types::node::{CommitteeRecord, Record};
use quorate_types::{Attestation, KeyRecord, PartyId, ValidRoster};
use serde::Serialize;
use zeroize::Zeroizing;

use super::AgentBackupError;
use super::authority::{self, is_authority};
use super::make::decode;
use crate::boot::identity_item;
use crate::keybook::{aux_name, key_name, share_name};
use crate::protocols::protocol_name;
use crate::{AgentConfig, identity};

/// A backup that has been verified; only [`verify`] makes one, and only one can be restored.
#[derive(Debug)]
pub struct Verified {
    opened: Opened,
    config: AgentConfig,
    roster: ValidRoster,
    summary: Summary,
}

/// What was found in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Whose.
    pub party: PartyId,
    /// The roster's hash.
    pub roster: String,
    /// Unix milliseconds.
    pub made_at: u64,
    /// How often the party had been restored.
    pub restore_counter: u64,
    /// Version of the policy in it, followed from the first; none in backups of programs that
    /// carried the first one only.
    pub policy_version: Option<u64>,
    /// Keys whose share is there and right.
    pub keys: Vec<KeySummary>,
    /// Committee setups whose auxiliary information is there and right.
    pub committees: usize,
    /// Shares and auxiliary information without a record, as an interrupted ceremony leaves them. Not verified, kept.
    pub without_record: usize,
}

impl Verified {
    /// What was found.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Its roster.
    #[must_use]
    pub const fn roster(&self) -> &ValidRoster {
        &self.roster
    }

    pub(super) const fn manifest(&self) -> &Manifest {
        &self.opened.manifest
    }

    pub(super) const fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// What is in it.
    pub(crate) const fn content(&self) -> &Content {
        &self.opened.content
    }
}

fn wrong(reason: impl Into<String>) -> AgentBackupError {
    AgentBackupError::Wrong(reason.into())
}

/// Checks everything in an opened backup: identity keys are the roster's; the chain of policies is
/// the admins'; every record in force is attested by its whole committee; every share
/// decodes, fits its own public share, and is the one its record tells of; auxiliary information has its record's digest. With `roster`, the backup's must be the same.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(opened: Opened, roster: Option<&ValidRoster>) -> Result<Verified, AgentBackupError> {
    verify_at::<Production>(opened, roster)
}

pub(super) fn verify_at<L: Level>(
    opened: Opened,
    expected: Option<&ValidRoster>,
) -> Result<Verified, AgentBackupError> {
    let manifest = &opened.manifest;
    let config = parse_config(&opened)?;
    let roster = text(&opened, ROSTER)?;
    let roster = ValidRoster::from_json(roster).map_err(|e| wrong(e.to_string()))?;
    if let Some(expected) = expected
        && expected.hash() != roster.hash()
    {
        return Err(AgentBackupError::OtherRoster {
            found: roster.hash().short(),
            wanted: expected.hash().short(),
        });
    }
    let content = &opened.content;
    let identity = secret(content, identity_item())?;
    let (message, signature) = (opened.signed_message(), &opened.signature);
    if !roster.party_signed(&manifest.party, &message, signature) {
        return Err(wrong(format!(
            "{}'s identity key did not sign it: somebody else made it",
            manifest.party
        )));
    }
    identity::check_stored(&config, identity, &roster).map_err(|e| wrong(e.to_string()))?;

    let mut used = BTreeSet::from([identity_item()]);
    let mut keys = Vec::new();
    let mut committees = BTreeSet::new();
    for (name, bytes) in content.records.iter().filter(|(n, _)| !is_authority(n)) {
        let stored = decode(name, bytes)?;
        if stored.active {
            check_attested(name, &stored.record, &stored.attestations, &roster)?;
        }
        match stored.record {
            Record::Key(key) => {
                if *name != key_name(key.id) {
                    return Err(wrong(format!("the record {name} is another key's")));
                }
                used.insert(check_share(content, &key, &manifest.party)?);
                keys.push(KeySummary {
                    id: key.id,
                    name: key.name,
                    epoch: key.epoch,
                    curve: key.public_key.curve(),
                });
            }
            Record::Committee(committee) => {
                used.insert(check_aux::<L>(content, &committee)?);
                committees.insert(committee.session);
            }
            // Its setup is in no backup: it must be made anew.
            Record::Protocol(protocol) => {
                if !stored.active || *name != protocol_name(protocol.key) {
                    return Err(wrong(format!("the record {name} is no protocol in force")));
                }
            }
        }
    }
    let policy_version = authority::check(content, manifest, &roster)?;
    if keys != manifest.keys {
        return Err(wrong("its manifest lists other keys than its records"));
    }
    let summary = Summary {
        party: manifest.party.clone(),
        roster: roster.hash().to_string(),
        made_at: manifest.made_at,
        restore_counter: manifest.restore_counter,
        policy_version,
        keys,
        committees: committees.len(),
        without_record: content.secrets.keys().filter(|n| !used.contains(n)).count(),
    };
    Ok(Verified {
        opened,
        config,
        roster,
        summary,
    })
}

fn text<'o>(opened: &'o Opened, name: &str) -> Result<&'o str, AgentBackupError> {
    std::str::from_utf8(opened.file(name)?).map_err(|_| wrong(format!("{name} is not text")))
}

fn parse_config(opened: &Opened) -> Result<AgentConfig, AgentBackupError> {
    let config: AgentConfig = toml::from_str(text(opened, CONFIG)?)
        .map_err(|e| wrong(format!("its {CONFIG} is not good: {e}")))?;
    if config.party != opened.manifest.party {
        return Err(wrong(format!(
            "its {CONFIG} is {}'s, its manifest says {}",
            config.party, opened.manifest.party
        )));
    }
    // Whatever the configuration names must be there to be restored.
    for (_, name) in super::carried_files(&mut config.clone()) {
        opened.file(name)?;
    }
    Ok(config)
}

fn secret(content: &Content, name: ItemName) -> Result<&Zeroizing<Vec<u8>>, AgentBackupError> {
    let found = content.secrets.get(&name);
    found.ok_or_else(|| wrong(format!("{name} is missing")))
}

fn check_attested(
    name: &str,
    record: &Record,
    attestations: &[Attestation],
    roster: &ValidRoster,
) -> Result<(), AgentBackupError> {
    let message = record.signing_bytes();
    let committee = match record {
        Record::Key(key) => &key.committee,
        Record::Committee(committee) => &committee.committee,
        Record::Protocol(protocol) => &protocol.committee,
    };
    let by = |party: &PartyId| {
        attestations
            .iter()
            .any(|a| a.party == *party && roster.party_signed(&a.party, &message, &a.signature))
    };
    match committee.iter().find(|party| !by(party)) {
        None => Ok(()),
        Some(party) => Err(wrong(format!(
            "the record {name} is in force without {party}'s attestation"
        ))),
    }
}

/// Decoding checks that the secret fits its own public share, and that all public shares lie on one polynomial through the public key.
fn check_share(
    content: &Content,
    key: &KeyRecord,
    party: &PartyId,
) -> Result<ItemName, AgentBackupError> {
    let item = share_name(key.id, key.epoch);
    let bad = |what: &str| wrong(format!("the share of key {} {what}", key.name));
    let share = Share::from_secret_bytes(key.public_key.curve(), secret(content, item)?)
        .map_err(|e| bad(&format!("is damaged: {e}")))?;
    let seat = key.committee.iter().position(|p| p == party);
    if seat != Some(usize::from(share.index())) {
        return Err(bad("is another party's"));
    }
    let same = share.public_key().as_ref() == Some(&key.public_key)
        && share.public_shares().as_ref() == Some(&key.public_shares)
        && share.chain_code() == Some(key.chain_code)
        && share.threshold() == Ok(key.threshold);
    match same {
        true => Ok(item),
        false => Err(bad("is of another key or epoch than its record")),
    }
}

fn check_aux<L: Level>(
    content: &Content,
    committee: &CommitteeRecord,
) -> Result<ItemName, AgentBackupError> {
    let item = aux_name(committee.session);
    debug_assert_eq!(item.kind, ItemKind::Aux);
    let aux = Aux::from_secret_bytes(secret(content, item)?);
    match aux.public_digest::<L>() {
        Ok(digest) if digest == committee.digest => Ok(item),
        Ok(_) => Err(wrong(
            "the auxiliary information is of another committee setup",
        )),
        Err(error) => Err(wrong(format!(
            "the auxiliary information is damaged: {error}"
        ))),
    }
}
