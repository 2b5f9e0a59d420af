//! The progress bar of a running job.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use statehouse_engine::{Clock, JobHandle, TaskKind, TaskMetrics};

use crate::format;
use crate::live_job::LiveJob;

/// Time between two looks at the counters.
const INTERVAL: Duration = Duration::from_millis(200);

const BAR: &str = "{bar:30.cyan/dim} {percent:>3}%  {msg}  {elapsed}, {eta} left";
const SPINNER: &str = "{spinner} {msg}  {elapsed}";

/// A thread that shows how far a job is. Nothing is shown, and nothing runs, if the bars are hidden.
#[derive(Debug)]
pub(super) struct Progress {
    running: Option<(JoinHandle<()>, Arc<AtomicBool>)>,
}

impl Progress {
    pub(super) fn start(bars: &MultiProgress, job: LiveJob, clock: Arc<dyn Clock>) -> Self {
        if bars.is_hidden() {
            return Self { running: None };
        }
        let bar = bars.add(ProgressBar::no_length());
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = std::thread::Builder::new().name("progress".to_owned());
        let started = thread.spawn(move || show(&bar, &job, &*clock, &seen));
        // A job runs as well without a bar.
        Self { running: started.ok().map(|thread| (thread, over)) }
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Some((thread, over)) = self.running {
            over.store(true, Ordering::Release);
            thread.thread().unpark();
            // It only draws; if that went wrong the job did not.
            let _ = thread.join();
        }
    }
}

fn show(bar: &ProgressBar, job: &LiveJob, clock: &dyn Clock, over: &AtomicBool) {
    let style = |template| ProgressStyle::with_template(template).expect("the templates are fixed");
    bar.set_style(style(SPINNER));
    let mut previous = (clock.now(), 0);
    let mut rate = 0.0;
    while !over.load(Ordering::Acquire) {
        let counts = job.handle().map(|handle| Counts::read(&handle)).unwrap_or_default();
        let (now, before) = (clock.now(), previous);
        if now > before.0 {
            let current =
                counts.records.saturating_sub(before.1) as f64 * 1000.0 / (now - before.0) as f64;
            rate = if rate == 0.0 { current } else { 0.7 * rate + 0.3 * current };
            previous = (now, counts.records);
        }
        if let Some(total) = counts.total {
            if bar.length().is_none() {
                bar.set_style(style(BAR));
            }
            bar.set_length(total);
            bar.set_position(counts.done);
        }
        bar.set_message(counts.message(rate));
        bar.tick();
        std::thread::park_timeout(INTERVAL);
    }
    bar.finish_and_clear();
}

/// What the bar shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    records: u64,
    done: u64,
    /// Known if it is known for all sources.
    total: Option<u64>,
    rejected: u64,
    checkpoints: u64,
}

impl Counts {
    fn read(job: &JobHandle) -> Self {
        let (mut records, mut done, mut total, mut rejected) = (0, 0, Some(0), 0);
        for task in job.tasks() {
            let metrics = &task.metrics;
            rejected += TaskMetrics::read(&metrics.rejected);
            if task.kind == TaskKind::Source {
                records += TaskMetrics::read(&metrics.records_out);
                done += TaskMetrics::read(&metrics.progress_done);
                let own = TaskMetrics::read(&metrics.progress_total);
                total = total.filter(|_| own > 0).map(|sum: u64| sum + own);
            }
        }
        Self { records, done, total, rejected, checkpoints: job.checkpoint_count() }
    }

    fn message(&self, rate: f64) -> String {
        let records = format::counted(self.records, "record");
        let mut text = format!("{records}  {}", format::rate(rate));
        if self.checkpoints > 0 {
            text.push_str(&format!("  {}", format::counted(self.checkpoints, "checkpoint")));
        }
        if self.rejected > 0 {
            text.push_str(&format!("  {} rejected", format::count(self.rejected)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_tells_of_checkpoints_and_rejected_records_when_there_are_any() {
        let mut counts =
            Counts { records: 12_345, done: 0, total: None, rejected: 0, checkpoints: 0 };
        assert_eq!(counts.message(2_500_000.0), "12,345 records  2.5 M/s");
        (counts.rejected, counts.checkpoints) = (3, 2);
        assert_eq!(counts.message(10.0), "12,345 records  10/s  2 checkpoints  3 rejected");
    }
}
