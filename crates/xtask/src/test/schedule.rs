//! Order in which binaries run: the longest first, as many as there are slots for.

use super::estimates::Estimate;

/// Binaries that take longer get two threads.
const LONG_SECONDS: f64 = 30.0;

/// Binary to run and the slots that it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Position in the list of binaries.
    pub index: usize,
    /// Test threads, each of which takes a slot.
    pub threads: usize,
    /// Expected duration; infinite if it is unknown, so that a surprise comes early.
    seconds: f64,
}

/// Binaries that have not started, and the slots that are free.
#[derive(Debug)]
pub struct Schedule {
    waiting: Vec<Job>,
    free: usize,
}

impl Schedule {
    /// Orders binaries by what is known of them, in the order of their list where that is equal.
    pub fn new(slots: usize, known: &[Option<Estimate>]) -> Self {
        let jobs = known.iter().enumerate();
        let mut waiting: Vec<Job> = jobs
            .map(|(index, estimate)| Job {
                index,
                threads: threads(*estimate).min(slots),
                seconds: estimate.map_or(f64::INFINITY, |e| e.seconds),
            })
            .collect();
        waiting.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Self {
            waiting,
            free: slots,
        }
    }

    /// Takes the first binary that fits into the free slots.
    pub fn start(&mut self) -> Option<Job> {
        let mut waiting = self.waiting.iter();
        let first = waiting.position(|job| job.threads <= self.free)?;
        let job = self.waiting.remove(first);
        self.free -= job.threads;
        Some(job)
    }

    /// Gives back the slots of a binary that has ended.
    pub fn ended(&mut self, job: &Job) {
        self.free += job.threads;
    }
}

/// Two threads where they pay: a single test cannot use them, and short ones need not.
fn threads(estimate: Option<Estimate>) -> usize {
    match estimate {
        Some(known) if known.seconds <= LONG_SECONDS || known.tests <= 1 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(seconds: f64) -> Option<Estimate> {
        Some(Estimate { seconds, tests: 9 })
    }

    fn binaries() -> Vec<Option<Estimate>> {
        let seconds = [1.0, 90.0, 31.0, 2.0, 300.0, 1.0, 30.0];
        seconds.map(known).into_iter().chain([None, None]).collect()
    }

    /// Starts whatever fits, then ends the one that runs longest, until nothing is left.
    fn play(slots: usize, known: &[Option<Estimate>]) -> Vec<Job> {
        let mut schedule = Schedule::new(slots, known);
        let (mut running, mut order) = (Vec::<Job>::new(), Vec::new());
        loop {
            while let Some(job) = schedule.start() {
                order.push(job.clone());
                running.push(job);
            }
            let taken: usize = running.iter().map(|job| job.threads).sum();
            assert!(taken <= slots, "{taken} of {slots} slots");
            if running.is_empty() {
                return order;
            }
            schedule.ended(&running.remove(0));
        }
    }

    fn indices(order: &[Job]) -> Vec<usize> {
        order.iter().map(|job| job.index).collect()
    }

    #[test]
    fn everything_runs_once_and_slots_are_never_exceeded() {
        for slots in 1..10 {
            let mut order = indices(&play(slots, &binaries()));
            order.sort_unstable();
            assert_eq!(order, (0..9).collect::<Vec<_>>(), "{slots} slots");
        }
    }

    #[test]
    fn the_unknown_and_the_longest_start_first() {
        let order = indices(&play(1, &binaries()));
        assert_eq!(order, [7, 8, 4, 1, 2, 6, 3, 0, 5]);
    }

    #[test]
    fn a_short_binary_fills_the_slot_that_a_long_one_leaves() {
        let order = indices(&play(3, &binaries()));
        assert_eq!(order.get(..2), Some(&[7, 6][..]));
    }

    #[test]
    fn the_same_durations_give_the_same_order() {
        assert_eq!(play(3, &binaries()), play(3, &binaries()));
    }

    #[test]
    fn two_threads_are_for_the_long_and_the_unknown() {
        assert_eq!(threads(known(30.0)), 1);
        assert_eq!(threads(known(30.1)), 2);
        assert_eq!(threads(None), 2);
        let single = Estimate {
            seconds: 90.0,
            tests: 1,
        };
        assert_eq!(threads(Some(single)), 1);
    }
}
