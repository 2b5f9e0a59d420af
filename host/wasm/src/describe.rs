//! What components declare, from the contract's types into those of the host.

use statehouse_operator::{
    Codec, Description, KeyType, MetricDeclaration, MetricKind, Port, ValueType,
};
use statehouse_state::{
    KeyLayout, Merge, StateDeclaration, StateKind, TaskStateDeclaration, TaskStateKind, TimeDomain,
    TimerDeclaration, Ttl, TtlUpdate, TtlVisibility, ValueLayout,
};

use crate::bindings::{describe as wit, types};

pub(crate) fn description(from: wit::Description) -> Description {
    Description {
        name: from.name,
        version: from.version,
        inputs: from.inputs.into_iter().map(port).collect(),
        outputs: from.outputs.into_iter().map(port).collect(),
        states: from.states.into_iter().map(state).collect(),
        timers: from.timers.into_iter().map(timer).collect(),
        task_states: from.task_states.into_iter().map(task_state).collect(),
        metrics: from.metrics.into_iter().map(metric).collect(),
    }
}

fn port(from: wit::Port) -> Port {
    Port {
        name: from.name,
        key: from.key.map(|key| KeyType {
            layout: key_layout(key.layout),
            codec: codec(key.codec),
            schema: key.schema,
        }),
        value: ValueType {
            layout: value_layout(from.value.layout),
            codec: codec(from.value.codec),
            schema: from.value.schema,
        },
        broadcast: from.broadcast,
    }
}

fn state(from: wit::State) -> StateDeclaration {
    StateDeclaration {
        name: from.name,
        kind: match from.kind {
            wit::StateKind::Value => StateKind::Value,
            wit::StateKind::List => StateKind::List,
            wit::StateKind::Map => StateKind::Map,
            wit::StateKind::Reducing => StateKind::Reducing,
            wit::StateKind::Aggregating => StateKind::Aggregating,
        },
        value: value_layout(from.value.layout),
        codec: codec(from.value.codec).name().to_owned(),
        schema: from.value.schema,
        map_key_codec: from.map_key.as_ref().map(|key| codec(key.codec).name().to_owned()),
        map_key_schema: from.map_key.as_ref().and_then(|key| key.schema.clone()),
        map_key: from.map_key.map(|key| key_layout(key.layout)),
        merge: from.merge.map(|merge| match merge {
            wit::Merge::Sum => Merge::Sum,
            wit::Merge::Min => Merge::Min,
            wit::Merge::Max => Merge::Max,
            wit::Merge::Count => Merge::Count,
            wit::Merge::Append => Merge::Append,
            wit::Merge::SetUnion => Merge::SetUnion,
        }),
        ttl: from.ttl.map(|ttl| Ttl {
            milliseconds: ttl.milliseconds,
            domain: domain(ttl.domain),
            update: match ttl.update {
                wit::TtlUpdate::OnCreateAndWrite => TtlUpdate::OnCreateAndWrite,
                wit::TtlUpdate::OnReadAndWrite => TtlUpdate::OnReadAndWrite,
            },
            visibility: match ttl.visibility {
                wit::TtlVisibility::NeverReturnExpired => TtlVisibility::NeverReturnExpired,
                wit::TtlVisibility::ReturnUntilCleaned => TtlVisibility::ReturnUntilCleaned,
            },
        }),
        schema_version: from.schema_version,
    }
}

fn task_state(from: wit::TaskState) -> TaskStateDeclaration {
    TaskStateDeclaration {
        name: from.name,
        kind: match from.kind {
            wit::TaskStateKind::Split => TaskStateKind::Split,
            wit::TaskStateKind::Union => TaskStateKind::Union,
            wit::TaskStateKind::Broadcast => TaskStateKind::Broadcast,
        },
        value: value_layout(from.value.layout),
        codec: codec(from.value.codec).name().to_owned(),
        schema: from.value.schema,
        map_key_codec: from.map_key.as_ref().map(|key| codec(key.codec).name().to_owned()),
        map_key_schema: from.map_key.as_ref().and_then(|key| key.schema.clone()),
        map_key: from.map_key.map(|key| key_layout(key.layout)),
        schema_version: from.schema_version,
    }
}

fn timer(from: wit::Timer) -> TimerDeclaration {
    TimerDeclaration { name: from.name, domain: domain(from.domain) }
}

fn metric(from: wit::Metric) -> MetricDeclaration {
    MetricDeclaration {
        name: from.name,
        kind: match from.kind {
            wit::MetricKind::Counter => MetricKind::Counter,
            wit::MetricKind::Gauge => MetricKind::Gauge,
        },
    }
}

fn domain(from: wit::TimeDomain) -> TimeDomain {
    match from {
        wit::TimeDomain::EventTime => TimeDomain::EventTime,
        wit::TimeDomain::ProcessingTime => TimeDomain::ProcessingTime,
    }
}

fn key_layout(from: types::KeyType) -> KeyLayout {
    match from {
        types::KeyType::U64 => KeyLayout::U64,
        types::KeyType::S64 => KeyLayout::S64,
        types::KeyType::Bytes => KeyLayout::Bytes,
    }
}

fn value_layout(from: types::ValueType) -> ValueLayout {
    match from {
        types::ValueType::U64 => ValueLayout::U64,
        types::ValueType::S64 => ValueLayout::S64,
        types::ValueType::F64 => ValueLayout::F64,
        types::ValueType::Bytes => ValueLayout::Bytes,
    }
}

fn codec(from: types::Codec) -> Codec {
    match from {
        types::Codec::Raw => Codec::Raw,
        types::Codec::Text => Codec::Text,
        types::Codec::Json => Codec::Json,
        types::Codec::Msgpack => Codec::Msgpack,
    }
}
