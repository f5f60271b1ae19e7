//! Configuration files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_types::ValidRoster;
use serde::de::DeserializeOwned;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not TOML, unknown or missing fields, values out of range, or a roster that is not valid.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A configuration file's content. Its type should refuse unknown fields.
pub trait Configuration: DeserializeOwned {
    /// Every path in it; relative ones are relative to the file's own directory.
    fn paths_mut(&mut self) -> Vec<&mut PathBuf>;

    /// What the type alone does not say.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn check(&self) -> Result<(), String>;
}

/// Reads and checks a configuration file; the paths in the result are absolute or relative to the caller.
///
/// # Errors
/// See [`ConfigError`].
pub fn load<C: Configuration>(path: &Path) -> Result<C, ConfigError> {
    let text = read(path)?;
    let mut config: C = toml::from_str(&text).map_err(|e| invalid(path, e.to_string()))?;
    let base = path.parent().unwrap_or_else(|| Path::new("."));
    for relative in config.paths_mut() {
        *relative = base.join(&*relative);
    }
    config.check().map_err(|reason| invalid(path, reason))?;
    Ok(config)
}

/// Reads and checks a roster file.
///
/// # Errors
/// See [`ConfigError`].
pub fn load_roster(path: &Path) -> Result<Arc<ValidRoster>, ConfigError> {
    let roster = ValidRoster::from_json(&read(path)?).map_err(|e| invalid(path, e.to_string()))?;
    Ok(Arc::new(roster))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })
}

fn invalid(path: &Path, reason: String) -> ConfigError {
    ConfigError::Invalid {
        path: path.to_owned(),
        reason,
    }
}
