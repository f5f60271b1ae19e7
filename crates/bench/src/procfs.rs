//! What Linux says about processes and about the machine.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// A number of clock ticks as time.
fn ticks(count: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_nanos(count.saturating_mul(1_000_000_000 / per_second))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The fields of a line that are numbers.
fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect()
}

/// CPU time of a process and all its threads, ended ones too, in user and kernel mode.
///
/// # Errors
/// The process is gone.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let stat = read(Path::new(&format!("/proc/{pid}/stat")))?;
    // Fields 14 and 15; the second is a name in brackets, the third a letter.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |index: usize| -> anyhow::Result<u64> {
        let text = fields.get(index).context("a short /proc/<pid>/stat")?;
        Ok(text.parse()?)
    };
    Ok(ticks(field(11)? + field(12)?))
}

/// A value of `/proc/<pid>/status`, in KiB where it is memory.
fn status_value(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = read(Path::new(&format!("/proc/{pid}/status")))?;
    let line = status.lines().find(|l| l.starts_with(name));
    let value = line.and_then(|l| numbers(l).first().copied());
    value.with_context(|| format!("no {name} of process {pid}"))
}

/// Memory in use now, KiB.
///
/// # Errors
/// The process is gone.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    status_value(pid, "VmRSS:")
}

/// The most memory that was ever in use, KiB.
///
/// # Errors
/// The process is gone.
pub fn peak_kib(pid: u32) -> anyhow::Result<u64> {
    status_value(pid, "VmHWM:")
}

/// How many threads a process has.
///
/// # Errors
/// The process is gone.
pub fn threads(pid: u32) -> anyhow::Result<u64> {
    status_value(pid, "Threads:")
}

/// How many files and sockets a process has open.
///
/// # Errors
/// The process is gone.
pub fn open_files(pid: u32) -> anyhow::Result<usize> {
    let directory = format!("/proc/{pid}/fd");
    let entries = std::fs::read_dir(&directory).with_context(|| format!("no {directory}"))?;
    Ok(entries.count())
}

/// Bytes that a process has caused to be written to disks; 0 where the kernel does not say.
pub fn disk_written(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = io.lines().find(|l| l.starts_with("write_bytes:"));
    line.and_then(|l| numbers(l).first().copied()).unwrap_or(0)
}

/// CPU time of all cores in which something ran, whoever's it was.
///
/// # Errors
/// No /proc.
pub fn machine_busy() -> anyhow::Result<Duration> {
    let stat = read(Path::new("/proc/stat"))?;
    let fields = numbers(stat.lines().next().unwrap_or_default());
    // user, nice, system, idle, iowait, irq, softirq; steal is not ours to use.
    let busy = [0, 1, 2, 5, 6]
        .into_iter()
        .filter_map(|index: usize| fields.get(index))
        .sum();
    Ok(ticks(busy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_measured() {
        let pid = std::process::id();
        let before = cpu(pid).unwrap();
        let busy = machine_busy().unwrap();
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        assert!(cpu(pid).unwrap() > before);
        assert!(machine_busy().unwrap() > busy);
        assert!(resident_kib(pid).unwrap() <= peak_kib(pid).unwrap());
    }
}
