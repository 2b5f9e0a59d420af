//! How columns, cells and bounds cross the boundary.

use std::mem;
use std::ops::Bound;

use bytemuck::{cast_slice, cast_vec};
use statehouse_operator::Failure;
use statehouse_state::{BytesColumn, Cell, Column, KeyLayout, ValueLayout, Window};
use wasmtime::StoreContextMut;

use crate::bindings::{
    BoundThere, BytesGiven, BytesIn, CellGiven, CellThere, ColumnGiven, ColumnIn, ColumnThere,
    WindowGiven,
};
use crate::host::{Host, misuse};

/// Lends a column of that layout to the guest.
pub(crate) fn lend(column: &Column, layout: ValueLayout) -> ColumnIn<'_> {
    match column {
        Column::Words(words) => match layout {
            ValueLayout::S64 => ColumnIn::S64s(cast_slice(words)),
            ValueLayout::F64 => ColumnIn::F64s(cast_slice(words)),
            ValueLayout::U64 | ValueLayout::Bytes => ColumnIn::U64s(words),
        },
        Column::Bytes(bytes) => {
            ColumnIn::Bytes(BytesIn { offsets: bytes.offsets(), arena: bytes.arena() })
        }
    }
}

/// Keys have no floating-point layout.
pub(crate) fn value_layout(key: KeyLayout) -> ValueLayout {
    match key {
        KeyLayout::U64 => ValueLayout::U64,
        KeyLayout::S64 => ValueLayout::S64,
        KeyLayout::Bytes => ValueLayout::Bytes,
    }
}

/// Gives a window of that layout to the guest.
pub(crate) fn give(window: Window, layout: ValueLayout) -> WindowGiven {
    let values = give_column(window.values, layout);
    WindowGiven { present: window.present.into_bits(), values }
}

/// Gives a column of that layout to the guest.
pub(crate) fn give_column(column: Column, layout: ValueLayout) -> ColumnGiven {
    match column {
        Column::Words(words) => match layout {
            ValueLayout::S64 => ColumnGiven::S64s(cast_vec(words)),
            ValueLayout::F64 => ColumnGiven::F64s(cast_vec(words)),
            ValueLayout::U64 | ValueLayout::Bytes => ColumnGiven::U64s(words),
        },
        Column::Bytes(bytes) => {
            let (offsets, arena) = bytes.into_parts();
            ColumnGiven::Bytes(BytesGiven { offsets, arena })
        }
    }
}

/// Takes a column that the guest gave back, if it is of that layout.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn take_column(column: ColumnGiven, layout: ValueLayout) -> Result<Column, String> {
    let (found, column) = match column {
        ColumnGiven::U64s(words) => (ValueLayout::U64, Column::Words(words)),
        ColumnGiven::S64s(words) => (ValueLayout::S64, Column::Words(cast_vec(words))),
        ColumnGiven::F64s(words) => (ValueLayout::F64, Column::Words(cast_vec(words))),
        ColumnGiven::Bytes(BytesGiven { offsets, arena }) => {
            let bytes = BytesColumn::from_parts(offsets, arena);
            (ValueLayout::Bytes, Column::Bytes(bytes.map_err(|error| error.to_string())?))
        }
    };
    if found == layout {
        return Ok(column);
    }
    Err(format!("it is declared as {} and {} came out", layout_name(layout), layout_name(found)))
}

/// Gives a value to the guest.
pub(crate) fn give_cell(cell: Cell<'_>) -> CellGiven {
    match cell {
        Cell::Word(word) => CellGiven::Word(word),
        Cell::Bytes(bytes) => CellGiven::Bytes(bytes.to_vec()),
    }
}

/// Gives the first row of a window to the guest.
pub(crate) fn give_row(window: &Window) -> Option<CellGiven> {
    window.present.get(0).then(|| match &window.values {
        Column::Words(words) => CellGiven::Word(words[0]),
        Column::Bytes(rows) => CellGiven::Bytes(rows.get(0).to_vec()),
    })
}

impl CellThere {
    /// The key or value where it lies.
    pub(crate) fn cell<'a>(&'a self, store: &'a StoreContextMut<'_, Host>) -> Cell<'a> {
        match self {
            Self::Word(word) => Cell::Word(*word),
            Self::Bytes(bytes) => Cell::Bytes(bytes.as_le_slice(store)),
        }
    }

    /// Makes it the only row of a column.
    pub(crate) fn copy_to(&self, store: &StoreContextMut<'_, Host>, column: &mut Column) {
        if column.is_words() == matches!(self, Self::Word(_)) {
            column.clear();
        } else {
            *column = Column::empty(!column.is_words());
        }
        match (column, self.cell(store)) {
            (Column::Words(words), Cell::Word(word)) => words.push(word),
            (Column::Bytes(rows), Cell::Bytes(bytes)) => rows.push(bytes),
            _ => unreachable!("the column was made to fit"),
        }
    }
}

impl BoundThere {
    /// The end of a range where it lies.
    pub(crate) fn bound<'a>(&'a self, store: &'a StoreContextMut<'_, Host>) -> Bound<Cell<'a>> {
        match self {
            Self::Unbounded => Bound::Unbounded,
            Self::Included(cell) => Bound::Included(cell.cell(store)),
            Self::Excluded(cell) => Bound::Excluded(cell.cell(store)),
        }
    }
}

impl ColumnThere {
    /// The layout that the guest says it has.
    pub(crate) fn layout(&self) -> ValueLayout {
        match self {
            Self::U64s(_) => ValueLayout::U64,
            Self::S64s(_) => ValueLayout::S64,
            Self::F64s(_) => ValueLayout::F64,
            Self::Bytes(_) => ValueLayout::Bytes,
        }
    }

    /// The numbers where they lie, or nothing for bytes.
    pub(crate) fn words<'a>(&'a self, store: &'a StoreContextMut<'_, Host>) -> Option<&'a [u64]> {
        match self {
            Self::U64s(words) => Some(words.as_le_slice(store)),
            Self::S64s(words) => Some(cast_slice(words.as_le_slice(store))),
            Self::F64s(words) => Some(cast_slice(words)),
            Self::Bytes(_) => None,
        }
    }

    /// Copies the column into one of the host, whose memory is used again.
    pub(crate) fn copy_to(
        &self,
        store: &StoreContextMut<'_, Host>,
        column: &mut Column,
    ) -> Result<(), Failure> {
        let Self::Bytes(bytes) = self else {
            let from = self.words(store).expect("only bytes are no words");
            match column {
                Column::Words(words) => {
                    words.clear();
                    words.extend_from_slice(from);
                }
                Column::Bytes(_) => *column = Column::Words(from.to_vec()),
            }
            return Ok(());
        };
        let (mut offsets, mut arena) = match mem::replace(column, Column::Words(Vec::new())) {
            Column::Bytes(old) => old.into_parts(),
            Column::Words(_) => (Vec::new(), Vec::new()),
        };
        offsets.clear();
        offsets.extend_from_slice(bytes.offsets.as_le_slice(store));
        arena.clear();
        arena.extend_from_slice(bytes.arena.as_le_slice(store));
        let bytes =
            BytesColumn::from_parts(offsets, arena).map_err(|error| misuse(error.to_string()))?;
        *column = Column::Bytes(bytes);
        Ok(())
    }
}

/// How a layout is called in the contract.
pub(crate) fn layout_name(layout: ValueLayout) -> &'static str {
    match layout {
        ValueLayout::U64 => "u64",
        ValueLayout::S64 => "s64",
        ValueLayout::F64 => "f64",
        ValueLayout::Bytes => "bytes",
    }
}

/// Checks that a column has the layout that was declared for it.
pub(crate) fn check_layout(
    what: &str,
    name: &str,
    declared: ValueLayout,
    column: &ColumnThere,
) -> Result<(), Failure> {
    if column.layout() == declared {
        return Ok(());
    }
    Err(misuse(format!(
        "{what} `{name}` was declared as {} and handed {}",
        layout_name(declared),
        layout_name(column.layout())
    )))
}
