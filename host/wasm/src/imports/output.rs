//! Interface `output`.

use statehouse_operator::Failure;
use wasmtime::component::WasmList;

use super::{Caller, Interface};
use crate::bindings::ColumnThere;
use crate::columns::{check_layout, value_layout};
use crate::host::{Host, misuse, with_call, with_scratch};

type Emission = (u32, WasmList<i64>, Option<ColumnThere>, ColumnThere);

pub(super) fn define(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("emit", emit)?;
    interface.func_wrap("reject", |mut store: Caller<'_>, args: (Vec<u32>, Vec<String>)| {
        let (rows, reasons) = args;
        with_call(&mut store, |call, _| {
            if rows.len() != reasons.len() {
                let (rows, reasons) = (rows.len(), reasons.len());
                return Err(misuse(format!("rejected {rows} rows for {reasons} reasons")));
            }
            rows.into_iter().zip(reasons).try_for_each(|(row, reason)| call.reject(row, reason))
        })
    })
}

fn emit(mut store: Caller<'_>, (port, times, keys, values): Emission) -> wasmtime::Result<()> {
    check(store.data(), port, keys.as_ref(), &values).map_err(wasmtime::Error::new)?;
    with_scratch(&mut store, |call, memory, scratch| {
        values.copy_to(memory, &mut scratch.values)?;
        if let Some(keys) = &keys {
            keys.copy_to(memory, &mut scratch.keys)?;
        }
        let keys = keys.is_some().then_some(&scratch.keys);
        call.emit(port, times.as_le_slice(memory), keys, &scratch.values)
    })
}

/// Numbers of the wrong sign or kind are words all the same, so this is where they are told apart.
fn check(
    host: &Host,
    port: u32,
    keys: Option<&ColumnThere>,
    values: &ColumnThere,
) -> Result<(), Failure> {
    let Some(output) = host.outputs.get(port as usize) else {
        return Err(misuse(format!("there is no output port {port}")));
    };
    match (output.layout.key, keys) {
        (Some(declared), Some(keys)) => {
            check_layout("the key of output", &output.name, value_layout(declared), keys)?;
        }
        (None, None) => {}
        (Some(_), None) => {
            return Err(misuse(format!(
                "output `{}` is keyed and was handed no keys",
                output.name
            )));
        }
        (None, Some(_)) => {
            return Err(misuse(format!(
                "output `{}` is not keyed and was handed keys",
                output.name
            )));
        }
    }
    check_layout("output", &output.name, output.layout.value, values)
}
