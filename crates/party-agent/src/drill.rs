//! A rehearsal of losing a custodian: backup, escrow, recovery by a quorum, restore, comparison; on a copy, with a signed transcript.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use borsh::{BorshDeserialize, BorshSerialize};
use quorate_messaging::PartyKeys;
use quorate_storage::backup::{self, AgeIdentity, Lock};
use quorate_storage::escrow::{
    self, Custodian, EscrowError, EscrowPackage, Recovered, RecoveryState, contribute,
};
use quorate_storage::{EncryptedFileStore, FileError, Ledger, Passphrase, create_private_dir};
use quorate_types::canonical::{Canonical, tagged_hash};
use quorate_types::{Hash32, PartyId, Threshold, ValidRoster};
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};

use crate::backup::{
    AgentBackupError, Restored, Source, StorePassphrase, Verified, make, restore, verify,
};
use crate::boot::ledger_file;
use crate::{AgentConfig, Unlock};

/// Why a rehearsal fails. What it made is then gone too.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// Backup or restore.
    #[error(transparent)]
    Backup(#[from] AgentBackupError),
    /// Escrow.
    #[error(transparent)]
    Escrow(#[from] EscrowError),
    /// Files.
    #[error(transparent)]
    File(#[from] FileError),
    /// What came back is not what was there.
    #[error("the rehearsal failed: {0}")]
    Failed(String),
    /// A transcript that proves nothing.
    #[error("the transcript does not verify: {0}")]
    Transcript(String),
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What was done.
    pub what: String,
    /// What came of it; no secrets.
    pub result: String,
    /// Hash of what was made, where there is such a thing.
    pub hash: Option<Hash32>,
    /// Milliseconds it took.
    pub took_ms: u64,
}

/// What is signed of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// 1
    pub version: u32,
    /// Whose rehearsal.
    pub party: PartyId,
    /// The roster's hash.
    pub roster: Hash32,
    /// Version of the program.
    pub program: String,
    /// Unix milliseconds.
    pub began_at: u64,
    /// Unix milliseconds.
    pub ended_at: u64,
    /// Recovery custodians needed, of how many.
    pub threshold: Threshold,
    /// The steps, in order. A rehearsal that failed leaves no transcript.
    pub steps: Vec<Step>,
}

impl Canonical for Report {
    const DOMAIN: &'static str = "quorate/drill-report/v1";
}

/// A report and the party's signature over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// What was done.
    pub report: Report,
    /// Ed25519 by the party's identity.
    #[serde(with = "hex::serde")]
    pub signature: [u8; 64],
}

impl Transcript {
    /// Reads a transcript and checks that the roster's party signed it, and that not a byte is other than this program wrote it; a line end after it
    /// is fine.
    ///
    /// # Errors
    /// [`DrillError::Transcript`]
    pub fn check(json: &[u8], roster: &ValidRoster) -> Result<Report, DrillError> {
        let bad = |reason: &str| DrillError::Transcript(reason.to_owned());
        let read: Self = serde_json::from_slice(json).map_err(|e| bad(&e.to_string()))?;
        let again = serde_json::to_vec_pretty(&read).map_err(|e| bad(&e.to_string()))?;
        if json.trim_ascii_end() != again {
            return Err(bad("it was altered: its form is not this program's"));
        }
        if read.report.version != 1 {
            return Err(bad("it has an unknown version"));
        }
        if read.report.roster != roster.hash() {
            return Err(bad("it was made under another roster"));
        }
        let message = read.report.signing_bytes();
        if !roster.party_signed(&read.report.party, &message, &read.signature) {
            return Err(bad("the party's signature does not cover it"));
        }
        Ok(read.report)
    }
}

/// A directory that is gone at the end.
struct Rehearsal(PathBuf);

impl Drop for Rehearsal {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Steps as they are done.
struct Log {
    steps: Vec<Step>,
    last: Instant,
}

impl Log {
    fn done(&mut self, what: &str, result: impl Into<String>, hash: Option<Hash32>) {
        let took = self.last.elapsed().as_millis();
        self.steps.push(Step {
            what: what.to_owned(),
            result: result.into(),
            hash,
            took_ms: u64::try_from(took).unwrap_or(u64::MAX),
        });
        self.last = Instant::now();
    }
}

/// Rehearses with throwaway recovery custodians. Neither the store nor any blob store is changed. Computes for seconds without yielding: for a
/// program that does nothing else.
///
/// # Errors
/// The first step that fails.
pub async fn run(source: &Source, threshold: Threshold) -> Result<Transcript, DrillError> {
    let began_at = quorate_service::now_ms();
    let (roster, keys) = (&source.opened.roster, &source.opened.keys);
    let mut log = Log {
        steps: Vec::new(),
        last: Instant::now(),
    };

    let (custodians, package) = split(source, keys, threshold, began_at)?;
    log.done(
        "split a new backup key among throwaway recovery custodians",
        format!("{threshold} bring it back"),
        Some(package.hash()),
    );
    let lock = Lock::to_recipients([package.recipient()]).map_err(AgentBackupError::from)?;
    let made = make(source, lock, began_at).await?;
    log.done(
        "made a backup encrypted to that key",
        format!("{} bytes, {} keys", made.bytes.len(), made.keys.len()),
        Some(tagged_hash("quorate/drill-backup/v1", &[&made.bytes])),
    );
    let recovered = recover(&package, &custodians, began_at)?;
    let names: Vec<_> = recovered.used.iter().map(ToString::to_string).collect();
    let refused: Vec<_> = recovered.rejected.iter().map(ToString::to_string).collect();
    log.done(
        "brought the key back",
        format!("with {}; {}", names.join(", "), refused.join("; ")),
        None,
    );
    let opened = backup::open(&made.bytes, &recovered.opener).map_err(AgentBackupError::from)?;
    let verified = verify(opened, Some(roster))?;
    let summary = verified.summary();
    log.done(
        "opened and verified the backup",
        format!(
            "{} keys, {} committee setups: every share fits its public share",
            summary.keys.len(),
            summary.committees
        ),
        None,
    );
    sweep(&source.config.data);
    let rehearsal = Rehearsal(beside(&source.config.data));
    create_private_dir(&rehearsal.0)?;
    let into = rehearsal.0.join("custodian");
    let passphrase = Passphrase::generate();
    let unkept = StorePassphrase::Unkept(passphrase.clone());
    let restored = restore(&verified, &into, unkept, 0, began_at)?;
    log.done(
        "restored it into a temporary directory",
        format!("restore counter {}", restored.counter),
        None,
    );
    let compared = compare(source, &verified, &restored, passphrase).await?;
    log.done("opened the restored store and compared", compared, None);
    let place = rehearsal.0.clone();
    drop(rehearsal);
    if place.exists() {
        return Err(DrillError::Failed(format!(
            "{} could not be deleted; delete it by hand",
            place.display()
        )));
    }
    log.done("deleted the restored directory", "gone", None);

    let report = Report {
        version: 1,
        party: source.party().clone(),
        roster: roster.hash(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        began_at,
        ended_at: quorate_service::now_ms(),
        threshold,
        steps: log.steps,
    };
    let signature = keys.sign(&report.signing_bytes());
    let signature = signature.map_err(|e| DrillError::Failed(e.to_string()))?;
    Ok(Transcript { report, signature })
}

const REHEARSAL: &str = ".drill-";

/// On the same disk, under the same owner.
fn beside(data: &Path) -> PathBuf {
    let parent = data.parent().unwrap_or_else(|| Path::new("."));
    parent.join(format!("{REHEARSAL}{:016x}", OsRng.next_u64()))
}

/// Deletes what interrupted rehearsals left behind. None runs now: this one has the store's lock.
fn sweep(data: &Path) {
    let parent = data.parent().unwrap_or_else(|| Path::new("."));
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(REHEARSAL.as_bytes())
        {
            // What cannot be deleted is sealed under a passphrase that nobody has.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn split(
    source: &Source,
    keys: &PartyKeys,
    threshold: Threshold,
    now: u64,
) -> Result<(Vec<AgeIdentity>, EscrowPackage), DrillError> {
    let identities: Vec<_> = (0..threshold.n())
        .map(|_| AgeIdentity::generate())
        .collect();
    let custodian = |(number, identity): (u16, &AgeIdentity)| Custodian {
        name: format!("rehearsal-{number}"),
        recipient: identity.to_public().to_string(),
    };
    let custodians: Vec<_> = (1..).zip(&identities).map(custodian).collect();
    let party = source.party();
    let t = threshold.t();
    let package = escrow::create(party, keys.identity(), t, &custodians, now, |message| {
        keys.sign(message)
    })?;
    Ok((identities, package))
}

/// Recovers with the first `t` custodians after a contribution that was altered on its way, which must be refused.
fn recover(
    package: &EscrowPackage,
    custodians: &[AgeIdentity],
    now: u64,
) -> Result<Recovered, DrillError> {
    let state = RecoveryState::start(package, "rehearsal", now);
    let send = |identity: &AgeIdentity| {
        contribute(package, state.request(), vec![identity.clone()])?.to_json()
    };
    let mut sent = Vec::new();
    if let Some(last) = custodians.last() {
        sent.push(("altered".to_owned(), altered(&send(last)?)?));
    }
    let quorum = usize::from(package.threshold().t());
    for (identity, number) in custodians.iter().take(quorum).zip(1..) {
        sent.push((format!("contribution {number}"), send(identity)?));
    }
    let files = sent
        .iter()
        .map(|(name, json)| (name.as_str(), json.as_slice()));
    let recovered = state.finish(package, files)?;
    if recovered.rejected.len() == 1 {
        return Ok(recovered);
    }
    Err(DrillError::Failed(
        "an altered contribution was not refused".to_owned(),
    ))
}

/// Flips one digit of the sealed part.
fn altered(json: &[u8]) -> Result<Vec<u8>, DrillError> {
    let failed = || DrillError::Failed("a contribution is not as expected".to_owned());
    let mut value: serde_json::Value = serde_json::from_slice(json).map_err(|_| failed())?;
    let sealed = value.pointer_mut("/body/sealed").ok_or_else(failed)?;
    let mut text = sealed.as_str().ok_or_else(failed)?.to_owned();
    let flipped = if text.pop() == Some('0') { '1' } else { '0' };
    text.push(flipped);
    *sealed = text.into();
    Ok(value.to_string().into_bytes())
}

/// The restored store and ledger. The identity, which may be in a token, is not needed.
fn open_copy(
    restored: &Restored,
    passphrase: Passphrase,
) -> Result<(EncryptedFileStore, Ledger), AgentBackupError> {
    let config: AgentConfig = quorate_service::load(&restored.config_file)?;
    let store = Unlock::Passphrase(passphrase).open_store(&config)?;
    Ok((store, Ledger::open(&ledger_file(&config.data))?))
}

/// The restored store holds byte for byte what the custodian's does.
async fn compare(
    source: &Source,
    verified: &Verified,
    restored: &Restored,
    passphrase: Passphrase,
) -> Result<String, DrillError> {
    let (store, ledger) = open_copy(restored, passphrase)?;
    let failed = |what: String| DrillError::Failed(what);
    let mut names = BTreeSet::new();
    for kind in backup::KINDS {
        let keeper = source.keeper(kind);
        let before = keeper.list(kind).await.map_err(AgentBackupError::from)?;
        names.extend(before);
        names.extend(store.list(kind).map_err(AgentBackupError::from)?);
    }
    for name in &names {
        let before = source.keeper(name.kind).get_share(*name).await;
        let before = before.map_err(AgentBackupError::from)?;
        let after = store.get(*name).map_err(AgentBackupError::from)?;
        if before != after {
            return Err(failed(format!("{name} came back different")));
        }
    }
    for (name, record) in &verified.content().records {
        let found = ledger.record(name).map_err(AgentBackupError::from)?;
        if found.as_ref() != Some(record) {
            return Err(failed(format!("the record {name} did not come back")));
        }
    }
    let mark = ledger.restore_mark().map_err(AgentBackupError::from)?;
    match mark {
        Some(mark) if !mark.confirmed && mark.counter == restored.counter => Ok(format!(
            "{} secrets and {} records are the same; quarantined until peers confirm",
            names.len(),
            verified.content().records.len()
        )),
        _ => Err(failed("the restored ledger is not marked".to_owned())),
    }
}
