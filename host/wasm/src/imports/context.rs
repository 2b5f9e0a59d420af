//! Interface `context`.

use statehouse_operator::Level;

use super::{Caller, Interface};
use crate::bindings::LogLevel;
use crate::host::with_call;

/// How much of an error's line is kept to explain a trap.
const LAST_ERROR_BYTES_MAX: usize = 2048;

pub(super) fn define(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func_wrap("processing-time", |store: Caller<'_>, ()| {
        Ok((store.data().call.moment().processing_time,))
    })?;
    interface.func_wrap("watermark", |store: Caller<'_>, ()| {
        Ok((store.data().call.moment().watermark,))
    })?;
    interface
        .func_wrap("random-seed", |store: Caller<'_>, ()| Ok((store.data().call.moment().seed,)))?;
    interface.func_wrap("log", |store: Caller<'_>, (level, message): (LogLevel, String)| {
        log(store, level, message);
        Ok(())
    })?;
    interface.func_wrap("add-counter", |mut store: Caller<'_>, (metric, amount): (u32, u64)| {
        with_call(&mut store, |call, _| call.add_counter(metric, amount))
    })?;
    interface.func_wrap("set-gauge", |mut store: Caller<'_>, (metric, value): (u32, f64)| {
        with_call(&mut store, |call, _| call.set_gauge(metric, value))
    })
}

fn log(mut store: Caller<'_>, level: LogLevel, mut message: String) {
    let host = store.data_mut();
    let level = match level {
        LogLevel::Trace => Level::Trace,
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warn,
        LogLevel::Error => Level::Error,
    };
    host.call.log(level, &message);
    if level == Level::Error {
        message.truncate(message.floor_char_boundary(LAST_ERROR_BYTES_MAX));
        host.last_error = Some(message);
    }
}
