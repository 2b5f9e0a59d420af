//! Task states as bytes.
//!
//! # Format, version 1
//!
//! *varint*, *string*, *word* and *cell* are those of [`segment`](crate::segment).
//!
//! ```text
//! snapshot = magic version varint(count) state*      and nothing after it
//! magic    = 53 48 54 53                              "SHTS"
//! version  = 01
//! state    = string(name) byte(kind) byte(layout) byte(entry) varint(count) element*
//!            kind: 0 split, 1 union, 2 broadcast;  layout: 0 u64, 1 s64, 2 f64, 3 bytes;
//!            entry: layout of map keys: 0 u64 (also lists), 1 s64, 2 bytes
//! element  = value-cell                               of a list, in its order
//!          | key-cell value-cell                      of a map, in the order of its keys
//! ```
//!
//! As with segments, integrity is the business of whoever keeps the bytes; still, no damaged byte makes the reader
//! panic or allocate more than a few times what there is to read.

use std::collections::BTreeMap;

use super::map::{Kept, MapKey, set};
use super::{Contents, TaskState, TaskStateDeclaration, TaskStateKind};
use crate::column::Column;
use crate::declaration::{KeyLayout, ValueLayout};
use crate::error::Error;
use crate::segment::Cell;

const MAGIC: [u8; 4] = *b"SHTS";
const VERSION: u8 = 1;
const KINDS: [TaskStateKind; 3] =
    [TaskStateKind::Split, TaskStateKind::Union, TaskStateKind::Broadcast];
const VALUES: [ValueLayout; 4] =
    [ValueLayout::U64, ValueLayout::S64, ValueLayout::F64, ValueLayout::Bytes];
const KEYS: [KeyLayout; 3] = [KeyLayout::U64, KeyLayout::S64, KeyLayout::Bytes];

/// Writes the states.
pub(super) fn write(states: &[TaskState]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    varint(&mut bytes, states.len());
    for TaskState { declaration, contents, .. } in states {
        string(&mut bytes, declaration.name.as_bytes());
        bytes.push(declaration.kind as u8);
        bytes.push(declaration.value as u8);
        bytes.push(declaration.map_key.map_or(0, |key| key as u8));
        match contents {
            Contents::List(values, others) => {
                varint(&mut bytes, values.len() - others);
                (*others..values.len()).for_each(|row| cell(&mut bytes, values.cell(row)));
            }
            Contents::Map { layout, entries, .. } => {
                varint(&mut bytes, entries.len());
                for (key, value) in entries {
                    cell(&mut bytes, key.cell(*layout));
                    cell(&mut bytes, value.cell());
                }
            }
        }
    }
    bytes
}

/// Reads states, and hands each out with its number among the declarations.
pub(super) fn read(
    bytes: &[u8],
    declarations: &[TaskStateDeclaration],
    mut found: impl FnMut(usize, Contents) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut input = Input { rest: bytes };
    if input.take(MAGIC.len())? != MAGIC {
        return Err(damaged("they do not start with the mark of task states"));
    }
    let version = input.byte()?;
    if version != VERSION {
        return Err(damaged(format!(
            "their format has version {version}, and this program reads version {VERSION}"
        )));
    }
    for _ in 0..input.varint()? {
        let name =
            std::str::from_utf8(input.string()?).map_err(|_| damaged("a name is no text"))?;
        let kind = input.one_of(&KINDS, "kind")?;
        let value = input.one_of(&VALUES, "layout")?;
        let key = input.one_of(&KEYS, "layout of keys")?;
        let Some(index) = declarations.iter().position(|declared| declared.name == name) else {
            return Err(damaged(format!(
                "they hold the state `{name}`, and the operator declares no such task state"
            )));
        };
        let declared = &declarations[index];
        let map_key = (kind == TaskStateKind::Broadcast).then_some(key);
        if declared.value != value || declared.map_key != map_key {
            return Err(damaged(format!(
                "state `{name}` was a {kind:?} state with values of {value:?}{}, and is declared as a {:?} state with \
                 values of {:?}{}",
                keyed(map_key),
                declared.kind,
                declared.value,
                keyed(declared.map_key)
            )));
        }
        let elements = input.varint()?;
        found(index, input.contents(elements, value, map_key)?)?;
    }
    if input.rest.is_empty() {
        Ok(())
    } else {
        Err(damaged(format!("{} bytes follow the last", input.rest.len())))
    }
}

fn keyed(key: Option<KeyLayout>) -> String {
    key.map_or_else(String::new, |key| format!(" by {key:?}"))
}

fn damaged(reason: impl Into<String>) -> Error {
    Error::TaskStates { reason: reason.into() }
}

fn varint(bytes: &mut Vec<u8>, value: usize) {
    let mut value = value as u64;
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn string(bytes: &mut Vec<u8>, string: &[u8]) {
    varint(bytes, string.len());
    bytes.extend_from_slice(string);
}

fn cell(bytes: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        Cell::Word(word) => bytes.extend_from_slice(&word.to_le_bytes()),
        Cell::Bytes(value) => string(bytes, value),
    }
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(damaged(format!("they end {} bytes too early", length - self.rest.len())));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    fn one_of<T: Copy>(&mut self, all: &[T], what: &str) -> Result<T, Error> {
        let code = self.byte()?;
        all.get(usize::from(code)).copied().ok_or_else(|| damaged(format!("{code} is no {what}")))
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged("a number has more than 64 bits"))
    }

    fn string(&mut self) -> Result<&'a [u8], Error> {
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn cell(&mut self, words: bool) -> Result<Cell<'a>, Error> {
        if !words {
            return Ok(Cell::Bytes(self.string()?));
        }
        let word = self.take(8)?.try_into().expect("eight bytes were taken");
        Ok(Cell::Word(u64::from_le_bytes(word)))
    }

    fn contents(
        &mut self,
        elements: u64,
        value: ValueLayout,
        map_key: Option<KeyLayout>,
    ) -> Result<Contents, Error> {
        let Some(layout) = map_key else {
            let mut values = Column::empty(value.is_words());
            for _ in 0..elements {
                values.push_cell(self.cell(value.is_words())?);
            }
            return Ok(Contents::List(values, 0));
        };
        let (mut entries, mut bytes) = (BTreeMap::new(), 0);
        for _ in 0..elements {
            let key = MapKey::new(layout, self.cell(layout.is_words())?);
            let value = Kept::from(self.cell(value.is_words())?);
            set(&mut entries, &mut bytes, layout, key, Some(value));
        }
        Ok(Contents::Map { layout, entries, bytes })
    }
}
