//! Files that only their owner may read, replaced whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand_core::{OsRng, RngCore as _};

/// What went wrong with a file, and which.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {cause}{}", path.display(), advice(cause))]
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

/// Whether the operating system refused because there is no room, on the disk or in the user's
/// quota.
pub(crate) fn is_full(cause: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(cause.kind(), StorageFull | QuotaExceeded)
}

/// What to do about the operating system's commoner refusals.
fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        _ if is_full(cause) => "; free some space",
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable",
        io::ErrorKind::PermissionDenied => "; it must belong to the user that the agent runs as",
        _ => "",
    }
}

impl FileError {
    pub(crate) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io {
            action,
            path,
            cause,
        }
    }

    /// Whether the disk has no room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if is_full(cause))
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

pub(crate) fn refuse_too_open(path: &Path, wanted: u32) -> Result<(), FileError> {
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

/// Writes a file 0600 so that a crash leaves the old content or the new: temporary name, fsync,
/// rename, fsync of the directory.
///
/// # Errors
/// The operating system's. The old file is then untouched; if only the directory could not be
/// fsynced, the new one is there, whole, and may be the old one again after a crash.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    replace(&SystemDisk, path, content)
}

/// [`write_private`] on any disk.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<(), FileError> {
    let directory = parent(path);
    let temporary = directory.join(format!(".{:016x}{TEMPORARY}", OsRng.next_u64()));
    let written = write_new(disk, &temporary, content).and_then(|()| {
        disk.rename(&temporary, path)
            .map_err(FileError::at("rename into", path))
    });
    if written.is_err() {
        // The error that matters is the one being returned; a left-over temporary file is swept at
        // the next opening.
        let _ = disk.remove(&temporary);
    }
    written?;
    sync_dir(disk, directory)
}

const TEMPORARY: &str = ".tmp";

fn write_new(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut file = disk
        .create_new(path)
        .map_err(FileError::at("create", path))?;
    file.write_all(content)
        .map_err(FileError::at("write", path))?;
    file.sync_all().map_err(FileError::at("fsync", path))
}

fn sync_dir(disk: &dyn Disk, directory: &Path) -> Result<(), FileError> {
    disk.sync_dir(directory)
        .map_err(FileError::at("fsync directory", directory))
}

fn parent(path: &Path) -> &Path {
    // A bare file name's parent is the empty path, which cannot be opened.
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Removes a file durably; one that is already gone is fine.
pub(crate) fn remove(disk: &dyn Disk, path: &Path) -> Result<(), FileError> {
    match disk.remove(path).map_err(FileError::at("remove", path)) {
        Err(e) if !e.is_not_found() => return Err(e),
        _ => {}
    }
    sync_dir(disk, parent(path))
}

/// Removes what a crash in [`replace`] left behind. Only for a directory that no other process
/// writes to.
pub(crate) fn sweep_temporaries(disk: &dyn Disk, directory: &Path) -> Result<(), FileError> {
    let names = disk
        .list(directory)
        .map_err(FileError::at("list", directory))?;
    for name in names {
        if name.starts_with('.') && name.ends_with(TEMPORARY) {
            remove(disk, &directory.join(name))?;
        }
    }
    Ok(())
}

/// Reads a file of at most `max` bytes, refusing one that others may read.
///
/// # Errors
/// The operating system's, too open permissions, too large.
pub fn read_private(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    SystemDisk.read(path, max)
}

/// The calls to the operating system that keep secrets, one method each, so that a test can stand
/// in a disk that fails, tears or forgets at any of them.
pub(crate) trait Disk: Send + Sync {
    /// Creates a file 0600 that must not exist.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Moves a file onto another name, replacing what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
    /// The names in a directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// As [`read_private`].
    fn read(&self, path: &Path, max: u64) -> Result<Vec<u8>, FileError>;
}

/// A file being written.
pub(crate) trait DiskFile {
    /// Appends.
    fn write_all(&mut self, content: &[u8]) -> io::Result<()>;
    /// Makes content durable.
    fn sync_all(&mut self) -> io::Result<()>;
}

/// The machine's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemDisk;

impl Disk for SystemDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        Ok(Box::new(options.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
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
}

impl DiskFile for File {
    fn write_all(&mut self, content: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, content)
    }

    fn sync_all(&mut self) -> io::Result<()> {
        Self::sync_all(self)
    }
}
