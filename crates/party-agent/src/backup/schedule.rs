//! Backups by the clock, while the agent runs.

use std::time::Duration;

use quorate_storage::backup::{Lock, ObjectName};
use quorate_storage::blobs::BlobStores;

use super::{AgentBackupError, Source, make};
use crate::config::BackupConfig;

/// After the first failure, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(60 * 60));

/// Makes a backup whenever the newest one in the stores is older than it may be, and deletes those that are too many. Never ends; failures are
/// logged and tried again, ever less often. Does nothing without `[backup]` in the configuration.
pub async fn run_schedule(source: Source) {
    let Some(settings) = source.config.backup.clone() else {
        return;
    };
    let mut failures = 0;
    loop {
        let wait = match turn(&source, &settings).await {
            Ok(wait) => {
                failures = 0;
                wait
            }
            Err(error) => {
                failures += 1;
                let again = retry_after(failures, settings.every);
                tracing::warn!(%error, retry_s = again.as_secs(), "no backup was made");
                again
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Makes a backup if it is time; returns how long it is until the next.
async fn turn(source: &Source, settings: &BackupConfig) -> Result<Duration, AgentBackupError> {
    // Opened anew each time: a directory may have come back.
    let urls = settings.stores.clone();
    let stores = blocking(move || Ok(BlobStores::open(urls)?)).await?;
    let now = quorate_service::now_ms();
    let newest = ObjectName::list(&stores, source.party()).await?;
    let wait = due_in(newest.last().map(|name| name.made_at), now, settings.every);
    if !wait.is_zero() {
        return Ok(wait);
    }
    let lock = Lock::to_recipients(&settings.recipients)?;
    let own = source.clone();
    let made = blocking(move || make(&own, &lock, now)).await?;
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
    Ok(settings.every)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AgentBackupError> + Send + 'static,
) -> Result<T, AgentBackupError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(AgentBackupError::Interrupted),
    }
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
