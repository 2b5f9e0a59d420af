//! Tests of reading a checkpoint's segments.

use futures::executor::block_on;

use crate::pack::PackSettings;
use crate::packs::NewSegment;
use crate::testing::FaultStore;

#[test]
fn each_pack_is_read_once() {
    let faults = FaultStore::in_memory();
    let store = faults.checkpoints();
    block_on(async {
        let settings =
            PackSettings { inline_bytes_max: 0, pack_bytes_max: 100, ..PackSettings::default() };
        let sizes = [30, 30, 30, 30, 250, 0, 30, 30];
        let segment = |(group, &size): (usize, &usize)| NewSegment {
            group: group as u16,
            full: true,
            entries: 1,
            bytes: (0..size).map(|at| (group * 40 + at) as u8).collect(),
        };
        let segments: Vec<NewSegment> = sizes.iter().enumerate().map(segment).collect();
        let written = store.write_segments(segments.clone(), settings).await.unwrap();
        let before = faults.calls();
        // The order asked for is not the order of the packs.
        let order = [7, 0, 4, 1, 6, 5, 3, 2, 0];
        let mut reader = store.read_segments(order.map(|place| &written.segments[place].1));
        for place in order {
            let bytes = reader.next().await.unwrap().unwrap();
            assert_eq!(bytes, segments[place].bytes, "segment {place}");
        }
        assert!(reader.next().await.unwrap().is_none());
        assert!(reader.held.is_empty());
        assert_eq!(faults.calls() - before, written.packs);
    });
}
