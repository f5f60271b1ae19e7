//! What is shown while it runs: bars on a terminal, a line for each step elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The whole run.
pub struct Progress {
    bars: MultiProgress,
    whole: ProgressBar,
    is_shown: bool,
}

impl Progress {
    /// Nothing done yet; [`Self::expect`] says how much there is.
    pub fn new() -> Self {
        let bars = MultiProgress::new();
        let whole = bars.add(styled(0, "{elapsed_precise} {bar:30} {pos}/{len} {msg}"));
        Self {
            bars,
            whole,
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    /// So many more steps.
    pub fn expect(&self, steps: usize) {
        self.whole.inc_length(u64::try_from(steps).unwrap_or(0));
    }

    /// A step begins, with so many requests; its bar.
    pub fn step(&self, what: &str, requests: usize) -> ProgressBar {
        if !self.is_shown {
            eprintln!("bench: {what}");
        }
        self.whole.set_message(what.to_owned());
        let length = u64::try_from(requests).unwrap_or(0);
        let bar = self
            .bars
            .add(styled(length, "         {bar:30} {pos}/{len} {per_sec}"));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// A step has ended, with a result worth a line.
    pub fn done(&self, bar: &ProgressBar, result: &str) {
        bar.finish_and_clear();
        self.whole.inc(1);
        if !self.is_shown {
            eprintln!("bench:   {result}");
        }
    }

    /// All done.
    pub fn finish(&self) {
        self.whole.finish_and_clear();
    }
}

fn styled(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
