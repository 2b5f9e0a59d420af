//! Standard output, with memory in its place.

use std::io;

use statehouse_operator::{Codec, ValueType};
use statehouse_state::{Column, ValueLayout};

use super::*;

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn shows(&self, text: &str) {
        assert_eq!(String::from_utf8(self.0.lock().unwrap().clone()).unwrap(), text);
    }
}

fn open(settings: StdoutSettings) -> (Screen, Box<dyn Sink>, Batch) {
    let screen = Screen::default();
    let value = ValueType::new(ValueLayout::S64, Codec::Raw);
    let port = Port { name: "out".into(), key: None, value, broadcast: false };
    let mut batch = port.empty_batch();
    batch.times.push(0);
    batch.values = Column::Words(vec![7]);
    let factory = StdoutFactory::over(Box::new(screen.clone()), settings);
    factory.check(&port).unwrap();
    factory.recover(&[]).unwrap();
    (screen, factory.open(0, &port).unwrap(), batch)
}

#[test]
fn lines_are_printed_once_when_their_epoch_is_committed() {
    let (screen, mut sink, batch) = open(StdoutSettings::default());
    sink.write(&batch).unwrap();
    let first = sink.prepare(1).unwrap();
    sink.write(&batch).unwrap();
    sink.write(&batch).unwrap();
    let second = sink.prepare(2).unwrap();
    screen.shows("");
    sink.commit(&first).unwrap();
    sink.commit(&first).unwrap();
    screen.shows("7\n");
    sink.commit(&second).unwrap();
    screen.shows("7\n7\n7\n");
}

#[test]
fn lines_are_printed_at_once_on_request() {
    let (screen, mut sink, batch) = open(StdoutSettings { immediate: true, ..Default::default() });
    sink.write(&batch).unwrap();
    screen.shows("7\n");
    let token = sink.prepare(1).unwrap();
    sink.commit(&token).unwrap();
    screen.shows("7\n");
}

#[test]
fn a_key_that_is_not_there_cannot_be_printed() {
    let settings = StdoutSettings { with_key: true, ..Default::default() };
    let factory = StdoutFactory::over(Box::new(io::sink()), settings);
    let value = ValueType::new(ValueLayout::S64, Codec::Raw);
    let alerts = Port { name: "alerts".into(), key: None, value, broadcast: false };
    let error = factory.check(&alerts).unwrap_err();
    assert!(error.contains("`alerts` have no key"), "{error}");
}
