//! Invariants: conditions over an operator's counters that a swap must meet in its trial.
//!
//! ```text
//! records-out >= 0.9 * records-in and rejected = 0
//! busy-ns / records-in < 2 * before.busy-ns / before.records-in
//! ```
//!
//! `X` is what was counted since the flip, `before.X` what the run counted until then. Numbers are floating point, and
//! a comparison with a quotient whose divisor is 0 does not hold.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use parse::ParseError;

/// A condition, as it was written and as it is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Invariant {
    text: String,
    condition: Condition,
}

/// A counter, in the trial or before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// Whether it is the one before.
    pub before: bool,
    /// The counter's name.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Compare(Comparator, Number, Number),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparator {
    Less,
    LessOrEqual,
    Equal,
    Unequal,
    GreaterOrEqual,
    Greater,
}

#[derive(Debug, Clone, PartialEq)]
enum Number {
    Literal(f64),
    Quantity(Quantity),
    Negative(Box<Number>),
    Computed(Operation, Box<Number>, Box<Number>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Invariant {
    /// Reads a condition over the counters of these names.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, ParseError> {
        let condition = parse::parse(text, known)?;
        Ok(Self { text: text.to_owned(), condition })
    }

    /// Whether it holds for these values. A quantity without a value is no number, and no comparison with it holds.
    pub fn holds(&self, value: impl Fn(&Quantity) -> Option<f64>) -> bool {
        self.condition.holds(&value)
    }

    /// Its quantities with their values, for who asks why it does not hold.
    pub fn explain(&self, value: impl Fn(&Quantity) -> Option<f64>) -> String {
        let mut found = Vec::new();
        self.condition.visit(&mut found);
        found.sort_unstable();
        found.dedup();
        let texts = found.into_iter().map(|quantity| match value(quantity) {
            Some(value) => format!("{quantity} = {value}"),
            None => format!("{quantity} is not counted"),
        });
        texts.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.before { "before." } else { "" }, self.name)
    }
}

impl Condition {
    fn holds(&self, value: &dyn Fn(&Quantity) -> Option<f64>) -> bool {
        match self {
            Self::Compare(comparator, left, right) => {
                comparator.holds(left.value(value), right.value(value))
            }
            Self::And(left, right) => left.holds(value) && right.holds(value),
            Self::Or(left, right) => left.holds(value) || right.holds(value),
            Self::Not(condition) => !condition.holds(value),
        }
    }

    fn visit<'a>(&'a self, found: &mut Vec<&'a Quantity>) {
        match self {
            Self::Compare(_, left, right) => {
                left.visit(found);
                right.visit(found);
            }
            Self::And(left, right) | Self::Or(left, right) => {
                left.visit(found);
                right.visit(found);
            }
            Self::Not(condition) => condition.visit(found),
        }
    }
}

impl Comparator {
    #[expect(
        clippy::float_cmp,
        reason = "counters are whole numbers, and users compare them as such"
    )]
    fn holds(self, left: f64, right: f64) -> bool {
        // Also what is unequal is to be a comparison of numbers.
        if left.is_nan() || right.is_nan() {
            return false;
        }
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::GreaterOrEqual => left >= right,
            Self::Greater => left > right,
        }
    }
}

impl Number {
    fn value(&self, value: &dyn Fn(&Quantity) -> Option<f64>) -> f64 {
        match self {
            Self::Literal(number) => *number,
            Self::Quantity(quantity) => value(quantity).unwrap_or(f64::NAN),
            Self::Negative(number) => -number.value(value),
            Self::Computed(operation, left, right) => {
                let (left, right) = (left.value(value), right.value(value));
                match operation {
                    Operation::Add => left + right,
                    Operation::Subtract => left - right,
                    Operation::Multiply => left * right,
                    Operation::Divide if right == 0.0 => f64::NAN,
                    Operation::Divide => left / right,
                }
            }
        }
    }

    fn visit<'a>(&'a self, found: &mut Vec<&'a Quantity>) {
        match self {
            Self::Literal(_) => {}
            Self::Quantity(quantity) => found.push(quantity),
            Self::Negative(number) => number.visit(found),
            Self::Computed(_, left, right) => {
                left.visit(found);
                right.visit(found);
            }
        }
    }
}
