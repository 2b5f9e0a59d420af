//! Tests of task states: commit and undo, redistribution, and damaged bytes.

use super::*;
use crate::column::BytesColumn;

fn declared(name: &str, kind: TaskStateKind, value: ValueLayout) -> TaskStateDeclaration {
    let map_key = (kind == TaskStateKind::Broadcast).then_some(KeyLayout::S64);
    let (name, codec) = (name.to_owned(), "raw".to_owned());
    TaskStateDeclaration {
        name,
        kind,
        value,
        codec,
        schema: None,
        map_key,
        map_key_codec: None,
        map_key_schema: None,
        schema_version: 1,
    }
}

fn declarations() -> Vec<TaskStateDeclaration> {
    vec![
        declared("dealt", TaskStateKind::Split, ValueLayout::U64),
        declared("all", TaskStateKind::Union, ValueLayout::Bytes),
        declared("rules", TaskStateKind::Broadcast, ValueLayout::Bytes),
    ]
}

fn words(words: &[i64]) -> Column {
    Column::Words(words.iter().map(|&word| word as u64).collect())
}

fn bytes(rows: &[&str]) -> Column {
    let mut column = BytesColumn::default();
    rows.iter().for_each(|row| column.push(row.as_bytes()));
    Column::Bytes(column)
}

fn filled(elements: &[i64], text: &str, rules: &[i64]) -> TaskStates {
    let mut states = TaskStates::new(&declarations());
    states.append(0, &words(elements)).unwrap();
    states.append(1, &bytes(&[text])).unwrap();
    let values: Vec<String> = rules.iter().map(i64::to_string).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    states.put(2, &words(rules), &bytes(&values)).unwrap();
    states.commit();
    states
}

fn restored(tasks: &[Vec<u8>], task: u32, parallelism: u32) -> TaskStates {
    TaskStates::restore(&declarations(), tasks, task, parallelism).unwrap()
}

#[test]
fn changes_show_at_once_and_are_undone_unless_committed() {
    let mut states = filled(&[1, 2], "a", &[-1, 5]);
    let before = states.snapshot();
    states.append(0, &words(&[3])).unwrap();
    states.replace(1, &bytes(&["b", "c"])).unwrap();
    states.append(1, &bytes(&["d"])).unwrap();
    states.put(2, &words(&[5, 7, 5]), &bytes(&["x", "y", "z"])).unwrap();
    states.remove(2, &words(&[-1, 99])).unwrap();
    assert_eq!(states.list(0).unwrap(), &words(&[1, 2, 3]));
    assert_eq!(states.list(1).unwrap(), &bytes(&["b", "c", "d"]));
    let entries = states.entries(2).unwrap();
    assert_eq!((entries.keys, entries.values), (words(&[5, 7]), bytes(&["z", "y"])));
    states.clear(2).unwrap();
    assert!(states.entries(2).unwrap().is_empty());
    states.undo();
    assert_eq!(states.snapshot(), before);
    assert_eq!(states.get(2, Cell::Word(5)).unwrap(), Some(Cell::Bytes(b"5")));
    assert_eq!(states.get(2, Cell::Word(7)).unwrap(), None);
    states.remove(2, &words(&[5])).unwrap();
    states.commit();
    states.undo();
    assert_eq!(states.get(2, Cell::Word(5)).unwrap(), None);
}

#[test]
fn what_was_before_is_kept_once_and_undone_whatever_the_order_of_changes() {
    let mut states = filled(&[1, 2], "a", &[-1, 5]);
    let before = states.snapshot();
    for text in ["x", "y"] {
        states.append(0, &words(&[3])).unwrap();
        states.replace(0, &words(&[4])).unwrap();
        states.append(0, &words(&[5, 6])).unwrap();
        states.put(2, &words(&[5, 7]), &bytes(&[text, text])).unwrap();
        states.put(2, &words(&[5, 7]), &bytes(&["", text])).unwrap();
    }
    let kept = |state: usize| match &states.states[state].undo {
        Undo::Restore(Contents::List(old, _)) => old.len(),
        Undo::Entries(entries) => entries.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((kept(0), kept(2)), (2, 2));
    for _ in 0..2 {
        states.clear(2).unwrap();
        states.put(2, &words(&[5, 8]), &bytes(&["b", "c"])).unwrap();
    }
    states.undo();
    assert_eq!(states.snapshot(), before);
}

#[test]
fn map_keys_are_in_the_order_of_their_numbers() {
    let states = filled(&[], "", &[3, -2, 0, i64::MIN, i64::MAX]);
    assert_eq!(states.entries(2).unwrap().keys, words(&[i64::MIN, -2, 0, 3, i64::MAX]));
}

#[test]
fn split_elements_are_dealt_out_union_elements_go_to_all_and_maps_are_taken_once() {
    let tasks: Vec<Vec<u8>> = [(0..4, "a"), (4..5, "b"), (5..10, "c")]
        .map(|(elements, text)| filled(&elements.collect::<Vec<_>>(), text, &[1, 2]).snapshot())
        .into();
    for parallelism in 1..15 {
        let mut dealt = Vec::new();
        for task in 0..parallelism {
            let states = restored(&tasks, task, parallelism);
            let Column::Words(mine) = states.list(0).unwrap() else { panic!() };
            let belongs = |&element: &u64| element * u64::from(parallelism) / 10 == u64::from(task);
            assert!(mine.iter().all(belongs), "{mine:?} of task {task} of {parallelism}");
            dealt.extend_from_slice(mine);
            assert_eq!(states.list(1).unwrap(), &bytes(&["a", "b", "c"]));
            assert_eq!(states.entries(2).unwrap().values, bytes(&["1", "2"]));
        }
        assert_eq!(dealt, (0..10).collect::<Vec<_>>());
    }
    assert_eq!(restored(&[], 0, 1).snapshot(), TaskStates::new(&declarations()).snapshot());
}

#[test]
fn new_states_begin_empty_and_changed_or_missing_ones_are_named() {
    let snapshot = [filled(&[1], "a", &[1]).snapshot()];
    let error = |declarations: &[TaskStateDeclaration]| {
        TaskStates::restore(declarations, &snapshot, 0, 1).unwrap_err().to_string()
    };
    let mut more = declarations();
    more.insert(0, declared("new", TaskStateKind::Union, ValueLayout::F64));
    let states = TaskStates::restore(&more, &snapshot, 0, 1).unwrap();
    assert!(states.list(0).unwrap().is_empty());
    assert_eq!(states.list(1).unwrap(), &words(&[1]));
    assert!(error(&declarations()[1..]).contains("`dealt`"));
    let mut other = declarations();
    other[1].value = ValueLayout::U64;
    assert!(
        error(&other).contains("state `all` was a Union state with values of Bytes"),
        "{}",
        error(&other)
    );
    // A list may change how it is redistributed.
    let mut union = declarations();
    union[0].kind = TaskStateKind::Union;
    assert_eq!(
        TaskStates::restore(&union, &snapshot, 1, 2).unwrap().list(0).unwrap(),
        &words(&[1])
    );
}

#[test]
fn damaged_bytes_are_an_error_or_other_states_but_never_a_panic() {
    let good = filled(&[1, 2, 300], "text", &[1, -2]).snapshot();
    for end in 0..good.len() {
        let cut = [&good[..end]];
        assert!(TaskStates::restore(&declarations(), &cut, 0, 1).is_err(), "cut at {end}");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let _ = TaskStates::restore(&declarations(), &[bad], 0, 1);
        }
    }
    let longer = [[&good[..], &[0]].concat()];
    let error = TaskStates::restore(&declarations(), &longer, 0, 1).unwrap_err();
    assert!(error.to_string().contains("1 bytes follow"), "{error}");
}

#[test]
fn what_was_not_declared_so_is_refused() {
    let mut states = filled(&[], "", &[]);
    let said = |result: Result<(), Error>, what: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    said(states.append(3, &words(&[])), "no task state 3");
    said(states.append(2, &words(&[])), "`rules` is a Broadcast state");
    said(states.put(0, &words(&[]), &words(&[])), "`dealt` is a Split state");
    said(states.replace(0, &bytes(&[])), "values of another layout");
    said(states.remove(2, &bytes(&[])), "keys of another layout");
    said(states.put(2, &words(&[1]), &bytes(&[])), "1 keys for 0 values");
    let much = Column::Bytes(BytesColumn::from_parts(vec![0, 1 << 28], vec![0; 1 << 28]).unwrap());
    said(states.append(1, &much), "task state `all` would hold");
    let map_key = Some(KeyLayout::U64);
    assert!(TaskStateDeclaration { map_key, ..declarations().remove(0) }.check().is_err());
    assert!(declarations().iter().all(|state| state.check().is_ok()));
}

#[test]
fn a_union_does_not_multiply_with_restarts() {
    let declarations = [declared("all", TaskStateKind::Union, ValueLayout::U64)];
    let mut snapshots: Vec<Vec<u8>> = Vec::new();
    for restart in 0..4_u64 {
        let tasks = (0..3).map(|task| {
            let mut states = TaskStates::restore(&declarations, &snapshots, task, 3).unwrap();
            let elements = 3 * restart;
            assert_eq!(states.list(0).unwrap().len() as u64, elements, "of all tasks before");
            states.append(0, &Column::Words(vec![u64::from(task)])).unwrap();
            states.commit();
            states.snapshot()
        });
        snapshots = tasks.collect();
    }
    let mut last = TaskStates::restore(&declarations, &snapshots, 2, 3).unwrap();
    last.replace(0, &Column::Words(vec![7])).unwrap();
    last.commit();
    let alone = TaskStates::restore(&declarations, &[last.snapshot()], 0, 1).unwrap();
    assert_eq!(alone.list(0).unwrap(), &Column::Words(vec![7]), "what was replaced is its own");
}
