//! Runs an assembled job: a thread for each task, the publisher in a tokio runtime, and the driver on the calling
//! thread.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crossbeam_utils::sync::{Parker, Unparker};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use crate::clock::Clock;
use crate::driver::{Driver, Turn};
use crate::error::JobError;
use crate::handle::{Ending, Stop};
use crate::job::Assembled;
use crate::publish::Publisher;
use crate::task::{Step, Task};

/// The longest that a thread sleeps without looking whether the job is over.
const PARK_MAX: Duration = Duration::from_millis(100);

/// How long the publisher has, once all is committed, to end what it is about: a collection.
const PUBLISHER_PATIENCE: Duration = Duration::from_secs(10);

/// Whether tasks go on, end, or are given back.
mod phase {
    pub(super) const RUNNING: u8 = 0;
    pub(super) const OVER: u8 = 1;
    pub(super) const ROLLING_BACK: u8 = 2;
}

/// Runs a job to its end: until all sources are exhausted, it is stopped, it rolls back a swap, or it fails. The
/// publisher runs in the tokio runtime of the calling thread, if there is one with threads of its own, or else in one
/// made for it.
///
/// # Errors
/// If the job fails. Its newest checkpoint is where it can resume.
pub fn run(job: Assembled, clock: &Arc<dyn Clock>) -> Result<Ending, JobError> {
    let Assembled { tasks, mut driver, driver_parker, publisher, .. } = job;
    let publishing = publisher.map(Publishing::start).transpose()?;
    let wake = tasks.iter().map(|(_, parker)| parker.unparker().clone()).collect();
    let threads = Threads { phase: AtomicU8::new(phase::RUNNING), wake };
    let ending = std::thread::scope(|scope| {
        // However this ends, by a panic of the driver's too: the tasks' threads end, or the scope would wait for ever.
        let _end = EndOnDrop(&threads);
        let mut running = Vec::with_capacity(tasks.len());
        for (task, parker) in tasks {
            let (threads, name) = (&threads, task.name().to_owned());
            let thread = std::thread::Builder::new().name(name.clone());
            let started =
                thread.spawn_scoped(scope, move || run_task(task, &parker, threads, clock));
            running.push(started.map_err(|error| {
                let reason = format!("{name}: no thread can be started: {error}");
                JobError::Failed { reason }
            })?);
        }
        loop {
            match driver.turn() {
                Turn::Running { until } => driver_parker.park_timeout(pause(until, clock)),
                Turn::Finished => return Ok(Ending::Finished),
                Turn::Stopped(stop) => return Ok(Ending::Stopped(stop)),
                Turn::RolledBack => {
                    threads.end(phase::ROLLING_BACK);
                    // A thread that broke has no task to give back: its state is restored.
                    let tasks = running.into_iter().filter_map(|thread| thread.join().ok()?);
                    return Ok(Ending::RolledBack(Box::new(driver.roll_back(tasks.collect()))));
                }
                Turn::Failed { reason } => return Err(JobError::Failed { reason }),
            }
        }
    });
    driver.hang_up();
    if let Some(publishing) = publishing {
        // Nobody needs what is left of the work of a job that failed, and one that rolls back is in a hurry.
        let orderly = matches!(
            &ending,
            Ok(Ending::Finished | Ending::Stopped(Stop::Checkpoint | Stop::Drain))
        );
        publishing.end(driver, if orderly { PUBLISHER_PATIENCE } else { Duration::ZERO });
    }
    ending
}

/// The tasks' threads, from outside.
struct Threads {
    phase: AtomicU8,
    wake: Vec<Unparker>,
}

impl Threads {
    fn end(&self, phase: u8) {
        // What was said first counts.
        let _ =
            self.phase.compare_exchange(phase::RUNNING, phase, Ordering::AcqRel, Ordering::Acquire);
        self.wake.iter().for_each(Unparker::unpark);
    }
}

/// The publisher at work.
struct Publishing {
    /// The runtime made for it, if one was.
    runtime: Option<Runtime>,
    ended: mpsc::Receiver<()>,
}

impl Publishing {
    fn start(publisher: Publisher) -> Result<Self, JobError> {
        let (handle, runtime) = match Handle::try_current() {
            Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => (handle, None),
            _ => {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(1)
                    .thread_name("publisher")
                    .enable_all()
                    .build()
                    .map_err(|error| {
                        let reason = format!("the publisher cannot be started: {error}");
                        JobError::Failed { reason }
                    })?;
                (runtime.handle().clone(), Some(runtime))
            }
        };
        let (ends, ended) = mpsc::sync_channel(1);
        handle.spawn(async move {
            publisher.run().await;
            // Nobody waits any more if the job has ended before.
            let _ = ends.send(());
        });
        Ok(Self { runtime, ended })
    }

    /// Leaves the publisher some time to end what it was told, and then cuts it short, by dropping the driver.
    fn end(self, driver: Driver, patience: Duration) {
        // An error says that it has ended already.
        let _ = self.ended.recv_timeout(patience);
        drop(driver);
        if let Some(runtime) = self.runtime {
            // A store that does not answer must not hold the process.
            runtime.shutdown_background();
        }
    }
}

struct EndOnDrop<'a>(&'a Threads);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end(phase::OVER);
    }
}

/// Runs a task until it is finished or the job is over. Gives it back if the job rolls back.
fn run_task(
    mut task: Task,
    parker: &Parker,
    threads: &Threads,
    clock: &Arc<dyn Clock>,
) -> Option<Task> {
    let mut finished = false;
    loop {
        match threads.phase.load(Ordering::Acquire) {
            phase::RUNNING if finished => parker.park_timeout(PARK_MAX),
            phase::RUNNING => {
                // A bug of the host's ends this job and no other.
                let step = catch_unwind(AssertUnwindSafe(|| task.step()));
                match step.unwrap_or_else(|panic| task.fail(&panic_message(&*panic))) {
                    Step::Worked => {}
                    Step::Waiting { until } => parker.park_timeout(pause(until, clock)),
                    Step::Finished => finished = true,
                }
            }
            phase::ROLLING_BACK => return Some(task),
            _ => return None,
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
