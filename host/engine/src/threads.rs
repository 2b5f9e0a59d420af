//! Runs an assembled job: a thread for each task, and the driver on the calling thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_utils::sync::Parker;

use crate::clock::Clock;
use crate::driver::Turn;
use crate::error::JobError;
use crate::job::Assembled;
use crate::task::{Step, Task};

/// The longest that a thread sleeps without looking whether the job is over.
const PARK_MAX: Duration = Duration::from_millis(100);

/// Runs a job to its end: until all sources are exhausted, it is stopped, or it fails.
///
/// # Errors
/// If the job fails. Its newest checkpoint is where it can resume.
pub fn run(job: Assembled, clock: &Arc<dyn Clock>) -> Result<(), JobError> {
    let Assembled { tasks, mut driver, driver_parker, .. } = job;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // However this ends, by a panic of the driver's too: the tasks' threads end, or the scope would wait for ever.
        let _end = EndOnDrop(&over);
        for (task, parker) in tasks {
            let (over, name) = (&over, task.name().to_owned());
            let thread = std::thread::Builder::new().name(name.clone());
            let started = thread.spawn_scoped(scope, move || run_task(task, &parker, over, clock));
            if let Err(error) = started {
                let reason = format!("{name}: no thread can be started: {error}");
                return Err(JobError::Failed { reason });
            }
        }
        loop {
            match driver.turn() {
                Turn::Running { until } => driver_parker.park_timeout(pause(until, clock)),
                Turn::Completed => return Ok(()),
                Turn::Failed { reason } => return Err(JobError::Failed { reason }),
            }
        }
    })
}

struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn run_task(mut task: Task, parker: &Parker, over: &AtomicBool, clock: &Arc<dyn Clock>) {
    while !over.load(Ordering::Acquire) {
        // A bug of the host's ends this job and no other.
        let step = catch_unwind(AssertUnwindSafe(|| task.step()));
        match step.unwrap_or_else(|panic| task.fail(&panic_message(&*panic))) {
            Step::Worked => {}
            Step::Waiting { until } => parker.park_timeout(pause(until, clock)),
            Step::Finished => return,
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the host broke an assumption of its own: {}", text.unwrap_or_default())
}

fn pause(until: Option<i64>, clock: &Arc<dyn Clock>) -> Duration {
    let Some(until) = until else { return PARK_MAX };
    let milliseconds = u64::try_from(until.saturating_sub(clock.now())).unwrap_or(0);
    Duration::from_millis(milliseconds).min(PARK_MAX)
}
