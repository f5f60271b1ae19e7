//! A disk for tests that forgets, tears and fails: what a power cut may do to everything that was not fsynced.
//!
//! File content that was not fsynced survives a crash as any prefix, or as zeros of its length. Creations, renames and removals that
//! were not made durable by an fsync of their directory each survive or not, independently.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::files::{Disk, DiskFile, FileError};

/// What happens at the operation of a number, counted from 0.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The machine stops before it.
    Crash,
    /// It is not done, for want of space.
    Full,
    /// A write ends half-way, for want of space; anything else is as [`Fault::Full`].
    Torn,
}

#[derive(Debug, Clone, Default)]
struct File {
    content: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Change {
    Set(PathBuf, usize),
    Unset(PathBuf),
}

#[derive(Debug, Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// Not yet durable, oldest first.
    pending: Vec<Change>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    crashed: bool,
}

/// One disk; clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Plans a fault and counts operations from 0 again.
    pub(crate) fn plan(&self, at: u64, fault: Fault) {
        let mut state = self.lock();
        state.operations = 0;
        state.fault = Some((at, fault));
    }

    /// How many operations there were since the plan.
    pub(crate) fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// An exact copy, with no fault planned.
    pub(crate) fn copy(&self) -> Self {
        let state = self.lock();
        Self(Arc::new(Mutex::new(State {
            files: state.files.clone(),
            names: state.names.clone(),
            synced_names: state.synced_names.clone(),
            pending: state.pending.clone(),
            ..State::default()
        })))
    }

    /// What is there after a power cut now; `seed` chooses what the disk kept of the undurable.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let state = self.lock();
        let mut names = state.synced_names.clone();
        for change in &state.pending {
            if rng.next_u32() % 2 == 0 {
                apply(&mut names, change);
            }
        }
        let files: Vec<File> = state
            .files
            .iter()
            .map(|file| {
                let kept = if file.content == file.synced {
                    file.content.clone()
                } else {
                    torn(&file.content, &mut rng)
                };
                File {
                    synced: kept.clone(),
                    content: kept,
                }
            })
            .collect();
        Self(Arc::new(Mutex::new(State {
            files,
            synced_names: names.clone(),
            names,
            ..State::default()
        })))
    }

    /// Counts an operation; an error if the plan has one for it.
    fn step(state: &mut State) -> io::Result<Option<Fault>> {
        let at = state.operations;
        state.operations += 1;
        if state.crashed {
            return Err(io::Error::other("the machine is off"));
        }
        match state.fault {
            Some((planned, Fault::Crash)) if planned == at => {
                state.crashed = true;
                Err(io::Error::other("power cut"))
            }
            Some((planned, fault)) if planned == at => Ok(Some(fault)),
            _ => Ok(None),
        }
    }
}

/// A prefix, or zeros where blocks were allocated and never written.
fn torn(content: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let draw = usize::try_from(rng.next_u32()).unwrap();
    match draw % 3 {
        0 => vec![0; content.len()],
        1 => Vec::new(),
        _ => content[..draw % (content.len() + 1)].to_vec(),
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &Change) {
    match change {
        Change::Set(name, file) => {
            names.insert(name.clone(), *file);
        }
        Change::Unset(name) => {
            names.remove(name);
        }
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl State {
    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.pending.push(change);
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let found = self.names.get(path).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

struct Open {
    disk: SimulatedDisk,
    file: usize,
}

impl DiskFile for Open {
    fn write_all(&mut self, content: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let fault = SimulatedDisk::step(&mut state)?;
        let kept = match fault {
            None => content.len(),
            Some(Fault::Torn) => content.len() / 2,
            Some(_) => 0,
        };
        state.files[self.file]
            .content
            .extend_from_slice(&content[..kept]);
        fault.map_or(Ok(()), |_| Err(full()))
    }

    fn sync_all(&mut self) -> io::Result<()> {
        let mut state = self.disk.lock();
        if SimulatedDisk::step(&mut state)?.is_some() {
            return Err(full());
        }
        let file = &mut state.files[self.file];
        file.synced.clone_from(&file.content);
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        if Self::step(&mut state)?.is_some() {
            return Err(full());
        }
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(File::default());
        state.change(Change::Set(path.to_owned(), file));
        Ok(Box::new(Open {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if Self::step(&mut state)?.is_some() {
            return Err(full());
        }
        let file = state.find(from)?;
        state.change(Change::Unset(from.to_owned()));
        state.change(Change::Set(to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if Self::step(&mut state)?.is_some() {
            return Err(full());
        }
        state.find(path)?;
        state.change(Change::Unset(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _directory: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if Self::step(&mut state)?.is_some() {
            return Err(full());
        }
        state.synced_names = state.names.clone();
        state.pending.clear();
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.lock();
        let inside = state.names.keys().filter(|p| p.parent() == Some(directory));
        Ok(inside
            .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
            .collect())
    }

    fn read(&self, path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
        let state = self.lock();
        let file = state.find(path).map_err(FileError::at("open", path))?;
        let content = &state.files[file].content;
        assert!(content.len() as u64 <= max);
        Ok(content.clone())
    }
}
