//! From an open custodian to a backup.

use std::path::Path;

use quorate_storage::backup::{
    self, About, CONFIG, Content, KINDS, KeySummary, Lock, MAX_ENTRY, ObjectName, RECORDS,
    carries_record,
};
use quorate_types::node::Record;
use zeroize::Zeroizing;

use super::authority::{self, is_authority};
use super::{AgentBackupError, Source, blocking, carried_files, io};
use crate::keybook::Stored;

/// A backup.
pub struct Made {
    /// What it is called in blob stores.
    pub name: ObjectName,
    /// The age file.
    pub bytes: Vec<u8>,
    /// The keys in it.
    pub keys: Vec<KeySummary>,
}

/// Makes a backup. `now` is Unix milliseconds.
///
/// # Errors
/// Files, store or ledger that cannot be read; no recipient.
pub async fn make(source: &Source, lock: Lock, now: u64) -> Result<Made, AgentBackupError> {
    let own = source.clone();
    // Records before secrets: every record's share was stored before it.
    let mut content = blocking(move || public_part(&own)).await?;
    for kind in KINDS {
        let keeper = source.keeper(kind);
        for name in keeper.list(kind).await? {
            let secret = keeper.get_share(name).await?;
            content.secrets.insert(name, secret);
        }
    }
    let own = source.clone();
    blocking(move || lock_up(&own, &content, &lock, now)).await
}

fn public_part(source: &Source) -> Result<Content, AgentBackupError> {
    let mut content = Content::default();
    let mut put = |name: &str, path: &Path| -> Result<(), AgentBackupError> {
        content.files.insert(name.to_owned(), read(path)?);
        Ok(())
    };
    put(CONFIG, &source.config_file)?;
    for (path, name) in carried_files(&mut source.config.clone()) {
        put(name, path)?;
    }
    for prefix in RECORDS {
        let found = source.opened.ledger.records(prefix)?.into_iter();
        content
            .records
            .extend(found.filter(|(name, _)| carries_record(name)));
    }
    let spends = authority::spends(&source.opened.ledger)?;
    content.records.extend(spends);
    Ok(content)
}

fn lock_up(
    source: &Source,
    content: &Content,
    lock: &Lock,
    now: u64,
) -> Result<Made, AgentBackupError> {
    let mark = source.opened.ledger.restore_mark()?;
    let restored = mark.map_or(0, |mark| mark.counter);
    let about = About {
        party: source.party().clone(),
        made_at: now,
        restore_counter: restored,
        policy_version: authority::policy_version(content),
        keys: keys(content)?,
    };
    Ok(Made {
        name: ObjectName::new(&about.party, now, restored),
        bytes: backup::make(&about, content, lock, |message| {
            source.opened.keys.sign(message)
        })?,
        keys: about.keys,
    })
}

fn keys(content: &Content) -> Result<Vec<KeySummary>, AgentBackupError> {
    let mut keys = Vec::new();
    for (name, bytes) in content.records.iter().filter(|(n, _)| !is_authority(n)) {
        if let Record::Key(key) = decode(name, bytes)?.record {
            keys.push(KeySummary {
                id: key.id,
                name: key.name,
                epoch: key.epoch,
                curve: key.public_key.curve(),
            });
        }
    }
    Ok(keys)
}

pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Stored, AgentBackupError> {
    borsh::from_slice(bytes)
        .map_err(|_| AgentBackupError::Wrong(format!("the record {name} is damaged")))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, AgentBackupError> {
    use std::io::Read as _;
    let mut bytes = Zeroizing::new(Vec::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_ENTRY as u64 + 1).read_to_end(&mut bytes))
        .map_err(io("read", path))?;
    Ok(bytes)
}
