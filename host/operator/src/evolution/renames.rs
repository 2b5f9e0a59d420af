//! Names that have changed.
//!
//! A rename that has nothing to do is fine: the component that brings it is started again later, and others skip
//! versions. So renames may follow each other (`a` to `b` to `c`), and lead from several earlier names to one. A name
//! that was given away is not declared again: what is there under it could then be either.

use super::Renamed;
use super::plan::Planner;

/// Refuses renames that leave open what is meant.
pub(super) fn check(planner: &mut Planner<'_>, kind: Renamed) {
    let what = noun(kind);
    let mut refused = Vec::new();
    for rename in planner.renames(kind).filter(|rename| rename.was != rename.now) {
        let (was, now) = (&rename.was, &rename.now);
        if declares(planner, kind, was) {
            refused.push(format!(
                "the {what} `{was}` is renamed to `{now}` and declared as well, so what is there under the name could \
                 belong to either; give the {what} that is declared as `{was}` a name that was not in use before"
            ));
        }
        let mut others = planner.renames(kind).filter(|other| other.was == *was);
        if let Some(other) = others.find(|other| other.now != *now)
            && other.now > *now
        {
            refused.push(format!(
                "the {what} `{was}` is renamed twice, to `{now}` and to `{}`; keep one of the renames",
                other.now
            ));
        }
    }
    refused.into_iter().for_each(|reason| planner.refuse(reason));
}

/// The name under which something is declared now; `None` if it is not.
pub(super) fn name_now<'a>(planner: &Planner<'a>, kind: Renamed, name: &'a str) -> Option<&'a str> {
    let mut name = name;
    // No chain of renames is longer than there are renames, unless it goes round in a circle.
    for _ in 0..=planner.migrations.renames.len() {
        match planner.renames(kind).find(|rename| rename.was == name && rename.now != name) {
            Some(rename) => name = &rename.now,
            None => return declares(planner, kind, name).then_some(name),
        }
        if declares(planner, kind, name) {
            return Some(name);
        }
    }
    None
}

pub(super) fn noun(kind: Renamed) -> &'static str {
    match kind {
        Renamed::State => "state",
        Renamed::Timer => "timer",
    }
}

fn declares(planner: &Planner<'_>, kind: Renamed, name: &str) -> bool {
    match kind {
        Renamed::State => planner.now.states.iter().any(|state| state.name == name),
        Renamed::Timer => planner.now.timers.iter().any(|timer| timer.name == name),
    }
}
