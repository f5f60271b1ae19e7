//! Backups by the clock, and at once when asked, while the agent runs.

use std::time::Duration;

use quorate_storage::backup::{Lock, ObjectName};
use quorate_storage::blobs::BlobStores;
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

type Answer = oneshot::Sender<Result<StoredBackup, AgentBackupError>>;

/// Makes a backup whenever the newest one in the stores is older than it may be, and deletes those that are too many. Failures are logged and
/// tried again, ever less often. Dropping it ends it.
#[derive(Debug)]
pub struct Schedule {
    asked: mpsc::Sender<Answer>,
    last: watch::Receiver<Option<StoredBackup>>,
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
    pub fn start(source: Source) -> Option<Self> {
        let settings = source.config.backup.clone()?;
        let (asked, requests) = mpsc::channel(1);
        let (sender, last) = watch::channel(None);
        let task = tokio::spawn(run(source, settings, requests, sender));
        Some(Self { asked, last, task })
    }

    /// The last backup that this has made.
    #[must_use]
    pub fn last(&self) -> Option<StoredBackup> {
        self.last.borrow().clone()
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
    mut requests: mpsc::Receiver<Answer>,
    last: watch::Sender<Option<StoredBackup>>,
) {
    let mut failures = 0;
    let mut wait = Duration::ZERO;
    loop {
        let asked = tokio::select! {
            asked = requests.recv() => asked,
            () = tokio::time::sleep(wait) => None,
        };
        let made = match asked {
            Some(_) => make_one(&source, &settings).await.map(Some),
            None => make_if_due(&source, &settings, &mut wait).await,
        };
        match &made {
            Ok(None) => continue,
            Ok(Some(stored)) => {
                (failures, wait) = (0, settings.every);
                last.send_replace(Some(stored.clone()));
            }
            Err(error) => {
                failures += 1;
                wait = retry_after(failures, settings.every);
                tracing::warn!(%error, retry_s = wait.as_secs(), "no backup was made");
            }
        }
        if let (Some(asked), Some(answer)) = (asked, made.transpose()) {
            // Whoever asked may be gone.
            drop(asked.send(answer));
        }
    }
}

/// Makes a backup if it is time; `wait` is then or else how long it is until the next.
pub(super) async fn make_if_due(
    source: &Source,
    settings: &BackupConfig,
    wait: &mut Duration,
) -> Result<Option<StoredBackup>, AgentBackupError> {
    let stores = open_stores(settings).await?;
    let newest = ObjectName::list(&stores, source.party()).await?;
    let newest = newest.last().map(|name| name.made_at);
    *wait = due_in(newest, quorate_service::now_ms(), settings.every);
    if !wait.is_zero() {
        return Ok(None);
    }
    make_one(source, settings).await.map(Some)
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
    let report = stores.put_new(&name, &made.bytes).await?;
    for failure in &report.failed {
        tracing::warn!(failure, "a store did not take the backup; others did");
    }
    let ours = |name: &str| ObjectName::parse(name).is_some();
    let keep = usize::try_from(settings.keep).unwrap_or(usize::MAX);
    let (deleted, failed) = stores.retain(source.party().as_str(), keep, ours).await;
    for failure in &failed {
        tracing::warn!(failure, "old backups were not deleted");
    }
    tracing::info!(
        name,
        keys = made.keys.len(),
        stores = report.stored.len(),
        deleted = deleted.len(),
        "made a backup"
    );
    Ok(StoredBackup {
        made_at: made.name.made_at,
        keys: made.keys.len(),
        stored: report.stored,
        failed: report.failed,
        name,
    })
}

/// A newest backup from the future, made under a wrong clock, counts as made now.
fn due_in(newest: Option<u64>, now: u64, every: Duration) -> Duration {
    let Some(newest) = newest else {
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
        assert_eq!(due_in(Some(9_000_000), 0, HOUR), HOUR);
    }

    #[test]
    fn retries_come_ever_less_often_but_no_less_than_hourly() {
        assert_eq!(retry_after(1, 24 * HOUR), Duration::from_secs(30));
        assert_eq!(retry_after(3, 24 * HOUR), Duration::from_secs(120));
        assert_eq!(retry_after(99, 24 * HOUR), HOUR);
        assert_eq!(retry_after(99, HOUR / 2), HOUR / 2);
    }
}
