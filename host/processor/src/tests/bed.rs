//! An operator with every kind of state on either backend, and a model of what it holds.

use std::collections::BTreeMap;

use futures::executor::block_on;
use serde_json::{Map, Value, json};
use statehouse_checkpoint::testing::FaultStore;
use statehouse_checkpoint::{
    Epoch, FileRef, Generation, Location, Manifest, NewSegment, OperatorState, PackSettings,
    PackStamp, SegmentRef, Statistics, TablesRef, TaskState, extend_groups,
};
use statehouse_operator::{Codec, Description, KeyType, Port, Retired, ValueType};
use statehouse_state::*;
use tempfile::TempDir;

use crate::inside::Inside;
use crate::scan::Filter;

pub(super) const GROUPS: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Heap,
    Rocks,
}

/// One change: state, key, what to do, entry, value. Each is turned into what the state takes.
pub(super) type Op = (u8, u8, u8, u8, u8);

pub(super) fn state(
    name: &str,
    kind: StateKind,
    value: ValueLayout,
    codec: &str,
) -> StateDeclaration {
    StateDeclaration {
        name: name.into(),
        kind,
        value,
        codec: codec.into(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    }
}

pub(super) fn description(key: KeyLayout) -> Description {
    use ValueLayout::{Bytes, F64, S64, U64};
    let ttl = Ttl {
        milliseconds: 1000,
        domain: TimeDomain::ProcessingTime,
        update: TtlUpdate::OnCreateAndWrite,
        visibility: TtlVisibility::NeverReturnExpired,
    };
    let map = |name, map_key, value, codec| StateDeclaration {
        map_key: Some(map_key),
        map_key_codec: Some("text".into()),
        ..state(name, StateKind::Map, value, codec)
    };
    let merge = Some(Merge::Count);
    let key = KeyType { layout: key, codec: Codec::Text, schema: None };
    let value = ValueType::new(U64, Codec::Raw);
    Description {
        name: "counts".into(),
        version: "1".into(),
        inputs: vec![Port { name: "in".into(), key: Some(key), value, broadcast: false }],
        outputs: vec![],
        states: vec![
            state("sum", StateKind::Value, S64, "raw"),
            StateDeclaration { ttl: Some(ttl), ..state("note", StateKind::Value, Bytes, "text") },
            state("items", StateKind::List, U64, "raw"),
            map("shops", KeyLayout::Bytes, F64, "raw"),
            map("days", KeyLayout::S64, Bytes, "msgpack"),
            StateDeclaration { merge, ..state("seen", StateKind::Reducing, U64, "raw") },
        ],
        timers: vec![TimerDeclaration { name: "end".into(), domain: TimeDomain::EventTime }],
        task_states: vec![TaskStateDeclaration {
            name: "parts".into(),
            kind: TaskStateKind::Split,
            value: U64,
            codec: "raw".into(),
            schema: None,
            map_key: None,
            map_key_codec: None,
            map_key_schema: None,
            schema_version: 1,
        }],
        metrics: vec![],
    }
}

/// What is there, as rows in JSON without their numbers of elements: lists are in their order.
pub(super) type Rows = BTreeMap<String, Vec<Value>>;

pub(super) struct Bed {
    pub(super) store: FaultStore,
    pub(super) layout: KeyLayout,
    kind: Kind,
    folder: TempDir,
    parts: Vec<(KeyGroupRange, Box<dyn Backend>)>,
    previous: Option<Manifest>,
    epoch: u64,
    described: Description,
    retired: Retired,
}

impl Bed {
    pub(super) fn new(kind: Kind, layout: KeyLayout, parallelism: u32) -> Self {
        Self::on(FaultStore::in_memory(), kind, layout, parallelism)
    }

    pub(super) fn on(store: FaultStore, kind: Kind, layout: KeyLayout, parallelism: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let groups = KeyGroups::new(GROUPS).unwrap();
        let Description { states, timers, .. } = description(layout);
        let resources = RocksResources::new(RocksOptions::default());
        let part = |task| {
            let range = groups.range_of_task(task, parallelism);
            let backend: Box<dyn Backend> = match kind {
                Kind::Heap => {
                    Box::new(HeapBackend::new(layout, &states, &timers, groups, range).unwrap())
                }
                Kind::Rocks => {
                    let directory = folder.path().join(task.to_string());
                    let declared = (&states[..], &timers[..]);
                    let opened = RocksBackend::open(
                        &directory,
                        &resources,
                        layout,
                        declared,
                        (groups, range),
                    );
                    Box::new(opened.unwrap())
                }
            };
            (range, backend)
        };
        let parts = (0..parallelism).map(part).collect();
        let (described, retired) = (description(layout), Retired::default());
        Self { store, layout, kind, folder, parts, previous: None, epoch: 0, described, retired }
    }

    /// Puts another version in the operator's place.
    pub(super) fn swap(&mut self, described: Description, retired: Retired) {
        let states = [&*described.states, &*retired.states].concat();
        let timers = [&*described.timers, &*retired.timers].concat();
        for (_, backend) in &mut self.parts {
            backend.evolve(&states, &timers).unwrap();
        }
        (self.described, self.retired) = (described, retired);
    }

    /// One invocation about a key.
    pub(super) fn commit(&mut self, key: u8, write: impl FnOnce(&mut WriteSet)) {
        let (column, _) = self.key(key);
        let hash = column.cell(0).hash();
        let group = KeyGroups::new(GROUPS).unwrap().group_of(hash);
        let (_, backend) = self.parts.iter_mut().find(|(range, _)| range.contains(group)).unwrap();
        backend.begin(&column, &[hash], Now::default()).unwrap();
        let mut set = WriteSet::new(backend.declared().0);
        write(&mut set);
        backend.commit(&set).unwrap();
    }

    pub(super) fn key(&self, number: u8) -> (Column, Value) {
        match self.layout {
            KeyLayout::U64 => (Column::Words(vec![number.into()]), json!(number)),
            KeyLayout::S64 => {
                let signed = i64::from(number) - 8;
                (Column::Words(vec![signed as u64]), json!(signed))
            }
            KeyLayout::Bytes => {
                let mut bytes = BytesColumn::default();
                bytes.push(format!("key {number}").as_bytes());
                (Column::Bytes(bytes), json!(format!("key {number}")))
            }
        }
    }

    /// Does one thing, on the backend that has the key.
    pub(super) fn apply(&mut self, (id, key, op, entry, value): Op) {
        let states = description(self.layout).states;
        let (column, _) = self.key(key % 12);
        let hash = column.cell(0).hash();
        let group = KeyGroups::new(GROUPS).unwrap().group_of(hash);
        let (_, backend) = self.parts.iter_mut().find(|(range, _)| range.contains(group)).unwrap();
        let now = Now { processing_time: 100 + i64::from(op), watermark: 5 };
        backend.begin(&column, &[hash], now).unwrap();
        let mut set = WriteSet::new(&states);
        let text = |text: String| {
            let mut column = BytesColumn::default();
            column.push(text.as_bytes());
            Column::Bytes(column)
        };
        let words = |word: u64| Column::Words(vec![word]);
        let id = u32::from(id % 7);
        let (slots, state) = (&[0][..], StateId(id));
        let remove = op % 4 == 0;
        match id {
            0 if remove => set.remove(state, slots),
            0 => set.set_words(state, slots, &[(i64::from(value) - 100) as u64]),
            1 if remove => set.remove(state, slots),
            1 => set.set_bytes(state, 0, format!("note {value}").as_bytes()),
            2 if op % 16 == 0 => set.clear_entries(state, slots),
            2 => set.append(state, slots, &words(value.into())),
            3 if remove => set.remove_entries(state, slots, &text(format!("shop {}", entry % 5))),
            3 => {
                let value = words((f64::from(value) / 2.0).to_bits());
                set.put_entries(state, slots, &text(format!("shop {}", entry % 5)), &value);
            }
            4 if remove => {
                set.remove_entries(state, slots, &words((i64::from(entry % 5) - 2) as u64))
            }
            4 => {
                let mut column = BytesColumn::default();
                column.push(&[0x92, value & 0x7f, 0xa1, b'x']);
                let key = words((i64::from(entry % 5) - 2) as u64);
                set.put_entries(state, slots, &key, &Column::Bytes(column));
            }
            5 => set.merge(state, slots, &words(value.into())),
            _ => {
                let (time, namespace) = (i64::from(value) - 50, u64::from(entry % 3));
                let timer = TimerId(0);
                set.change_timer(TimerChange { timer, slot: 0, namespace, time, set: !remove });
            }
        }
        backend.commit(&set).unwrap();
    }

    /// Takes a checkpoint and returns its manifest.
    pub(super) fn checkpoint(&mut self) -> Manifest {
        self.epoch += 1;
        let store = self.store.checkpoints();
        let settings = PackSettings { inline_bytes_max: 0, ..PackSettings::default() };
        let previous = self.previous.as_ref().map(|manifest| manifest.operators[0].clone());
        let mut groups =
            previous.as_ref().map(|operator| operator.groups.clone()).unwrap_or_default();
        let mut tables = Vec::new();
        let known: Vec<FileRef> = previous
            .iter()
            .flat_map(|operator| &operator.tables)
            .flat_map(|tables| tables.files.clone())
            .collect();
        let epoch = self.epoch;
        for (task, (_, backend)) in (0..).zip(&mut self.parts) {
            // There is nothing yet that the first one could continue.
            backend.start_snapshot(epoch, previous.is_none()).unwrap();
            let snapshot = loop {
                if let Some(snapshot) = backend.advance_snapshot(100).unwrap() {
                    break snapshot;
                }
            };
            let segments = snapshot.segments.into_iter().map(|segment| NewSegment {
                group: segment.group.0,
                full: segment.full,
                entries: segment.entries,
                bytes: segment.bytes,
            });
            let mut writer = store.task_writer(stamp(epoch, task), settings);
            segments.for_each(|segment| block_on(writer.add_segment(segment)).unwrap());
            groups = extend_groups(&groups, block_on(writer.finish()).unwrap().segments).unwrap();
            tables.extend(snapshot.tables.map(|tables| {
                let mut writer = store.task_writer(stamp(epoch, 100 + task), settings);
                // As a running job does: files that the checkpoint before has are not written again.
                let before: BTreeMap<_, _> =
                    known.iter().map(|file| (&file.identity, file)).collect();
                let is_new = |file: &&TableFile| {
                    file.identity.is_none() || !before.contains_key(&file.identity)
                };
                let new: Vec<_> = tables.files.iter().filter(is_new).collect();
                for file in &new {
                    block_on(writer.add_file(&tables.directory().join(&file.name))).unwrap();
                }
                let written = block_on(writer.finish()).unwrap().files;
                let mut files: Vec<_> = new
                    .iter()
                    .zip(written)
                    .map(|(file, content)| {
                        let (name, identity) = (file.name.clone(), file.identity.clone());
                        FileRef { name, identity, content }
                    })
                    .collect();
                for file in tables.files.iter().filter(|file| !is_new(file)) {
                    let content = before[&file.identity].content.clone();
                    let (name, identity) = (file.name.clone(), file.identity.clone());
                    files.push(FileRef { name, identity, content });
                }
                let KeyGroupRange { start, end } = tables.range;
                TablesRef { start, end, entries: tables.entries, files }
            }));
        }
        let manifest = self.manifest(groups, tables);
        manifest.check().unwrap();
        self.previous = Some(manifest.clone());
        manifest
    }

    fn manifest(&self, groups: BTreeMap<u16, Vec<SegmentRef>>, tables: Vec<TablesRef>) -> Manifest {
        let mut states = TaskStates::new(&self.described.task_states);
        states.append(0, &Column::Words(vec![self.epoch, 9])).unwrap();
        states.commit();
        let location = Location::Inline(states.snapshot().into());
        let state = SegmentRef { full: true, entries: 2, location };
        let task = |task| TaskState {
            task,
            watermark: None,
            position: Value::Null,
            state: (task == 0).then(|| state.clone()),
        };
        let operator = OperatorState {
            id: "a.counts".into(),
            component: None,
            declared: None,
            description: serde_json::to_value(&self.described).unwrap(),
            retired: (!self.retired.is_empty())
                .then(|| serde_json::to_value(&self.retired).unwrap()),
            parallelism: self.parts.len() as u32,
            tasks: (0..self.parts.len() as u32).map(task).collect(),
            groups,
            tables,
        };
        Manifest {
            job: "job".into(),
            epoch: Epoch(self.epoch),
            parent: self.previous.as_ref().map(|manifest| manifest.epoch),
            generation: Generation(1),
            created_ms: 0,
            key_groups: GROUPS,
            key_hash: "xxh3-64".into(),
            operators: vec![operator],
            statistics: Statistics::default(),
        }
    }

    pub(super) fn inside(&self, manifest: &Manifest) -> Inside {
        Inside::new(
            self.store.checkpoints(),
            manifest.clone(),
            format!("checkpoint {}", manifest.epoch),
        )
    }

    /// A new operator with the state of a manifest, on a backend of that kind.
    pub(super) fn restored(&self, manifest: &Manifest, kind: Kind, parallelism: u32) -> Self {
        let mut bed = Self::on(self.store.clone(), kind, self.layout, parallelism);
        bed.swap(self.described.clone(), self.retired.clone());
        let operator = &manifest.operators[0];
        let store = self.store.checkpoints();
        for (range, backend) in &mut bed.parts {
            for tables in &operator.tables {
                let folder = TempDir::new_in(bed.folder.path()).unwrap();
                let mut reader = store.read_segments(tables.files.iter().map(|file| &file.content));
                for file in &tables.files {
                    let bytes = block_on(reader.next()).unwrap().unwrap();
                    std::fs::write(folder.path().join(&file.name), bytes).unwrap();
                }
                if tables.start < range.end && range.start < tables.end {
                    backend.restore_tables(folder.path()).unwrap();
                }
            }
            for (group, segment) in operator.chained_segments() {
                if range.contains(KeyGroup(group)) {
                    let mut reader = store.read_segments([segment]);
                    let bytes = block_on(reader.next()).unwrap().unwrap();
                    backend.restore(KeyGroup(group), segment.full, &bytes).unwrap();
                }
            }
        }
        bed.epoch = manifest.epoch.0;
        bed
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }
}

fn stamp(epoch: u64, writer: u32) -> PackStamp {
    PackStamp { generation: Generation(1), epoch: Epoch(epoch), writer }
}

/// Everything that a manifest holds, but for task states.
pub(super) fn rows(inside: &Inside) -> Rows {
    let mut rows = Rows::new();
    let view = inside.operator("a.counts").unwrap();
    let all = block_on(inside.scan::<crate::Error>(&view, &Filter::default(), &mut |row| {
        let mut object: Map<String, Value> = view.json(row);
        if object.contains_key("task") {
            return Ok(());
        }
        object.remove("element");
        let what = object.get("state").or(object.get("timer")).unwrap();
        let name =
            format!("{} {} {}", what, object["key"], object.get("map_key").unwrap_or(&Value::Null));
        let timer = object.get("time").map(|time| format!(" {time} {:?}", object.get("namespace")));
        rows.entry(name + &timer.unwrap_or_default()).or_default().push(Value::Object(object));
        Ok(())
    }));
    assert!(all.unwrap(), "there was no limit");
    rows
}
