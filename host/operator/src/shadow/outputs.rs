//! Compares what came out: the order of records of one batch counts for nothing.

use std::collections::HashMap;

use super::{ComparedPort, Difference, EXAMPLES_MAX};
use crate::batch::Batch;
use crate::description::{Description, KeyType, Port};
use crate::form::CellBuf;
use crate::render;

/// Time and key of a record.
type Place = (i64, Option<CellBuf>);

/// The ports that both versions have, with nothing compared yet.
pub(super) fn ports(before: &Description, now: &Description) -> Vec<ComparedPort> {
    let port = |(port, _): (&Port, &Port)| ComparedPort {
        port: port.name.clone(),
        ..ComparedPort::default()
    };
    comparable(before, now).map(|(_, pair)| port(pair)).collect()
}

/// Adds what came of one call to the comparison.
pub(super) fn compare(
    compared: &mut [ComparedPort],
    (before, was): (&Description, &[Batch]),
    (now, is): (&Description, &[Batch]),
) {
    for (compared, (place, (port, _))) in compared.iter_mut().zip(comparable(before, now)) {
        compare_port(compared, port, &was[place], &is[place]);
    }
}

/// The places and ports that are of the same types in both versions.
fn comparable<'a>(
    before: &'a Description,
    now: &'a Description,
) -> impl Iterator<Item = (usize, (&'a Port, &'a Port))> {
    let same_keys = |was: &Option<KeyType>, is: &Option<KeyType>| match (was, is) {
        (Some(was), Some(is)) => was.matches(is),
        (None, None) => true,
        _ => false,
    };
    let pairs = before.outputs.iter().zip(&now.outputs).enumerate();
    pairs.filter(move |(_, (was, is))| {
        was.name == is.name && was.value.matches(&is.value) && same_keys(&was.key, &is.key)
    })
}

fn compare_port(compared: &mut ComparedPort, port: &Port, was: &Batch, is: &Batch) {
    let mut left: HashMap<(Place, CellBuf), Vec<usize>> = HashMap::new();
    for row in (0..was.len()).rev() {
        left.entry((place(was, row), value(was, row))).or_default().push(row);
    }
    let mut new: HashMap<Place, Vec<usize>> = HashMap::new();
    for row in (0..is.len()).rev() {
        match left.get_mut(&(place(is, row), value(is, row))).and_then(Vec::pop) {
            Some(_) => compared.same += 1,
            None => new.entry(place(is, row)).or_default().push(row),
        }
    }
    let mut missed: Vec<usize> = left.into_values().flatten().collect();
    missed.sort_unstable();
    for row in missed {
        let other = new.get_mut(&place(was, row)).and_then(Vec::pop);
        match other {
            Some(_) => compared.differing += 1,
            None => compared.missing += 1,
        }
        note(compared, port, Some((was, row)), other.map(|other| (is, other)));
    }
    let mut extra: Vec<usize> = new.into_values().flatten().collect();
    extra.sort_unstable();
    compared.extra += extra.len() as u64;
    extra.into_iter().for_each(|row| note(compared, port, None, Some((is, row))));
}

fn place(batch: &Batch, row: usize) -> Place {
    let key = batch.keys.as_ref().map(|keys| CellBuf::from(keys.cell(row)));
    (batch.times[row], key)
}

fn value(batch: &Batch, row: usize) -> CellBuf {
    CellBuf::from(batch.values.cell(row))
}

/// Keeps an example, while there is room.
fn note(
    compared: &mut ComparedPort,
    port: &Port,
    was: Option<(&Batch, usize)>,
    is: Option<(&Batch, usize)>,
) {
    if compared.examples.len() == EXAMPLES_MAX {
        return;
    }
    let key = was
        .or(is)
        .and_then(|(batch, row)| Some(render::key(port.key.as_ref()?, batch.keys.as_ref()?, row)));
    let record =
        |found: Option<(&Batch, usize)>| found.map(|(batch, row)| render::record(port, batch, row));
    compared.examples.push(Difference::new(key, record(was), record(is)));
}
