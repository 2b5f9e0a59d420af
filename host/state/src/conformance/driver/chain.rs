//! What an engine keeps of a backend's snapshots, and how it restores from it.

use std::collections::BTreeMap;

use super::{Driver, Make, Setup};
use crate::key::KeyGroup;
use crate::snapshot::{Segment, Snapshot, Tables};

/// Tables, if there are any, and for each group the segments that follow.
#[derive(Debug, Default, Clone)]
pub(in crate::conformance) struct Chain {
    tables: Option<Tables>,
    pub(in crate::conformance) groups: BTreeMap<KeyGroup, Vec<Segment>>,
    /// Whether what is not declared any more is dropped on restore.
    pub(in crate::conformance) drops_unclaimed: bool,
}

impl Chain {
    pub(in crate::conformance) fn add(&mut self, snapshot: &Snapshot) {
        if snapshot.tables.is_some() {
            self.tables.clone_from(&snapshot.tables);
            self.groups.clear();
        }
        for segment in &snapshot.segments {
            let segments = self.groups.entry(segment.group).or_default();
            if segment.full {
                segments.clear();
            }
            let follows = self.tables.is_some() || !segments.is_empty();
            assert!(segment.full || follows, "an increment follows a full segment");
            segments.push(segment.clone());
        }
    }

    /// New backends for the groups, cut into ranges, with the chain restored.
    pub(in crate::conformance) fn restore(
        &self,
        make: Make<'_>,
        setup: &Setup,
        parallelism: u32,
    ) -> Vec<Driver> {
        let task = |task| {
            let range = setup.groups.range_of_task(task, parallelism);
            let mut driver = Driver::new(make, &Setup { range, ..setup.clone() });
            if self.drops_unclaimed {
                driver.backend.drop_unclaimed();
            }
            if let Some(tables) = &self.tables {
                let restored = driver.backend.restore_tables(tables.directory());
                restored.expect("a backend restores the tables of a backend");
            }
            let groups = self.groups.iter().filter(|(group, _)| range.contains(**group));
            for (&group, segments) in groups {
                for segment in segments {
                    let restored = driver.backend.restore(group, segment.full, &segment.bytes);
                    restored.expect("a backend restores what a backend wrote");
                }
            }
            driver
        };
        (0..parallelism).map(task).collect()
    }
}
