//! What every source and sink must do, as checks that each connector's tests run on real files.

use serde_json::Value;
use statehouse_engine::{
    ConnectorError, Malformed, Polled, Sink, SinkFactory, Source, SourceFactory,
};
use statehouse_operator::{Batch, Port, render};

/// What a source gave: its batches, the position before each poll, and what was malformed.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) batches: Vec<Batch>,
    pub(crate) malformed: Vec<Malformed>,
    pub(crate) positions: Vec<Value>,
}

impl Given {
    /// Every record, rendered.
    pub(crate) fn records(&self, port: &Port) -> Vec<Value> {
        let rows = |batch| (0..Batch::len(batch)).map(move |row| render::record(port, batch, row));
        self.batches.iter().flat_map(rows).collect()
    }
}

/// Reads up to so many polls' worth, or to the end.
pub(crate) fn read(source: &mut dyn Source, polls_max: usize) -> Result<Given, ConnectorError> {
    let mut given = Given::default();
    for _ in 0..polls_max {
        given.positions.push(source.position());
        let polled = source.poll()?;
        given.malformed.extend(source.take_malformed());
        match polled {
            Polled::Batch(batch) => {
                assert!(!batch.is_empty(), "a batch is never empty");
                assert_eq!(batch.values.len(), batch.len());
                assert!(batch.keys.as_ref().is_none_or(|keys| keys.len() == batch.len()));
                given.batches.push(batch);
            }
            Polled::Idle => {}
            Polled::End => break,
        }
    }
    Ok(given)
}

/// Reads everything from the start, in one task.
pub(crate) fn read_all(factory: &dyn SourceFactory) -> Result<Given, ConnectorError> {
    read(factory.open(0, 1, &[])?.as_mut(), usize::MAX)
}

/// Checks a source that ends and can be rewound. `open` makes its factory anew, as another process would.
pub(crate) fn check_source(open: &dyn Fn() -> Box<dyn SourceFactory>) {
    let factory = open();
    let whole = read_all(factory.as_ref()).unwrap();
    check_return_to_every_position(open, &whole);
    let expected = sorted(whole.records(factory.port()));
    for parallelism in 1..=4 {
        let mut records = Vec::new();
        for task in 0..parallelism {
            let mut source = factory.open(task, parallelism, &[]).unwrap();
            records.extend(read(source.as_mut(), usize::MAX).unwrap().records(factory.port()));
            let progress = source.progress();
            assert_eq!(Some(progress.done), progress.total, "a source that ended is done");
        }
        assert_eq!(sorted(records), expected, "the shares of {parallelism} tasks are the input");
    }
    for tasks in [&[1, 2, 3][..], &[3, 1, 4], &[4, 2, 2, 1], &[2, 5, 2]] {
        check_changing_tasks(open, tasks, &expected);
    }
}

fn check_return_to_every_position(open: &dyn Fn() -> Box<dyn SourceFactory>, whole: &Given) {
    for (polls, position) in whole.positions.iter().enumerate() {
        let mut source = open().open(0, 1, std::slice::from_ref(position)).unwrap();
        assert_eq!(source.position(), *position);
        let rest = read(source.as_mut(), usize::MAX).unwrap();
        assert_eq!(rest.positions, whole.positions[polls..]);
        assert!(whole.batches.ends_with(&rest.batches), "from {position}");
        assert!(whole.malformed.ends_with(&rest.malformed), "from {position}");
    }
    let first = whole.positions.first().unwrap();
    let again = read(open().open(0, 1, std::slice::from_ref(first)).unwrap().as_mut(), usize::MAX);
    let again = again.unwrap();
    assert_eq!(again.batches, whole.batches);
    assert_eq!(again.malformed, whole.malformed);
}

/// Each round resumes with another number of tasks, which are unevenly fast; the last reads to the end.
fn check_changing_tasks(
    open: &dyn Fn() -> Box<dyn SourceFactory>,
    rounds: &[u32],
    expected: &[Value],
) {
    let mut records = Vec::new();
    let mut positions: Vec<Value> = Vec::new();
    for (round, &parallelism) in rounds.iter().enumerate() {
        let factory = open();
        let mut next = Vec::new();
        for task in 0..parallelism {
            let mut source = factory.open(task, parallelism, &positions).unwrap();
            let last = round + 1 == rounds.len();
            let polls = if last { usize::MAX } else { 1 + 2 * task as usize };
            records.extend(read(source.as_mut(), polls).unwrap().records(factory.port()));
            next.push(source.position());
        }
        positions = next;
    }
    assert_eq!(sorted(records), expected, "{rounds:?} tasks");
}

fn sorted(mut records: Vec<Value>) -> Vec<Value> {
    records.sort_by_cached_key(Value::to_string);
    records
}

/// Checks a sink that writes exactly once. `open` makes its factory anew, as another process would; `visible` shows
/// the lines that are out. `batch` makes a batch of one record, which is written as the line of the number.
pub(crate) fn check_sink(
    open: &dyn Fn() -> Box<dyn SinkFactory>,
    visible: &dyn Fn() -> Vec<String>,
    port: &Port,
    batch: &dyn Fn(u32) -> Batch,
) {
    let sink = |factory: &dyn SinkFactory| -> Box<dyn Sink> { factory.open(0, port).unwrap() };
    let shows = |lines: &[&str]| assert_eq!(visible(), lines);

    // Dies before the first checkpoint: nothing is out, and a fresh run may start.
    let factory = open();
    factory.recover(&[]).unwrap();
    let mut first = sink(factory.as_ref());
    first.write(&batch(0)).unwrap();
    first.prepare(1).unwrap();
    first.write(&batch(0)).unwrap();
    drop((first, factory));
    shows(&[]);

    // Commits show what was written before they were prepared, once.
    let factory = open();
    factory.recover(&[]).unwrap();
    let mut second = sink(factory.as_ref());
    second.write(&batch(1)).unwrap();
    let token = second.prepare(1).unwrap();
    second.write(&batch(2)).unwrap();
    shows(&[]);
    second.commit(&token).unwrap();
    second.commit(&token).unwrap();
    shows(&["1"]);

    // Dies between prepare and commit; the checkpoint exists.
    let token = second.prepare(2).unwrap();
    second.write(&batch(3)).unwrap();
    drop((second, factory));
    shows(&["1"]);
    let factory = open();
    factory.recover(std::slice::from_ref(&token)).unwrap();
    shows(&["1", "2"]);

    // Dies after a commit and with a prepared epoch that has no checkpoint: it is discarded and done again.
    let mut third = sink(factory.as_ref());
    third.commit(&token).unwrap();
    third.write(&batch(3)).unwrap();
    third.prepare(3).unwrap();
    drop((third, factory));
    let factory = open();
    factory.recover(std::slice::from_ref(&token)).unwrap();
    shows(&["1", "2"]);
    let mut fourth = sink(factory.as_ref());
    fourth.write(&batch(3)).unwrap();
    let token = fourth.prepare(3).unwrap();
    fourth.commit(&token).unwrap();

    // An epoch without records shows nothing and can be resumed from.
    let token = fourth.prepare(4).unwrap();
    fourth.commit(&token).unwrap();
    drop((fourth, factory));
    open().recover(&[token]).unwrap();
    shows(&["1", "2", "3"]);
}
