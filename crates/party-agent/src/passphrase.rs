//! Where a passphrase comes from.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use quorate_storage::{FileError, Passphrase, read_private};
use zeroize::Zeroizing;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not text.
    #[error("{} is not UTF-8 text", .0.display())]
    Text(PathBuf),
    /// Nowhere to take it from.
    #[error(
        "no passphrase: set {variable}, name a passphrase file, or run in a terminal to be asked"
    )]
    None {
        /// The environment variable that would have been read.
        variable: &'static str,
    },
    /// The terminal.
    #[error("cannot read the passphrase from the terminal: {0}")]
    Terminal(std::io::Error),
}

/// Where a secret may come from when no file is named for it.
#[derive(Debug, Clone, Copy)]
pub enum Asking<'a> {
    /// The environment, or else the terminal.
    Terminal,
    /// The environment only.
    Environment,
    /// Somebody has given it already; nothing else is read.
    Given(Option<&'a Passphrase>),
}

impl Asking<'_> {
    /// From the file if one is named, else as this says.
    ///
    /// # Errors
    /// See [`PassphraseError`].
    pub fn obtain(
        self,
        file: Option<&Path>,
        variable: &'static str,
        prompt: &str,
    ) -> Result<Passphrase, PassphraseError> {
        if let Self::Given(Some(secret)) = self {
            return Ok(secret.clone());
        }
        if let Some(path) = file {
            let bytes = Zeroizing::new(read_private(path, 4096)?);
            let text =
                std::str::from_utf8(&bytes).map_err(|_| PassphraseError::Text(path.to_owned()))?;
            return Ok(Passphrase::new(Zeroizing::new(text.to_owned())));
        }
        let none = PassphraseError::None { variable };
        if let Self::Given(None) = self {
            return Err(none);
        }
        if let Ok(text) = std::env::var(variable) {
            return Ok(Passphrase::new(Zeroizing::new(text)));
        }
        if matches!(self, Self::Environment) || !std::io::stdin().is_terminal() {
            return Err(none);
        }
        let text = rpassword::prompt_password(prompt).map_err(PassphraseError::Terminal)?;
        Ok(Passphrase::new(Zeroizing::new(text)))
    }
}

/// From the file if one is named, else from the environment variable, else by asking on the terminal.
///
/// # Errors
/// See [`PassphraseError`].
pub fn obtain(
    file: Option<&Path>,
    variable: &'static str,
    prompt: &str,
) -> Result<Passphrase, PassphraseError> {
    Asking::Terminal.obtain(file, variable, prompt)
}
