//! What a write makes of a cell in the cache.

use crate::backend::Now;
use crate::declaration::TtlUpdate;
use crate::rocks::cache::{CellLayout, DELTA, DIRTY, KNOWN, PRESENT, Table};
use crate::segment::Cell;
use crate::ttl;
use crate::writes::{StateWrites, WriteOp};

/// One write to a state of words without a time-to-live.
#[inline]
pub(super) fn word(
    table: &mut Table,
    cell: &CellLayout,
    row: u32,
    op: WriteOp,
    value: u64,
    writes: &StateWrites,
) {
    let mark = match op {
        WriteOp::Set => {
            table.set_word(cell, row, value);
            KNOWN | PRESENT | DIRTY
        }
        WriteOp::Remove => KNOWN | DIRTY,
        WriteOp::Merge => {
            let mark = table.mark(cell, row);
            let merged = if mark & PRESENT != 0 {
                writes.merge_words(table.word(cell, row), value)
            } else {
                value
            };
            table.set_word(cell, row, merged);
            if mark & KNOWN != 0 { KNOWN | PRESENT | DIRTY } else { DELTA | PRESENT | DIRTY }
        }
        WriteOp::Touch | WriteOp::Append | WriteOp::Clear => return,
    };
    table.set_mark(cell, row, mark);
}

/// One write to any state.
pub(super) fn any(
    table: &mut Table,
    cell: &CellLayout,
    row: u32,
    writes: &StateWrites,
    write: usize,
    (mut stamp, now): (i64, Now),
) {
    let was = table.mark(cell, row);
    let live = was & PRESENT != 0
        && cell.ttl.is_none_or(|ttl| !ttl::is_expired(&ttl, table.stamp(cell, row), now));
    let restamps = cell.ttl.is_some_and(|ttl| ttl.update == TtlUpdate::OnReadAndWrite);
    let known = KNOWN | PRESENT | DIRTY;
    let mark = match writes.ops[write] {
        WriteOp::Set => {
            table.set_value(cell, row, writes.value(write));
            known
        }
        WriteOp::Remove => KNOWN | DIRTY,
        WriteOp::Merge if live => {
            match writes.value(write) {
                Cell::Word(delta) => {
                    let merged = writes.merge_words(table.word(cell, row), delta);
                    table.set_word(cell, row, merged);
                }
                Cell::Bytes(delta) => {
                    table.update_bytes(cell, row, |value| writes.merge_bytes(value, delta));
                }
            }
            if was & KNOWN != 0 { known } else { was | DIRTY }
        }
        WriteOp::Merge => {
            table.set_value(cell, row, writes.value(write));
            if was & KNOWN != 0 { known } else { DELTA | PRESENT | DIRTY }
        }
        WriteOp::Touch if live && restamps => known,
        WriteOp::Touch | WriteOp::Append | WriteOp::Clear => return,
    };
    if cell.ttl.is_some() && mark & PRESENT != 0 {
        if live && writes.ops[write] != WriteOp::Set {
            stamp = ttl::renewed(table.stamp(cell, row), stamp);
        }
        table.set_stamp(cell, row, stamp);
    }
    table.set_mark(cell, row, mark);
    if was & DIRTY == 0 && !cell.words {
        table.note_dirty_bytes(cell, row);
    }
}
