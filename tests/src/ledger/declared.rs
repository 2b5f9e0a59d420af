//! What the ledger declares: a state of every kind.

use statehouse_operator::evolution::{Migrations, Rename, Renamed, Step};
use statehouse_operator::{Codec, Description, KeyType, Port, ValueType};
use statehouse_state::{
    KeyLayout, Merge, StateDeclaration, StateId, StateKind, TaskStateDeclaration, TaskStateKind,
    TimeDomain, TimerDeclaration, TimerId, Ttl, TtlUpdate, TtlVisibility, ValueLayout,
};

use crate::outside::WINDOW;

pub(super) const ORDER: StateId = StateId(0);
pub(super) const LIST: StateId = StateId(1);
pub(super) const COUNT: StateId = StateId(2);
pub(super) const TOTAL: StateId = StateId(3);
pub(super) const SEEN: StateId = StateId(4);
pub(super) const TOGGLED: StateId = StateId(5);
pub(super) const RECENT: StateId = StateId(6);
pub(super) const REPEATS: StateId = StateId(7);
pub(super) const DUE: TimerId = TimerId(0);
pub(super) const SPLIT: u32 = 0;
pub(super) const HEARD: u32 = 1;
pub(super) const RULES: u32 = 2;

/// What a version of the operator has changed: the layout of two states with every second one, and the names of a state
/// and a timer with every third one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The version of the operator, from 1.
    pub version: u32,
}

impl Form {
    /// The schema version of the states that change.
    pub(super) fn schema_version(self) -> u32 {
        self.version / 2 + 1
    }

    /// Whether the values of a schema version are numbers, or else bytes.
    pub(super) fn has_words(schema_version: u32) -> bool {
        schema_version % 2 == 1
    }

    fn renamed(self) -> u32 {
        self.version / 3
    }

    /// What it takes over from all versions before it.
    pub(super) fn migrations(self) -> Migrations {
        let step = |state: &str, from_version| Step { state: state.into(), from_version };
        let steps = (1..self.schema_version())
            .flat_map(|version| [step("order", version), step("list", version)]);
        let rename = |kind, name: &str, before| {
            let (was, now) = (named(name, before), named(name, self.renamed()));
            Rename { kind, was, now }
        };
        let renames = (0..self.renamed()).flat_map(|before| {
            [rename(Renamed::State, "toggled", before), rename(Renamed::Timer, "due", before)]
        });
        Migrations { renames: renames.collect(), steps: steps.collect() }
    }
}

fn named(name: &str, renamed: u32) -> String {
    match renamed {
        0 => name.to_owned(),
        times => format!("{name}-{times}"),
    }
}

/// What a version of the operator declares.
pub fn description(form: Form) -> Description {
    let key = || Some(KeyType { layout: KeyLayout::U64, codec: Codec::Raw, schema: None });
    let number = || ValueType::new(ValueLayout::S64, Codec::Raw);
    let text = ValueType::new(ValueLayout::Bytes, Codec::Text);
    Description {
        name: "ledger".into(),
        version: form.version.to_string(),
        inputs: vec![
            Port { name: "numbers".into(), key: key(), value: number(), broadcast: false },
            Port { name: "rules".into(), key: None, value: number(), broadcast: true },
        ],
        outputs: vec![
            Port { name: "reports".into(), key: key(), value: text, broadcast: false },
            Port { name: "spent".into(), key: None, value: number(), broadcast: false },
        ],
        states: states(form),
        timers: vec![TimerDeclaration {
            name: named("due", form.renamed()),
            domain: TimeDomain::EventTime,
        }],
        task_states: vec![
            task_state("split", TaskStateKind::Split),
            task_state("heard", TaskStateKind::Union),
            task_state("rules", TaskStateKind::Broadcast),
        ],
        metrics: vec![],
    }
}

/// The keyed states, in the order of their numbers.
fn states(form: Form) -> Vec<StateDeclaration> {
    use ValueLayout::{Bytes, S64, U64};
    // Longer than a window, so that nothing expires while its records come in.
    let ttl = Some(Ttl {
        milliseconds: WINDOW as u64,
        domain: TimeDomain::EventTime,
        update: TtlUpdate::OnReadAndWrite,
        visibility: TtlVisibility::NeverReturnExpired,
    });
    let map = |name: &str, key, value| StateDeclaration {
        map_key: Some(key),
        ..state(name, StateKind::Map, value)
    };
    let schema_version = form.schema_version();
    let changing = if Form::has_words(schema_version) { U64 } else { Bytes };
    let reducing = |name, merge, value| StateDeclaration {
        merge: Some(merge),
        ..state(name, StateKind::Reducing, value)
    };
    vec![
        StateDeclaration { ttl, schema_version, ..state("order", StateKind::Value, changing) },
        StateDeclaration { schema_version, ..state("list", StateKind::List, changing) },
        reducing("count", Merge::Count, U64),
        reducing("total", Merge::Sum, S64),
        reducing("seen", Merge::SetUnion, Bytes),
        map(&named("toggled", form.renamed()), KeyLayout::U64, U64),
        StateDeclaration { ttl, ..map("recent", KeyLayout::Bytes, Bytes) },
        reducing("repeats", Merge::Sum, U64),
    ]
}

fn state(name: &str, kind: StateKind, value: ValueLayout) -> StateDeclaration {
    StateDeclaration {
        name: name.into(),
        kind,
        value,
        codec: "raw".into(),
        schema: None,
        map_key: None,
        map_key_codec: None,
        map_key_schema: None,
        merge: None,
        ttl: None,
        schema_version: 1,
    }
}

fn task_state(name: &str, kind: TaskStateKind) -> TaskStateDeclaration {
    TaskStateDeclaration {
        name: name.into(),
        kind,
        value: ValueLayout::S64,
        codec: "raw".into(),
        schema: None,
        map_key: (kind == TaskStateKind::Broadcast).then_some(KeyLayout::U64),
        map_key_codec: None,
        map_key_schema: None,
        schema_version: 1,
    }
}
