//! Whether two declarations of one state mean the same.

use statehouse_state::{StateDeclaration, StateKind, TaskStateDeclaration, Ttl};

use crate::description::{Codec, KeyType};
use crate::structure::{Structure, Widening};

/// What a declaration has more than the one before it.
pub(super) type Compared = Result<Widening, String>;

/// Compares the keys of an operator.
pub(super) fn keys(was: &KeyType, is: &KeyType) -> Result<(), String> {
    if !was.matches(is) {
        return Err(format!("its keys were {was} and are {is} now"));
    }
    let structures = structures(was.schema.as_deref(), is.schema.as_deref());
    if let Some((before, now)) = structures {
        before.same_bytes(&now, is.codec).map_err(|reason| {
            format!("its keys have another structure, and so would be other keys: {reason}")
        })?;
    }
    Ok(())
}

/// Compares two declarations of one version, or of one state under two names.
pub(super) fn states(before: &StateDeclaration, now: &StateDeclaration, any_ttl: bool) -> Compared {
    if before.kind != now.kind {
        return Err(format!(
            "was a {} state and is a {} state now",
            kind(before.kind),
            kind(now.kind)
        ));
    }
    if before.value != now.value || (!now.value.is_words() && before.codec != now.codec) {
        return Err(format!(
            "had values of {} and has values of {} now",
            values(before.value, &before.codec),
            values(now.value, &now.codec)
        ));
    }
    if let (Some(was), Some(is)) = (before.merge, now.merge)
        && was != is
    {
        return Err(format!("had the merge {was:?} and has {is:?} now"));
    }
    map_keys(before, now)?;
    if !any_ttl {
        times_to_live(before.ttl, now.ttl)?;
    }
    inside(before.schema.as_deref(), now.schema.as_deref(), &now.codec)
}

/// Compares the keys of map entries.
pub(super) fn map_keys(before: &StateDeclaration, now: &StateDeclaration) -> Result<(), String> {
    let codec = |state: &StateDeclaration| match state.map_key {
        Some(key) if !key.is_words() => state.map_key_codec.clone(),
        _ => None,
    };
    if before.map_key != now.map_key || codec(before) != codec(now) {
        return Err("has map keys of another type now".to_owned());
    }
    let structures = structures(before.map_key_schema.as_deref(), now.map_key_schema.as_deref());
    if let Some((before, after)) = structures {
        let codec = now.map_key_codec.as_deref().map_or(Codec::Raw, Codec::named);
        before.same_bytes(&after, codec).map_err(|reason| {
            format!(
                "has map keys of another structure now, and so would have other entries: {reason}"
            )
        })?;
    }
    Ok(())
}

/// Compares the shapes of task states.
pub(super) fn task_states(before: &TaskStateDeclaration, now: &TaskStateDeclaration) -> Compared {
    let codec = |codec: &String, words: bool| if words { String::new() } else { codec.clone() };
    let shape = |state: &TaskStateDeclaration| {
        let map_words = state.map_key.is_none_or(statehouse_state::KeyLayout::is_words);
        let map_codec = state.map_key_codec.clone().unwrap_or_default();
        let value_codec = codec(&state.codec, state.value.is_words());
        (state.kind, state.value, value_codec, state.map_key, codec(&map_codec, map_words))
    };
    if shape(before) != shape(now) {
        return Err("has another kind, or values or map keys of another type".to_owned());
    }
    if before.schema_version != now.schema_version {
        return Err(format!(
            "had schema version {} and has {} now, and values of task states are not converted",
            before.schema_version, now.schema_version
        ));
    }
    let structures = structures(before.map_key_schema.as_deref(), now.map_key_schema.as_deref());
    if let Some((before, after)) = structures {
        let codec = now.map_key_codec.as_deref().map_or(Codec::Raw, Codec::named);
        before.same_bytes(&after, codec)?;
    }
    inside(before.schema.as_deref(), now.schema.as_deref(), &now.codec)
}

/// The name of a kind of state, as the contract has it.
pub(super) fn kind(kind: StateKind) -> &'static str {
    match kind {
        StateKind::Value => "value",
        StateKind::List => "list",
        StateKind::Map => "map",
        StateKind::Reducing => "reducing",
        StateKind::Aggregating => "aggregating",
    }
}

fn values(layout: statehouse_state::ValueLayout, codec: &str) -> String {
    crate::ValueType::new(layout, Codec::named(codec)).to_string()
}

/// Stamps that are there must go on to mean what they mean.
fn times_to_live(before: Option<Ttl>, now: Option<Ttl>) -> Result<(), String> {
    let advice =
        "a running job can change only how long it is: stop the job with a savepoint and resume it";
    match (before, now) {
        (None, Some(_)) => Err(format!("has a time-to-live now, and had none; {advice}")),
        (Some(_), None) => Err(format!("has no time-to-live any more; {advice}")),
        (Some(before), Some(now)) if before.domain != now.domain => {
            Err(format!("measures its time-to-live on another clock now; {advice}"))
        }
        (Some(before), Some(now)) if Ttl { milliseconds: now.milliseconds, ..before } != now => {
            Err(format!("starts or ends its time-to-live by another rule now; {advice}"))
        }
        _ => Ok(()),
    }
}

/// Compares what is inside bytes, as far as it is known.
fn inside(before: Option<&str>, now: Option<&str>, codec: &str) -> Compared {
    match structures(before, now) {
        Some((before, now)) => before
            .widened(&now, Codec::named(codec))
            .map_err(|reason| format!("has another structure now: {reason}")),
        None => Ok(Widening::default()),
    }
}

fn structures(before: Option<&str>, now: Option<&str>) -> Option<(Structure, Structure)> {
    if before == now {
        return None;
    }
    Some((Structure::read(before?)?, Structure::read(now?)?))
}
