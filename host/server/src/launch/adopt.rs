//! Going on from a checkpoint of another store: it is pinned there, and noted here.

use futures::executor::block_on;
use statehouse_checkpoint::{CheckpointStore, OriginRecord, StartPlace, StartPoint};

use super::LaunchError;
use super::choose::Chosen;

/// Pins the chosen checkpoint where it is. Returns the job's own store, which finds its packs from now on.
pub(super) fn adopt(
    own: &CheckpointStore,
    chosen: &mut Chosen,
    job: &str,
    fork: bool,
    random: u64,
) -> Result<CheckpointStore, LaunchError> {
    let place = || chosen.place.to_string();
    let cannot_pin = |reason| LaunchError::CannotPin { place: place(), reason };
    let location = chosen.place.location().map_err(|error| cannot_pin(error.to_string()))?;
    let record = OriginRecord { location, pin: format!("fork-{job}-{random:016x}") };
    let adopted = block_on(own.adopt(&chosen.store, &record, &chosen.manifest))
        .map_err(|error| cannot_pin(error.chain()))?;
    let (epoch, place) = (chosen.manifest.epoch, StartPlace::Origin(record.pin));
    chosen.point = Some(StartPoint { epoch, place, fork });
    Ok(adopted)
}
