//! Files that only their owner may read, replaced whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand_core::{OsRng, RngCore as _};

/// What went wrong with a file, and which.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// Others may read or write it.
    #[error("{} is open to others (mode {mode:04o}); mend it with: chmod {wanted:04o} {}", path.display(), path.display())]
    TooOpen {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// Larger than anything this program writes.
    #[error("{} is larger than {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound in bytes.
        max: u64,
    },
}

impl FileError {
    fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io {
            action,
            path,
            cause,
        }
    }

    /// Whether the file does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }
}

/// Creates a directory 0700, with its parents, or checks that an existing one is closed to others.
///
/// # Errors
/// The operating system's, or an existing directory that others may enter.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(FileError::at("create directory", path))?;
    refuse_too_open(path, 0o700)
}

fn refuse_too_open(path: &Path, wanted: u32) -> Result<(), FileError> {
    let metadata = fs::metadata(path).map_err(FileError::at("inspect", path))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(FileError::TooOpen {
        path: path.to_owned(),
        mode,
        wanted,
    })
}

/// Writes a file 0600 so that a crash leaves the old content or the new: temporary name, fsync, rename, fsync of the directory.
///
/// # Errors
/// The operating system's; the old file is then untouched.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let directory = directory_of(path);
    let temporary = directory.join(format!(".{:016x}.tmp", OsRng.next_u64()));
    let written = write_new(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path).map_err(FileError::at("rename into", path)));
    if written.is_err() {
        // The error that matters is the one being returned; a left-over temporary file is harmless.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_dir(directory)
}

/// A bare file name's parent is the empty path, which cannot be opened.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(FileError::at("create", path))?;
    file.write_all(content)
        .map_err(FileError::at("write", path))?;
    file.sync_all().map_err(FileError::at("fsync", path))
}

pub(crate) fn sync_dir(directory: &Path) -> Result<(), FileError> {
    File::open(directory)
        .and_then(|dir| dir.sync_all())
        .map_err(FileError::at("fsync directory", directory))
}

/// Removes a file durably; one that is already gone is fine.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path).map_err(FileError::at("remove", path)) {
        Err(e) if !e.is_not_found() => return Err(e),
        _ => {}
    }
    sync_dir(directory_of(path))
}

/// Reads a file of at most `max` bytes, refusing one that others may read.
///
/// # Errors
/// The operating system's, too open permissions, too large.
pub fn read_private(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::at("open", path))?;
    refuse_too_open(path, 0o600)?;
    let mut content = Vec::new();
    file.take(max + 1)
        .read_to_end(&mut content)
        .map_err(FileError::at("read", path))?;
    if content.len() as u64 > max {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            max,
        });
    }
    Ok(content)
}
