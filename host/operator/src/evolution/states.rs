//! What becomes of keyed states.

use statehouse_state::{Move, StateDeclaration, StateId};

use super::plan::Planner;
use super::renames::name_now;
use super::{ChangeKind, Renamed, StateMove, compare};
use crate::structure::Widening;

/// A state that is there.
#[derive(Clone, Copy)]
struct Source<'a> {
    state: &'a StateDeclaration,
    /// Whether an earlier version of the operator left it.
    retired: bool,
    /// Its name now, if anything takes it over.
    name_now: Option<&'a str>,
}

pub(super) fn plan(planner: &mut Planner<'_>) {
    let (left, now) = (planner.left, planner.now);
    let declared = left.description.states.iter().map(|state| (state, false));
    let retired = left.retired.states.iter().map(|state| (state, true));
    // Newest first: where a key has values in two of them, the first to move stays.
    let sources: Vec<_> = declared
        .chain(retired)
        .map(|(state, retired)| {
            let name_now = name_now(planner, Renamed::State, &state.name);
            Source { state, retired, name_now }
        })
        .collect();
    for (index, state) in now.states.iter().enumerate() {
        let mine: Vec<_> =
            sources.iter().copied().filter(|source| source.name_now == Some(&state.name)).collect();
        take(planner, StateId(index as u32), state, &mine);
    }
    let untaken: Vec<_> = sources.into_iter().filter(|source| source.name_now.is_none()).collect();
    for (place, source) in untaken.iter().enumerate() {
        let name = &source.state.name;
        if untaken[..place].iter().any(|other| other.state.name == *name) {
            continue;
        }
        let note = match source.retired {
            true => "its values are still being moved to the name that it had last".to_owned(),
            false => String::new(),
        };
        planner.gone(format!("state `{name}`"), note);
    }
}

/// What a state of the operator takes over.
fn take(planner: &mut Planner<'_>, to: StateId, now: &StateDeclaration, sources: &[Source<'_>]) {
    let what = format!("state `{}`", now.name);
    if sources.iter().filter(|source| !source.retired).count() > 1 {
        let names = sources.iter().filter(|source| !source.retired);
        let names: Vec<_> = names.map(|source| format!("`{}`", source.state.name)).collect();
        planner.refuse(format!(
            "{what} would take over several states ({}), and states are not united; rename one of them to another name",
            names.join(", ")
        ));
        return;
    }
    let mut kept = None;
    let mut moved = Vec::new();
    for source in sources {
        match is_itself(source.state, now) {
            true if source.retired => planner.refuse(format!(
                "{what} at schema version {} is what the running version moves its values away from, so this is a way \
                 back, and values are not converted back; go back to a savepoint of before, or wait until the \
                 migration is done and take a new name",
                now.schema_version
            )),
            true => kept = stay(planner, &what, source.state, now),
            false => moved.extend(move_from(planner, &what, to, source, now)),
        }
    }
    describe(planner, what, now, kept, &moved, sources.is_empty());
}

/// Whether the state is what the operator declares, and no other form of it.
fn is_itself(before: &StateDeclaration, now: &StateDeclaration) -> bool {
    before.name == now.name && before.schema_version == now.schema_version
}

/// A state that stays where it is: what it has more, and what is to be said about it.
fn stay(
    planner: &mut Planner<'_>,
    what: &str,
    before: &StateDeclaration,
    now: &StateDeclaration,
) -> Option<(Widening, String)> {
    match compare::states(before, now, planner.any_ttl) {
        Ok(widening) => {
            let note = if before.ttl == now.ttl { "" } else { "its time-to-live changes" };
            Some((widening, note.to_owned()))
        }
        Err(reason) => {
            planner.refuse(format!(
                "{what} {reason}; raise its schema version and convert its values (`migrate`), or declare the new \
                 state under another name"
            ));
            None
        }
    }
}

/// A state whose values go to another one.
fn move_from<'a>(
    planner: &mut Planner<'_>,
    what: &str,
    to: StateId,
    source: &Source<'a>,
    now: &StateDeclaration,
) -> Option<&'a StateDeclaration> {
    let before = source.state;
    let from_version = match before.schema_version == now.schema_version {
        true => compare::states(before, now, planner.any_ttl).map(|_| None).map_err(|reason| {
            format!(
                "{what} takes over `{}` and {reason}; raise its schema version and convert its values (`migrate`)",
                before.name
            )
        }),
        false => converted(planner, what, source, now).map(|()| Some(before.schema_version)),
    };
    match from_version {
        Ok(from_version) => {
            let from = StateId(planner.evolution.states.len() as u32);
            planner.evolution.states.push(before.clone());
            planner.evolution.moves.push(StateMove { values: Move { from, to }, from_version });
            Some(before)
        }
        Err(reason) => {
            planner.refuse(reason);
            None
        }
    }
}

/// Whether values of another version can be converted.
fn converted(
    planner: &Planner<'_>,
    what: &str,
    source: &Source<'_>,
    now: &StateDeclaration,
) -> Result<(), String> {
    let (before, from) = (source.state, source.state.schema_version);
    let steps = &planner.migrations.steps;
    if !steps.iter().any(|step| step.state == now.name && step.from_version == from) {
        return Err(match (from > now.schema_version, source.retired) {
            (true, _) => format!(
                "{what} is declared at schema version {}, and the values there are of {from}: a newer version of the \
                 operator wrote them, and values are not converted back; go back to a savepoint of before, or take the \
                 newer version",
                now.schema_version
            ),
            (false, false) => format!(
                "{what} is declared at schema version {}, and the operator does not convert the values there, which \
                 are of {from}; give it a migration from schema version {from}",
                now.schema_version
            ),
            (false, true) => format!(
                "{what} still has values of schema version {from}, which this version of the operator does not \
                 convert; wait until the migration that is under way is done, or give it a migration from schema \
                 version {from} too",
            ),
        });
    }
    let collections = (before.kind.is_collection(), now.kind.is_collection());
    let same_kind = collections == (false, false) || before.kind == now.kind;
    if !same_kind {
        return Err(format!(
            "{what} was a {} state and is a {} state now, and values are converted one by one; declare the new state \
             under another name",
            compare::kind(before.kind),
            compare::kind(now.kind)
        ));
    }
    compare::map_keys(before, now).map_err(|reason| {
        format!("{what} {reason}, and only values are converted; declare the new state under another name")
    })
}

/// Says what becomes of a state.
fn describe(
    planner: &mut Planner<'_>,
    what: String,
    now: &StateDeclaration,
    kept: Option<(Widening, String)>,
    moved: &[&StateDeclaration],
    is_new: bool,
) {
    if is_new {
        return planner.change(ChangeKind::Added, what, String::new());
    }
    let mut notes = Vec::new();
    let was = moved.iter().filter(|state| state.name != now.name);
    let mut was: Vec<_> = was.map(|state| format!("`{}`", state.name)).collect();
    was.dedup();
    if !was.is_empty() {
        notes.push(format!("was {}", was.join(" and ")));
    }
    let versions = moved.iter().map(|state| state.schema_version);
    let mut versions: Vec<_> = versions.filter(|&version| version != now.schema_version).collect();
    versions.sort_unstable();
    versions.dedup();
    let converts = !versions.is_empty();
    if converts {
        let versions: Vec<_> = versions.iter().map(u32::to_string).collect();
        let from = versions.join(" and ");
        notes.push(format!(
            "values of schema version {from} are converted to {}",
            now.schema_version
        ));
    }
    let kind = match kept {
        Some((widening, note)) => {
            let kind =
                if widening.widened.is_empty() { ChangeKind::Kept } else { ChangeKind::Widened };
            notes.extend(widening.widened);
            notes.extend(widening.named);
            notes.extend(Some(note).filter(|note| !note.is_empty()));
            kind
        }
        None if converts => ChangeKind::Migrated,
        None => ChangeKind::Renamed,
    };
    planner.change(kind, what, notes.join("; "));
}
