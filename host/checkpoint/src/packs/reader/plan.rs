//! What to read with one request, and what to keep.
//!
//! Segments come group by group, and the parts of a chain lie in as many packs as checkpoints were made since its
//! first: a pack of increments is wanted again for every group. Small packs that are wanted often are read once and
//! kept, within [`HELD_BYTES_MAX`]. Of the others only the chunks are read that a window needs.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::digest::Digest;
use crate::manifest::{Location, PackFormat, PackRange, PackRef};

/// A window is closed when its segments have this many bytes.
const WINDOW_BYTES: u64 = 16 << 20;

/// Packs with together at most this many bytes are kept from their first to their last use.
const HELD_BYTES_MAX: u64 = 64 << 20;

/// A pack that fewer windows need is not worth being kept.
const HELD_WINDOWS_MIN: usize = 3;

/// Segments that are read together.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) segments: Vec<Location>,
    /// The packs that they need.
    pub(super) packs: Vec<PackRead>,
}

/// What a window needs of a pack.
#[derive(Debug)]
pub(super) struct PackRead {
    pub(super) pack: PackRef,
    pub(super) ranges: Vec<PackRange>,
    pub(super) way: Way,
}

/// How a window gets at its part of a pack.
#[derive(Debug)]
pub(super) enum Way {
    /// The pack is read as a whole, by the first window that needs it, and kept until the last one has been read.
    Whole(Arc<OnceCell<Bytes>>),
    /// Only what is needed is read.
    Parts,
}

/// All windows, in order.
pub(super) fn plan(segments: impl Iterator<Item = Location>) -> Vec<Window> {
    let windows = cut(segments);
    let mut wanted: BTreeMap<PackRef, Wanted> = BTreeMap::new();
    let ranges: Vec<BTreeMap<PackRef, Vec<PackRange>>> =
        windows.iter().map(|segments| by_pack(segments)).collect();
    for (&pack, ranges) in ranges.iter().flatten() {
        let wanted = wanted.entry(pack).or_default();
        wanted.windows += 1;
        wanted.bytes += ranges.iter().map(|range| range.length).sum::<u64>();
    }
    let mut held_bytes = 0;
    let mut whole: HashMap<Digest, Arc<OnceCell<Bytes>>> = HashMap::new();
    for (&pack, wanted) in &wanted {
        if wanted.as_whole(pack, &mut held_bytes) {
            whole.insert(pack.digest, Arc::default());
        }
    }
    let read = |(pack, ranges): (PackRef, Vec<PackRange>)| {
        let way = whole.get(&pack.digest).map_or(Way::Parts, |held| Way::Whole(Arc::clone(held)));
        PackRead { pack, ranges, way }
    };
    let window = |(segments, packs): (_, BTreeMap<_, _>)| Window {
        segments,
        packs: packs.into_iter().map(read).collect(),
    };
    windows.into_iter().zip(ranges).map(window).collect()
}

/// How much of a pack is wanted.
#[derive(Default)]
struct Wanted {
    windows: usize,
    bytes: u64,
}

impl Wanted {
    /// Whether the pack is to be read as a whole. `held_bytes` counts those that are kept for long.
    fn as_whole(&self, pack: PackRef, held_bytes: &mut u64) -> bool {
        let most = self.bytes >= pack.length / 2;
        match (pack.format, self.windows) {
            // There is nothing in it that a part could be compared with.
            (PackFormat::Raw, _) => true,
            (PackFormat::Framed, 1) => most,
            (PackFormat::Framed, windows) => {
                let room = *held_bytes + pack.length <= HELD_BYTES_MAX;
                let held = most && windows >= HELD_WINDOWS_MIN && room;
                if held {
                    *held_bytes += pack.length;
                }
                held
            }
        }
    }
}

/// Cuts the segments into windows.
fn cut(segments: impl Iterator<Item = Location>) -> Vec<Vec<Location>> {
    let mut windows = Vec::new();
    let (mut open, mut bytes) = (Vec::new(), 0);
    for location in segments {
        bytes += match &location {
            Location::Inline(_) => 0,
            Location::Packed(ranges) => ranges.iter().map(|range| range.raw_length).sum(),
        };
        open.push(location);
        if bytes >= WINDOW_BYTES {
            windows.push(mem::take(&mut open));
            bytes = 0;
        }
    }
    if !open.is_empty() {
        windows.push(open);
    }
    windows
}

/// The ranges that segments need, by pack and in the order of the pack, each once.
fn by_pack(segments: &[Location]) -> BTreeMap<PackRef, Vec<PackRange>> {
    let mut packs: BTreeMap<PackRef, Vec<PackRange>> = BTreeMap::new();
    for segment in segments {
        if let Location::Packed(ranges) = segment {
            for range in ranges {
                packs.entry(range.pack).or_default().push(*range);
            }
        }
    }
    for ranges in packs.values_mut() {
        ranges.sort_unstable_by_key(|range| (range.offset, range.length));
        ranges.dedup();
    }
    packs
}
