//! Whether another version of an operator fits where the one before it is in the graph.

use super::{Change, ChangeKind};
use crate::description::{Description, KeyType, Port};

/// Compares the ports: what has changed. `used_outputs` are the places of the outputs that something reads.
///
/// # Errors
/// Everything that does not fit, in words, each with what to do about it.
pub fn ports(
    before: &Description,
    now: &Description,
    used_outputs: &[u32],
) -> Result<Vec<Change>, Vec<String>> {
    let mut refused = Vec::new();
    let mut changes = Vec::new();
    for place in 0..before.inputs.len().max(now.inputs.len()) {
        let (was, is) = (before.inputs.get(place), now.inputs.get(place));
        if !was.zip(is).is_some_and(|(was, is)| was.broadcast == is.broadcast && same(was, is)) {
            refused.push(format!(
                "input {place} was {} and is {} now; inputs keep their names, types and order, since the graph of a \
                 running job does not change",
                shown(was),
                shown(is)
            ));
        }
    }
    for place in 0..before.outputs.len().max(now.outputs.len()) {
        let (was, is) = (before.outputs.get(place), now.outputs.get(place));
        if was.zip(is).is_some_and(|(was, is)| same(was, is)) {
            continue;
        }
        if used_outputs.contains(&(place as u32)) {
            refused.push(format!(
                "output {place}, which other nodes read, was {} and is {} now; outputs that are read keep their names, \
                 types and places: declare new ones after them",
                shown(was),
                shown(is)
            ));
            continue;
        }
        let change = |kind, port: &Port| Change {
            kind,
            what: format!("output `{}`", port.name),
            note: "nothing reads it".to_owned(),
        };
        changes.extend(was.map(|was| change(ChangeKind::Dropped, was)));
        changes.extend(is.map(|is| change(ChangeKind::Added, is)));
    }
    if refused.is_empty() { Ok(changes) } else { Err(refused) }
}

fn same(was: &Port, is: &Port) -> bool {
    let keys = match (&was.key, &is.key) {
        (Some(was), Some(is)) => was.matches(is),
        (None, None) => true,
        _ => false,
    };
    keys && was.name == is.name && was.value.matches(&is.value)
}

fn shown(port: Option<&Port>) -> String {
    let Some(port) = port else { return "not there".to_owned() };
    let key = port.key.as_ref().map(KeyType::to_string);
    let key = key.map(|key| format!(" by {key}")).unwrap_or_default();
    let broadcast = if port.broadcast { ", broadcast" } else { "" };
    format!("`{}` ({}{key}{broadcast})", port.name, port.value)
}
