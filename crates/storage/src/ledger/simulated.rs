//! Storage for tests under the database: forgets and tears what was not synced, runs full, counts and holds its syncs.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use redb::{Builder, StorageBackend};

use super::database::SharedDatabase;
use crate::simulated_disk::Fault;

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

#[derive(Debug, Default)]
struct State {
    content: Vec<u8>,
    synced: Vec<u8>,
    /// Not yet durable, oldest first.
    pending: Vec<Change>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    crashed: bool,
    syncs: u64,
    held: bool,
    waiting: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// One medium; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct SimulatedStorage(Arc<Shared>);

impl SimulatedStorage {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// A database on it, which can be opened again and again.
    pub(super) fn database(&self) -> SharedDatabase {
        let storage = self.clone();
        SharedDatabase::opened_by(Arc::new(move || {
            Builder::new().create_with_backend(storage.clone())
        }))
    }

    /// Plans a fault and counts operations from 0 again.
    pub(super) fn plan(&self, at: u64, fault: Fault) {
        let mut state = self.lock();
        state.operations = 0;
        state.fault = Some((at, fault));
    }

    pub(super) fn operations(&self) -> u64 {
        self.lock().operations
    }

    pub(super) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Lets the next sync wait until [`Self::release`].
    pub(super) fn hold(&self) {
        self.lock().held = true;
    }

    /// Waits until a sync waits.
    pub(super) fn await_held(&self) {
        let state = self.lock();
        drop(self.0.changed.wait_while(state, |s| !s.waiting).unwrap());
    }

    pub(super) fn release(&self) {
        self.lock().held = false;
        self.0.changed.notify_all();
    }

    /// An exact copy, everything durable.
    pub(super) fn copy(&self) -> Self {
        Self::with(self.lock().content.clone())
    }

    /// What is there after a power cut now.
    pub(super) fn after_power_cut(&self, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let state = self.lock();
        let mut kept = state.synced.clone();
        for change in &state.pending {
            match (change, rng.next_u32() % 3) {
                (_, 0) => {}
                (Change::Write(at, data), 1) => {
                    let torn = usize::try_from(rng.next_u32()).unwrap() % (data.len() + 1);
                    write(&mut kept, *at, &data[..torn]);
                }
                (Change::Write(at, data), _) => write(&mut kept, *at, data),
                (Change::SetLen(len), _) => kept.resize(*len, 0),
            }
        }
        Self::with(kept)
    }

    fn with(content: Vec<u8>) -> Self {
        let storage = Self::default();
        {
            let mut state = storage.lock();
            state.synced.clone_from(&content);
            state.content = content;
        }
        storage
    }

    fn step(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.lock();
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
            Some((planned, fault)) if planned == at => Ok((state, Some(fault))),
            _ => Ok((state, None)),
        }
    }
}

/// A write past the end, where a lengthening was forgotten, lengthens.
fn write(content: &mut Vec<u8>, at: usize, data: &[u8]) {
    let end = at + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(data);
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl StorageBackend for SimulatedStorage {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let at = usize::try_from(offset).unwrap();
        let found = state.content.get(at..at + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut state, fault) = self.step()?;
        if fault.is_some() {
            return Err(full());
        }
        let len = usize::try_from(len).unwrap();
        state.content.resize(len, 0);
        state.pending.push(Change::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, fault) = self.step()?;
        if fault.is_some() {
            return Err(full());
        }
        state.waiting = state.held;
        self.0.changed.notify_all();
        let mut state = self.0.changed.wait_while(state, |s| s.held).unwrap();
        state.waiting = false;
        state.syncs += 1;
        state.synced = state.content.clone();
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut state, fault) = self.step()?;
        let kept = match fault {
            None => data,
            Some(Fault::Torn) => &data[..data.len() / 2],
            Some(_) => &[],
        };
        let at = usize::try_from(offset).unwrap();
        write(&mut state.content, at, kept);
        state.pending.push(Change::Write(at, kept.to_vec()));
        fault.map_or(Ok(()), |_| Err(full()))
    }
}
