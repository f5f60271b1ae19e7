//! Cost of a part of the run, by the clock and in processor time.

use std::time::{Duration, Instant};

/// Clock ticks in a second as `/proc` counts them; Linux has this number on every platform.
const TICKS: f64 = 100.0;

/// Part of the run, measured.
#[derive(Debug)]
pub struct Phase {
    /// Name in the table.
    pub name: &'static str,
    /// Duration by the clock.
    pub wall: Duration,
    /// Processor time of the processes that were started and have ended; known on Linux only.
    pub cpu: Option<Duration>,
}

impl Phase {
    /// Does the work and measures it.
    pub fn measure<T>(name: &'static str, work: impl FnOnce() -> T) -> (Self, T) {
        let (start, before) = (Instant::now(), children());
        let done = work();
        let phase = Self {
            name,
            wall: start.elapsed(),
            cpu: children()
                .zip(before)
                .map(|(now, before)| now.saturating_sub(before)),
        };
        (phase, done)
    }
}

fn children() -> Option<Duration> {
    read(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// User and system time of children that were waited for: fields 16 and 17, of which the second,
/// the program's name in parentheses, may contain anything.
fn read(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(13);
    let mut next = || fields.next()?.parse::<u32>().ok();
    let ticks = f64::from(next()?) + f64::from(next()?);
    Some(Duration::from_secs_f64(ticks / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_of_children_is_read_past_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 11 12 150 250 20 0 1 0 99";
        assert_eq!(read(stat), Some(Duration::from_secs(4)));
        assert_eq!(read("7 (a) S 1 7"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn what_was_done_is_handed_on() {
        let (phase, done) = Phase::measure("tests", || 7);
        assert_eq!((phase.name, done), ("tests", 7));
    }
}
