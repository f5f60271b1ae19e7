//! What every long-running program of the system needs and none should write twice: configuration files, the roster file, log
//! lines, the clock, the signal to stop, memory that stays memory.

mod config;
mod harden;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use config::{ConfigError, Configuration, load, load_roster};
pub use harden::{forbid_core_dumps, lock_memory};
use tracing_subscriber::EnvFilter;

/// Unix time in milliseconds, as this machine believes.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Completes on Ctrl-C or SIGTERM.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Log lines on standard error; `QUORATE_LOG` chooses what, for example `debug`, and `default` where it is not set.
pub fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_env("QUORATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // Fails only if a subscriber is set already, which then stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .try_init();
}
