//! What becomes of timers.

use statehouse_state::{TimerDeclaration, TimerId};

use super::plan::Planner;
use super::renames::name_now;
use super::{ChangeKind, Renamed};

pub(super) fn plan(planner: &mut Planner<'_>) {
    let (left, now) = (planner.left, planner.now);
    let declared = left.description.timers.iter().map(|timer| (timer, false));
    let retired = left.retired.timers.iter().map(|timer| (timer, true));
    let sources: Vec<_> = declared
        .chain(retired)
        .map(|(timer, retired)| (timer, retired, name_now(planner, Renamed::Timer, &timer.name)))
        .collect();
    for (index, timer) in now.timers.iter().enumerate() {
        let mine = sources.iter().filter(|source| source.2 == Some(&timer.name));
        let mine: Vec<_> = mine.map(|&(timer, retired, _)| (timer, retired)).collect();
        take(planner, TimerId(index as u32), timer, &mine);
    }
    for (timer, ..) in sources.iter().filter(|source| source.2.is_none()) {
        planner.gone(format!("timer `{}`", timer.name), String::new());
    }
}

/// What a timer family of the operator takes over.
fn take(
    planner: &mut Planner<'_>,
    to: TimerId,
    now: &TimerDeclaration,
    sources: &[(&TimerDeclaration, bool)],
) {
    let what = format!("timer `{}`", now.name);
    if sources.iter().filter(|(_, retired)| !retired).count() > 1 {
        return planner.refuse(format!(
            "{what} would take over several timers, and timers are not united; rename one of them to another name"
        ));
    }
    let mut was = Vec::new();
    let mut kept = false;
    for &(before, retired) in sources {
        if before.domain != now.domain {
            planner.refuse(format!(
                "{what} was on the clock {:?} and is on {:?} now, so those that are set would fire at other times; \
                 declare the new timer under another name",
                before.domain, now.domain
            ));
        } else if before.name != now.name {
            let from = TimerId(planner.evolution.timers.len() as u32);
            planner.evolution.timers.push(before.clone());
            planner.evolution.aliases.push((from, to));
            was.push(format!("`{}`", before.name));
        } else if retired {
            planner.refuse(format!(
                "{what} has another name in the running version, and some of the timers there are still under this \
                 one; declare it under the new name, or under one that was not in use before"
            ));
        } else {
            kept = true;
        }
    }
    let note = if was.is_empty() { String::new() } else { format!("was {}", was.join(" and ")) };
    let kind = match (sources.is_empty(), kept) {
        (true, _) => ChangeKind::Added,
        (false, true) => ChangeKind::Kept,
        (false, false) => ChangeKind::Renamed,
    };
    planner.change(kind, what, note);
}
