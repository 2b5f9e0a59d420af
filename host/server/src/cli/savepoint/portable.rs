//! The portable form of a savepoint: written from a native one, which goes when the portable one is there.

use anyhow::Context;
use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, PackSettings};
use statehouse_engine::{Clock, SystemClock};
use statehouse_processor::Inside;

use crate::job_file::JobFile;
use crate::target::{OpenPlace, What};

/// Writes savepoint `name` in the portable form of savepoint `native`, and then deletes the latter.
pub(super) fn write(file: &JobFile, native: &str, name: &str) -> anyhow::Result<()> {
    // The native one may be all that is left of a job that has ended with it.
    let store = export(file, native, name).with_context(|| {
        format!(
            "the portable form `{name}` was not written; savepoint `{native}`, which it was to be made of, stays: a \
             run can start from it, `statehouse checkpoint copy` copies it, `statehouse savepoint delete` deletes it"
        )
    })?;
    block_on(store.delete_savepoint(native)).map_err(|error| {
        let reason = error.chain();
        anyhow::anyhow!(
            "savepoint `{name}` is there, but `{native}`, which it was made of, stays: {reason}; `statehouse savepoint \
             delete` deletes it"
        )
    })
}

/// Returns the store where it is.
fn export(file: &JobFile, native: &str, name: &str) -> anyhow::Result<CheckpointStore> {
    let store = OpenPlace::of_job(file)?.store;
    let manifest = What::Savepoint(native.to_owned()).read(&store)?;
    let table = file.checkpoint.as_ref().map(|table| table.settings());
    let settings = table.map_or_else(PackSettings::default, |settings| PackSettings {
        inline_bytes_max: settings.inline_threshold,
        compression: settings.compression,
        ..PackSettings::default()
    });
    let inside = Inside::new(store.clone(), manifest, format!("savepoint `{native}`"))
        .with_temporary_folder(std::env::temp_dir());
    let now = SystemClock::default().now();
    block_on(async {
        let portable = inside.export(settings, now).await?;
        store.pin_savepoint(name, &portable).await?;
        anyhow::Ok(())
    })?;
    Ok(store)
}
