//! Accesses that go against a declaration.

use std::ops::Bound;

use crate::backend::{Entries, Scan};
use crate::column::Column;
use crate::conformance::Make;
use crate::conformance::driver::{Datum, Driver};
use crate::conformance::states::{BY_NAME, BY_NUMBER, ITEMS, SUM, setup};
use crate::declaration::{KeyLayout, StateId};
use crate::error::Error;
use crate::segment::Cell;
use crate::window::Window;

pub(super) fn run(make: Make<'_>) {
    let mut driver = Driver::new(make, &setup(KeyLayout::U64));
    driver.begin(&[Datum::Word(1)]).expect("the key is of the range");
    let backend = &mut driver.backend;
    let refused = |result: Result<(), Error>, what: &str| {
        assert!(matches!(result, Err(Error::Access { .. })), "{what}: {result:?}");
    };
    let (words, bytes) = (Column::Words(vec![1]), Datum::column(false, &["a".into()]));
    let mut window = |state, slot, keys: &Column, value_words| {
        let mut window = Window::new(value_words);
        backend.load_entries(StateId(state), &[slot], keys, &mut window)
    };
    refused(window(SUM, 0, &words, true), "a value has no entries");
    refused(window(BY_NUMBER, 0, &bytes, true), "entry keys of bytes");
    refused(window(BY_NAME, 0, &words, false), "entry keys of words");
    refused(window(BY_NUMBER, 0, &words, false), "a window of bytes");
    refused(window(ITEMS, 0, &bytes, false), "elements go by number");
    refused(window(BY_NUMBER, 1, &words, true), "a slot that is not there");
    refused(window(99, 0, &words, true), "a state that is not there");
    let mut scan = |state, slot, from, (keys, values)| {
        let (mut entries, to) = (Entries::new(keys, values), Bound::Unbounded);
        let scan = Scan { slot, from, to, limit: 10 };
        backend.scan(StateId(state), &scan, &mut entries).map(|_| ())
    };
    refused(scan(SUM, 0, Bound::Unbounded, (true, true)), "a value has no entries");
    refused(scan(BY_NUMBER, 0, Bound::Unbounded, (false, true)), "a column of bytes for keys");
    refused(scan(BY_NUMBER, 0, Bound::Unbounded, (true, false)), "a column of bytes for values");
    refused(scan(BY_NUMBER, 1, Bound::Unbounded, (true, true)), "a slot that is not there");
    let bound = Bound::Included(Cell::Bytes(b"a"));
    refused(scan(BY_NUMBER, 0, bound, (true, true)), "a bound of bytes");
    let loaded = backend.load(StateId(BY_NUMBER), &mut Window::new(true));
    refused(loaded, "a map is no one value");
    assert_eq!(driver.load(SUM, 1), [None], "a refusal does no harm");
}
