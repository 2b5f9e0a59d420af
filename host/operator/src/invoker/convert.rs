//! Converting columns of older values: as they are, or by the operator, down to the value that it cannot take.

use statehouse_state::column::ARENA_BYTES_MAX;
use statehouse_state::{Column, Converted, Error, Merge, StateDeclaration, merge};

use crate::evolution::StateMove;
use crate::failure::Failure;
use crate::limits::StateLimits;
use crate::operator::Operator;

/// What rows say that come after one that ends the job.
const NOT_TRIED: &str = "it was not tried after another one had failed";

/// Converts the values of one move.
pub(super) struct Converter<'a> {
    operator: &'a mut dyn Operator,
    step: StateMove,
    to: &'a StateDeclaration,
    limits: StateLimits,
    /// Whether one failure is enough.
    stops: bool,
    /// What the host failed at: no value is to blame.
    pub(super) failure: Option<Failure>,
}

/// Ascending rows, some of which could not be converted.
struct Rows {
    values: Column,
    failed: Vec<(u32, String)>,
}

impl<'a> Converter<'a> {
    pub(super) fn new(
        operator: &'a mut dyn Operator,
        step: StateMove,
        to: &'a StateDeclaration,
        limits: StateLimits,
        stops: bool,
    ) -> Self {
        Self { operator, step, to, limits, stops, failure: None }
    }

    /// Converts a column. Fails only if the host does, and then says why in `failure`.
    pub(super) fn convert(&mut self, values: &Column) -> Result<Converted, Error> {
        let Some(from_version) = self.step.from_version else {
            return Ok(Converted { values: values.clone(), failed: Vec::new() });
        };
        let mut rows = Rows { values: Column::empty(self.to.value.is_words()), failed: Vec::new() };
        match self.all(from_version, values, &mut rows) {
            Ok(()) => Ok(Converted { values: rows.values, failed: rows.failed }),
            Err(failure) => {
                let reason = failure.to_string();
                self.failure = Some(failure);
                Err(Error::Access { reason })
            }
        }
    }

    /// Converts all rows, in parts around those that fail, as poison records are found.
    fn all(&mut self, version: u32, values: &Column, rows: &mut Rows) -> Result<(), Failure> {
        let mut pending = vec![(0, values.len())];
        let mut part = Column::empty(values.is_words());
        while let Some((from, to)) = pending.pop() {
            if from == to {
                continue;
            }
            let given = if to - from == values.len() {
                values
            } else {
                part.clear();
                part.extend_from_range(values, from, to);
                &part
            };
            let failure = match self.attempt(version, given) {
                Ok(converted) => {
                    rows.extend(&converted)?;
                    continue;
                }
                Err(failure) if !failure.can_blame_record() => return Err(failure),
                Err(failure) => failure,
            };
            let blamed = match failure {
                Failure::Refused { row: Some(row), .. } if (row as usize) < to - from => {
                    row as usize
                }
                _ if to - from == 1 => 0,
                _ => {
                    let middle = usize::midpoint(from, to);
                    pending.extend([(middle, to), (from, middle)]);
                    continue;
                }
            };
            // What comes before the row is converted before it is noted, so that rows stay in order.
            if blamed > 0 {
                pending.extend([(from + blamed, to), (from, from + blamed)]);
                continue;
            }
            rows.fail(failure.to_string());
            if self.stops {
                (from + 1..values.len()).for_each(|_| rows.fail(NOT_TRIED.to_owned()));
                return Ok(());
            }
            pending.push((from + 1, to));
        }
        Ok(())
    }

    /// Has the operator convert, and checks what it made.
    fn attempt(&mut self, version: u32, values: &Column) -> Result<Column, Failure> {
        let converted = self.operator.migrate(self.step.values.to, version, values)?;
        let name = &self.to.name;
        let broken = |reason: String| Err(Failure::Trapped { reason });
        if converted.len() != values.len() {
            let (given, got) = (values.len(), converted.len());
            return broken(format!("it was given {given} values of state `{name}` and made {got}"));
        }
        if converted.is_words() != self.to.value.is_words() {
            return broken(format!("it made values of another layout than state `{name}` has"));
        }
        let Column::Bytes(rows) = &converted else { return Ok(converted) };
        let limit = self.limits.value_bytes;
        if let Some(bytes) = rows.iter().map(<[u8]>::len).find(|&bytes| bytes > limit) {
            return broken(format!(
                "it made a value of {bytes} bytes for state `{name}`, and {limit} are the most that it may have"
            ));
        }
        if self.to.merge == Some(Merge::SetUnion) && !rows.iter().all(merge::is_set) {
            return broken(format!("it made a value for state `{name}` that is no set"));
        }
        Ok(converted)
    }
}

impl Rows {
    fn extend(&mut self, converted: &Column) -> Result<(), Failure> {
        if self.values.size_bytes() + converted.size_bytes() > ARENA_BYTES_MAX {
            let reason = "values that are converted at once have more than 4 GiB together";
            return Err(Failure::Host { reason: reason.to_owned() });
        }
        self.values.extend_from_range(converted, 0, converted.len());
        Ok(())
    }

    /// Notes that the next row failed.
    fn fail(&mut self, reason: String) {
        self.failed.push((self.values.len() as u32, reason));
        match &mut self.values {
            Column::Words(words) => words.push(0),
            Column::Bytes(rows) => rows.push(&[]),
        }
    }
}
