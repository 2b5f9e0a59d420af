//! The portable form of a savepoint: written from a native one, which goes then.

use futures::executor::block_on;
use statehouse_checkpoint::PackSettings;
use statehouse_engine::{Clock, SystemClock};
use statehouse_processor::Inside;

use crate::job_file::JobFile;
use crate::target::{OpenPlace, What};

/// Writes savepoint `name` in the portable form of savepoint `native`, and deletes the latter.
pub(super) fn write(file: &JobFile, native: &str, name: &str) -> anyhow::Result<()> {
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
    let written = block_on(async {
        let portable = inside.export(settings, now).await?;
        store.pin_savepoint(name, &portable).await?;
        anyhow::Ok(())
    });
    // Whatever came of it, the native one was only the way there.
    block_on(store.delete_savepoint(native))
        .map_err(|error| anyhow::anyhow!("{}", error.chain()))?;
    written
}
