//! States and timers under other names.

use super::*;

fn renamed(kind: Renamed, was: &str, now: &str) -> Migrations {
    let rename = Rename { kind, was: was.into(), now: now.into() };
    Migrations { renames: vec![rename], steps: vec![] }
}

fn with_timer(name: &str) -> Totals {
    let mut operator = totals(1, Fails::Never);
    operator.description.timers[0].name = name.into();
    operator
}

fn fire_all(invoker: &mut Invoker) -> Vec<(u64, u64)> {
    while invoker.fire_timers(TimeDomain::EventTime, 5000, Moment::default()).unwrap() {}
    let mut fired = emitted(invoker);
    fired.sort_unstable();
    fired
}

#[test]
fn a_renamed_state_moves_without_the_operator() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 5), (2, UNLUCKY)]);
    let mut operator = totals(1, Fails::Traps);
    operator.description.states[0].name = "amount".into();
    let converted = Arc::clone(&operator.converted);
    replace(&mut invoker, operator, &renamed(Renamed::State, "total", "amount"));
    assert_eq!(process(&mut invoker, &[(1, 1)]), [(1, 6)]);
    assert_eq!(sweep_all(&mut invoker), (1, 0));
    assert_eq!(process(&mut invoker, &[(2, 1)]), [(2, UNLUCKY + 1)]);
    assert_eq!(converted.load(Ordering::Relaxed), 0);
    assert!(!invoker.is_migrating());
}

#[test]
fn timers_fire_under_their_new_name_and_each_once() {
    let mut invoker = running(with_timer("later"), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 1), (2, 1)]);
    replace(&mut invoker, with_timer("close"), &renamed(Renamed::Timer, "later", "close"));
    assert_eq!(invoker.retired().timers.len(), 1);
    // Key 1 sets its timer again under the new name; key 3 sets one anew.
    process(&mut invoker, &[(1, 1), (3, 1)]);
    assert_eq!(invoker.sweep(1).unwrap(), Sweep { done: true, ..Sweep::default() });
    assert!(invoker.is_migrating(), "the timer of key 2 is still there");
    assert_eq!(fire_all(&mut invoker), [(1, 2), (2, 1), (3, 1)]);
    assert_eq!(invoker.next_timer(TimeDomain::EventTime), None);
    invoker.sweep(1).unwrap();
    assert!(!invoker.is_migrating() && invoker.retired().is_empty());
    assert_eq!(invoker.backend().unwrap().declared().1, with_timer("close").description.timers);
    process(&mut invoker, &[(4, 1)]);
    assert_eq!(fire_all(&mut invoker), [(4, 1)]);
}

/// Deletes its timer at a value of 2.
struct Deleting(Totals);

impl Operator for Deleting {
    fn description(&self) -> &Description {
        &self.0.description
    }

    fn process(&mut self, rows: Rows<'_>, call: &mut Call) -> Result<(), Failure> {
        for (&slot, &value) in rows.slots.iter().zip(words(rows.values)) {
            if value == 2 {
                call.change_timers_in(TimerId(0), &[slot], &[1000], &[0], false)?;
            }
        }
        Ok(())
    }

    fn on_timers(&mut self, timers: TimerRows<'_>, call: &mut Call) -> Result<(), Failure> {
        self.0.on_timers(timers, call)
    }
}

#[test]
fn a_timer_is_deleted_under_the_name_that_it_had() {
    let mut invoker = running(with_timer("later"), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 1), (2, 1)]);
    let operator = Deleting(with_timer("close"));
    let migrations = renamed(Renamed::Timer, "later", "close");
    let evolution = plan(&left(&invoker), operator.description(), &migrations, false).unwrap();
    invoker.replace(Box::new(operator), &evolution, None).unwrap();
    process(&mut invoker, &[(1, 2), (2, 3)]);
    assert_eq!(fire_all(&mut invoker), [(2, 1)]);
}

#[test]
fn a_timer_may_be_renamed_twice_before_it_fires() {
    let mut invoker = running(with_timer("later"), ErrorPolicy::Fail);
    process(&mut invoker, &[(1, 1)]);
    replace(&mut invoker, with_timer("close"), &renamed(Renamed::Timer, "later", "close"));
    process(&mut invoker, &[(2, 1)]);
    let mut migrations = renamed(Renamed::Timer, "later", "close");
    migrations.renames.extend(renamed(Renamed::Timer, "close", "end").renames);
    replace(&mut invoker, with_timer("end"), &migrations);
    assert_eq!(invoker.retired().timers.len(), 2);
    process(&mut invoker, &[(3, 1), (1, 1)]);
    assert_eq!(fire_all(&mut invoker), [(1, 2), (2, 1), (3, 1)]);
}
