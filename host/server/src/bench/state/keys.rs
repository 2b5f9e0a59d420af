//! The keys of the measured batches.

use statehouse_connectors::GeneratorFactory;
use statehouse_connectors::settings::{Distribution, GeneratorSettings};
use statehouse_engine::{Polled, Source, SourceFactory};
use statehouse_state::Column;
use statehouse_state::key::hash_word;

/// Rows of a batch before its keys are made distinct.
const ROWS: u64 = 1024;

/// The distinct keys of one batch, as an invocation begins with them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) keys: Column,
    pub(super) hashes: Vec<u64>,
    pub(super) slots: Vec<u32>,
}

impl Batch {
    fn new() -> Self {
        Self { keys: Column::Words(Vec::new()), hashes: Vec::new(), slots: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn words(&self) -> &[u64] {
        let Column::Words(keys) = &self.keys else { unreachable!("keys are numbers") };
        keys
    }

    fn fill(&mut self, keys: impl Iterator<Item = u64>) {
        let Column::Words(words) = &mut self.keys else { unreachable!("keys are numbers") };
        words.clear();
        words.extend(keys);
        self.hashes.clear();
        self.hashes.extend(words.iter().map(|&key| hash_word(key)));
        self.slots.clear();
        self.slots.extend(0..words.len() as u32);
    }
}

/// Batches, one after the other; each is overwritten by the next.
pub(super) struct Batches {
    from: From,
    batch: Batch,
    yielded: u64,
    seen: std::collections::HashSet<u64>,
}

enum From {
    /// Every key once, in order.
    Each {
        next: u64,
        keys: u64,
    },
    Source(Box<dyn Source>),
}

impl Batches {
    /// Every key once.
    pub(super) fn each(keys: u64) -> Self {
        Self::new(From::Each { next: 0, keys })
    }

    /// So many records with random keys.
    pub(super) fn drawn(
        keys: u64,
        distribution: Distribution,
        records: u64,
        seed: u64,
    ) -> Result<Self, String> {
        let settings = GeneratorSettings {
            keys,
            records: Some(records),
            distribution,
            seed,
            batch: ROWS,
            ..GeneratorSettings::default()
        };
        let factory = GeneratorFactory::new(settings).map_err(|error| error.to_string())?;
        let source = factory.open(0, 1, &[]).map_err(|error| error.to_string())?;
        Ok(Self::new(From::Source(source)))
    }

    fn new(from: From) -> Self {
        Self { from, batch: Batch::new(), yielded: 0, seen: std::collections::HashSet::new() }
    }

    /// How many keys it has yielded.
    pub(super) fn yielded(&self) -> u64 {
        self.yielded
    }

    pub(super) fn next(&mut self) -> Option<&Batch> {
        match &mut self.from {
            From::Each { next, keys } => {
                let end = (*next + ROWS).min(*keys);
                self.batch.fill(*next..end);
                *next = end;
            }
            From::Source(source) => {
                let polled = source.poll().expect("the generator never fails");
                let Polled::Batch(batch) = polled else { return None };
                let Some(Column::Words(keys)) = &batch.keys else {
                    unreachable!("the generator's keys are numbers")
                };
                self.seen.clear();
                let seen = &mut self.seen;
                self.batch.fill(keys.iter().copied().filter(|&key| seen.insert(key)));
            }
        }
        self.yielded += self.batch.len() as u64;
        (self.batch.len() > 0).then_some(&self.batch)
    }
}
