//! age files: to recipients, or to a passphrase.

use std::io::{Read as _, Write as _};
use std::str::FromStr as _;

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, scrypt, x25519};
use zeroize::Zeroizing;

use super::BackupError;
use crate::Passphrase;

/// scrypt's cost, as the `age` tool has it: 2^18, about a second.
const WORK_FACTOR: u8 = 18;
/// The highest accepted: 2^20, about four seconds and 1 GiB.
const MAX_WORK_FACTOR: u8 = 20;

/// To whom an age file is encrypted.
#[derive(Debug)]
pub enum Lock {
    /// Whoever knows the passphrase.
    Passphrase(Passphrase),
    /// Whoever has one of these recipients' identities.
    Recipients(Vec<x25519::Recipient>),
}

/// What opens an age file.
pub enum Opener {
    /// The passphrase.
    Passphrase(Passphrase),
    /// Identities, any of which may be the one.
    Identities(Vec<x25519::Identity>),
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener([redacted])")
    }
}

impl Lock {
    /// To recipients as text, `age1...`.
    ///
    /// # Errors
    /// [`BackupError::Recipient`], [`BackupError::NoRecipient`].
    pub fn to_recipients<S: AsRef<str>>(
        recipients: impl IntoIterator<Item = S>,
    ) -> Result<Self, BackupError> {
        let parsed = recipients
            .into_iter()
            .map(|text| parse_recipient(text.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if parsed.is_empty() {
            return Err(BackupError::NoRecipient);
        }
        Ok(Self::Recipients(parsed))
    }
}

/// Reads an age X25519 recipient, `age1...`.
///
/// # Errors
/// [`BackupError::Recipient`]
pub fn parse_recipient(text: &str) -> Result<x25519::Recipient, BackupError> {
    let text = text.trim();
    x25519::Recipient::from_str(text).map_err(|_| BackupError::Recipient {
        is_secret: text.to_ascii_uppercase().contains("AGE-SECRET-KEY"),
    })
}

/// Reads an identity file as `age-keygen` writes it: one `AGE-SECRET-KEY-1...` a line, comments after `#`.
///
/// # Errors
/// [`BackupError::Identity`], [`BackupError::NoIdentity`].
pub fn parse_identities(text: &str) -> Result<Vec<x25519::Identity>, BackupError> {
    let mut identities = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let identity =
            x25519::Identity::from_str(line).map_err(|_| BackupError::Identity(number))?;
        identities.push(identity);
    }
    if identities.is_empty() {
        return Err(BackupError::NoIdentity);
    }
    Ok(identities)
}

fn secret(passphrase: &Passphrase) -> SecretString {
    SecretString::from(passphrase.expose().to_owned())
}

pub(crate) fn encrypt(plaintext: &[u8], lock: &Lock) -> Result<Vec<u8>, BackupError> {
    let encryptor = match lock {
        Lock::Passphrase(passphrase) if passphrase.is_empty() => {
            return Err(BackupError::NoRecipient);
        }
        Lock::Passphrase(passphrase) => {
            let mut recipient = scrypt::Recipient::new(secret(passphrase));
            recipient.set_work_factor(WORK_FACTOR);
            Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        }
        Lock::Recipients(recipients) => {
            Encryptor::with_recipients(recipients.iter().map(|r| r as &dyn age::Recipient))
        }
    };
    let failed = |e: std::io::Error| BackupError::Encrypt(e.to_string());
    let encryptor = encryptor.map_err(|_| BackupError::NoRecipient)?;
    let mut sealed = Vec::with_capacity(plaintext.len() + plaintext.len() / 1024 + 4096);
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(failed)?;
    writer.write_all(plaintext).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(sealed)
}

pub(crate) fn decrypt(
    sealed: &[u8],
    opener: &Opener,
    max: usize,
) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    // The stream's tags cost far less than this.
    if sealed.len() > max + max / 1024 + 65_536 {
        return Err(BackupError::TooLarge);
    }
    let decryptor = Decryptor::new(sealed).map_err(|_| BackupError::NotAge)?;
    let opened = match (opener, decryptor.is_scrypt()) {
        (Opener::Passphrase(_), false) => return Err(BackupError::NeedsIdentity),
        (Opener::Identities(_), true) => return Err(BackupError::NeedsPassphrase),
        (Opener::Passphrase(passphrase), true) => {
            let mut identity = scrypt::Identity::new(secret(passphrase));
            identity.set_max_work_factor(MAX_WORK_FACTOR);
            decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))
        }
        (Opener::Identities(identities), false) => {
            decryptor.decrypt(identities.iter().map(|i| i as &dyn age::Identity))
        }
    };
    let reader = opened.map_err(|error| match (error, opener) {
        (DecryptError::NoMatchingKeys, Opener::Identities(_)) => BackupError::WrongIdentity,
        (
            DecryptError::NoMatchingKeys
            | DecryptError::DecryptionFailed
            | DecryptError::KeyDecryptionFailed,
            Opener::Passphrase(_),
        ) => BackupError::WrongPassphrase,
        (DecryptError::Io(_), _) => BackupError::Altered,
        _ => BackupError::NotAge,
    })?;
    // Reserved, so that no copy of the plaintext is left behind by growing.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader
        .take(max as u64 + 1)
        .read_to_end(&mut plaintext)
        .map_err(|_| BackupError::Altered)?;
    if plaintext.len() > max {
        return Err(BackupError::TooLarge);
    }
    Ok(plaintext)
}
