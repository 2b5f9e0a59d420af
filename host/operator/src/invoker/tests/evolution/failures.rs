//! Values that cannot be converted.

use super::*;

/// Keys 1 to 5, of which 2 and 4 have totals that version 2 cannot take.
fn with_unlucky(fails: Fails, policy: ErrorPolicy) -> Invoker {
    let mut invoker = running(totals(1, Fails::Never), policy);
    process(&mut invoker, &[(1, 10), (2, UNLUCKY), (3, 30), (4, UNLUCKY), (5, 50)]);
    let operator = totals(2, fails);
    let migrations = all_steps(&operator.description);
    replace(&mut invoker, operator, &migrations);
    invoker
}

const FAILS: [Fails; 4] =
    [Fails::NamesRow, Fails::NamesNothing, Fails::NamesWrongRow, Fails::Traps];

fn letters(invoker: &mut Invoker) -> Vec<serde_json::Value> {
    let Column::Bytes(letters) = &invoker.dead_letters().values else { panic!("they are bytes") };
    letters.iter().map(|letter| serde_json::from_slice(letter).unwrap()).collect()
}

#[test]
fn records_of_keys_that_cannot_be_migrated_are_set_aside_and_the_others_processed() {
    for fails in FAILS {
        let mut invoker = with_unlucky(fails, ErrorPolicy::DeadLetter);
        let rows = [(1, 1), (2, 1), (3, 1), (2, 2), (4, 1), (9, 9)];
        assert_eq!(process(&mut invoker, &rows), [(1, 1100), (3, 3100), (9, 900)], "{fails:?}");
        assert_eq!(invoker.rejected(), 3);
        let letters = letters(&mut invoker);
        let keys: Vec<_> = letters.iter().map(|letter| &letter["record"]["key"]).collect();
        assert_eq!(keys, [2, 2, 4]);
        let reason = letters[0]["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("its state `total` of schema version 1 cannot be migrated: "),
            "{reason}"
        );
        assert!(reason.contains("unlucky") || reason.contains("unreachable"), "{reason}");
    }
}

#[test]
fn a_sweep_passes_over_what_cannot_be_converted_and_counts_it() {
    for fails in FAILS {
        let mut invoker = with_unlucky(fails, ErrorPolicy::Skip);
        assert_eq!(sweep_all(&mut invoker), (3, 2), "{fails:?}");
        let progress = invoker.migration();
        assert_eq!((progress.left, progress.moved, progress.failed), (2, 3, 2));
        // It stays there, in every checkpoint, and its records stay out.
        assert!(invoker.is_migrating());
        assert_eq!(invoker.retired().states.len(), 1);
        assert_eq!(process(&mut invoker, &[(1, 0), (2, 7)]), [(1, 1000)]);
        assert_eq!(invoker.sweep(10).unwrap(), Sweep { done: true, ..Sweep::default() });

        // A version that can take it makes an end of it.
        let operator = totals(2, Fails::Never);
        let migrations = all_steps(&operator.description);
        replace(&mut invoker, operator, &migrations);
        assert_eq!(process(&mut invoker, &[(2, 1)]), [(2, (UNLUCKY + 1) * 100)]);
        assert_eq!(sweep_all(&mut invoker), (1, 0));
        assert!(!invoker.is_migrating());
    }
}

#[test]
fn where_the_policy_says_fail_the_key_is_named() {
    for fails in FAILS {
        let mut invoker = with_unlucky(fails, ErrorPolicy::Fail);
        let rows = batch(&[(1, 1), (4, 1), (2, 1)]);
        let error = invoker.process(0, &rows, Moment::default()).unwrap_err().to_string();
        assert!(error.contains("`summing` cannot migrate its state `total`"), "{error}");
        assert!(error.contains("of schema version 1 for key 4"), "{error}");
        assert!(error.contains("on-error"), "{error}");
        let error = with_unlucky(fails, ErrorPolicy::Fail).sweep(100).unwrap_err();
        assert!(matches!(error, InvokeError::Unmigrated { key, .. } if key == "2" || key == "4"));
    }
}

#[test]
fn one_failure_is_enough_where_the_policy_says_fail() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    let keys: Vec<_> = (0..1024).map(|key| (key, UNLUCKY)).collect();
    process(&mut invoker, &keys);
    let operator = totals(2, Fails::Traps);
    let (converted, migrations) =
        (Arc::clone(&operator.converted), all_steps(&operator.description));
    replace(&mut invoker, operator, &migrations);
    assert!(invoker.process(0, &batch(&keys), Moment::default()).is_err());
    assert!(converted.load(Ordering::Relaxed) < 2 * 1024, "not every value was tried");
}

#[test]
fn a_failure_of_the_host_blames_no_value() {
    let mut invoker = with_unlucky(Fails::NoDisk, ErrorPolicy::Skip);
    let error = invoker.process(0, &batch(&[(2, 1)]), Moment::default()).unwrap_err();
    assert!(matches!(&error, InvokeError::Host { reason, .. } if reason.contains("no disk")));
    let error = invoker.sweep(10).unwrap_err();
    assert!(matches!(&error, InvokeError::Host { reason, .. } if reason.contains("no disk")));
    assert_eq!(invoker.rejected(), 0);
}

#[test]
fn timers_of_keys_that_cannot_be_migrated_are_set_aside_and_do_not_come_again() {
    let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::DeadLetter);
    process(&mut invoker, &[(1, 1), (2, 12), (2, 1), (3, 1)]);
    let operator = totals(2, Fails::NamesNothing);
    let migrations = all_steps(&operator.description);
    replace(&mut invoker, operator, &migrations);
    while invoker.fire_timers(TimeDomain::EventTime, 5000, Moment::default()).unwrap() {}
    let mut fired = emitted(&mut invoker);
    fired.sort_unstable();
    assert_eq!(fired, [(1, 100), (3, 100)]);
    assert_eq!((invoker.rejected(), invoker.next_timer(TimeDomain::EventTime)), (1, None));
    let letters = letters(&mut invoker);
    assert_eq!((&letters[0]["timer"], &letters[0]["record"]["key"]), (&"later".into(), &2.into()));

    let mut failing = running(totals(1, Fails::Never), ErrorPolicy::Fail);
    process(&mut failing, &[(2, 12), (2, 1)]);
    replace(&mut failing, totals(2, Fails::NamesNothing), &migrations);
    let error = failing.fire_timers(TimeDomain::EventTime, 5000, Moment::default()).unwrap_err();
    assert!(matches!(error, InvokeError::Unmigrated { key, .. } if key == "2"));
}

type Makes = fn(&Column) -> Column;

/// Makes of its values what it should not.
struct Sloppy {
    description: Description,
    makes: Makes,
}

impl Operator for Sloppy {
    fn description(&self) -> &Description {
        &self.description
    }

    fn process(&mut self, _: Rows<'_>, _: &mut Call) -> Result<(), Failure> {
        Ok(())
    }

    fn on_timers(&mut self, _: TimerRows<'_>, _: &mut Call) -> Result<(), Failure> {
        Ok(())
    }

    fn migrate(&mut self, _: StateId, _: u32, values: &Column) -> Result<Column, Failure> {
        Ok((self.makes)(values))
    }
}

#[test]
fn what_conversions_make_is_checked() {
    let cases: [(Makes, ValueLayout, &str); 3] = [
        (
            |_| Column::Words(vec![]),
            ValueLayout::U64,
            "it was given 1 values of state `total` and made 0",
        ),
        (|values| values.clone(), ValueLayout::Bytes, "of another layout than state `total` has"),
        (
            |values| {
                let mut column = BytesColumn::default();
                (0..values.len()).for_each(|_| column.push(&[0; 101]));
                Column::Bytes(column)
            },
            ValueLayout::Bytes,
            "a value of 101 bytes for state `total`, and 100 are the most",
        ),
    ];
    for (makes, layout, part) in cases {
        let limits = StateLimits { value_bytes: 100, ..StateLimits::default() };
        let mut invoker = running(totals(1, Fails::Never), ErrorPolicy::Fail).with_limits(limits);
        process(&mut invoker, &[(1, 1), (2, 2)]);
        let mut description = totals(2, Fails::Never).description;
        description.states[0].value = layout;
        let migrations = all_steps(&description);
        let evolution = plan(&left(&invoker), &description, &migrations, false).unwrap();
        let operator = Box::new(Sloppy { description, makes });
        invoker.replace(operator, &evolution, None).unwrap();
        let error = invoker.process(0, &batch(&[(1, 1)]), Moment::default()).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
