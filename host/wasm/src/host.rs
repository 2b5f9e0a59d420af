//! The host's side of one instance: what the imports work on, and how columns cross the boundary.

use std::mem;

use bytemuck::{cast_slice, cast_vec};
use statehouse_operator::{Call, Description, Failure};
use statehouse_state::{BytesColumn, Column, KeyLayout, ValueLayout, Window};
use wasmtime::StoreContextMut;

use crate::bindings::{BytesGiven, BytesIn, ColumnGiven, ColumnIn, ColumnThere, WindowGiven};
use crate::imports::SingleAccess;
use crate::limits::{Limits, MemoryLimiter};

/// The data of an instance's store.
#[derive(Debug)]
pub(crate) struct Host {
    /// The running invocation; idle between invocations.
    pub(crate) call: Call,
    pub(crate) memory: MemoryLimiter,
    /// What the guest last logged as an error in this call: a panic's message, mostly.
    pub(crate) last_error: Option<String>,
    pub(crate) states: Vec<Named<ValueLayout>>,
    pub(crate) outputs: Vec<Named<PortLayout>>,
    /// For the single forms of state access, a window a state.
    pub(crate) singles: Vec<SingleAccess>,
    pub(crate) scratch: Scratch,
}

/// Something declared, and its layout.
#[derive(Debug)]
pub(crate) struct Named<L> {
    pub(crate) name: String,
    pub(crate) layout: L,
}

/// The layouts of a port's columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortLayout {
    pub(crate) key: Option<KeyLayout>,
    pub(crate) value: ValueLayout,
}

/// Columns on their way from the guest, kept for their memory.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) keys: Column,
    pub(crate) values: Column,
}

impl Host {
    /// For an instance of that operator, or of none yet.
    pub(crate) fn new(description: Option<&Description>, limits: &Limits) -> Self {
        let states: Vec<_> = description
            .into_iter()
            .flat_map(|description| &description.states)
            .map(|state| Named { name: state.name.clone(), layout: state.value })
            .collect();
        let outputs = description
            .into_iter()
            .flat_map(|description| &description.outputs)
            .map(|port| Named {
                name: port.name.clone(),
                layout: PortLayout {
                    key: port.key.as_ref().map(|key| key.layout),
                    value: port.value.layout,
                },
            })
            .collect();
        Self {
            call: Call::idle(),
            memory: MemoryLimiter::new(limits),
            last_error: None,
            singles: states.iter().map(|_| SingleAccess::default()).collect(),
            states,
            outputs,
            scratch: Scratch { keys: Column::empty(true), values: Column::empty(true) },
        }
    }

    /// Forgets what belonged to the call before.
    pub(crate) fn begin(&mut self) {
        self.memory.refused = false;
        self.last_error = None;
        for single in &mut self.singles {
            single.forget();
        }
    }

    /// The layout of a state.
    pub(crate) fn state(&self, state: u32) -> Result<&Named<ValueLayout>, Failure> {
        self.states.get(state as usize).ok_or_else(|| misuse(format!("there is no state {state}")))
    }
}

/// A guest that broke the contract. Returned by an import, it traps the guest.
pub(crate) fn misuse(reason: String) -> Failure {
    Failure::Trapped { reason }
}

/// Lets an import work on the call while the guest's memory can be read beside it.
pub(crate) fn with_call<R>(
    store: &mut StoreContextMut<'_, Host>,
    act: impl FnOnce(&mut Call, &StoreContextMut<'_, Host>) -> Result<R, Failure>,
) -> wasmtime::Result<R> {
    let mut call = mem::replace(&mut store.data_mut().call, Call::idle());
    let result = act(&mut call, store);
    store.data_mut().call = call;
    result.map_err(wasmtime::Error::new)
}

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
    let values = match window.values {
        Column::Words(words) => match layout {
            ValueLayout::S64 => ColumnGiven::S64s(cast_vec(words)),
            ValueLayout::F64 => ColumnGiven::F64s(cast_vec(words)),
            ValueLayout::U64 | ValueLayout::Bytes => ColumnGiven::U64s(words),
        },
        Column::Bytes(bytes) => {
            let (offsets, arena) = bytes.into_parts();
            ColumnGiven::Bytes(BytesGiven { offsets, arena })
        }
    };
    WindowGiven { present: window.present.into_bits(), values }
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
