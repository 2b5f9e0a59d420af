//! Whether an operator as it is now can take the state of the operator as it was.

use statehouse_checkpoint::OperatorState;
use statehouse_operator::Description;
use statehouse_state::{StateDeclaration, TaskStateDeclaration, TimerDeclaration};

/// What to do about something that is not declared any more.
const ADVICE: &str =
    "declare it as before, drop it by `--allow-non-restored-state`, or start by `--fresh`";

/// Compares the declarations. Returns, in words, what is not declared any more, if that may be dropped.
///
/// # Errors
/// In words, if what is declared cannot take what was, or something is not declared and may not be dropped.
pub(crate) fn unclaimed(
    before: &OperatorState,
    now: &Description,
    may_drop: bool,
) -> Result<Vec<String>, String> {
    let before = described(before)?;
    match (before.state_key(), now.state_key()) {
        (Some(before), Some(now)) if !before.matches(now) => {
            return Err(format!("its keys were {before} and are {now} now; keys cannot change"));
        }
        _ => {}
    }
    let mut dropped = Vec::new();
    let mut gone = |what: String| match may_drop {
        true => {
            dropped.push(what);
            Ok(())
        }
        false => Err(format!("it no longer declares {what}; {ADVICE}")),
    };
    for state in &before.states {
        match now.states.iter().find(|now| now.name == state.name) {
            Some(now) => compare(state, now)?,
            None => gone(format!("the state `{}`", state.name))?,
        }
    }
    for state in &before.task_states {
        match now.task_states.iter().find(|now| now.name == state.name) {
            Some(now) => compare_task_state(state, now)?,
            None => gone(format!("the task state `{}`", state.name))?,
        }
    }
    for timer in &before.timers {
        match now.timers.iter().find(|now| now.name == timer.name) {
            Some(now) => compare_timer(timer, now)?,
            None => gone(format!("the timer `{}`", timer.name))?,
        }
    }
    Ok(dropped)
}

/// The task states of the operator as it was that it does not declare any more.
pub(crate) fn unclaimed_task_states(
    before: &OperatorState,
    now: &[TaskStateDeclaration],
) -> Vec<TaskStateDeclaration> {
    let before = described(before).map(|before| before.task_states).unwrap_or_default();
    let gone = |state: &TaskStateDeclaration| !now.iter().any(|now| now.name == state.name);
    before.into_iter().filter(gone).collect()
}

fn described(before: &OperatorState) -> Result<Description, String> {
    serde_json::from_value(before.description.clone())
        .map_err(|error| format!("its recorded description cannot be read: {error}"))
}

fn compare(state: &StateDeclaration, now: &StateDeclaration) -> Result<(), String> {
    let name = &state.name;
    if now.kind != state.kind || now.value != state.value || now.codec != state.codec {
        return Err(format!(
            "state `{name}` was {:?} of {:?} ({}) and is {:?} of {:?} ({}) now",
            state.kind, state.value, state.codec, now.kind, now.value, now.codec
        ));
    }
    if now.map_key != state.map_key || now.merge != state.merge {
        return Err(format!(
            "state `{name}` had map keys {:?} and the merge {:?}, and has {:?} and {:?} now",
            state.map_key, state.merge, now.map_key, now.merge
        ));
    }
    if now.schema_version != state.schema_version {
        return Err(format!(
            "state `{name}` has schema version {} there and {} now, and values are not migrated yet",
            state.schema_version, now.schema_version
        ));
    }
    Ok(())
}

fn compare_task_state(
    state: &TaskStateDeclaration,
    now: &TaskStateDeclaration,
) -> Result<(), String> {
    let shape = |state: &TaskStateDeclaration| {
        (state.kind, state.value, state.codec.clone(), state.map_key, state.schema_version)
    };
    if shape(now) != shape(state) {
        return Err(format!(
            "the task state `{}` was {:?} of {:?} and is {:?} of {:?} now, or its map keys or schema version changed",
            state.name, state.kind, state.value, now.kind, now.value
        ));
    }
    Ok(())
}

fn compare_timer(timer: &TimerDeclaration, now: &TimerDeclaration) -> Result<(), String> {
    match now.domain == timer.domain {
        true => Ok(()),
        false => Err(format!(
            "its timer `{}` was on the clock {:?} and is on {:?} now",
            timer.name, timer.domain, now.domain
        )),
    }
}
