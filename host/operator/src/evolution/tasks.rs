//! What becomes of task states.

use super::plan::Planner;
use super::{ChangeKind, compare};

pub(super) fn plan(planner: &mut Planner<'_>) {
    let (before, now) = (&planner.left.description.task_states, &planner.now.task_states);
    for state in now {
        let what = format!("task state `{}`", state.name);
        let Some(was) = before.iter().find(|before| before.name == state.name) else {
            planner.change(ChangeKind::Added, what, String::new());
            continue;
        };
        match compare::task_states(was, state) {
            Ok(widening) if widening.widened.is_empty() => {
                planner.change(ChangeKind::Kept, what, widening.named.join("; "));
            }
            Ok(widening) => {
                planner.change(ChangeKind::Widened, what, widening.widened.join("; "));
            }
            Err(reason) => planner.refuse(format!(
                "{what} {reason}; declare the new task state under another name, and drop this one"
            )),
        }
    }
    for state in before.iter().filter(|before| now.iter().all(|now| now.name != before.name)) {
        planner.gone(format!("task state `{}`", state.name), String::new());
    }
}
