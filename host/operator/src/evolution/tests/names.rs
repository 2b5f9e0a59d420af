//! Other names: of states, of timers, and those that leave open what is meant.

use super::*;

#[test]
fn a_renamed_state_moves_as_it_is() {
    let before = left(states(vec![state("sum", 1)]));
    let now = states(vec![state("total", 1)]);
    let renamed = renames(Renamed::State, &[("sum", "total")]);
    let evolution = plan(&before, &now, &renamed, false).unwrap();
    assert_eq!(identities(&evolution.states), [("total", 1), ("sum", 1)]);
    assert_eq!(moves(&evolution), [(1, 0, None)]);
    assert_eq!(changes(&evolution), ["Renamed state `total`: was `sum`"]);

    // The component is started again when all has moved, and when some has.
    let again = plan(&left(now.clone()), &now, &renamed, false).unwrap();
    assert!(again.is_same_schema());
    let half = with_retired(now.clone(), vec![state("sum", 1)]);
    let again = plan(&half, &now, &renamed, false).unwrap();
    assert_eq!(moves(&again), [(1, 0, None)]);
    assert_eq!(changes(&again), ["Kept state `total`: was `sum`"]);

    let without = plan(&half, &now, &Migrations::default(), false);
    refused(without, &["its values are still being moved to the name that it had last"]);
    let other = states(vec![StateDeclaration { value: ValueLayout::F64, ..state("total", 1) }]);
    refused(plan(&before, &other, &renamed, true), &["takes over `sum` and had values of u64"]);
}

#[test]
fn a_state_may_have_another_name_and_another_version_at_once() {
    let before = left(states(vec![state("sum", 1)]));
    let now = states(vec![state("total", 2)]);
    let mut renamed = renames(Renamed::State, &[("sum", "total")]);
    let part = "the operator does not convert the values there, which are of 1";
    refused(plan(&before, &now, &renamed, true), &[part]);
    renamed.steps = steps(&[("total", 1)]).steps;
    let evolution = plan(&before, &now, &renamed, false).unwrap();
    assert_eq!(moves(&evolution), [(1, 0, Some(1))]);
    let note = "was `sum`; values of schema version 1 are converted to 2";
    assert_eq!(changes(&evolution), [format!("Migrated state `total`: {note}")]);
}

#[test]
fn renames_follow_each_other_over_versions_that_were_skipped() {
    let renamed = renames(Renamed::State, &[("sum", "total"), ("total", "amount")]);
    let now = states(vec![state("amount", 1)]);
    for before in ["sum", "total"] {
        let evolution = plan(&left(states(vec![state(before, 1)])), &now, &renamed, false).unwrap();
        assert_eq!(moves(&evolution), [(1, 0, None)], "{before}");
    }
    let half = with_retired(states(vec![state("total", 1)]), vec![state("sum", 1)]);
    let evolution = plan(&half, &now, &renamed, false).unwrap();
    assert_eq!(moves(&evolution), [(1, 0, None), (2, 0, None)]);
    assert_eq!(changes(&evolution), ["Renamed state `amount`: was `total` and `sum`"]);
}

#[test]
fn a_rename_that_has_nothing_to_do_is_fine() {
    let now = states(vec![state("total", 1)]);
    let renamed = renames(Renamed::State, &[("never", "total"), ("there", "nowhere")]);
    assert!(plan(&left(now.clone()), &now, &renamed, false).unwrap().is_same_schema());
}

#[test]
fn names_that_leave_open_what_is_meant_are_refused() {
    let two = || left(states(vec![state("a", 1), state("b", 1)]));
    let now = || states(vec![state("a", 1), state("b", 1)]);
    let swapped = renames(Renamed::State, &[("a", "b"), ("b", "a")]);
    let parts = [
        "the state `a` is renamed to `b` and declared as well",
        "the state `b` is renamed to `a` and declared as well",
    ];
    let reasons = plan(&two(), &now(), &swapped, true).unwrap_err();
    assert!(reasons[0].contains(parts[0]) && reasons[1].contains(parts[1]), "{reasons:#?}");

    let twice = renames(Renamed::State, &[("a", "b"), ("a", "c")]);
    let now = states(vec![state("b", 1), state("c", 1)]);
    let only_a = left(states(vec![state("a", 1)]));
    refused(
        plan(&only_a, &now, &twice, true),
        &["the state `a` is renamed twice, to `b` and to `c`"],
    );

    let united = renames(Renamed::State, &[("a", "c"), ("b", "c")]);
    let now = states(vec![state("c", 1)]);
    refused(plan(&two(), &now, &united, true), &["would take over several states (`a`, `b`)"]);
    let into = renames(Renamed::State, &[("a", "b")]);
    let now = states(vec![state("b", 1)]);
    refused(plan(&two(), &now, &into, true), &["would take over several states (`a`, `b`)"]);

    let circle = renames(Renamed::State, &[("a", "b"), ("b", "a")]);
    let now = states(vec![state("c", 1)]);
    refused(plan(&only_a, &now, &circle, false), &["state `a` is not declared any more"]);
}

#[test]
fn a_name_of_before_is_not_taken_while_values_are_under_it() {
    let half = with_retired(states(vec![state("total", 1)]), vec![state("sum", 1)]);
    let now = states(vec![state("total", 1), state("sum", 1)]);
    let part =
        "state `sum` at schema version 1 is what the running version moves its values away from";
    refused(plan(&half, &now, &Migrations::default(), true), &[part]);
    let done = left(states(vec![state("total", 1)]));
    let evolution = plan(&done, &now, &Migrations::default(), false).unwrap();
    assert_eq!(changes(&evolution), ["Kept state `total`: ", "Added state `sum`: "]);
}

#[test]
fn timers_keep_their_clock_and_may_change_their_name() {
    let timers = |timers| description(vec![], timers);
    let now = timers(vec![timer("tick"), timer("close")]);
    let before = left(timers(vec![timer("end")]));
    let renamed = renames(Renamed::Timer, &[("end", "close")]);
    let evolution = plan(&before, &now, &renamed, false).unwrap();
    assert_eq!(evolution.timers, [timer("tick"), timer("close"), timer("end")]);
    assert_eq!(evolution.aliases, [(TimerId(2), TimerId(1))]);
    assert_eq!(changes(&evolution), ["Added timer `tick`: ", "Renamed timer `close`: was `end`"]);
    assert_eq!(evolution.retired(&now).timers, [timer("end")]);

    let half = Left {
        description: now.clone(),
        retired: Retired { states: vec![], timers: vec![timer("end")] },
    };
    let again = plan(&half, &now, &renamed, false).unwrap();
    assert_eq!(again.aliases, [(TimerId(2), TimerId(1))]);
    let now = timers(vec![timer("end"), timer("tick")]);
    let parts =
        ["timer `end` has another name in the running version", "timer `close` is not declared"];
    refused(plan(&half, &now, &Migrations::default(), false), &parts);

    let domain = TimeDomain::ProcessingTime;
    let other_clock = timers(vec![TimerDeclaration { domain, ..timer("end") }]);
    let part = "was on the clock EventTime and is on ProcessingTime now";
    refused(plan(&before, &other_clock, &Migrations::default(), true), &[part]);
    let both = left(timers(vec![timer("end"), timer("close")]));
    let now = timers(vec![timer("close")]);
    refused(plan(&both, &now, &renamed, true), &["would take over several timers"]);
}

#[test]
fn a_rename_of_a_state_says_nothing_of_timers() {
    let before = left(description(vec![state("sum", 1)], vec![timer("sum")]));
    let now = description(vec![state("total", 1)], vec![timer("sum")]);
    let renamed = renames(Renamed::State, &[("sum", "total")]);
    let evolution = plan(&before, &now, &renamed, false).unwrap();
    assert_eq!(changes(&evolution), ["Renamed state `total`: was `sum`", "Kept timer `sum`: "]);
    assert_eq!(evolution.moves[0].values.to, StateId(0));
}
