//! A running sum that goes wrong on command.

use std::hint::black_box;

use statehouse::prelude::*;

/// The numbers that are commands. Every other number is summed up.
pub mod command {
    /// Panics, which traps.
    pub const PANIC: i64 = -1001;
    /// Never returns.
    pub const SPIN: i64 = -1002;
    /// Takes memory until there is none.
    pub const HOG: i64 = -1003;
    /// Is refused with an error that names the row.
    pub const REFUSE: i64 = -1004;
    /// Calls itself until the stack is used up.
    pub const RECURSE: i64 = -1005;
    /// Is rejected with what was done for it kept.
    pub const REJECT: i64 = -1006;
    /// Emits rows until it is stopped.
    pub const FLOOD: i64 = -1007;
}

/// The setting `open` makes it go wrong before the first batch: `panic`, `spin` or `refuse`.
pub struct Mishap {
    sum: ValueState<i64>,
    sums: KeyedOutput<u64, i64>,
    context: Context,
}

impl Operator for Mishap {
    const NAME: &str = "mishap";

    fn new(setup: &mut Setup<Self>) -> Self {
        match setup.config("open") {
            Some("panic") => panic!("told to panic while opening"),
            Some("spin") => spin(),
            Some("refuse") => setup.refuse("told to refuse"),
            _ => {}
        }
        setup.keyed_input("numbers", Self::on_number);
        Mishap {
            sum: setup.value("sum"),
            sums: setup.keyed_output("sums"),
            context: setup.context(),
        }
    }
}

impl Mishap {
    fn on_number(&mut self, number: Record<u64, i64>) -> Result<()> {
        match number.value {
            command::PANIC => panic!("told to panic by key {}", number.key),
            command::SPIN => spin(),
            command::HOG => hog(),
            command::REFUSE => {
                self.sum.set(i64::MIN);
                bail!("told to refuse key {}", number.key)
            }
            command::RECURSE => drop(black_box(recurse(1))),
            command::REJECT => {
                self.sum.set(0);
                self.context.reject("told to reject");
            }
            command::FLOOD => loop {
                self.sums.emit(&number.key, &0)?;
            },
            value => {
                let sum = self.sum.get_or_default() + value;
                self.sum.set(sum);
                self.sums.emit(&number.key, &sum)?;
            }
        }
        Ok(())
    }
}

fn spin() {
    while black_box(true) {}
}

fn hog() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 1024 * 1024]));
    }
}

#[expect(unconditional_recursion, reason = "this is what it is for")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(black_box(depth + 1)) + frame[63]
}
