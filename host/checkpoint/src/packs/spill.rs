//! Inline segments move into packs once they are too many for the manifest.

use bytes::Bytes;

use crate::error::Error;
use crate::manifest::{Location, Manifest, OperatorState, SegmentRef};
use crate::pack::{PackSettings, PackStamp, SPILL_WRITER};
use crate::store::CheckpointStore;

impl CheckpointStore {
    /// Moves all inline segments into packs if they have become too many for the manifest, by
    /// [`PackSettings::manifest_inline_bytes_max`], and writes the packs. Returns their number and bytes.
    ///
    /// # Errors
    /// Failures of the store; the manifest is as it was.
    pub async fn spill_inline(
        &self,
        manifest: &mut Manifest,
        settings: PackSettings,
    ) -> Result<(u64, u64), Error> {
        let Manifest { generation, epoch, .. } = *manifest;
        let stamp = PackStamp { generation, epoch, writer: SPILL_WRITER };
        self.spill_inline_as(stamp, manifest, settings).await
    }

    /// As [`CheckpointStore::spill_inline`], for whoever is not the owner of the manifest's generation and so must not
    /// write packs that look like that owner's.
    ///
    /// # Errors
    /// As there.
    pub async fn spill_inline_as(
        &self,
        stamp: PackStamp,
        manifest: &mut Manifest,
        settings: PackSettings,
    ) -> Result<(u64, u64), Error> {
        if manifest.inline_bytes() <= settings.manifest_inline_bytes_max {
            return Ok((0, 0));
        }
        let mut writer = self.task_writer(stamp, settings);
        for bytes in manifest.segments().filter_map(inline) {
            writer.add_packed(bytes.clone()).await?;
        }
        let written = writer.finish().await?;
        let segments = manifest.operators.iter_mut().flat_map(OperatorState::segments_mut);
        let inline = segments.filter(|segment| inline(segment).is_some());
        for (segment, packed) in inline.zip(written.files) {
            segment.location = packed.location;
        }
        Ok((written.packs, written.pack_bytes))
    }
}

fn inline(segment: &SegmentRef) -> Option<&Bytes> {
    match &segment.location {
        Location::Inline(bytes) => Some(bytes),
        Location::Packed(_) => None,
    }
}
