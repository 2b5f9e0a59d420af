//! Tests of the layout of packs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn settings(inline_bytes_max: u64, pack_bytes_max: u64) -> PackSettings {
    PackSettings { inline_bytes_max, pack_bytes_max, ..PackSettings::default() }
}

/// Lays segments out and returns all packs and the locations.
fn lay_out(settings: PackSettings, segments: &[Vec<u8>]) -> (Vec<Pack>, Vec<Location>) {
    let mut writer = PackWriter::new(settings);
    let mut packs = Vec::new();
    for segment in segments {
        packs.extend(writer.append(segment));
    }
    let packed = writer.finish();
    packs.extend(packed.pack);
    (packs, packed.locations)
}

fn read(packs: &[Pack], location: &Location) -> Vec<u8> {
    let packs: BTreeMap<_, _> = packs.iter().map(|pack| (pack.reference(), pack.bytes())).collect();
    match location {
        Location::Inline(bytes) => bytes.to_vec(),
        Location::Packed(ranges) => ranges
            .iter()
            .flat_map(|range| {
                let start = range.offset as usize;
                packs[&range.pack][start..start + range.length as usize].to_vec()
            })
            .collect(),
    }
}

#[test]
fn segments_up_to_the_threshold_stay_inline() {
    let segments = [vec![1; 60], vec![2; 40]];
    let (packs, locations) = lay_out(settings(100, 1000), &segments);
    assert!(packs.is_empty());
    assert!(locations.iter().all(|location| matches!(location, Location::Inline(_))));
    assert_eq!(read(&[], &locations[1]), segments[1]);
}

#[test]
fn small_checkpoint_above_the_threshold_is_one_pack() {
    let segments = [vec![1; 60], Vec::new(), vec![2; 41]];
    let (packs, locations) = lay_out(settings(100, 1000), &segments);
    assert_eq!(packs.len(), 1);
    assert_eq!(packs[0].reference().digest, Digest::of(packs[0].bytes()));
    assert_eq!(packs[0].reference().length, 101);
    assert_eq!(locations[1], Location::Inline(Bytes::new()));
    assert_eq!(read(&packs, &locations[2]), segments[2]);
}

#[test]
fn segment_that_fits_into_a_pack_is_not_split() {
    let segments = [vec![1; 60], vec![2; 60], vec![3; 40]];
    let (packs, locations) = lay_out(settings(0, 100), &segments);
    let lengths: Vec<u64> = packs.iter().map(|pack| pack.reference().length).collect();
    assert_eq!(lengths, [60, 100]);
    assert!(locations.iter().all(|at| matches!(at, Location::Packed(ranges) if ranges.len() == 1)));
}

#[test]
fn segment_larger_than_a_pack_is_split() {
    let segments = [vec![1; 10], (0..250).collect(), vec![3; 40]];
    let (packs, locations) = lay_out(settings(0, 100), &segments);
    let lengths: Vec<u64> = packs.iter().map(|pack| pack.reference().length).collect();
    assert_eq!(lengths, [10, 100, 100, 90]);
    assert!(matches!(&locations[1], Location::Packed(ranges) if ranges.len() == 3));
    assert_eq!(read(&packs, &locations[1]), segments[1]);
}

#[test]
fn threshold_above_a_pack_leaves_written_packs_alone() {
    let segments = [vec![1; 100], vec![2; 100]];
    let (packs, locations) = lay_out(settings(1000, 100), &segments);
    assert_eq!(packs.len(), 2);
    assert_eq!(read(&packs, &locations[0]), segments[0]);
}

#[test]
fn bound_beyond_the_largest_pack_is_lowered_to_it() {
    let writer = PackWriter::new(settings(0, u64::MAX));
    assert_eq!(writer.settings.pack_bytes_max, PACK_BYTES_MAX);
}

#[test]
fn inline_segments_are_spilled_once_they_are_too_many() {
    let mut manifest = crate::manifest::tests::sample();
    let before = manifest.clone();
    let inline = manifest.inline_bytes();
    assert!(inline > 0);
    let limit = |manifest_inline_bytes_max| PackSettings {
        manifest_inline_bytes_max,
        ..PackSettings::default()
    };
    assert!(manifest.spill_inline(limit(inline)).is_empty());
    assert_eq!(manifest, before);
    let packs = manifest.spill_inline(limit(inline - 1));
    assert_eq!(packs.iter().map(|pack| pack.reference().length).sum::<u64>(), inline);
    assert_eq!(manifest.inline_bytes(), 0);
    manifest.check().unwrap();
    for (old, new) in before.segments().zip(manifest.segments()) {
        assert_eq!((old.full, old.entries), (new.full, new.entries));
        if let Location::Inline(bytes) = &old.location {
            assert_eq!(read(&packs, &new.location), bytes.to_vec());
        } else {
            assert_eq!(old, new);
        }
    }
}

proptest! {
    #[test]
    fn every_segment_reads_back(
        segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..20),
        inline_bytes_max in 0..200_u64,
        pack_bytes_max in 1..120_u64,
    ) {
        let (packs, locations) = lay_out(settings(inline_bytes_max, pack_bytes_max), &segments);
        prop_assert_eq!(locations.len(), segments.len());
        for pack in &packs {
            prop_assert!((1..=pack_bytes_max).contains(&pack.reference().length));
        }
        for (segment, location) in segments.iter().zip(&locations) {
            prop_assert_eq!(&read(&packs, location), segment);
        }
    }
}
