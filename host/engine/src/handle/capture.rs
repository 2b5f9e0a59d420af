//! Captures for shadow runs: what is asked for, and what the tasks of a node copied.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_utils::sync::Unparker;
use statehouse_operator::Capture;

use super::{TaskEntry, TaskKind};
use crate::element::Control;

/// How long tasks have to hand over what they have, once nobody waits for more.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureRequest {
    /// The operator's id in the job.
    pub node: String,
    /// How many batches each of its tasks copies.
    pub batches: u32,
}

/// What one task copied.
#[derive(Debug)]
pub struct TaskCapture {
    /// The task's number.
    pub task: u32,
    /// The batches, and what goes with them.
    pub capture: Box<Capture>,
}

/// A capture under way.
#[derive(Debug)]
pub struct CaptureTicket {
    under_way: Arc<UnderWay>,
    driver: Unparker,
}

#[derive(Debug)]
struct UnderWay {
    request: CaptureRequest,
    progress: Mutex<Progress>,
    moved: Condvar,
}

#[derive(Debug)]
struct Progress {
    /// Whether the tasks have been told to begin, and to end.
    begun: bool,
    ended: bool,
    /// Whether they are to end with what they have.
    end_wanted: bool,
    /// How many tasks have not answered.
    missing: usize,
    captures: Vec<TaskCapture>,
    failed: Option<String>,
}

impl UnderWay {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, reason: &str) {
        self.progress().failed.get_or_insert_with(|| reason.to_owned());
        self.moved.notify_all();
    }

    /// Waits until all have answered, or none will. Whether that is so.
    fn wait(&self, patience: Duration) -> bool {
        let waits = |progress: &mut Progress| progress.missing > 0 && progress.failed.is_none();
        let waited = self.moved.wait_timeout_while(self.progress(), patience, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl CaptureTicket {
    /// Waits for what the tasks copy. Those that have not had all batches by then hand over what they have; a task that
    /// has had none is left out.
    ///
    /// # Errors
    /// In words, if the job ends or the operator is replaced before.
    pub fn wait(self, patience: Duration) -> Result<Vec<TaskCapture>, String> {
        let under_way = &self.under_way;
        if !under_way.wait(patience) {
            under_way.progress().end_wanted = true;
            self.driver.unpark();
            if !under_way.wait(HAND_OVER_PATIENCE) {
                let node = &under_way.request.node;
                under_way.fail(&format!(
                    "the tasks of operator `{node}` did not hand over what they copied within {HAND_OVER_PATIENCE:?}: \
                     they are about something that takes long; ask again, with fewer batches"
                ));
            }
        }
        let mut progress = under_way.progress();
        match progress.failed.take() {
            Some(reason) => Err(reason),
            None => {
                let mut captures = std::mem::take(&mut progress.captures);
                captures.sort_by_key(|capture| capture.task);
                Ok(captures)
            }
        }
    }
}

/// The captures of a job that are under way.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    /// Locked by the driver once a turn and by who asks for something, never by a task.
    under_way: Mutex<Vec<Arc<UnderWay>>>,
}

impl Captures {
    /// Asks for one. `over` says why nothing can be asked for any more.
    pub(super) fn ask(
        &self,
        request: CaptureRequest,
        tasks: &[TaskEntry],
        driver: Unparker,
        over: Option<String>,
    ) -> CaptureTicket {
        let node = &request.node;
        let operators = tasks.iter().filter(|entry| entry.kind == TaskKind::Operator);
        let missing = operators.filter(|entry| entry.node == *node).count();
        let mut all = self.under_way();
        let failed = over.or_else(|| {
            if missing == 0 {
                return Some(format!("the job has no operator `{node}`; name one that it has"));
            }
            let twice = all.iter().any(|other| other.request.node == *node);
            twice.then(|| {
                format!(
                    "batches of operator `{node}` are being copied already; wait until that is over"
                )
            })
        });
        let refused = failed.is_some();
        let progress = Progress {
            begun: false,
            ended: false,
            end_wanted: false,
            missing,
            captures: Vec::new(),
            failed,
        };
        let (progress, moved) = (Mutex::new(progress), Condvar::new());
        let under_way = Arc::new(UnderWay { request, progress, moved });
        if !refused {
            all.push(Arc::clone(&under_way));
        }
        driver.unpark();
        CaptureTicket { under_way, driver }
    }

    /// What tasks are to be told, by their places.
    pub(crate) fn orders(&self, tasks: &[TaskEntry]) -> Vec<(usize, Control)> {
        let mut orders = Vec::new();
        self.under_way().retain(|under_way| {
            let mut progress = under_way.progress();
            let CaptureRequest { node, batches } = &under_way.request;
            let of_node = |entry: &TaskEntry| entry.node == *node;
            let places = || (0..tasks.len()).filter(|&at| of_node(&tasks[at]));
            if !progress.begun {
                progress.begun = true;
                orders.extend(places().map(|at| (at, Control::Capture { batches: *batches })));
            }
            if progress.end_wanted && !progress.ended {
                progress.ended = true;
                orders.extend(places().map(|at| (at, Control::EndCapture)));
            }
            // Nobody waits any more for one that has failed.
            progress.missing > 0 && progress.failed.is_none()
        });
        orders
    }

    /// A task hands over what it copied, if that is anything.
    pub(crate) fn captured(&self, entry: &TaskEntry, capture: Option<Box<Capture>>) {
        let all = self.under_way();
        let Some(under_way) = all.iter().find(|one| one.request.node == entry.node) else { return };
        let mut progress = under_way.progress();
        progress.missing = progress.missing.saturating_sub(1);
        progress.captures.extend(capture.map(|capture| TaskCapture { task: entry.task, capture }));
        under_way.moved.notify_all();
    }

    /// Nothing comes of those that are under way.
    pub(crate) fn fail(&self, reason: &str) {
        for under_way in self.under_way().drain(..) {
            under_way.fail(reason);
        }
    }

    fn under_way(&self) -> MutexGuard<'_, Vec<Arc<UnderWay>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_utils::sync::Parker;

    use super::*;
    use crate::metrics::TaskMetrics;

    fn entry(node: &str, task: u32, kind: TaskKind) -> TaskEntry {
        TaskEntry { node: node.into(), task, kind, metrics: Arc::new(TaskMetrics::default()) }
    }

    fn tasks() -> Vec<TaskEntry> {
        vec![
            entry("numbers", 0, TaskKind::Source),
            entry("sums", 0, TaskKind::Operator),
            entry("sums", 1, TaskKind::Operator),
        ]
    }

    fn ask(captures: &Captures, node: &str) -> CaptureTicket {
        let request = CaptureRequest { node: node.into(), batches: 3 };
        captures.ask(request, &tasks(), Parker::new().unparker().clone(), None)
    }

    #[test]
    fn tasks_are_told_once_and_who_waits_gets_what_there_is() {
        let (captures, tasks) = (Captures::default(), tasks());
        let ticket = ask(&captures, "sums");
        let orders = captures.orders(&tasks);
        let told =
            |order: &(usize, Control)| matches!(order, (1 | 2, Control::Capture { batches: 3 }));
        assert!(orders.len() == 2 && orders.iter().all(told), "{orders:?}");
        assert!(captures.orders(&tasks).is_empty());
        captures.captured(&tasks[1], None);
        let waiting = std::thread::spawn(move || ticket.wait(Duration::ZERO));
        let mut orders = Vec::new();
        while orders.is_empty() {
            orders = captures.orders(&tasks);
        }
        assert!(orders.iter().all(|(_, control)| matches!(control, Control::EndCapture)));
        captures.captured(&tasks[2], None);
        assert!(waiting.join().unwrap().unwrap().is_empty());
        assert!(captures.orders(&tasks).is_empty());
    }

    #[test]
    fn what_cannot_be_captured_is_refused_and_nobody_is_left_waiting() {
        let captures = Captures::default();
        let reason = |ticket: CaptureTicket| ticket.wait(Duration::MAX).unwrap_err();
        assert!(reason(ask(&captures, "numbers")).contains("no operator `numbers`"));
        let first = ask(&captures, "sums");
        assert!(reason(ask(&captures, "sums")).contains("already"));
        captures.fail("the job has ended");
        assert_eq!(reason(first), "the job has ended");
        let (request, driver) = (CaptureRequest { node: "sums".into(), batches: 1 }, Parker::new());
        let late = captures.ask(request, &tasks(), driver.unparker().clone(), Some("over".into()));
        assert_eq!(reason(late), "over");
    }
}
