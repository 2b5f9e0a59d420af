//! What one ledger leaves to the next, when the operator is swapped.

use super::states::{Place, Stamped};
use super::{Kept, Ledger};
use crate::harness::cell::Cell;
use crate::harness::swap::Converted;

/// Where everything goes, by its place in the description before; nowhere if it is dropped.
#[derive(Default)]
pub(in crate::harness) struct Routes {
    /// The place now, and the schema version that values are converted from.
    pub(in crate::harness) states: Vec<Option<(usize, Option<u32>)>>,
    pub(in crate::harness) timers: Vec<Option<usize>>,
    pub(in crate::harness) task_states: Vec<Option<usize>>,
    pub(in crate::harness) outputs: Vec<Option<usize>>,
    pub(in crate::harness) metrics: Vec<Option<usize>>,
}

/// A value that could not be converted: state, key, reason.
pub(in crate::harness) type Refused = (usize, Cell, String);

impl Ledger {
    /// Moves everything to a ledger that has nothing yet. Returns what could not be converted.
    ///
    /// # Errors
    /// If a conversion refused values without saying which.
    pub(in crate::harness) fn hand_over(
        &self,
        to: &Self,
        routes: &Routes,
        mut convert: impl FnMut(usize, u32, &[Cell]) -> Converted,
    ) -> Result<Vec<Refused>, String> {
        let Kept { mut states, tasks, timers, outputs, metrics } = self.kept.take();
        let kept = &mut *to.kept.borrow_mut();
        let mut refused = Vec::new();
        kept.states.count_from(&states);
        for (from, route) in routes.states.iter().enumerate() {
            let Some((state, step)) = *route else { continue };
            let mut values = states.take(from);
            if let Some(from_version) = step {
                let convert = |values: &[Cell]| convert(state, from_version, values);
                refused.extend(converted(state, &mut values, convert)?);
            }
            for (place, value) in values {
                kept.states.put(Place { state, ..place }, Some(value));
            }
        }
        let moved = timers.into_iter().filter_map(|(time, key, family, namespace)| {
            Some((time, key, routes.timers[family]?, namespace))
        });
        kept.timers.extend(moved);
        for (from, task) in routes.task_states.iter().enumerate() {
            if let Some(task) = *task {
                kept.tasks.put(task, tasks.get(from).clone());
            }
        }
        let moved = outputs.into_iter();
        kept.outputs.extend(moved.filter_map(|(port, rows)| Some((routes.outputs[port]?, rows))));
        let moved = metrics.into_iter();
        kept.metrics.extend(moved.filter_map(|(of, value)| Some((routes.metrics[of]?, value))));
        to.log.borrow_mut().append(&mut self.log.borrow_mut());
        to.watermark.set(self.watermark.get());
        to.processing_time.set(self.processing_time.get());
        to.seeds.set(self.seeds.get());
        Ok(refused)
    }
}

/// Converts values in place; those that are refused are taken out.
fn converted(
    state: usize,
    values: &mut Vec<(Place, Stamped)>,
    mut convert: impl FnMut(&[Cell]) -> Converted,
) -> Result<Vec<Refused>, String> {
    let mut refused = Vec::new();
    loop {
        let cells: Vec<Cell> = values.iter().map(|(_, value)| value.value.clone()).collect();
        match convert(&cells) {
            Ok(cells) => {
                for ((_, value), cell) in values.iter_mut().zip(cells) {
                    value.value = cell;
                }
                return Ok(refused);
            }
            Err((Some(row), reason)) if row < values.len() => {
                let (place, _) = values.remove(row);
                refused.push((state, place.key, reason));
            }
            Err((_, reason)) => return Err(format!("values could not be migrated: {reason}")),
        }
    }
}
