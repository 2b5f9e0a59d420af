//! Schema versions: values that are converted, and several versions at once.

use super::*;

#[test]
fn another_version_needs_a_step_and_becomes_a_state_of_its_own() {
    let before = left(states(vec![state("other", 1), state("total", 1)]));
    let now = states(vec![state("total", 2), state("other", 1)]);
    let part = "state `total` is declared at schema version 2, and the operator does not convert the values there";
    refused(plan(&before, &now, &Migrations::default(), true), &[part]);
    let evolution = plan(&before, &now, &steps(&[("total", 1)]), false).unwrap();
    assert_eq!(identities(&evolution.states), [("total", 2), ("other", 1), ("total", 1)]);
    assert_eq!(moves(&evolution), [(2, 0, Some(1))]);
    let note = "values of schema version 1 are converted to 2";
    assert_eq!(
        changes(&evolution),
        [format!("Migrated state `total`: {note}"), "Kept state `other`: ".to_owned()]
    );
    assert_eq!(identities(&evolution.retired(&now).states), [("total", 1)]);
    assert!(!evolution.is_same_schema() && !evolution.needs_approval());
}

#[test]
fn kinds_and_layouts_change_as_long_as_values_are_converted_one_by_one() {
    let changed = |before: StateDeclaration, now: StateDeclaration| {
        let (before, now) = (left(states(vec![before])), states(vec![now]));
        plan(&before, &now, &steps(&[("s", 1)]), true)
    };
    let map = |map_key, version| StateDeclaration {
        kind: StateKind::Map,
        map_key: Some(map_key),
        ..state("s", version)
    };
    let list = |version| StateDeclaration { kind: StateKind::List, ..state("s", version) };
    let sum = StateDeclaration {
        kind: StateKind::Reducing,
        merge: Some(Merge::Sum),
        value: ValueLayout::F64,
        ..state("s", 2)
    };
    assert!(changed(state("s", 1), sum).is_ok());
    assert!(changed(list(1), StateDeclaration { value: ValueLayout::Bytes, ..list(2) }).is_ok());
    assert!(changed(map(KeyLayout::U64, 1), map(KeyLayout::U64, 2)).is_ok());
    for (before, now, part) in [
        (state("s", 1), list(2), "was a value state and is a list state now"),
        (list(1), state("s", 2), "was a list state and is a value state now"),
        (list(1), map(KeyLayout::U64, 2), "was a list state and is a map state now"),
        (map(KeyLayout::U64, 1), map(KeyLayout::S64, 2), "map keys of another type"),
    ] {
        refused(changed(before, now), &[part]);
    }
}

#[test]
fn the_third_version_takes_over_what_the_second_has_not_finished() {
    let before = || with_retired(states(vec![state("total", 2)]), vec![state("total", 1)]);
    let now = states(vec![state("total", 3)]);
    let evolution = plan(&before(), &now, &steps(&[("total", 1), ("total", 2)]), false).unwrap();
    assert_eq!(identities(&evolution.states), [("total", 3), ("total", 2), ("total", 1)]);
    assert_eq!(moves(&evolution), [(1, 0, Some(2)), (2, 0, Some(1))]);
    let note = "values of schema version 1 and 2 are converted to 3";
    assert_eq!(changes(&evolution), [format!("Migrated state `total`: {note}")]);
    let part = "still has values of schema version 1, which this version of the operator does not convert; wait";
    refused(plan(&before(), &now, &steps(&[("total", 2)]), true), &[part]);

    // Another build of the second version goes on with what is left.
    let now = states(vec![state("total", 2)]);
    let evolution = plan(&before(), &now, &steps(&[("total", 1)]), false).unwrap();
    assert_eq!(moves(&evolution), [(1, 0, Some(1))]);
    let note = "values of schema version 1 are converted to 2";
    assert_eq!(changes(&evolution), [format!("Kept state `total`: {note}")]);
    assert!(!evolution.is_same_schema(), "values move");
}

#[test]
fn there_is_no_way_back_but_a_savepoint() {
    let now = states(vec![state("total", 1)]);
    let done = left(states(vec![state("total", 2)]));
    let part = "a newer version of the operator wrote them, and values are not converted back; go back to a savepoint";
    refused(plan(&done, &now, &Migrations::default(), true), &[part]);
    let under_way = with_retired(states(vec![state("total", 2)]), vec![state("total", 1)]);
    let parts =
        [part, "so this is a way back, and values are not converted back; go back to a savepoint"];
    refused(plan(&under_way, &now, &Migrations::default(), true), &parts);
}
