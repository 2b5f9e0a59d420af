//! What components take over from their earlier versions: from the contract's types into those of the host.

use std::collections::BTreeSet;

use statehouse_operator::{Description, Failure, Migrations, Rename, Renamed, Step};

use crate::bindings::{MigrationsDeclared, RenamedKind};

/// Checks what a component says, and puts it in the order of its operators.
///
/// # Errors
/// The first thing that cannot be, in words.
pub(crate) fn check(
    declared: Vec<MigrationsDeclared>,
    operators: &[Description],
) -> Result<Vec<Migrations>, String> {
    let mut all = vec![None; operators.len()];
    for of in declared {
        let place = operators.iter().position(|operator| operator.name == of.operator);
        let Some(place) = place else {
            return Err(format!(
                "migrations of an operator `{}` that it does not have",
                of.operator
            ));
        };
        let (operator, name) = (&operators[place], of.operator.clone());
        let migrations = taken(of);
        check_renames(&migrations.renames, operator)
            .and_then(|()| check_steps(&migrations.steps, operator))
            .map_err(|reason| format!("operator `{name}` {reason}"))?;
        if all[place].replace(migrations).is_some() {
            return Err(format!("migrations of operator `{name}` twice"));
        }
    }
    Ok(all.into_iter().map(Option::unwrap_or_default).collect())
}

fn taken(from: MigrationsDeclared) -> Migrations {
    let renames = from.renames.into_iter().map(|rename| Rename {
        kind: match rename.kind {
            RenamedKind::State => Renamed::State,
            RenamedKind::Timer => Renamed::Timer,
        },
        was: rename.was,
        now: rename.now,
    });
    let steps = from.steps.into_iter();
    let steps = steps.map(|step| Step { state: step.state, from_version: step.from_version });
    Migrations { renames: renames.collect(), steps: steps.collect() }
}

/// Every name now is declared, no name before is declared still, and no name before became two things.
fn check_renames(renames: &[Rename], operator: &Description) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for rename in renames {
        let Rename { kind, was, now } = rename;
        let (what, declared) = match kind {
            Renamed::State => ("state", declares_state(operator, now)),
            Renamed::Timer => ("timer", declares_timer(operator, now)),
        };
        if !declared {
            return Err(format!("renames {what} `{was}` to `{now}`, which it does not declare"));
        }
        let kept = match kind {
            Renamed::State => declares_state(operator, was),
            Renamed::Timer => declares_timer(operator, was),
        };
        if kept {
            return Err(format!("renames {what} `{was}` to `{now}` and still declares `{was}`"));
        }
        if was.is_empty() {
            return Err(format!("renames a {what} without a name to `{now}`"));
        }
        if !seen.insert((what, was)) {
            return Err(format!("renames {what} `{was}` twice"));
        }
    }
    Ok(())
}

/// Every state is declared, and what is converted to it is older than what is declared.
fn check_steps(steps: &[Step], operator: &Description) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for step in steps {
        let Step { state, from_version } = step;
        let Some(declared) = operator.states.iter().find(|declared| declared.name == *state) else {
            return Err(format!("migrates state `{state}`, which it does not declare"));
        };
        let now = declared.schema_version;
        if *from_version >= now {
            return Err(format!(
                "migrates state `{state}` from schema version {from_version}, and declares it at version {now}: raise \
                 the version that it declares"
            ));
        }
        if !seen.insert((state, from_version)) {
            return Err(format!(
                "migrates state `{state}` from schema version {from_version} twice"
            ));
        }
    }
    Ok(())
}

fn declares_state(operator: &Description, name: &str) -> bool {
    operator.states.iter().any(|state| state.name == name)
}

fn declares_timer(operator: &Description, name: &str) -> bool {
    operator.timers.iter().any(|timer| timer.name == name)
}

/// A conversion that was asked of a component that has none.
pub(crate) fn missing() -> Failure {
    Failure::Host { reason: "the component exports no `migrate`".to_owned() }
}

#[cfg(test)]
mod tests;
