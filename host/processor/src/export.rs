//! The portable form: a manifest whose state is full segments in packs of its own.
//!
//! It shares nothing with any other checkpoint, every backend restores it, and other programs can read it by
//! `docs/internals/format.md` alone. Expired values that nothing cleaned up yet are taken along.

use std::collections::BTreeMap;
use std::sync::Arc;

use statehouse_checkpoint::{Manifest, NewSegment, PackSettings, Statistics};

use crate::error::Error;
use crate::inside::Inside;
use crate::rewrite::merge_all;
use crate::view::OperatorView;

impl Inside {
    /// Writes the state anew into the store of the manifest: chains merged, tables as segments. The manifest that is
    /// returned is for the caller to pin; until then nothing refers to what was written.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub async fn export(&self, settings: PackSettings, created_ms: i64) -> Result<Manifest, Error> {
        let mut manifest = self.manifest.clone();
        manifest.parent = None;
        manifest.created_ms = created_ms;
        manifest.statistics = Statistics::default();
        let views: BTreeMap<String, OperatorView> =
            self.operators()?.into_iter().map(|view| (view.id().to_owned(), view)).collect();
        for operator in &mut manifest.operators {
            let mut writer = self.writer(settings);
            if let Some(view) = views.get(&operator.id) {
                let groups = self.groups(view, None);
                let view = Arc::new(view.clone());
                merge_all(&view, groups, async |segment| {
                    Ok::<_, Error>(writer.add_segment(segment).await?)
                })
                .await?;
            }
            let states: Vec<_> =
                operator.tasks.iter().filter_map(|task| task.state.as_ref()).collect();
            let mut reader = self.store.read_segments(states.iter().copied());
            for state in &states {
                let bytes =
                    reader.next().await?.expect("the reader yields as many as it was given");
                let (entries, bytes) = (state.entries, bytes.to_vec());
                writer.add_segment(NewSegment { group: 0, full: true, entries, bytes }).await?;
            }
            let mut written = writer.finish().await?;
            let states = written.segments.split_off(written.segments.len() - states.len());
            let tasks = operator.tasks.iter_mut().filter_map(|task| task.state.as_mut());
            for (state, (_, segment)) in tasks.zip(states) {
                *state = segment;
            }
            operator.tables = Vec::new();
            operator.groups = written
                .segments
                .into_iter()
                .map(|(group, segment)| (group, vec![segment]))
                .collect();
            manifest.statistics.packs += written.packs;
            manifest.statistics.pack_bytes += written.pack_bytes;
        }
        self.spill(&mut manifest, settings).await?;
        Ok(manifest)
    }
}
