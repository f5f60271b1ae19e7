//! Backups by the clock, and at once when asked, while the agent runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quorate_storage::backup::{Lock, ObjectName};
use quorate_storage::blobs::{BlobStores, PutReport};
use quorate_types::node::Standing;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{AgentBackupError, Source, blocking, make};
use crate::config::BackupConfig;

/// After the first failure, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(60 * 60));

/// A backup that has been stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredBackup {
    /// What it is called there.
    pub name: String,
    /// Unix milliseconds.
    pub made_at: u64,
    /// How many keys' shares are in it.
    pub keys: usize,
    /// The stores that have it.
    pub stored: Vec<String>,
    /// The stores that do not, and why.
    pub failed: Vec<String>,
}

/// How far the clock may go back between backups, in milliseconds.
const CLOCK_TOLERANCE: u64 = 10 * 60 * 1000;

/// What a custodian wants to know of its schedule.
#[derive(Debug, Default)]
struct News {
    last: Option<StoredBackup>,
    problem: Option<String>,
}

type Answer = oneshot::Sender<Result<StoredBackup, AgentBackupError>>;

/// Makes a backup whenever the last one is older than it may be or gone, and deletes those that are too many. Failures are logged and
/// tried again, ever less often. Dropping it ends it.
///
/// What it made, it remembers in the ledger and does not read from the stores' names: whoever may write there could otherwise keep it from
/// making any, or have good ones deleted. And it makes none while the agent does not serve: an old disk has nothing to add.
#[derive(Debug)]
pub struct Schedule {
    asked: mpsc::Sender<Answer>,
    news: watch::Receiver<News>,
    task: JoinHandle<()>,
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Schedule {
    /// Starts it; none without `[backup]` in the configuration.
    #[must_use]
    pub fn start(source: Source, standing: watch::Receiver<Standing>) -> Option<Self> {
        let settings = source.config.backup.clone()?;
        let (asked, requests) = mpsc::channel(1);
        let (sender, news) = watch::channel(News::default());
        let task = tokio::spawn(run(source, settings, standing, requests, sender));
        Some(Self { asked, news, task })
    }

    /// The last backup that was made, by this process or an earlier one.
    #[must_use]
    pub fn last(&self) -> Option<StoredBackup> {
        self.news.borrow().last.clone()
    }

    /// Why there is none newer, if the last attempt failed.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.news.borrow().problem.clone()
    }

    /// Asks for a backup now. The future may outlive this.
    ///
    /// # Errors
    /// See [`AgentBackupError`].
    pub fn make_now(
        &self,
    ) -> impl Future<Output = Result<StoredBackup, AgentBackupError>> + Send + 'static {
        let asked = self.asked.clone();
        async move {
            let (sender, answer) = oneshot::channel();
            let sent = asked.send(sender).await;
            sent.map_err(|_| AgentBackupError::Interrupted)?;
            answer.await.unwrap_or(Err(AgentBackupError::Interrupted))
        }
    }
}

async fn run(
    source: Source,
    settings: BackupConfig,
    mut standing: watch::Receiver<Standing>,
    mut requests: mpsc::Receiver<Answer>,
    news: watch::Sender<News>,
) {
    match last_stored(&source).await {
        Ok(last) => news.send_modify(|news| news.last = last),
        Err(error) => tracing::warn!(%error, "cannot read which backup was the last"),
    }
    let mut failures = 0;
    let mut wait = Duration::ZERO;
    loop {
        let asked = tokio::select! {
            asked = requests.recv() => asked,
            () = due(wait, &mut standing) => None,
        };
        let made = match asked {
            Some(_) => make_if_serving(&source, &settings, &standing).await,
            None => make_if_due(&source, &settings, &mut wait).await,
        };
        match &made {
            Ok(None) => continue,
            Ok(Some(stored)) => {
                (failures, wait) = (0, settings.every);
                news.send_replace(News {
                    last: Some(stored.clone()),
                    problem: None,
                });
            }
            Err(error) => {
                failures += 1;
                wait = retry_after(failures, settings.every);
                news.send_modify(|news| news.problem = Some(error.to_string()));
                tracing::warn!(%error, retry_s = wait.as_secs(), "no backup was made");
            }
        }
        if let (Some(asked), Some(answer)) = (asked, made.transpose()) {
            // Whoever asked may be gone.
            drop(asked.send(answer));
        }
    }
}

async fn due(wait: Duration, standing: &mut watch::Receiver<Standing>) {
    tokio::time::sleep(wait).await;
    // It fails when the agent is gone, and then this is too.
    let _ = standing.wait_for(Standing::is_serving).await;
}

async fn make_if_serving(
    source: &Source,
    settings: &BackupConfig,
    standing: &watch::Receiver<Standing>,
) -> Result<Option<StoredBackup>, AgentBackupError> {
    let standing = standing.borrow().clone();
    if !standing.is_serving() {
        return Err(AgentBackupError::NotServing(standing));
    }
    make_one(source, settings).await.map(Some)
}

/// Makes a backup if it is time; `wait` is then or else how long it is until the next.
pub(super) async fn make_if_due(
    source: &Source,
    settings: &BackupConfig,
    wait: &mut Duration,
) -> Result<Option<StoredBackup>, AgentBackupError> {
    let stores = open_stores(settings).await?;
    let there = ObjectName::list(&stores, source.party()).await?;
    let own = own_backups(source).await?;
    let newest = own.last().filter(|name| there.contains(name));
    let newest = newest.map(|name| name.made_at);
    *wait = due_in(newest, quorate_service::now_ms(), settings.every);
    if !wait.is_zero() {
        return Ok(None);
    }
    make_one(source, settings).await.map(Some)
}

/// The record of what this agent made and did not delete: names, in the order in which they were made.
const MADE: &str = "backups-made";

async fn own_backups(source: &Source) -> Result<Vec<ObjectName>, AgentBackupError> {
    let bytes = record(source, MADE).await?;
    let names = bytes.and_then(|bytes| borsh::from_slice::<Vec<String>>(&bytes).ok());
    let names = names.unwrap_or_default();
    Ok(names.iter().filter_map(|n| ObjectName::parse(n)).collect())
}

async fn remember(source: &Source, names: &[ObjectName]) -> Result<(), AgentBackupError> {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    put_record(source, MADE, borsh::to_vec(&names)).await
}

/// Opened anew each time: a directory may have come back.
async fn open_stores(settings: &BackupConfig) -> Result<BlobStores, AgentBackupError> {
    let urls = settings.stores.clone();
    blocking(move || Ok(BlobStores::open(urls)?)).await
}

async fn make_one(
    source: &Source,
    settings: &BackupConfig,
) -> Result<StoredBackup, AgentBackupError> {
    let stores = open_stores(settings).await?;
    let lock = Lock::to_recipients(&settings.recipients)?;
    let made = make(source, lock, quorate_service::now_ms()).await?;
    let name = made.name.to_string();
    // Remembered first: one that is stored and not remembered would never be deleted.
    let mut own = own_backups(source).await?;
    own.push(made.name.clone());
    remember(source, &own).await?;
    let report = stores.put_new(&name, &made.bytes).await?;
    for failure in &report.failed {
        tracing::warn!(failure, "a store did not take the backup; others did");
    }
    let deleted = retain(source, settings, &report, own).await?;
    tracing::info!(
        name,
        keys = made.keys.len(),
        stores = report.stored.len(),
        deleted,
        "made a backup"
    );
    let stored = StoredBackup {
        made_at: made.name.made_at,
        keys: made.keys.len(),
        stored: report.stored,
        failed: report.failed,
        name,
    };
    put_record(source, LAST, serde_json::to_vec(&stored)).await?;
    Ok(stored)
}

/// The record of the last backup, for people.
const LAST: &str = "last-backup";

async fn last_stored(source: &Source) -> Result<Option<StoredBackup>, AgentBackupError> {
    let bytes = record(source, LAST).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

async fn record(source: &Source, name: &'static str) -> Result<Option<Vec<u8>>, AgentBackupError> {
    let ledger = Arc::clone(&source.opened.ledger);
    blocking(move || Ok(ledger.record(name)?)).await
}

async fn put_record<E: std::fmt::Display>(
    source: &Source,
    name: &'static str,
    bytes: Result<Vec<u8>, E>,
) -> Result<(), AgentBackupError> {
    let bytes = bytes.map_err(|e| AgentBackupError::Wrong(e.to_string()))?;
    let ledger = Arc::clone(&source.opened.ledger);
    blocking(move || Ok(ledger.put_record(name, &bytes)?)).await
}

/// Deletes what this agent made beyond the `keep` last, in the order in which it made them, and only where the newest was taken; returns how
/// many.
async fn retain(
    source: &Source,
    settings: &BackupConfig,
    report: &PutReport,
    mut own: Vec<ObjectName>,
) -> Result<usize, AgentBackupError> {
    let keep = usize::try_from(settings.keep).unwrap_or(usize::MAX);
    let old = own.len().saturating_sub(keep);
    let old: BTreeSet<_> = own.iter().take(old).map(ToString::to_string).collect();
    let taken = report.stored.clone();
    let taken = blocking(move || Ok(BlobStores::open(taken)?)).await?;
    let is_old = |name: &str| old.contains(name);
    let (deleted, failed) = taken.retain(source.party().as_str(), 0, is_old).await;
    for failure in &failed {
        tracing::warn!(failure, "old backups were not deleted");
    }
    if failed.is_empty() && report.failed.is_empty() {
        own.retain(|name| !old.contains(&name.to_string()));
        remember(source, &own).await?;
    }
    Ok(deleted.len())
}

/// A newest backup from the far future, made under a wrong clock, does not count.
fn due_in(newest: Option<u64>, now: u64, every: Duration) -> Duration {
    let Some(newest) = newest.filter(|newest| *newest <= now.saturating_add(CLOCK_TOLERANCE))
    else {
        return Duration::ZERO;
    };
    every.saturating_sub(Duration::from_millis(now.saturating_sub(newest)))
}

fn retry_after(failures: u32, every: Duration) -> Duration {
    let (first, most) = RETRY;
    let doubled = first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16)));
    doubled.min(most).min(every)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_backup_is_due_when_the_newest_is_too_old() {
        assert_eq!(due_in(None, 5, HOUR), Duration::ZERO);
        assert_eq!(due_in(Some(0), 3_600_000, HOUR), Duration::ZERO);
        assert_eq!(due_in(Some(0), 3_000_000, HOUR), Duration::from_secs(600));
        assert_eq!(due_in(Some(90_000), 0, HOUR), HOUR);
        assert_eq!(due_in(Some(9_000_000), 0, HOUR), Duration::ZERO);
    }

    #[test]
    fn retries_come_ever_less_often_but_no_less_than_hourly() {
        assert_eq!(retry_after(1, 24 * HOUR), Duration::from_secs(30));
        assert_eq!(retry_after(3, 24 * HOUR), Duration::from_secs(120));
        assert_eq!(retry_after(99, 24 * HOUR), HOUR);
        assert_eq!(retry_after(99, HOUR / 2), HOUR / 2);
    }
}
