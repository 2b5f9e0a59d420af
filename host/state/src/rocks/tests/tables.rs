//! Snapshots, adopting them, and reading parts of them.

use std::collections::{BTreeMap, BTreeSet};

use super::bed::*;
use super::*;
use crate::declaration::{StateKind, Ttl, TtlUpdate, TtlVisibility, ValueLayout};
use crate::snapshot::TableFile;

fn value(name: &str) -> StateDeclaration {
    state(name, StateKind::Value, ValueLayout::U64)
}

fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let read = |file: fs::DirEntry| {
        (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())
    };
    files.map(read).collect()
}

/// The bytes of the table files, by identity.
fn by_identity(tables: &Tables) -> BTreeMap<String, Vec<u8>> {
    let named = tables.files.iter().filter_map(|TableFile { name, identity, length }| {
        let bytes = fs::read(tables.directory().join(name)).unwrap();
        assert_eq!(bytes.len() as u64, *length, "{name}");
        assert_eq!(identity.is_some(), name.ends_with(".sst"), "{name}");
        Some((identity.clone()?, bytes))
    });
    named.collect()
}

#[test]
fn the_files_named_are_all_that_a_restore_needs() {
    let bed = Bed::new(RocksOptions::default());
    let setup = for_states(vec![value("sum")]);
    let mut backend = bed.backend(&setup);
    put(&mut backend, 0, &[1, 2], &[10, 20], 0);
    let tables = snapshot(&mut backend, 1);
    let elsewhere = bed.root.path().join("downloaded");
    fs::create_dir(&elsewhere).unwrap();
    for file in &tables.files {
        fs::copy(tables.directory().join(&file.name), elsewhere.join(&file.name)).unwrap();
    }
    let before = contents(&elsewhere);
    let mut restored = bed.backend(&setup);
    restored.restore_tables(&elsewhere).unwrap();
    assert_eq!(get(&mut restored, 0, &[1, 2, 3], 0), [Some(10), Some(20), None]);
    put(&mut restored, 0, &[1], &[11], 0);
    restored.compact().unwrap();
    assert_eq!(contents(&elsewhere), before, "nothing was changed where the files were");
}

#[test]
fn one_identity_means_the_same_bytes_wherever_the_files_go() {
    let bed = Bed::new(RocksOptions::default());
    let setup = for_states(vec![value("sum")]);
    let mut backend = bed.backend(&setup);
    put(&mut backend, 0, &[1, 2], &[10, 20], 0);
    let first = snapshot(&mut backend, 1);
    let mut all = by_identity(&first);
    let shared: BTreeSet<String> = all.keys().cloned().collect();
    assert!(!shared.is_empty());
    put(&mut backend, 0, &[3], &[30], 0);
    let second = snapshot(&mut backend, 2);
    let names: BTreeSet<String> = by_identity(&second).into_keys().collect();
    assert!(names.is_superset(&shared), "tables that stay keep their identity");
    // Two tasks that go on from the same files, and one that goes on from one of those.
    let mut left = bed.backend(&setup);
    left.restore_tables(second.directory()).unwrap();
    let mut right = bed.backend(&setup);
    right.restore_tables(second.directory()).unwrap();
    put(&mut left, 0, &[4], &[1], 0);
    put(&mut right, 0, &[4], &[2], 0);
    let of_left = snapshot(&mut left, 3);
    let mut next = bed.backend(&setup);
    next.restore_tables(of_left.directory()).unwrap();
    put(&mut next, 0, &[5], &[3], 0);
    let others = [&of_left, &snapshot(&mut right, 3), &snapshot(&mut next, 4), &second];
    for tables in others {
        let named = by_identity(tables);
        assert!(named.keys().collect::<BTreeSet<_>>().is_superset(&shared.iter().collect()));
        for (identity, bytes) in named {
            let known = all.entry(identity.clone()).or_insert_with(|| bytes.clone());
            assert!(*known == bytes, "{identity} has two contents");
        }
    }
    assert_eq!(get(&mut next, 0, &[1, 2, 3, 4, 5], 0), [10, 20, 30, 1, 3].map(Some));
}

#[test]
fn a_snapshot_goes_with_its_last_holder_and_not_before() {
    let bed = Bed::new(RocksOptions::default());
    let setup = for_states(vec![value("sum")]);
    let mut backend = bed.backend(&setup);
    let first = snapshot(&mut backend, 1);
    let directory = first.directory().to_owned();
    let again = first.clone();
    drop(first);
    drop(backend);
    assert!(directory.join("CURRENT").exists());
    drop(again);
    assert!(!directory.exists());
}

#[test]
fn key_groups_move_between_any_numbers_of_tasks() {
    let bed = Bed::new(tiny());
    let states = vec![
        value("sum"),
        state("log", StateKind::List, ValueLayout::U64),
        state("total", StateKind::Reducing, ValueLayout::U64),
    ];
    let whole = for_states(states);
    let keys: Vec<u64> = (0..300).collect();
    let part = |task, of| Setup { range: whole.groups.range_of_task(task, of), ..whole.clone() };
    let mut tables = Vec::new();
    for task in 0..3 {
        let setup = part(task, 3);
        let mut backend = bed.backend(&setup);
        for key in owned(&setup, 0..300) {
            put(&mut backend, 0, &[key], &[key * 2], 0);
            let value = Column::Words(vec![key]);
            for _ in 0..2 {
                commit(&mut backend, &[key], 0, |set| {
                    set.append(StateId(1), &[0, 0], &Column::Words(vec![1, 2]));
                    set.merge(StateId(2), &[0], &value);
                })
                .unwrap();
            }
            set_timer(&mut backend, key, key as i64);
        }
        tables.push(snapshot(&mut backend, 1));
    }
    for of in [1, 2, 4, 8] {
        let mut found = Vec::new();
        for task in 0..of {
            let setup = part(task, of);
            let mut backend = bed.backend(&setup);
            for tables in &tables {
                backend.restore_tables(tables.directory()).unwrap();
            }
            // What was restored is in the next snapshot, too.
            let again = snapshot(&mut backend, 2);
            let mut backend = bed.backend(&setup);
            backend.restore_tables(again.directory()).unwrap();
            let mine = owned(&setup, 0..300);
            found.extend(mine.iter().copied());
            assert_eq!(
                backend.next_timer(TimeDomain::EventTime),
                mine.first().map(|&key| key as i64)
            );
            assert_eq!(
                get(&mut backend, 0, &mine, 0),
                mine.iter().map(|key| Some(key * 2)).collect::<Vec<_>>()
            );
            assert_eq!(
                get(&mut backend, 2, &mine, 0),
                mine.iter().map(|key| Some(key * 2)).collect::<Vec<_>>()
            );
            let add = |set: &mut WriteSet| set.append(StateId(1), &[0], &Column::Words(vec![3]));
            commit(&mut backend, &mine[..1], 0, add).unwrap();
            assert_eq!(list(&mut backend, 1, mine[0]), [1, 2, 1, 2, 3], "new elements come last");
        }
        found.sort_unstable();
        assert_eq!(found, keys);
    }
}

#[test]
fn states_are_found_by_name_whatever_their_order() {
    let bed = Bed::new(RocksOptions::default());
    let first = for_states(vec![value("a"), value("b")]);
    let mut backend = bed.backend(&first);
    put(&mut backend, 0, &[1], &[10], 0);
    put(&mut backend, 1, &[1], &[20], 0);
    let tables = snapshot(&mut backend, 1);
    let second = for_states(vec![value("c"), value("b"), value("a")]);
    let mut backend = bed.backend(&second);
    backend.restore_tables(tables.directory()).unwrap();
    put(&mut backend, 0, &[1], &[30], 0);
    let tables = snapshot(&mut backend, 2);
    let third = for_states(vec![value("a"), value("c"), value("d"), value("b")]);
    for range in [third.range, KeyGroupRange { start: 0, end: 8 }] {
        let mut backend = bed.backend(&Setup { range, ..third.clone() });
        backend.restore_tables(tables.directory()).unwrap();
        let found: Vec<_> = (0..4).map(|state| get(&mut backend, state, &[1], 0)[0]).collect();
        assert_eq!(found, [Some(10), Some(30), None, Some(20)]);
    }
}

#[test]
fn what_does_not_fit_the_operator_is_refused_by_name() {
    let bed = Bed::new(RocksOptions::default());
    let setup = for_states(vec![value("sum")]);
    let mut backend = bed.backend(&setup);
    put(&mut backend, 0, &[1], &[1], 0);
    let tables = snapshot(&mut backend, 1);
    let refused = |setup: Setup, part: &str| {
        let error = bed.backend(&setup).restore_tables(tables.directory()).unwrap_err();
        assert!(matches!(error, Error::Tables { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(Setup { states: vec![value("count")], ..setup.clone() }, "`sum`");
    let bytes = state("sum", StateKind::Value, ValueLayout::Bytes);
    refused(Setup { states: vec![bytes], ..setup.clone() }, "`sum`");
    refused(Setup { timers: Vec::new(), ..setup.clone() }, "`alarm`");
    refused(Setup { key: KeyLayout::Bytes, ..setup.clone() }, "keys are U64");
    let groups = KeyGroups::new(16).unwrap();
    refused(Setup { groups, range: KeyGroupRange::all(groups), ..setup }, "8 key groups");
}

#[test]
fn a_time_to_live_may_be_added_and_dropped_at_a_restore() {
    let bed = Bed::new(RocksOptions::default());
    let life = Ttl {
        milliseconds: 10,
        domain: TimeDomain::ProcessingTime,
        update: TtlUpdate::OnCreateAndWrite,
        visibility: TtlVisibility::NeverReturnExpired,
    };
    let plain = for_states(vec![value("sum")]);
    let timed = for_states(vec![expiring(value("sum"), life)]);
    let mut backend = bed.backend(&plain);
    put(&mut backend, 0, &[1, 2], &[10, 20], 0);
    let tables = snapshot(&mut backend, 1);
    let mut backend = bed.backend(&timed);
    backend.restore_tables(tables.directory()).unwrap();
    assert_eq!(get(&mut backend, 0, &[1, 2], 5), [Some(10), Some(20)]);
    put(&mut backend, 0, &[1], &[11], 5);
    assert_eq!(get(&mut backend, 0, &[1], 15), [None]);
    let tables = snapshot(&mut backend, 2);
    let longer = Ttl { milliseconds: 100, ..life };
    let mut backend = bed.backend(&for_states(vec![expiring(value("sum"), longer)]));
    backend.restore_tables(tables.directory()).unwrap();
    assert_eq!(get(&mut backend, 0, &[1], 50), [Some(11)], "the stamp is that of the write");
    assert_eq!(get(&mut backend, 0, &[1], 105), [None]);
    let mut backend = bed.backend(&plain);
    backend.restore_tables(tables.directory()).unwrap();
    assert_eq!(get(&mut backend, 0, &[1, 2], 1000), [Some(11), Some(20)]);
}

#[test]
fn tables_are_read_as_records_and_nothing_is_written_there() {
    let bed = Bed::new(RocksOptions::default());
    let setup = for_states(vec![
        value("sum"),
        state("by-number", StateKind::Map, ValueLayout::U64),
        state("total", StateKind::Reducing, ValueLayout::U64),
    ]);
    let mut backend = bed.backend(&setup);
    put(&mut backend, 0, &[1], &[10], 0);
    let one = |word| Column::Words(vec![word]);
    for round in 0..2 {
        commit(&mut backend, &[1], 0, |set| {
            set.put_entries(StateId(1), &[0], &one(4), &one(5 + round));
            set.merge(StateId(2), &[0], &one(6));
        })
        .unwrap();
        // So that one merge is in a table of its own.
        snapshot(&mut backend, round);
    }
    set_timer(&mut backend, 1, 99);
    let tables = snapshot(&mut backend, 3);
    let before = contents(tables.directory());
    let mut found = Vec::new();
    let schema = Schema::new(setup.key, &setup.states, &setup.timers);
    read_tables(tables.directory(), &schema, setup.groups, setup.range, &mut |group, record| {
        assert_eq!(group, setup.groups.group_of(record.key().hash()));
        found.push(format!("{record:?}"));
        Ok(())
    })
    .unwrap();
    assert_eq!(found.len(), 4, "{found:?}");
    let has = |part: &str| assert!(found.iter().any(|it| it.contains(part)), "{part}: {found:?}");
    has("value: Word(10)");
    has("entry: Word(4), value: Some(Stamped { value: Word(6)");
    has("value: Word(12)");
    has("time: 99, namespace: 7, set: true");
    assert_eq!(contents(tables.directory()), before);
}

#[test]
fn tables_of_the_first_version_are_restored_and_those_of_a_later_one_refused() {
    let bed = Bed::new(RocksOptions::default());
    let setup = for_states(vec![value("sum"), value("other")]);
    let mut backend = bed.backend(&setup);
    put(&mut backend, 1, &[1], &[10], 0);
    let tables = snapshot(&mut backend, 1);
    let rewritten = |version: u32| {
        let (copy, to) = (bed.directory(), bed.directory());
        files::adopt(tables.directory(), &copy).unwrap();
        let clock = Arc::new(Clock::new());
        let database = Database::open(&copy, &bed.resources, backend.catalog.tagged(), &clock);
        let database = database.unwrap();
        let json = database.db().get(keys::CATALOG).unwrap().unwrap();
        let mut catalog: serde_json::Value = serde_json::from_slice(&json).unwrap();
        catalog["version"] = version.into();
        let members = catalog.as_object_mut().unwrap();
        members.retain(|name, _| !name.starts_with("next_") || name == "next_element");
        let mut batch = WriteBatch::default();
        batch.put(keys::CATALOG, serde_json::to_vec(&catalog).unwrap());
        database.write(batch).unwrap();
        files::checkpoint(&database, &backend.catalog, &to).unwrap();
        to
    };
    let mut restored = bed.backend(&setup);
    restored.restore_tables(&rewritten(1)).unwrap();
    assert_eq!(get(&mut restored, 1, &[1], 0), [Some(10)]);
    restored.evolve(&[value("new"), value("other")], &setup.timers).unwrap();
    assert_eq!(restored.tags.states, [3, 2]);
    let refused = bed.backend(&setup).restore_tables(&rewritten(3)).unwrap_err();
    assert!(refused.to_string().contains("version 3"), "{refused}");
}
