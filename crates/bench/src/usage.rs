//! What a stretch of work used: each kind of process, the wire, the disk.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::parts::Kind;
use crate::procfs;
use crate::wire::{self, Carried};

/// Totals at one moment.
pub struct Snapshot {
    at: Instant,
    cpu: BTreeMap<Kind, Duration>,
    machine: Duration,
    wire: Carried,
    disk: u64,
}

impl Snapshot {
    /// Reads them all.
    ///
    /// # Errors
    /// A process that is gone.
    pub fn take(cluster: &Cluster) -> anyhow::Result<Self> {
        let mut cpu = BTreeMap::new();
        let mut disk = 0;
        for part in cluster.parts() {
            *cpu.entry(part.kind).or_default() += procfs::cpu(part.pid())?;
            if part.kind == Kind::Agent {
                disk += procfs::disk_written(part.pid());
            }
        }
        cpu.insert(Kind::Client, procfs::cpu(std::process::id())?);
        Ok(Self {
            at: Instant::now(),
            cpu,
            machine: procfs::machine_busy()?,
            wire: wire::carried(cluster.monitoring)?,
            disk,
        })
    }

    /// What was used since then.
    ///
    /// # Errors
    /// A process that is gone.
    pub fn until_now(&self, cluster: &Cluster) -> anyhow::Result<Usage> {
        let now = Self::take(cluster)?;
        let cpu = now.cpu.iter().map(|(kind, total)| {
            let before = self.cpu.get(kind).copied().unwrap_or_default();
            (*kind, total.saturating_sub(before))
        });
        Ok(Usage {
            elapsed: now.at - self.at,
            cpu: cpu.collect(),
            machine: now.machine.saturating_sub(self.machine),
            wire: Carried {
                in_msgs: now.wire.in_msgs - self.wire.in_msgs,
                out_msgs: now.wire.out_msgs - self.wire.out_msgs,
                in_bytes: now.wire.in_bytes - self.wire.in_bytes,
                out_bytes: now.wire.out_bytes - self.wire.out_bytes,
            },
            disk: now.disk.saturating_sub(self.disk),
        })
    }
}

/// What a stretch of work used.
pub struct Usage {
    /// How long it was.
    pub elapsed: Duration,
    /// CPU time of each kind of process.
    pub cpu: BTreeMap<Kind, Duration>,
    /// CPU time of everything on the machine.
    pub machine: Duration,
    /// What nats-server carried.
    pub wire: Carried,
    /// Bytes that the agents wrote to disk.
    pub disk: u64,
}

impl Usage {
    /// CPU time of all the cluster's processes and the client.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.cpu.values().sum()
    }

    /// How many cores that kept busy.
    #[must_use]
    pub fn cores(&self) -> Cores {
        let per = |time: Duration| time.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9);
        Cores {
            ours: per(self.total()),
            others: per(self.machine.saturating_sub(self.total())),
        }
    }
}

/// Cores that were busy, on average.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Cores {
    /// With the cluster and the client.
    pub ours: f64,
    /// With everything else on the machine.
    pub others: f64,
}

/// Memory of the agents.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Memory {
    /// In use now, MiB: the largest agent's.
    pub resident_mib: f64,
    /// The most ever in use, MiB: the largest agent's.
    pub peak_mib: f64,
}

impl Memory {
    /// Reads it.
    ///
    /// # Errors
    /// An agent that is gone.
    pub fn of_agents(cluster: &Cluster) -> anyhow::Result<Self> {
        Self::of(cluster, Kind::Agent)
    }

    /// The same of another kind of process.
    ///
    /// # Errors
    /// One that is gone.
    pub fn of(cluster: &Cluster, kind: Kind) -> anyhow::Result<Self> {
        let mut memory = Self::default();
        for part in cluster.parts().iter().filter(|p| p.kind == kind) {
            let mib = |kib: u64| u32::try_from(kib).map_or(f64::MAX, f64::from) / 1024.0;
            memory.resident_mib = memory
                .resident_mib
                .max(mib(procfs::resident_kib(part.pid())?));
            memory.peak_mib = memory.peak_mib.max(mib(procfs::peak_kib(part.pid())?));
        }
        Ok(memory)
    }
}
