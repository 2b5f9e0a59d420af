//! What belongs to no key: task states, and ports.

use statehouse_state::{TaskStateDeclaration, TaskStateKind};

use super::*;

fn task_state(name: &str, kind: TaskStateKind) -> TaskStateDeclaration {
    TaskStateDeclaration {
        name: name.into(),
        kind,
        value: ValueLayout::U64,
        codec: "raw".into(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        schema_version: 1,
    }
}

#[test]
fn task_states_are_kept_by_name_and_not_converted() {
    let with = |task_states| Description { task_states, ..states(vec![]) };
    let (split, union) = (TaskStateKind::Split, TaskStateKind::Union);
    let before = left(with(vec![task_state("seen", split), task_state("old", union)]));
    let now = with(vec![task_state("new", union), task_state("seen", split)]);
    refused(
        plan(&before, &now, &Migrations::default(), false),
        &["task state `old` is not declared"],
    );
    let evolution = plan(&before, &now, &Migrations::default(), true).unwrap();
    assert_eq!(
        changes(&evolution),
        ["Added task state `new`: ", "Kept task state `seen`: ", "Dropped task state `old`: "]
    );
    for (changed, part) in [
        (task_state("seen", union), "has another kind"),
        (
            TaskStateDeclaration { value: ValueLayout::S64, ..task_state("seen", split) },
            "values or map keys of another type",
        ),
        (
            TaskStateDeclaration { schema_version: 2, ..task_state("seen", split) },
            "had schema version 1 and has 2 now",
        ),
    ] {
        let now = with(vec![changed, task_state("old", union)]);
        refused(plan(&before, &now, &Migrations::default(), true), &[part]);
    }
}

fn port(name: &str, layout: ValueLayout) -> Port {
    let value = ValueType::new(layout, Codec::Raw);
    Port { name: name.into(), key: None, value, broadcast: false }
}

fn shaped(inputs: Vec<Port>, outputs: Vec<Port>) -> Description {
    Description { inputs, outputs, ..states(vec![]) }
}

#[test]
fn inputs_stay_and_outputs_stay_where_they_are_read() {
    let (u64, f64) = (ValueLayout::U64, ValueLayout::F64);
    let input = || vec![port("in", u64)];
    let before = shaped(input(), vec![port("sums", u64), port("rare", u64)]);
    let changed = |now: &Description, used: &[u32]| {
        let changes = ports(&before, now, used)?;
        Ok::<_, Vec<String>>(changes.into_iter().map(|change| (change.kind, change.what)).collect())
    };
    assert_eq!(changed(&before, &[0, 1]), Ok(vec![]));
    let more = shaped(input(), vec![port("sums", u64), port("rare", u64), port("more", u64)]);
    let added = (ChangeKind::Added, "output `more`".to_owned());
    assert_eq!(changed(&more, &[0, 1]), Ok(vec![added]));

    let fewer = shaped(input(), vec![port("sums", u64)]);
    let dropped = (ChangeKind::Dropped, "output `rare`".to_owned());
    assert_eq!(changed(&fewer, &[0]), Ok(vec![dropped]));
    let reasons = changed(&fewer, &[0, 1]).unwrap_err();
    assert!(
        reasons[0].contains("output 1, which other nodes read, was `rare` (u64) and is not there")
    );

    let turned = shaped(input(), vec![port("rare", u64), port("sums", u64)]);
    assert_eq!(changed(&turned, &[0, 1]).unwrap_err().len(), 2);
    let other = shaped(vec![port("in", f64)], vec![port("sums", f64), port("rare", u64)]);
    let reasons = changed(&other, &[0]).unwrap_err();
    assert!(reasons[0].contains("input 0 was `in` (u64) and is `in` (f64) now"), "{reasons:#?}");
    assert!(reasons[1].contains("output 0"), "{reasons:#?}");

    let broadcast = vec![Port { broadcast: true, ..port("in", u64) }];
    assert!(changed(&shaped(broadcast, before.outputs.clone()), &[]).is_err());
    let two = shaped(vec![port("in", u64), port("also", u64)], before.outputs.clone());
    assert!(changed(&two, &[]).unwrap_err()[0].contains("was not there and is `also`"));
}
