//! Access to the value of one slot. The first read of a state loads its window; what is written after that is laid
//! over it here, so that reading and writing by turns does not load the window again each time.

use std::collections::HashMap;

use statehouse_operator::Failure;
use statehouse_state::{BytesColumn, Column, StateId, Window};

use super::empty_window;
use crate::host::{Host, misuse};

/// A state's window for single access, valid within one call and until the state is written in bulk.
#[derive(Debug, Default)]
pub(crate) struct SingleAccess {
    window: Option<Window>,
    /// Bytes that were written since the window was loaded; words are written into the window.
    newer: HashMap<u32, Vec<u8>>,
}

impl SingleAccess {
    /// Forgets what was loaded.
    pub(crate) fn forget(&mut self) {
        if self.window.take().is_some() {
            self.newer.clear();
        }
    }
}

pub(super) fn word(host: &mut Host, state: u32, slot: u32) -> Result<Option<u64>, Failure> {
    check(host, state, slot, true)?;
    host.call.touch(StateId(state), &[slot])?;
    let window = window(host, state, true)?;
    let Column::Words(words) = &window.values else { unreachable!("the state holds words") };
    Ok(window.present.get(slot as usize).then(|| words[slot as usize]))
}

pub(super) fn bytes(host: &mut Host, state: u32, slot: u32) -> Result<Option<Vec<u8>>, Failure> {
    check(host, state, slot, false)?;
    host.call.touch(StateId(state), &[slot])?;
    if let Some(newer) = host.singles[state as usize].newer.get(&slot) {
        return Ok(Some(newer.clone()));
    }
    let window = window(host, state, false)?;
    let Column::Bytes(rows) = &window.values else { unreachable!("the state holds bytes") };
    Ok(window.present.get(slot as usize).then(|| rows.get(slot as usize).to_vec()))
}

pub(super) fn set_word(host: &mut Host, state: u32, slot: u32, value: u64) -> Result<(), Failure> {
    check(host, state, slot, true)?;
    host.call.store_words(StateId(state), &[slot], &[value])?;
    if let Some(window) = &mut host.singles[state as usize].window
        && let Column::Words(words) = &mut window.values
    {
        window.present.set(slot as usize, true);
        words[slot as usize] = value;
    }
    Ok(())
}

pub(super) fn set_bytes(
    host: &mut Host,
    state: u32,
    slot: u32,
    value: &[u8],
) -> Result<(), Failure> {
    check(host, state, slot, false)?;
    let mut column = BytesColumn::with_capacity(1, value.len());
    column.push(value);
    host.call.store(StateId(state), &[slot], &Column::Bytes(column))?;
    let single = &mut host.singles[state as usize];
    if single.window.is_some() {
        single.newer.insert(slot, value.to_vec());
    }
    Ok(())
}

/// Refuses a state of the other layout and a slot that was not handed out.
fn check(host: &Host, state: u32, slot: u32, words: bool) -> Result<(), Failure> {
    let declared = host.state(state)?;
    if declared.layout.value.is_words() != words {
        let held = if words { "bytes, not a number" } else { "a number, not bytes" };
        return Err(misuse(format!("state `{}` holds {held}", declared.name)));
    }
    let slots = host.call.slots();
    if slot >= slots {
        return Err(misuse(format!(
            "slot {slot} was not handed out: the invocation has {slots} keys"
        )));
    }
    Ok(())
}

fn window(host: &mut Host, state: u32, words: bool) -> Result<&Window, Failure> {
    let single = &mut host.singles[state as usize];
    if single.window.is_none() {
        let mut window = empty_window(words, host.call.slots() as usize);
        host.call.load(StateId(state), &mut window)?;
        single.newer.clear();
        single.window = Some(window);
    }
    Ok(single.window.as_ref().expect("it was filled above"))
}
